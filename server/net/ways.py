"""How an address is reached over aiohttp: directly, or through the proxy that the environment names."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from server.net.addresses import check_public, public_address

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def proxy_of(url: str) -> str | None:
    """What the environment says that the host is to be reached through. What is on this machine is reached directly."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host in _LOOPBACK or proxy_bypass(host):
        return None
    proxies = getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")


def public_socket(address: tuple[Any, ...]) -> socket.socket:
    """A socket for that very address, so that a name cannot be another's a moment later. Raises AddressRefused."""
    family, kind, protocol, _, target = address
    check_public(str(target[0]))
    return socket.socket(family, kind, protocol)


async def pinned(url: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """What to ask a proxy for: the address that was looked at, since it would look the name up by itself.

    Raises AddressRefused, and OSError for a name that nobody knows.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    address = await public_address(host, port)
    place = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    return {
        "url": parts._replace(netloc=place).geturl(),
        "headers": {**headers, "Host": parts.netloc},
        "server_hostname": host if parts.scheme == "https" else None,
    }
