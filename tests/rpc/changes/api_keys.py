"""Changes to API keys."""

from __future__ import annotations

from tests.rpc.changes.stage import Attempt, Stage, by_id, change_of
from tests.rpc.malformed import SOME_ID
from tests.rpc.methods import IDENTITY


@change_of(IDENTITY + "CreateApiKey")
async def _(stage: Stage) -> Attempt:
    fields = {"name": "made", "scopes": ["users:read"], "expire_time": {"seconds": 4_102_444_800}}
    return stage.attempt(
        IDENTITY + "CreateApiKey",
        *("api_keys.create", "api_key"),
        fields,
        {**fields, "user_id": SOME_ID},
        tables=("api_keys",),
    )


@change_of(IDENTITY + "RotateApiKey")
async def _(stage: Stage) -> Attempt:
    key = await stage.key()
    fields = {"id": key.id, "grace": {"seconds": 60}}
    return stage.attempt(
        IDENTITY + "RotateApiKey",
        *("api_keys.rotate", "api_key"),
        fields,
        {"id": SOME_ID},
        target=key.id,
        tables=("api_keys",),
    )


@change_of(IDENTITY + "RevokeApiKey")
async def _(stage: Stage) -> Attempt:
    return by_id(stage, IDENTITY + "RevokeApiKey", "api_keys.revoke", "api_key", (await stage.key()).id)
