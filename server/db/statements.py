"""Statements: built once from the tables, compiled once for asyncpg, run many times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import BindParameter, Text, bindparam, func, select, true
from sqlalchemy.dialects.postgresql.asyncpg import PGCompiler_asyncpg, PGDialect_asyncpg
from sqlalchemy.sql import ClauseElement, Select

_TENANT = "app_tenant_id"


class _Compiler(PGCompiler_asyncpg):
    """Writes constants into the SQL: the planner matches partial indexes with them, and knows how much a LIMIT is."""

    def visit_bindparam(self, bindparam: BindParameter[Any], *args: Any, **kwargs: Any) -> str:
        if not bindparam.required:
            kwargs["literal_binds"] = True
        return str(super().visit_bindparam(bindparam, *args, **kwargs))  # type: ignore[no-untyped-call]


def _dialect() -> Any:
    dialect: Any = PGDialect_asyncpg()  # type: ignore[no-untyped-call]
    dialect.statement_compiler = _Compiler
    dialect._backslash_escapes = False  # the server's default; SQLAlchemy asks a connection, and there is none here
    return dialect


_DIALECT = _dialect()


class Statement:
    """SQL with `$n` places, and the names of the values that go into them.

    Build it when the module is imported, from constants: what varies is a `bindparam` with a name. It is compiled when
    it is first run: all of them together took a tenth of the time that a process takes to import the server.
    """

    __slots__ = ("_compiled", "_statement")

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self._compiled: tuple[str, tuple[str, ...]] | None = None

    @property
    def sql(self) -> str:
        """What the database is asked."""
        return (self._compiled or self._compile())[0]

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        """The values in the order of their places. Raises KeyError for one that is missing, or that has no place."""
        names = (self._compiled or self._compile())[1]
        if len(values) != len(names):
            raise KeyError(*set(names).symmetric_difference(values))
        return [values[name] for name in names]

    def _compile(self) -> tuple[str, tuple[str, ...]]:
        compiled: Any = self._statement.compile(dialect=_DIALECT)
        self._compiled = made = compiled.string, tuple(compiled.positiontup)
        del self._statement  # it is as large as many of them
        return made


class HotStatement(Statement):
    """A read that sets its tenant and is under its row security in one round trip, without a transaction around it.

    The two OFFSET 0 keep the planner from pulling the sub-selects up, so that the setting is made before a row is read.
    """

    __slots__ = ()

    def __init__(self, statement: Select[Any]) -> None:
        tenant = func.set_config("app.tenant_id", bindparam(_TENANT, type_=Text), true())
        setting = select(tenant.label("tenant")).offset(0).subquery("setting")
        rows = statement.where(setting.c.tenant.is_not(None)).offset(0).lateral("rows")
        super().__init__(select(rows).select_from(setting.join(rows, true())))

    def arguments_of(self, tenant_id: UUID, values: Mapping[str, Any]) -> list[Any]:
        """The values in the order of their places, the tenant in its own."""
        return self.arguments({**values, _TENANT: str(tenant_id)})
