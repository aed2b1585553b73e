"""What is taken away is gone at once where it was taken, and within a second everywhere else, come what may."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any
from uuid import UUID

import grpc
import pytest

from atrium.identity.v1 import api_key_pb2, identity_service_pb2_grpc, password_pb2, role_pb2, session_pb2, user_pb2
from atrium.tenant.v1 import tenant_config_pb2, tenant_pb2
from server.identity.tokens import OneTimeToken
from server.kernel.ids import uuid7
from server.operating import rotated
from tests.databases import Scratch
from tests.factories.world import PASSWORD, Person, World, refused
from tests.promptly import within
from tests.servers import serving

CODE = grpc.StatusCode
Identity = identity_service_pb2_grpc.IdentityServiceStub
NOT_FOR_EVER = 20.0
ROLES = role_pb2.ListRolesRequest()
LISTENERS = (
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'atrium listener' AND datname = current_database()"
)


@asynccontextmanager
async def _two_servers(scratch: Scratch) -> AsyncIterator[tuple[World, Identity]]:
    """A server, and what the identity service of a second one on the same database says."""
    async with (
        serving(scratch.settings()) as (app, port),
        serving(scratch.settings()) as (_, second_port),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
        grpc.aio.insecure_channel(f"127.0.0.1:{second_port}") as second_channel,
    ):
        administrator = await app.founding.first_platform_administrator()
        assert administrator is not None
        yield World(channel, administrator), Identity(second_channel)


@dataclass
class Scene:
    """Somebody who may do something, and those who can take it away."""

    world: World
    admin: Any
    administrator: Person
    person: Person
    metadata: Any = ()
    extra: dict[str, Any] = field(default_factory=dict)

    async def key(self) -> Any:
        """A key of the person's, with which they call."""
        request = api_key_pb2.CreateApiKeyRequest(name="k", scopes=["roles:read"])
        made = await self.world.identity.CreateApiKey(request, metadata=self.person.metadata)
        self.metadata = (("x-api-key", made.secret),)
        return made.api_key


async def _log_out(scene: Scene) -> None:
    await scene.world.identity.Logout(session_pb2.LogoutRequest(), metadata=scene.person.metadata)


async def _make_inactive(scene: Scene) -> None:
    world, administrator, person = scene.world, scene.administrator, scene.person
    request = user_pb2.UpdateUserRequest(id=person.id, state=user_pb2.User.STATE_INACTIVE)
    await world.identity.UpdateUser(request, metadata=administrator.metadata)


async def _lock(scene: Scene) -> None:
    world, administrator, person = scene.world, scene.administrator, scene.person
    await world.identity.LockUser(user_pb2.LockUserRequest(id=person.id), metadata=administrator.metadata)


async def _delete(scene: Scene) -> None:
    world, administrator, person = scene.world, scene.administrator, scene.person
    await world.identity.DeleteUser(user_pb2.DeleteUserRequest(id=person.id), metadata=administrator.metadata)


async def _revoke_the_session(scene: Scene) -> None:
    world, administrator, person = scene.world, scene.administrator, scene.person
    listed = await world.identity.ListSessions(session_pb2.ListSessionsRequest(), metadata=person.metadata)
    request = session_pb2.RevokeSessionRequest(id=listed.sessions[0].id)
    await world.identity.RevokeSession(request, metadata=administrator.metadata)


async def _change_the_password_elsewhere(scene: Scene) -> None:
    world, person = scene.world, scene.person
    elsewhere = await world.sign_in(person.tenant, person.username)
    request = password_pb2.ChangePasswordRequest(current_password=PASSWORD, new_password="another good one")
    await world.identity.ChangePassword(request, metadata=elsewhere.metadata)


async def _unassign_the_role(scene: Scene) -> None:
    world, administrator, person = scene.world, scene.administrator, scene.person
    held = await world.identity.ListRoles(role_pb2.ListRolesRequest(user_id=person.id), metadata=administrator.metadata)
    for role in held.roles:
        request = role_pb2.UnassignRoleRequest(user_id=person.id, role_id=role.id)
        await world.identity.UnassignRole(request, metadata=administrator.metadata)


