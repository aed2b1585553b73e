"""What models are told and say, as the API has it, for every slice that has them asked."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from atrium.model.v1 import chat_pb2 as pb
from server.llm.port import NO_PARAMETERS, Counted, Message, Tool, ToolCall
from server.rpc.wire import EnumMap, json_schema, money, struct

_ROLES = EnumMap(
    {
        "system": pb.ChatMessage.ROLE_SYSTEM,
        "user": pb.ChatMessage.ROLE_USER,
        "assistant": pb.ChatMessage.ROLE_ASSISTANT,
        "tool": pb.ChatMessage.ROLE_TOOL,
    }
)

_FINISH = {
    None: pb.FINISH_REASON_UNSPECIFIED,
    "stop": pb.FINISH_REASON_STOP,
    "length": pb.FINISH_REASON_LENGTH,
    "content_filter": pb.FINISH_REASON_CONTENT_FILTER,
    "tool_calls": pb.FINISH_REASON_TOOL_CALLS,
}


def finish_reason(word: str | None) -> Any:
    """Why a model stopped; None: it did not finish."""
    return _FINISH.get(word, pb.FINISH_REASON_OTHER)


def usage(used: Iterable[tuple[Counted, Decimal | None]]) -> pb.Usage:
    """Of these together, each with its cost in USD; None: no price is in force."""
    each = list(used)
    costs = [cost for _, cost in each if cost is not None]
    return pb.Usage(
        prompt_tokens=sum(one.prompt_tokens for one, _ in each),
        completion_tokens=sum(one.completion_tokens for one, _ in each),
        cached_tokens=sum(one.cached_tokens for one, _ in each),
        total_tokens=sum(one.total_tokens for one, _ in each),
        cost_usd=money(sum(costs, Decimal(0))) if costs else None,
        reasoning_tokens=sum(one.reasoning_tokens for one, _ in each),
    )


def message(value: pb.ChatMessage) -> Message:
    calls = [ToolCall(call.id, call.name, call.arguments) for call in value.tool_calls]
    return Message(_ROLES.word[value.role], value.content, calls, value.tool_call_id)


def chat_message(value: Message) -> pb.ChatMessage:
    return pb.ChatMessage(
        role=_ROLES.number[value.role],
        content=value.content,
        tool_calls=[tool_call(call) for call in value.tool_calls],
        tool_call_id=value.tool_call_id,
    )


def tool_call(value: ToolCall) -> pb.ToolCall:
    return pb.ToolCall(id=value.id, name=value.name, arguments=value.arguments)


def tool(value: pb.Tool) -> Tool:
    """Raises InvalidRequest for parameters that JSON has no form for."""
    parameters = json_schema(value.parameters, "tools") if value.HasField("parameters") else NO_PARAMETERS
    return Tool(value.name, value.description, parameters)


def chat_tool(value: Tool) -> pb.Tool:
    parameters = None if value.parameters == NO_PARAMETERS else struct(value.parameters)
    return pb.Tool(name=value.name, description=value.description, parameters=parameters)
