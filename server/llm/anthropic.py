"""Models behind an endpoint that speaks Anthropic's protocol, through the anthropic SDK, which is an extra.

The SDK is loaded when it is first needed: it takes 40 MB, and seconds where its files are cold. A streamed answer's
bytes are read here as they are for OpenAI's protocol.

The protocol: docs.anthropic.com, "Messages" and "Streaming Messages".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

import orjson

from server.llm.http import NO_KEY, PATIENCE, Connections, Patience, authorization, read_whole
from server.llm.metering import BYTES_PER_TOKEN, AnswerMeter
from server.llm.port import (
    ChatChunk,
    ChatRequest,
    Message,
    ModelAnswerBroken,
    ModelNotConfigured,
    ModelRateLimited,
    ModelResponseInvalid,
    ModelUnavailable,
    Outage,
    Tool,
    ToolCallDelta,
    ToolChoice,
    Usage,
    length,
)
from server.llm.sse import EventReader
from server.llm.streamed import read_events

if TYPE_CHECKING:
    from server.llm.anthropic_sdk import Client

ADDRESS = "https://api.anthropic.com"

_MOST_TEMPERATURE = 1.0
_ONLY_JSON = "Answer with one JSON object and nothing else."
_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def installed() -> bool:
    """Whether the SDK is there."""
    try:
        return find_spec("anthropic") is not None
    except ModuleNotFoundError:
        return False


class AnthropicEndpoint(Connections):
    """The connections to one address, made when they are first needed."""

    def __init__(self, base_url: str, api_key: str, *, patience: Patience = PATIENCE, guarded: bool = False) -> None:
        """`guarded`: it is called at a public address only."""
        super().__init__()
        # OpenAI's addresses end in /v1, and so people write these too; the SDK adds it.
        self._base_url = base_url.removesuffix("/v1")
        self._key = api_key or NO_KEY
        self.patience = patience
        self._guarded = guarded
        self._sdk: ModuleType | None = None
        self._client: Client | None = None

    async def client(self) -> tuple[ModuleType, Client]:
        """The module of the SDK and a client. Raises ModelNotConfigured where the SDK is not installed."""
        if self._sdk is None or self._client is None:
            if not installed():
                raise ModelNotConfigured(self._base_url)
            self._sdk = await asyncio.to_thread(import_module, "server.llm.anthropic_sdk")
            # Another call may have come first meanwhile.
            self._client = self._client or self._sdk.Client(
                self._base_url, self._key, _credentials(self._key), guarded=self._guarded
            )
        return self._sdk, self._client

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()


def _credentials(key: str | None) -> dict[str, str]:
    """The headers that carry the key: the API's own, and the one that the SDK and gateways use."""
    return {} if key is None else {"X-Api-Key": key, **authorization(key)}


class AnthropicChat:
    """A chat model. `key`: in place of the endpoint's.

    The API knows no seed, and no temperature above 1: the one is not passed on, the other lowered. That a model takes
    none at all is learned from its refusal.
    """

    def __init__(self, endpoint: AnthropicEndpoint, key: str | None = None) -> None:
        self._endpoint = endpoint
        self._credentials = _credentials(key)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[ChatChunk], None]:
        """The answer, in batches of what one read brought."""
        reader, meter = MessageReader(request.name, request.max_tokens), AnswerMeter(request)
        headers = {**request.headers, **self._credentials}
        async with self._endpoint.used():
            sdk, client = await self._endpoint.client()
            patience = self._endpoint.patience
            silence, complete = patience.streamed if request.streams else patience.whole, lambda: meter.finished
            asked = client.messages(
                request.name, _body(request), headers, complete, self._endpoint, silence=silence, sent=request.sent
            )
            async with asked as parts:
                if not request.streams:
                    yield meter.counted(await read_whole(parts, reader.whole))
                    if meter.failure is not None:
                        raise meter.failure
                    return
                streamed = read_events(
                    reader, meter, lambda: anext(parts, b""), lambda: sdk.drain(parts), patience.wordless
                )
                async with aclosing(streamed) as batches:
                    async for batch in batches:
                        yield batch


