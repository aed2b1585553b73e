"""What the audit log says of every change there is, and of a new one as soon as it is there."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import grpc
import orjson
import pytest

from tests.factories.world import Person, refused
from tests.rpc.changes import CHANGES, NOTHING
from tests.rpc.changes.rows import changes_between, rows_at_rest
from tests.rpc.changes.stage import Attempt, Stage
from tests.rpc.methods import METHODS

TRACE, REQUEST = "ab" * 16, "my-request"

_UNTOLD = {
    "tenant_id": "the log is the tenant's",
    "id": "it is the entry's target",
    **dict.fromkeys(("created_at", "updated_at", "revision"), "kept by the database"),
    **dict.fromkeys(("username_key", "email_key", "likeness"), "made from others by the database"),
    "former_status": "what a restore gives back, and tells then",
    **dict.fromkeys(("login_attempts", "locked_until"), "what guesses are counted by"),
    **dict.fromkeys(("last_login_at", "last_login_ip"), "of the session, which is told"),
    **dict.fromkeys(("user_agent", "ip_address"), "the entry has columns for them"),
    **dict.fromkeys(("password_hash", "token_epoch", "refresh_hash", "secret_hash", "previous_hash"), "a secret's"),
    **dict.fromkeys(("ciphertext", "nonce", "key_id", "generation"), "a secret's"),
    "current_version_id": "told by its name",
    "replacement_model_id": "told by its name",
    "purge_started_at": "told by an entry of its own",
    **dict.fromkeys(("usage_count", "execution_count", "success_count", "failure_count"), "counted, not set"),
    "definition": "its version tells it",
    **dict.fromkeys(
        ("started_at", "deadline_at", "completed_at", "input", "output", "usage", "budget"), "an execution's"
    ),
    **dict.fromkeys(("user_id", "api_key_id", "request_id", "trace_id"), "the entry has columns for them"),
}
"""Columns that no entry tells of, and why."""

_TARGETS = {
    "model_limits": {"user_id", "api_key_id"},
    "model_prices": {"model_id"},
    "tenant_model_prices": {"model_id"},
}
"""Columns that the entry's target tells, by their table."""

_CALLED = {
    "input_cost_per_1k": "input_per_1k",
    "output_cost_per_1k": "output_per_1k",
    "cached_input_cost_per_1k": "cached_input_per_1k",
}
"""What columns are called in an entry, where that is not their own name."""


def _metadata(person: Person | None) -> tuple[tuple[str, str], ...]:
    credential = () if person is None else person.metadata
    return (*credential, ("traceparent", f"00-{TRACE}-{'cd' * 8}-01"), ("x-request-id", REQUEST))


async def _told(admin: Any, attempt: Attempt) -> list[dict[str, Any]]:
    """The entries of the action that say it was done, in this request."""
    rows = await admin.fetch(
        "SELECT * FROM audit_logs WHERE action = $1 AND status = 'success' AND request_id = $2 ORDER BY id",
        attempt.action,
        REQUEST,
    )
    return [dict(row) for row in rows]


def test_every_method_either_changes_nothing_or_has_a_change_that_is_tried() -> None:
    assert not CHANGES.keys() & NOTHING.keys()
    assert CHANGES.keys() | NOTHING.keys() == METHODS.keys()


@pytest.mark.parametrize("path", sorted(CHANGES))
async def test_a_change_is_told_in_full_or_not_made(stage: Stage, admin: Any, path: str) -> None:
    attempt = await CHANGES[path](stage)
    call = stage.world.method(path)

    await _a_refused_call_changes_and_tells_nothing(stage, admin, attempt, call)
    if not attempt.answered_first:
        await _what_cannot_be_told_is_not_done(admin, attempt, call)
    await _the_change_is_told(stage, admin, attempt, call)


