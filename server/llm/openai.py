"""Models behind an endpoint that speaks OpenAI's protocol, through the openai SDK.

The SDK connects, authenticates and maps failures; a streamed answer's bytes are read by `server.llm.sse`, since the
SDK's own objects cost more than all the rest of a chunk's way.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager, suppress
from dataclasses import replace
from math import isnan
from typing import Any

import httpx2
import numpy as np
import openai
import orjson
from openai import AsyncOpenAI, AsyncStream

from server.kernel.errors import DomainError
from server.llm.addresses import AddressRefused, public_address
from server.llm.port import (
    ChatChunk,
    ChatRequest,
    EmbeddingResult,
    Message,
    ModelContentFiltered,
    ModelContextExceeded,
    ModelNotConfigured,
    ModelRateLimited,
    ModelRequestRejected,
    ModelResponseInvalid,
    ModelUnavailable,
    ResponseFormat,
    Tool,
    ToolChoice,
    Usage,
)
from server.llm.sse import ChunkReader

CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 60.0
"""The longest that a provider may say nothing at all before it counts as gone."""

DRAIN_SECONDS = 0.05
"""How long the bytes behind an answer's last line are waited for: with them read, its connection can serve again."""

_BYTES_PER_TOKEN = 4
"""What a token is taken to be where the provider does not count: about four bytes of English."""

# What OpenAI's API, Azure's, vLLM's and llama.cpp's call these failures.
_TOO_LONG = frozenset({"context_length_exceeded", "string_above_max_length", "exceed_context_size_error"})
_FILTERED = frozenset({"content_filter", "content_policy_violation"})

_MOST_ERROR_BYTES = 65_536
_MOST_ANSWER_CHARACTERS = 16 * 1_048_576
_MOST_VECTOR_BYTES = 262_144
"""8,192 dimensions in plain JSON are about 180,000."""

_LOOPBACK: dict[str, None] = {"all://127.0.0.1": None, "all://localhost": None, "all://[::1]": None}
"""What is on this machine is reached directly, whatever HTTP_PROXY says."""


NO_KEY = "none"
"""What an endpoint is given that asks for no key: the protocol has no request without one."""


def connect(base_url: str, api_key: str, *, silence: float = SILENCE_SECONDS, guarded: bool = False) -> AsyncOpenAI:
    """A client of one endpoint, to be closed. `silence`: seconds that the endpoint may say nothing. `guarded`: it is
    called at a public address only.

    It does not try again: the one retry loop is not the SDK's. It does not follow to other addresses: neither the key
    nor the conversation is for them.
    """
    http = _Http(
        timeout=httpx2.Timeout(silence, connect=CONNECT_SECONDS),
        follow_redirects=False,
        mounts=_LOOPBACK,
        event_hooks={"request": [_guard] if guarded else [], "response": [_check]},
    )
    key = api_key or NO_KEY
    client = AsyncOpenAI(
        base_url=base_url,
        api_key=key,
        max_retries=0,
        http_client=http,
        # Named here, since the SDK lets OPENAI_CUSTOM_HEADERS replace what is only derived from the key.
        default_headers=_authorization(key),
    )
    # What the SDK takes from OPENAI_ORG_ID and OPENAI_PROJECT_ID is for OpenAI, and this may be somebody else.
    client.organization = client.project = None
    return client


