"""Which addresses are of the public internet, and which are not, also where one is inside another."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest

from server.net.addresses import AddressRefused, check_literal, check_public

PUBLIC = ["1.1.1.1", "9.255.255.255", "172.32.0.1", "192.0.1.1", "198.20.0.1", "223.255.255.254"]
PRIVATE = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.31.0.1"),
    *(
        "168.63.129.16",
        "192.0.0.1",
        "192.0.0.9",
        "192.0.0.170",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "198.19.0.1",
        "198.51.100.1",
    ),
    *("203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"),
]


def _within(prefix: str, address: str, shift: int = 0) -> str:
    """An address of IPv6 that carries one of IPv4, so many bits from its end."""
    return str(IPv6Address(int(IPv6Address(prefix)) | int(IPv4Address(address)) << shift))


def _refuses(address: str) -> bool:
    try:
        check_public(address)
    except AddressRefused:
        return True
    return False


@pytest.mark.parametrize("address", [*PUBLIC, "2606:4700:4700::1111", "2a00:1450:4001::1", "2001:4860:4860::8888"])
def test_what_is_public_may_be_called(address: str) -> None:
    check_public(address)


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_of_a_special_purpose_may_not(address: str) -> None:
    assert _refuses(address)


@pytest.mark.parametrize("inner", PRIVATE)
@pytest.mark.parametrize(
    ("prefix", "shift"),
    [
        pytest.param("::ffff:0:0", 0, id="mapped"),
        pytest.param("::", 0, id="compatible"),
        pytest.param("::ffff:0:0:0", 0, id="translated"),
        pytest.param("2002::", 80, id="6to4"),
        pytest.param("2001::", 64, id="Teredo's server"),
        pytest.param("64:ff9b::", 0, id="NAT64"),
        pytest.param("64:ff9b:1::", 0, id="a network's own NAT64"),
    ],
)
def test_an_address_inside_another_is_looked_at(prefix: str, shift: int, inner: str) -> None:
    assert _refuses(_within(prefix, inner, shift))


@pytest.mark.parametrize(("prefix", "shift"), [("::ffff:0:0", 0), ("2002::", 80), ("64:ff9b::", 0)])
def test_what_leads_to_a_public_address_may_be_called(prefix: str, shift: int) -> None:
    check_public(_within(prefix, "1.1.1.1", shift))


@pytest.mark.parametrize(
    "address",
    [
        *("::", "::1", "::1.1.1.1", "::ffff:0:1.1.1.1", "64:ff9b:1::1.1.1.1", "100::1", "100:0:0:1::1", "1::1"),
        *("2001::1", "2001:2::1", "2001:10::1", "2001:20::1", "2001:1ff::1", "2001:db8::1", "3fff::1", "3fff:fff::1"),
        *("4000::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "ff0e::1"),
        *("", "nobody", "1.1.1", "1.1.1.1:80"),
    ],
)
def test_what_is_not_given_out_to_the_internet_or_is_no_address_may_not(address: str) -> None:
    assert _refuses(address)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.", "a.localhost", "127.1", "0x7f.1", "2130706433", "0300.0.0.1", "::127.0.0.1"]
)
def test_a_host_in_digits_or_of_this_machine_is_refused_as_it_is_written(host: str) -> None:
    with pytest.raises(AddressRefused):
        check_literal(host)


@pytest.mark.parametrize("host", ["models.example.com", "1.1.1.1", "2606:4700:4700::1111", "localhost.example.com"])
def test_other_names_are_looked_at_when_they_are_resolved(host: str) -> None:
    check_literal(host)
