"""Knowledge bases, as the API has them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from atrium.knowledge.v1 import knowledge_base_pb2 as pb
from server.kernel.errors import etag_of
from server.knowledge.domain import CHUNK_OVERLAP, CHUNK_SIZE, KnowledgeBase
from server.knowledge.generations import Generation, Reindex
from server.rpc.wire import EnumMap, changes, present, reason, timestamp, uuid_or_none

_VISIBILITY = EnumMap(
    {
        "personal": pb.KnowledgeBase.VISIBILITY_PERSONAL,
        "tenant": pb.KnowledgeBase.VISIBILITY_TENANT,
        "public": pb.KnowledgeBase.VISIBILITY_PUBLIC,
    }
)
_STATE = EnumMap(
    {
        "active": pb.KnowledgeBase.STATE_ACTIVE,
        "archived": pb.KnowledgeBase.STATE_ARCHIVED,
        "deleted": pb.KnowledgeBase.STATE_DELETED,
    }
)
_OPTIONAL = ("description", "search_top_k", "search_threshold")


def new_base(request: pb.CreateKnowledgeBaseRequest) -> tuple[dict[str, Any], str]:
    """What `BaseService.create` is asked."""
    size = request.chunk_size if request.HasField("chunk_size") else CHUNK_SIZE
    values = {
        "name": request.name,
        "visibility_scope": _VISIBILITY.word.get(request.visibility, "tenant"),
        "chunk_size": size,
        "chunk_overlap": min(CHUNK_OVERLAP, size // 8),
        **present(request, *_OPTIONAL),
    }
    if request.HasField("chunk_overlap"):
        values["chunk_overlap"] = request.chunk_overlap
    return _with_threshold(values), request.embedding_model


def base_changes(request: pb.UpdateKnowledgeBaseRequest) -> dict[str, Any]:
    values = changes(request, "name", "visibility", "chunk_size", "chunk_overlap", *_OPTIONAL)
    if "visibility" in values:
        values["visibility_scope"] = _VISIBILITY.word[values.pop("visibility")]
    return _with_threshold(values)


def remade(request: pb.ReindexKnowledgeBaseRequest) -> dict[str, Any]:
    """What `ReindexService.reindex` is asked."""
    values: dict[str, Any] = {"embedding_model": request.embedding_model}
    if request.HasField("chunk_size"):
        values |= {"chunk_size": request.chunk_size, "chunk_overlap": min(CHUNK_OVERLAP, request.chunk_size // 8)}
    if request.HasField("chunk_overlap"):
        values["chunk_overlap"] = request.chunk_overlap
    return values


def filters(request: pb.ListKnowledgeBasesRequest) -> dict[str, Any]:
    given = {
        "visibility": _VISIBILITY.word.get(request.visibility),
        "status": _STATE.word.get(request.state),
        "owner_user_id": uuid_or_none(request.owner_user_id),
    }
    return {name: value for name, value in given.items() if value is not None}


def base(value: KnowledgeBase) -> pb.KnowledgeBase:
    return pb.KnowledgeBase(
        id=str(value.id),
        etag=etag_of(value.revision),
        create_time=timestamp(value.created_at),
        update_time=timestamp(value.updated_at),
        name=value.name,
        description=value.description,
        visibility=_VISIBILITY.number[value.visibility],
        owner_user_id=str(value.owner_user_id or ""),
        state=_STATE.number[value.status],
        embedding_model=value.embedding_model,
        embedding_dimensions=value.embedding_dimensions,
        chunk_size=value.chunk_size,
        chunk_overlap=value.chunk_overlap,
        search_top_k=value.search_top_k,
        search_threshold=None if value.search_threshold is None else float(value.search_threshold),
        document_count=value.document_count,
        chunk_count=value.chunk_count,
        total_size=value.total_size,
        created_by=value.created_by,
        updated_by=value.updated_by,
        generation=value.active_generation,
        reindex=None if value.reindex is None else _reindex(value.reindex),
        former_generation=None if value.former is None else _generation(value.former.generation),
        former_generation_expire_time=None if value.former is None else timestamp(value.former.kept_until),
        tenant_id=str(value.tenant_id),
        delete_time=timestamp(value.deleted_at),
    )


def threshold(score: float) -> Decimal:
    """A least score, to two digits."""
    return Decimal(f"{score:.2f}")


def _with_threshold(values: dict[str, Any]) -> dict[str, Any]:
    if values.get("search_threshold") is not None:
        values["search_threshold"] = threshold(values["search_threshold"])
    return values


def _reindex(value: Reindex) -> pb.KnowledgeBase.Reindex:
    return pb.KnowledgeBase.Reindex(
        state=_state(value),
        generation=_generation(value.generation),
        rollback=value.rollback,
        document_done=value.document_done,
        document_total=value.document_total,
        error_reason=reason(value.error_reason),
        error_message=value.error_message or "",
        start_time=timestamp(value.started_at),
        end_time=timestamp(value.ended_at),
    )


def _state(value: Reindex) -> pb.KnowledgeBase.Reindex.State:
    if value.status == "building":
        return pb.KnowledgeBase.Reindex.STATE_RUNNING
    if value.error_reason is not None:
        return pb.KnowledgeBase.Reindex.STATE_FAILED
    if value.status == "active":
        return pb.KnowledgeBase.Reindex.STATE_COMPLETED
    return pb.KnowledgeBase.Reindex.STATE_CANCELLED


def _generation(value: Generation) -> pb.KnowledgeBase.Generation:
    return pb.KnowledgeBase.Generation(
        number=value.number,
        embedding_model=value.embedding_model,
        embedding_dimensions=value.embedding_dimensions,
        chunk_size=value.chunk_size,
        chunk_overlap=value.chunk_overlap,
    )
