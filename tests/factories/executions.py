"""What tests do with executions of workflows."""

from __future__ import annotations

from typing import Any

from google.protobuf.json_format import MessageToDict

from atrium.workflow.v1 import definition_pb2 as definitions
from atrium.workflow.v1 import execution_pb2 as pb
from atrium.workflow.v1 import task_pb2, workflow_pb2
from tests.factories.world import Person, World

NOT_FOR_EVER = 60.0
State = pb.Execution.State
TaskState = task_pb2.Task.State
Kind = pb.ExecutionEvent.Kind
_names = iter(range(1_000_000))


def transform(step_id: str, value: str, *needs: str, **fields: Any) -> definitions.Step:
    return definitions.Step(id=step_id, needs=needs, transform={"value": value}, **fields)


def approval(step_id: str, *needs: str, message: str = "Well?", value: str = "", **fields: Any) -> definitions.Step:
    return definitions.Step(id=step_id, needs=needs, approval={"message": message, "value": value}, **fields)


def chat(step_id: str, content: str, *needs: str, model: str = "stub-fast-1", **fields: Any) -> definitions.Step:
    """`content`: what the user says; empty: nothing."""
    kinds = {name: fields.pop(name) for name in ("json", "max_tokens", "temperature", "prompt") if name in fields}
    messages = [{"role": definitions.ChatStepMessage.ROLE_USER, "content": content}] if content else []
    return definitions.Step(id=step_id, needs=needs, chat={"model": model, "messages": messages, **kinds}, **fields)


def wait(step_id: str, seconds: float, *needs: str, **fields: Any) -> definitions.Step:
    nanos = int(seconds % 1 * 1e9)
    return definitions.Step(
        id=step_id, needs=needs, wait={"duration": {"seconds": int(seconds), "nanos": nanos}}, **fields
    )


async def workflow_of(world: World, person: Person, *steps: definitions.Step, output: str = "", **fields: Any) -> str:
    """The id of a new workflow of these steps, which the tenant shares."""
    definition = definitions.WorkflowDefinition(steps=steps, output=output)
    given = {"name": f"workflow {next(_names)}", "visibility": workflow_pb2.Workflow.VISIBILITY_TENANT, **fields}
    request = workflow_pb2.CreateWorkflowRequest(definition=definition, **given)
    return str((await world.workflows.CreateWorkflow(request, metadata=person.metadata)).workflow.id)


async def execute(world: World, person: Person, workflow_id: str, **fields: Any) -> Any:
    """The new execution."""
    request = pb.ExecuteWorkflowRequest(workflow_id=workflow_id, **fields)
    return (await world.workflows.ExecuteWorkflow(request, metadata=person.metadata)).execution


async def run(world: World, person: Person, *steps: definitions.Step, output: str = "", **fields: Any) -> Any:
    """The execution of a new workflow of these steps, once it has ended."""
    workflow_id = await workflow_of(world, person, *steps, output=output)
    return await ended(world, person, (await execute(world, person, workflow_id, **fields)).id)


async def watched(world: World, person: Person, execution_id: str, after_seq: int = 0) -> tuple[list[Any], Any]:
    """The events of the execution, until its stream has ended, and the execution as it is told at the end."""
    request = pb.WatchExecutionRequest(id=execution_id, after_seq=after_seq)
    stream = world.workflows.WatchExecution(request, metadata=person.metadata, timeout=NOT_FOR_EVER)
    told = [message async for message in stream if not message.HasField("heartbeat")]
    assert [message.WhichOneof("message") for message in told[:-1]] == ["event"] * (len(told) - 1)
    return [message.event for message in told[:-1]], told[-1].ended.execution


async def ended(world: World, person: Person, execution_id: str) -> Any:
    """The execution, once it has ended."""
    return (await watched(world, person, execution_id))[1]


async def until(world: World, person: Person, execution_id: str, kind: int, step_id: str = "") -> Any:
    """The first event of that kind, about that step."""
    request = pb.WatchExecutionRequest(id=execution_id)
    stream = world.workflows.WatchExecution(request, metadata=person.metadata, timeout=NOT_FOR_EVER)
    async for message in stream:
        event = message.event
        if message.HasField("event") and event.kind == kind and event.step_id == step_id:
            stream.cancel()
            return event
    raise AssertionError(f"nothing was told of {Kind.Name(kind)} {step_id}")


async def get(world: World, person: Person, execution_id: str) -> Any:
    request = pb.GetExecutionRequest(id=execution_id)
    return (await world.workflows.GetExecution(request, metadata=person.metadata)).execution


async def step_execution(world: World, person: Person, verb: str, execution_id: str, **fields: Any) -> Any:
    """The execution, paused, resumed, cancelled or replayed. `verb`: as the method begins."""
    request = getattr(pb, f"{verb}ExecutionRequest")(id=execution_id, **fields)
    return (await getattr(world.workflows, f"{verb}Execution")(request, metadata=person.metadata)).execution


async def tasks_of(world: World, person: Person, execution_id: str, **fields: Any) -> dict[tuple[str, int], Any]:
    """The execution's tasks, by their steps and iterations."""
    request = task_pb2.ListTasksRequest(execution_id=execution_id, page_size=1000, **fields)
    found = (await world.workflows.ListTasks(request, metadata=person.metadata)).tasks
    return {(task.step_id, task.iteration): task for task in found}


async def decide(world: World, person: Person, execution_id: str, step_id: str, decision: int, **fields: Any) -> Any:
    """The step's task, decided."""
    task = (await tasks_of(world, person, execution_id))[step_id, 0]
    request = task_pb2.CompleteTaskRequest(execution_id=execution_id, id=task.id, decision=decision, **fields)
    return (await world.workflows.CompleteTask(request, metadata=person.metadata)).task


def plain(value: Any) -> Any:
    """A free-form field as Python has it."""
    return MessageToDict(value)


def kinds(events: list[Any]) -> list[tuple[str, str]]:
    """What happened to which step."""
    return [(Kind.Name(event.kind).removeprefix("KIND_").lower(), event.step_id) for event in events]
