"""Every door through which a password comes in holds it against the same policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest

from atrium.identity.v1 import password_pb2, user_pb2
from atrium.tenant.v1 import tenant_pb2
from tests.factories.world import PASSWORD, Person, World, refused

Door = Callable[[World, Person, str], Any]


def _create_user(world: World, administrator: Person, password: str) -> Any:
    request = user_pb2.CreateUserRequest(username="Lovelace", email="countess@example.com", password=password)
    return world.identity.CreateUser(request, metadata=administrator.metadata)


def _change_password(world: World, administrator: Person, password: str) -> Any:
    request = password_pb2.ChangePasswordRequest(current_password=PASSWORD, new_password=password)
    return world.identity.ChangePassword(request, metadata=administrator.metadata)


def _create_tenant(world: World, platform: Person, password: str) -> Any:
    who = tenant_pb2.CreateTenantRequest.Administrator(
        username="Lovelace", email="countess@example.com", password=password
    )
    request = tenant_pb2.CreateTenantRequest(slug="engines", name="Engines", administrator=who)
    return world.tenants.CreateTenant(request, metadata=platform.metadata)


@pytest.mark.parametrize(
    ("door", "field", "passwords"),
    [
        (_create_user, "password", ("password1", "lovelace1815", "countess!", "{slug}", "atrium2026")),
        (_change_password, "new_password", ("password1", "admin1234", "{slug}", "{slug}@admin")),
    ],
)
async def test_a_tenants_people_cannot_choose_what_is_tried_first(
    world: World, door: Door, field: str, passwords: tuple[str, ...]
) -> None:
    administrator = await world.tenant()

    for password in passwords:
        refusal = await refused(door(world, administrator, password.format(slug=administrator.tenant)))

        assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "PASSWORD_GUESSABLE"), password
        assert refusal.fields == [field]
    await door(world, administrator, "an engine of many wheels")


async def test_nor_can_a_new_tenants_administrator(world: World) -> None:
    platform = await world.platform()

    for password in ("password1", "lovelace1815", "countess!", "engines-engines", "atrium2026"):
        refusal = await refused(_create_tenant(world, platform, password))

        assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "PASSWORD_GUESSABLE"), password
        assert refusal.fields == ["administrator.password"]
    await _create_tenant(world, platform, "an engine of many wheels")


async def test_whoever_types_a_password_differently_signs_in_all_the_same(world: World) -> None:
    administrator = await world.tenant()
    await _change_password(world, administrator, "cafe\u0301 et Ａｂｓｉｎｔｈｅ")

    person = await world.sign_in(administrator.tenant, "admin", "caf\u00e9 et Absinthe")

    assert person.id == administrator.id
