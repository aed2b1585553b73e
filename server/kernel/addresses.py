"""Where calls come from: which addresses are counted as one, and what proxies say of the addresses behind them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

_ONE_CUSTOMER = 64  # bits of an IPv6 address: the rest is the customer's to choose (RFC 6177, section 2)


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """What is counted as one caller: an IPv4 address, or the /64 that an IPv6 address lies in."""
    found = _plain(ip_address(address))
    return str(found) if found.version == 4 else str(ip_network((int(found), _ONE_CUSTOMER), strict=False))


def client_of(peer: str, forwarded: Iterable[str], proxies: Sequence[Network]) -> str:
    """The address that is the nearest to the server and none of the proxies'.

    `forwarded`: each `x-forwarded-for`, to which every proxy adds whom it was called by. What stands left of the first
    address that is no trusted proxy's is hearsay; so is everything from what is no address on.
    """
    nearest = ip_address(peer)
    hops = [hop for line in forwarded for hop in line.split(",")]
    while hops and _is_one_of(nearest, proxies):
        hop = _read(hops.pop())
        if hop is None:
            break
        nearest = hop
    return str(nearest)


def _is_one_of(address: Address, networks: Sequence[Network]) -> bool:
    plain = _plain(address)
    return any(plain in network for network in networks)


def _read(hop: str) -> Address | None:
    """The address of a hop, which may have a port: `192.0.2.7`, `192.0.2.7:443`, `2001:db8::1`, `[2001:db8::1]:443`."""
    text = hop.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return _plain(ip_address(text.partition("%")[0]))
    except ValueError:
        return None


def _plain(address: Address) -> Address:
    """An IPv4 address that is written as an IPv6 one, as itself."""
    return getattr(address, "ipv4_mapped", None) or address
