"""Calls that could not be counted are left alone for a minute."""

from __future__ import annotations

from uuid import UUID

from server.model.journal import Stuck

ONE, OTHER = UUID(int=1), UUID(int=2)


def test_it_is_left_alone_for_a_minute_and_then_tried_again() -> None:
    moment = 0.0
    stuck = Stuck(lambda: moment)
    stuck.add([ONE])

    assert stuck.without([ONE, OTHER]) == {OTHER}
    moment = 59.9
    assert stuck.without([ONE, OTHER]) == {OTHER}
    moment = 60.0
    assert stuck.without([ONE, OTHER]) == {ONE, OTHER}
    assert not stuck._until
