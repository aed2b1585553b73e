"""Server processes: one in the foreground, or several that share the port, watched by a parent that serves nothing."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import structlog

from server.kernel.grace import last
from server.kernel.refusal import CommandRefused
from server.rpc.server import PortTaken
from server.settings import Settings
from server.telemetry import configure_logging

_log = structlog.get_logger("atrium.launch")

_RESTART_SECONDS = 1.0


def serve(settings: Settings, ready: Callable[[int], None]) -> None:
    """Serves until SIGTERM or SIGINT, then stops within the grace period. `ready` is called with the port.

    Raises PortTaken where the port cannot be listened on.
    """
    if settings.processes == 1:
        _run(settings, 0, ready)
    else:
        _serve_many(settings, ready)


def _run(settings: Settings, index: int, ready: Callable[[int], None]) -> None:
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_serve(settings, index, ready))
    finally:
        _hear_no_more()  # the loop did: another word to stop would cut short what comes after it


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the event loop: libuv's, where it is to be had."""
    if sys.platform == "win32":
        return None
    import uvloop  # not on Windows

    return uvloop.new_event_loop


async def _serve(settings: Settings, index: int, ready: Callable[[int], None]) -> None:
    from server.app import open_app  # a process that watches others does without

    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    parent = multiprocessing.parent_process()
    if parent is not None:  # a child does not outlive the process that watches it
        loop.add_reader(parent.sentinel, stopping.set)
    async with open_app(settings, index) as app:
        port = await app.start()
        # What is there now stays: kept out of every later collection, it need not be walked again while calls wait.
        gc.collect()
        gc.freeze()
        ready(port)
        await stopping.wait()
        _log.info("stopping", process=index, grace_seconds=settings.grace_seconds)
        await app.stop()


def _child(settings: Settings, index: int, started: Connection) -> None:
    # The terminal sends its interrupt to the whole group; the parent passes on what is meant.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    configure_logging(settings)
    try:
        _run(settings, index, started.send)
    except CommandRefused as error:
        _log.error("a server process did not start", process=index, error=str(error))
        with suppress(OSError):  # one that takes the place of another is not listened to any more
            started.send(error)
        sys.exit(1)


@dataclass(frozen=True, slots=True)
class _Child:
    process: BaseProcess
    started: Connection

    @classmethod
    def spawn(cls, settings: Settings, index: int) -> _Child:
        # Less than the whole, of which the rest is for the process that watches it.
        grace = settings.grace_seconds - last(settings.grace_seconds)
        told = settings.model_copy(update={"grace_seconds": grace})
        context = multiprocessing.get_context("spawn")  # a forked copy of gRPC's threads and locks would hang
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_child, args=(told, index, sender), name=f"atrium-{index}", daemon=True)
        process.start()  # a daemon: one that a signal keeps from being noted below is ended with this process anyway
        sender.close()
        return cls(process, receiver)

    def port(self) -> int:
        """Its port, once it serves. Raises why it does not start."""
        try:
            told = self.started.recv()
        except EOFError:
            raise PortTaken("A server process did not start: its log says why.") from None
        if isinstance(told, CommandRefused):
            raise told
        return int(told)

    def close(self) -> None:
        """Lets go of one that has ended."""
        self.process.join()
        self.process.close()
        self.started.close()


def _end(children: Sequence[_Child], settings: Settings) -> None:
    """Has the processes stop, and sees to it that they have, so that this one too ends within the grace period."""
    # By then each has recorded what it cut short; what keeps it is of no use to anybody.
    until = time.monotonic() + settings.grace_seconds - last(settings.grace_seconds) / 2
    for child in children:
        child.process.terminate()
    for child in children:
        child.process.join(max(0.0, until - time.monotonic()))
        child.process.kill()
        child.close()


def _serve_many(settings: Settings, ready: Callable[[int], None]) -> None:
    probed = settings.health_address
    with (
        _reserved(settings.address, "ATRIUM_ADDRESS") as port,
        nullcontext() if probed is None else _reserved(probed, "ATRIUM_HEALTH_ADDRESS"),
        _raising_stop(),
    ):
        host = settings.address.rpartition(":")[0]
        fixed = settings.model_copy(update={"address": f"{host}:{port}"})
        children: list[_Child] = []
        try:
            for index in range(settings.processes):
                children.append(_Child.spawn(fixed, index))  # noqa: PERF401 - each noted as soon as it runs
            for child in children:
                child.port()
            ready(port)
            while True:
                wait([child.process.sentinel for child in children])
                for index, child in enumerate(children):
                    if not child.process.is_alive():
                        _log.error("a server process ended", process=index, exit=child.process.exitcode)
                        time.sleep(_RESTART_SECONDS)  # one that cannot live is not started in a tight loop
                        children[index] = _Child.spawn(fixed, index)
                        child.close()
        except _StopRequested:
            pass
        finally:
            _end(children, settings)


@contextmanager
def running(settings: Settings) -> Iterator[int]:
    """A server process beside this one, for as long as the context lasts; its port. Raises why it does not start."""
    child = _Child.spawn(settings, 0)
    try:
        yield child.port()
    finally:
        _end([child], settings)


def _hear_no_more() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


class _StopRequested(BaseException):
    """The parent was told to stop, once."""


@contextmanager
def _raising_stop() -> Iterator[None]:
    def stop(_number: int, _frame: object) -> None:
        _hear_no_more()
        raise _StopRequested

    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, stop)
    yield


@contextmanager
def _reserved(address: str, setting: str) -> Iterator[int]:
    """Holds the port for the children: bound alone first, so that another program on it is found, then shared."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as shared:
        try:
            with socket.socket(family, socket.SOCK_STREAM) as alone:
                alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                alone.bind((host, int(port)))
                chosen: int = alone.getsockname()[1]
            shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            shared.bind((host, chosen))
        except OSError as error:
            raise PortTaken(
                f"Cannot listen on {address}: {error.strerror}. Stop the program that has that port or set {setting}."
            ) from None
        yield chosen
