"""Fetching what lies at an address that somebody names: bounded in size, time and hops, and past no private address."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import aiohttp

from server.kernel.urls import check_host
from server.net.addresses import AddressRefused, check_literal
from server.net.ways import pinned, proxy_of, public_socket

MOST_HOPS = 5
"""Addresses that an answer may lead on to, one after the other."""

HEAD_BYTES = 4_096
"""First bytes, by which is told whether the rest is wanted."""

_CONNECT_SECONDS = 10.0
_SECONDS = 60.0
_MOVED = frozenset({301, 302, 303, 307, 308})
_HEADERS = {"User-Agent": "atrium", "Accept": "*/*", "Accept-Encoding": "gzip, deflate"}
_WRAPPED = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}

Wanted = Callable[["Head"], None]
"""Raises where the rest is not wanted."""


class UrlRefused(Exception):
    """The address is none that is called; the text says why."""


class FetchFailed(Exception):
    """Nothing, or not all, could be fetched; the text says why, to whoever named the address."""


@dataclass(frozen=True, slots=True)
class Head:
    """What an answer says of itself, and its first HEAD_BYTES. `media_type`: with its parameters; empty: unsaid."""

    media_type: str
    file_name: str | None
    begin: bytes


@dataclass(frozen=True, slots=True)
class Fetched:
    """What lies there, unpacked."""

    head: Head
    content: bytes


def check_url(url: str, *, guarded: bool) -> None:
    """Says at once what fetching would find: names are looked at then, since they may change. `guarded`: it must be a
    public address. Raises UrlRefused.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
        check_host(host)
    except ValueError:
        raise UrlRefused("is no address") from None
    if parts.scheme not in ("http", "https"):
        raise UrlRefused("is no address of http or https")
    if not host:
        raise UrlRefused("names no host")
    if parts.username is not None or parts.password is not None:
        raise UrlRefused("carries a name or a password, which are not sent")
    if guarded:
        try:
            check_literal(host)
        except AddressRefused:
            raise UrlRefused("is not a public address") from None


class Fetcher:
    """Gets what lies at addresses. It sends no credential and keeps no cookie, and looks at each hop."""

    def __init__(self, most_bytes: int, *, guarded: bool, seconds: float = _SECONDS) -> None:
        """`most_bytes`: as sent, and unpacked. `guarded`: public addresses only. `seconds`: for all of it."""
        self.guarded = guarded
        self._most_bytes = most_bytes
        self._seconds = seconds

    async def __call__(self, url: str, wanted: Wanted) -> Fetched:
        """What lies there. Raises FetchFailed, and what `wanted` raises once the first bytes have come."""
        try:
            async with asyncio.timeout(self._seconds):
                return await self._fetch(url, wanted)
        except TimeoutError:
            raise FetchFailed(f"it takes longer than {self._seconds:g} seconds") from None
        except (AddressRefused, UrlRefused) as error:
            raise FetchFailed(f"an address on the way {error or 'is not a public address'}") from None
        except aiohttp.ClientConnectorDNSError:
            raise FetchFailed("its host is not known") from None
        except aiohttp.ClientSSLError:
            raise FetchFailed("its server cannot be reached safely") from None
        except aiohttp.ClientConnectorError:
            raise FetchFailed("its server cannot be reached") from None
        except (aiohttp.ClientError, OSError):
            raise FetchFailed("its server breaks off, or answers with something else than HTTP") from None

    async def _fetch(self, url: str, wanted: Wanted) -> Fetched:
        at = urldefrag(url).url
        for _ in range(1 + MOST_HOPS):
            check_url(at, guarded=self.guarded)
            proxy = proxy_of(at)
            async with self._session(proxied=proxy is not None) as session:
                target: dict[str, Any] = {"url": at, "headers": _HEADERS}
                if self.guarded and proxy is not None:
                    target = await pinned(at, _HEADERS)
                async with session.get(**target, proxy=proxy, allow_redirects=False) as response:
                    there = response.headers.get("Location")
                    if response.status not in _MOVED or there is None:
                        return await self._read(at, response, wanted)
            at = urldefrag(_joined(at, there)).url
        raise FetchFailed(f"it leads on to other addresses more than {MOST_HOPS} times")

    def _session(self, *, proxied: bool) -> aiohttp.ClientSession:
        factory = public_socket if self.guarded and not proxied else None
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(socket_factory=factory),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
            auto_decompress=False,  # which has no bound
        )

    async def _read(self, url: str, response: aiohttp.ClientResponse, wanted: Wanted) -> Fetched:
        if response.status != 200:
            raise FetchFailed(f"its server answers with status {response.status}")
        if (response.content_length or 0) > self._most_bytes:
            raise self._too_large()
        unpacked = _Unpacking(response.headers.get("Content-Encoding", ""))
        media_type, file_name = response.headers.get("Content-Type", ""), _file_name(url, response)
        content, sent, told = bytearray(), 0, False
        async for part in response.content.iter_any():
            sent += len(part)
            content += unpacked.more(part, self._most_bytes + 1 - len(content))
            if max(sent, len(content)) > self._most_bytes:
                raise self._too_large()
            if not told and len(content) >= HEAD_BYTES:
                wanted(Head(media_type, file_name, bytes(content[:HEAD_BYTES])))
                told = True
        unpacked.check_end()
        head = Head(media_type, file_name, bytes(content[:HEAD_BYTES]))
        if not told:
            wanted(head)
        return Fetched(head, bytes(content))

    def _too_large(self) -> FetchFailed:
        return FetchFailed(f"it has more than {self._most_bytes} bytes")


class _Unpacking:
    """Unpacks what comes, no more of it than is asked for. Raises FetchFailed for an encoding that is not read."""

    def __init__(self, encoding: str) -> None:
        name = encoding.strip().lower()
        if name not in ("", "identity", *_WRAPPED):
            raise FetchFailed(f"it is encoded as {name[:50]}, which is not read")
        self._packed = zlib.decompressobj(_WRAPPED[name]) if name in _WRAPPED else None

    def more(self, part: bytes, most: int) -> bytes:
        """`most`: at least 1; where as much comes, there may be more."""
        if self._packed is None:
            return part
        try:
            return self._packed.decompress(part, most)
        except zlib.error:
            raise FetchFailed("it is not encoded as its server says") from None

    def check_end(self) -> None:
        if self._packed is not None and not self._packed.eof:
            raise FetchFailed("its server breaks off, or answers with something else than HTTP")


def _joined(url: str, there: str) -> str:
    try:
        return urljoin(url, there)
    except ValueError:
        raise UrlRefused("is no address") from None


def _file_name(url: str, response: aiohttp.ClientResponse) -> str | None:
    """As the answer says, or as the address ends; without what names of files have not."""
    said = response.content_disposition
    name = (said.filename if said is not None else None) or unquote(urlsplit(url).path)
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(one for one in last if one.isprintable())[-255:] or None
