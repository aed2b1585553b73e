"""Generations, and what those that are not searched have of documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from asyncpg import Record
from sqlalchemy import ARRAY, Integer, Uuid, any_, bindparam, case, delete, func, insert, literal, or_, select, update

from server.db.database import Tx
from server.db.queries import load
from server.db.statements import Statement
from server.knowledge.documents import Document
from server.knowledge.domain import KnowledgeBase
from server.knowledge.generations import KEPT_DAYS, Generation, Reindex
from server.knowledge.store import words
from server.knowledge.tables import knowledge_generations as generations

_QUERIES = load("server.knowledge.store", "generations.sql")

_MADE = ("embedding_model", "embedding_dimensions", "chunk_size", "chunk_overlap")
_COLUMNS = (
    generations.c.generation,
    *(generations.c[name] for name in _MADE),
    *(generations.c[name] for name in ("status", "rollback", "started_by", "started_with", "document_done")),
    *(generations.c[name] for name in ("document_total", "error_reason", "error_message", "started_at", "ended_at")),
    generations.c.kept_until,
)
_OF_BASE = generations.c.knowledge_base_id == bindparam("base_id")
_THIS = (_OF_BASE, generations.c.generation == bindparam("generation"))
_BUILDING = generations.c.status == "building"

_OF_BASES = Statement(
    select(generations.c.knowledge_base_id, *_COLUMNS).where(
        generations.c.knowledge_base_id == any_(bindparam("ids", type_=ARRAY(Uuid)))
    )
)
_LAST = Statement(select(func.max(generations.c.generation)).where(_OF_BASE))
_START = Statement(
    insert(generations)
    .values(
        **{name: bindparam(name) for name in ("tenant_id", "knowledge_base_id", "generation", *_MADE)},
        status="building",
        started_by=bindparam("started_by"),
        started_with=bindparam("started_with"),
        started_at=func.now(),
    )
    .returning(*_COLUMNS)
)
_RETURN = Statement(
    update(generations)
    .where(*_THIS)
    .values(
        status="building",
        rollback=True,
        started_by=bindparam("started_by"),
        started_with=bindparam("started_with"),
        started_at=func.now(),
        ended_at=None,
        error_reason=None,
        error_message=None,
    )
    .returning(*_COLUMNS)
)
_BEGIN = Statement(
    update(generations).where(*_THIS, _BUILDING).values(run_token=bindparam("run_token")).returning(*_COLUMNS)
)
_HOLD = Statement(
    select(generations.c.generation)
    .where(*_THIS, _BUILDING, generations.c.run_token == bindparam("run_token"))
    .with_for_update()
)
# One that was kept is kept on, as long as it was to be.
_END = Statement(
    update(generations)
    .where(_OF_BASE, _BUILDING)
    .values(
        status=case((generations.c.rollback, "kept"), else_="discarded"),
        run_token=None,
        ended_at=func.now(),
        error_reason=bindparam("error_reason"),
        error_message=bindparam("error_message"),
    )
    .returning(*_COLUMNS)
)
_KEEP = Statement(
    insert(generations)
    .values(
        **{name: bindparam(name) for name in ("tenant_id", "knowledge_base_id", "generation", *_MADE)},
        status="active",
    )
    .returning(*_COLUMNS)
)
_KNOWN = Statement(select(generations.c.generation).where(*_THIS))
_BECOME = Statement(
    update(generations)
    .where(*_THIS)
    .values(
        status=bindparam("status"),
        kept_until=func.now() + func.make_interval(0, 0, 0, bindparam("days", type_=Integer)),
        **{name: bindparam(name) for name in _MADE},
    )
)
_ENTER = Statement(
    update(generations)
    .where(*_THIS)
    .values(status="active", run_token=None, ended_at=func.now(), kept_until=None)
    .returning(*_COLUMNS)
)
_DISCARD_KEPT = Statement(
    update(generations).where(_OF_BASE, generations.c.status == "kept").values(status="discarded")
)
_WAITING = Statement(select(generations.c.knowledge_base_id, generations.c.generation).where(_BUILDING))
_EXPIRE = Statement(
    update(generations)
    .where(generations.c.status == "kept", generations.c.kept_until < func.now())
    .values(status="discarded")
)
_DISCARDED = Statement(
    select(generations.c.knowledge_base_id, generations.c.generation).where(
        generations.c.status == "discarded",
        or_(bindparam("base_id", type_=Uuid).is_(None), generations.c.knowledge_base_id == bindparam("base_id")),
    )
)
_FATES: dict[bool, dict[str, Any]] = {
    False: {"status": "kept", "days": KEPT_DAYS},
    True: {"status": "discarded", "days": None},
}
"""What becomes of the generation that was searched, on a way forth and on a way back."""

_later = generations.alias("later")
# The last that was asked for is left, to say how it ended.
_FORGET = Statement(
    delete(generations).where(
        *_THIS,
        generations.c.status == "discarded",
        or_(
            generations.c.started_at.is_(None),
            select(literal(1))
            .where(_later.c.knowledge_base_id == generations.c.knowledge_base_id)
            .where(_later.c.started_at > generations.c.started_at)
            .exists(),
        ),
    )
)
_FORGET_PERSON = Statement(
    update(generations)
    .where(generations.c.started_by == bindparam("user_id"))
    .values(started_by=None, started_with=None)
)


async def of_bases(tx: Tx, ids: Sequence[UUID]) -> dict[UUID, list[Reindex]]:
    """The generations of these bases; of one that was never reindexed there are none."""
    found: dict[UUID, list[Reindex]] = {}
    for row in await tx.fetch(_OF_BASES, ids=ids):
        base_id, *values = row
        found.setdefault(base_id, []).append(_reindex(values))
    return found


async def start(tx: Tx, base: KnowledgeBase, made: Generation, by: UUID, key_id: UUID | None) -> Reindex:
    """Asks for another generation of a base that is held, and of which none is built. `made`: of any number."""
    last = await tx.fetchval(_LAST, base_id=base.id) or 0
    number = max(last, base.active_generation) + 1
    values = {**_values(made), "generation": number, "started_by": by, "started_with": key_id}
    return _reindex(await tx.fetchone(_START, tenant_id=tx.tenant_id, knowledge_base_id=base.id, **values))


async def go_back(tx: Tx, base_id: UUID, number: int, by: UUID, key_id: UUID | None) -> Reindex:
    """Asks to go back to a generation that is kept, of a base that is held, and of which none is built."""
    given = {"base_id": base_id, "generation": number, "started_by": by, "started_with": key_id}
    return _reindex(await tx.fetchone(_RETURN, **given))


async def begin(tx: Tx, base_id: UUID, number: int, run_token: UUID) -> Reindex | None:
    """A run has begun: whoever was at it before is too late. None where it is not built any more."""
    row = await tx.fetchrow(_BEGIN, base_id=base_id, generation=number, run_token=run_token)
    if row is None:
        return None
    await tx.execute(_QUERIES["progress"], base_id=base_id, generation=number)
    return _reindex(row)


async def held(tx: Tx, base_id: UUID, number: int, run_token: UUID) -> bool:
    """Whether it is that run's to build; no other begins until the transaction ends."""
    return await tx.fetchrow(_HOLD, base_id=base_id, generation=number, run_token=run_token) is not None


