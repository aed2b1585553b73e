"""Keys that programs call with."""

from __future__ import annotations

import asyncio
import hashlib
import time
from typing import Any

import pytest
from grpc import StatusCode as Code

from atrium.identity.v1 import api_key_pb2 as pb
from atrium.identity.v1 import password_pb2, permission_pb2, role_pb2, session_pb2, user_pb2
from atrium.model.v1 import chat_pb2, embedding_pb2
from tests.factories.api_keys import make_account, make_key, with_key
from tests.factories.world import World, refused

NOT_FOR_EVER = 20.0


async def test_a_key_calls_in_its_users_name_and_is_shown_once(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    made = await make_key(world, administrator, "users:read")

    me = await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=with_key(made.secret))
    listed = await world.identity.ListApiKeys(pb.ListApiKeysRequest(), metadata=administrator.metadata)

    assert (me.user_id, me.session_id, me.api_key_id) == (administrator.id, "", made.api_key.id)
    assert list(me.permissions) == ["users:read"]
    assert made.secret.startswith(f"atr_{administrator.tenant_id.replace('-', '')}_{made.api_key.prefix}_")
    assert [key.id for key in listed.api_keys] == [made.api_key.id]
    assert made.secret not in str(await admin.fetch("SELECT api_keys::text FROM api_keys"))


async def test_a_key_allows_what_its_scopes_and_its_user_both_allow(world: World) -> None:
    administrator = await world.tenant()
    user = await world.nobody(administrator)
    role = await world.role(administrator, "users:manage")
    held = role_pb2.AssignRoleRequest(user_id=user.id, role_id=role.id)
    await world.identity.AssignRole(held, metadata=administrator.metadata)
    secret = (await make_key(world, user, "users:read")).secret
    await world.identity.ListUsers(user_pb2.ListUsersRequest(), metadata=with_key(secret))
    create = user_pb2.CreateUserRequest(username="x", email="x@example.com")
    out_of_scope = await refused(world.identity.CreateUser(create, metadata=with_key(secret)))

    taken = role_pb2.UnassignRoleRequest(user_id=user.id, role_id=role.id)
    await world.identity.UnassignRole(taken, metadata=administrator.metadata)

    not_held = await refused(world.identity.ListUsers(user_pb2.ListUsersRequest(), metadata=with_key(secret)))
    assert (out_of_scope.code, not_held.code) == (Code.PERMISSION_DENIED, Code.PERMISSION_DENIED)


async def test_a_program_that_asks_what_it_may_do_is_told_of_its_key(world: World) -> None:
    administrator = await world.tenant()
    key = await make_key(world, administrator, "roles:read", "call_logs:read")
    request = permission_pb2.CheckPermissionRequest(permissions=["roles:read", "users:read"])

    reply = await world.identity.CheckPermission(request, metadata=with_key(key.secret))

    assert [(result.allowed, result.role_code) for result in reply.results] == [(True, "admin"), (False, "")]


async def test_nobody_puts_more_on_a_key_than_they_hold(world: World) -> None:
    administrator = await world.tenant()
    user = await world.user(administrator, "users:read")
    narrow = (await make_key(world, administrator, "users:read", "api_keys:manage")).secret
    wide = pb.CreateApiKeyRequest(name="wide", scopes=["roles:manage"])

    by_user = await refused(world.identity.CreateApiKey(wide, metadata=user.metadata))
    by_key = await refused(world.identity.CreateApiKey(wide, metadata=with_key(narrow)))

    assert (by_user.reason, by_key.reason) == ("ESCALATION_REFUSED", "ESCALATION_REFUSED")


async def test_a_service_account_has_keys_and_no_password(world: World) -> None:
    administrator = await world.tenant()
    request = user_pb2.CreateUserRequest(username="ci", email="ci@example.com", kind=user_pb2.User.KIND_SERVICE)
    account = (await world.identity.CreateUser(request, metadata=administrator.metadata)).user
    await world.give(administrator, account.id, "call_logs:read")

    made = await make_key(world, administrator, "call_logs:read", user_id=account.id)

    me = await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=with_key(made.secret))
    login = session_pb2.LoginRequest(tenant=administrator.tenant, login="ci", password="anything at all")
    assert (me.user_id, list(me.permissions)) == (account.id, ["call_logs:read"])
    assert (await refused(world.identity.Login(login))).reason == "LOGIN_FAILED"


