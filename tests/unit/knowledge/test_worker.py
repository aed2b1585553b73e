"""Documents read in processes of their own: the pieces, the refusals, and what would do harm."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from server.knowledge.errors import DocumentEncrypted, DocumentTooHeavy
from server.knowledge.parsing.types import MARKDOWN, PDF
from server.knowledge.work import document_workers
from server.knowledge.worker import Metadata, split
from server.offload.workers import Workers
from tests.unit.knowledge import documents

ADA = UUID(int=1)


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    running = document_workers(parallel=1, memory=512 << 20)
    yield running
    await running.close()


async def test_a_document_is_cut_elsewhere_as_it_is_here(workers: Workers) -> None:
    arguments = (documents.MARKDOWN.encode(), MARKDOWN, 100, 10)

    metadata, pieces = await workers.run(ADA, split, *arguments)

    assert metadata == Metadata("On horns", "Ada L", None, pieces[-1].piece.end_offset)
    assert [one.piece.heading for one in pieces] == [("Horns and more",), ("Horns and more", "Code")]
    assert (metadata, pieces) == split(*arguments)


async def test_a_refusal_is_told_as_it_is(workers: Workers) -> None:
    with pytest.raises(DocumentEncrypted):
        await workers.run(ADA, split, documents.pdf(documents.writes("a"), password="horns"), PDF, 100, 10)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded on Linux")
async def test_a_document_that_would_take_all_memory_is_refused_and_harms_no_other(workers: Workers) -> None:
    with pytest.raises(DocumentTooHeavy):
        await workers.run(ADA, split, documents.endless_form(), PDF, 100, 10)

    metadata, _ = await workers.run(ADA, split, documents.pdf(documents.writes("a")), PDF, 100, 10)
    assert metadata.pages == 1
