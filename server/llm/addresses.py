"""Which addresses a tenant may have the server call: those of the public internet, not of its own network."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv6Address, IPv6Network, ip_address

_NAT64 = IPv6Network("64:ff9b::/96")


class AddressRefused(Exception):
    """The host is, or is resolved to, an address of this machine or of a private network."""


def check_literal(host: str) -> None:
    """Raises AddressRefused for an address, in digits or as localhost, that is not public.

    Names are looked at when they are resolved.
    """
    if host.rstrip(".").lower() == "localhost" or host.rstrip(".").lower().endswith(".localhost"):
        raise AddressRefused
    try:
        address = (
            host if ":" in host else socket.inet_ntoa(socket.inet_aton(host))
        )  # 127.1 and 0x7f.1 are addresses too
    except OSError:
        return
    check_public(address)


async def public_address(host: str, port: int) -> str:
    """The address to connect to: the one that was looked at, so that a name cannot be another's a moment later.

    Raises AddressRefused, and OSError for a name that nobody knows.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    if not addresses or not all(map(_is_public, addresses)):
        raise AddressRefused
    return addresses[0]


def check_public(address: str) -> None:
    """Raises AddressRefused for an address, in digits, that is not public."""
    if not _is_public(address):
        raise AddressRefused


def _is_public(address: str) -> bool:
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    # Addresses that carry another inside lead to it: ::ffff:127.0.0.1, and 64:ff9b::7f00:1 through a translator.
    if isinstance(found, IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if inner is not None:
            return inner.is_global
        if found in _NAT64:
            return False
    return found.is_global and not found.is_multicast
