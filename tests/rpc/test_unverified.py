"""Where a tenant asks for verified addresses, a user without one signs in to verify it and for nothing else."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from pydantic import SecretStr

from atrium.identity.v1 import api_key_pb2, email_verification_pb2, permission_pb2, session_pb2, user_pb2
from atrium.tenant.v1 import tenant_config_pb2
from tests.databases import Scratch
from tests.factories.world import Person, Refusal, World, refused
from tests.fakes.smtp import Mailbox, mailbox
from tests.rpc.methods import IDENTITY
from tests.rpc.requests import GOOD, MALFORMED
from tests.rpc.test_every_method import PRIVATE
from tests.servers import serving

OPEN = {IDENTITY + name for name in ("WhoAmI", "Logout", "RequestEmailVerification")}
REFUSED = (grpc.StatusCode.PERMISSION_DENIED, "EMAIL_NOT_VERIFIED")


async def _require(world: World, administrator: Person, *, required: bool = True) -> None:
    request = tenant_config_pb2.UpdateTenantConfigRequest(
        tenant_id=administrator.tenant_id, require_verified_email=required
    )
    platform = await world.platform()
    reply = await world.tenants.UpdateTenantConfig(request, metadata=platform.metadata)
    assert reply.config.require_verified_email is required


async def _permissions(world: World, person: Person) -> list[str]:
    me = await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=person.metadata)
    return list(me.permissions)


async def _list_users(world: World, person: Person) -> Any:
    return await world.identity.ListUsers(user_pb2.ListUsersRequest(), metadata=person.metadata)


async def _refusal(world: World, person: Person) -> Refusal:
    return await refused(world.identity.ListUsers(user_pb2.ListUsersRequest(), metadata=person.metadata))


async def test_every_method_but_those_to_verify_with_is_closed_to_the_unverified(world: World) -> None:
    administrator = await world.tenant()
    await _require(world, administrator)

    for path in sorted(set(PRIVATE) - OPEN):
        for request in (GOOD[path], MALFORMED[path].request if path in MALFORMED else GOOD[path]):
            refusal = await refused(world.method(path)(request, metadata=administrator.metadata))

            assert (refusal.code, refusal.reason) == REFUSED, path
    for path in sorted(OPEN, reverse=True):  # Logout last, which ends the session
        await world.method(path)(GOOD[path], metadata=administrator.metadata)


async def test_an_unverified_user_signs_in_stays_signed_in_and_may_do_nothing(world: World) -> None:
    administrator = await world.tenant()
    await _require(world, administrator)

    person = await world.sign_in(administrator.tenant, "admin")
    request = session_pb2.RefreshTokenRequest(refresh_token=person.tokens.refresh_token)
    tokens = (await world.identity.RefreshToken(request)).tokens
    later = Person(person.tenant, person.tenant_id, person.id, person.username, tokens)

    assert await _permissions(world, later) == []
    assert ((await _refusal(world, later)).code, (await _refusal(world, later)).reason) == REFUSED


async def test_the_setting_holds_at_once_both_ways_and_for_its_tenant_alone(world: World) -> None:
    administrator, other = await world.tenant(), await world.tenant()
    for person in (administrator, other):
        await _list_users(world, person)  # their sessions are remembered

    await _require(world, administrator)

    assert (await _refusal(world, administrator)).reason == "EMAIL_NOT_VERIFIED"
    await _list_users(world, other)
    await _require(world, administrator, required=False)
    await _list_users(world, administrator)
    assert "users:manage" in await _permissions(world, administrator)


async def test_nobody_locks_themselves_out(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    request = tenant_config_pb2.UpdateTenantConfigRequest(require_verified_email=True)
    get = tenant_config_pb2.GetTenantConfigRequest()
    for person in (administrator, await world.platform()):
        refusal = await refused(world.tenants.UpdateTenantConfig(request, metadata=person.metadata))

        assert (refusal.code, refusal.reason) == REFUSED
        config = (await world.tenants.GetTenantConfig(get, metadata=person.metadata)).config
        assert not config.require_verified_email
    await admin.execute("UPDATE users SET email_verified = true")

    await world.tenants.UpdateTenantConfig(request, metadata=administrator.metadata)

    assert (await world.tenants.GetTenantConfig(get, metadata=administrator.metadata)).config.require_verified_email


async def test_another_user_of_the_tenant_is_bound_by_it(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    person = await world.user(administrator)
    await admin.execute("UPDATE users SET email_verified = true WHERE id = $1", administrator.id)
    request = tenant_config_pb2.UpdateTenantConfigRequest(require_verified_email=True)
    await world.tenants.UpdateTenantConfig(request, metadata=administrator.metadata)

    refusal = await _refusal(world, person)

    assert (refusal.code, refusal.reason) == REFUSED
    await _list_users(world, administrator)


async def test_who_asks_what_an_unverified_user_may_do_is_told_what_would_happen(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    person = await world.user(administrator, "users:manage")
    await admin.execute("UPDATE users SET email_verified = true WHERE id = $1", administrator.id)
    check = permission_pb2.CheckPermissionRequest(user_id=person.id, permissions=["users:read"])

    async def told() -> tuple[bool, bool, bool]:
        reply = await world.identity.CheckPermission(check, metadata=administrator.metadata)
        assert reply.user_state == user_pb2.User.STATE_ACTIVE
        return reply.must_verify_email, reply.results[0].allowed, bool(reply.results[0].role_code)

    before = await told()
    await _require(world, administrator)
    required = await told()
    await _require(world, administrator, required=False)

    assert (before, required, await told()) == ((False, True, True), (True, False, False), (False, True, True))


async def test_an_unverified_users_keys_are_bound_by_it_too(world: World) -> None:
    administrator = await world.tenant()
    request = api_key_pb2.CreateApiKeyRequest(name="a program", scopes=["users:read"])
    made = await world.identity.CreateApiKey(request, metadata=administrator.metadata)
    key = (("x-api-key", made.secret),)
    await world.identity.ListUsers(user_pb2.ListUsersRequest(), metadata=key)

    await _require(world, administrator)

    refusal = await refused(world.identity.ListUsers(user_pb2.ListUsersRequest(), metadata=key))
    assert (refusal.code, refusal.reason) == REFUSED
    assert list((await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=key)).permissions) == []


async def test_a_service_account_has_no_mail_to_read_and_goes_on(world: World) -> None:
    administrator = await world.tenant()
    user = user_pb2.CreateUserRequest(username="ci", email="ci@example.com", kind=user_pb2.User.KIND_SERVICE)
    account = (await world.identity.CreateUser(user, metadata=administrator.metadata)).user
    request = api_key_pb2.CreateApiKeyRequest(name="a program", user_id=account.id, scopes=["users:read"])
    made = await world.identity.CreateApiKey(request, metadata=administrator.metadata)

    await _require(world, administrator)

    await world.identity.ListUsers(user_pb2.ListUsersRequest(), metadata=(("x-api-key", made.secret),))


async def test_a_refusal_is_audited(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    await _require(world, administrator)

    await _refusal(world, administrator)

    row = await admin.fetchrow(
        "SELECT action, status, user_id::text FROM audit_logs WHERE error_message = 'EMAIL_NOT_VERIFIED'"
    )
    assert tuple(row) == (IDENTITY + "ListUsers", "failure", administrator.id)


@pytest.fixture
async def box() -> AsyncIterator[Mailbox]:
    """Where the server's mail arrives."""
    async with mailbox() as made:
        yield made


async def test_verifying_opens_everything_at_once_and_another_address_closes_it(scratch: Scratch, box: Mailbox) -> None:
    settings = scratch.settings(smtp_url=SecretStr(box.url), mail_from="no-reply@atrium.example")
    async with serving(settings) as (app, port):
        first = await app.founding.first_platform_administrator()
        assert first is not None
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            world = World(channel, first)
            administrator = await world.tenant()
            person = await world.user(administrator, "users:read", "users:manage")
            await _require(world, administrator)
            assert (await _refusal(world, person)).reason == "EMAIL_NOT_VERIFIED"
            await world.identity.RequestEmailVerification(
                email_verification_pb2.RequestEmailVerificationRequest(), metadata=person.metadata
            )
            token = re.findall(r"^\S{60,}$", (await box.next()).get_content(), flags=re.M)[0]

            await world.identity.VerifyEmail(email_verification_pb2.VerifyEmailRequest(token=token))

            await _list_users(world, person)
            change = user_pb2.UpdateUserRequest(id=person.id, email="moved@example.com")
            await world.identity.UpdateUser(change, metadata=person.metadata)
            assert (await _refusal(world, person)).reason == "EMAIL_NOT_VERIFIED"
