"""The steps that let a call pass or refuse it: shedding, authentication, authorization."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from server.kernel.errors import (
    EmailNotVerified,
    PermissionDenied,
    PermissionMissing,
    PlatformOnly,
    SuperAdminOnly,
)
from server.kernel.features import Feature, FeatureMissing
from server.kernel.ids import PLATFORM_TENANT_ID, uuid7
from server.kernel.permissions import Grant, Permission
from server.kernel.principal import Call, Principal
from server.rpc.policy import Access, Rule
from server.rpc.steps.authenticate import Authenticate, AuthenticationRequired
from server.rpc.steps.authorize import Authorize
from server.rpc.steps.shed import ServerBusy, Shed
from server.rpc.steps.trace import Credentials

SOME_ID = UUID(int=1)


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

    def recall_token(self, token: str) -> Principal | None:
        return self._known.get(token) if self._remembered else None

    def recall_key(self, key: str) -> Principal | None:
        return None

    async def verify_token(self, token: str) -> Principal:
        self.verified.append(token)
        return self._known[token]

    async def verify_key(self, key: str) -> Principal:
        self.verified.append(f"key {key}")
        return self._known[key]

    async def confirm(self, principal: Principal) -> Principal:
        self.verified.append("session")
        return principal


class Door:
    async def enter(self, tenant_id: UUID) -> None:
        """Open to whoever comes."""


@pytest.mark.parametrize("authorization", ["Bearer good", "bearer good", "BEARER good"])
@pytest.mark.parametrize("access", ["authenticated", Permission.USERS_READ])
async def test_a_bearer_token_is_verified(access: Access, authorization: str) -> None:
    verifier = Verifier("good", _principal())

    principal = await Authenticate(verifier, Door())(Rule(access), Credentials(authorization))

    assert (principal, verifier.verified) == (verifier._known["good"], ["good"])


async def test_a_remembered_token_is_not_verified_again() -> None:
    verifier = Verifier("good", _principal(), remembered=True)

    principal = await Authenticate(verifier, Door())(Rule("authenticated"), Credentials("Bearer good"))

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
        await Authenticate(verifier, Door())(Rule("authenticated"), Credentials(authorization))
    assert verifier.verified == []


@pytest.mark.parametrize("authorization", [None, "", "Bearer good", "Bearer bad", "Basic x"])
async def test_a_public_method_does_not_look_at_credentials(authorization: str | None) -> None:
    verifier = Verifier("good", _principal())

    assert await Authenticate(verifier, Door())(Rule("public"), Credentials(authorization)) is None
    assert verifier.verified == []


async def test_a_key_is_verified_where_there_is_no_token() -> None:
    verifier = Verifier("atr_good", _principal())

    principal = await Authenticate(verifier, Door())(Rule("authenticated"), Credentials(api_key="atr_good"))

    assert (principal, verifier.verified) == (verifier._known["atr_good"], ["key atr_good"])


@pytest.mark.parametrize(("authorization", "api_key"), [("Bearer good", "good"), (None, ""), ("", "good")])
async def test_two_credentials_are_none(authorization: str | None, api_key: str) -> None:
    verifier = Verifier("good", _principal())

    with pytest.raises(AuthenticationRequired):
        await Authenticate(verifier, Door())(Rule("authenticated"), Credentials(authorization, api_key))
    assert verifier.verified == []


@pytest.mark.parametrize(
    ("rule", "credentials", "known"),
    [
        (Rule("authenticated"), Credentials("Bearer good"), True),
        (Rule("authenticated"), Credentials("bearer good"), True),
        (Rule("authenticated"), Credentials("Basic good"), False),
        (Rule("authenticated"), Credentials("Bearer bad"), False),
        (Rule("authenticated"), Credentials(None), False),
        (Rule("authenticated"), Credentials("Bearer good", "good"), False),
        (Rule("authenticated"), Credentials("Bearer good", tenant=""), False),
        (Rule("public"), Credentials("Bearer good"), False),
    ],
    ids=repr,
)
def test_who_is_known_at_once_has_nothing_to_be_looked_up(rule: Rule, credentials: Credentials, known: bool) -> None:
    verifier = Verifier("good", _principal(), remembered=True)

    assert Authenticate(verifier, Door()).recall(rule, credentials) == (verifier._known["good"] if known else None)


class Denials:
    def __init__(self) -> None:
        self.found: list[tuple[Call, PermissionDenied]] = []

    async def denied(self, call: Call, error: PermissionDenied) -> None:
        self.found.append((call, error))

    async def entered(self, call: Call) -> None:
        self.inside = call


class Given:
    """The tiers: which features a tenant's gives it."""

    def __init__(self, *features: Feature) -> None:
        self._features = features

    async def require(self, tenant_id: UUID, feature: Feature) -> None:
        if feature not in self._features:
            raise FeatureMissing(feature)


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
        await Authorize(denials, Given())(rule, call)
        assert denials.found == []
    else:
        with pytest.raises(error) as refused:
            await Authorize(denials, Given())(rule, call)
        assert denials.found == [(call, refused.value)]
        assert refused.value.fields == ({"permission": "users:read"} if error is PermissionMissing else {})


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({}, None),
        ({"tenant_id": SOME_ID, "home_tenant_id": PLATFORM_TENANT_ID}, None),
        ({"decided": {READ: Grant(READ, allow=True, role_code="custom", priority=1000)}}, None),
        ({"roles": frozenset({"custom"})}, SuperAdminOnly),
        ({"session_id": None, "api_key_id": SOME_ID}, SuperAdminOnly),
        ({"tenant_id": SOME_ID}, PlatformOnly),
        ({"permissions": frozenset()}, PermissionMissing),
    ],
    ids=repr,
)
async def test_only_who_is_signed_in_with_the_platforms_own_role_is_a_super_administrator(
    changes: dict[str, Any], error: type[PermissionDenied] | None
) -> None:
    principal = replace(_principal(READ, tenant_id=PLATFORM_TENANT_ID), roles=frozenset({"custom", "super_admin"}))
    call = Call("/s/M", "request", "trace", "span", principal=replace(principal, **changes))
    rule = Rule(READ, platform_only=True, super_admin=True)

    if error is None:
        await Authorize(Denials(), Given())(rule, call)
    else:
        with pytest.raises(error):
            await Authorize(Denials(), Given())(rule, call)


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
        await Authorize(denials, Given())(rule, call)
    else:
        with pytest.raises(EmailNotVerified) as refused:
            await Authorize(denials, Given())(rule, call)
        assert denials.found == [(call, refused.value)]


