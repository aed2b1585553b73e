"""Embeddings: in batches that providers take, in their order, and as many as can be had."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from server.kernel.errors import DatabaseUnavailable, DomainError, InvalidArgument, Unavailable
from server.kernel.principal import current_call
from server.llm.metering import estimated
from server.llm.port import (
    MOST_TOKENS,
    EmbeddingModel,
    ModelNotConfigured,
    ModelRateLimited,
    ModelResponseInvalid,
    ModelUnavailable,
    Outage,
    Usage,
    Vector,
)
from server.model.attempts import RANDOM
from server.model.catalogue import Catalogue
from server.model.domain import CallLog, Deprecated, Model
from server.model.holds import NO_HOLD
from server.model.ledger import Ledger
from server.model.limits import LimitReached
from server.model.meter import Meter
from server.model.routes import PASSING, failure_of
from server.model.service.books import Books, Entry
from server.model.service.caches import Caches
from server.model.service.calls import INTERNAL, why_ended
from server.model.service.planning import RETRY, Planner, again, carried, claimed, most_tokens, named
from server.model.service.reach import Reach

# OpenAI takes 2,048 texts and 300,000 tokens at once (platform.openai.com/docs/api-reference/embeddings), others less.
_MOST_TEXTS = 512
_MOST_BYTES = 262_144
_AT_ONCE = 4

_MOST_REFUSALS = 64
"""How often a provider may refuse a call's texts, and twice more for each time that it takes some."""


_Found = Mapping[str, Vector | DomainError]
"""Vectors by their texts, or why there is none."""


@dataclass(frozen=True, slots=True)
class Embeddings:
    """A vector for each input, in their order, or why there is none. `log`: the call's record."""

    vectors: Sequence[Vector | DomainError]
    model: str
    log: CallLog
    deprecated: Deprecated | None


class EmbedService:
    """Has models turn texts into vectors for the tenants."""

    def __init__(self, planner: Planner, reach: Reach, ledger: Ledger, books: Books, caches: Caches) -> None:
        self._planner = planner
        self._reach = reach
        self._ledger = ledger
        self._books = books
        self._caches = caches

    async def model(self, name: str) -> Model:
        """The model of that name, which the caller may embed with; empty: the tenant's default. Raises ModelNotNamed,
        ModelNotAllowed, ModelNotFound, ModelDisabled, ModelKindMismatch, FeatureMissing.
        """
        return _model(await self._planner.catalogue(), name)

    async def check_key(self, name: str) -> None:
        """Raises ModelNotAllowed where the caller's key is for other models than that."""
        if current_call().caller.allowed_models is not None:
            named(await self._planner.catalogue(), name)

    async def embed(self, name: str, inputs: Sequence[str], cache_ttl: int | None) -> Embeddings:
        """A vector for each input. Raises what is wrong with the call, and what the provider fails with where it fails
        for all. `cache_ttl`: seconds for which vectors may be given again; each is kept as soon as it is there, so that
        a call that is made again asks for those only that are missing.
        """
        catalogue = await self._planner.catalogue()
        tenant_id = catalogue.tenant_id
        model = _model(catalogue, name)
        try:
            embedder = self._reach.embedding(catalogue, model)
        except ModelNotConfigured as error:
            unmade = Meter(current_call(), model, "embedding").end("error", error)
            with suppress(DatabaseUnavailable):  # what is wrong with the call is what its caller is told
                await self._books.enter(tenant_id, Entry([unmade], NO_HOLD))
            raise
        texts = list(dict.fromkeys(inputs))
        known = {} if cache_ttl is None else await self._caches.vectors(tenant_id, model, texts, cache_ttl)
        wanted = [text for text in texts if text not in known]
        meter = Meter(current_call(), model, "embedding", cached=not wanted)
        claims = claimed(catalogue, lambda: (most_tokens(wanted), 0), [model], meter.began_at)
        hold = await self._ledger.reserve(tenant_id, claims)

        async def admits(wasted: Usage) -> DomainError | None:
            nonlocal hold
            try:
                more = await self._ledger.reserve(tenant_id, again(hold.claims, wasted, model, wanted))
            except DomainError as error:
                return error
            hold = hold.with_more(more)
            return None

        async def keep(found: _Found) -> None:
            vectors = {text: one for text, one in found.items() if not isinstance(one, DomainError)}
            if vectors and cache_ttl is not None:
                await self._caches.keep_vectors(tenant_id, model, vectors, cache_ttl)

        try:
            found = await _Fetching(meter, embedder, admits, keep).every(wanted)
            failures = [one for one in found.values() if isinstance(one, DomainError)]
            if failures and len(failures) == len(texts):
                raise failures[0]
        except DomainError as error:
            await self._books.enter(tenant_id, Entry([meter.end("error", error)], hold))
            raise
        except asyncio.CancelledError as left:
            self._books.begin_to_enter(tenant_id, Entry([meter.end("cancelled", why_ended(left))], hold))
            raise
        except Exception:
            self._books.begin_to_enter(tenant_id, Entry([meter.end("error", INTERNAL)], hold))
            raise
        why = failures[0] if failures else None
        log = meter.end("error" if failures and len(failures) == len(wanted) else "success", why)
        await self._books.enter(tenant_id, Entry([log], hold))
        if any(failure_of(one) in PASSING or isinstance(one, LimitReached) for one in failures):
            current_call().answer_stands = False
        every = {**known, **found}
        return Embeddings([every[text] for text in inputs], model.name, log, catalogue.deprecated(model))


