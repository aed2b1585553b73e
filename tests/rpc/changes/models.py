"""Changes to models, routes, credentials and limits."""

from __future__ import annotations

from tests.rpc.by_id import FREE
from tests.rpc.changes.stage import Attempt, Stage, by_id, change_of
from tests.rpc.malformed import SOME_ID
from tests.rpc.methods import MODEL


@change_of(MODEL + "CreateModel")
async def _(stage: Stage) -> Attempt:
    fields = {"name": "made", "provider": 1, "type": 1, "description": "Made", "max_tokens": 9, "price": FREE}
    return stage.attempt(
        MODEL + "CreateModel",
        *("models.create", "model"),
        fields,
        {**fields, "name": "gpt-4"},
        by=stage.platform,
        tables=("models",),
        beside=("model_prices",),
        new={"input_per_1k": "0", "output_per_1k": "0"},
    )


@change_of(MODEL + "UpdateModel")
async def _(stage: Stage) -> Attempt:
    made = await stage.numbered(MODEL + "CreateModel", "name", provider=1, type=1, price=FREE)
    fields = {"id": made.model.id, "description": "Other", "state": 2, "max_tokens": 9, "replacement": "gpt-4"}
    return stage.attempt(
        MODEL + "UpdateModel",
        *("models.update", "model"),
        fields,
        {**fields, "etag": "stale"},
        by=stage.platform,
        target=made.model.id,
        tables=("models",),
    )


@change_of(MODEL + "SetModelPrice")
async def _(stage: Stage) -> Attempt:
    made = await stage.numbered(MODEL + "CreateModel", "name", provider=1, type=1, price=FREE)
    price = {"input_cost_per_1k": "1", "output_cost_per_1k": "2", "cached_input_cost_per_1k": "0.5"}
    return stage.attempt(
        MODEL + "SetModelPrice",
        *("models.set_price", "model"),
        {"model_id": made.model.id, "price": price},
        {"model_id": SOME_ID, "price": price},
        by=stage.platform,
        target=made.model.id,
        tables=("model_prices",),
        old={"input_per_1k": "0", "output_per_1k": "0"},
    )


@change_of(MODEL + "CreateTenantModel")
async def _(stage: Stage) -> Attempt:
    fields = {"name": "made", "provider": 1, "type": 1, "description": "Made", "price": FREE}
    await stage.call(MODEL + "CreateTenantModel", **{**fields, "name": "taken"})
    return stage.attempt(
        MODEL + "CreateTenantModel",
        *("tenant_models.create", "tenant_model"),
        fields,
        {**fields, "name": "taken"},
        tables=("tenant_models",),
    )


@change_of(MODEL + "UpdateTenantModel")
async def _(stage: Stage) -> Attempt:
    made = await stage.numbered(MODEL + "CreateTenantModel", "name", provider=1, type=1, price=FREE)
    price = {"input_cost_per_1k": "1", "output_cost_per_1k": "2"}
    fields = {"id": made.model.id, "description": "Other", "price": price}
    return stage.attempt(
        MODEL + "UpdateTenantModel",
        *("tenant_models.update", "tenant_model"),
        fields,
        {**fields, "etag": "stale"},
        target=made.model.id,
        tables=("tenant_models",),
        beside=("tenant_model_prices",),
    )


@change_of(MODEL + "SetTenantModelPrice")
async def _(stage: Stage) -> Attempt:
    made = await stage.numbered(MODEL + "CreateTenantModel", "name", provider=1, type=1, price=FREE)
    price = {"input_cost_per_1k": "1", "output_cost_per_1k": "2", "cached_input_cost_per_1k": "0.5"}
    return stage.attempt(
        MODEL + "SetTenantModelPrice",
        *("tenant_models.set_price", "tenant_model"),
        {"model_id": made.model.id, "price": price},
        {"model_id": SOME_ID, "price": price},
        target=made.model.id,
        tables=("tenant_model_prices",),
        old={"input_per_1k": "0", "output_per_1k": "0"},
    )