def _authorization(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Authorization": f"Bearer {key}"}


class _Http(openai.DefaultAsyncHttpxClient):
    """Sends once more what went down a kept connection that its other end had closed meanwhile.

    Nobody has answered such a request. llama.cpp closes each connection after its answer without a word of it, and any
    provider closes an idle one at some time.
    """

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        while True:
            trace = request.extensions["trace"] = _Trace()
            try:
                return await super().send(request, **options)
            except (httpx2.NetworkError, httpx2.RemoteProtocolError):
                if trace.reached:
                    raise


class _Trace:
    """Whether a request got a new connection or an answer: no failure after these is that of a stale connection."""

    def __init__(self) -> None:
        self.reached = False

    async def __call__(self, event: str, info: dict[str, Any]) -> None:  # noqa: ARG002
        self.reached = self.reached or event in (
            "connection.connect_tcp.started",
            "http11.receive_response_headers.complete",
        )


class OpenAIChat:
    """A chat model. `extra`: what the endpoint understands beyond the protocol. `key`: in place of the client's."""

    def __init__(self, client: AsyncOpenAI, extra: Mapping[str, Any] | None = None, key: str | None = None) -> None:
        self._client = client
        self._extra = dict(extra or {})
        self._authorization = _authorization(key)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[ChatChunk], None]:
        """The answer, in batches of what one read brought."""
        reader = ChunkReader()
        meter = _Meter(request)
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
        with _failures(request.model, "messages"):
            # Not the method made for it: that walks over every message to transform it, a quarter of the SDK's time.
            response: Any = await self._client.post(
                "/chat/completions",
                body={**body, "stream": True, "stream_options": {"include_usage": True}, **self._extra},
                options={"headers": {**request.headers, **self._authorization}},
                cast_to=httpx2.Response,
                stream=True,
                stream_cls=AsyncStream[Any],
            )
            async with aclosing(response):
                parts = response.aiter_bytes()
                async for data in parts:
                    if chunks := reader.feed(data):
                        yield meter.counted(chunks)
                    if reader.done:
                        await _drain(parts)
                        break
        if not meter.finished:
            raise ModelResponseInvalid


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


class _Meter:
    """Counts for a provider that does not, and holds one that does not stop to what it was asked for."""

    def __init__(self, request: ChatRequest) -> None:
        self._most = request.max_tokens
        self._prompt = sum(len(message.text.encode()) for message in request.messages) // _BYTES_PER_TOKEN + 1
        self._parts = 0
        self._characters = 0
        self._told = False
        self.finished = False

    def counted(self, chunks: list[ChatChunk]) -> list[ChatChunk]:
        """The chunks, the last of them with an estimate where the provider has told nothing yet.

        Raises ModelResponseInvalid for an answer of more parts than tokens were asked for, or of absurd size: it would
        not end.
        """
        for chunk in chunks:
            self._parts += bool(chunk.size)
            self._characters += chunk.size
            self._told = self._told or chunk.usage is not None
            self.finished = self.finished or chunk.finish_reason is not None
        if self._parts > self._most + 1 or self._characters > _MOST_ANSWER_CHARACTERS:
            raise ModelResponseInvalid
        if self._told:
            return chunks
        last = chunks[-1]
        usage = Usage(self._prompt, self._parts, estimated=True)
        return [*chunks[:-1], replace(last, usage=usage)]


class OpenAIEmbedding:
    """An embedding model. `key`: in place of the client's."""

    def __init__(self, client: AsyncOpenAI, model: str, key: str | None = None) -> None:
        self._client = client
        self._model = model
        self._authorization = _authorization(key)

    async def embed(self, texts: Sequence[str], headers: Mapping[str, str]) -> EmbeddingResult:
        """One vector a text, as the endpoint gives them."""
        with _failures(self._model, "inputs"):
            async with self._client.embeddings.with_streaming_response.create(
                model=self._model,
                input=list(texts),
                encoding_format="base64",
                extra_headers={**headers, **self._authorization},
            ) as response:
                content, whole = await _read(response.iter_bytes(), _MOST_VECTOR_BYTES * len(texts))
        try:
            body = orjson.loads(content if whole else b"")
            rows = sorted(body["data"], key=lambda row: int(row["index"]))
            vectors = [_vector(row["embedding"]) for row in rows]
            told = body.get("usage")
            usage = Usage(int(told["prompt_tokens"])) if told else _estimated(texts)
        except (ValueError, LookupError, TypeError, AttributeError):
            raise ModelResponseInvalid from None
        if len(vectors) != len(texts) or len({len(vector) for vector in vectors}) != 1 or not vectors[0]:
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


