"""What JSON an execution keeps: what a client can read again."""

from __future__ import annotations

from typing import Any

import pytest

from atrium.workflow.v1 import execution_pb2 as pb
from server.kernel.json import MOST_DEPTH, depth
from server.rpc.wire import value_of
from server.workflow.definition import MOST_BYTES
from server.workflow.limits import problem


def _nested(count: int, *, lists: bool) -> Any:
    value: Any = 1
    for _ in range(count):
        value = [value] if lists else {"a": value}
    return value


@pytest.mark.parametrize("lists", [True, False])
def test_what_is_nested_as_deep_as_may_be_is_kept_and_can_be_read_inside_what_an_execution_comes_to(
    lists: bool,
) -> None:
    value = _nested(MOST_DEPTH, lists=lists)
    told = pb.WatchExecutionResponse.Ended(execution=pb.Execution(output=value_of({"step": [{"value": value}]})))

    read = pb.WatchExecutionResponse.FromString(pb.WatchExecutionResponse(ended=told).SerializeToString())

    assert problem(value) is None
    assert read.ended == told


@pytest.mark.parametrize("lists", [True, False])
@pytest.mark.parametrize("count", [MOST_DEPTH + 1, 5_000])
def test_what_is_nested_deeper_is_not(count: int, lists: bool) -> None:
    assert problem(_nested(count, lists=lists)) == f"is nested deeper than {MOST_DEPTH}"


def test_what_is_longer_than_may_be_is_not_kept() -> None:
    assert problem("a" * (MOST_BYTES - 2)) is None
    assert problem("a" * (MOST_BYTES - 1)) == f"has more than {MOST_BYTES} bytes as JSON"


@pytest.mark.parametrize(("value", "deep"), [(1, 0), ("[[", 0), ([], 1), ([1, {"a": [2]}], 3), ({"a": 1, "b": [1]}, 2)])
def test_how_deep_a_value_is(value: Any, deep: int) -> None:
    assert depth(value) == deep
