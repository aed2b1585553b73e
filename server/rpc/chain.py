"""The way of a call: the steps, their order, and why each stands where it does."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, nullcontext
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any, TypeAlias

import grpc

from server.kernel.errors import DomainError, TenantGone, Unavailable
from server.kernel.principal import Call, begin_call
from server.rpc.ceiling import Ceiling
from server.rpc.policy import Rule
from server.rpc.status import DETAILS_KEY, Internal, status_of
from server.rpc.steps.authenticate import Authenticate
from server.rpc.steps.authorize import Authorize, permit
from server.rpc.steps.enter import Enter
from server.rpc.steps.observe import Observe
from server.rpc.steps.repeat import KEY_FIELD, Repeat
from server.rpc.steps.shed import Shed
from server.rpc.steps.trace import REQUEST_ID_KEY, TRACE_ID_KEY, Credentials, Trace
from server.rpc.steps.validate import Validate, reader

# A stream whose caller has lost the right to it ends within five seconds: two of these, and the time to ask.
_LOOK_SECONDS = 2.0
_LONGEST_LOOK_SECONDS = 2.0
# Fewer than the connections of a process: the calls that come in need some too.
_LOOKS_AT_ONCE = 4

Context: TypeAlias = grpc.aio.ServicerContext
Handler = Callable[[Any, Any], Any]


class ServerShuttingDown(Unavailable):
    """The server is shutting down: call again, and another one answers."""


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps that a call goes through, each made once."""

    trace: Trace
    shed: Shed
    authenticate: Authenticate
    enter: Enter
    authorize: Authorize
    validate: Validate
    repeat: Repeat
    observe: Observe


@dataclass(slots=True, eq=False)
class _Stream:
    """A running stream, of requests or of responses. `ending`: why it is being ended from here."""

    rule: Rule
    call: Call
    credentials: Credentials
    ending: DomainError | None = None