async def _a_refused_call_changes_and_tells_nothing(stage: Stage, admin: Any, attempt: Attempt, call: Any) -> None:
    before = await rows_at_rest(admin)
    if attempt.refused != attempt.request or attempt.refused_by is not None:
        by = attempt.refused_by or attempt.by
        await refused(call(attempt.refused, metadata=_metadata(by)))
    else:  # nothing that is asked for can be refused but for who asks
        await refused(call(attempt.refused, metadata=(("x-request-id", REQUEST),)))

    assert changes_between(before, await rows_at_rest(admin)) == {}
    assert await _told(admin, attempt) == []


async def _what_cannot_be_told_is_not_done(admin: Any, attempt: Attempt, call: Any) -> None:
    before = await rows_at_rest(admin)
    await admin.execute("REVOKE INSERT ON audit_logs FROM atrium_app")

    refusal = await refused(call(attempt.request, metadata=_metadata(attempt.by)))

    await admin.execute("GRANT INSERT ON audit_logs TO atrium_app")
    assert refusal.code is grpc.StatusCode.INTERNAL
    assert changes_between(before, await rows_at_rest(admin)) == {}


async def _the_change_is_told(stage: Stage, admin: Any, attempt: Attempt, call: Any) -> None:
    before = await rows_at_rest(admin)
    await call(attempt.request, metadata=_metadata(attempt.by))
    if attempt.answered_first:
        await stage.box.next()
    changed = changes_between(before, await rows_at_rest(admin))

    (entry,) = await _told(admin, attempt)
    old, new = (orjson.loads(entry[name]) if entry[name] else {} for name in ("old_value", "new_value"))
    target = attempt.target or _made(changed[attempt.tables[0]])
    log = target if attempt.tenant_id == "of the answer" else attempt.log
    assert (str(entry["user_id"]), entry["actor_kind"]) == (attempt.actor.id, "user")
    assert (entry["resource_type"], entry["resource_id"], str(entry["tenant_id"])) == (attempt.kind, target, log)
    assert (entry["request_id"], entry["trace_id"], str(entry["ip_address"])) == (REQUEST, TRACE, "127.0.0.1")
    assert (entry["user_agent"] or "").startswith("grpc-python")
    assert changed.keys() == {*attempt.tables, *attempt.beside}
    problems = [
        problem
        for table in attempt.tables
        for was, now in changed[table]
        for problem in _untold(table, was, now, old, new)
    ]
    assert problems == []
    assert {name: told for name, told in attempt.old.items() if not _same(told, old.get(name))} == {}
    assert {name: told for name, told in attempt.new.items() if not _same(told, new.get(name))} == {}
    if attempt.secret:
        assert (old, new) == ({}, {})


def _made(rows: list[tuple[Any, Any]]) -> str:
    ((was, now),) = rows
    assert was is None
    return str(now["id"])


def _untold(
    table: str,
    was: Mapping[str, Any] | None,
    now: Mapping[str, Any] | None,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
) -> list[str]:
    """What of a row's change the entry does not tell: each column's value before, and after."""
    problems = []
    for column in (was or now or {}).keys() - _UNTOLD.keys() - _TARGETS.get(table, set()):
        former, present = ((row or {}).get(column) for row in (was, now))
        if former == present:
            continue
        name = _CALLED.get(column, column)
        if was is not None and (name not in old or not _same(former, old[name])):
            problems.append(f"old {name}: {former!r}, told {old.get(name, 'nothing')!r}")
        if now is not None and (name not in new or not _same(present, new[name])):
            problems.append(f"new {name}: {present!r}, told {new.get(name, 'nothing')!r}")
    return problems


def _same(stored: Any, told: Any) -> bool:
    """Whether both are one value, however a time or a number is written."""
    if stored == told or stored is None or told is None:
        return stored == told
    for read in (datetime.fromisoformat, Decimal):
        try:
            return bool(read(str(stored)) == read(str(told)))
        except (ValueError, InvalidOperation):
            continue
    return False
