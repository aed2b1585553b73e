"""A chat's way where models fail: the same target again, the next one, and the fallbacks of a route."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from random import Random
from uuid import UUID

from server.kernel.errors import DomainError
from server.llm.metering import about
from server.llm.port import (
    ChatChunk,
    ChatModel,
    ChatRequest,
    Message,
    ModelContentFiltered,
    ModelCredentialRefused,
    ModelNotConfigured,
    ModelRateLimited,
    ModelResponseInvalid,
    ModelUnavailable,
    Outage,
    ToolCallDelta,
)
from server.model.breakers import UNHEARD_SECONDS, UNHEARD_WHOLE_SECONDS, Breakers
from server.model.chat import Writing
from server.model.domain import Model
from server.model.meter import Meter
from server.model.routes import PASSING, Failure, Retry, failure_of

MOST_SWITCHES = 2
"""How often another model goes on with an answer at most: each reads all of it again."""

MOST_HELD = 1000
"""Parts of tools' calls that may come before the first name: of each call, a model has its id there and no more."""

Admits = Callable[[Model, ChatRequest], Awaitable[DomainError | None]]
"""Whether a model may be asked that, beside what the call has used so far; what forbids it, where something does."""

Answer = AsyncGenerator[Sequence[ChatChunk], None]

RANDOM = Random()  # noqa: S311 - it spreads load, and keeps no secret


@dataclass(frozen=True, slots=True)
class Plan:
    """Whom a call may ask, in order. `fallbacks`: by how the one before failed. `continues`: whether another goes on in
    the middle of an answer. `route_id`: None for a model by itself. Times in seconds; without a `cooldown`, nobody is
    left alone.
    """

    tenant_id: UUID
    route_id: UUID | None
    targets: Sequence[Model]
    fallbacks: Mapping[Failure, Sequence[Model]]
    retry: Retry
    cooldown: float
    cooldown_after: int
    continues: bool = False

    @property
    def models(self) -> list[Model]:
        """Everyone who may be asked."""
        return [*self.targets, *(model for models in self.fallbacks.values() for model in models)]


@dataclass(frozen=True, slots=True)
class Began:
    """A model begins to answer. `after`: what the one before broke off with; None: nobody had begun."""

    meter: Meter
    after: DomainError | None


