"""Nothing of ours outlives a transaction on a pooled connection: that is why no release has to reset one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import server

ROOT = Path(server.__path__[0])
# Each of these has a connection of its own, which is closed after its use.
OWN_CONNECTION = {"db/bootstrap.py", "db/listener.py", "db/migrate.py", "db/owner.py", "db/partitions.py"}
LASTING = re.compile(
    r"""
      (^|;)\s*SET\s+(?!LOCAL\b|TRANSACTION\b|CONSTRAINTS\b)\w   # of the session; an UPDATE has its SET further on
    | \bset_config\s*\([^()]*(\([^()]*\)[^()]*)*,\s*false\s*\)
    | \bpg_(try_)?advisory_lock(_shared)?\b                     # held until the session ends; _xact_ is not
    | \bCREATE\s+(LOCAL\s+|GLOBAL\s+)?TEMP(ORARY)?\b
    | (^|;)\s*(LISTEN|UNLISTEN|PREPARE|LOAD)\s+\w
    | \bWITH\s+HOLD\b
    """,
    re.IGNORECASE | re.VERBOSE,
)


def _texts(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Constant(value=str() as text):
                yield text
            case ast.Attribute(attr=name):  # func.pg_advisory_lock
                yield name


SOURCES = [path for path in sorted(ROOT.rglob("*.py")) if path.relative_to(ROOT).as_posix() not in OWN_CONNECTION]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_sets_nothing_for_the_session(path: Path) -> None:
    assert [text for text in _texts(path) if LASTING.search(text)] == []


def test_sql_beside_the_modules_sets_nothing_for_the_session() -> None:
    assert [path for path in ROOT.rglob("*.sql") if LASTING.search(path.read_text())] == []


@pytest.mark.parametrize(
    "text",
    [
        "SET app.tenant_id = 'x'",
        "BEGIN; SET ROLE atrium_owner",
        "set session characteristics as transaction read only",
        "SELECT set_config('app.tenant_id', $1, false)",
        "SELECT set_config('app.tenant_id', lower($1), false)",
        "SELECT pg_advisory_lock(1)",
        "SELECT pg_try_advisory_lock_shared(1)",
        "pg_advisory_lock",
        "CREATE TEMPORARY TABLE t (id int)",
        "LISTEN channel",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
        "PREPARE p AS SELECT 1",
    ],
)
def test_what_lasts_is_found(text: str) -> None:
    assert LASTING.search(text)


@pytest.mark.parametrize(
    "text",
    [
        "SET LOCAL app.tenant_id = 'x'",
        "SET CONSTRAINTS ALL DEFERRED",
        "UPDATE users SET name = 'x'",
        "SELECT set_config('app.tenant_id', $1, true)",
        "SELECT pg_advisory_xact_lock(1)",
        "pg_advisory_xact_lock",
    ],
)
def test_what_ends_with_the_transaction_is_not(text: str) -> None:
    assert not LASTING.search(text)