async def stop(tx: Tx, base_id: UUID, reason: str | None = None, message: str | None = None) -> Reindex | None:
    """What is built of the base is not to be, for that reason or since it is called off; None where nothing was."""
    row = await tx.fetchrow(_END, base_id=base_id, error_reason=reason, error_message=message)
    return None if row is None else _reindex(row)


async def missing(tx: Tx, base_id: UUID, number: int, most: int) -> list[UUID]:
    """Documents that are to be in the generation and are not."""
    rows = await tx.fetch(_QUERIES["missing"], base_id=base_id, generation=number, most=most)
    return [row["id"] for row in rows]


async def switch(tx: Tx, base: KnowledgeBase, to: Reindex) -> None:
    """Has searches look at the generation, of a base that is held, and nothing of which is missing in it. The one
    before is kept, unless this is a way back; what was kept so far is not.
    """
    former = {"base_id": base.id, "generation": base.active_generation}
    if await tx.fetchrow(_KNOWN, **former) is None:
        await tx.execute(_KEEP, tenant_id=tx.tenant_id, knowledge_base_id=base.id, **_values(base.generation))
    await tx.execute(_DISCARD_KEPT, base_id=base.id)
    values = {name: value for name, value in _values(base.generation).items() if name != "generation"}
    await tx.execute(_BECOME, **former, **values, **_FATES[to.rollback])
    number = to.generation.number
    await tx.execute(_QUERIES["leave"], base_id=base.id, former=base.active_generation)
    await tx.execute(_QUERIES["enter"], base_id=base.id, generation=number)
    await tx.execute(_QUERIES["forget_builds"], base_id=base.id, generation=number)
    await tx.execute(_ENTER, base_id=base.id, generation=number)
    await tx.execute(_QUERIES["turn"], base_id=base.id, **_values(to.generation))


