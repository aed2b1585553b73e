"""Names over the wire: those that cannot be told apart, those with something hidden in them, those without an end."""

from __future__ import annotations

from typing import Any

import pytest
from grpc import StatusCode as Code

from atrium.identity.v1 import api_key_pb2, role_pb2, user_pb2
from atrium.tenant.v1 import tenant_pb2
from tests.factories.world import PASSWORD, Person, World, refused


def _create(world: World, by: Person, **fields: Any) -> Any:
    return world.identity.CreateUser(user_pb2.CreateUserRequest(email="x@example.com", **fields), metadata=by.metadata)


@pytest.mark.parametrize("name", ["adm\u0131n", "\uff41\uff44\uff4d\uff49\uff4e", "ADMIN"], ids=ascii)
async def test_a_name_that_looks_like_one_that_there_is_is_taken(world: World, name: str) -> None:
    administrator = await world.tenant()
    user = await world.user(administrator)

    refusals = [
        await refused(_create(world, administrator, username=name)),
        await refused(
            world.identity.UpdateUser(
                user_pb2.UpdateUserRequest(id=user.id, username=name), metadata=administrator.metadata
            )
        ),
    ]

    assert [(each.code, each.reason) for each in refusals] == [(Code.ALREADY_EXISTS, "USERNAME_TAKEN")] * 2


async def test_a_name_of_two_alphabets_is_refused_wherever_it_is_given(world: World) -> None:
    administrator, platform = await world.tenant(), await world.platform()
    name = "\u0430dmin"
    who = tenant_pb2.CreateTenantRequest.Administrator(username=name, email="a@b.example", password=PASSWORD)
    founding = tenant_pb2.CreateTenantRequest(slug="look-alike", name="n", administrator=who)

    refusals = [
        await refused(_create(world, administrator, username=name)),
        await refused(world.tenants.CreateTenant(founding, metadata=platform.metadata)),
    ]

    assert [(each.code, each.fields) for each in refusals] == [
        (Code.INVALID_ARGUMENT, ["username"]),
        (Code.INVALID_ARGUMENT, ["administrator.username"]),
    ]


async def test_whoever_has_a_chinese_name_signs_in_with_it_however_it_is_typed(world: World) -> None:
    administrator = await world.tenant()
    await _create(world, administrator, username="张三-Ada", full_name="张三", password=PASSWORD)

    for login in ("张三-ada", "张三-\uff21\uff24\uff21"):
        assert (await world.sign_in(administrator.tenant, login)).username == "张三-Ada"


@pytest.mark.parametrize("hidden", ["\u202e", "\u200b", "\u0007", "\u2066", "\ufeff"], ids=ascii)
async def test_what_cannot_be_seen_is_in_no_name(world: World, hidden: str) -> None:
    administrator = await world.tenant()
    name, who = f"a{hidden}b", {"metadata": administrator.metadata}
    calls = {
        "full_name": _create(world, administrator, username="u", full_name=name),
        "name": world.identity.CreateRole(role_pb2.CreateRoleRequest(name=name, code="r"), **who),
    }
    more = [
        world.identity.CreateApiKey(api_key_pb2.CreateApiKeyRequest(name=name, scopes=["users:read"]), **who),
        world.tenants.UpdateTenant(tenant_pb2.UpdateTenantRequest(name=name), **who),
    ]

    refusals = [(field, await refused(call)) for field, call in [*calls.items(), *(("name", one) for one in more)]]

    assert {(each.code, tuple(each.fields) == (field,)) for field, each in refusals} == {(Code.INVALID_ARGUMENT, True)}


async def test_a_name_of_ten_kilobytes_is_refused(world: World) -> None:
    administrator = await world.tenant()

    refusal = await refused(_create(world, administrator, username="a" * 10_240, full_name="a" * 10_240))

    assert (refusal.code, sorted(refusal.fields)) == (Code.INVALID_ARGUMENT, ["full_name", "username"])


@pytest.mark.parametrize("zone", ["Factory", "localtime", "Europe/Atlantis"])
async def test_a_time_zone_is_a_places(world: World, zone: str) -> None:
    refusal = await refused(_create(world, await world.tenant(), username="u", timezone=zone))

    assert (refusal.code, refusal.fields) == (Code.INVALID_ARGUMENT, ["timezone"])


@pytest.mark.parametrize("locale", ["qq-QQ", "zz", "en-ZQ"])
async def test_a_language_is_one_that_is_spoken(world: World, locale: str) -> None:
    refusal = await refused(_create(world, await world.tenant(), username="u", locale=locale, timezone="Factory"))

    assert (refusal.code, refusal.fields) == (Code.INVALID_ARGUMENT, ["locale", "timezone"])


@pytest.mark.parametrize("locale", ["zh-CN", "zh-Hans-CN", "pt-br", "es-419", "fil"])
async def test_a_language_is_written_as_bcp_47_has_it(world: World, locale: str) -> None:
    made = await _create(world, await world.tenant(), username="u", locale=locale)

    assert made.user.locale == locale
