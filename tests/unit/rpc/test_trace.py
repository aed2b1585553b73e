"""The first step: who asks from where, under which ids, and with which credential."""

from __future__ import annotations

import re
from ipaddress import ip_network

import pytest

from server.rpc.steps.trace import Credentials, Trace, address_of

METHOD = "/atrium.identity.v1.IdentityService/WhoAmI"
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
MADE = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Metadata = list[tuple[str, str | bytes]]


def test_a_call_knows_its_method_and_where_it_comes_from() -> None:
    call, credentials = Trace().begin(METHOD, [("user-agent", "grpc-go/1.80")], "ipv4:192.0.2.7:40000")

    assert (call.method, call.address, call.user_agent) == (METHOD, "192.0.2.7", "grpc-go/1.80")
    assert (call.principal, credentials) == (None, Credentials())


@pytest.mark.parametrize("given", ["a", "req-1", "A.b_c:d/e+f=g-h", "x" * 100])
def test_a_well_formed_request_id_is_carried_on(given: str) -> None:
    call, _ = Trace().begin(METHOD, [("x-request-id", given)], "")

    assert call.request_id == given


@pytest.mark.parametrize(
    "given",
    ["", "x" * 101, "a b", "a\n", "\r\nset-cookie: a", "<script>", "é", "a\0", "'; --", b"bytes", b"\xff\xfe"],
    ids=repr,
)
def test_any_other_request_id_is_replaced(given: str | bytes) -> None:
    call, _ = Trace().begin(METHOD, [("x-request-id", given)], "")

    assert MADE.fullmatch(call.request_id)


def test_of_two_request_ids_the_last_well_formed_one_counts() -> None:
    call, _ = Trace().begin(METHOD, [("x-request-id", "one"), ("x-request-id", "two"), ("x-request-id", "")], "")

    assert call.request_id == "two"


@pytest.mark.parametrize(
    "given",
    [
        f"00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-00",
        f"cc-{TRACE}-{SPAN}-ff",
        f"cc-{TRACE}-{SPAN}-01-what-a-later-version-adds",
    ],
)
def test_a_well_formed_trace_is_carried_on_under_a_span_of_our_own(given: str) -> None:
    call, _ = Trace().begin(METHOD, [("traceparent", given)], "")

    assert call.trace_id == TRACE
    assert re.fullmatch(rf"00-{TRACE}-(?!{SPAN})(?!0{{16}})[0-9a-f]{{16}}-01", call.traceparent)


@pytest.mark.parametrize(
    "given",
    [
        "",
        TRACE,
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01\n",
        f" 00-{TRACE}-{SPAN}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}0-{SPAN}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01" * 500,
        f"00-{TRACE}-{SPAN}-01".encode(),
        b"\xff\xfe",
    ],
    ids=lambda given: repr(given)[:70],
)
def test_any_other_trace_is_replaced(given: str | bytes) -> None:
    call, _ = Trace().begin(METHOD, [("traceparent", given)], "")

    assert call.trace_id != TRACE
    assert re.fullmatch(r"[0-9a-f]{32}", call.trace_id)


def test_ids_are_made_anew_for_every_call() -> None:
    trace = Trace()

    calls = [trace.begin(METHOD, [], "")[0] for _ in range(50)]

    for made in (
        {call.request_id for call in calls},
        {call.trace_id for call in calls},
        {call.span_id for call in calls},
    ):
        assert len(made) == 50


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ([], None),
        ([("authorization", "Bearer a")], "Bearer a"),
        ([("authorization", "")], ""),
        ([("authorization", b"Bearer a")], ""),
        ([("authorization", "Bearer a"), ("authorization", "Bearer b")], ""),
        ([("authorization", "Bearer a"), ("authorization", "Bearer a")], ""),
        ([("authorization", ""), ("authorization", "Bearer a")], ""),
        ([("authorization", "a"), ("authorization", "b"), ("authorization", "c")], ""),
        ([("x-authorization", "Bearer a"), ("authorization-bin", b"Bearer a")], None),
    ],
    ids=repr,
)
def test_there_is_one_credential_or_none_that_counts(metadata: Metadata, expected: str | None) -> None:
    assert Trace().begin(METHOD, metadata, "")[1].authorization == expected


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ([("x-api-key", "a")], Credentials(api_key="a")),
        ([("x-api-key", "a"), ("x-api-key", "a")], Credentials(api_key="")),
        ([("x-api-key", b"a")], Credentials(api_key="")),
        ([("x-tenant-id", "a"), ("authorization", "Bearer a")], Credentials("Bearer a", None, "a")),
        ([("x-tenant-id", "a"), ("x-tenant-id", "b")], Credentials(tenant="")),
    ],
    ids=repr,
)
def test_a_key_and_a_tenant_are_one_text_or_none_that_counts(metadata: Metadata, expected: Credentials) -> None:
    assert Trace().begin(METHOD, metadata, "")[1] == expected


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.7:40000", "198.51.100.7"),
        ("ipv4:192.0.2.8:40000", "192.0.2.8"),
        ("unix:/run/atrium.sock", None),
    ],
)
def test_only_a_trusted_proxy_says_where_a_call_comes_from(peer: str, address: str | None) -> None:
    metadata: Metadata = [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-for", "198.51.100.7")]

    assert Trace([ip_network("192.0.2.7")]).begin(METHOD, metadata, peer)[0].address == address
    assert Trace().begin(METHOD, metadata, peer)[0].address == address_of(peer)


@pytest.mark.parametrize(("given", "expected"), [("a" * 600, "a" * 500), (b"bytes", None), ("", "")])
def test_a_user_agent_is_text_of_bounded_length(given: str | bytes, expected: str | None) -> None:
    call, _ = Trace().begin(METHOD, [("user-agent", given)], "")

    assert call.user_agent == expected


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.7:40000", "192.0.2.7"),
        ("ipv6:%5B2001:db8::1%5D:40000", "2001:db8::1"),
        ("ipv6:[2001:db8::1]:40000", "2001:db8::1"),
        ("ipv6:%5Bfe80::1%25eth0%5D:40000", "fe80::1"),
        ("ipv6:[::ffff:192.0.2.7]:40000", "::ffff:192.0.2.7"),
        ("unix:/run/atrium.sock", None),
        ("unix:", None),
        ("unknown", None),
        ("", None),
        ("ipv4:", None),
        ("ipv4::40000", None),
    ],
)
def test_the_address_is_read_from_the_peers_name(peer: str, address: str | None) -> None:
    assert address_of(peer) == address
