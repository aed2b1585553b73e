"""What the platform's people start inside a tenant is done with what they may do, and no more."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from atrium.identity.v1 import api_key_pb2, role_pb2
from atrium.model.v1 import call_log_pb2
from tests.factories.api_keys import with_key
from tests.factories.executions import Kind, State, approval, chat, decide, ended, execute, until, workflow_of
from tests.factories.world import Person, World

EXECUTES = ("tenants:manage", "workflows:execute", "workflows:read")


async def _of_the_platform(world: World, *permissions: str) -> tuple[Person, Any]:
    """Somebody of the platform, and a role of theirs with these permissions."""
    platform = await world.platform()
    person = await world.nobody(platform)
    role = await world.role(platform, *permissions)
    await world.identity.AssignRole(
        role_pb2.AssignRoleRequest(user_id=person.id, role_id=role.id), metadata=platform.metadata
    )
    return person, role


def _inside(owner: Person, metadata: Any) -> Any:
    """Whoever sends that, acting in the owner's tenant."""
    return SimpleNamespace(metadata=(*metadata, ("x-tenant-id", owner.tenant_id)))


async def test_a_model_is_asked_for_who_may_ask_it(router: World) -> None:
    owner = await router.tenant()
    workflow_id = await workflow_of(router, owner, chat("told", "Hello"))
    (person, _), (other, _) = (
        await _of_the_platform(router, *EXECUTES, "models:execute"),
        await _of_the_platform(router, *EXECUTES),
    )

    asked, refused = [
        await ended(router, owner, (await execute(router, _inside(owner, who.metadata), workflow_id)).id)
        for who in (person, other)
    ]

    assert (asked.state, asked.usage.calls) == (State.STATE_COMPLETED, 1)
    assert (refused.error_reason, refused.usage.calls) == ("PERMISSION_MISSING", 0)
    assert "models:execute" in refused.error_message
    logged = call_log_pb2.ListCallLogsRequest(workflow_execution_id=asked.id)
    (log,) = (await router.models.ListCallLogs(logged, metadata=owner.metadata)).call_logs
    assert log.user_id == person.id


async def test_a_key_asks_the_models_that_it_is_for(router: World) -> None:
    owner = await router.tenant()
    person, _ = await _of_the_platform(router, *EXECUTES, "models:execute")
    scopes = [*EXECUTES, "models:execute"]
    request = api_key_pb2.CreateApiKeyRequest(name="k", scopes=scopes, allowed_models=["stub-fast-2"])
    secret = (await router.identity.CreateApiKey(request, metadata=person.metadata)).secret
    inside = _inside(owner, with_key(secret))

    outcomes = []
    for model in ("stub-fast-1", "stub-fast-2"):
        workflow_id = await workflow_of(router, owner, chat("told", "Hello", model=model))
        outcomes.append((await ended(router, owner, (await execute(router, inside, workflow_id)).id)).error_reason)

    assert outcomes == ["MODEL_NOT_ALLOWED", ""]


async def test_nothing_goes_on_for_who_may_not_enter_the_tenant_any_more(router: World) -> None:
    owner, platform = await router.tenant(), await router.platform()
    person, role = await _of_the_platform(router, *EXECUTES, "models:execute")
    workflow_id = await workflow_of(router, owner, approval("pause"), chat("told", "Hello", "pause"))
    execution_id = (await execute(router, _inside(owner, person.metadata), workflow_id)).id
    await until(router, owner, execution_id, Kind.KIND_TASK_WAITING, "pause")

    await router.identity.UnassignRole(
        role_pb2.UnassignRoleRequest(user_id=person.id, role_id=role.id), metadata=platform.metadata
    )
    await decide(router, owner, execution_id, "pause", 1)

    execution = await ended(router, owner, execution_id)
    assert (execution.error_reason, execution.usage.calls) == ("PERMISSION_MISSING", 0)
