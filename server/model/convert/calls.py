"""Calls to models and their records, as the API has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from atrium.errors.v1 import error_reason_pb2
from atrium.model.v1 import call_log_pb2, chat_pb2
from atrium.model.v1 import model_service_pb2 as pb
from server.llm.port import Message
from server.model.convert.models import deprecation
from server.model.domain import CallLog
from server.model.service.calls import (
    ChatAnswer,
    ChatCall,
    ChatEvent,
    Delta,
    Embeddings,
    Ended,
    Heartbeat,
    Started,
    Switched,
)
from server.rpc.wire import EnumMap, duration_ms, moment, money, present, timestamp, uuid_or_none

KINDS = EnumMap({"chat": call_log_pb2.CallLog.KIND_CHAT, "embedding": call_log_pb2.CallLog.KIND_EMBEDDING})
STATUSES = EnumMap(
    {
        "success": call_log_pb2.CallLog.STATUS_SUCCESS,
        "error": call_log_pb2.CallLog.STATUS_ERROR,
        "cancelled": call_log_pb2.CallLog.STATUS_CANCELLED,
    }
)
ROLES = EnumMap(
    {
        "system": chat_pb2.ChatMessage.ROLE_SYSTEM,
        "user": chat_pb2.ChatMessage.ROLE_USER,
        "assistant": chat_pb2.ChatMessage.ROLE_ASSISTANT,
    }
)
_FINISH = {
    None: chat_pb2.FINISH_REASON_UNSPECIFIED,
    "stop": chat_pb2.FINISH_REASON_STOP,
    "length": chat_pb2.FINISH_REASON_LENGTH,
    "content_filter": chat_pb2.FINISH_REASON_CONTENT_FILTER,
}


def chat_call(request: pb.ChatRequest | pb.StreamChatRequest) -> ChatCall:
    return ChatCall(
        model=request.model,
        messages=[Message(ROLES.word[message.role], message.content) for message in request.messages],
        stop=list(request.stop),
        continue_on_failure=isinstance(request, pb.StreamChatRequest) and request.continue_on_failure,
        **present(request, "temperature", "max_tokens", "seed"),
    )


def usage(log: CallLog) -> chat_pb2.Usage:
    return chat_pb2.Usage(
        prompt_tokens=log.prompt_tokens,
        completion_tokens=log.completion_tokens,
        cached_tokens=log.cached_tokens,
        reasoning_tokens=log.reasoning_tokens,
        total_tokens=log.total_tokens,
        cost_usd=money(log.total_cost),
    )


def finish_reason(log: CallLog) -> Any:
    return _FINISH.get(log.finish_reason, chat_pb2.FINISH_REASON_OTHER)


def chat_answer(value: ChatAnswer) -> pb.ChatResponse:
    return pb.ChatResponse(
        message=chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_ASSISTANT, content=value.text),
        finish_reason=finish_reason(value.log),
        usage=usage(value.log),
        model=value.model,
        latency=duration_ms(value.log.latency_ms),
        call_log_id=str(value.log.id),
        deprecation=deprecation(value.deprecated),
        route=value.log.route,
    )


def chat_events(event: ChatEvent, seq: int) -> Sequence[pb.StreamChatResponse]:
    """The event's messages, numbered from `seq`: the end is two, what was used and how it ended."""
    match event:
        case Delta(text):
            return (pb.StreamChatResponse(seq=seq, delta=pb.StreamChatResponse.Delta(text=text)),)
        case Started(name, log_id, route, deprecated):
            started = pb.StreamChatResponse.Started(
                model=name, call_log_id=str(log_id), route=route or "", deprecation=deprecation(deprecated)
            )
            return (pb.StreamChatResponse(seq=seq, started=started),)
        case Switched(name, log_id, error):
            switched = pb.StreamChatResponse.Switched(model=name, call_log_id=str(log_id), reason=reason(error.reason))
            return (pb.StreamChatResponse(seq=seq, switched=switched),)
        case Heartbeat():
            return (pb.StreamChatResponse(seq=seq, heartbeat=pb.StreamChatResponse.Heartbeat()),)
        case Ended(log, error):
            used = pb.StreamChatResponse(seq=seq, usage=usage(log))
            if error is None:
                completed = pb.StreamChatResponse.Completed(
                    finish_reason=finish_reason(log),
                    latency=duration_ms(log.latency_ms),
                    time_to_first_token=duration_ms(log.time_to_first_token_ms),
                )
                return used, pb.StreamChatResponse(seq=seq + 1, completed=completed)
            failed = pb.StreamChatResponse.Failed(reason=reason(error.reason), message=error.message)
            return used, pb.StreamChatResponse(seq=seq + 1, failed=failed)


def reason(name: str | None) -> Any:
    """The enum value of a domain error's reason."""
    if name is None:
        return error_reason_pb2.ERROR_REASON_UNSPECIFIED
    return error_reason_pb2.ErrorReason.Value(f"ERROR_REASON_{name}")


def embeddings(value: Embeddings) -> pb.EmbedResponse:
    return pb.EmbedResponse(
        embeddings=[pb.EmbedResponse.Embedding(values=vector) for vector in value.vectors],
        usage=usage(value.log),
        model=value.model,
        latency=duration_ms(value.log.latency_ms),
        call_log_id=str(value.log.id),
        deprecation=deprecation(value.deprecated),
    )


def call_log(value: CallLog) -> call_log_pb2.CallLog:
    return call_log_pb2.CallLog(
        id=str(value.id),
        create_time=timestamp(value.created_at),
        user_id=str(value.user_id or ""),
        model_id=str(value.model_id),
        kind=KINDS.number[value.kind],
        status=STATUSES.number[value.status],
        error_reason=reason(value.error_code),
        finish_reason=finish_reason(value),
        usage=usage(value),
        latency=duration_ms(value.latency_ms),
        time_to_first_token=duration_ms(value.time_to_first_token_ms),
        trace_id=value.trace_id,
        request_id=value.request_id,
        route=value.route or "",
        attempts=value.attempts,
        api_key_id=str(value.api_key_id or ""),
        prompt_version_id=str(value.prompt_template_version_id or ""),
    )


def log_filters(request: pb.ListCallLogsRequest) -> dict[str, Any]:
    wanted = {
        "user_id": uuid_or_none(request.user_id),
        "api_key_id": uuid_or_none(request.api_key_id),
        "model_id": uuid_or_none(request.model_id),
        "trace_id": request.trace_id or None,
        "status": STATUSES.word.get(request.status),
    }
    return {name: value for name, value in wanted.items() if value is not None}


def log_window(request: pb.ListCallLogsRequest) -> dict[str, Any]:
    return {"since": moment(request, "create_time_from"), "until": moment(request, "create_time_until")}
