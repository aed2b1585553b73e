"""What processes of their own do for prompts: all that may take more than a few milliseconds.

`python -m server.prompt.worker` does one piece of work after another, as its standard input names them, to its end.
"""

from __future__ import annotations

import os
import pickle
import signal
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, BinaryIO

from server.kernel.errors import DomainError
from server.prompt.diff import unified
from server.prompt.rendering import Prepared, Renderer
from server.prompt.variables import Variable, bind, check_declared

LENGTH = struct.Struct("!I")
"""What stands before each message: its bytes."""

_NICE = 5
"""Serving goes before."""


@cache
def _renderer() -> Renderer:
    return Renderer()


def prepared(sources: Sequence[str]) -> list[Prepared]:
    """Each source, read and compiled. Raises PromptSyntaxInvalid."""
    return [_renderer().prepare(source) for source in sources]


def checked(sources: Mapping[str, str], variables: Sequence[Variable]) -> list[Prepared]:
    """The same for a version that is to be made; `sources`: by the fields that they stand in.

    Raises PromptSyntaxInvalid, PromptVariablesInvalid.
    """
    check_declared(variables)
    for field, source in sources.items():
        _renderer().check(source, variables, field)
    return prepared(list(sources.values()))


def rendered(
    sources: Mapping[str, str], variables: Sequence[Variable], values: Mapping[str, Any], includes: Mapping[str, str]
) -> list[str]:
    """The text of each source. Raises as `bind` and `Renderer.render_all` do."""
    return _renderer().render_all(sources, bind(variables, values), includes)


def differences(pairs: Sequence[tuple[str, str]], old_name: str, new_name: str) -> list[str]:
    """The difference of each pair, as a unified diff."""
    return [unified(old, new, old_name, new_name) for old, new in pairs]


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


def _serve(requests: BinaryIO, answers: BinaryIO) -> None:
    answers.write(packed("ready"))
    answers.flush()
    while header := requests.read(LENGTH.size):
        work, arguments = pickle.loads(requests.read(*LENGTH.unpack(header)))  # noqa: S301 - from our own server
        answers.write(packed(_done(work, arguments)))
        answers.flush()


def _main() -> None:
    if sys.platform != "win32":
        os.nice(_NICE)
    # The terminal sends its interrupt to the whole group; the server ends this when it ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What a library prints must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    _main()