class Attempts:
    """One call's way to its answer: `choose`, and then `stream`. `meters`: of each model that was asked, the last of
    which is not ended yet.
    """

    _first: tuple[Model, ChatModel]
    _ready: tuple[ChatRequest, Answer] | None = None

    def __init__(
        self, plan: Plan, reach: Callable[[Model], ChatModel], metered: Callable[[Model], Meter], breakers: Breakers
    ) -> None:
        self._plan = plan
        self._reach = reach
        self._metered = metered
        self._breakers = breakers
        self._asked: set[UUID] = set()
        self._chosen: UUID | None = None
        self._waiting: float | None = None
        self.meters: list[Meter] = []

    def choose(self) -> None:
        """Chooses who is asked first, who may then be on trial: nobody else is asked until `stream` has ended, or
        `leave` was called.

        Raises what is wrong before any model is asked: ModelNotConfigured, ModelUnavailable where all cool down.
        """
        self._first = self._choose(None)

    def prepare(self, request: Callable[[Model], ChatRequest]) -> None:
        """Makes what the first model will be sent, which `stream` does else. Nothing goes out, nothing is on record."""
        model, chat = self._first
        asked = request(model)
        self._ready = asked, self._answer(chat, asked)

    async def stream(
        self, request: Callable[[Model], ChatRequest], admits: Admits, *, whole: bool = False
    ) -> AsyncGenerator[Sequence[ChatChunk | Began], None]:
        """What the models write, in batches of what came together: Began before the first of each one's, then chunks.

        Raises what the last of them fails with, or what forbids another attempt, after its Began. `request`: what a
        model is asked. `admits`: is asked before every attempt but the first. `whole`: an answer is given when it has
        come to its end, in one batch; what breaks off before is replaced as if it had never begun.
        """
        if self._ready is None:
            self.prepare(request)
        assert self._ready is not None
        model, chat = self._first
        asked, answer = self._ready
        after: DomainError | None = None
        written: list[str] = []
        called = False
        switches = 0
        while True:
            meter = self._metered(model)
            self.meters.append(meter)
            forbids: DomainError | None = None
            while True:
                meter.ask()
                unseen = Writing()
                try:
                    begun = False
                    held: list[ToolCallDelta] = []
                    async with aclosing(answer) as source:
                        async for batch in source:
                            self._heard(model)
                            for chunk in batch:
                                meter.take(chunk)
                            if whole:
                                for chunk in batch:
                                    unseen.add(chunk)
                            elif begun:
                                yield batch
                            elif meter.begun:
                                begun = True
                                batch = (ChatChunk(tool_calls=tuple(held)), *batch) if held else batch
                                yield (Began(meter, after), *batch)
                            else:
                                # Ids alone are nothing yet that another could not replace.
                                held.extend(call for chunk in batch for call in chunk.tool_calls)
                                if len(held) > MOST_HELD:
                                    raise ModelResponseInvalid
                            if begun and self._plan.continues:
                                written.extend(chunk.text for chunk in batch)
                                called = called or any(chunk.tool_calls for chunk in batch)
                    if meter.filtered and self._plan.fallbacks.get("content_filter"):
                        raise ModelContentFiltered
                    if not begun:
                        yield (Began(meter, after), ChatChunk(unseen.text, tool_calls=tuple(unseen.parts)))
                except asyncio.CancelledError:
                    self._note_left(model, asked)
                    raise
                except DomainError as error:
                    failed = error
                    meter.reading = 0
                    self._waiting = None
                else:
                    self._breakers.succeeded(self._plan.route_id, model.id)
                    self._chosen = None
                    return
                failure = failure_of(failed)
                wait = self._noted(model, failed, failure)
                if failure not in PASSING or meter.begun:
                    self.leave()
                if meter.begun or wait is None:
                    break
                if (pause := self._plan.retry.wait(meter.attempts, wait, RANDOM)) is None:
                    break
                if (forbids := await admits(model, asked)) is not None:
                    break
                await asyncio.sleep(pause)
                answer = self._answer(chat, asked)
            meter.end("error", failed)
            seen = meter.begun and not whole
            # Half a call of a tool is nothing that another model could go on with.
            goes_on = not seen or (self._plan.continues and not called and switches < MOST_SWITCHES)
            following = self._following(failure) if goes_on and forbids is None else None
            if following is not None:
                model, chat = following
                asked = self._going_on(request(model), written)
                forbids = await admits(model, asked)
            if following is None or forbids is not None:
                if not begun:
                    yield (Began(meter, after), ChatChunk(unseen.text, tool_calls=tuple(unseen.parts)))
                raise forbids or failed
            if seen:
                after = failed
                switches += 1
            answer = self._answer(chat, asked)

    def _answer(self, chat: ChatModel, request: ChatRequest) -> Answer:
        """The model's answer, which tells the meter when the request has gone out."""

        def sent() -> None:
            self.meters[-1].reading = about(request)
            self._waiting = self._breakers.moment()

        return chat.stream(replace(request, sent=sent))

    def leave(self) -> None:
        """Says that nothing more will be heard of how the model is doing that was chosen last."""
        if self._chosen is not None:
            self._breakers.left(self._plan.route_id, self._chosen)
            self._chosen = None

    def _heard(self, model: Model) -> None:
        """The model has said something, for the first time in this attempt where one waits for it."""
        if self._waiting is not None:
            self._waiting = None
            if self._plan.cooldown:
                self._breakers.heard(self._plan.route_id, model.id)

    def _note_left(self, model: Model, asked: ChatRequest) -> None:
        """Counts an outage where the caller leaves, or has no time left, before the model has said anything for long.

        Callers who wait for less than a provider may be silent would be sent to one that hangs for ever. Who has had
        an answer of it meanwhile, whoever they are, shows that it does not.
        """
        if self._waiting is None:
            return
        least = UNHEARD_SECONDS if asked.streams else UNHEARD_WHOLE_SECONDS
        if self._breakers.unheard(self._plan.route_id, model.id, self._waiting) >= least:
            self._count(model, "outage")

    def _noted(self, model: Model, error: DomainError, failure: Failure | None) -> float | None:
        """Counts the failure; the seconds that the provider asks for, None where another try is of no use."""
        if failure not in PASSING:
            return None
        asked = error.asked if isinstance(error, ModelUnavailable | ModelRateLimited) else None
        self._count(model, failure, asked)
        if isinstance(error, ModelNotConfigured | ModelCredentialRefused):
            return None
        # To wait as long once more would leave no time for anybody else.
        if isinstance(error, ModelUnavailable) and error.outage is Outage.SILENT:
            return None
        if isinstance(error, ModelRateLimited) and error.retry_after is None:
            return None
        return asked or 0.0

    def _count(self, model: Model, failure: Failure, retry_after: float | None = None) -> None:
        self._breakers.failed(
            self._plan.route_id,
            model.id,
            failure,
            after=self._plan.cooldown_after,
            cooldown=self._plan.cooldown,
            retry_after=retry_after,
        )

    def _going_on(self, request: ChatRequest, written: Sequence[str]) -> ChatRequest:
        """The request for a model that goes on where others broke off."""
        if not any(written):
            return request
        tokens = sum(meter.written for meter in self.meters if meter.begun)
        return request.with_answer(Message("assistant", "".join(written)), tokens)

    def _following(self, failure: Failure | None) -> tuple[Model, ChatModel] | None:
        if failure is None:
            return None
        try:
            return self._choose(failure)
        except (ModelNotConfigured, ModelUnavailable):
            return None

    def _choose(self, failure: Failure | None) -> tuple[Model, ChatModel]:
        """The next model that may be asked after one that failed so; None: none was asked. Raises why there is none.

        A target that is left alone counts as one that failed as it did then.
        """
        unset = None
        failures = [] if failure is None else [failure]
        if failure is None and not self._plan.targets:
            failures.append("outage")  # nobody is there, as where nobody answers
        cooling = []
        targets = self._plan.targets if failure is None or failure in PASSING else ()
        for model in self._not_asked(targets):
            if not self._allows(model):
                health = self._breakers.health(self._plan.route_id, model.id)
                cooling.append(health.cooling)
                failures.append(health.last)
                continue
            try:
                return self._taken(model)
            except ModelNotConfigured as error:
                self.leave()
                unset = unset or error
                failures.append("outage")
        fallbacks = (model for kind in dict.fromkeys(failures) for model in self._plan.fallbacks.get(kind, ()))
        for model in self._not_asked(fallbacks):
            if not self._allows(model):
                cooling.append(self._breakers.health(self._plan.route_id, model.id).cooling)
                continue
            try:
                return self._taken(model)
            except ModelNotConfigured as error:
                self.leave()
                unset = unset or error
        if cooling:  # what cools down will be asked again, what is not set up stays so
            # Who is on trial has no time left to cool, and may answer at any moment.
            raise ModelUnavailable(min(cooling) or None, Outage.COOLING)
        raise unset or ModelUnavailable

    def _allows(self, model: Model) -> bool:
        return not self._plan.cooldown or self._breakers.allows(self._plan.route_id, model.id)

    def _taken(self, model: Model) -> tuple[Model, ChatModel]:
        self._asked.add(model.id)
        self._chosen = model.id
        return model, self._reach(model)

    def _not_asked(self, models: Iterable[Model]) -> Iterator[Model]:
        return (model for model in models if model.id not in self._asked)