class Chain:
    """Wraps the handlers of the servicers.

    The steps are composed here, at registration, and not as gRPC interceptors: each of those costs a call 8 to 10 % of
    its throughput (docs/adr/0001-chain-at-registration.md).
    """

    def __init__(
        self, steps: Steps, ceiling: float, *, mutual_tls: bool = False, look_seconds: float = _LOOK_SECONDS
    ) -> None:
        """`mutual_tls`: every connection comes with a certificate. `look_seconds`: between two looks at the streams."""
        self._look_seconds = look_seconds
        self._steps = steps
        self._ceiling = ceiling
        self._mutual_tls = mutual_tls
        self._streams: dict[asyncio.Task[Any], _Stream] = {}
        self._unary: list[Ceiling] = []
        self._draining = False

    def wrap(
        self,
        path: str,
        rule: Rule,
        handler: Handler,
        request_class: Any,
        response_class: Any,
        *,
        requests: bool,
        responses: bool,
    ) -> Handler:
        """The handler with the whole way around it, from the request's bytes on. `requests`, `responses`: whether that
        side is a stream.
        """
        steps = self._steps
        act = self._act(handler, request_class, response_class, requests=requests, detached=rule.detached)
        limited = Ceiling(rule.ceiling or self._ceiling)
        if not responses and not requests:
            self._unary.append(limited)

        async def handle(request: Any, context: Context) -> Any:  # noqa: RET503 - abort raises
            started = perf_counter()
            # First, so that every answer, a refusal too, carries the ids by which it can be found.
            call, credentials = steps.trace.begin(path, context.invocation_metadata() or (), context.peer())
            if self._mutual_tls:
                call.service = _service(context)
            begin_call(call)
            trailers = ((REQUEST_ID_KEY, call.request_id), (TRACE_ID_KEY, call.trace_id))
            context.set_trailing_metadata(trailers)
            error: DomainError
            task = asyncio.current_task()
            assert task is not None
            stream = _Stream(rule, call, credentials) if responses or requests else None
            if stream is not None:
                self._streams[task] = stream
                call.confirm = partial(self._confirm, stream)
            try:
                if rule.unlimited:
                    with nullcontext() if rule.ceiling is None else limited(task):
                        response = await act(request, context)
                else:
                    # Before any work is done for the call: refusing must stay cheaper than serving.
                    with steps.shed, limited(task):
                        # Mostly they are known already, and a coroutine more would be a part of what a call costs.
                        call.principal = steps.authenticate.recall(rule, credentials) or await steps.authenticate(
                            rule, credentials
                        )
                        # Before authorization, which looks at the tenant that is acted in, and audits into it.
                        if credentials.tenant is not None:
                            await steps.enter(call, credentials.tenant)
                        # Before validation: what a request must look like is only for those who may make it.
                        await steps.authorize(rule, call)
                        try:
                            response = await act(request, context)
                        except DomainError as refusal:  # what may be done to one object, the service decides
                            if refusal.security_event:
                                await steps.authorize.refused(call, refusal)
                            raise
            except asyncio.CancelledError:
                ending = None if stream is None else stream.ending or (ServerShuttingDown() if self._draining else None)
                if ending is None or context.cancelled():
                    steps.observe.ended(call, grpc.StatusCode.CANCELLED, started)
                    raise
                task.uncancel()
                error = ending
            except grpc.aio.AbortError:  # a standard service has answered for itself
                raise
            except TenantGone as raised:
                error = await self._without_tenant(call, credentials, raised)
            except DomainError as raised:
                error = raised
            except Exception as raised:  # noqa: BLE001 - whatever it is, the caller learns nothing of it
                steps.observe.crashed(call, raised)
                error = Internal()
            else:
                # Behind the answer, which gRPC sends before it gives up its turn.
                asyncio.get_running_loop().call_soon(steps.observe.ended, call, grpc.StatusCode.OK, started)
                return response
            finally:
                self._streams.pop(task, None)
            status = status_of(error, call)
            steps.observe.ended(call, status.code, started, error.reason)
            await context.abort(status.code, status.text, (*trailers, (DETAILS_KEY, status.details)))

        return handle

    def _act(
        self,
        handler: Handler,
        request_class: Any,
        response_class: Any,
        *,
        requests: bool,
        detached: bool,
    ) -> Handler:
        """The handler behind validation; what a generator yields is written as it comes."""
        validate, repeat = self._steps.validate, self._steps.repeat
        read = reader(request_class.FromString)

        async def act(data: bytes, context: Context) -> Any:
            request = read(data)
            validate(request)
            return await handler(request, context)

        async def act_once(data: bytes, context: Context) -> Any:
            request: Any = read(data)
            validate(request)
            if getattr(request, KEY_FIELD):
                return await repeat(request, lambda: handler(request, context), response_class, detached=detached)
            return await handler(request, context)

        async def validated(stream: AsyncIterator[bytes]) -> AsyncIterator[Any]:
            async for data in stream:
                request = read(data)
                validate(request)
                yield request

        async def act_on_stream(stream: Any, context: Context) -> Any:
            return await handler(validated(stream), context)

        async def generate(sent: Any, context: Context) -> None:
            request: Any
            if requests:
                request = validated(sent)
            else:
                request = read(sent)
                validate(request)
            # Closed here and now however this ends, so that what the generator holds is let go at once.
            async with aclosing(handler(request, context)) as replies:
                opened = False
                async for reply in replies:
                    if not opened:
                        await _open(context)
                        opened = True
                    await context.write(reply)

        if inspect.isasyncgenfunction(handler):
            return generate
        if requests:
            return act_on_stream
        return act_once if KEY_FIELD in request_class.DESCRIPTOR.fields_by_name else act

    async def _without_tenant(self, call: Call, credentials: Credentials, gone: TenantGone) -> DomainError:
        """What a call is refused with whose tenant was purged while it was under way: what the next one would be."""
        if call.principal is not None:
            try:
                await self._steps.authenticate.confirm(call.principal, credentials)
            except DomainError as refusal:
                return refusal
        self._steps.observe.crashed(call, gone)
        return Internal()

    async def drain(self) -> None:
        """Ends every running stream with UNAVAILABLE, and every later one; unary calls are let finish."""
        self._draining = True
        tasks = [task for task in self._streams if not task.done()]
        for task in tasks:
            self._end(task, ServerShuttingDown())
        if tasks:
            await asyncio.wait(tasks)

    def end_calls(self) -> None:
        """Ends every running unary call with UNAVAILABLE: its time to finish is over."""
        for limited in self._unary:
            limited.end(ServerShuttingDown())

    async def watch(self) -> None:
        """Ends the streams of callers who have lost the right to them meanwhile, and has the others go on as who their
        callers are now. Runs until it is cancelled.
        """
        room = asyncio.Semaphore(_LOOKS_AT_ONCE)
        while True:
            await asyncio.sleep(self._look_seconds)
            await asyncio.gather(*(self._look(task, stream, room) for task, stream in list(self._streams.items())))

    async def _look(self, task: asyncio.Task[Any], stream: _Stream, room: asyncio.Semaphore) -> None:
        """Ends the stream where its caller has lost the right to it. Raises nothing: the others are looked at still."""
        async with room:
            if task.done():
                return
            try:
                async with asyncio.timeout(_LONGEST_LOOK_SECONDS):
                    await self._confirm(stream)
            except (Unavailable, TimeoutError):  # the database's being away takes no right from anybody
                return
            except DomainError as error:
                self._end(task, error)
            except Exception as error:  # noqa: BLE001 - whatever it is, it comes again at the next look, or does not
                self._steps.observe.crashed(stream.call, error)

    async def _confirm(self, stream: _Stream) -> None:
        """Renews the stream's caller. Raises where they have lost the right to it meanwhile."""
        principal = stream.call.principal
        if principal is None:
            return
        caller = await self._steps.authenticate.confirm(principal, stream.credentials)
        permit(stream.rule, caller, stream.call.needed)
        # A call that was just beginning may have entered another tenant meanwhile.
        if stream.call.principal is principal:
            stream.call.renew(caller)

    def _end(self, task: asyncio.Task[Any], error: DomainError) -> None:
        stream = self._streams.get(task)
        if stream is not None and stream.ending is None:
            stream.ending = error
            task.cancel(error)


async def _open(context: Context) -> None:
    """Sends the headers of a stream, whether or not it is ended meanwhile.

    With the first reply they would wait for the reader. gRPC knows that they are sent only once that is over: a stream
    that is ended before then gets them a second time, with its status, which is refused, and it never ends.
    """
    sending = asyncio.ensure_future(context.send_initial_metadata(()))
    try:
        await asyncio.shield(sending)
    except asyncio.CancelledError:
        await asyncio.wait([sending])
        sending.exception()  # looked at: a client that has gone is no failure of ours
        raise


def _service(context: Context) -> str | None:
    names = context.auth_context().get("x509_common_name")
    return names[0].decode(errors="replace")[:255] if names else None
