"""Calls to models and their records, as the API has them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

from atrium.model.v1 import call_log_pb2, chat_pb2, embedding_pb2, stream_pb2
from server import chats
from server.kernel.errors import DomainError, InvalidRequest
from server.llm.port import Message, Outage, ResponseFormat, Tool, ToolChoice, Vector
from server.model.chat import ChatAnswer, ChatCall, ChatEvent, Delta, Ended, Heartbeat, PromptNamed, Started, Switched
from server.model.convert.models import deprecation
from server.model.domain import CallLog
from server.model.service.embedding import Embeddings
from server.rpc.wire import (
    EnumMap,
    duration_ms,
    json_schema,
    moment,
    plain_struct,
    present,
    reason,
    retry_delay,
    timestamp,
    uuid_or_none,
    whole_seconds,
)

KINDS = EnumMap({"chat": call_log_pb2.CallLog.KIND_CHAT, "embedding": call_log_pb2.CallLog.KIND_EMBEDDING})
STATUSES = EnumMap(
    {
        "success": call_log_pb2.CallLog.STATUS_SUCCESS,
        "error": call_log_pb2.CallLog.STATUS_ERROR,
        "cancelled": call_log_pb2.CallLog.STATUS_CANCELLED,
    }
)
OUTAGES = EnumMap(
    {outage.name.lower(): call_log_pb2.CallLog.Outage.Value(f"OUTAGE_{outage.name}") for outage in Outage}
)
_CHOICES: dict[int, ToolChoice] = {
    chat_pb2.ToolChoice.MODE_UNSPECIFIED: "auto",
    chat_pb2.ToolChoice.MODE_NONE: "none",
    chat_pb2.ToolChoice.MODE_REQUIRED: "required",
}


def _tool_choice(value: chat_pb2.ToolChoice, tools: Sequence[Tool]) -> ToolChoice | Tool:
    """Raises InvalidRequest for a tool that is not among them."""
    if not value.tool:
        return _CHOICES[value.mode]
    chosen = next((tool for tool in tools if tool.name == value.tool), None)
    if chosen is None:
        raise InvalidRequest([("tool_choice.tool", "is none of the tools")])
    return chosen


def _response_format(value: chat_pb2.ResponseFormat) -> ResponseFormat:
    schema = json_schema(value.schema, "response_format.schema") if value.HasField("schema") else None
    strict = value.strict if value.HasField("strict") else True
    return ResponseFormat(value.name or "answer", schema, strict)


def chat_call(request: chat_pb2.ChatRequest | stream_pb2.StreamChatRequest) -> ChatCall:
    return ChatCall(
        model=request.model,
        messages=[chats.message(one) for one in request.messages],
        stop=list(request.stop),
        tools=(tools := [chats.tool(tool) for tool in request.tools]),
        tool_choice=_tool_choice(request.tool_choice, tools),
        response_format=_response_format(request.response_format) if request.HasField("response_format") else None,
        cache_ttl=whole_seconds(request, "cache_ttl"),
        prompt=_prompt(request.prompt) if request.HasField("prompt") else None,
        continue_on_failure=isinstance(request, stream_pb2.StreamChatRequest) and request.continue_on_failure,
        **present(request, "temperature", "max_tokens", "seed"),
    )


def asked(request: stream_pb2.StreamChatRequest) -> bytes:
    """A hash of all that the stream is asked for, whatever it is called and wherever it is read from."""
    plain = stream_pb2.StreamChatRequest()
    plain.CopyFrom(request)
    plain.ClearField("generation_id")
    plain.ClearField("after_seq")
    return hashlib.sha256(plain.SerializeToString(deterministic=True)).digest()


def _prompt(value: chat_pb2.Prompt) -> PromptNamed:
    values = value.variables
    return PromptNamed(
        UUID(value.template_id),
        value.version,
        value.label,
        plain_struct(values),
        value.user_key,
        values.SerializeToString(deterministic=True),
    )


def usage(*logs: CallLog) -> chat_pb2.Usage:
    """What these used together."""
    return chats.usage((log, log.total_cost) for log in logs)


def chat_answer(value: ChatAnswer) -> chat_pb2.ChatResponse:
    log = value.logs[-1]
    return chat_pb2.ChatResponse(
        message=chats.chat_message(Message("assistant", value.text, value.tool_calls)),
        finish_reason=chats.finish_reason(log.finish_reason),
        usage=usage(*value.logs),
        model=value.started.model,
        latency=duration_ms(log.latency_ms),
        call_log_id=str(log.id),
        deprecation=deprecation(value.started.deprecated),
        route=log.route,
        cached=value.started.cached,
    )


def chat_events(event: ChatEvent, seq: int, generation_id: str = "") -> Sequence[stream_pb2.StreamChatResponse]:
    """The event's messages, numbered from `seq`: the end is two, what was used and how it ended.

    `generation_id`: of a stream that can be taken up again.
    """
    match event:
        case Delta(text, ()):
            return (stream_pb2.StreamChatResponse(seq=seq, delta=stream_pb2.StreamChatResponse.Delta(text=text)),)
        case Delta(text, calls):
            parts = [
                stream_pb2.StreamChatResponse.ToolCallDelta(
                    index=part.index, id=part.id, name=part.name, arguments=part.arguments
                )
                for part in calls
            ]
            delta = stream_pb2.StreamChatResponse.Delta(text=text, tool_calls=parts)
            return (stream_pb2.StreamChatResponse(seq=seq, delta=delta),)
        case Started(name, log_id, route, deprecated, cached):
            started = stream_pb2.StreamChatResponse.Started(
                model=name,
                call_log_id=str(log_id),
                route=route or "",
                deprecation=deprecation(deprecated),
                cached=cached,
                generation_id=generation_id,
            )
            return (stream_pb2.StreamChatResponse(seq=seq, started=started),)
        case Switched(name, log_id, error, deprecated):
            switched = stream_pb2.StreamChatResponse.Switched(
                model=name,
                call_log_id=str(log_id),
                reason=reason(error.reason),
                deprecation=deprecation(deprecated),
            )
            return (stream_pb2.StreamChatResponse(seq=seq, switched=switched),)
        case Heartbeat():
            return (stream_pb2.StreamChatResponse(seq=seq, heartbeat=stream_pb2.StreamChatResponse.Heartbeat()),)
        case Ended(logs, error):
            log = logs[-1]
            used = stream_pb2.StreamChatResponse(seq=seq, usage=usage(*logs))
            if error is None:
                completed = stream_pb2.StreamChatResponse.Completed(
                    finish_reason=chats.finish_reason(log.finish_reason),
                    latency=duration_ms(log.latency_ms),
                    time_to_first_token=duration_ms(log.time_to_first_token_ms),
                )
                return used, stream_pb2.StreamChatResponse(seq=seq + 1, completed=completed)
            return used, failed(seq + 1, error)


def failed(seq: int, error: DomainError) -> stream_pb2.StreamChatResponse:
    """The last event of a stream that failed."""
    said = stream_pb2.StreamChatResponse.Failed(
        reason=reason(error.reason), message=error.message, retry_delay=retry_delay(error)
    )
    return stream_pb2.StreamChatResponse(seq=seq, failed=said)


def embeddings(value: Embeddings) -> embedding_pb2.EmbedResponse:
    return embedding_pb2.EmbedResponse(
        embeddings=[_embedding(vector) for vector in value.vectors],
        usage=usage(value.log),
        model=value.model,
        latency=duration_ms(value.log.latency_ms),
        call_log_id=str(value.log.id),
        deprecation=deprecation(value.deprecated),
    )


def _embedding(value: Vector | DomainError) -> embedding_pb2.EmbedResponse.Embedding:
    if isinstance(value, DomainError):
        return embedding_pb2.EmbedResponse.Embedding(error_reason=reason(value.reason))
    return embedding_pb2.EmbedResponse.Embedding.FromString(_before_values(len(value)) + value.tobytes())


@lru_cache(maxsize=64)
def _before_values(count: int) -> bytes:
    """What a message of so many values begins with; behind it they follow as they are. Of Python's numbers protobuf
    takes one at a time, which is five times as much work.
    """
    message = embedding_pb2.EmbedResponse.Embedding(values=[0.0] * count).SerializeToString()
    return message[: -count * 4]


def kept_call(
    log: CallLog, content: tuple[Sequence[Message], Message | None] | None
) -> call_log_pb2.GetCallLogResponse:
    made = call_log_pb2.GetCallLogResponse(call_log=call_log(log))
    if content is not None:
        asked, answer = content
        made.messages.extend(chats.chat_message(one) for one in asked)
        if answer is not None:
            made.answer.CopyFrom(chats.chat_message(answer))
    return made


def call_log(value: CallLog) -> call_log_pb2.CallLog:
    return call_log_pb2.CallLog(
        id=str(value.id),
        create_time=timestamp(value.created_at),
        user_id=str(value.user_id or ""),
        model_id=str(value.model_id),
        kind=KINDS.number[value.kind],
        status=STATUSES.number[value.status],
        error_reason=reason(value.error_code),
        finish_reason=chats.finish_reason(value.finish_reason),
        usage=usage(value),
        latency=duration_ms(value.latency_ms),
        time_to_first_token=duration_ms(value.time_to_first_token_ms),
        trace_id=value.trace_id,
        request_id=value.request_id,
        route=value.route or "",
        attempts=value.attempts,
        api_key_id=str(value.api_key_id or ""),
        prompt_version_id=str(value.prompt_template_version_id or ""),
        cached=value.cached,
        workflow_execution_id=str(value.workflow_execution_id or ""),
        task_id=str(value.task_id or ""),
        outage=OUTAGES.number[value.outage] if value.outage else None,
    )


def log_filters(request: call_log_pb2.ListCallLogsRequest) -> dict[str, Any]:
    wanted = {
        "user_id": uuid_or_none(request.user_id),
        "api_key_id": uuid_or_none(request.api_key_id),
        "model_id": uuid_or_none(request.model_id),
        "workflow_execution_id": uuid_or_none(request.workflow_execution_id),
        "trace_id": request.trace_id or None,
        "status": STATUSES.word.get(request.status),
    }
    return {name: value for name, value in wanted.items() if value is not None}


def log_window(request: call_log_pb2.ListCallLogsRequest) -> dict[str, Any]:
    return {"since": moment(request, "create_time_from"), "until": moment(request, "create_time_until")}
