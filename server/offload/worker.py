"""What runs in a process of its own, and how it and the server talk to each other.

`python -m server.offload.worker MEMORY MODULE...` imports the modules and does one piece of work after another, as its
standard input names them, to its end. MEMORY: the bytes that it may have, 0: any number.
"""

from __future__ import annotations

import os
import pickle
import signal
import struct
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, BinaryIO

from server.kernel.errors import DomainError

LENGTH = struct.Struct("!I")
"""What stands before each message: its bytes."""

OUT_OF_MEMORY = b""
"""The answer of a process whose memory did not suffice. Whatever it holds, it is not asked again."""

_NO_ANSWER = LENGTH.pack(len(OUT_OF_MEMORY))  # made while there is memory for it
_NICE = 5
"""Serving goes before."""


def packed(message: object) -> bytes:
    """A message as it goes over the wire."""
    body = pickle.dumps(message)
    return LENGTH.pack(len(body)) + body


def outcome(answer: bytes) -> Any:
    """What the work came to. Raises the DomainError that it raised."""
    result, refused = pickle.loads(answer)  # noqa: S301 - from a process of our own
    if refused is not None:
        # As it was made, since an error's arguments are not those that it was made of.
        kind, arguments, fields = refused
        error = kind.__new__(kind, *arguments)
        error.__dict__.update(fields)
        raise error
    return result


def _done(work: Callable[..., Any], arguments: Sequence[Any]) -> tuple[Any, Any]:
    try:
        return work(*arguments), None
    except DomainError as error:
        return None, (type(error), error.args, error.__dict__)


def _answer(requests: BinaryIO, header: bytes) -> bytes:
    (length,) = LENGTH.unpack(header)
    try:
        request = requests.read(length)
        if len(request) < length:  # how a stream tells that it had no memory for it
            return _NO_ANSWER
        work, arguments = pickle.loads(request)  # noqa: S301 - from our own server
        del request
        return packed(_done(work, arguments))
    except MemoryError:
        return _NO_ANSWER


def _serve(requests: BinaryIO, answers: BinaryIO) -> None:
    answers.write(packed("ready"))
    answers.flush()
    while header := requests.read(LENGTH.size):
        answers.write(_answer(requests, header))
        answers.flush()


def _bound(memory: int) -> None:
    """Lets the process have so many bytes: more is a MemoryError, or the end of it in what is not Python."""
    if sys.platform == "linux":
        import resource  # not on every system

        # Of all that is mapped, this counts what is private and can be written: libraries and address space that an
        # allocator only reserves do not count, so that the bound says what the work itself takes.
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a tenant's document is not left on the disk


def _main(memory: int, modules: Sequence[str]) -> None:
    if sys.platform != "win32":
        os.nice(_NICE)
    # The terminal sends its interrupt to the whole group; the server ends this when it ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What a library prints must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    for name in modules:  # before it is ready: the work's own time is not spent on it
        import_module(name)
    if memory:
        _bound(memory)
    _serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    _main(int(sys.argv[1]), sys.argv[2:])
