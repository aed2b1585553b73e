"""Who manages whose keys, and with what: nobody becomes another, and no key breeds a wider one."""

from __future__ import annotations

from typing import Any

import pytest
from grpc import StatusCode as Code

from atrium.identity.v1 import api_key_pb2 as pb
from atrium.identity.v1 import session_pb2
from tests.factories.api_keys import make_account, make_key, with_key
from tests.factories.world import World, refused


async def test_a_key_manages_keys_and_sessions_only_where_it_is_for_that(world: World) -> None:
    administrator = await world.tenant()
    sibling = await make_key(world, administrator, "users:read")
    narrow = with_key((await make_key(world, administrator, "models:execute")).secret)
    session = (await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=administrator.metadata)).session_id
    person, key_id = world.identity, sibling.api_key.id
    calls = [
        person.CreateApiKey(pb.CreateApiKeyRequest(name="k", scopes=["models:execute"]), metadata=narrow),
        person.ListApiKeys(pb.ListApiKeysRequest(), metadata=narrow),
        person.RotateApiKey(pb.RotateApiKeyRequest(id=key_id), metadata=narrow),
        person.RevokeApiKey(pb.RevokeApiKeyRequest(id=key_id), metadata=narrow),
        person.ListSessions(session_pb2.ListSessionsRequest(), metadata=narrow),
        person.RevokeSession(session_pb2.RevokeSessionRequest(id=session), metadata=narrow),
    ]

    denials = [await refused(call) for call in calls]

    assert {(denial.code, denial.reason) for denial in denials} == {(Code.PERMISSION_DENIED, "PERMISSION_MISSING")}
    await person.WhoAmI(session_pb2.WhoAmIRequest(), metadata=administrator.metadata)
    await person.WhoAmI(session_pb2.WhoAmIRequest(), metadata=with_key(sibling.secret))


async def test_a_key_that_is_for_it_manages_keys_and_sessions(world: World) -> None:
    administrator = await world.tenant()
    wide = with_key((await make_key(world, administrator, "api_keys:manage", "users:manage", "models:execute")).secret)
    person = world.identity

    made = await person.CreateApiKey(pb.CreateApiKeyRequest(name="k", scopes=["models:execute"]), metadata=wide)
    await person.RotateApiKey(pb.RotateApiKeyRequest(id=made.api_key.id), metadata=wide)
    await person.RevokeApiKey(pb.RevokeApiKeyRequest(id=made.api_key.id), metadata=wide)
    (session,) = (await person.ListSessions(session_pb2.ListSessionsRequest(), metadata=wide)).sessions
    await person.RevokeSession(session_pb2.RevokeSessionRequest(id=session.id), metadata=wide)

    ended = await refused(person.WhoAmI(session_pb2.WhoAmIRequest(), metadata=administrator.metadata))
    assert ended.reason == "SESSION_REVOKED"


SOON, LATER = {"seconds": 4_000_000_000}, {"seconds": 4_000_000_001}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"scopes": ["users:manage"]}, "ESCALATION_REFUSED"),
        ({"allowed_models": []}, "API_KEY_TOO_WIDE"),
        ({"allowed_models": ["local-chat", "gpt-4"]}, "API_KEY_TOO_WIDE"),
        ({"expire_time": None}, "API_KEY_TOO_WIDE"),
        ({"expire_time": LATER}, "API_KEY_TOO_WIDE"),
        ({}, None),
    ],
)
async def test_a_key_breeds_no_wider_one_and_renews_none(world: World, fields: Any, reason: str | None) -> None:
    administrator = await world.tenant()
    own: dict[str, Any] = {"allowed_models": ["local-chat"], "expire_time": SOON}
    narrow = with_key((await make_key(world, administrator, "models:execute", "api_keys:manage", **own)).secret)
    asked = {"scopes": ["models:execute"], **own, **fields}
    sibling = await world.identity.CreateApiKey(
        pb.CreateApiKeyRequest(name="s", **asked), metadata=administrator.metadata
    )

    create = world.identity.CreateApiKey(pb.CreateApiKeyRequest(name="k", **asked), metadata=narrow)
    rotate = world.identity.RotateApiKey(pb.RotateApiKeyRequest(id=sibling.api_key.id), metadata=narrow)

    if reason is None:
        await create
        await rotate
    else:
        denials = [await refused(create), await refused(rotate)]
        assert [(denial.code, denial.reason) for denial in denials] == [(Code.PERMISSION_DENIED, reason)] * 2


async def test_nobody_is_given_what_acts_as_another_person(world: World) -> None:
    administrator = await world.tenant()
    person = await world.user(administrator)
    theirs = await make_key(world, person, "users:read")

    create = pb.CreateApiKeyRequest(name="k", user_id=person.id, scopes=["users:read"])
    made = await refused(world.identity.CreateApiKey(create, metadata=administrator.metadata))
    rotate = pb.RotateApiKeyRequest(id=theirs.api_key.id)
    rotated = await refused(world.identity.RotateApiKey(rotate, metadata=administrator.metadata))

    assert [(each.code, each.reason) for each in (made, rotated)] == [(Code.PERMISSION_DENIED, "API_KEY_NOT_YOURS")] * 2
    revoke = pb.RevokeApiKeyRequest(id=theirs.api_key.id)
    await world.identity.RevokeApiKey(revoke, metadata=administrator.metadata)
    ended = await refused(world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=with_key(theirs.secret)))
    assert ended.reason == "API_KEY_INVALID"


async def test_an_accounts_keys_are_for_who_holds_all_that_it_does(world: World) -> None:
    administrator = await world.tenant()
    clerk = await world.user(administrator, "api_keys:manage", "call_logs:read")
    strong = await make_account(world, administrator, "call_logs:read", "users:manage")
    weak = await make_account(world, administrator, "call_logs:read")
    theirs = await make_key(world, administrator, "call_logs:read", user_id=strong)

    create = pb.CreateApiKeyRequest(name="k", user_id=strong, scopes=["call_logs:read"])
    made = await refused(world.identity.CreateApiKey(create, metadata=clerk.metadata))
    rotate = pb.RotateApiKeyRequest(id=theirs.api_key.id)
    rotated = await refused(world.identity.RotateApiKey(rotate, metadata=clerk.metadata))

    assert [each.reason for each in (made, rotated)] == ["ESCALATION_REFUSED"] * 2
    await make_key(world, clerk, "call_logs:read", user_id=weak)
    await world.identity.RevokeApiKey(pb.RevokeApiKeyRequest(id=theirs.api_key.id), metadata=clerk.metadata)