async def _empty_the_role(scene: Scene) -> None:
    world, administrator, person = scene.world, scene.administrator, scene.person
    held = await world.identity.ListRoles(role_pb2.ListRolesRequest(user_id=person.id), metadata=administrator.metadata)
    for role in held.roles:
        if not role.system:
            request = role_pb2.SetRolePermissionsRequest(role_id=role.id)
            await world.identity.SetRolePermissions(request, metadata=administrator.metadata)


async def _delete_the_role(scene: Scene) -> None:
    delete = role_pb2.DeleteRoleRequest(id=scene.extra["role"].id)
    await scene.world.identity.DeleteRole(delete, metadata=scene.administrator.metadata)


async def _let_another_role_weigh_more(scene: Scene) -> None:
    raised = role_pb2.UpdateRoleRequest(id=scene.extra["denying"].id, priority=90)
    await scene.world.identity.UpdateRole(raised, metadata=scene.administrator.metadata)


async def _suspend_the_tenant(scene: Scene) -> None:
    suspend = tenant_pb2.SuspendTenantRequest(id=scene.administrator.tenant_id)
    await scene.world.tenants.SuspendTenant(suspend, metadata=(await scene.world.platform()).metadata)


async def _delete_the_tenant(scene: Scene) -> None:
    delete = tenant_pb2.DeleteTenantRequest(id=scene.administrator.tenant_id)
    await scene.world.tenants.DeleteTenant(delete, metadata=(await scene.world.platform()).metadata)


async def _ask_for_a_verified_address(scene: Scene) -> None:
    change = tenant_config_pb2.UpdateTenantConfigRequest(
        tenant_id=scene.administrator.tenant_id, require_verified_email=True
    )
    await scene.world.tenants.UpdateTenantConfig(change, metadata=(await scene.world.platform()).metadata)


async def _revoke_the_key(scene: Scene) -> None:
    revoke = api_key_pb2.RevokeApiKeyRequest(id=scene.extra["key"].id)
    await scene.world.identity.RevokeApiKey(revoke, metadata=scene.administrator.metadata)


async def _rotate_the_key(scene: Scene) -> None:
    rotate = api_key_pb2.RotateApiKeyRequest(id=scene.extra["key"].id)
    await scene.world.identity.RotateApiKey(rotate, metadata=scene.person.metadata)


async def _reset_the_password(scene: Scene) -> None:
    token = OneTimeToken.generate(UUID(scene.person.tenant_id), uuid7())
    user = await scene.admin.fetchrow("SELECT email, password_hash FROM users WHERE id = $1", scene.person.id)
    await scene.admin.execute(
        "INSERT INTO one_time_tokens (tenant_id, id, user_id, purpose, token_hash, expires_at) "
        "VALUES ($1, $2, $3, 'reset_password', $4, now() + interval '1 hour')",
        *(token.tenant_id, token.id, scene.person.id, token.hash(*user)),
    )
    reset = password_pb2.ResetPasswordRequest(token=str(token), new_password="another good one")
    await scene.world.identity.ResetPassword(reset)


REVOCATIONS = {
    _log_out: CODE.UNAUTHENTICATED,
    _make_inactive: CODE.UNAUTHENTICATED,
    _lock: CODE.UNAUTHENTICATED,
    _delete: CODE.UNAUTHENTICATED,
    _revoke_the_session: CODE.UNAUTHENTICATED,
    _change_the_password_elsewhere: CODE.UNAUTHENTICATED,
    _reset_the_password: CODE.UNAUTHENTICATED,
    _unassign_the_role: CODE.PERMISSION_DENIED,
    _empty_the_role: CODE.PERMISSION_DENIED,
    _delete_the_role: CODE.PERMISSION_DENIED,
    _let_another_role_weigh_more: CODE.PERMISSION_DENIED,
    _ask_for_a_verified_address: CODE.PERMISSION_DENIED,
    _suspend_the_tenant: CODE.UNAUTHENTICATED,
    _delete_the_tenant: CODE.UNAUTHENTICATED,
    _revoke_the_key: CODE.UNAUTHENTICATED,
    _rotate_the_key: CODE.UNAUTHENTICATED,
}


OF_KEYS_TOO = (
    *(_make_inactive, _lock, _delete, _unassign_the_role, _empty_the_role, _delete_the_role),
    *(_ask_for_a_verified_address, _suspend_the_tenant, _delete_the_tenant),
)
"""What takes away from the person, and so from their keys."""


