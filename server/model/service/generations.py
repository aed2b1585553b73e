"""Streams that go on where their caller's connection is lost, and are taken up again on any server."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from time import monotonic
from uuid import UUID

from server.db.database import Database
from server.kernel.errors import DatabaseUnavailable, DeadlineExceeded, DomainError, InvalidRequest
from server.kernel.ids import uuid7
from server.kernel.principal import current_call
from server.kernel.tasks import Background
from server.model.domain import (
    GenerationCancelled,
    GenerationIdReused,
    GenerationLost,
    GenerationNotFound,
    TooManyGenerations,
)
from server.model.feed import Feed
from server.model.store import generations as store

MOST_SECONDS = 600.0
"""The longest that a stream goes on without its caller."""

_LIFE_SECONDS = 3600.0
_GATHER_SECONDS = 0.1
_KEEP_SECONDS = 1.0

# A stream whose caller has lost the right to it ends within five seconds, as it does where they read it themselves.
_LOOK_SECONDS = 2.0
_RETRY_SECONDS = 1.0

MOST = 1_000
MOST_OF_TENANT = 100
"""How many streams are being written at once in a process, and how many of these are one tenant's."""

MOST_HELD = 262_144
"""Bytes of a stream's events that a process holds: so many that are not written down yet, and so many that are."""

