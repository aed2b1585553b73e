"""Which of the calls that ask together fit into what limits leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from server.model.holds import Hold
from server.model.limits import Claim, LimitReached, Window, longest
from server.model.store.ledger import Balance


class Decision(NamedTuple):
    """What becomes of each call, in their order. `full`: the months that are used up for one which would fit into an
    empty one, with their limits. `tight`: where what is reserved stands in the way of some, and nothing else.
    """

    outcomes: list[Hold | LimitReached]
    full: dict[Window, Decimal]
    tight: set[Window]


def decide(asked: Sequence[Sequence[Claim]], before: Mapping[Window, Balance], moment: datetime) -> Decision:
    """First come first. `before`: what each of the limits stands at."""
    decision, standing = Decision([], {}, set()), dict(before)
    for claims in asked:
        refusals: dict[Window, LimitReached] = {}
        for claim in claims:
            balance = standing[claim.window]
            if (refusal := claim.refusal(balance.reserved, balance.used, moment)) is not None:
                refusals[claim.window] = refusal
                if claim.window.kind == "month" and claim.amount <= claim.limit and claim.outgrows(balance.used):
                    decision.full[claim.window] = claim.limit
        if refusals:
            decision.outcomes.append(longest(list(refusals.values())))
            if not any(claim.outgrows(standing[claim.window].used) for claim in claims):
                decision.tight.update(refusals)
            continue
        for claim in claims:
            balance = standing[claim.window]
            standing[claim.window] = Balance(balance.reserved + claim.reserved, balance.used + claim.used)
        decision.outcomes.append(Hold.of(claims))
    return decision