async def test_anothers_keys_are_for_who_manages_them(world: World) -> None:
    administrator = await world.tenant()
    user = await world.user(administrator)
    made = await make_key(world, administrator, "users:read")
    calls = [
        world.identity.ListApiKeys(pb.ListApiKeysRequest(user_id=administrator.id), metadata=user.metadata),
        world.identity.CreateApiKey(
            pb.CreateApiKeyRequest(name="k", user_id=administrator.id, scopes=["users:read"]), metadata=user.metadata
        ),
        world.identity.RotateApiKey(pb.RotateApiKeyRequest(id=made.api_key.id), metadata=user.metadata),
        world.identity.RevokeApiKey(pb.RevokeApiKeyRequest(id=made.api_key.id), metadata=user.metadata),
    ]

    reasons = [(await refused(call)).reason for call in calls]

    assert reasons == ["PERMISSION_MISSING", "PERMISSION_MISSING", "API_KEY_NOT_FOUND", "API_KEY_NOT_FOUND"]


async def test_a_revoked_key_is_refused_at_once_and_cannot_be_rotated(world: World) -> None:
    administrator = await world.tenant()
    made = await make_key(world, administrator, "users:read")
    await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=with_key(made.secret))

    await world.identity.RevokeApiKey(pb.RevokeApiKeyRequest(id=made.api_key.id), metadata=administrator.metadata)

    refusal = await refused(world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=with_key(made.secret)))
    rotate = pb.RotateApiKeyRequest(id=made.api_key.id)
    ended = await refused(world.identity.RotateApiKey(rotate, metadata=administrator.metadata))
    assert (refusal.code, refusal.reason) == (Code.UNAUTHENTICATED, "API_KEY_INVALID")
    assert (ended.code, ended.reason) == (Code.FAILED_PRECONDITION, "API_KEY_ENDED")


async def test_a_rotated_key_keeps_its_old_secret_for_the_grace_alone(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    made = await make_key(world, administrator, "users:read")
    await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=with_key(made.secret))

    with_grace = pb.RotateApiKeyRequest(id=made.api_key.id, grace={"seconds": 3600})
    second = await world.identity.RotateApiKey(with_grace, metadata=administrator.metadata)
    for secret in (made.secret, second.secret):
        await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=with_key(secret))
    third = await world.identity.RotateApiKey(
        pb.RotateApiKeyRequest(id=made.api_key.id), metadata=administrator.metadata
    )

    await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=with_key(third.secret))
    for secret in (made.secret, second.secret):
        refusal = await refused(world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=with_key(secret)))
        assert refusal.reason == "API_KEY_INVALID"


async def test_a_rotation_within_the_grace_of_another_ends_the_first_secret_at_once(world: World) -> None:
    administrator = await world.tenant()
    made = await make_key(world, administrator, "users:read")
    rotate = pb.RotateApiKeyRequest(id=made.api_key.id, grace={"seconds": 3600})
    await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=with_key(made.secret))

    second, third = [
        await world.identity.RotateApiKey(rotate, metadata=administrator.metadata) for _ in ("second", "third")
    ]

    first = await refused(world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=with_key(made.secret)))
    assert first.reason == "API_KEY_INVALID"
    for secret in (second.secret, third.secret):
        await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=with_key(secret))


@pytest.mark.parametrize("change", [lambda s: s[:-1], lambda s: s + "a", lambda s: s.upper(), lambda s: s.swapcase()])
async def test_a_key_that_is_not_quite_one_is_none(world: World, change: Any) -> None:
    made = await make_key(world, await world.tenant(), "users:read")

    refusal = await refused(world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=with_key(change(made.secret))))

    assert (refusal.code, refusal.reason) == (Code.UNAUTHENTICATED, "API_KEY_INVALID")


