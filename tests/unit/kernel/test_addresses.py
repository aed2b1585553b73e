"""Where a call comes from: what proxies say of it, and what is counted as one caller."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from server.kernel.addresses import client_of, network_of

PROXIES = (ip_network("10.0.0.0/8"), ip_network("2001:db8:1::/48"))
PROXY, CLIENT = "10.1.2.3", "198.51.100.7"


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        (PROXY, [CLIENT], CLIENT),
        (PROXY, [f"{CLIENT}, 10.9.9.9"], CLIENT),
        (PROXY, [CLIENT, "10.9.9.9,10.8.8.8"], CLIENT),
        (PROXY, [f"203.0.113.1, {CLIENT}"], CLIENT),
        (PROXY, ["203.0.113.1", CLIENT], CLIENT),
        (PROXY, [f"10.0.0.9, {CLIENT}"], CLIENT),
        (PROXY, ["10.9.9.9, 10.8.8.8"], "10.9.9.9"),
        (PROXY, [f"{CLIENT}:4711"], CLIENT),
        (PROXY, ["2001:db8::7"], "2001:db8::7"),
        (PROXY, ["[2001:db8::7]:4711"], "2001:db8::7"),
        (PROXY, ["fe80::1%eth0"], "fe80::1"),
        (PROXY, [f"::ffff:{CLIENT}"], CLIENT),
        (f"::ffff:{PROXY}", [CLIENT], CLIENT),
        ("2001:db8:1::1", [CLIENT], CLIENT),
        (PROXY, [], PROXY),
        (PROXY, [""], PROXY),
        (PROXY, ["unknown"], PROXY),
        (PROXY, [f"{CLIENT}, nonsense"], PROXY),
        (PROXY, [f"{CLIENT}, nonsense, 10.8.8.8"], "10.8.8.8"),
        (PROXY, ["198.51.100.0/24"], PROXY),
        (CLIENT, ["203.0.113.1"], CLIENT),
        (CLIENT, [PROXY], CLIENT),
    ],
    ids=repr,
)
def test_the_client_is_the_nearest_that_is_no_proxy(peer: str, forwarded: list[str], client: str) -> None:
    assert client_of(peer, forwarded, PROXIES) == client


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
    ],
)
def test_what_one_customer_has_is_counted_as_one(address: str, network: str) -> None:
    assert network_of(address) == network