async def test_a_refusal_that_cannot_be_audited_is_no_permission() -> None:
    class Broken:
        async def denied(self, call: Call, error: PermissionDenied) -> None:
            raise ConnectionError

        async def entered(self, call: Call) -> None:
            raise ConnectionError

    with pytest.raises(ConnectionError):
        await Authorize(Broken(), Given())(Rule(READ), Call("/s/M", "request", "trace", "span", principal=_principal()))


async def test_a_public_call_has_nobody_to_hold_against_anything() -> None:
    denials = Denials()

    await Authorize(denials, Given())(Rule("public"), Call("/s/M", "request", "trace", "span"))

    assert denials.found == []


async def test_whoever_acts_inside_another_tenant_is_noted_before_they_do() -> None:
    log = Denials()
    call = Call("/s/M", "request", "trace", "span", principal=_principal(READ).inside(uuid7()))

    await Authorize(log, Given())(Rule(READ), call)

    assert log.inside is call


async def test_it_is_noted_too_where_the_tenants_tier_is_in_the_way() -> None:
    log, rule = Denials(), Rule(READ, feature=Feature.OWN_CREDENTIALS)
    call = Call("/s/M", "request", "trace", "span", principal=_principal(READ).inside(uuid7()))

    with pytest.raises(FeatureMissing):
        await Authorize(log, Given())(rule, call)

    assert log.inside is call


async def test_a_method_may_ask_for_what_the_tenants_tier_gives() -> None:
    rule = Rule(READ, feature=Feature.OWN_CREDENTIALS)
    call = Call("/s/M", "request", "trace", "span", principal=_principal(READ))

    await Authorize(Denials(), Given(Feature.OWN_CREDENTIALS))(rule, call)
    with pytest.raises(FeatureMissing) as refused:
        await Authorize(Denials(), Given(Feature.CUSTOM_MODELS))(rule, call)

    assert refused.value.subject == "own_credentials"


async def test_what_the_tier_gives_is_only_for_those_who_may_call() -> None:
    rule, denials = Rule(READ, feature=Feature.OWN_CREDENTIALS), Denials()

    with pytest.raises(PermissionMissing):
        await Authorize(denials, Given())(rule, Call("/s/M", "request", "trace", "span", principal=_principal()))
