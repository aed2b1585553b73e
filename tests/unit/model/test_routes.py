"""Who is asked first, and how often."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from server.model.routes import Target, shuffled

TIMES = 20_000


def _picks(*targets: Target, place: int = 0) -> Counter[str]:
    """How often each model is asked as the first, or as another one."""
    random = Random(7)
    return Counter(shuffled(targets, random)[place] for _ in range(TIMES))


@pytest.mark.parametrize("weights", [{"a": 1}, {"a": 1, "b": 1}, {"a": 9, "b": 1}, {"a": 5, "b": 3, "c": 2}])
def test_each_is_asked_first_as_often_as_its_weight_says(weights: dict[str, int]) -> None:
    picks = _picks(*(Target(name, weight) for name, weight in weights.items()))

    for name, weight in weights.items():
        assert picks[name] / TIMES == pytest.approx(weight / sum(weights.values()), abs=0.01)


def test_a_thousand_to_one_is_as_rare_as_that() -> None:
    assert 5 <= _picks(Target("often", 1000), Target("seldom", 1))["seldom"] <= 40


def test_of_those_that_are_left_each_is_asked_next_as_often_as_its_weight_says() -> None:
    picks = _picks(Target("a", 5), Target("b", 3), Target("c", 2), place=1)

    # In 5 of 10 times "a" was the first, which leaves "b" 3 of 5; in 2 of 10 it was "c", which leaves it 3 of 8.
    assert picks["b"] / TIMES == pytest.approx(5 / 10 * 3 / 5 + 2 / 10 * 3 / 8, abs=0.01)


def test_whatever_the_weights_a_lower_priority_comes_first() -> None:
    random = Random(7)
    targets = [Target("last", 1000, 2), Target("first", 1, 0), Target("second", 1, 1), Target("also second", 1, 1)]

    orders = {tuple(shuffled(targets, random)) for _ in range(100)}

    assert orders == {("first", *pair, "last") for pair in (("second", "also second"), ("also second", "second"))}
