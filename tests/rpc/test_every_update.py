"""That nobody overwrites what they have not seen: every change of what is there takes the etag it was read with."""

from __future__ import annotations

import re
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from server.kernel.errors import etag_of
from tests.factories.world import refused
from tests.rpc.changes import CHANGES
from tests.rpc.changes.rows import Rows, changes_between, rows_at_rest
from tests.rpc.changes.stage import Attempt, Stage
from tests.rpc.methods import IDENTITY, METHODS, MODEL

WITHOUT = {
    MODEL + "SetModelPrice": "it adds a price, and there is one from a moment on alone",
    MODEL + "SetTenantModelPrice": "it adds a price, and there is one from a moment on alone",
    IDENTITY + "RotateApiKey": "nothing else changes a key, and what it replaces nobody can read",
}
"""Changes that take no etag, and why."""

ETAGS = sorted(path for path in CHANGES if "etag" in METHODS[path].input_type.fields_by_name)


def test_every_change_of_what_is_there_takes_an_etag() -> None:
    changing = re.compile("(Update|Set|Rotate|Delete|Remove|Move|Replace|(Archive|Activate)KnowledgeBase).*")
    changes = {path for path in METHODS if changing.fullmatch(path.rpartition("/")[2])}

    assert not WITHOUT.keys() & set(ETAGS)
    assert changes == {*ETAGS, *WITHOUT}


@pytest.mark.parametrize("path", ETAGS)
async def test_a_stale_etag_changes_nothing_and_the_present_one_does(stage: Stage, admin: Any, path: str) -> None:
    attempt = await CHANGES[path](stage)
    assert attempt.by is not None
    before = await rows_at_rest(admin)
    present = attempt.etag or etag_of(_revision(before, attempt))

    for stale in ("stale", etag_of(0)):
        request = _with(attempt.request, etag=stale)
        refusal = await refused(stage.world.method(path)(request, metadata=attempt.by.metadata))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
        assert changes_between(before, await rows_at_rest(admin)) == {}
    request = _with(attempt.request, etag=present)
    await stage.world.method(path)(request, metadata=attempt.by.metadata)

    assert changes_between(before, await rows_at_rest(admin)).keys() == {*attempt.tables, *attempt.beside}


def _with(request: Message, **fields: Any) -> Message:
    made = type(request)(**fields)
    made.MergeFrom(request)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def _revision(rows: Rows, attempt: Attempt) -> int:
    """That of the object which the attempt changes."""
    found = [
        row["revision"]
        for table in (*attempt.tables, *attempt.beside)
        for row in rows[table].values()
        if "revision" in row and attempt.target in (row.get("id", row.get("tenant_id")), f"user/{row.get('user_id')}")
    ]
    assert len(found) == 1, found
    return int(found[0])
