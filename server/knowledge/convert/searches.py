"""Searches and answers, as the API has them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from atrium.knowledge.v1 import search_pb2 as pb
from server import chats
from server.knowledge.ports import Answered
from server.knowledge.searches import QueryLog, Question, Role, Searched, SearchQuery, SearchResult
from server.knowledge.service.asking import Cited
from server.rpc.wire import (
    EnumMap,
    duration_ms,
    json_struct,
    moment,
    present,
    reason,
    struct,
    timestamp,
    uuid_or_none,
)

_MODE = EnumMap({"vector": pb.SEARCH_MODE_VECTOR, "text": pb.SEARCH_MODE_TEXT, "hybrid": pb.SEARCH_MODE_HYBRID})
_ROLE = EnumMap({"user": pb.AskTurn.ROLE_USER, "assistant": pb.AskTurn.ROLE_ASSISTANT})


def query(value: pb.SearchQuery) -> SearchQuery:
    """Raises InvalidRequest."""
    # As it is: only the record of it has two digits.
    least = Decimal(value.score_threshold) if value.HasField("score_threshold") else None
    return SearchQuery(
        base_ids=[UUID(one) for one in value.knowledge_base_ids],
        text=value.query,
        mode=_MODE.word.get(value.mode, "hybrid"),
        threshold=least,
        document_ids=[UUID(one) for one in value.document_ids],
        metadata=json_struct(value.metadata, "query.metadata") if value.HasField("metadata") else None,
        session_id=value.session_id,
        **present(value, "top_k"),
    )


def question(request: pb.AskRequest) -> Question:
    """Raises InvalidRequest."""
    more = {"max_source_tokens": request.max_source_tokens} if request.HasField("max_source_tokens") else {}
    history: list[tuple[Role, str]] = [(_ROLE.word[turn.role], turn.content) for turn in request.history]
    return Question(
        query=query(request.query),
        model=request.model,
        instructions=request.instructions,
        history=history,
        **present(request, "max_tokens", "temperature"),
        **more,
    )


def result(value: SearchResult) -> pb.SearchResult:
    return pb.SearchResult(
        chunk_id=str(value.chunk_id),
        document_id=str(value.document_id),
        knowledge_base_id=str(value.knowledge_base_id),
        document_title=value.document_title,
        content=value.content,
        page=value.page,
        heading=value.heading,
        chunk_index=value.chunk_index,
        metadata=struct(value.metadata),
        score=value.score,
        vector_score=value.vector_score,
        text_score=value.text_score,
    )


def searched(value: Searched) -> pb.SearchResponse:
    return pb.SearchResponse(results=[result(one) for one in value.results], query_log_id=str(value.log_id))


def answer(seq: int, value: Searched | str | Cited | None) -> pb.AskResponse:
    """An event of an answer: its sources, what was written, a heartbeat, or its end."""
    match value:
        case Searched(results, log_id):
            sources = pb.AskResponse.Sources(sources=[result(one) for one in results], query_log_id=str(log_id))
            return pb.AskResponse(seq=seq, sources=sources)
        case str():
            return pb.AskResponse(seq=seq, delta={"text": value})
        case Cited(answered, cited):
            return pb.AskResponse(seq=seq, ended=_ended(answered, cited))
    return pb.AskResponse(seq=seq, heartbeat={})


def _ended(value: Answered, cited: Any) -> pb.AskResponse.Ended:
    error = value.error
    return pb.AskResponse.Ended(
        finish_reason=chats.finish_reason(value.finish_reason),
        usage=chats.usage([(value, value.cost)]),
        call_log_id=str(value.call_log_id or ""),
        cited=cited,
        error_reason=reason(None if error is None else error.reason),
        error_message="" if error is None else error.message,
    )


def log_filters(request: pb.ListQueryLogsRequest) -> dict[str, Any]:
    given = {"user_id": uuid_or_none(request.user_id), "trace_id": request.trace_id or None}
    return {name: value for name, value in given.items() if value is not None}


def log_window(request: pb.ListQueryLogsRequest) -> dict[str, Any]:
    return {"since": moment(request, "create_time_from"), "until": moment(request, "create_time_until")}


def query_log(value: QueryLog) -> pb.QueryLog:
    return pb.QueryLog(
        id=str(value.id),
        create_time=timestamp(value.created_at),
        user_id=str(value.user_id or ""),
        api_key_id=str(value.api_key_id or ""),
        knowledge_base_ids=[str(one) for one in value.knowledge_base_ids],
        query=value.query_text,
        mode=_MODE.number[value.mode],
        top_k=value.top_k,
        score_threshold=_float(value.score_threshold),
        retrieved_count=value.retrieved_count,
        average_score=_float(value.average_score),
        latency=duration_ms(value.latency_ms),
        request_id=value.request_id,
        trace_id=value.trace_id,
        session_id=value.session_id,
    )


def _float(value: Decimal | None) -> float | None:
    return None if value is None else float(value)