async def test_a_key_of_one_tenant_is_none_of_another(world: World) -> None:
    first, second = await world.tenant(), await world.tenant()
    made = await make_key(world, first, "users:read")
    forged = made.secret.replace(first.tenant_id.replace("-", ""), second.tenant_id.replace("-", ""))

    refusal = await refused(world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=with_key(forged)))

    assert refusal.reason == "API_KEY_INVALID"


async def test_what_is_for_people_is_not_for_keys(world: World) -> None:
    made = await make_key(world, await world.tenant(), "users:read")
    password = password_pb2.ChangePasswordRequest(current_password="x", new_password="another password")

    reasons = [
        (await refused(world.identity.Logout(session_pb2.LogoutRequest(), metadata=with_key(made.secret)))).reason,
        (await refused(world.identity.ChangePassword(password, metadata=with_key(made.secret)))).reason,
    ]

    assert reasons == ["SESSION_REQUIRED", "SESSION_REQUIRED"]


async def test_a_key_is_for_the_models_it_is_limited_to(world: World) -> None:
    made = await make_key(world, await world.tenant(), "models:execute", allowed_models=["local-embedding"])
    embed = embedding_pb2.EmbedRequest(model="local-embedding", inputs=["a"])
    chat = chat_pb2.ChatRequest(model="gpt-4", messages=[{"role": chat_pb2.ChatMessage.ROLE_USER, "content": "Hi"}])

    await world.models.Embed(embed, metadata=with_key(made.secret))
    refusal = await refused(world.models.Chat(chat, metadata=with_key(made.secret)))

    assert (refusal.code, refusal.reason) == (Code.PERMISSION_DENIED, "MODEL_NOT_ALLOWED")


