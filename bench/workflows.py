"""Workflows: how many steps are done, and how soon an execution ends, beside jobs that do nothing."""

from __future__ import annotations

import asyncio
import statistics
from time import perf_counter
from typing import Any

import asyncpg
import grpc

from atrium.tenant.v1 import tenant_config_pb2, tenant_service_pb2_grpc
from atrium.workflow.v1 import definition_pb2, workflow_pb2, workflow_service_pb2_grpc
from atrium.workflow.v1 import execution_pb2 as pb
from bench.figures import Figure
from bench.stage import Stage, create_model, found, provider, staged

_EXECUTIONS = 100
_TENANTS = 10
_SINGLE = 30
_LOOK_SECONDS = 0.005
_CHAIN = 5
_COMPUTED = [
    definition_pb2.Step(
        id=f"s{place}", needs=[f"s{place - 1}"] if place else [], transform={"value": f"input.number + {place}.0"}
    )
    for place in range(_CHAIN)
]
_ASKED = [
    definition_pb2.Step(
        id=f"s{place}",
        needs=[f"s{place - 1}"] if place else [],
        chat={"model": "stub-fast-10", "messages": [{"role": "ROLE_USER", "content": "Say ${input.number}"}]},
    )
    for place in range(_CHAIN)
]


def run() -> list[Figure]:
    """About a minute."""
    with provider() as base_url, staged(base_url) as stage:
        return asyncio.run(_measure(stage, base_url))


async def _measure(stage: Stage, base_url: str) -> list[Figure]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{stage.port}") as channel:
        _, platform = await stage.sign_in(channel)
        await create_model(channel, platform, "stub-fast-10", base_url)
        admin = await asyncpg.connect(stage.settings.admin_database_url)
        callers = [await _caller(channel, platform, f"t{number}") for number in range(_TENANTS)]
        figures = []
        for name, steps in (("computed", _COMPUTED), ("asked of a model", _ASKED)):
            workflows = [await _workflow(channel, caller, name, steps) for caller in callers]
            await _rate(channel, admin, callers[:1], workflows[:1])  # whatever is made at first use
            one = await _rate(channel, admin, callers[:1], workflows[:1])
            many = await _rate(channel, admin, callers, workflows)
            alone = [await _one(channel, admin, callers[0], workflows[0]) for _ in range(_SINGLE)]
            figures += [
                Figure(f"steps {name}, of one tenant", one, "steps/s"),
                Figure(f"steps {name}, of {_TENANTS} tenants", many, "steps/s"),
                Figure(f"an execution of {_CHAIN} steps {name}", statistics.median(alone), "ms at the median"),
            ]
        await admin.close()
        return figures


async def _caller(channel: grpc.aio.Channel, platform: Any, slug: str) -> Any:
    """The metadata of a new tenant's administrator, where a hundred executions run at once."""
    _, metadata = await found(channel, platform, slug)
    request = tenant_config_pb2.UpdateTenantConfigRequest(max_concurrent_workflows=100)
    tenants: Any = tenant_service_pb2_grpc.TenantServiceStub(channel)
    await tenants.UpdateTenantConfig(request, metadata=metadata)
    return metadata


async def _workflow(channel: grpc.aio.Channel, caller: Any, name: str, steps: list[definition_pb2.Step]) -> str:
    stub: Any = workflow_service_pb2_grpc.WorkflowServiceStub(channel)
    request = workflow_pb2.CreateWorkflowRequest(name=name, definition={"steps": steps})
    return str((await stub.CreateWorkflow(request, metadata=caller)).workflow.id)


async def _execute(channel: grpc.aio.Channel, caller: Any, workflow_id: str, number: int) -> None:
    stub: Any = workflow_service_pb2_grpc.WorkflowServiceStub(channel)
    request = pb.ExecuteWorkflowRequest(workflow_id=workflow_id, input={"number": number})
    await stub.ExecuteWorkflow(request, metadata=caller)


async def _rate(channel: grpc.aio.Channel, admin: Any, callers: list[Any], workflows: list[str]) -> float:
    """Steps a second, from the first call to the last execution's end."""
    each = _EXECUTIONS // len(callers)
    began = perf_counter()
    await asyncio.gather(
        *(
            _execute(channel, caller, workflow_id, number)
            for number in range(each)
            for caller, workflow_id in zip(callers, workflows, strict=True)
        )
    )
    await _over(admin)
    return each * len(callers) * _CHAIN / (perf_counter() - began)


async def _one(channel: grpc.aio.Channel, admin: Any, caller: Any, workflow_id: str) -> float:
    began = perf_counter()
    await _execute(channel, caller, workflow_id, 0)
    await _over(admin)
    return (perf_counter() - began) * 1000


async def _over(admin: Any) -> None:
    """Waits until none goes on. Raises AssertionError where one failed."""
    while await admin.fetchval("SELECT EXISTS (SELECT FROM workflow_executions WHERE completed_at IS NULL)"):  # noqa: ASYNC110 - what it waits for is in the database
        await asyncio.sleep(_LOOK_SECONDS)
    failed = await admin.fetchval("SELECT count(*) FROM workflow_executions WHERE status <> 'completed'")
    assert not failed, f"{failed} executions did not complete"
