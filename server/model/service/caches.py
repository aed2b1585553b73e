"""Answers and vectors that a tenant got before, and may get again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from uuid import UUID

import numpy as np
import structlog

from server.db.database import Database
from server.llm.port import ToolCall, ToolCallDelta, Vector
from server.model.chat import Delta
from server.model.domain import Model
from server.model.store import caches as store

_log = structlog.get_logger("atrium.caches")


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """An answer, and whose it was."""

    model_id: UUID
    text: str
    tool_calls: Sequence[ToolCall]
    finish_reason: str | None

    @property
    def delta(self) -> Delta:
        """All of it in one part."""
        calls = [ToolCallDelta(index, call.id, call.name, call.arguments) for index, call in enumerate(self.tool_calls)]
        return Delta(self.text, calls)


class Caches:
    """Keeps what calls asked to be kept, for one tenant each."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def answer(self, tenant_id: UUID, question: bytes, seconds: float) -> CachedAnswer | None:
        """The answer to a question, as it is hashed, that is no older than that."""
        found = await store.answer(self._database, tenant_id, question, seconds)
        if found is None:
            return None
        calls = [ToolCall(**call) for call in found["tool_calls"]]
        return CachedAnswer(UUID(found["model_id"]), found["text"], calls, found["finish_reason"])

    async def keep_answer(self, tenant_id: UUID, question: bytes, answer: CachedAnswer, seconds: float) -> None:
        """Keeps it if it can: an answer that was got is good, whatever becomes of its copy."""
        values = {**asdict(answer), "model_id": str(answer.model_id)}
        with _not_vital("answer", tenant_id):
            async with self._database.tenant_tx(tenant_id) as tx:
                await store.keep_answer(tx, question, values, seconds)

    async def vectors(self, tenant_id: UUID, model: Model, texts: Sequence[str], seconds: float) -> dict[str, Vector]:
        """Those that are kept and no older than that, by their texts."""
        hashes = {_hash(model, text): text for text in texts}
        async with self._database.tenant_tx(tenant_id) as tx:
            found = await store.vectors(tx, model.id, list(hashes), seconds)
        return {hashes[name]: np.frombuffer(vector, "<f4") for name, vector in found.items()}

    async def keep_vectors(self, tenant_id: UUID, model: Model, found: Mapping[str, Vector], seconds: float) -> None:
        """The same of vectors."""
        packed = {_hash(model, text): vector.tobytes() for text, vector in found.items()}
        with _not_vital("vectors", tenant_id):
            async with self._database.tenant_tx(tenant_id) as tx:
                await store.keep_vectors(tx, model.id, packed, seconds)


@contextmanager
def _not_vital(what: str, tenant_id: UUID) -> Iterator[None]:
    try:
        yield
    except Exception:  # noqa: BLE001 - whatever it is, the call that it was for has succeeded
        _log.warning("not kept to be given again", what=what, tenant_id=tenant_id, exc_info=True)


def _hash(model: Model, text: str) -> bytes:
    """A model that was changed gives other vectors."""
    return hashlib.sha256(f"{model.revision}\0{text}".encode()).digest()