def _body(request: ChatRequest) -> dict[str, Any]:
    system = [message.content for message in request.messages if message.role == "system" and message.content]
    body: dict[str, Any] = {
        "model": request.model,
        "messages": _turns(request.messages),
        "max_tokens": request.max_tokens,
        "temperature": min(request.temperature, _MOST_TEMPERATURE),
        "stream": request.streams,
    }
    if (form := request.response_format) is not None:
        if form.schema is None:
            system.append(_ONLY_JSON)
        else:
            body["output_config"] = {"format": {"type": "json_schema", "schema": dict(form.schema)}}
    if system:
        body["system"] = "\n\n".join(system)
    if request.stop:
        body["stop_sequences"] = list(request.stop)
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        body["tool_choice"] = _tool_choice(request.tool_choice)
    return body


def _turns(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The conversation: turns of the user and the assistant, each side's together, as the API wants them."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "system" or not (blocks := _blocks(message)):
            continue
        role = "assistant" if message.role == "assistant" else "user"
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    return _without_end(turns)


def _without_end(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The turns; one of the assistant's to go on with may not end in white space, and the API refuses an empty text."""
    if turns and turns[-1]["role"] == "assistant" and turns[-1]["content"][-1]["type"] == "text":
        last = turns[-1]["content"][-1]
        last["text"] = last["text"].rstrip()
        if not last["text"]:
            turns[-1]["content"].pop()
        if not turns[-1]["content"]:
            turns.pop()
    return turns


def _blocks(message: Message) -> list[dict[str, Any]]:
    if message.role == "tool":
        return [{"type": "tool_result", "tool_use_id": message.tool_call_id, "content": message.content}]
    # The API refuses an empty text.
    blocks: list[dict[str, Any]] = [{"type": "text", "text": message.content}] if message.content else []
    calls = message.tool_calls
    return blocks + [
        {"type": "tool_use", "id": one.id, "name": one.name, "input": _object(one.arguments)} for one in calls
    ]


def _object(arguments: str) -> dict[str, Any]:
    """The arguments of a call; those that a model wrote malformed are none."""
    try:
        found = orjson.loads(arguments)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _tool(tool: Tool) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "input_schema": dict(tool.parameters)}


def _tool_choice(choice: ToolChoice | Tool) -> dict[str, str]:
    if isinstance(choice, Tool):
        return {"type": "tool", "name": choice.name}
    return {"type": "any" if choice == "required" else choice}


class MessageReader(EventReader):
    """Reads the events of a streamed message. `model`: what callers know its model by. `most_tokens`: as many as it may
    have.
    """

    def __init__(self, model: str, most_tokens: int) -> None:
        super().__init__()
        self._model = model
        self._most_tokens = most_tokens
        self._read = self._cached = self._wrote = self._thought = self._size = 0
        self._calls: dict[int, int] = {}
        # Of the calls whose arguments have not come in parts: what they began with.
        self._inputs: dict[int, Any] = {}

    def whole(self, content: bytes) -> list[ChatChunk]:
        """The chunks of a message that came in one piece. Raises ModelResponseInvalid."""
        try:
            message = orjson.loads(content)
            events = [{"type": "message_start", "message": message}]
            for index, block in enumerate(message["content"]):
                events.append({"type": "content_block_start", "index": index, "content_block": block})
                events.append({"type": "content_block_stop", "index": index})
            events.append({"type": "message_delta", "delta": message, "usage": message.get("usage")})
            chunks = [chunk for event in events if (chunk := self._said(event)) is not None]
        except (ValueError, LookupError, TypeError, AttributeError):
            raise ModelResponseInvalid from None
        if not message.get("stop_reason"):
            raise ModelResponseInvalid
        return chunks

    def _event(self, payload: bytes) -> ChatChunk | None:
        return self._said(orjson.loads(payload))

    def _said(self, event: dict[str, Any]) -> ChatChunk | None:
        match event["type"]:
            case "message_start":
                self._count(event["message"].get("usage") or {})
                return ChatChunk(usage=self._usage())
            case "content_block_start":
                return self._begun(event["index"], event["content_block"])
            case "content_block_delta":
                return self._delta(event["index"], event["delta"])
            case "content_block_stop":
                return self._wrote_more(ChatChunk(tool_calls=self._given([event.get("index")])))
            case "message_delta":
                self._count(event.get("usage") or {})
                if not (reason := event["delta"].get("stop_reason")):
                    return ChatChunk(usage=self._usage())
                # Where the ends of blocks are not told.
                calls = self._given(list(self._inputs))
                return ChatChunk(finish_reason=_FINISH.get(reason, "other"), usage=self._usage(), tool_calls=calls)
            case "message_stop":
                self.done = True
            case "error":
                raise _failure(str(event["error"]["type"]), self._model)
        return None  # a ping, and what is yet to be invented

    def _begun(self, index: int, block: dict[str, Any]) -> ChatChunk | None:
        """The API begins a block with nothing in it; whole answers and gateways have it there."""
        match block["type"]:
            case "text":
                return self._wrote_more(ChatChunk(_text(block.get("text") or "")))
            case "thinking":
                return self._wrote_more(ChatChunk(thought=length(_text(block.get("thinking") or ""))))
            case "tool_use":
                if index in self._calls:  # what is written of the two could not be told apart
                    raise ModelResponseInvalid
                self._calls[index] = len(self._calls)
                self._inputs[index] = block.get("input") or {}
                call = ToolCallDelta(self._calls[index], _text(block["id"]), _text(block["name"]))
                return self._wrote_more(ChatChunk(tool_calls=(call,)))
        return None

    def _delta(self, index: int, delta: dict[str, Any]) -> ChatChunk | None:
        match delta["type"]:
            case "text_delta":
                return self._wrote_more(ChatChunk(_text(delta["text"])))
            case "input_json_delta":
                call = ToolCallDelta(self._calls[index], arguments=_text(delta["partial_json"]))
                if not call.arguments:
                    return None
                self._inputs.pop(index, None)
                return self._wrote_more(ChatChunk(tool_calls=(call,)))
            case "thinking_delta":
                return self._wrote_more(ChatChunk(thought=length(_text(delta["thinking"]))))
        return None

    def _given(self, indexes: Sequence[Any]) -> tuple[ToolCallDelta, ...]:
        """The arguments of those calls in these blocks that have not come in parts, each once."""
        given = [(index, self._inputs.pop(index)) for index in indexes if index in self._inputs]
        return tuple(
            ToolCallDelta(self._calls[index], arguments=orjson.dumps(arguments).decode()) for index, arguments in given
        )

    def _wrote_more(self, chunk: ChatChunk) -> ChatChunk | None:
        size = chunk.size + chunk.thought
        if not size and not chunk.tool_calls:
            return None
        self._size += size
        return ChatChunk(chunk.text, None, self._usage(), chunk.tool_calls, chunk.thought)

    def _count(self, usage: dict[str, Any]) -> None:
        """What the event tells, each number being that of the whole message until now."""
        if usage.get("input_tokens") is not None:
            self._cached = int(usage.get("cache_read_input_tokens") or 0)
            made = int(usage.get("cache_creation_input_tokens") or 0)
            self._read = int(usage["input_tokens"]) + made + self._cached
        wrote = int(usage.get("output_tokens") or 0)
        # Where the end tells nothing, or a nought, the estimate stands; what is told is exact.
        if wrote or not self._size:
            self._size, self._wrote = 0, wrote
            self._thought = int((usage.get("output_tokens_details") or {}).get("thinking_tokens") or 0)

    def _usage(self) -> Usage:
        """Until the end the API does not tell what it wrote: about a token to four bytes, and no more than may be
        written, so that a call that is broken off is paid for.
        """
        if not self._size:
            return Usage(self._read, self._wrote, self._cached, min(self._thought, self._wrote))
        wrote = min(self._size // BYTES_PER_TOKEN + 1, self._most_tokens)
        return Usage(self._read, max(self._wrote, wrote), self._cached, estimated=True)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ModelResponseInvalid
    return value


def _failure(kind: str, model: str) -> Exception:
    """An error that comes in the middle of an answer."""
    match kind:
        case "overloaded_error" | "timeout_error":
            return ModelUnavailable(outage=Outage.FAILING)
        case "rate_limit_error":
            return ModelRateLimited(model)
    return ModelAnswerBroken()
