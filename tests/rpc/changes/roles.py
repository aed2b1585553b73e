"""Changes to roles, and to who holds them."""

from __future__ import annotations

from tests.rpc.changes.stage import Attempt, Stage, by_id, change_of
from tests.rpc.malformed import SOME_ID
from tests.rpc.methods import IDENTITY


@change_of(IDENTITY + "CreateRole")
async def _(stage: Stage) -> Attempt:
    fields, taken = {"name": "Made", "code": "made", "default": True}, {"name": "Taken", "code": "taken"}
    await stage.call(IDENTITY + "CreateRole", **taken)
    return stage.attempt(IDENTITY + "CreateRole", "roles.create", "role", fields, taken, tables=("roles",))


@change_of(IDENTITY + "UpdateRole")
async def _(stage: Stage) -> Attempt:
    role = await stage.role()
    fields = {"id": role.id, "name": "Other", "description": "Other", "priority": 3, "default": True}
    stale = {"id": role.id, "name": "Other", "etag": "stale"}
    return stage.attempt(
        IDENTITY + "UpdateRole", "roles.update", "role", fields, stale, target=role.id, tables=("roles",)
    )


@change_of(IDENTITY + "SetRolePermissions")
async def _(stage: Stage) -> Attempt:
    role = await stage.role()
    fields = {"role_id": role.id, "permissions": [{"permission": "roles:read", "effect": 2}]}
    return stage.attempt(
        IDENTITY + "SetRolePermissions",
        *("roles.set_permissions", "role"),
        fields,
        {**fields, "etag": "stale"},
        target=role.id,
        beside=("roles", "role_permissions"),
        old={"users:read": "allow"},
        new={"roles:read": "deny"},
    )


@change_of(IDENTITY + "DeleteRole")
async def _(stage: Stage) -> Attempt:
    return by_id(stage, IDENTITY + "DeleteRole", "roles.delete", "role", (await stage.role()).id)


@change_of(IDENTITY + "RestoreRole")
async def _(stage: Stage) -> Attempt:
    role = await stage.role()
    await stage.call(IDENTITY + "DeleteRole", id=role.id)
    return by_id(stage, IDENTITY + "RestoreRole", "roles.restore", "role", role.id)


@change_of(IDENTITY + "PurgeRole")
async def _(stage: Stage) -> Attempt:
    role = await stage.world.role(stage.platform, "users:read")
    await stage.call(IDENTITY + "DeleteRole", stage.platform, id=role.id)
    return by_id(
        stage,
        IDENTITY + "PurgeRole",
        *("roles.purge", "role", role.id),
        by=stage.platform,
        beside=("role_permissions",),
        old={"permissions": {"users:read": "allow"}},
    )


@change_of(IDENTITY + "AssignRole")
async def _(stage: Stage) -> Attempt:
    user, role = await stage.user(), await stage.role()
    former = {"user_id": user.id, "role_id": role.id, "expire_time": {"seconds": 4_102_444_800}}
    await stage.call(IDENTITY + "AssignRole", **former)
    return stage.attempt(
        IDENTITY + "AssignRole",
        *("users.assign_role", "user"),
        {"user_id": user.id, "role_id": role.id},
        {"user_id": user.id, "role_id": SOME_ID},
        target=user.id,
        beside=("user_roles",),
        old={"role": role.code, "expires_at": "2100-01-01T00:00:00+00:00", "granted_by": stage.owner.id},
        new={"role": role.code, "expires_at": None, "granted_by": stage.owner.id},
    )


@change_of(IDENTITY + "UnassignRole")
async def _(stage: Stage) -> Attempt:
    user, role = await stage.user(), await stage.role()
    both = {"user_id": user.id, "role_id": role.id}
    await stage.call(IDENTITY + "AssignRole", **both, expire_time={"seconds": 4_102_444_800})
    return stage.attempt(
        IDENTITY + "UnassignRole",
        *("users.unassign_role", "user"),
        both,
        {"user_id": user.id, "role_id": SOME_ID},
        target=user.id,
        beside=("user_roles",),
        old={"role": role.code, "expires_at": "2100-01-01T00:00:00+00:00", "granted_by": stage.owner.id},
    )
