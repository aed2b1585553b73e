"""Documents that are processed anew, while others may be at it."""

from __future__ import annotations

from typing import Any

import grpc

from atrium.knowledge.v1 import document_pb2 as documents
from tests.factories.knowledge import ingest, make_base
from tests.factories.world import refused
from tests.rpc.changes.stage import Stage


async def test_a_document_whose_job_was_put_aside_can_be_tried_again(stage: Stage, admin: Any) -> None:
    base_id = await make_base(stage.world, stage.owner)
    await stage.hold(stage.owner.tenant_id)
    made = await ingest(stage.world, stage.owner, base_id, "Hello")
    retry = documents.RetryDocumentRequest(id=made.id)

    refusal = await refused(stage.world.knowledge.RetryDocument(retry, metadata=stage.owner.metadata))
    await admin.execute("UPDATE tenant_jobs SET status = 'aside'")
    again = await stage.world.knowledge.RetryDocument(retry, metadata=stage.owner.metadata)

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "DOCUMENT_BUSY")
    assert again.document.state == documents.Document.STATE_PENDING
    assert await admin.fetchval("SELECT count(*) FROM tenant_jobs WHERE status = 'ready'") == 1
