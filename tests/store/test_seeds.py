"""What every installation begins with, and the questions that are asked past row security."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from server.identity.system_roles import PLATFORM_ADMINISTRATOR_ROLE, SYSTEM_ROLES
from server.kernel.ids import PLATFORM_TENANT_ID, uuid7
from server.kernel.permissions import Permission

ADA = UUID("01890a5d-ac96-774b-bcce-b302099a8057")


async def test_the_permissions_are_those_of_the_code(passing: Any) -> None:
    rows = await passing.fetch("SELECT resource || ':' || action AS name, description FROM permissions ORDER BY name")

    assert [row["name"] for row in rows] == sorted(Permission)
    assert all(row["description"] for row in rows)


async def test_what_may_be_managed_is_said_in_one_form(passing: Any) -> None:
    rows = await passing.fetch(
        "SELECT resource || ':' || action AS name, split_part(description, ' ', 1) AS words FROM permissions "
        "WHERE (resource, action) IN (('tenants', 'manage'), ('users', 'manage'), ('roles', 'manage'))"
    )

    assert dict(rows) == {"tenants:manage": "管理租户", "users:manage": "管理用户", "roles:manage": "管理角色"}


async def test_the_platform_has_the_system_roles_of_the_code_and_its_own(passing: Any) -> None:
    roles = await passing.fetch(
        """
        SELECT r.code, r.name, r.priority, r.is_default, r.is_system,
               array_agg(p.resource || ':' || p.action) FILTER (WHERE rp.effect = 'allow') AS allowed
        FROM roles r JOIN role_permissions rp ON rp.tenant_id = r.tenant_id AND rp.role_id = r.id
            JOIN permissions p ON p.id = rp.permission_id
        WHERE r.tenant_id = $1 GROUP BY r.tenant_id, r.id
        """,
        PLATFORM_TENANT_ID,
    )

    found = {
        role["code"]: (role["name"], role["priority"], role["is_default"], frozenset(role["allowed"])) for role in roles
    }
    highest = found.pop(PLATFORM_ADMINISTRATOR_ROLE)
    assert highest[0] == "超级管理员"
    assert highest[3] == set(Permission)
    assert highest[1] > max(role.priority for role in SYSTEM_ROLES.values())
    assert found == {
        code: (role.name, role.priority, role.is_default, role.permissions) for code, role in SYSTEM_ROLES.items()
    }
    assert all(role["is_system"] for role in roles)


async def test_the_models_and_their_prices_are_there(passing: Any) -> None:
    rows = await passing.fetch(
        """
        SELECT name, provider, model_type, max_tokens, dimensions, supports_streaming, status,
               input_cost_per_1k, output_cost_per_1k
        FROM models JOIN model_prices ON model_prices.model_id = models.id
        WHERE effective_from <= now() ORDER BY name
        """
    )

    assert [tuple(row) for row in rows] == [
        ("claude-3-5-sonnet", "anthropic", "chat", 200000, None, True, "active", Decimal("0.003"), Decimal("0.015")),
        ("gpt-3.5-turbo", "openai", "chat", 4096, None, True, "active", Decimal("0.0015"), Decimal("0.002")),
        ("gpt-4", "openai", "chat", 8192, None, True, "active", Decimal("0.03"), Decimal("0.06")),
        ("local-chat", "custom", "chat", 2048, None, True, "active", 0, 0),
        ("local-embedding", "custom", "embedding", None, 256, False, "active", 0, 0),
        ("text-embedding-3-large", "openai", "embedding", 8191, 1536, False, "active", Decimal("0.00013"), 0),
    ]


async def test_the_platform_is_a_tenant(passing: Any) -> None:
    row = await passing.fetchrow("SELECT t.* FROM tenants t JOIN tenant_configs c ON c.tenant_id = t.id")

    assert (row["id"], row["slug"], row["tier"], row["status"]) == (
        PLATFORM_TENANT_ID,
        "platform",
        "enterprise",
        "active",
    )


@pytest.fixture
async def app(passing: Any) -> Any:
    """A connection of the serving role, beside three tenants."""
    await passing.execute(
        "INSERT INTO tenants (id, name, slug, status) "
        "VALUES ($1, 'Ada', 'ada', 'active'), ($2, 'Grace', 'grace', 'suspended')",
        ADA,
        uuid7(),
    )
    await passing.execute("SET LOCAL ROLE atrium_app")
    return passing


@pytest.mark.parametrize(("slug", "status"), [("ada", "active"), ("grace", "suspended")])
async def test_a_tenant_is_found_by_its_slug_without_a_context(slug: str, status: str, app: Any) -> None:
    rows = await app.fetch("SELECT * FROM atrium_find_tenant($1)", slug)

    assert [row["status"] for row in rows] == [status]
    assert set(rows[0].keys()) == {"id", "status"}


@pytest.mark.parametrize("slug", ["nobody", "", "Ada", "%", "ada' OR true --"])
async def test_no_tenant_is_found_by_what_is_no_slug(slug: str, app: Any) -> None:
    assert await app.fetch("SELECT * FROM atrium_find_tenant($1)", slug) == []


LIST = "SELECT slug FROM atrium_list_tenants($1, $2, $3, $4, 'exclude')"
FIRST, LAST = UUID(int=0), UUID(int=(1 << 128) - 1)


@pytest.mark.parametrize(
    ("arguments", "slugs"),
    [
        ((LAST, FIRST, None, 10), ["grace", "ada", "platform"]),
        ((LAST, FIRST, None, 2), ["grace", "ada"]),
        ((ADA, FIRST, None, 10), ["platform"]),
        ((LAST, ADA, None, 10), ["grace", "ada"]),
        ((LAST, FIRST, "suspended", 10), ["grace"]),
    ],
)
async def test_the_platform_lists_tenants_newest_first(arguments: tuple[Any, ...], slugs: list[str], app: Any) -> None:
    await app.execute("SELECT set_config('app.tenant_id', $1, true)", str(PLATFORM_TENANT_ID))

    assert [row["slug"] for row in await app.fetch(LIST, *arguments)] == slugs


@pytest.mark.parametrize("context", [str(ADA), "", None])
async def test_nobody_else_lists_any(context: str | None, app: Any) -> None:
    if context is not None:
        await app.execute("SELECT set_config('app.tenant_id', $1, true)", context)

    assert await app.fetch(LIST, LAST, FIRST, None, 10) == []


@pytest.mark.parametrize(("slug", "active"), [("ada", True), ("grace", False), (None, False)])
async def test_a_tenant_is_asked_for_in_its_own_context(slug: str | None, active: bool, app: Any) -> None:
    for role in ("atrium_owner", "atrium_app"):  # with row security and without
        await app.execute("RESET ROLE")
        tenant = await app.fetchval("SELECT id::text FROM tenants WHERE slug = $1", slug)
        await app.execute(f"SET LOCAL ROLE {role}")
        await app.execute("SELECT set_config('app.tenant_id', $1, true)", tenant or "")

        assert await app.fetchval("SELECT atrium_tenant_is_active()") is active
