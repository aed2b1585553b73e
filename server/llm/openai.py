"""Models behind an endpoint that speaks OpenAI's protocol.

Not through the openai SDK: it took five times as long as the HTTP library alone, more than all the rest of a call
(docs/adr/0006-openai-without-its-sdk.md).

The protocol: platform.openai.com/docs/api-reference, "Chat" and "Embeddings".
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence, Set
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Any

import aiohttp

from server.kernel.errors import DomainError
from server.llm.endpoint import HttpEndpoint, drained
from server.llm.http import NO_KEY, PATIENCE, Patience, Refused, authorization, read_whole
from server.llm.metering import AnswerMeter
from server.llm.port import (
    NO_ARGUMENTS,
    ChatChunk,
    ChatRequest,
    EmbeddingResult,
    Message,
    ModelAnswerBroken,
    ModelResponseInvalid,
    ModelUnavailable,
    Outage,
    ResponseFormat,
    Tool,
    ToolCall,
    ToolChoice,
    Usage,
)
from server.llm.sse import ChunkReader
from server.llm.streamed import read_events
from server.llm.vectors import VectorReader


def connect(base_url: str, api_key: str, *, patience: Patience = PATIENCE, guarded: bool = False) -> HttpEndpoint:
    """The connections to one endpoint, to be closed. `guarded`: it is called at a public address only."""
    return HttpEndpoint(base_url, api_key or NO_KEY, patience=patience, guarded=guarded)


class OpenAIChat:
    """A chat model. `extra`: what the endpoint understands beyond the protocol. `key`: in place of the endpoint's."""

    def __init__(self, endpoint: HttpEndpoint, extra: Mapping[str, Any] | None = None, key: str | None = None) -> None:
        self._endpoint = endpoint
        self._extra = dict(extra or {})
        self._authorization = authorization(key)

    def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[ChatChunk], None]:
        """The answer, in batches of what one read brought."""
        return self._answer(request, self._body(request), {**request.headers, **self._authorization})

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": request.model,
            "messages": [_message(message) for message in request.messages],
            "temperature": request.temperature,
            "max_tokens": request.max_tokens,
        }
        if request.stop:
            body["stop"] = list(request.stop)
        if request.seed is not None:
            body["seed"] = request.seed
        if request.tools:
            body["tools"] = [_tool(tool) for tool in request.tools]
            body["tool_choice"] = _tool_choice(request.tool_choice)
        if request.response_format is not None:
            body["response_format"] = _response_format(request.response_format)
        if request.streams:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return body | self._extra

    async def _answer(
        self, request: ChatRequest, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> AsyncGenerator[Sequence[ChatChunk], None]:
        reader = ChunkReader()
        meter = AnswerMeter(request)
        with _failures(request.name, "messages", lambda: meter.finished):
            patience = self._endpoint.patience
            silence = patience.streamed if request.streams else patience.whole
            posted = _accepted(self._endpoint, "/chat/completions", body, headers, silence=silence, sent=request.sent)
            async with posted as content:
                if not request.streams:
                    yield meter.counted([await read_whole(content.iter_any(), reader.whole)])
                    if meter.failure is not None:
                        raise meter.failure
                    return
                streamed = read_events(reader, meter, content.readany, lambda: drained(content), patience.wordless)
                async with aclosing(streamed) as batches:
                    async for batch in batches:
                        yield batch


# What OpenAI's reasoning models, its older embedding models and Mistral's API refuse, and others need: by what takes
# its place.
_NOT_EVERYWHERE: dict[str, str | None] = {
    "max_tokens": "max_completion_tokens",
    "temperature": None,
    "dimensions": None,
    "stream_options": None,
}


@asynccontextmanager
async def _accepted(
    endpoint: HttpEndpoint,
    path: str,
    body: Mapping[str, Any],
    headers: Mapping[str, str],
    *,
    silence: float,
    sent: Callable[[], None],
) -> AsyncIterator[aiohttp.StreamReader]:
    """The answer to the request in the form that the model takes, which is learned from its refusals and remembered."""
    model: str = body["model"]
    refused = endpoint.refused(model)
    while True:
        try:
            async with endpoint.post(path, _without(body, refused), headers, silence=silence, sent=sent) as content:
                yield content
        except Refused as error:
            unknown = error.param in _NOT_EVERYWHERE and error.param not in refused
            if error.status not in (400, 422) or error.too_long or not unknown:
                raise
            endpoint.refuses(model, error.param)
            refused |= endpoint.refused(model)
        else:
            return


def _without(body: Mapping[str, Any], refused: Set[str]) -> dict[str, Any]:
    kept = {name: value for name, value in body.items() if name not in refused}
    for name in refused & body.keys():
        if (other := _NOT_EVERYWHERE[name]) is not None:
            kept[other] = body[name]
    return kept


def _message(message: Message) -> dict[str, Any]:
    made: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        made["tool_calls"] = [_tool_call(call) for call in message.tool_calls]
    if message.tool_call_id:
        made["tool_call_id"] = message.tool_call_id
    return made


def _tool_call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments or NO_ARGUMENTS}
    return {"id": call.id, "type": "function", "function": function}


