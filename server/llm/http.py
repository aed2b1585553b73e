"""What every provider's protocol has in common over HTTP: keys, bounds, and how endpoints refuse."""

from __future__ import annotations

import asyncio
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from math import isnan
from typing import Any, TypeVar

import orjson

from server.kernel.clock import now
from server.kernel.errors import DomainError
from server.llm.port import (
    ModelContentFiltered,
    ModelContextExceeded,
    ModelCredentialRefused,
    ModelNotConfigured,
    ModelRateLimited,
    ModelRequestRejected,
    ModelResponseInvalid,
    ModelUnavailable,
    Outage,
)

CONNECT_SECONDS = 5.0
DRAIN_SECONDS = 0.05
"""How long the bytes behind an answer's last line are waited for: with them read, its connection can serve again."""

END_SECONDS = 5.0
"""How long what was used, and the last line, are waited for behind the end of an answer: some send neither, and hold
the connection open.
"""

MOST_CONNECTIONS = 1000
"""To one endpoint, from one process."""

MOST_REFUSING = 1000
"""Models of one endpoint of which it is remembered what they do not take."""

NO_KEY = "none"
"""What an endpoint is given that asks for no key: the protocols have no request without one."""

MOST_WHOLE_BYTES = 4 * 1_048_576
"""Of an answer in one piece: the longest that models write have half a megabyte, and escapes and thoughts more."""

MOST_WHOLE_BRACKETS = 65_536
"""Of an answer in one piece: lists and objects are what takes long to parse and to look through. Of the 128,000 tokens
that models write at most not every second opens one, in a program neither.
"""

ASIDE_BYTES = 262_144
"""An answer in one piece that is longer is looked through aside, so that calls beside it go on."""

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Patience:
    """The seconds for which a provider may say nothing at all before it counts as gone: where it streams an answer,
    where it gives one in one piece (it writes meanwhile), and where it makes a vector, or many at once. `wordless`: for
    which it may say nothing but that it is at work, where it streams.

    Each ends well before the call that waits, by its ceiling: what is ended by that is nobody's outage, and leaves no
    time in which another model could answer. Chat's and Embed's are in atrium/model/v1/model_service.proto; a search
    waits for one vector, and has the ceiling of most methods (ATRIUM_CEILING_SECONDS).
    """

    streamed: float = 60.0
    whole: float = 120.0
    vector: float = 25.0
    vectors: float = 45.0
    wordless: float = 120.0


PATIENCE = Patience()


_MOST_ERROR_BYTES = 65_536

# What OpenAI's API, Azure's, vLLM's, llama.cpp's, Anthropic's, Groq's, Mistral's and Alibaba's call these failures.
_TOO_LONG = frozenset(
    {"context_length_exceeded", "string_above_max_length", "exceed_context_size_error", "request_too_large"}
)
_FILTERED = frozenset({"content_filter", "content_policy_violation", "invalid_prompt", "data_inspection_failed"})
_NO_MODEL = frozenset({"model_not_found", "model_decommissioned", "invalid_model"})
_NO_CREDIT = "insufficient_quota"
_WRONG_KEY = "invalid_api_key"

_IN_WORDS = {
    "prompt is too long": "context_length_exceeded",
    "exceed context limit": "context_length_exceeded",
    "maximum context length": "context_length_exceeded",
    "exceeds the maximum number of tokens allowed": "context_length_exceeded",
    "API key not valid": _WRONG_KEY,
    "Incorrect API key provided": _WRONG_KEY,
    "credit balance is too low": _NO_CREDIT,
}
"""What they have no other sign of at Anthropic's API, vLLM, Gemini's API and xAI's: the type is that of every malformed
request.
"""

_NOT_TAKEN = re.compile(r"`(\w+)` is deprecated for this model|Unsupported (?:parameter|value): '(\w+)'")
"""How a refusal begins that names what a model does not take. Behind that it may repeat what somebody has sent, and
what is learned is for everybody.
"""


def authorization(key: str | None) -> dict[str, str]:
    """The header that carries the key; None: no header."""
    return {} if key is None else {"Authorization": f"Bearer {key}"}


class Connections(ABC):
    """The connections of one process to one endpoint, which are closed when they are given up and nobody uses them."""

    def __init__(self) -> None:
        self._uses = 0
        self._given_up = False
        self._refused: dict[str, frozenset[str]] = {}

    def refused(self, model: str) -> frozenset[str]:
        """Which fields of a request the model does not take, as far as is known."""
        return self._refused.get(model, frozenset())

    def refuses(self, model: str, field: str) -> None:
        """Remembers it, for the models that were learned of last: tenants name as many as they like."""
        self._refused[model] = self._refused.pop(model, frozenset()) | {field}
        if len(self._refused) > MOST_REFUSING:
            del self._refused[next(iter(self._refused))]

    @asynccontextmanager
    async def used(self) -> AsyncIterator[None]:
        """They stay open within."""
        self._uses += 1
        try:
            yield
        finally:
            self._uses -= 1
            await self._close_unused()

    async def give_up(self) -> None:
        """Closes them as soon as nobody uses them; whoever still has them may use them once more."""
        self._given_up = True
        await self._close_unused()

    async def _close_unused(self) -> None:
        if self._given_up and not self._uses:
            await self.close()

    @abstractmethod
    async def close(self) -> None:
        """Closes every connection."""