Source = AsyncGenerator[Sequence[bytes], None]
Failed = Callable[[int, DomainError], bytes]
"""The last event of a stream that failed, with its number."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """How a stream is begun that is not there yet. `asked`: a hash of all that is asked for; `source`: its events, of
    the stream with that id.
    """

    asked: bytes
    source: Callable[[UUID], Source]


class _Nothing(Exception):
    """The stream is not here: it came to nothing before its first event, or another server has begun it."""


class Generations:
    """Writes streams down as they come, so that they can be read again from any event on.

    Those who read in the process that writes read its memory; others read the database, some moments later.
    """

    def __init__(
        self,
        database: Database,
        background: Background,
        failed: Failed,
        *,
        most: int = MOST,
        most_of_tenant: int = MOST_OF_TENANT,
        most_held: int = MOST_HELD,
    ) -> None:
        """`most`, `most_of_tenant`: how many are written at once. They go on without a call that could be counted.
        `most_held`: bytes of each.
        """
        self._most = most
        self._most_of_tenant = most_of_tenant
        self._most_held = most_held
        self._running: Counter[UUID] = Counter()
        self._database = database
        self._background = background
        self._failed = failed
        self._feeds: dict[store.Key, Feed] = {}

    async def stream(self, generation_id: UUID | None, after_seq: int, beginning: Beginning | None) -> Source:
        """The caller's stream of that id from behind that event on, until its last. It is begun where it is not there:
        from then on it goes on until its end, or until the caller has lost the right to it, whoever leaves.

        `generation_id`: None: one that is new. `beginning`: None: it is there. Raises what the stream fails with before
        its first event, GenerationNotFound for one that should be there and is not, GenerationIdReused for one that
        something else was asked of, TooManyGenerations, and InvalidRequest where it has ended before that event.
        """
        caller = current_call().caller
        key = store.Key(caller.tenant_id, caller.user_id, generation_id or uuid7())
        looked_for, begun = generation_id is not None, False
        while True:
            state = await store.state(self._database, key) if looked_for and key not in self._feeds else None
            feed = self._feeds.get(key)
            if feed is None and state is None:
                if beginning is None or (looked_for and after_seq):
                    raise GenerationNotFound(key.called)
                feed = self._begin(key, beginning)
            there = feed or state
            if beginning is not None and there is not None and there.asked != beginning.asked:
                raise GenerationIdReused
            source = self._stored(key, after_seq) if feed is None else self._read(feed, after_seq)
            try:
                async with aclosing(source):
                    async for batch in source:
                        begun = True
                        yield batch
            except _Nothing:
                if begun:
                    raise GenerationNotFound(key.called) from None
                looked_for = True
            else:
                return

    async def cancel(self, generation_id: UUID) -> None:
        """Ends the caller's stream, where it has not ended. Raises GenerationNotFound."""
        caller = current_call().caller
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            if not await store.cancel(tx, store.Key(caller.tenant_id, caller.user_id, generation_id)):
                raise GenerationNotFound(generation_id)

    def cancelled(self, payload: str) -> None:
        """Somebody's stream was ended by `cancel`, on any server. Who does not hear of it finds it written down."""
        if feed := self._feeds.get(store.read_cancelled(payload)):
            feed.end(GenerationCancelled())

    async def close(self, seconds: float) -> None:
        """Lets the streams that this process writes come to their end within that time; the rest are lost with it."""
        running = [feed.task for feed in self._feeds.values() if feed.task is not None and not feed.ended]
        if running:
            await asyncio.wait(running, timeout=seconds)
            for feed in list(self._feeds.values()):
                feed.end(GenerationLost())

    def _begin(self, key: store.Key, beginning: Beginning) -> Feed:
        self._check_room(key.tenant_id)
        feed = Feed(key, uuid7(), beginning.asked, current_call().confirm, self._most_held)
        self._feeds[key] = feed
        self._running[key.tenant_id] += 1
        feed.task = self._background.start(self._run(feed, beginning), "generation")
        feed.task.add_done_callback(lambda _: self._ended(key.tenant_id))
        return feed

    def _check_room(self, tenant_id: UUID) -> None:
        for subject, running, most in (
            ("tenant", self._running[tenant_id], self._most_of_tenant),
            ("server", self._running.total(), self._most),
        ):
            if running >= most:
                raise TooManyGenerations(subject, _RETRY_SECONDS)

    def _ended(self, tenant_id: UUID) -> None:
        self._running[tenant_id] -= 1
        if not self._running[tenant_id]:
            del self._running[tenant_id]

    async def _run(self, feed: Feed, beginning: Beginning) -> None:
        """Writes that there is such a stream, and then has it made; what it fails with is what readers are told."""
        writer: asyncio.Task[None] | None = None
        failure: Exception | None = None
        try:
            async with asyncio.timeout(MOST_SECONDS):
                await self._write_beginning(feed)
                writer = self._background.start(self._write(feed), "generation events")
                async with aclosing(beginning.source(feed.key.called)) as source:
                    async for batch in source:
                        feed.add(batch)
                        await feed.room.wait()
        except TimeoutError:
            failure = DeadlineExceeded()
        except asyncio.CancelledError:
            # Ended from here, or with the server: whoever reads is told which, and that it was begun.
            feed.add((self._failed(feed.last_seq + 1, feed.ending or GenerationLost()),))
        except (DomainError, _Nothing) as error:
            failure = error
        except Exception as error:
            failure = error
            raise
        finally:
            if failure is not None and feed.last_seq:
                told = failure if isinstance(failure, DomainError) else GenerationLost()
                feed.add((self._failed(feed.last_seq + 1, told),))
            elif failure is not None:
                feed.refused = failure
            feed.ended = True
            if writer is None or feed.refused is not None:
                await self._forget(feed, writer)
            feed.wake()

    async def _write_beginning(self, feed: Feed) -> None:
        """Raises _Nothing where another server was faster."""
        async with self._database.tenant_tx(feed.key.tenant_id) as tx:
            if not await store.create(tx, feed.key, feed.row_id, feed.asked, _LIFE_SECONDS):
                raise _Nothing

    async def _forget(self, feed: Feed, writer: asyncio.Task[None] | None) -> None:
        """Leaves nothing of a stream that came to nothing: whoever asks for it again has it begun again."""
        try:
            if writer is not None:
                writer.cancel()
                await asyncio.wait([writer])
                with suppress(DatabaseUnavailable):
                    async with self._database.tenant_tx(feed.key.tenant_id) as tx:
                        await store.remove(tx, feed.row_id)
        finally:
            self._let_go(feed)

    def _let_go(self, feed: Feed) -> None:
        if self._feeds.get(feed.key) is feed:
            del self._feeds[feed.key]

    async def _write(self, feed: Feed) -> None:
        """Writes down what came, all of some moments at a time, and that this server is there.

        Where others have ended it, what they are told is what is written down: its last event may have a number that an
        event which is not written has here. Those who read here have seen that one; they are told of the loss with the
        number behind their last, so that each reader has one last event and no number twice.
        """
        looked_at = monotonic()
        try:
            while True:
                ended = feed.ended
                new = feed.after(feed.written)
                try:
                    async with self._database.tenant_tx(feed.key.tenant_id) as tx:
                        cancelled = await store.keep(tx, feed.row_id, ended=ended)
                        if new:
                            await store.add(tx, feed.row_id, feed.written + 1, new)
                except DatabaseUnavailable:
                    cancelled = False
                except GenerationLost:
                    return
                else:
                    feed.wrote(new)
                    if ended:
                        return
                if cancelled:
                    feed.end(GenerationCancelled())
                if not feed.ended and monotonic() - looked_at >= _LOOK_SECONDS:
                    await feed.look()
                    looked_at = monotonic()
                if feed.written == feed.last_seq and not feed.ended:
                    await feed.changes(_KEEP_SECONDS)
                await asyncio.sleep(_GATHER_SECONDS)
        finally:
            if feed.refused is None:
                self._let_go(feed)
                feed.end(GenerationLost())  # what is not written down is not gone on with

    async def _read(self, feed: Feed, seq: int) -> Source:
        while True:
            changed = feed.changed
            if feed.refused is not None:
                raise feed.refused
            if seq < feed.dropped:
                runs = await self._runs(feed.key.tenant_id, feed.row_id, seq)
                if not runs:
                    raise _Nothing
                for run in runs:
                    new = run[: feed.written - seq]  # behind that stands what others ended it with, if anything
                    seq += len(new)
                    yield new
                    if len(new) < len(run):
                        break
            elif new := feed.after(seq):
                seq += len(new)
                yield new
            elif seq > feed.last_seq and feed.ended:
                raise _behind_the_last()
            elif feed.ended:
                return
            else:
                await changed.wait()

    async def _stored(self, key: store.Key, seq: int) -> Source:
        row_id: UUID | None = None
        seen = seq
        while True:
            # The state is read first: what is there when the stream has ended is all of it.
            state = await store.state(self._database, key)
            if state is None or row_id not in (None, state.row_id):
                raise _Nothing
            row_id = state.row_id
            runs = await self._runs(key.tenant_id, row_id, seq)
            for new in runs:
                seq += len(new)
                yield new
            if runs:
                continue
            if state.ended:
                if seq == seen and state.lost:
                    # Whoever read it where it was written may have seen more than is written, and no last event.
                    yield (self._failed(seq + 1, GenerationLost()),)
                elif seq == seen and seq and not await self._runs(key.tenant_id, row_id, seq - 1):
                    raise _behind_the_last()
                return
            if not (state.overdue and await self._lose(key.tenant_id, row_id)):
                await asyncio.sleep(_GATHER_SECONDS)

    async def _lose(self, tenant_id: UUID, row_id: UUID) -> bool:
        """Ends a stream whose server counts as gone; whether it did."""
        async with self._database.tenant_tx(tenant_id) as tx:
            seq = await store.lose(tx, row_id)
            if seq is not None:
                await store.add(tx, row_id, seq, [self._failed(seq, GenerationLost())])
        return seq is not None

    async def _runs(self, tenant_id: UUID, row_id: UUID, seq: int) -> list[list[bytes]]:
        """Some of what is written down from behind that event on."""
        async with self._database.tenant_tx(tenant_id) as tx:
            found = await store.events(tx, row_id, seq)
        runs = []
        for first, messages in found:
            runs.append(messages[max(0, seq - first + 1) :])
            seq = first + len(messages) - 1
        return runs


def _behind_the_last() -> InvalidRequest:
    return InvalidRequest([("after_seq", "lies behind the stream's last event")])