@change_of(MODEL + "DeleteTenantModel")
async def _(stage: Stage) -> Attempt:
    made = await stage.numbered(MODEL + "CreateTenantModel", "name", provider=1, type=1, price=FREE)
    return by_id(stage, MODEL + "DeleteTenantModel", "tenant_models.delete", "tenant_model", made.model.id)


_TARGETS = [{"model": "gpt-4"}]


@change_of(MODEL + "CreateRoute")
async def _(stage: Stage) -> Attempt:
    fields = {"alias": "made", "targets": _TARGETS, "cooldown": {"seconds": 9}}
    unknown = {"alias": "made", "targets": [{"model": "unknown"}]}
    return stage.attempt(MODEL + "CreateRoute", "routes.create", "route", fields, unknown, tables=("model_routes",))


@change_of(MODEL + "UpdateRoute")
async def _(stage: Stage) -> Attempt:
    made = await stage.numbered(MODEL + "CreateRoute", "alias", targets=_TARGETS)
    fields = {"id": made.route.id, "alias": "other", "targets": [{"model": "local-chat"}], "cache_ttl": {"seconds": 9}}
    return stage.attempt(
        MODEL + "UpdateRoute",
        *("routes.update", "route"),
        fields,
        {**fields, "etag": "stale"},
        target=made.route.id,
        tables=("model_routes",),
    )


@change_of(MODEL + "DeleteRoute")
async def _(stage: Stage) -> Attempt:
    made = await stage.numbered(MODEL + "CreateRoute", "alias", targets=_TARGETS)
    return by_id(stage, MODEL + "DeleteRoute", "routes.delete", "route", made.route.id)


_SECRET = "sk-of-a-test"


@change_of(MODEL + "CreateCredential")
async def _(stage: Stage) -> Attempt:
    fields = {"provider": 1, "name": "made", "secret": _SECRET, "base_url": "https://models.example"}
    await stage.call(MODEL + "CreateCredential", **{**fields, "name": "taken"})
    return stage.attempt(
        MODEL + "CreateCredential",
        *("credentials.create", "credential"),
        fields,
        {**fields, "name": "taken"},
        tables=("provider_credentials",),
    )


@change_of(MODEL + "RotateCredential")
async def _(stage: Stage) -> Attempt:
    made = await stage.numbered(MODEL + "CreateCredential", "name", provider=1, secret=_SECRET)
    fields = {"id": made.credential.id, "secret": "sk-another"}
    return stage.attempt(
        MODEL + "RotateCredential",
        *("credentials.rotate", "credential"),
        fields,
        {**fields, "etag": "stale"},
        target=made.credential.id,
        tables=("provider_credentials",),
    )


@change_of(MODEL + "DeleteCredential")
async def _(stage: Stage) -> Attempt:
    made = await stage.numbered(MODEL + "CreateCredential", "name", provider=1, secret=_SECRET)
    return by_id(stage, MODEL + "DeleteCredential", "credentials.delete", "credential", made.credential.id)


@change_of(MODEL + "SetModelLimits")
async def _(stage: Stage) -> Attempt:
    user = await stage.user()
    made = await stage.call(MODEL + "SetModelLimits", user_id=user.id, requests_per_minute=9, parallel_calls=9)
    fields = {"user_id": user.id, "requests_per_minute": 10, "monthly_cost_usd": "1.5"}
    return stage.attempt(
        MODEL + "SetModelLimits",
        *("limits.set", "model_limits"),
        fields,
        {**fields, "etag": "stale"},
        target=f"user/{user.id}",
        tables=("model_limits",),
        etag=made.limits.etag,
    )


@change_of(MODEL + "DeleteModelLimits")
async def _(stage: Stage) -> Attempt:
    user = await stage.user()
    made = await stage.call(MODEL + "SetModelLimits", user_id=user.id, requests_per_minute=9)
    return stage.attempt(
        MODEL + "DeleteModelLimits",
        *("limits.delete", "model_limits"),
        {"id": made.limits.id},
        {"id": made.limits.id, "etag": "stale"},
        target=f"user/{user.id}",
        tables=("model_limits",),
        etag=made.limits.etag,
    )