async def start_build(tx: Tx, base_id: UUID, number: int, document: Document) -> None:
    """The generation has something of the document's revision from now on, and not all of it yet."""
    values = {"document_id": document.id, "revision": document.active_revision}
    await tx.execute(_QUERIES["start_build"], tenant_id=tx.tenant_id, base_id=base_id, generation=number, **values)


async def end_build(tx: Tx, base_id: UUID, number: int, document_id: UUID, chunk_count: int) -> None:
    """It has all of it."""
    values = {"document_id": document_id, "chunk_count": chunk_count}
    await tx.execute(_QUERIES["end_build"], base_id=base_id, generation=number, **values)


async def halves(tx: Tx, base_id: UUID, number: int) -> list[UUID]:
    """The documents of which the generation has something, and not all."""
    return [row[0] for row in await tx.fetch(_QUERIES["halves"], base_id=base_id, generation=number)]


async def some(tx: Tx, base_id: UUID, number: int) -> list[UUID]:
    """Some of the documents of which a generation that is not searched has something."""
    return [row[0] for row in await tx.fetch(_QUERIES["some"], base_id=base_id, generation=number)]


async def drop_build(tx: Tx, base_id: UUID, number: int, document_id: UUID) -> None:
    """The generation has nothing of the document any more."""
    await tx.execute(_QUERIES["drop_build"], base_id=base_id, generation=number, document_id=document_id)


async def drop_builds(tx: Tx, document: Document) -> None:
    """The document has another revision: what generations have that are not searched is of no use."""
    await tx.execute(_QUERIES["drop_builds"], base_id=document.knowledge_base_id, document_id=document.id)


async def having(tx: Tx, document: Document) -> list[int]:
    """The generations that are not searched, and have all of the document as it is."""
    given = {"base_id": document.knowledge_base_id, "document_id": document.id, "revision": document.active_revision}
    return [row[0] for row in await tx.fetch(_QUERIES["built"], **given)]


async def waiting(tx: Tx) -> list[tuple[UUID, int]]:
    """What is to be built in the tenant: bases, and which of their generations."""
    return [tuple(row) for row in await tx.fetch(_WAITING)]


async def expire(tx: Tx) -> None:
    """Those whose time is over are kept no longer."""
    await tx.execute(_EXPIRE)


async def discarded(tx: Tx, base_id: UUID | None = None) -> list[tuple[UUID, int]]:
    """What is to be removed in the tenant, or of a base of it: bases, and which of their generations."""
    return [tuple(row) for row in await tx.fetch(_DISCARDED, base_id=base_id)]


async def forget(tx: Tx, base_id: UUID, number: int) -> None:
    """Nothing is left of the generation."""
    await words.drop_words(tx, base_id, number)
    await tx.execute(_FORGET, base_id=base_id, generation=number)


async def forget_person(tx: Tx, user_id: UUID) -> None:
    """Nobody asked for what they did."""
    await tx.execute(_FORGET_PERSON, user_id=user_id)


def _values(made: Generation) -> dict[str, Any]:
    values = asdict(made)
    return {"generation": values.pop("number"), **values}


def _reindex(row: Record | Sequence[Any]) -> Reindex:
    number, model, dimensions, size, overlap, *rest = row
    return Reindex(Generation(number, model, dimensions, size, overlap), *rest)
