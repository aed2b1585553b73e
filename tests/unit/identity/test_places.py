"""Who has a place where there are only so many: whose passwords are checked, and who is sent mail."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import pytest

from server.identity.domain import MailBusy
from server.identity.passwords import LoginBusy, Passwords
from server.identity.ports import Tenants
from server.identity.service.recovery import RecoveryService
from server.identity.service.sessions import SessionService
from server.kernel.principal import Call, within
from server.kernel.tasks import Background

pytestmark = pytest.mark.heavy_hashes

NOT_USED: Any = object()


class Held:
    """Tenants that are looked for as long as a test likes: by whom, where it is noted."""

    def __init__(self) -> None:
        self.looked_for: list[str] = []

    async def find(self, slug: str) -> tuple[UUID | None, bool]:
        self.looked_for.append(slug)
        await asyncio.Event().wait()
        return None, False

    async def find_active(self, slug: str) -> UUID | None:
        return (await self.find(slug))[0]


async def _settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def _from(address: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    with within(Call("/method", "request", "ab" * 16, "cd" * 8, address)):
        return asyncio.create_task(work)


def _sessions(tenants: Held, passwords: Passwords) -> SessionService:
    return SessionService(
        NOT_USED,
        passwords,
        NOT_USED,
        NOT_USED,
        cast("Tenants", tenants),
        NOT_USED,
        timedelta(minutes=5),
        timedelta(days=1),
        [b""],
        NOT_USED,
    )


async def test_those_who_wait_for_their_turn_at_two_addresses_keep_nobody_else_out() -> None:
    tenants, passwords = Held(), Passwords(parallel=1, waiting=8)
    sessions = _sessions(tenants, passwords)

    tasks = [
        _from(address, sessions.login("theirs", f"nobody-{number}", "a password"))
        for address in ("198.51.100.7", "203.0.113.9")
        for number in range(20)
    ]
    try:
        await _settled()
        tasks.append(_from("192.0.2.1", sessions.login("another", "ada", "a password")))
        await _settled()

        assert tenants.looked_for == ["theirs"] * 8 + ["another"]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        passwords.close()


async def test_of_many_at_one_address_the_surplus_is_shed_at_once_whichever_turn_they_wait_for() -> None:
    tenants, passwords = Held(), Passwords(parallel=1)
    sessions = _sessions(tenants, passwords)

    tasks = [_from("192.0.2.1", sessions.login("theirs", f"user-{number % 20}", "a password")) for number in range(200)]
    try:
        await _settled()

        shed = [task for task in tasks if task.done()]
        assert len(shed) == 200 - 28
        assert {type(task.exception()) for task in shed} == {LoginBusy}
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        passwords.close()


async def test_mail_that_is_asked_for_at_once_is_counted_at_once_and_not_any_more_when_nothing_comes_of_it() -> None:
    tenants = Held()
    recovery = RecoveryService(
        NOT_USED, NOT_USED, cast("Tenants", tenants), NOT_USED, NOT_USED, Background(), NOT_USED, sends_mail=True
    )

    def ask(address: str, times: int) -> list[asyncio.Task[Any]]:
        return [_from(address, recovery.request_password_reset(address, "ada")) for _ in range(times)]

    first = ask("198.51.100.7", 60)
    await _settled()
    others = [task for number in range(10) for task in ask(f"203.0.113.{number}", 15)]
    await _settled()
    refused = [[task for task in tasks if task.done()] for tasks in (first, others)]
    for task in (*first, *others):
        task.cancel()
    await asyncio.wait([*first, *others])
    later = ask("198.51.100.7", 20)
    await _settled()
    waiting = [task for task in later if not task.done()]
    for task in later:
        task.cancel()
    await asyncio.wait(later)

    assert [len(tasks) for tasks in refused] == [40, 70]
    assert {type(task.exception()) for tasks in refused for task in tasks} == {MailBusy}
    assert len(waiting) == 20
