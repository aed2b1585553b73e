"""`atrium migrate` and `atrium partitions`: what an operator types to bring a database of their own to the schema."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from server.db.revision import SCHEMA_REVISION
from tests.databases import Cluster, Scratch
from tests.processes import command, sentence_of


@pytest.fixture
async def empty(postgres: Cluster) -> AsyncIterator[Scratch]:
    async with postgres.empty() as made:
        yield made


async def _said(scratch: Scratch, *words: str) -> str:
    """What the command says on standard output, in words."""
    ended = await command({"ATRIUM_ADMIN_DATABASE_URL": scratch.admin_url}, *words)
    assert ended.exit_code == 0, ended.output
    return " ".join(ended.stdout.split())


async def test_a_database_is_brought_up_looked_at_and_brought_down_again(empty: Scratch) -> None:
    await _said(empty, "migrate", "bootstrap")
    before = await _said(empty, "migrate", "status")
    part = await _said(empty, "migrate", "up", "0003")
    whole = await _said(empty, "migrate", "up")
    down = await _said(empty, "migrate", "down", "0002")
    nothing = await _said(empty, "migrate", "down", "base")

    needed = f"this version needs {SCHEMA_REVISION}."
    assert before == f"The database has nothing; {needed}"
    assert part == f"The database has 0003; {needed}"
    assert whole == f"The database has {SCHEMA_REVISION}; {needed}"
    assert down == f"The database has 0002; {needed}"
    assert nothing == f"The database has nothing; {needed}"


async def test_a_revision_that_is_not_there_is_refused_with_a_sentence(scratch: Scratch, admin: Any) -> None:
    for words in (("up", "9999"), ("down", "9999")):
        ended = await command({"ATRIUM_ADMIN_DATABASE_URL": scratch.admin_url}, "migrate", *words)

        assert ended.exit_code == 1, words
        assert sentence_of(ended.stderr.splitlines()).startswith("There is no such way for the schema: ")
    assert await admin.fetchval("SELECT version_num FROM alembic_version") == SCHEMA_REVISION


async def test_a_schema_that_a_newer_version_made_is_left_as_it_is(scratch: Scratch, admin: Any) -> None:
    await admin.execute("UPDATE alembic_version SET version_num = '9999'")

    said = await _said(scratch, "migrate", "up")
    back = await command({"ATRIUM_ADMIN_DATABASE_URL": scratch.admin_url}, "migrate", "down", "0001")

    assert said == f"The database has 9999; this version needs {SCHEMA_REVISION}."
    assert back.exit_code == 1
    assert "the version that made it goes back" in sentence_of(back.stderr.splitlines())


async def test_past_months_are_made_for_an_import(scratch: Scratch, admin: Any) -> None:
    said = await _said(scratch, "partitions", "ensure", "--from", "2020-11", "--to", "2021-01")

    assert said == "Every month from 2020-11 to 2021-01 is there."
    for month in ("2020_11", "2020_12", "2021_01"):
        assert await admin.fetchval("SELECT to_regclass($1) IS NOT NULL", f"audit_logs_{month}")


@pytest.mark.parametrize(
    "words",
    [
        ("migrate", "bootstrap"),
        ("migrate", "up"),
        ("migrate", "down", "base"),
        ("migrate", "status"),
        ("partitions", "ensure", "--from", "2020-01", "--to", "2020-02"),
    ],
    ids=" ".join,
)
async def test_each_says_that_it_needs_the_owner(words: tuple[str, ...]) -> None:
    ended = await command({}, *words)

    assert ended.exit_code == 1
    assert ended.stderr.startswith("atrium: ATRIUM_ADMIN_DATABASE_URL: is needed for this")


@pytest.mark.parametrize(
    "months", [("x", "2020-01"), ("2020-02", "2020-01"), ("1969-12", "1970-01"), ("2020-01", "9999-12")]
)
async def test_months_that_are_none_are_refused(scratch: Scratch, months: tuple[str, str]) -> None:
    first, last = months
    variables = {"ATRIUM_ADMIN_DATABASE_URL": scratch.admin_url}

    ended = await command(variables, "partitions", "ensure", "--from", first, "--to", last)

    assert ended.exit_code == 2
