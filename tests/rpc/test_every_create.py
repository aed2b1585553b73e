"""That nothing is made twice: every method that makes something takes an idempotency key."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from tests.factories.world import refused
from tests.rpc.changes import CHANGES
from tests.rpc.changes.rows import changes_between, rows_at_rest
from tests.rpc.changes.stage import Stage
from tests.rpc.methods import IDENTITY, KNOWLEDGE, METHODS, MODEL, WORKFLOW

KEYED = sorted(path for path, method in METHODS.items() if "idempotency_key" in method.input_type.fields_by_name)
CALLS = {MODEL + "Chat", MODEL + "Embed"}
"""Calls of models, which tests of their own repeat."""

_SPENDS = {
    *CALLS,
    *(KNOWLEDGE + method for method in ("IngestText", "StartUpload", "RetryDocument")),
    *(KNOWLEDGE + method for method in ("IngestUrl", "ReindexKnowledgeBase", "RollbackReindex")),
    *(WORKFLOW + method for method in ("ExecuteWorkflow", "ReplayExecution", "CompleteTask")),
    MODEL + "SetModelPrice",
    MODEL + "SetTenantModelPrice",
    IDENTITY + "RotateApiKey",
}


def test_every_method_that_makes_or_spends_something_takes_a_key() -> None:
    creates = {path for path in METHODS if path.rpartition("/")[2].startswith("Create")}

    assert set(KEYED) == creates | _SPENDS


@pytest.mark.parametrize("path", sorted(set(KEYED) - CALLS))
async def test_a_repeat_gets_the_first_answer_and_makes_nothing(stage: Stage, admin: Any, path: str) -> None:
    attempt = await CHANGES[path](stage)
    assert attempt.by is not None
    call, request = stage.world.method(path), _keyed(attempt.request)
    first = await call(request, metadata=attempt.by.metadata)
    before = await rows_at_rest(admin)
    told = len(before["audit_logs"])

    second = await call(request, metadata=attempt.by.metadata)
    other = await refused(call(_keyed(attempt.refused), metadata=attempt.by.metadata))

    after = await rows_at_rest(admin)
    assert _without_secret(first) == _without_secret(second)
    assert (other.code, other.reason) == (grpc.StatusCode.ABORTED, "IDEMPOTENCY_KEY_REUSED")
    assert changes_between(before, after) == {}
    assert len(after["audit_logs"]) == told


def _keyed(request: Message) -> Any:
    made: Any = type(request)()
    made.CopyFrom(request)
    made.idempotency_key = "key"
    return made


def _without_secret(answer: Message) -> Message:
    """A secret is shown once: the repeat says that it is not there."""
    if "secret" in answer.DESCRIPTOR.fields_by_name:
        answer.ClearField("secret")
        answer.ClearField("secret_withheld")
    return answer
