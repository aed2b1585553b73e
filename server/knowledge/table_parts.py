"""What the slice's tables are made of alike."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Integer, text


def count(name: str, comment: str, kind: Any = Integer) -> Column[Any]:
    """How many there are of something."""
    return Column(name, kind, nullable=False, server_default=text("0"), comment=comment)


def at_least(least: int, *names: str) -> list[CheckConstraint]:
    """The columns are never less."""
    return [CheckConstraint(f"{name} >= {least}", name=name) for name in names]


def of_base(table: str) -> ForeignKeyConstraint:
    """What belongs to a document, and so to that document's base."""
    return ForeignKeyConstraint(
        ["tenant_id", "knowledge_base_id", "document_id"],
        [f"{table}.tenant_id", f"{table}.knowledge_base_id", f"{table}.id"],
        ondelete="CASCADE",
    )
