"""How statements are compiled."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

import pytest
from sqlalchemy import Boolean, Column, MetaData, String, Table, Uuid, bindparam, func, insert, select, update

from server.db.statements import HotStatement, Statement

THINGS = Table(
    "things", MetaData(), Column("id", Uuid, primary_key=True), Column("name", String), Column("live", Boolean)
)
TENANT = UUID("01890a5d-ac96-774b-bcce-b302099a8057")


def test_values_go_into_the_places_of_their_names() -> None:
    statement = Statement(update(THINGS).where(THINGS.c.id == bindparam("which")).values(name=bindparam("name")))

    assert statement.arguments({"which": 1, "name": 2}) == [2, 1]
    assert "name=$1" in statement.sql
    assert "id = $2" in statement.sql


def test_a_name_that_stands_twice_has_one_place() -> None:
    name = func.lower(bindparam("name"))
    statement = Statement(select(THINGS.c.id).where((THINGS.c.name == name) | (THINGS.c.name == name + "s")))

    assert statement.arguments({"name": "a"}) == ["a"]


@pytest.mark.parametrize(
    "values", [{}, {"which": 1}, {"name": 1}, {"which": 1, "name": 2, "live": 3}, {"which": 1, "live": 3}]
)
def test_a_missing_value_and_one_without_a_place_are_mistakes(values: Mapping[str, object]) -> None:
    statement = Statement(update(THINGS).where(THINGS.c.id == bindparam("which")).values(name=bindparam("name")))

    with pytest.raises(KeyError):
        statement.arguments(values)


@pytest.mark.parametrize(
    ("constant", "literal"),
    [("it's", "'it''s'"), ("back\\slash", "'back\\slash'"), ("100 %", "'100 %'"), ("$1", "'$1'"), ("中文", "'中文'")],
)
def test_a_constant_stands_in_the_sql(constant: str, literal: str) -> None:
    statement = Statement(select(THINGS.c.id).where(THINGS.c.name == constant).limit(1))

    assert statement.arguments({}) == []
    assert f"name = {literal}" in statement.sql
    assert "LIMIT 1" in statement.sql


def test_a_constant_null_stands_in_the_sql() -> None:
    statement = Statement(insert(THINGS).values(id=bindparam("id"), name=None, live=True))

    assert statement.arguments({"id": 1}) == [1]
    assert "NULL, true" in statement.sql


def test_a_hot_read_sets_its_tenant_before_a_row_is_read() -> None:
    statement = HotStatement(select(THINGS.c.name).where(THINGS.c.id == bindparam("which")))

    tenant, which = (statement.sql.index(f"${place}") for place in (1, 2))
    assert statement.arguments_of(TENANT, {"which": 7}) == [str(TENANT), 7]
    assert statement.sql.index("set_config('app.tenant_id', $1") < tenant + 1 < statement.sql.index("LATERAL") < which
    assert statement.sql.count("OFFSET 0") == 2