class Refused(Exception):
    """The endpoint answers with a status that is no success."""

    def __init__(self, status: int, code: str = "", retry_after: float | None = None, param: str = "") -> None:
        """`code`, `param`: what the endpoint calls it, and which field it names. `retry_after`: seconds, if it says."""
        super().__init__(status)
        self.status = status
        self.code = code
        self.retry_after = retry_after
        self.param = param

    @property
    def too_long(self) -> bool:
        """Whether it is since the conversation is longer than the model takes."""
        return self.code in _TOO_LONG

    def told(self, model: str, field: str) -> DomainError:
        """The same in our words. `field`: what of the request it is about."""
        match self.status:
            case 429:
                # Where the account is empty, waiting does not fill it.
                return ModelRateLimited(model, self.retry_after, helps=self.code != _NO_CREDIT)
            case 401 | 403:
                return ModelCredentialRefused(model)
            case 402 | 404 | 405:
                return ModelNotConfigured(model)
            case status if status < 400:  # it has moved, and its address is the operator's to change
                return ModelNotConfigured(model)
            case status if status >= 500 or status in (408, 425):
                return ModelUnavailable(self.retry_after, Outage.FAILING)
        if self.code == _WRONG_KEY:
            return ModelCredentialRefused(model)
        if self.code == _NO_CREDIT:
            return ModelRateLimited(model, helps=False)
        if self.code in _NO_MODEL:
            return ModelNotConfigured(model)
        if self.too_long:
            return ModelContextExceeded([(field, "is longer than the model takes")])
        if self.code in _FILTERED:
            return ModelContentFiltered([(field, "is refused by the provider's filter")])
        return ModelRequestRejected([(field, "the model's provider refuses the request")])


def not_public() -> Refused:
    """What is behind an address that the server does not call for tenants: to them, nothing."""
    return Refused(404)


async def refusal(
    status: int, headers: Mapping[str, str], parts: AsyncIterator[bytes], lost: tuple[type[Exception], ...] = ()
) -> Refused:
    """What an answer that is no success says; of its text no more is read than is needed: it may have no end.

    `lost`: what the parts raise where they break off. The status has been told then all the same.
    """
    content = b""
    with suppress(*lost):
        content, _ = await read(parts, _MOST_ERROR_BYTES)
    code, param = "", ""
    with suppress(ValueError, LookupError, TypeError, AttributeError):  # many a refusal has no such form
        code, param = _reason(orjson.loads(content))
    return Refused(status, code, _retry_after(headers), param)


def _reason(body: Any) -> tuple[str, str]:
    """What the endpoint calls it, and which field it names. Raises what looking into another form raises."""
    if isinstance(body, list):  # Gemini's
        body = body[0]
    error = body.get("error") or body  # vLLM's older versions say it at the top
    if isinstance(error, str):  # xAI's
        error = {**body, "message": error}
    param, message = str(error.get("param") or "") or _unknown(error), str(error.get("message"))
    if (found := next((code for words, code in _IN_WORDS.items() if words in message), None)) is not None:
        return found, param
    code = str(error.get("code") or "")
    # llama.cpp and vLLM repeat the status there, Mistral has numbers of its own, and they say it in the type.
    return code if code.isidentifier() else str(error.get("type") or ""), param


def _unknown(error: dict[str, Any]) -> str:
    """The field that the endpoint or the model does not know, where no name says it: as OpenAI's words have it behind
    gateways, Claude's, or those of endpoints that are written with pydantic, Mistral's for one.
    """
    said = error.get("message")
    if isinstance(said, str) and (found := _NOT_TAKEN.match(said)) is not None:
        return found[1] or found[2]
    for wrong in (said if isinstance(said, dict) else error).get("detail") or ():
        if isinstance(wrong, dict) and wrong.get("type") == "extra_forbidden":
            return str(wrong["loc"][1])
    return ""


async def read(parts: AsyncIterator[bytes], most: int) -> tuple[bytes, bool]:
    """The parts together, and whether they are all of it; reading stops beyond `most` bytes."""
    content = bytearray()
    async for part in parts:
        content += part
        if len(content) > most:
            return bytes(content), False
    return bytes(content), True


async def read_whole(parts: AsyncIterator[bytes], made: Callable[[bytes], Made]) -> Made:
    """What is made of an answer that comes in one piece. Raises ModelResponseInvalid for one that no model writes.

    `made` may run in a thread of its own. That is no help against orjson, which holds the interpreter while it parses:
    so there are bounds to what it is given.
    """
    content, complete = await read(parts, MOST_WHOLE_BYTES)
    if not complete or content.count(b"[") + content.count(b"{") > MOST_WHOLE_BRACKETS:
        raise ModelResponseInvalid
    if len(content) <= ASIDE_BYTES:
        return made(content)
    return await asyncio.to_thread(made, content)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, given as such or as a date (RFC 9110, section 10.2.3); None where the header is missing or odd."""
    told = headers.get("retry-after")
    if told is None:
        return None
    try:
        seconds = float(told)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(told) - now()).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
    return None if isnan(seconds) else min(max(seconds, 0.0), 3600.0)
