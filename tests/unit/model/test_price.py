"""What a call costs."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.model.domain import MOST_COST, Price

_USD = st.decimals(0, 1000, places=9)
_TOKENS = st.integers(0, 1_000_000_000)


def _price(*per_1k: str) -> Price:
    return Price(*(Decimal(value) for value in per_1k))


@pytest.mark.parametrize(
    ("price", "tokens", "cost"),
    [
        (_price("0.03", "0.06"), (1000, 1000), "0.09"),
        (_price("0.03", "0.06"), (0, 0), "0"),
        (_price("0.0015", "0.002"), (1, 0), "0.0000015"),
        (_price("0.5", "1.25", "0.05"), (1000, 0, 400), "0.32"),
        (_price("0.5", "1.25", "0"), (1000, 0, 1000), "0"),
        (_price("0.5", "1.25"), (1000, 200, 400), "0.75"),
        (_price("0.000000001", "0"), (499, 0), "0"),
        (_price("0.000000001", "0"), (501, 0), "0.000000001"),
        (_price("400", "500"), (10**9, 10**9), "900000000"),
        (_price("1000", "1000"), (10**9, 10**9), "999999999.999999999"),
        (_price("999999999.999999999", "999999999.999999999"), (2**31, 2**31), "999999999.999999999"),
    ],
)
def test_a_call_costs_what_its_tokens_cost(price: Price, tokens: tuple[int, ...], cost: str) -> None:
    assert price.cost(*tokens) == Decimal(cost)


@given(_USD, _USD, st.none() | _USD, _TOKENS, _TOKENS, st.data())
def test_a_cost_is_within_half_a_step_of_the_exact_one_and_never_negative(
    read: Decimal, written: Decimal, cached: Decimal | None, prompt: int, completion: int, data: st.DataObject
) -> None:
    of_them_cached = data.draw(st.integers(0, prompt))

    cost = Price(read, written, cached).cost(prompt, completion, of_them_cached)

    rate = read if cached is None else cached
    exact = ((prompt - of_them_cached) * read + of_them_cached * rate + completion * written) / 1000
    assert abs(cost - min(exact, MOST_COST)) <= Decimal("0.0000000005")
    assert cost >= 0
    assert -cost.as_tuple().exponent == 9
