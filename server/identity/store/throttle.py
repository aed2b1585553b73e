"""How long sign-ins that failed have the next ones wait, by account and by address."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Float, Interval, bindparam, case, cast, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from server.db.database import Tx
from server.db.statements import Statement
from server.identity.tables import sign_in_throttle as throttle
from server.identity.tables import users

FREE_OF_ACCOUNT = 5
"""Failed sign-ins to an account before the next ones wait."""

FREE_OF_ADDRESS = 20
"""The same from one address, behind which there may be a whole company."""

LONGEST_SECONDS = 900
QUIET_SECONDS = 3_600
"""After so long without a failure an address begins anew."""


def _wait(failures: ColumnElement[Any], free: int) -> ColumnElement[Any]:
    """Until when to wait after so many failures: a second after the last free one, and twice as long each time."""
    doubled = func.least(literal(LONGEST_SECONDS), func.power(literal(2), func.least(failures - free, literal(20))))
    seconds = cast(doubled, Float) * cast(literal(timedelta(seconds=1)), Interval)
    return case((failures >= free, func.now() + seconds))


_FAIL_ACCOUNT = Statement(
    update(users)
    .where(users.c.id == bindparam("user_id"))
    .values(login_attempts=users.c.login_attempts + 1, locked_until=_wait(users.c.login_attempts + 1, FREE_OF_ACCOUNT))
)
_quiet = throttle.c.updated_at < func.now() - cast(literal(timedelta(seconds=QUIET_SECONDS)), Interval)
_failures = case((_quiet, literal(1)), else_=throttle.c.failures + 1)
_FAIL_ADDRESS = Statement(
    upsert(throttle)
    .values(tenant_id=bindparam("tenant_id"), address=bindparam("address"))
    .on_conflict_do_update(
        index_elements=["tenant_id", "address"],
        set_={"failures": _failures, "blocked_until": _wait(_failures, FREE_OF_ADDRESS)},
    )
)
_BLOCKED = Statement(
    select(literal(1)).where(throttle.c.address == bindparam("address"), throttle.c.blocked_until > func.now())
)


async def blocked(tx: Tx, address: str | None) -> bool:
    """Whether sign-ins from the address have to wait."""
    return address is not None and await tx.fetchrow(_BLOCKED, address=address) is not None


async def fail(tx: Tx, user_id: UUID | None, address: str | None) -> None:
    """Counts a failed sign-in against the account, where there is one, and the address."""
    if user_id is not None:
        await tx.execute(_FAIL_ACCOUNT, user_id=user_id)
    if address is not None:
        await tx.execute(_FAIL_ADDRESS, tenant_id=tx.tenant_id, address=address)
