"""Chats: made, metered and written down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from time import monotonic
from typing import TypeVar

from server.kernel.errors import DatabaseUnavailable, DomainError
from server.kernel.principal import current_call
from server.llm.port import ChatChunk, ChatRequest, ModelNotConfigured, ModelUnavailable, ToolCallDelta
from server.model.attempts import Began
from server.model.chat import ChatAnswer, ChatCall, ChatEvent, Delta, Ended, Heartbeat, Started, Switched, Writing
from server.model.domain import CallLog, CallStatus, Model
from server.model.holds import NO_HOLD, Hold
from server.model.ledger import Ledger
from server.model.limits import unpriced
from server.model.meter import Meter
from server.model.ports import Prompts
from server.model.relay import relay
from server.model.service.books import Books, Content, Entry
from server.model.service.caches import CachedAnswer, Caches
from server.model.service.planning import Planner, Prepared, further

Told = TypeVar("Told")

HEARTBEAT_SECONDS = 10.0
_READ_AHEAD_BYTES = 262_144

_AROUND_AN_ITEM = 64
"""What an item counts for beside its text: it may have none, and a provider may send such ones without end."""

_KEPT = frozenset({"stop", "length", "tool_calls"})
"""How an answer ends that may be given again. Providers have words of their own for that they broke it off."""

_NUL = "\0"
"""What no request may hold, nor a text in PostgreSQL: what a model writes with it is given, and kept, without."""

INTERNAL = "INTERNAL"
"""What the record says of a mistake of ours, as the caller is told."""


def why_ended(left: BaseException) -> DomainError | None:
    """Whoever ends a call from here says why; a caller who leaves says nothing, and libraries what they like."""
    why = left.args[0] if left.args else None
    return why if isinstance(why, DomainError) else None


class CallService:
    """Calls chat models for the tenants. No database connection is held while a model answers."""

    def __init__(
        self,
        planner: Planner,
        prompts: Prompts,
        ledger: Ledger,
        books: Books,
        caches: Caches,
        heartbeat: float = HEARTBEAT_SECONDS,
    ) -> None:
        """`heartbeat`: seconds of a model's silence after which a stream says that it is alive."""
        self._planner = planner
        self._prompts = prompts
        self._ledger = ledger
        self._books = books
        self._caches = caches
        self._heartbeat = heartbeat

    async def stream_chat(
        self, asked: ChatCall, ending: Callable[[Ended], None] = lambda _: None, *, whole: bool = False
    ) -> AsyncGenerator[Sequence[ChatEvent], None]:
        """The answer as it is written, in batches of whatever has come: Started, then the rest, then one Ended.

        `ending`: may be given Ended while its records are being written, so that whoever tells of it then gets ready.
        It is read while whoever consumes it is busy, and Heartbeat tells them of a model's silence, but where it is
        wanted `whole`: then it comes at its end, and what breaks off before may be replaced.
        Raises what is wrong before a model is asked; what goes wrong afterwards is told by Ended. Closed or cancelled
        before its end, it stops the model's work and has the records written with what was used until then.
        """
        asked = await self.prompted(asked)
        try:
            prepared = await self._planner.chat(asked)
            kept = await self._kept(prepared)
            if kept is None:  # and only then: what is given again asks nobody, however the models are doing
                prepared.attempts.choose()
        except DomainError as error:
            await self._note_unmade(asked, error)
            raise
        try:
            if kept is None:
                made = self._made(asked, prepared, ending, whole=whole)
            else:
                made = self._again(asked, prepared, kept)
            async with aclosing(made) as batches:
                async for batch in batches:
                    yield batch
        finally:
            prepared.attempts.leave()

    async def prompted(self, asked: ChatCall) -> ChatCall:
        """The same, beginning with the prompt that it names. Raises what is wrong with that."""
        if (prompt := asked.prompt) is None:
            return asked
        try:
            found = await self._prompts.find(prompt.template_id, prompt.version, prompt.label, prompt.user_key)
            asked = asked.found(found.version)
            return asked.prompted(await found.render(prompt.values, prompt.said))
        except DomainError as error:
            await self._note_unmade(asked, error)
            raise

    async def _kept(self, prepared: Prepared) -> CachedAnswer | None:
        """The answer that was given before."""
        if prepared.question is None or prepared.cache_ttl is None:
            return None
        return await self._caches.answer(prepared.plan.tenant_id, prepared.question, prepared.cache_ttl)

    async def _made(
        self, asked: ChatCall, prepared: Prepared, ending: Callable[[Ended], None], *, whole: bool
    ) -> AsyncGenerator[Sequence[ChatEvent], None]:
        tenant_id = prepared.plan.tenant_id
        attempts, writing = prepared.attempts, Writing()
        hold = await self._ledger.reserve(tenant_id, prepared.claims, lambda: attempts.prepare(prepared.request))
        keeps = prepared.question is not None or prepared.catalogue.settings.store_prompts

        async def admits(model: Model, request: ChatRequest) -> DomainError | None:
            nonlocal hold
            try:
                more = await self._ledger.reserve(tenant_id, further(hold.claims, attempts.meters, model, request))
            except DomainError as error:
                return error
            hold = hold.with_more(more)
            return None

        entry: Entry | None = None
        entering: asyncio.Future[Exception | None] | None = None

        def end(status: CallStatus, why: DomainError | str | None = None) -> None:
            """The first end counts. The call is being written down from then on, whoever waits for it: whatever goes
            wrong, it is on record and paid for.
            """
            nonlocal entry, entering
            if entry is None:
                entry = _entry(asked, prepared, hold, writing, status, why)
                entering = self._books.begin_to_enter(tenant_id, entry)

        def over() -> None:
            # While the last of an answer is on its way; what is kept of one is written down when all of it was given.
            if not _stores(prepared):
                end("success")

        source = attempts.stream(prepared.request, admits, whole=whole)
        relayed: AbstractAsyncContextManager[AsyncIterator[Sequence[ChatChunk | Began]]] = (
            aclosing(source)
            if whole
            else relay(source, idle=self._heartbeat, most=_READ_AHEAD_BYTES, size=_size, over=over)
        )
        failure: DomainError | None = None
        try:
            async with relayed as read:
                said_at = monotonic()
                async for items in read:
                    events = tuple(_events(items, prepared))
                    # What a model used so far is nothing that its caller hears.
                    if events:
                        said_at = monotonic()
                    elif not items or monotonic() - said_at >= self._heartbeat:
                        events, said_at = (Heartbeat(),), monotonic()
                    if keeps:
                        for event in events:
                            if isinstance(event, Delta):
                                writing.add(event)
                    yield events
            end("success")
        except DomainError as error:
            failure = error
            end("error", error)
        except (asyncio.CancelledError, GeneratorExit) as left:
            end("cancelled", why_ended(left))
            raise
        except Exception:
            end("error", INTERNAL)
            raise
        assert entry is not None
        assert entering is not None
        ended = Ended(entry.records, failure)
        if not entering.done():
            # Behind the first step of what may just have begun, which has sent something by then.
            asyncio.get_running_loop().call_soon(ending, ended)
        if (unwritten := await entering) is not None:
            raise unwritten
        # What several wrote is for those alone who want others to go on; what was cut short is for nobody again.
        whole = failure is None and sum(meter.begun for meter in attempts.meters) == 1
        finish_reason = entry.records[-1].finish_reason
        whole = whole and finish_reason in _KEPT
        if whole and prepared.question is not None and prepared.cache_ttl is not None:
            answer = CachedAnswer(attempts.meters[-1].model.id, writing.text, writing.tool_calls, finish_reason)
            await self._caches.keep_answer(tenant_id, prepared.question, answer, prepared.cache_ttl)
        yield (ended,)

    async def chat(self, asked: ChatCall, told: Callable[[ChatAnswer], Told]) -> Told:
        """The whole answer, as `told` has it. Raises what is wrong with the call, and what the provider fails with."""
        writing = Writing()
        answer: Told | None = None

        def made(logs: Sequence[CallLog]) -> Told:
            return told(ChatAnswer(writing.text, writing.tool_calls, started, logs))

        def ending(ended: Ended) -> None:
            nonlocal answer
            if ended.error is None:
                answer = made(ended.logs)

        async with aclosing(self.stream_chat(asked, ending, whole=True)) as batches:
            async for batch in batches:
                for event in batch:
                    match event:
                        case Started():
                            started = event
                        case Delta():
                            writing.add(event)
                        case Ended(logs, error):
                            if error is not None:
                                raise error
                            return made(logs) if answer is None else answer
        raise AssertionError("a chat ends with Ended")

    async def _note_unmade(self, asked: ChatCall, error: DomainError) -> None:
        """Has it on record that a call comes to nothing: its prompt cannot be had, or no model of it can be asked."""
        if asked.prompt is None and not isinstance(error, ModelNotConfigured | ModelUnavailable):
            return
        with suppress(DatabaseUnavailable):  # what is wrong with the call is what its caller is told
            if (meter := await self._planner.meter(asked)) is not None:
                log = meter.end("error", error)
                await self._books.enter(meter.call.caller.tenant_id, Entry([log], NO_HOLD))

    async def _again(
        self, asked: ChatCall, prepared: Prepared, found: CachedAnswer
    ) -> AsyncGenerator[Sequence[ChatEvent], None]:
        """An answer that was given before: it uses nothing, and is on record."""
        hold = await self._ledger.reserve(prepared.plan.tenant_id, unpriced(prepared.claims))
        model = next((model for model in prepared.plan.models if model.id == found.model_id), prepared.plan.models[0])
        meter = Meter(current_call(), model, "chat", prepared.route, asked.prompt_version_id, cached=True)
        meter.finish_reason = found.finish_reason
        log = meter.end("success")
        content = Content.of(asked, found.text, found.tool_calls, log.id) if _stores(prepared) else None
        await self._books.enter(prepared.plan.tenant_id, Entry([log], hold, content))
        deprecated = prepared.catalogue.deprecated(model)
        yield (Started(model.name, meter.id, prepared.route, deprecated, cached=True), found.delta)
        yield (Ended([log], None),)


