"""Which addresses a tenant may have the server call: those of the public internet, not of its own network."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

# What is not for the public internet, beside what `ipaddress` knows of it, which differs from one Python to the next.
# From IANA's IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890): the blocks that are not globally reachable,
# or of which that cannot be said. 192.0.0.0/24 and 2001::/23 are whole, since what is reachable in them is a protocol's
# and nobody's server. 168.63.129.16 is public by its number and inside every machine on Azure, whose platform answers
# there (https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16).
_SPECIAL_V4 = [
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
]
_SPECIAL_V6 = [IPv6Network(block) for block in ("2001::/23", "2001:db8::/32", "3fff::/20")]

_GLOBAL_V6 = IPv6Network("2000::/3")
"""All that is given out of IPv6 (IANA's Internet Protocol Version 6 Address Space). What carries an IPv4 address inside
and is out of use, or a network's own, is outside: ::/96, ::ffff:0:0:0/96 and 64:ff9b:1::/48. Teredo is in 2001::/23.
"""

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
    if isinstance(found, IPv4Address):
        return _is_public_v4(found)
    # Addresses that carry another inside lead to it: ::ffff:127.0.0.1, and 64:ff9b::7f00:1 through a translator.
    if found in _NAT64:
        return _is_public_v4(IPv4Address(found.packed[-4:]))
    if (inner := found.ipv4_mapped or found.sixtofour) is not None:
        return _is_public_v4(inner)
    return _is_public_v6(found)


def _is_public_v4(address: IPv4Address) -> bool:
    return address.is_global and not any(address in block for block in _SPECIAL_V4)


def _is_public_v6(address: IPv6Address) -> bool:
    return address.is_global and address in _GLOBAL_V6 and not any(address in block for block in _SPECIAL_V6)
