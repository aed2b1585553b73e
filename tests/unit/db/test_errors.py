"""What the database's errors mean to whoever asked it something."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import asyncpg
import pytest

from server.db.errors import reachable, serving
from server.kernel.errors import DatabaseUnavailable


@pytest.mark.parametrize("asking", [reachable, serving])
@pytest.mark.parametrize(
    "error",
    [
        asyncpg.AdminShutdownError("terminating connection"),
        asyncpg.InternalClientError("cannot switch to state 11; another operation (2) is in progress"),
        asyncpg.InterfaceError("connection is closed"),
        ConnectionResetError(),
        TimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_connection_that_its_server_has_left_is_the_databases_being_away(
    asking: Callable[[], AbstractContextManager[None]], error: Exception
) -> None:
    with pytest.raises(DatabaseUnavailable), asking():
        raise error


@pytest.mark.parametrize("asking", [reachable, serving])
def test_a_mistake_of_ours_is_none_of_the_databases(asking: Callable[[], AbstractContextManager[None]]) -> None:
    with pytest.raises(asyncpg.UndefinedColumnError), asking():
        raise asyncpg.UndefinedColumnError("no such column")
