"""Keys for tests."""

from __future__ import annotations

from itertools import count
from typing import Any

from atrium.identity.v1 import api_key_pb2 as pb
from atrium.identity.v1 import role_pb2, user_pb2
from tests.factories.world import Person, World

_numbers = count(1)


def with_key(secret: str) -> tuple[tuple[str, str], ...]:
    return (("x-api-key", secret),)


async def make_key(world: World, by: Person, *scopes: str, **fields: Any) -> Any:
    request = pb.CreateApiKeyRequest(name="key", scopes=scopes, **fields)
    return await world.identity.CreateApiKey(request, metadata=by.metadata)


async def make_account(world: World, by: Person, *permissions: str) -> str:
    """A new service account with these permissions, and no other."""
    name = f"account-{next(_numbers)}"
    request = user_pb2.CreateUserRequest(username=name, email=f"{name}@example.com", kind=user_pb2.User.KIND_SERVICE)
    account = (await world.identity.CreateUser(request, metadata=by.metadata)).user
    held = await world.identity.ListRoles(role_pb2.ListRolesRequest(user_id=account.id), metadata=by.metadata)
    for role in held.roles:
        taken = role_pb2.UnassignRoleRequest(user_id=account.id, role_id=role.id)
        await world.identity.UnassignRole(taken, metadata=by.metadata)
    if permissions:
        await world.give(by, account.id, *permissions)
    return str(account.id)