async def test_a_keys_last_use_and_its_changes_are_told(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    made = await make_key(world, administrator, "users:read", "users:manage")
    create = user_pb2.CreateUserRequest(username="x", email="x@example.com")

    await world.identity.CreateUser(create, metadata=with_key(made.secret))

    row = await admin.fetchrow(
        "SELECT actor_kind, user_id::text, session_id, details->>'api_key_id' AS key FROM audit_logs "
        "WHERE action = 'users.create' AND new_value->>'username' = 'x'"
    )
    assert tuple(row) == ("api_key", administrator.id, None, made.api_key.id)
    while True:  # it is noted beside the call
        listed = await world.identity.ListApiKeys(pb.ListApiKeysRequest(), metadata=administrator.metadata)
        if listed.api_keys[0].HasField("last_use_time"):
            break


async def test_a_deleted_users_keys_are_hidden_with_them(world: World) -> None:
    administrator = await world.tenant()
    account, key = await make_account(world, administrator, "call_logs:read"), world.identity
    made = await make_key(world, administrator, "call_logs:read", user_id=account)
    delete = user_pb2.DeleteUserRequest(id=account)
    await world.identity.DeleteUser(delete, metadata=administrator.metadata)
    new = pb.CreateApiKeyRequest(name="k", user_id=account, scopes=["call_logs:read"])

    refusals = [
        await refused(key.CreateApiKey(new, metadata=administrator.metadata)),
        await refused(key.ListApiKeys(pb.ListApiKeysRequest(user_id=account), metadata=administrator.metadata)),
        await refused(key.RotateApiKey(pb.RotateApiKeyRequest(id=made.api_key.id), metadata=administrator.metadata)),
        await refused(key.RevokeApiKey(pb.RevokeApiKeyRequest(id=made.api_key.id), metadata=administrator.metadata)),
    ]

    assert [(refusal.code, refusal.reason) for refusal in refusals] == [
        (Code.FAILED_PRECONDITION, "USER_DELETED"),
        (Code.NOT_FOUND, "USER_NOT_FOUND"),
        (Code.NOT_FOUND, "API_KEY_NOT_FOUND"),
        (Code.NOT_FOUND, "API_KEY_NOT_FOUND"),
    ]


async def test_what_is_kept_of_a_key_is_its_secrets_hash(world: World, admin: Any) -> None:
    made = await make_key(world, await world.tenant(), "users:read")
    secret = made.secret.partition(f"_{made.api_key.prefix}_")[2]

    row = await admin.fetchrow("SELECT secret_hash, api_keys::text AS everything FROM api_keys")
    told = await admin.fetchval("SELECT string_agg(a::text, ' ') FROM audit_logs a")

    assert row["secret_hash"] == hashlib.sha256(secret.encode()).hexdigest()
    assert secret not in row["everything"]
    assert secret not in told


async def test_a_key_that_has_expired_is_refused(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    made = await make_key(world, administrator, "users:read", expire_time={"seconds": 4_000_000_000})
    await admin.execute("UPDATE api_keys SET expires_at = now()")

    refusal = await refused(world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=with_key(made.secret)))
    rotate = pb.RotateApiKeyRequest(id=made.api_key.id)
    ended = await refused(world.identity.RotateApiKey(rotate, metadata=administrator.metadata))

    assert (refusal.code, refusal.reason) == (Code.UNAUTHENTICATED, "API_KEY_INVALID")
    assert ended.reason == "API_KEY_ENDED"


async def test_a_key_that_is_in_use_ends_when_its_time_has_come(world: World, admin: Any) -> None:
    """And so does the secret before a rotation: both are remembered, and not for longer than they are good."""
    administrator = await world.tenant()

    async def codes_of(*secrets: str) -> list[Code]:
        return [
            await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=with_key(secret)).code()
            for secret in secrets
        ]

    for seconds in (1, 4, 16):  # on a busy machine a short life may be over before it is seen
        hour = {"seconds": int(time.time()) + 3600}
        expires = await make_key(world, administrator, "users:read", expire_time=hour)
        rotated = await make_key(world, administrator, "users:read")
        grace = pb.RotateApiKeyRequest(id=rotated.api_key.id, grace={"seconds": 3600})
        await world.identity.RotateApiKey(grace, metadata=administrator.metadata)
        # Sooner, behind the server's back: it is read with the key when that is first used.
        began = time.monotonic()
        for key, end in ((expires, "expires_at"), (rotated, "previous_valid_until")):
            soon = f"UPDATE api_keys SET {end} = now() + interval '{seconds} seconds' WHERE id = $1"
            await admin.execute(soon, key.api_key.id)
        secrets = expires.secret, rotated.secret
        before = await codes_of(*secrets)
        if before == [Code.OK] * 2:
            break
        assert time.monotonic() - began > seconds, "they are good until then"
    assert before == [Code.OK] * 2

    async with asyncio.timeout(seconds + NOT_FOR_EVER):
        while Code.OK in (codes := await codes_of(*secrets)):
            pass
    assert codes == [Code.UNAUTHENTICATED] * 2


async def test_a_key_with_a_permission_that_is_none_any_more_is_rotated_all_the_same(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    made = await make_key(world, administrator, "users:read")
    await admin.execute("UPDATE api_keys SET scopes = array_append(scopes, 'gone:forever')")

    request = pb.RotateApiKeyRequest(id=made.api_key.id)
    second = await world.identity.RotateApiKey(request, metadata=administrator.metadata)

    me = await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=with_key(second.secret))
    assert list(me.permissions) == ["users:read"]


async def test_a_key_is_no_token_and_a_token_no_key_however_often_they_were_used(world: World) -> None:
    administrator = await world.tenant()
    key = await world.identity.CreateApiKey(
        pb.CreateApiKeyRequest(name="k", scopes=["users:read"]), metadata=administrator.metadata
    )
    token = administrator.tokens.access_token
    await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=(("x-api-key", key.secret),))
    await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=administrator.metadata)

    as_token, as_key = [
        await refused(world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=metadata))
        for metadata in ((("authorization", f"Bearer {key.secret}"),), (("x-api-key", token),))
    ]

    assert (as_token.reason, as_key.reason) == ("TOKEN_INVALID", "API_KEY_INVALID")
