"""What the database's errors mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import asyncpg
import structlog

from server.kernel.errors import DatabaseUnavailable, DomainError, TenantGone
from server.kernel.refusal import CommandRefused

_log = structlog.get_logger("atrium.db")


class DatabaseRefused(CommandRefused):
    """The server does not start on this database; the message says what to do about it."""


# The last: asked something between its server's farewell and its end, it is in a state from which it asks nothing.
LOST = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What a connection raises that is of no use any more, or cannot be made."""

CONNECT_ERRORS = (*LOST, ValueError)
"""What asyncpg raises where it cannot connect; a ValueError for an address that is none."""

# A statement that a time limit ended, or a place in the pool that did not come free, is the database's being too busy;
# of two transactions in a deadlock one is ended, and has to be made again, as has one whose statement a migration has
# made stale. A password that has changed and a database that was renamed keep new connections out.
_UNREACHABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.PostgresSystemError,
)


def is_unwritable(error: Exception) -> bool:
    """Whether the row that raised it will never be written as it is."""
    # A violated check without a name is PostgreSQL's word for a month that has no partition, and may get one.
    if isinstance(error, asyncpg.CheckViolationError) and error.constraint_name is None:
        return False
    return isinstance(error, asyncpg.DataError | asyncpg.IntegrityConstraintViolationError)


@contextmanager
def reachable() -> Iterator[None]:
    """Raises DatabaseUnavailable for what means that the database cannot answer now."""
    try:
        yield
    except _UNREACHABLE as error:
        raise DatabaseUnavailable from error


@contextmanager
def serving() -> Iterator[None]:
    """The same of what the serving role asks, which deletes no tenant: TenantGone where a row was to be the
    transaction's tenant's, and that was purged a moment ago.
    """
    try:
        yield
    except _UNREACHABLE as error:
        raise DatabaseUnavailable from error
    except asyncpg.ForeignKeyViolationError as error:
        # Of all foreign keys, those alone that refer to the tenants end like this (server.db.base).
        if not str(error.constraint_name).endswith("_tenant_id"):
            raise
        raise TenantGone from error


@contextmanager
def constraint_errors(errors: Mapping[str, Callable[[], DomainError]]) -> Iterator[None]:
    """Raises the error that a violated constraint (unique, foreign key, check) stands for, by the constraint's name."""
    try:
        yield
    except asyncpg.IntegrityConstraintViolationError as error:
        name = str(error.constraint_name)
        if name not in errors:
            raise
        raise errors[name]() from None
