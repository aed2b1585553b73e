"""A tenant has so many streams of a kind open, and no more."""

from __future__ import annotations

from contextlib import ExitStack
from uuid import UUID

import pytest

from server.kernel.errors import ResourceExhausted
from server.kernel.watches import Watches

ANN, BOB = UUID(int=1), UUID(int=2)


def test_each_tenant_has_so_many_and_one_that_ends_makes_room() -> None:
    watches = Watches(2, ResourceExhausted, "watches")
    with ExitStack() as stack:
        stack.enter_context(watches.one_more(ANN))
        with watches.one_more(ANN):
            with pytest.raises(ResourceExhausted), watches.one_more(ANN):
                pass
            stack.enter_context(watches.one_more(BOB))
        stack.enter_context(watches.one_more(ANN))
        with pytest.raises(ResourceExhausted), watches.one_more(ANN):
            pass

    assert not watches._open
