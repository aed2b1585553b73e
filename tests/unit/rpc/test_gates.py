"""The steps that let a call pass or refuse it: shedding, authentication, authorization."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from server.kernel.errors import EmailNotVerified, PermissionDenied, PermissionMissing, PlatformOnly
from server.kernel.ids import PLATFORM_TENANT_ID, uuid7
from server.kernel.permissions import Permission
from server.kernel.principal import Call, Principal
from server.rpc.policy import Access, Rule
from server.rpc.steps.authenticate import Authenticate, AuthenticationRequired
from server.rpc.steps.authorize import Authorize
from server.rpc.steps.shed import ServerBusy, Shed


def _principal(*permissions: Permission, tenant_id: UUID | None = None) -> Principal:
    return Principal(tenant_id or uuid7(), uuid7(), uuid7(), frozenset(permissions))


def test_calls_up_to_the_limit_pass_and_the_next_is_told_when_to_come_again() -> None:
    shed = Shed(2)

    with shed, shed:
        with pytest.raises(ServerBusy) as refused, shed:
            pytest.fail("the third call passed")
        assert shed.in_flight == 2
    assert (refused.value.subject, refused.value.retry_after) == ("calls in flight", 0.5)


def test_a_call_that_ends_makes_room_however_it_ends() -> None:
    shed = Shed(1)

    for _ in range(3):
        with pytest.raises(RuntimeError), shed:
            raise RuntimeError
    with pytest.raises(ServerBusy), shed, shed:
        pytest.fail("the second call passed")

    assert shed.in_flight == 0


class Verifier:
    """Knows one token, remembered or not, and notes what it is asked."""

    def __init__(self, token: str, principal: Principal, *, remembered: bool = False) -> None:
        self._known = {token: principal}
        self._remembered = remembered
        self.verified: list[str] = []

    def recall(self, token: str) -> Principal | None:
        return self._known.get(token) if self._remembered else None

    async def verify(self, token: str) -> Principal:
        self.verified.append(token)
        return self._known[token]


@pytest.mark.parametrize("authorization", ["Bearer good", "bearer good", "BEARER good"])
@pytest.mark.parametrize("access", ["authenticated", Permission.USERS_READ])
async def test_a_bearer_token_is_verified(access: Access, authorization: str) -> None:
    verifier = Verifier("good", _principal())

    principal = await Authenticate(verifier)(Rule(access), authorization)

    assert (principal, verifier.verified) == (verifier._known["good"], ["good"])


async def test_a_remembered_token_is_not_verified_again() -> None:
    verifier = Verifier("good", _principal(), remembered=True)

    principal = await Authenticate(verifier)(Rule("authenticated"), "Bearer good")

    assert (principal, verifier.verified) == (verifier._known["good"], [])


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        " ",
        "Bearer",
        "Bearer ",
        "good",
        "Basic good",
        "Bearergood",
        "Token good",
        "Bearer\tgood",
        " Bearer good",
    ],
    ids=repr,
)
async def test_any_other_scheme_or_none_is_asked_for_one_without_a_look_at_it(authorization: str | None) -> None:
    verifier = Verifier("good", _principal())

    with pytest.raises(AuthenticationRequired):
        await Authenticate(verifier)(Rule("authenticated"), authorization)
    assert verifier.verified == []


@pytest.mark.parametrize("authorization", [None, "", "Bearer good", "Bearer bad", "Basic x"])
async def test_a_public_method_does_not_look_at_credentials(authorization: str | None) -> None:
    verifier = Verifier("good", _principal())

    assert await Authenticate(verifier)(Rule("public"), authorization) is None
    assert verifier.verified == []


class Denials:
    def __init__(self) -> None:
        self.found: list[tuple[Call, PermissionDenied]] = []

    async def denied(self, call: Call, error: PermissionDenied) -> None:
        self.found.append((call, error))


READ, MANAGE = Permission.USERS_READ, Permission.USERS_MANAGE


@pytest.mark.parametrize(
    ("rule", "permissions", "platform", "error"),
    [
        (Rule("authenticated"), (), False, None),
        (Rule(READ), (READ,), False, None),
        (Rule(READ), (READ, MANAGE), False, None),
        (Rule(READ), (), False, PermissionMissing),
        # What `manage` implies is worked out where permissions are read, and never here.
        (Rule(READ), (MANAGE,), False, PermissionMissing),
        (Rule(READ), (), True, PermissionMissing),
        (Rule(READ, platform_only=True), (READ,), True, None),
        (Rule(READ, platform_only=True), (READ,), False, PlatformOnly),
        (Rule(READ, platform_only=True), (), False, PlatformOnly),
        (Rule(READ, platform_only=True), (), True, PermissionMissing),
        (Rule("authenticated", platform_only=True), (), True, None),
        (Rule("authenticated", platform_only=True), tuple(Permission), False, PlatformOnly),
    ],
    ids=repr,
)
async def test_a_caller_is_held_against_the_rule_and_a_refusal_is_audited(
    rule: Rule, permissions: tuple[Permission, ...], platform: bool, error: type[PermissionDenied] | None
) -> None:
    denials = Denials()
    principal = _principal(*permissions, tenant_id=PLATFORM_TENANT_ID if platform else None)
    call = Call("/s/M", "request", "trace", "span", principal=principal)

    if error is None:
        await Authorize(denials)(rule, call)
        assert denials.found == []
    else:
        with pytest.raises(error) as refused:
            await Authorize(denials)(rule, call)
        assert denials.found == [(call, refused.value)]
        assert refused.value.fields == ({"permission": "users:read"} if error is PermissionMissing else {})


@pytest.mark.parametrize(
    ("rule", "passes"),
    [
        (Rule("authenticated", unverified=True), True),
        (Rule("authenticated"), False),
        (Rule(READ), False),
        (Rule("authenticated", platform_only=True), False),
    ],
    ids=repr,
)
async def test_an_unverified_caller_passes_only_where_the_rule_says_so(rule: Rule, passes: bool) -> None:
    denials = Denials()
    principal = replace(_principal(READ, MANAGE), unverified=True)
    call = Call("/s/M", "request", "trace", "span", principal=principal)

    if passes:
        await Authorize(denials)(rule, call)
    else:
        with pytest.raises(EmailNotVerified) as refused:
            await Authorize(denials)(rule, call)
        assert denials.found == [(call, refused.value)]


async def test_a_refusal_that_cannot_be_audited_is_no_permission() -> None:
    class Broken:
        async def denied(self, call: Call, error: PermissionDenied) -> None:
            raise ConnectionError

    with pytest.raises(ConnectionError):
        await Authorize(Broken())(Rule(READ), Call("/s/M", "request", "trace", "span", principal=_principal()))


async def test_a_public_call_has_nobody_to_hold_against_anything() -> None:
    denials = Denials()

    await Authorize(denials)(Rule("public"), Call("/s/M", "request", "trace", "span"))

    assert denials.found == []