def _events(batch: Sequence[ChatChunk | Began], prepared: Prepared) -> Iterator[ChatEvent]:
    for item in batch:
        match item:
            case Began(meter, None):
                yield Started(meter.model.name, meter.id, prepared.route, prepared.catalogue.deprecated(meter.model))
            case Began(meter, DomainError() as failed):
                yield Switched(meter.model.name, meter.id, failed, prepared.catalogue.deprecated(meter.model))
            case ChatChunk(text=text, tool_calls=calls) if text or calls:
                delta = Delta(text.replace(_NUL, ""), tuple(map(_without_nul, calls)))
                if delta.text or calls:
                    yield delta


def _without_nul(part: ToolCallDelta) -> ToolCallDelta:
    said = part.id, part.name, part.arguments
    return ToolCallDelta(part.index, *(text.replace(_NUL, "") for text in said)) if _NUL in "".join(said) else part


def _entry(
    asked: ChatCall,
    prepared: Prepared,
    hold: Hold,
    writing: Writing,
    status: CallStatus,
    why: DomainError | str | None,
) -> Entry:
    """The records of all that were asked, and what was said where the tenant keeps it."""
    records = [meter.end(status, why) for meter in prepared.attempts.meters]
    content = None
    if _stores(prepared) and records:
        content = Content.of(asked, writing.text, writing.tool_calls, records[-1].id)
    return Entry(records, hold, content)


def _stores(prepared: Prepared) -> bool:
    return prepared.catalogue.settings.store_prompts


def _size(item: ChatChunk | Began) -> int:
    return _AROUND_AN_ITEM + (item.size if isinstance(item, ChatChunk) else 0)
