"""What is remembered: until it ends, until it changes, and not past what was missed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from server.db import memory as module
from server.db.memory import Memory
from server.kernel.clock import now

TENANT, OTHER, ADA, GRACE = (UUID(int=number) for number in range(1, 5))


@dataclass(frozen=True)
class Fact:
    user: tuple[UUID, UUID]
    good_until: datetime


def _fact(user: UUID = ADA, tenant: UUID = TENANT, *, good_for: timedelta = timedelta(hours=1)) -> Fact:
    return Fact((tenant, user), now() + good_for)


async def _remember(memory: Memory[Fact], fact: Fact) -> None:
    async def read() -> Fact:
        return fact

    assert await memory.read(fact.user, read) is fact


async def test_what_was_read_is_remembered_by_its_name() -> None:
    memory, fact = Memory[Fact](), _fact()
    await _remember(memory, fact)

    assert memory.recall(fact.user) is fact
    assert memory.recall("another name") is None


async def test_what_has_ended_is_not() -> None:
    memory, fact = Memory[Fact](), _fact(good_for=timedelta(seconds=-1))
    await _remember(memory, fact)

    assert memory.recall(fact.user) is None


@pytest.mark.parametrize(
    ("tenant", "user", "left"),
    [(TENANT, ADA, [GRACE]), (TENANT, None, []), (OTHER, ADA, [ADA, GRACE]), (OTHER, None, [ADA, GRACE])],
)
async def test_a_change_has_those_forgotten_whom_it_is_about(tenant: UUID, user: UUID | None, left: list[UUID]) -> None:
    memory = Memory[Fact]()
    for person in (ADA, GRACE):
        await _remember(memory, _fact(person))

    memory.changed(tenant, user)

    assert [person for person in (ADA, GRACE) if memory.recall((TENANT, person))] == left


async def test_what_changes_while_it_is_read_is_not_remembered() -> None:
    memory, fact, reading, go_on = Memory[Fact](), _fact(), asyncio.Event(), asyncio.Event()

    async def read() -> Fact:
        reading.set()
        await go_on.wait()
        return fact

    task = asyncio.create_task(memory.read(fact.user, read))
    await reading.wait()
    memory.changed(TENANT, GRACE)
    go_on.set()

    assert await task is fact
    assert memory.recall(fact.user) is None


async def test_nothing_is_remembered_past_an_interruption_nor_long_during_one(monkeypatch: pytest.MonkeyPatch) -> None:
    memory, fact = Memory[Fact](), _fact()
    clock = 1_000.0
    monkeypatch.setattr(module, "monotonic", lambda: clock)
    for connected in (False, True):
        await _remember(memory, fact)
        memory.listening(connected)
        assert memory.recall(fact.user) is None, "changes may have been missed"

        await _remember(memory, fact)
        clock += 0.69
        assert memory.recall(fact.user) is fact
        clock += 0.02
        assert memory.recall(fact.user) is None


async def test_what_is_known_to_have_changed_for_nobody_is_remembered_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    memory, fact = Memory[Fact](), _fact()
    clock = 1_000.0
    monkeypatch.setattr(module, "monotonic", lambda: clock)
    memory.listening(True)  # noqa: FBT003
    await _remember(memory, fact)

    clock += 29.0
    memory.heard(clock - 0.3)
    assert memory.recall(fact.user) is fact
    clock += 0.41
    assert memory.recall(fact.user) is None, "it was heard of too long ago"
    memory.heard(clock)
    assert memory.recall(fact.user) is fact
    clock += 0.6
    assert memory.recall(fact.user) is None, "it was read too long ago"
