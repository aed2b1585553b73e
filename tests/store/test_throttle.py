"""The counting of attempts at passwords: as much work for everybody, and nothing in between is overlooked."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from server.db.database import Database, Tx
from server.db.statements import Statement
from server.identity.store import throttle, users

TENANT = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
ADDRESS = "192.0.2.1"
_ARRANGE = f"""
INSERT INTO tenants (id, name, slug) VALUES ('{TENANT}', 'Ada', 'ada');
INSERT INTO users (tenant_id, username, email, password_hash)
    VALUES ('{TENANT}', 'ada', 'ada@x', 'hash'), ('{TENANT}', 'grace', 'grace@x', 'hash');
INSERT INTO sessions (tenant_id, user_id, refresh_hash, expires_at, ip_address)
    SELECT tenant_id, id, 'hash', now(), '{ADDRESS}' FROM users WHERE username = 'grace'
"""


@pytest.fixture(autouse=True)
async def _arranged(admin: Any) -> None:
    await admin.execute(_ARRANGE)


class Counting:
    """A transaction that counts what is run in it."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self.tenant_id = tx.tenant_id
        self.statements = 0

    async def fetchrow(self, statement: Statement, **values: Any) -> Any:
        self.statements += 1
        return await self._tx.fetchrow(statement, **values)


@pytest.mark.parametrize("waits", [False, True], ids=["at first", "while all wait"])
async def test_counting_is_as_much_work_whomever_it_is_for(database: Database, admin: Any, *, waits: bool) -> None:
    if waits:
        await admin.execute("UPDATE users SET locked_until = now() + interval '1 hour'")
        later = "now() + interval '1 hour'"
        await admin.execute(f"INSERT INTO sign_in_throttle VALUES ('{TENANT}', '{ADDRESS}', 99, {later})")
        await admin.execute(f"INSERT INTO sign_in_guesses SELECT tenant_id, id, '{ADDRESS}', 9, {later} FROM users")
    counts = {}
    for login, known in (("nobody", True), ("ada", True), ("grace", True), ("nobody", False)):
        async with database.tenant_tx(TENANT) as tx:
            found = await users.find_login(tx, login, ADDRESS)
            counting: Any = Counting(tx)
            attempt = await throttle.count(counting, found, ADDRESS, known_tenant=known)
            counts[login, known] = counting.statements, attempt.allowed

    allowed = not waits
    assert counts == {
        ("nobody", True): (2, allowed),
        ("ada", True): (2, allowed),
        ("grace", True): (2, allowed),
        ("nobody", False): (2, True),
    }


async def test_a_wait_that_begins_while_the_password_is_looked_at_holds(database: Database, admin: Any) -> None:
    async with database.tenant_tx(TENANT) as tx:
        ada = await users.find_login(tx, "ada", ADDRESS)
        grace = await users.find_login(tx, "grace", ADDRESS)
        attempts = [await throttle.count(tx, found, ADDRESS) for found in (ada, grace)]
    assert ada is not None
    await admin.execute("UPDATE users SET locked_until = now() + interval '1 hour'")
    await admin.execute("UPDATE sign_in_guesses SET blocked_until = now() + interval '1 hour'")

    async with database.tenant_tx(TENANT) as tx:
        assert await users.signed_in(tx, ada, ADDRESS, attempts[0].account_wait) is None
        assert not await throttle.forget(tx, attempts[1])


async def test_an_attempt_does_not_wait_for_what_it_has_set_itself(database: Database, admin: Any) -> None:
    await admin.execute("UPDATE users SET login_attempts = 20")
    await admin.execute(f"INSERT INTO sign_in_guesses SELECT tenant_id, id, '{ADDRESS}', 20 FROM users")
    for login in ("ada", "grace"):
        async with database.tenant_tx(TENANT) as tx:
            found = await users.find_login(tx, login, ADDRESS)
            assert found is not None
            attempt = await throttle.count(tx, found, ADDRESS)
        assert attempt.account_wait if login == "ada" else attempt.address_wait

        async with database.tenant_tx(TENANT) as tx:
            assert await users.signed_in(tx, found, ADDRESS, attempt.account_wait) is not None
            assert await throttle.forget(tx, attempt)
            assert await throttle.forget(tx, attempt), "as after another right password beside it"
