"""Makes `docs/schema.md` from the tables in the code; `--check` only says whether it is fresh."""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Index, Table, UniqueConstraint
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex

import server
from server.db.rules import all_rules

PAGE = Path(__file__).parent.parent / "docs" / "schema.md"

_HEAD = """\
# Schema

<!-- Made from server/*/tables.py by `make docs`. -->

A **tenant table** is under row security: a transaction sees and writes the rows of the one tenant that it is set to,
and without one none. Its keys, and the foreign keys between such tables, begin with `tenant_id`, so that no row can
refer to another tenant's. A **global table** belongs to no tenant.

Ids are version 7 UUIDs. They begin with their time, so their order is the order of making, and lists go by them; a
table **divided by months** has a partition for each, which is a range of ids (`audit_logs_2030_01`). `updated_at` is
kept by a trigger. `revision`, the API's etag, is raised by another one, where one of the columns named with it changes.
Of a table with `deleted_at` a view shows the live rows. Everything belongs to `atrium_owner`; what `atrium_app`, the
role that serves, may do is told with each table.
"""

_DIALECT: Any = postgresql.dialect()  # type: ignore[no-untyped-call]


def slices() -> dict[str, list[Table]]:
    """The tables of each slice, by its name, in the order in which they stand in its `tables.py`."""
    found = {}
    for module in pkgutil.iter_modules(server.__path__):
        if any(Path(path, module.name, "tables.py").exists() for path in server.__path__):
            tables = vars(import_module(f"server.{module.name}.tables")).values()
            found[module.name] = [table for table in tables if isinstance(table, Table)]
    return found


def page() -> str:
    """The page as the tables make it now."""
    found = slices()
    lines = [
        _HEAD,
        "## Diagram\n",
        "The keys, and what they refer to. Every tenant table refers to `tenants` as well.\n",
    ]
    lines += ["```mermaid", "erDiagram", *_diagram(table for tables in found.values() for table in tables), "```\n"]
    for name, tables in found.items():
        lines += [f"## {name.capitalize()}\n", f"{(import_module(f'server.{name}').__doc__ or '').strip()}\n"]
        for table in tables:
            lines += _section(table)
    return "\n".join(lines).rstrip() + "\n"


def _diagram(tables: Iterable[Table]) -> Iterator[str]:
    for table in tables:
        yield f"    {table.name} {{"
        for column in table.columns:
            marks = ["PK"] * column.primary_key + ["FK"] * bool(column.foreign_keys)
            if marks:
                kind = column.type.compile(dialect=_DIALECT).lower().partition("(")[0].replace(" ", "_")
                yield f"        {kind} {column.name} {','.join(marks)}"
        yield "    }"
        for key in _references(table):
            columns = [column for column in key.columns if column.name != "tenant_id"]
            if columns:
                one = "|o" if any(column.nullable for column in columns) else "||"
                label = ", ".join(column.name for column in columns)
                yield f'    {key.referred_table.name} {one}--o{{ {table.name} : "{label}"'


def _section(table: Table) -> Iterator[str]:
    yield f"### {table.name}\n"
    yield f"{table.comment} {_kind(table)}\n"
    yield "| column | type | default | meaning |\n| --- | --- | --- | --- |"
    for column in table.columns:
        kind = f"`{column.type.compile(dialect=_DIALECT)}`" + (" or NULL" if column.nullable else "")
        yield f"| `{column.name}` | {kind} | {_default(column)} | {column.comment} |"
    yield ""
    yield f"- key: `({', '.join(column.name for column in table.primary_key)})`"
    for unique in _sorted(table, UniqueConstraint):
        yield f"- unique, `{unique.name}`: `({', '.join(column.name for column in unique.columns)})`"
    for key in _references(table):
        columns, target = ", ".join(key.column_keys), key.referred_table.name
        yield f"- refers to `{target}`, `{key.name}`: `({columns})`" + (
            f", ON DELETE {key.ondelete}" if key.ondelete else ""
        )
    for check in _sorted(table, CheckConstraint):
        yield f"- check, `{check.name}`: `{check.sqltext}`"
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        kind = "unique" if index.unique else "index"
        serves = index.info.get("serves")
        yield f"- {kind}, `{index.name}`: `{_keys(index)}`" + (f", for {serves}" if serves else "")
    if table.info["revised"]:
        yield f"- `revision` is raised by: {', '.join(f'`{name}`' for name in table.info['revised'])}"
    grant = all_rules(table)[-1].removeprefix("GRANT ").partition(" ON ")[0]
    yield f"- `atrium_app`: {grant}\n"


def _kind(table: Table) -> str:
    words = ["Tenant table" if table.info["scope"] == "tenant" else "Global table"]
    if table.info["scope"] == "root":
        words = ["Global table, under row security by its `id`"]
    if table.dialect_options["postgresql"]["partition_by"]:
        words.append("divided by months")
    if "deleted_at" in table.columns:
        words.append(f"live rows in `active_{table.name}`")
    return f"*{', '.join(words)}.*"


def _default(column: Column[Any]) -> str:
    if column.computed is not None:
        return f"always `{column.computed.sqltext}`"
    if column.server_default is None:
        return ""
    argument: Any = column.server_default.arg  # type: ignore[attr-defined]
    return f"`{argument}`"


def _references(table: Table) -> list[ForeignKeyConstraint]:
    return _sorted(table, ForeignKeyConstraint)


def _sorted(table: Table, kind: type[Any]) -> list[Any]:
    """A table keeps its constraints in a set: here they are in the order of their names."""
    return sorted((found for found in table.constraints if type(found) is kind), key=lambda found: str(found.name))


def _keys(index: Index) -> str:
    text = str(CreateIndex(index).compile(dialect=_DIALECT))
    return " ".join(text.partition(f" ON {index.table.name} ")[2].split())  # type: ignore[union-attr]


def main() -> None:
    if sys.argv[1:] == ["--check"]:
        if not PAGE.exists() or PAGE.read_text() != page():
            sys.exit("docs/schema.md is not what the tables make: run `make docs`")
        return
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
