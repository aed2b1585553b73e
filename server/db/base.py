"""What every table has in common: names of constraints, columns that recur, and what is known of each table."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ColumnElement,
    DateTime,
    ForeignKeyConstraint,
    Index,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    String,
    Table,
    Uuid,
    literal_column,
    text,
)
from sqlalchemy.schema import SchemaItem

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

MOMENT = DateTime(timezone=True)
USD = Numeric(18, 9)

LIVE = "deleted_at IS NULL"
DELETED = "deleted_at IS NOT NULL"

NOW = text("now()")
NEW_ID = text("atrium_uuid7()")


def tenant_id() -> Column[Any]:
    return Column("tenant_id", Uuid, nullable=False, comment="The tenant whose row it is.")


def id_() -> Column[Any]:
    comment = "A version 7 UUID: its order is the order of making."
    return Column("id", Uuid, nullable=False, server_default=NEW_ID, comment=comment)


def created_at() -> Column[Any]:
    return Column("created_at", MOMENT, nullable=False, server_default=NOW, comment="When it was made.")


def timestamps() -> list[Column[Any]]:
    return [
        created_at(),
        Column("updated_at", MOMENT, nullable=False, server_default=NOW, comment="When it last changed; a trigger's."),
    ]


def revision() -> Column[Any]:
    comment = "Rises with every change that the API can make; its etag."
    return Column("revision", BigInteger, nullable=False, server_default=text("1"), comment=comment)


def soft_delete() -> list[Column[Any]]:
    return [
        Column("deleted_at", MOMENT, comment="When it was deleted; NULL: it is live."),
        Column("deleted_by", String(100), comment="Who deleted it."),
    ]


def one_of(column: str, *values: str) -> CheckConstraint:
    """The column holds one of these words."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def tenant_key(*columns: str) -> PrimaryKeyConstraint:
    return PrimaryKeyConstraint("tenant_id", *(columns or ("id",)))


def belongs_to_tenant() -> ForeignKeyConstraint:
    """Every tenant table's rows go with their tenant, whose purge removes them before it."""
    return ForeignKeyConstraint(["tenant_id"], ["tenants.id"])


def part_of(column: str, table: str) -> ForeignKeyConstraint:
    """A part of a whole in the same tenant: it goes when the whole goes."""
    return ForeignKeyConstraint(["tenant_id", column], [f"{table}.tenant_id", f"{table}.id"], ondelete="CASCADE")


def index(name: str, *columns: str, serves: str, where: str | None = None) -> Index:
    """An index, and the query that it is there for. A column may name its order: "id DESC"."""
    keys = [text(column) if " " in column else column for column in columns]
    condition = None if where is None else text(where)
    return Index(name, *keys, postgresql_where=condition, info={"serves": serves})


def by_moment(name: str, moment: str, serves: str) -> Index:
    """An index by a moment that every row has, for the statements alone that state what holds of each: `old`'s.

    PostgreSQL does not know that it holds. To a planner whose statistics know of few rows of a tenant, all of them by
    an index that begins with the tenant look as cheap as one by its key: so it is to see none beside the key.
    """
    return index(name, "tenant_id", moment, where=f"{moment} >= '-infinity'", serves=serves)


def old(moment: ColumnElement[Any], before: ColumnElement[Any]) -> ColumnElement[bool]:
    """The condition that the moment is before that one, which an index made with `by_moment` serves."""
    return (moment < before) & (moment >= literal_column("'-infinity'"))


def among(deleted_at: Column[Any], deleted: str) -> list[ColumnElement[bool]]:
    """The condition that a read looks at live rows ("exclude"), at deleted ones ("only") or at all ("include")."""
    match deleted:
        case "exclude":
            return [deleted_at.is_(None)]
        case "only":
            return [deleted_at.is_not(None)]
    return []


def live_unique(name: str, *columns: str) -> Index:
    """What is unique among the live rows of a tenant: a deleted row's value can be taken again."""
    return Index(name, "tenant_id", *columns, unique=True, postgresql_where=text("deleted_at IS NULL"))


def live_list(table: str) -> list[Index]:
    """The indexes of a tenant table with soft delete: live rows newest first, and deleted ones by when."""
    return [
        index(f"ix_{table}_live", "tenant_id", "id DESC", where=LIVE, serves="its list, newest first"),
        index(
            f"ix_{table}_deleted",
            "tenant_id",
            "deleted_at",
            where=DELETED,
            serves="the purge, and the list of deleted rows",
        ),
    ]


def tenant_table(
    name: str,
    *items: SchemaItem,
    comment: str,
    revised: tuple[str, ...] = (),
    counted: tuple[str, ...] = (),
    dated: tuple[str, ...] = (),
    **options: Any,
) -> Table:
    """A table under row security. `revised`: the columns whose change raises the revision; `counted`: those whose
    change is none of the row, which is not touched by it; `dated`: those of a price, whose changes a table of their own
    dates.
    """
    info = {"scope": "tenant", "revised": revised, "counted": counted, "dated": dated}
    return Table(name, metadata, tenant_id(), *items, comment=comment, info=info, **options)


def global_table(
    name: str, *items: SchemaItem, comment: str, revised: tuple[str, ...] = (), scope: str = "global", **options: Any
) -> Table:
    """A table that belongs to no tenant. `scope`: "root" for the one that is the tenants themselves."""
    return Table(name, metadata, *items, comment=comment, info={"scope": scope, "revised": revised}, **options)