async def _unlock(scene: Scene) -> None:
    unlock = user_pb2.UnlockUserRequest(id=scene.person.id)
    await scene.world.identity.UnlockUser(unlock, metadata=scene.administrator.metadata)


async def _restore(scene: Scene) -> None:
    restore = user_pb2.RestoreUserRequest(id=scene.person.id)
    await scene.world.identity.RestoreUser(restore, metadata=scene.administrator.metadata)


async def _assign_the_role(scene: Scene) -> None:
    assign = role_pb2.AssignRoleRequest(user_id=scene.person.id, role_id=scene.extra["role"].id)
    await scene.world.identity.AssignRole(assign, metadata=scene.administrator.metadata)


async def _restore_the_role(scene: Scene) -> None:
    restore = role_pb2.RestoreRoleRequest(id=scene.extra["role"].id)
    await scene.world.identity.RestoreRole(restore, metadata=scene.administrator.metadata)


async def _activate_the_tenant(scene: Scene) -> None:
    activate = tenant_pb2.ActivateTenantRequest(id=scene.administrator.tenant_id)
    await scene.world.tenants.ActivateTenant(activate, metadata=(await scene.world.platform()).metadata)


async def _restore_the_tenant(scene: Scene) -> None:
    restore = tenant_pb2.RestoreTenantRequest(id=scene.administrator.tenant_id)
    await scene.world.tenants.RestoreTenant(restore, metadata=(await scene.world.platform()).metadata)


GIVEN_BACK = {
    _lock: _unlock,
    _delete: _restore,
    _unassign_the_role: _assign_the_role,
    _delete_the_role: _restore_the_role,
    _suspend_the_tenant: _activate_the_tenant,
    _delete_the_tenant: _restore_the_tenant,
}


async def _scene(world: World, admin: Any, revoke: Any, *, with_key: bool = False) -> Scene:
    """`with_key`: they call with a key of theirs, where what is taken away is not that key in any case."""
    administrator = await world.tenant()
    person = await world.nobody(administrator)
    roles = {
        "role": await world.role(administrator, "roles:read", priority=50),
        "denying": await world.role(administrator, "roles:read", priority=10, allow=False),
    }
    for role in roles.values():
        given = role_pb2.AssignRoleRequest(user_id=person.id, role_id=role.id)
        await world.identity.AssignRole(given, metadata=administrator.metadata)
    scene = Scene(world, admin, administrator, person, person.metadata, roles)
    if with_key or revoke in (_revoke_the_key, _rotate_the_key):
        scene.extra["key"] = await scene.key()
    return scene


async def test_what_is_taken_away_is_gone_at_once_here_and_within_a_second_everywhere(
    scratch: Scratch, admin: Any
) -> None:
    async with _two_servers(scratch) as (world, second):
        for revoke, with_key in ((each, key) for each in REVOCATIONS for key in {False, each in OF_KEYS_TOO}):
            await within(1, partial(_gone, world, second, admin, revoke, with_key=with_key))


async def _gone(world: World, second: Identity, admin: Any, revoke: Any, *, with_key: bool) -> float:
    """How long after it was taken away it was gone elsewhere too."""
    code = REVOCATIONS[revoke]
    scene = await _scene(world, admin, revoke, with_key=with_key)
    await second.ListRoles(ROLES, metadata=scene.metadata)  # both remember the credential
    await world.identity.ListRoles(ROLES, metadata=scene.metadata)

    await revoke(scene)

    revoked_at = monotonic()
    here = await refused(world.identity.ListRoles(ROLES, metadata=scene.metadata))
    assert here.code is code, revoke
    assert await _refusal_in_the_end(second, scene.metadata) is code, revoke
    return monotonic() - revoked_at


@pytest.mark.parametrize("with_key", [False, True], ids=["a token", "a key"])
async def test_what_is_given_back_is_there_at_once_here_and_within_a_second_everywhere(
    scratch: Scratch, admin: Any, *, with_key: bool
) -> None:
    async with _two_servers(scratch) as (world, second):
        for revoke in GIVEN_BACK:
            await within(1, partial(_back, world, second, admin, revoke, with_key=with_key))