def _tool(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}


def _tool_choice(choice: ToolChoice | Tool) -> Any:
    return {"type": "function", "function": {"name": choice.name}} if isinstance(choice, Tool) else choice


def _response_format(wanted: ResponseFormat) -> dict[str, Any]:
    if wanted.schema is None:
        return {"type": "json_object"}
    schema = {"name": wanted.name, "schema": dict(wanted.schema), "strict": wanted.strict}
    return {"type": "json_schema", "json_schema": schema}


class OpenAIEmbedding:
    """An embedding model.

    `key`: in place of the endpoint's. `label`: what callers know it by; None: the same. `dimensions`: the length that
    its vectors have; None: whatever they have. `shortens`: whether the endpoint is asked for that length.
    """

    def __init__(
        self,
        endpoint: HttpEndpoint,
        model: str,
        key: str | None = None,
        *,
        label: str | None = None,
        dimensions: int | None = None,
        shortens: bool = False,
    ) -> None:
        self._endpoint = endpoint
        self._model = model
        self._label = label or model
        self._authorization = authorization(key)
        self._dimensions = dimensions
        self._shortens = shortens and dimensions is not None

    async def embed(
        self,
        texts: Sequence[str],
        headers: Mapping[str, str],
        sent: Callable[[], None] = lambda: None,
        wasted: Callable[[Usage], None] = lambda _: None,
    ) -> EmbeddingResult:
        """One vector a text, as the endpoint gives them."""
        asked: dict[str, Any] = {"model": self._model, "input": list(texts), "encoding_format": "base64"}
        if self._shortens:
            asked["dimensions"] = self._dimensions
        reader = VectorReader(texts, self._dimensions)
        headers, patience = {**headers, **self._authorization}, self._endpoint.patience
        silence = patience.vector if len(texts) == 1 else patience.vectors
        posted = _accepted(self._endpoint, "/embeddings", asked, headers, silence=silence, sent=sent)
        try:
            with _failures(self._label, "inputs"):
                async with posted as answer:
                    async for data in answer.iter_any():
                        reader.feed(data)
            return reader.result()
        except DomainError:
            if (used := reader.used()) is not None:
                wasted(used)
            raise


@contextmanager
def _failures(model: str, field: str, complete: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """How a call fails, in our words. Nothing that the provider said is passed on.

    `field`: what of the request it is about, where the provider refuses it. `complete`: whether the answer is all there
    already, so that the loss of its connection is no failure.
    """
    try:
        yield
    except Refused as refused:
        raise refused.told(model, field) from None
    except (aiohttp.ClientError, TimeoutError) as error:
        if complete():
            return
        if isinstance(error, aiohttp.ClientConnectionError | TimeoutError):
            silent = isinstance(error, aiohttp.SocketTimeoutError)
            raise ModelUnavailable(outage=Outage.SILENT if silent else Outage.UNREACHABLE) from error
        broken = isinstance(error, aiohttp.ClientPayloadError)
        raise (ModelAnswerBroken if broken else ModelResponseInvalid) from error
