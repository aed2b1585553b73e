"""Models behind an endpoint that speaks OpenAI's protocol.

Not through the openai SDK: it took five times as long as the HTTP library alone, more than all the rest of a call
(docs/adr/0006-openai-without-its-sdk.md).

The protocol: platform.openai.com/docs/api-reference, "Chat" and "Embeddings".
"""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence, Set
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

import aiohttp
import numpy as np
import orjson

from server.llm.endpoint import HttpEndpoint, drained
from server.llm.http import MOST_WHOLE_BYTES, NO_KEY, SILENCE_SECONDS, Refused, authorization, read
from server.llm.metering import AnswerMeter, estimated
from server.llm.port import (
    ChatChunk,
    ChatRequest,
    EmbeddingResult,
    Message,
    ModelAnswerBroken,
    ModelResponseInvalid,
    ModelUnavailable,
    ResponseFormat,
    Tool,
    ToolChoice,
    Usage,
)
from server.llm.sse import ChunkReader, whole_answer, whole_number

_MOST_VECTOR_BYTES = 262_144
"""8,192 dimensions in plain JSON are about 180,000."""


def connect(base_url: str, api_key: str, *, silence: float = SILENCE_SECONDS, guarded: bool = False) -> HttpEndpoint:
    """The connections to one endpoint, to be closed.

    `silence`: seconds that it may say nothing. `guarded`: it is called at a public address only.
    """
    return HttpEndpoint(base_url, api_key or NO_KEY, silence=silence, guarded=guarded)


class OpenAIChat:
    """A chat model. `extra`: what the endpoint understands beyond the protocol. `key`: in place of the endpoint's."""

    def __init__(self, endpoint: HttpEndpoint, extra: Mapping[str, Any] | None = None, key: str | None = None) -> None:
        self._endpoint = endpoint
        self._extra = dict(extra or {})
        self._authorization = authorization(key)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[ChatChunk], None]:
        """The answer, in batches of what one read brought."""
        reader = ChunkReader()
        meter = AnswerMeter(request)
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
        body |= self._extra
        headers = {**request.headers, **self._authorization}
        with _failures(request.name, "messages", lambda: meter.finished):
            patient = not request.streams
            posted = _accepted(self._endpoint, "/chat/completions", body, headers, patient=patient, sent=request.sent)
            async with posted as content:
                if patient:
                    answer, whole = await read(content.iter_any(), MOST_WHOLE_BYTES)
                    yield meter.counted([whole_answer(answer if whole else b"")])
                    if meter.failure is not None:
                        raise meter.failure
                    return
                async for data in content.iter_any():
                    if chunks := reader.feed(data):
                        yield meter.counted(chunks)
                    if (failure := meter.failure or reader.failure) is not None:
                        raise failure
                    if reader.done:
                        await drained(content)
                        break
        if not meter.finished:
            raise ModelAnswerBroken if meter.begun else ModelResponseInvalid


# What OpenAI's reasoning models and its older embedding models refuse, and others need: by what takes its place.
_NOT_EVERYWHERE: dict[str, str | None] = {
    "max_tokens": "max_completion_tokens",
    "temperature": None,
    "dimensions": None,
}


@asynccontextmanager
async def _accepted(
    endpoint: HttpEndpoint,
    path: str,
    body: Mapping[str, Any],
    headers: Mapping[str, str],
    *,
    sent: Callable[[], None],
    patient: bool = False,
) -> AsyncIterator[aiohttp.StreamReader]:
    """The answer to the request in the form that the model takes, which is learned from its refusals and remembered."""
    refused = endpoint.refused.setdefault(body["model"], set())
    async with AsyncExitStack() as stack:
        while True:
            try:
                posted = endpoint.post(path, _without(body, refused), headers, patient=patient, sent=sent)
                content = await stack.enter_async_context(posted)
            except Refused as error:
                if error.status != 400 or error.param in refused or error.param not in _NOT_EVERYWHERE:
                    raise
                refused.add(error.param)
            else:
                break
        yield content


def _without(body: Mapping[str, Any], refused: Set[str]) -> dict[str, Any]:
    kept = {name: value for name, value in body.items() if name not in refused}
    for name in refused & body.keys():
        if (other := _NOT_EVERYWHERE[name]) is not None:
            kept[other] = body[name]
    return kept


def _message(message: Message) -> dict[str, Any]:
    made: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        made["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id:
        made["tool_call_id"] = message.tool_call_id
    return made


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

    `key`: in place of the endpoint's. `dimensions`: the length that its vectors have; None: whatever they have.
    `shortens`: whether the endpoint is asked for that length.
    """

    def __init__(
        self,
        endpoint: HttpEndpoint,
        model: str,
        key: str | None = None,
        *,
        dimensions: int | None = None,
        shortens: bool = False,
    ) -> None:
        self._endpoint = endpoint
        self._model = model
        self._authorization = authorization(key)
        self._dimensions = dimensions
        self._shortens = shortens and dimensions is not None

    async def embed(
        self, texts: Sequence[str], headers: Mapping[str, str], sent: Callable[[], None] = lambda: None
    ) -> EmbeddingResult:
        """One vector a text, as the endpoint gives them."""
        asked: dict[str, Any] = {"model": self._model, "input": list(texts), "encoding_format": "base64"}
        if self._shortens:
            asked["dimensions"] = self._dimensions
        with _failures(self._model, "inputs"):
            headers = {**headers, **self._authorization}
            async with _accepted(self._endpoint, "/embeddings", asked, headers, sent=sent) as answer:
                content, whole = await read(answer.iter_any(), _MOST_VECTOR_BYTES * len(texts))
        try:
            body = orjson.loads(content if whole else b"")
            rows = {whole_number(row["index"]): row["embedding"] for row in body["data"]}
            # One for each text: with an index twice, or of no text, nobody knows whose they are.
            if len(body["data"]) != len(texts):
                raise ModelResponseInvalid
            vectors = [_vector(rows[index]) for index in range(len(texts))]
            told = body.get("usage")
            usage = Usage(int(told["prompt_tokens"])) if told else estimated(texts)
        except (ValueError, LookupError, TypeError, AttributeError):
            raise ModelResponseInvalid from None
        lengths = {len(vector) for vector in vectors}
        if len(lengths) != 1 or not lengths <= {self._dimensions or len(vectors[0])} - {0}:
            raise ModelResponseInvalid
        return EmbeddingResult(vectors, usage)


def _vector(embedding: str | list[float]) -> list[float]:
    """Base64 of little-endian floats, as asked for, or the plain list that some endpoints answer with all the same."""
    if isinstance(embedding, str):
        found = np.frombuffer(base64.b64decode(embedding, validate=True), "<f4")
    else:
        found = np.array(embedding, "<f4")
    if found.ndim != 1 or not np.isfinite(found).all():
        raise ValueError("not a vector")
    floats: list[float] = found.tolist()
    return floats


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
            raise ModelUnavailable from error
        broken = isinstance(error, aiohttp.ClientPayloadError)
        raise (ModelAnswerBroken if broken else ModelResponseInvalid) from error
