"""Calls that are made once, however often they are sent: those with an idempotency key."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from google.protobuf.message import Message

from server.kernel.principal import current_call

KEY_FIELD = "idempotency_key"
SECRET_FIELD = "secret"
WITHHELD_FIELD = "secret_withheld"


class _Unfinished(Exception):
    """The call has an answer, and is made again all the same when it is sent again."""


class Once(Protocol):
    """Remembers answers, by caller, method and key. The identity slice does."""

    async def once(self, key: str, hashes: Sequence[str], act: Callable[[], Awaitable[bytes]]) -> bytes | None:
        """None where this is the first such call, which has been made and its answer, as `act` gives it, kept in the
        call's own transaction; else the answer that was kept. Raises where the key was used with another request.

        `hashes`: of the request; the first is kept, and any of them tells that it is the same one.
        """

    async def once_detached(self, key: str, hashes: Sequence[str], act: Callable[[], Awaitable[bytes]]) -> bytes | None:
        """The same for a call that holds no transaction."""


class Repeat:
    """Answers a call that is sent again with the answer it had, for a day."""

    def __init__(self, memory: Once, keys: Sequence[bytes]) -> None:
        """`keys`: what requests are hashed with, the same in every process: the one that is kept first, then those that
        are still recognized.
        """
        self._memory = memory
        self._keys = keys

    async def __call__(
        self, request: Message, act: Callable[[], Awaitable[Message]], response_class: Any, *, detached: bool
    ) -> Message:
        """The answer of `act`, or the one that it gave before. `request`: has an idempotency key."""
        made: list[Message] = []

        async def kept() -> bytes:
            made.append(await act())
            if not current_call().answer_stands:
                raise _Unfinished
            return _without_secret(made[0]).SerializeToString()

        once = self._memory.once_detached if detached else self._memory.once
        try:
            found = await once(getattr(request, KEY_FIELD), self._hashes(request), kept)
        except _Unfinished:
            return made[0]
        if found is None:
            return made[0]
        answer: Message = response_class.FromString(found)
        return answer

    def _hashes(self, request: Message) -> list[str]:
        """Of what is asked for, whatever the idempotency key.

        Keyed: a password may be in it, which could be guessed from a hash that anybody can make.
        """
        asked = type(request)()
        asked.CopyFrom(request)
        asked.ClearField(KEY_FIELD)
        text = asked.SerializeToString(deterministic=True)
        return [hmac.digest(key, text, "sha256").hex() for key in self._keys]


def _without_secret(answer: Message) -> Message:
    """A secret that is shown once is not kept."""
    if SECRET_FIELD not in answer.DESCRIPTOR.fields_by_name:
        return answer
    kept = type(answer)()
    kept.CopyFrom(answer)
    kept.ClearField(SECRET_FIELD)
    setattr(kept, WITHHELD_FIELD, True)
    return kept
