"""Work on prompts: at once where it is little, and otherwise where it keeps no other call waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from server.kernel.principal import current_call
from server.offload.workers import Workers
from server.prompt import worker
from server.prompt.domain import Version, sources_of
from server.prompt.errors import PromptsBusy, PromptWorkTooLong
from server.prompt.rendering import Prepared, Renderer, Unread
from server.prompt.variables import Variable, bind

_MOST_HEAVY = 10_000
_LONG_BYTES = 8_192
"""Values and defaults beyond it are not even bound where all calls are served."""

_MOST_SECONDS = 5.0
"""What is allowed takes a second or two; whatever takes longer has found a way around its bounds."""

_RETRY_SECONDS = 1.0

Result = TypeVar("Result")


def prompt_workers(parallel: int) -> Workers:
    """The processes that prompts are worked on in, so many at once."""
    return Workers(parallel, busy=_busy, too_long=PromptWorkTooLong, imports=[worker.__name__], seconds=_MOST_SECONDS)


def _busy() -> PromptsBusy:
    return PromptsBusy("work on prompts at once", _RETRY_SECONDS)


class PromptWork:
    """Prepares, renders and compares, for the caller. Every method raises PromptsBusy and PromptWorkTooLong."""

    def __init__(self, renderer: Renderer, workers: Workers) -> None:
        self._renderer = renderer
        self._workers = workers
        # Versions that were too much before: what was done of them at once was done for nothing.
        self._heavy: set[UUID] = set()
        self._preparing: dict[tuple[UUID, str], asyncio.Task[Sequence[Prepared]]] = {}

    async def references(self, sources: Collection[str]) -> dict[str, Sequence[str]]:
        """What each source itself includes, each once, in order. Raises PromptSyntaxInvalid."""
        found: dict[str, Sequence[str]] = {}
        # Each by itself: however many there are, none of them takes too long, and those that are read stay so.
        for source in sources:
            known = self._renderer.references(source)
            found[source] = (await self._prepared(source)).references if known is None else known
        return found

    async def check(self, sources: Mapping[str, str], variables: Sequence[Variable]) -> None:
        """Raises PromptSyntaxInvalid, PromptVariablesInvalid."""
        self._learn(sources.values(), await self._run(worker.checked, sources, variables))

    async def render(
        self, version: Version, values: Mapping[str, Any], includes: Mapping[str, str], size: int
    ) -> Sequence[str]:
        """The texts of the version, one of them or one for each turn. `size`: bytes of the values and the defaults.

        Raises the refusals of `bind` and of `Renderer.render_all`.
        """
        sources = sources_of(version.content)
        if size <= _LONG_BYTES and version.id not in self._heavy:
            bound = bind(version.variables, values)
            texts = await self._at_once(sources, bound, includes)
            if texts is not None:
                return texts
            if len(self._heavy) == _MOST_HEAVY:
                self._heavy.clear()
            self._heavy.add(version.id)
        return await self._run(worker.rendered, sources, version.variables, values, includes)

    async def differences(self, pairs: Sequence[tuple[str, str]], old_name: str, new_name: str) -> Sequence[str]:
        """The difference of each pair, as a unified diff."""
        return await self._run(worker.differences, pairs, old_name, new_name)

    async def _at_once(
        self, sources: Mapping[str, str], bound: Mapping[str, Any], includes: Mapping[str, str]
    ) -> Sequence[str] | None:
        """None where that is too much to be done where calls are served."""
        with suppress(Unread):
            return self._renderer.render_at_once(sources, bound, includes)
        await self.references([*sources.values(), *includes.values()])
        # They may be so many that preparing the last has made the first forgotten.
        with suppress(Unread):
            return self._renderer.render_at_once(sources, bound, includes)
        return None

    async def _prepared(self, source: str) -> Prepared:
        """What is made of it, once for all of a tenant who need the same at one moment: whoever deploys a version has
        all its callers come at once. It goes on where the first of them leaves. Those of another tenant do not wait for
        it, which may be behind all else that this one asked for.
        """
        place = (current_call().caller.tenant_id, source)
        task = self._preparing.get(place)
        if task is None:
            task = self._preparing[place] = asyncio.create_task(self._run(worker.prepared, [source]))
            task.add_done_callback(partial(self._learned, place))
        (made,) = await asyncio.shield(task)
        return made

    def _learned(self, place: tuple[UUID, str], task: asyncio.Task[Sequence[Prepared]]) -> None:
        del self._preparing[place]
        if not task.cancelled() and task.exception() is None:
            self._learn([place[1]], task.result())

    async def _run(self, work: Callable[..., Result], *arguments: Any) -> Result:
        return await self._workers.run(current_call().caller.tenant_id, work, *arguments)

    def _learn(self, sources: Collection[str], prepared: Sequence[Prepared]) -> None:
        for source, made in zip(sources, prepared, strict=True):
            self._renderer.learn(source, made)
