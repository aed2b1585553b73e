"""Models behind an endpoint that speaks OpenAI's protocol, through the openai SDK.

The SDK connects, authenticates and maps failures; a streamed answer's bytes are read by `server.llm.sse`, since the
SDK's own objects cost more than all the rest of a chunk's way.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import httpx2
import numpy as np
import openai
import orjson
from openai import AsyncOpenAI

from server.llm.port import (
    ChatChunk,
    ChatRequest,
    EmbeddingResult,
    ModelNotConfigured,
    ModelRateLimited,
    ModelRequestRejected,
    ModelResponseInvalid,
    ModelUnavailable,
    Usage,
)
from server.llm.sse import ChunkReader

CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 60.0
"""The longest that a provider may say nothing at all before it counts as gone."""

_BYTES_PER_TOKEN = 4
"""What a token is taken to be where the provider does not count: about four bytes of English."""


def connect(base_url: str | None, api_key: str, *, silence: float = SILENCE_SECONDS) -> AsyncOpenAI:
    """A client of one endpoint, to be closed. The one retry loop is not the SDK's."""
    timeout = httpx2.Timeout(silence, connect=CONNECT_SECONDS)
    return AsyncOpenAI(base_url=base_url, api_key=api_key or "none", max_retries=0, timeout=timeout)


class OpenAIChat:
    """A chat model. `extra`: what the endpoint understands beyond the protocol."""

    def __init__(self, client: AsyncOpenAI, extra: Mapping[str, Any] | None = None) -> None:
        self._client = client
        self._extra = dict(extra or {})

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[ChatChunk], None]:
        """The answer, in batches of what one read brought."""
        reader = ChunkReader()
        meter = _Meter(request)
        body: dict[str, Any] = {
            "model": request.model,
            "messages": [{"role": message.role, "content": message.content} for message in request.messages],
            "temperature": request.temperature,
            "max_tokens": request.max_tokens,
        }
        if request.stop:
            body["stop"] = list(request.stop)
        if request.seed is not None:
            body["seed"] = request.seed
        with _failures(request.model):
            async with self._client.chat.completions.with_streaming_response.create(
                stream=True,
                stream_options={"include_usage": True},
                extra_headers=dict(request.headers),
                extra_body=self._extra,
                **body,
            ) as response:
                async for data in response.iter_bytes():
                    if chunks := reader.feed(data):
                        yield meter.counted(chunks)
                    if reader.done:
                        break
        if not meter.finished:
            raise ModelResponseInvalid


class _Meter:
    """Counts for a provider that does not, and holds one that does not stop to what it was asked for."""

    def __init__(self, request: ChatRequest) -> None:
        self._most = request.max_tokens
        self._prompt = sum(len(message.content.encode()) for message in request.messages) // _BYTES_PER_TOKEN + 1
        self._parts = 0
        self._told = False
        self.finished = False

    def counted(self, chunks: list[ChatChunk]) -> list[ChatChunk]:
        """The chunks, the last of them with an estimate where the provider has told nothing yet.

        Raises ModelResponseInvalid for an answer of more parts than tokens were asked for: it would not end.
        """
        for chunk in chunks:
            self._parts += bool(chunk.text)
            self._told = self._told or chunk.usage is not None
            self.finished = self.finished or chunk.finish_reason is not None
        if self._parts > self._most + 1:
            raise ModelResponseInvalid
        if self._told:
            return chunks
        last = chunks[-1]
        usage = Usage(self._prompt, self._parts, estimated=True)
        return [*chunks[:-1], ChatChunk(last.text, last.finish_reason, usage)]


class OpenAIEmbedding:
    """An embedding model."""

    def __init__(self, client: AsyncOpenAI, model: str) -> None:
        self._client = client
        self._model = model

    async def embed(self, texts: Sequence[str], headers: Mapping[str, str]) -> EmbeddingResult:
        """One vector a text, as the endpoint gives them."""
        with _failures(self._model):
            raw = await self._client.embeddings.with_raw_response.create(
                model=self._model, input=list(texts), encoding_format="base64", extra_headers=dict(headers)
            )
            try:
                body = orjson.loads(raw.content)
                rows = sorted(body["data"], key=lambda row: int(row["index"]))
                vectors = [_vector(row["embedding"]) for row in rows]
                told = body.get("usage")
                usage = Usage(int(told["prompt_tokens"])) if told else _estimated(texts)
            except (ValueError, LookupError, TypeError, AttributeError):
                raise ModelResponseInvalid from None
        if len(vectors) != len(texts) or not all(vectors):
            raise ModelResponseInvalid
        return EmbeddingResult(vectors, usage)


def _vector(embedding: str | list[float]) -> list[float]:
    """Base64 of little-endian floats, as asked for, or the plain list that some endpoints answer with all the same."""
    if isinstance(embedding, str):
        floats: list[float] = np.frombuffer(base64.b64decode(embedding, validate=True), "<f4").tolist()
        return floats
    return [float(value) for value in embedding]


def _estimated(texts: Sequence[str]) -> Usage:
    return Usage(sum(len(text.encode()) // _BYTES_PER_TOKEN + 1 for text in texts), estimated=True)


@contextmanager
def _failures(model: str) -> Iterator[None]:
    """The SDK's failures in our words. Nothing that the provider said is passed on."""
    try:
        yield
    except openai.RateLimitError as error:
        raise ModelRateLimited(subject=model, retry_after=_retry_after(error)) from None
    except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError) as error:
        raise ModelNotConfigured(model) from error
    except (openai.BadRequestError, openai.UnprocessableEntityError, openai.ConflictError):
        raise ModelRequestRejected([("messages", "the model's provider refuses the request")]) from None
    except openai.APIStatusError as error:
        if error.status_code < 500:
            raise ModelRequestRejected([("messages", "the model's provider refuses the request")]) from None
        raise ModelUnavailable from error
    except openai.APIConnectionError as error:  # a timeout too
        raise ModelUnavailable from error
    except httpx2.TimeoutException as error:
        raise ModelUnavailable from error
    except (httpx2.HTTPError, httpx2.StreamError, openai.OpenAIError) as error:
        raise ModelResponseInvalid from error


def _retry_after(error: openai.RateLimitError) -> float:
    try:
        return min(max(float(error.response.headers.get("retry-after", "1")), 0.0), 3600.0)
    except ValueError:
        return 1.0