async def _back(world: World, second: Identity, admin: Any, revoke: Any, *, with_key: bool) -> float:
    """How long after it was given back it was there again elsewhere too."""
    scene = await _scene(world, admin, revoke, with_key=with_key)
    await second.ListRoles(ROLES, metadata=scene.metadata)
    await revoke(scene)
    assert await _refusal_in_the_end(second, scene.metadata) is REVOCATIONS[revoke], revoke

    await GIVEN_BACK[revoke](scene)

    given_at = monotonic()
    await world.identity.ListRoles(ROLES, metadata=scene.metadata)
    async with asyncio.timeout(NOT_FOR_EVER):
        while await second.ListRoles(ROLES, metadata=scene.metadata).code() is not CODE.OK:
            pass
    return monotonic() - given_at


@pytest.mark.parametrize("revoke", [_log_out, _suspend_the_tenant, _delete_the_role, _revoke_the_key])
async def test_it_is_gone_within_a_second_where_whoever_would_tell_is_dead_and_does_not_say_so(
    scratch: Scratch, admin: Any, revoke: Any
) -> None:
    async with _two_servers(scratch) as (world, second):
        await within(1, partial(_gone_untold, world, second, admin, revoke))


async def _gone_untold(world: World, second: Identity, admin: Any, revoke: Any) -> float:
    """How long after it was taken away it was gone elsewhere, where nobody who listens hears of it."""
    scene = await _scene(world, admin, revoke)
    await second.ListRoles(ROLES, metadata=scene.metadata)
    async with _nobody_told(admin):
        await second.ListRoles(ROLES, metadata=scene.metadata)

        await revoke(scene)

        revoked_at = monotonic()
        assert await _refusal_in_the_end(second, scene.metadata) is REVOCATIONS[revoke]
        return monotonic() - revoked_at


@asynccontextmanager
async def _nobody_told(admin: Any) -> AsyncIterator[None]:
    """What would tell the two servers is dead, and does not say so."""
    async with asyncio.timeout(NOT_FOR_EVER):
        while len(listeners := [row["pid"] for row in await admin.fetch(LISTENERS)]) != 2:
            pass
    for pid in listeners:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in listeners:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("told", [True, False])
async def test_what_a_compromised_key_has_signed_is_refused_within_a_second_everywhere(
    scratch: Scratch, admin: Any, *, told: bool
) -> None:
    async with _two_servers(scratch) as (world, second):

        async def gone() -> float:
            person = await world.tenant()
            async with nullcontext() if told else _nobody_told(admin):
                for server in (world.identity, second):
                    await server.ListRoles(ROLES, metadata=person.metadata)

                await rotated(scratch.settings(), compromised=True)

                revoked_at = monotonic()
                for server in (world.identity, second):
                    assert await _refusal_in_the_end(server, person.metadata) is CODE.UNAUTHENTICATED
                took = monotonic() - revoked_at
            again = session_pb2.RefreshTokenRequest(refresh_token=person.tokens.refresh_token)
            fresh = (await second.RefreshToken(again)).tokens
            for server in (world.identity, second):
                await server.ListRoles(ROLES, metadata=(("authorization", f"Bearer {fresh.access_token}"),))
            return took

        await within(1, gone)


async def test_it_is_gone_within_a_second_where_the_news_of_it_is_lost_too(scratch: Scratch, admin: Any) -> None:
    async with _two_servers(scratch) as (world, second):
        administrator = await world.tenant()
        person = await world.user(administrator, "roles:read")
        # As long as nobody listens, a server asks the database again before a second is over.
        await admin.execute("UPDATE pg_database SET datconnlimit = 0 WHERE datname = current_database()")
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'atrium listener' AND datname = current_database()"
        )

        async def gone() -> float:
            await second.ListRoles(ROLES, metadata=person.metadata)

            await _log_out(Scene(world, admin, administrator, person))

            revoked_at = monotonic()
            assert await _refusal_in_the_end(second, person.metadata) is CODE.UNAUTHENTICATED
            return monotonic() - revoked_at

        await within(1, gone)


async def _refusal_in_the_end(stub: Identity, metadata: Any) -> grpc.StatusCode:
    """The code of the first refusal, which must come."""
    async with asyncio.timeout(NOT_FOR_EVER):
        while True:
            try:
                await stub.ListRoles(ROLES, metadata=metadata)
            except grpc.aio.AioRpcError as error:
                code: grpc.StatusCode = error.code()
                return code
