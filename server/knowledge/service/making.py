"""How the chunks of a document are made: its original is read, cut and embedded, for whoever asked for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

from pgvector import HalfVector

from server.db.database import Database
from server.jobs.backlog import TenantRun
from server.jobs.runs import Overtaken
from server.jobs.worker import Patience
from server.kernel.errors import DomainError, InvalidArgument, ResourceExhausted, Unavailable
from server.kernel.permissions import Permission
from server.kernel.principal import Call, Principal
from server.knowledge import worker
from server.knowledge.documents import PART_BYTES, Document, DocumentNotFound, EmbeddingsDiffer, NewChunk, Upload
from server.knowledge.generations import Generation
from server.knowledge.parsing.types import charset_of
from server.knowledge.ports import Embeddings, Offload, Tenants
from server.knowledge.store import blobs
from server.knowledge.vectors import unit

PATIENCE = Patience(most_failures=10)
"""An hour: a provider may be away, or the tenant's limits be reached for a while."""

_NOBODY = UUID(int=0)
_PIECES_AT_ONCE = 256
_CACHE_SECONDS = 86_400
"""For so long a document whose job is run again pays for no text twice."""

_UNFORESEEN = ("INTERNAL", "Something went wrong on the server.")


class ChunkMaker:
    """Makes chunks of documents, and holds no transaction meanwhile."""

    def __init__(self, database: Database, embeddings: Embeddings, offload: Offload) -> None:
        self._database = database
        self._embeddings = embeddings
        self._offload = offload

    async def pieces(
        self, document: Document, blob: Upload, made: Generation
    ) -> tuple[worker.Metadata, list[worker.Indexed]]:
        """The document, read and cut. `blob`: its original. Raises what is wrong with it."""
        data, charset = await self._original(document, blob), blob.described.charset
        return await self._offload.run(
            document.tenant_id,
            worker.split,
            data,
            document.file_mime_type,
            made.chunk_size,
            made.chunk_overlap,
            charset or charset_of(blob.described.media_type),
        )

    async def embedded(
        self, pieces: Sequence[worker.Indexed], made: Generation
    ) -> AsyncIterator[tuple[int, list[NewChunk]]]:
        """Batches of them with their vectors, and the place of the first of each. Raises EmbeddingsDiffer, and what is
        wrong with the call of the model.
        """
        for first in range(0, len(pieces), _PIECES_AT_ONCE):
            batch = pieces[first : first + _PIECES_AT_ONCE]
            vectors = await self._vectors(made, [one.piece.content for one in batch])
            yield first, [_new_chunk(made, one, vector) for one, vector in zip(batch, vectors, strict=True)]

    async def _vectors(self, made: Generation, texts: Sequence[str]) -> Sequence[Any]:
        """A vector for each text, or why there is none. In parts, where so many never fit into the tenant's limits."""
        try:
            return (await self._embeddings.embed(made.embedding_model, texts, _CACHE_SECONDS)).vectors
        except ResourceExhausted as error:
            if error.retry_after is not None or len(texts) == 1:
                raise
        middle = len(texts) // 2
        return [*await self._vectors(made, texts[:middle]), *await self._vectors(made, texts[middle:])]

    async def _original(self, document: Document, blob: Upload) -> bytes:
        """A part at a time, so that no transaction lasts as long as the whole takes."""
        read = bytearray()
        while len(read) < document.file_size:
            async with self._database.tenant_tx(document.tenant_id, read_only=True) as tx:
                part = await blobs.part(tx, blob.id, len(read) // PART_BYTES)
            if part is None:  # purged meanwhile
                raise DocumentNotFound(document.id)
            read += part
        return bytes(read)


async def attempt(
    run: TenantRun,
    tenants: Tenants,
    act: Callable[[], Awaitable[bool]],
    fail: Callable[[str, str], Awaitable[None]],
) -> bool:
    """Does it, or has it fail for good, and says what `act` does; False where it failed. Raises what may be gone later,
    while the job is tried again, and Overtaken.
    """
    waits = True  # for its tenant
    try:
        await tenants.enter(run.tenant_id)  # who is suspended spends nothing
        waits = False
        return await act()
    except DomainError as error:
        passing = waits or isinstance(error, Unavailable | ResourceExhausted)
        if passing and not run.is_last(PATIENCE):
            raise
        await fail(error.reason, error.message)
    except Overtaken:
        raise
    except Exception:
        if run.is_last(PATIENCE):  # the job is put aside, and nobody would go on with it
            await fail(*_UNFORESEEN)
        raise
    return False


def call_of(run: TenantRun, method: str, user_id: UUID | None, key_id: UUID | None) -> Call:
    """The call that asked for the job, as far as what is done for it goes on: models are called for its caller, or for
    nobody where they are gone for good.
    """
    caller = Principal(
        tenant_id=run.tenant_id,
        user_id=user_id or _NOBODY,
        session_id=None,
        permissions=frozenset({Permission.MODELS_EXECUTE}),
        api_key_id=key_id,
    )
    return Call(
        method=method,
        request_id=run.payload["request_id"],
        trace_id=run.payload["trace_id"],
        span_id=uuid4().hex[:16],
        principal=caller,
    )


def vector_of(made: Generation, vector: Any) -> HalfVector | None:
    """As the generation keeps it; None: it points nowhere. Raises EmbeddingsDiffer where others have another length."""
    if len(vector) != made.embedding_dimensions:
        raise EmbeddingsDiffer(made.embedding_model)
    return unit(vector)


def _new_chunk(made: Generation, one: worker.Indexed, vector: Any) -> NewChunk:
    """Raises EmbeddingsDiffer, and why there is no vector where that is not the text: it may be had later, or none can
    be had.
    """
    if isinstance(vector, DomainError) and not isinstance(vector, InvalidArgument):
        raise vector
    piece = one.piece
    return NewChunk(
        piece.content,
        piece.token_count,
        piece.start_offset,
        piece.end_offset,
        piece.page,
        " > ".join(piece.heading) or None,
        None if isinstance(vector, DomainError) else vector_of(made, vector),
        one.search_vector,
    )
