"""Changes to people."""

from __future__ import annotations

from tests.factories.world import PASSWORD
from tests.rpc.changes.stage import Attempt, Stage, by_id, change_of
from tests.rpc.methods import IDENTITY


@change_of(IDENTITY + "CreateUser")
async def _(stage: Stage) -> Attempt:
    fields = {"username": "made", "email": "made@example.com", "password": PASSWORD}
    taken = {"username": "admin", "email": "other@example.com"}
    return stage.attempt(
        IDENTITY + "CreateUser",
        *("users.create", "user"),
        fields,
        taken,
        tables=("users",),
        beside=("user_roles",),
        new={"roles": ["viewer"]},
    )


@change_of(IDENTITY + "UpdateUser")
async def _(stage: Stage) -> Attempt:
    user = await stage.user()
    fields = {"id": user.id, "full_name": "Lin", "email": f"of-{user.username}@example.com", "state": 2}
    taken = {"id": user.id, "username": "admin"}
    return stage.attempt(
        IDENTITY + "UpdateUser",
        "users.update",
        "user",
        fields,
        taken,
        target=user.id,
        tables=("users",),
        beside=("sessions",),
    )


@change_of(IDENTITY + "DeleteUser")
async def _(stage: Stage) -> Attempt:
    return by_id(stage, IDENTITY + "DeleteUser", "users.delete", "user", (await stage.user()).id)


@change_of(IDENTITY + "RestoreUser")
async def _(stage: Stage) -> Attempt:
    user = await stage.user()
    await stage.call(IDENTITY + "DeleteUser", id=user.id)
    return by_id(stage, IDENTITY + "RestoreUser", "users.restore", "user", user.id)


@change_of(IDENTITY + "PurgeUser")
async def _(stage: Stage) -> Attempt:
    user = await stage.world.user(stage.platform)
    await stage.call(IDENTITY + "DeleteUser", stage.platform, id=user.id)
    return by_id(
        stage,
        IDENTITY + "PurgeUser",
        *("users.purge", "user", user.id),
        by=stage.platform,
        beside=("user_roles", "sessions"),
        old={"roles": ["viewer"]},
    )


@change_of(IDENTITY + "LockUser")
async def _(stage: Stage) -> Attempt:
    return by_id(stage, IDENTITY + "LockUser", "users.lock", "user", (await stage.user()).id)


@change_of(IDENTITY + "UnlockUser")
async def _(stage: Stage) -> Attempt:
    user = await stage.user()
    await stage.call(IDENTITY + "LockUser", id=user.id)
    return by_id(stage, IDENTITY + "UnlockUser", "users.unlock", "user", user.id)