def _estimated(texts: Sequence[str]) -> Usage:
    return Usage(sum(len(text.encode()) // _BYTES_PER_TOKEN + 1 for text in texts), estimated=True)


class _Refused(Exception):
    """The endpoint answers with a status that is no success."""

    def __init__(self, status: int, code: str, retry_after: float) -> None:
        super().__init__(status)
        self.status = status
        self.code = code
        self.retry_after = retry_after

    def told(self, model: str, field: str) -> DomainError:
        """The same in our words."""
        match self.status:
            case 429:
                # Where the account is empty, waiting does not fill it.
                return ModelRateLimited(model, None if self.code == "insufficient_quota" else self.retry_after)
            case 401 | 402 | 403 | 404 | 405:
                return ModelNotConfigured(model)
            case status if status < 400:  # it has moved, and its address is the operator's to change
                return ModelNotConfigured(model)
            case status if status >= 500 or status in (408, 425):
                return ModelUnavailable(self.retry_after)
        if self.code in _TOO_LONG:
            return ModelContextExceeded([(field, "is longer than the model takes")])
        if self.code in _FILTERED:
            return ModelContentFiltered([(field, "is refused by the provider's filter")])
        return ModelRequestRejected([(field, "the model's provider refuses the request")])


async def _guard(request: httpx2.Request) -> None:
    """Sends the request to the address that was looked at. Raises _Refused for one that is not public."""
    host = request.extensions.get("sni_hostname") or request.url.host  # it may be sent a second time
    try:
        address = await public_address(host, request.url.port or 443)
    except AddressRefused:
        raise _Refused(403, "", 0.0) from None
    except OSError as error:
        raise httpx2.ConnectError(str(error)) from error
    request.extensions = {**request.extensions, "sni_hostname": host}
    request.url = request.url.copy_with(host=address)


async def _check(response: httpx2.Response) -> None:
    """Raises _Refused for a refusal, of whose text no more is read than is needed: it may have no end."""
    if response.is_success:
        return
    content, _ = await _read(response.aiter_bytes(), _MOST_ERROR_BYTES)
    code = ""
    with suppress(ValueError, LookupError, TypeError):  # many a refusal has no such form
        error = orjson.loads(content)["error"]
        code = str(error["code"])
        if not code.isidentifier():  # llama.cpp repeats the status there, and says it in the type
            code = str(error["type"])
    raise _Refused(response.status_code, code, _retry_after(response.headers))


async def _read(parts: AsyncIterator[bytes], most: int) -> tuple[bytes, bool]:
    """The parts together, and whether they are all of it; reading stops beyond `most` bytes."""
    content = bytearray()
    async for part in parts:
        content += part
        if len(content) > most:
            return bytes(content), False
    return bytes(content), True


async def _drain(parts: AsyncIterator[bytes]) -> None:
    """Reads what is behind an answer's end. Whatever is wrong with it, the answer is complete."""
    with suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(DRAIN_SECONDS):
            async for _ in parts:
                pass


@contextmanager
def _failures(model: str, field: str) -> Iterator[None]:
    """The SDK's failures in our words. Nothing that the provider said is passed on.

    `field`: what of the request it is about, where the provider refuses it.
    """
    try:
        yield
    except _Refused as refused:
        raise refused.told(model, field) from None
    except (openai.APIConnectionError, httpx2.TimeoutException) as error:
        raise ModelUnavailable from error
    except (httpx2.HTTPError, httpx2.StreamError, openai.OpenAIError) as error:
        raise ModelResponseInvalid from error


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds; 1 where the header is missing or a date."""
    try:
        seconds = float(headers.get("retry-after", "1"))
    except ValueError:
        return 1.0
    return 1.0 if isnan(seconds) else min(max(seconds, 0.0), 3600.0)
