"""Statements: built once from the tables, compiled once for asyncpg, run many times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Text, bindparam, func, literal_column, select, true
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.sql import ClauseElement, Select

_DIALECT: Any = PGDialect_asyncpg()  # type: ignore[no-untyped-call]
_TENANT = "app_tenant_id"


class Statement:
    """SQL with `$n` places, and the names of the values that go into them."""

    __slots__ = ("_constants", "_names", "sql")

    def __init__(self, statement: ClauseElement) -> None:
        compiled: Any = statement.compile(dialect=_DIALECT)
        self.sql: str = compiled.string
        self._names: tuple[str, ...] = tuple(compiled.positiontup)
        required = {compiled.bind_names[bind] for bind in compiled.binds.values() if bind.required}
        self._constants: dict[str, Any] = {
            name: value for name, value in compiled.params.items() if name not in required
        }

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        """The values in the order of their places. Raises KeyError for one that is missing."""
        constants = self._constants
        return [constants[name] if name in constants else values[name] for name in self._names]


class HotStatement(Statement):
    """A read that sets its tenant and is under its row security in one round trip, without a transaction around it.

    The two OFFSET 0 keep the planner from pulling the sub-selects up, so that the setting is made before a row is read.
    """

    __slots__ = ()

    def __init__(self, statement: Select[Any]) -> None:
        tenant = func.set_config("app.tenant_id", bindparam(_TENANT, type_=Text), literal_column("true"))
        setting = select(tenant.label("tenant")).offset(literal_column("0")).subquery("setting")
        rows = statement.where(setting.c.tenant.is_not(None)).offset(literal_column("0")).lateral("rows")
        super().__init__(select(rows).select_from(setting.join(rows, true())))

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        return super().arguments({**values, _TENANT: str(values["tenant_id"])})