def _model(catalogue: Catalogue, name: str) -> Model:
    return catalogue.model(named(catalogue, name or catalogue.settings.default_embedding_model), "embedding")


class _Fetching:
    """One call's way to its vectors. `admits`: what forbids another try, where others have wasted that. `keep`: is
    given what came, a batch at a time.
    """

    def __init__(
        self,
        meter: Meter,
        embedder: EmbeddingModel,
        admits: Callable[[Usage], Awaitable[DomainError | None]],
        keep: Callable[[_Found], Awaitable[None]],
    ) -> None:
        self._meter = meter
        self._embedder = embedder
        self._admits = admits
        self._keep = keep
        self._refusals = self._taken = 0
        self._wasted = Usage()
        self._gone: ModelUnavailable | None = None

    async def every(self, texts: Sequence[str]) -> dict[str, Vector | DomainError]:
        """By their texts, some batches at once."""
        found: dict[str, Vector | DomainError] = {}
        turn = asyncio.Semaphore(_AT_ONCE)

        async def fetch(batch: Sequence[str]) -> None:
            async with turn:
                got = await self._batch(batch)
            found.update(got)
            await self._keep(got)

        async with asyncio.TaskGroup() as group:
            for batch in _batches(texts):
                group.create_task(fetch(batch))
        return found

    async def _batch(self, texts: Sequence[str]) -> dict[str, Vector | DomainError]:
        meter, attempt = self._meter, 0

        def wasted(usage: Usage) -> None:
            meter.usage = meter.usage.and_also(usage)
            self._wasted = self._wasted.and_also(usage)

        while True:
            if self._gone is not None:
                return dict.fromkeys(texts, self._gone)
            attempt += 1
            meter.attempts += 1
            try:
                with _reading(meter, texts) as sent:
                    result = await self._embedder.embed(texts, carried(meter.call), sent, wasted)
                used = meter.usage.prompt_tokens + result.usage.prompt_tokens
                if used > MOST_TOKENS:  # each may be possible, and all of one call are not
                    raise ModelResponseInvalid
            except (Unavailable, ModelRateLimited) as error:
                if isinstance(error, ModelUnavailable) and error.outage is Outage.SILENT:
                    # To wait as long once more, for these or for others, would take all the time that the call has.
                    self._gone = error
                    continue
                helps = error.retry_after is not None
                pause = RETRY.wait(attempt, error.retry_after, RANDOM) if helps else None
                if pause is None:
                    return dict.fromkeys(texts, error)
                if self._wasted.prompt_tokens and (forbids := await self._admits(self._wasted)) is not None:
                    return dict.fromkeys(texts, forbids)
                await asyncio.sleep(pause)
            except InvalidArgument as error:
                # Which of them it is about is found by halves; the others are embedded all the same. A provider that
                # refuses whatever it is asked is not asked for each.
                self._refusals += 1
                if len(texts) == 1 or self._refusals > _MOST_REFUSALS + 2 * self._taken:
                    return dict.fromkeys(texts, error)
                middle = len(texts) // 2
                return await self._batch(texts[:middle]) | await self._batch(texts[middle:])
            except DomainError as error:
                return dict.fromkeys(texts, error)
            else:
                self._taken += 1
                meter.usage = Usage(used)
                return dict(zip(texts, result.vectors, strict=True))


@contextmanager
def _reading(meter: Meter, texts: Sequence[str]) -> Iterator[Callable[[], None]]:
    """What says that the provider has been sent the texts: whoever leaves before its answer pays for their reading."""
    tokens = 0

    def sent() -> None:
        nonlocal tokens
        meter.reading -= tokens  # of another connection, which was closed
        tokens = estimated(texts).prompt_tokens
        meter.reading += tokens

    try:
        yield sent
    except asyncio.CancelledError:
        tokens = 0
        raise
    finally:
        meter.reading -= tokens


def _batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """As many texts at once as a provider takes, in their order."""
    batch: list[str] = []
    size = 0
    for text in texts:
        length = len(text.encode())
        if batch and (len(batch) == _MOST_TEXTS or size + length > _MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += length
    if batch:
        yield batch
