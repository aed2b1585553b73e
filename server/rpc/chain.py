"""The way of a call: the steps, their order, and why each stands where it does."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from time import perf_counter
from typing import Any, TypeAlias

import grpc

from server.kernel.errors import DomainError, Unavailable
from server.kernel.principal import begin_call
from server.rpc.ceiling import Ceiling
from server.rpc.policy import Rule
from server.rpc.status import DETAILS_KEY, Internal, status_of
from server.rpc.steps.authenticate import Authenticate
from server.rpc.steps.authorize import Authorize
from server.rpc.steps.observe import Observe
from server.rpc.steps.shed import Shed
from server.rpc.steps.trace import REQUEST_ID_KEY, TRACE_ID_KEY, Trace
from server.rpc.steps.validate import Validate

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
    authorize: Authorize
    validate: Validate
    observe: Observe


class Chain:
    """Wraps the handlers of the servicers.

    The steps are composed here, at registration, and not as gRPC interceptors: each of those costs a call 8 to 10 % of
    its throughput (docs/adr/0001-chain-at-registration.md).
    """

    def __init__(self, steps: Steps, ceiling: float) -> None:
        self._steps = steps
        self._ceiling = ceiling
        self._streams: set[asyncio.Task[Any]] = set()
        self._draining = False

    def wrap(self, path: str, rule: Rule, handler: Handler, *, requests: bool, responses: bool) -> Handler:
        """The handler with the whole way around it. `requests`, `responses`: whether that side is a stream."""
        steps = self._steps
        act = self._act(handler, requests)
        limited = Ceiling(rule.ceiling or self._ceiling)
        streams: set[asyncio.Task[Any]] = self._streams if responses else set()

        async def handle(request: Any, context: Context) -> Any:  # noqa: RET503 - abort raises
            started = perf_counter()
            # First, so that every answer, a refusal too, carries the ids by which it can be found.
            call, authorization = steps.trace.begin(path, context.invocation_metadata() or (), context.peer())
            begin_call(call)
            trailers = ((REQUEST_ID_KEY, call.request_id), (TRACE_ID_KEY, call.trace_id))
            context.set_trailing_metadata(trailers)
            error: DomainError
            task = asyncio.current_task()
            assert task is not None
            streams.add(task)
            try:
                if rule.unlimited:
                    response = await act(request, context)
                else:
                    # Before any work is done for the call: refusing must stay cheaper than serving.
                    with steps.shed, limited():
                        call.principal = await steps.authenticate(rule, authorization)
                        # Before validation: what a request must look like is only for those who may make it.
                        await steps.authorize(rule, call)
                        response = await act(request, context)
            except asyncio.CancelledError:
                if not (self._draining and responses) or context.cancelled():
                    steps.observe.ended(call, grpc.StatusCode.CANCELLED, started)
                    raise
                task.uncancel()
                error = ServerShuttingDown()
            except grpc.aio.AbortError:  # a standard service has answered for itself
                raise
            except DomainError as raised:
                error = raised
            except Exception as raised:  # noqa: BLE001 - whatever it is, the caller learns nothing of it
                steps.observe.crashed(call, raised)
                error = Internal()
            else:
                steps.observe.ended(call, grpc.StatusCode.OK, started)
                return response
            finally:
                streams.discard(task)
            status = status_of(error, call)
            steps.observe.ended(call, status.code, started, error.reason)
            await context.abort(status.code, status.text, (*trailers, (DETAILS_KEY, status.details)))

        return handle

    def _act(self, handler: Handler, requests: bool) -> Handler:
        """The handler behind validation; what a generator yields is written as it comes."""
        validate = self._steps.validate
        generates = inspect.isasyncgenfunction(handler)

        async def act(request: Any, context: Context) -> Any:
            if requests:
                request = _validated(request, validate)
            else:
                validate(request)
            if not generates:
                return await handler(request, context)
            # Closed here and now however this ends, so that what the generator holds is let go at once.
            async with aclosing(handler(request, context)) as replies:
                async for reply in replies:
                    await context.write(reply)
            return None

        return act

    async def drain(self) -> None:
        """Ends every running stream with UNAVAILABLE, and every later one; unary calls are let finish."""
        self._draining = True
        tasks = [task for task in self._streams if not task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def _validated(requests: AsyncIterator[Any], validate: Validate) -> AsyncIterator[Any]:
    async for request in requests:
        validate(request)
        yield request
