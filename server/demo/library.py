"""The chapter on knowledge: a document that is read, found and asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.text import Text

from atrium.knowledge.v1 import document_pb2, knowledge_base_pb2, search_pb2
from server.demo.stage import Session, Stage, hold

_HANDBOOK = """\
# Northwind's handbook

## Leave

Everybody has twenty-eight days of paid leave a year. Ask your lead two weeks before, and write it into the calendar.

## Travel

Trains are booked in second class, and hotels up to 120 euros a night. Receipts go to the bursar within thirty days.

## Laptops

A laptop is replaced after four years. One that is lost or stolen is reported to the help desk at once, at any hour: the
number is on the back of your badge.
"""
_QUESTION = "What do I do when my laptop is stolen?"
_INSTRUCTIONS = "You answer questions with what the source says, in its words."


@dataclass(frozen=True, slots=True)
class Shelf:
    """A base, and the document in it."""

    base_id: str
    document_id: str


class Library:
    """A tenant's documents."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._out, self._knowledge = stage.out, stage.knowledge

    async def chapter(self, session: Session) -> Shelf:
        """Leaves the document deleted."""
        self._stage.chapter("A document is read, and questions are answered from it")
        who = {"metadata": session.metadata}
        made = await self._knowledge.CreateKnowledgeBase(
            knowledge_base_pb2.CreateKnowledgeBaseRequest(
                name="handbooks", embedding_model="local-embedding", chunk_size=48, chunk_overlap=0, search_top_k=1
            ),
            **who,
        )
        base_id = made.knowledge_base.id
        document_id = await self._upload(session, base_id)
        async for event in self._knowledge.WatchIngestion(
            document_pb2.WatchIngestionRequest(document_ids=[document_id]), **who
        ):
            if event.HasField("document"):
                document = event.document
        state = document_pb2.Document.State.Name(document.state).removeprefix("STATE_").lower()
        self._out.print(f"  {document.title} ({document.media_type}) is {state}, in {document.chunk_count} chunks")
        query = search_pb2.SearchQuery(knowledge_base_ids=[base_id], query=_QUESTION, top_k=2)
        found = await self._knowledge.Search(search_pb2.SearchRequest(query=query), **who)
        self._out.print(f"  {_QUESTION}", style="bold")
        for result in found.results:
            self._out.print(f"  {result.score:.2f}  {result.heading}")
        hold(found.results[0].heading.endswith("Laptops"), "the right part of the document is found first")
        query.top_k = 1  # the local model is a small one, and wants short words
        ask = search_pb2.AskRequest(
            query=query, model="local-chat", instructions=_INSTRUCTIONS, max_tokens=40, temperature=0
        )
        self._out.print("  ", end="")
        async for part in self._knowledge.Ask(ask, **who):
            if part.HasField("delta"):
                self._out.print(Text(part.delta.text.replace("\n", " ")), end="")
        self._out.print()
        hold(part.HasField("ended") and not part.ended.error_reason, "the answer has an end")
        await self._knowledge.DeleteDocument(document_pb2.DeleteDocumentRequest(id=document_id), **who)
        gone = await self._knowledge.Search(search_pb2.SearchRequest(query=query), **who)
        hold(not gone.results, "nothing is found of what was deleted")
        self._out.print("  deleted, nothing is found of it")
        return Shelf(base_id, document_id)

    async def _upload(self, session: Session, base_id: str) -> str:
        data, who = _HANDBOOK.encode(), {"metadata": session.metadata}
        start = document_pb2.StartUploadRequest(
            knowledge_base_id=base_id, info={"file_name": "handbook.md"}, size=len(data)
        )
        upload_id = (await self._knowledge.StartUpload(start, **who)).upload.id

        def sent() -> Iterator[document_pb2.UploadDocumentRequest]:
            yield document_pb2.UploadDocumentRequest(place={"upload_id": upload_id})
            yield document_pb2.UploadDocumentRequest(data=data)

        return str((await self._knowledge.UploadDocument(sent(), **who)).document.id)
