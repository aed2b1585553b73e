"""What is remembered: until it ends, until it changes, and not past what was missed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
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


async def _read(fact: Fact) -> Fact:
    return fact


async def _remember(memory: Memory[Fact], fact: Fact) -> None:
    assert await memory.read(fact.user, partial(_read, fact)) is fact


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


async def test_all_that_is_of_one_user_is_forgotten_whatever_its_names() -> None:
    memory = Memory[Fact]()
    for name, person in (("one", ADA), ("two", ADA), ("three", GRACE)):
        await memory.read(name, partial(_read, _fact(person)))

    memory.changed(TENANT, ADA)

    assert [name for name in ("one", "two", "three") if memory.recall(name)] == ["three"]


async def test_what_is_anothers_by_now_is_forgotten_with_them() -> None:
    memory, fact = Memory[Fact](), _fact(GRACE)
    await memory.read("name", partial(_read, _fact(ADA)))
    await memory.read("name", partial(_read, fact))

    memory.changed(TENANT, ADA)
    assert memory.recall("name") is fact
    memory.changed(TENANT, GRACE)
    assert memory.recall("name") is None


async def test_of_a_full_memory_all_is_forgotten_and_changes_go_on_being_heard() -> None:
    memory, fact = Memory[Fact](most=2), _fact()
    for name in ("one", "two", "three"):
        await memory.read(name, partial(_read, fact))
    assert [name for name in ("one", "two", "three") if memory.recall(name)] == ["three"]

    memory.changed(TENANT, ADA)

    assert memory.recall("three") is None


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda memory: memory.changed(TENANT, ADA), id="of the user"),
        pytest.param(lambda memory: memory.changed(TENANT, GRACE), id="of another in the tenant"),
        pytest.param(lambda memory: memory.changed(TENANT), id="of the tenant"),
        pytest.param(Memory.forget, id="of everything"),
        pytest.param(lambda memory: memory.listening(True), id="missed"),  # noqa: FBT003
    ],
)
async def test_what_changes_while_it_is_read_is_not_remembered(change: Callable[[Memory[Fact]], None]) -> None:
    memory, fact = Memory[Fact](), _fact()

    async def read() -> Fact:
        change(memory)
        return fact

    assert await memory.read(fact.user, read) is fact
    assert memory.recall(fact.user) is None
    await _remember(memory, fact)
    assert memory.recall(fact.user) is fact


async def test_nor_where_more_tenants_change_than_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_CHANGED", 2)
    memory, fact = Memory[Fact](), _fact()

    async def read() -> Fact:
        for tenant in (TENANT, OTHER, ADA):
            memory.changed(tenant)
        return fact

    await memory.read(fact.user, read)

    assert memory.recall(fact.user) is None


async def test_what_changes_of_another_tenant_meanwhile_does_not_matter() -> None:
    memory, fact = Memory[Fact](), _fact()

    async def read() -> Fact:
        memory.changed(OTHER)
        memory.changed(OTHER, ADA)
        return fact

    await memory.read(fact.user, read)

    assert memory.recall(fact.user) is fact


async def test_a_read_that_goes_on_beside_others_still_notes_what_changes() -> None:
    memory, fact, reading, go_on = Memory[Fact](), _fact(), asyncio.Event(), asyncio.Event()

    async def read() -> Fact:
        reading.set()
        await go_on.wait()
        return fact

    task = asyncio.create_task(memory.read(fact.user, read))
    await reading.wait()
    memory.changed(TENANT, GRACE)
    await _remember(memory, _fact(GRACE))  # begun later, ended before
    go_on.set()

    assert await task is fact
    assert memory.recall(fact.user) is None
    assert memory.recall((TENANT, GRACE)) is not None


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


async def test_what_is_remembered_weighs_no_more_together_than_it_may() -> None:
    """Each weighs 40 of 100: read anew it weighs the same, what is forgotten nothing, and a third is too much."""
    memory = Memory[Fact](100, lambda _: 40)
    ada, grace, other = _fact(ADA), _fact(GRACE), _fact(ADA, OTHER)
    for fact in (ada, ada, grace):
        await memory.read(fact.user, partial(_read, fact))
    together = [memory.recall(fact.user) for fact in (ada, grace)]
    memory.changed(TENANT, ADA)
    await memory.read(other.user, partial(_read, other))
    afterwards = [memory.recall(fact.user) for fact in (grace, other)]

    await memory.read(ada.user, partial(_read, ada))

    assert together == [ada, grace]
    assert afterwards == [grace, other]
    assert [memory.recall(fact.user) for fact in (ada, grace, other)] == [ada, None, None]
