"""A place among those whose passwords are checked is taken by those whose turn it is."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

from server.identity.passwords import Passwords
from server.identity.ports import Tenants
from server.identity.service.sessions import SessionService
from server.kernel.principal import Call, within

NOT_USED: Any = None


class Held:
    """Tenants that are looked for as long as a test likes: by whom, where it is noted."""

    def __init__(self) -> None:
        self.looked_for: list[str] = []

    async def find_active(self, slug: str) -> UUID | None:
        self.looked_for.append(slug)
        await asyncio.Event().wait()
        return None


async def _settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_those_who_wait_for_their_turn_at_two_addresses_keep_nobody_else_out() -> None:
    tenants, passwords = Held(), Passwords(parallel=1, waiting=8)
    sessions = SessionService(
        NOT_USED,
        passwords,
        NOT_USED,
        cast("Tenants", tenants),
        NOT_USED,
        timedelta(minutes=5),
        timedelta(days=1),
        [b""],
    )

    def start(slug: str, login: str, address: str) -> asyncio.Task[Any]:
        with within(Call("/method", "request", "ab" * 16, "cd" * 8, address)):
            return asyncio.create_task(sessions.login(slug, login, "a password"))

    tasks = [
        start("theirs", f"nobody-{number}", address)
        for address in ("198.51.100.7", "203.0.113.9")
        for number in range(20)
    ]
    try:
        await _settled()
        tasks.append(start("another", "ada", "192.0.2.1"))
        await _settled()

        assert tenants.looked_for == ["theirs"] * 8 + ["another"]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        passwords.close()
