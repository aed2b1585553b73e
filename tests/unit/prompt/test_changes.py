"""Whose turn it is to change prompts, and who waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from server.db.database import Database
from server.prompt.errors import PromptsBusy
from server.prompt.service.changes import PromptChanges


class Connections:
    """A database that opens transactions for anybody."""

    def tenant_tx(self, tenant_id: UUID) -> AbstractAsyncContextManager[UUID]:
        return nullcontext(tenant_id)


def changes_within(seconds: float) -> PromptChanges:
    return PromptChanges(cast("Database", cast("Any", Connections())), seconds)


async def test_a_tenant_has_one_and_no_other_waits_for_it(calls: Callable[[UUID], None]) -> None:
    one, other = uuid4(), uuid4()
    changes = changes_within(0)

    calls(one)
    async with changes.tx() as tx:
        assert cast("Any", tx) == one
        with pytest.raises(PromptsBusy) as refused:
            async with changes.tx():
                pass
        calls(other)
        async with changes.tx():
            pass
        calls(one)

    assert refused.value.retry_after
    async with changes.tx():
        pass


@pytest.mark.parametrize("failure", [RuntimeError, asyncio.CancelledError])
async def test_one_that_fails_leaves_its_turn_to_the_next(
    calls: Callable[[UUID], None], failure: type[BaseException]
) -> None:
    calls(uuid4())
    changes = changes_within(0)

    with pytest.raises(failure):
        async with changes.tx():
            raise failure

    async with changes.tx():
        pass
