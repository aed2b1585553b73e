"""The chapter on workflows: a model drafts, a person decides, and nothing is lost in between."""

from __future__ import annotations

from google.protobuf.json_format import MessageToDict
from rich.text import Text

from atrium.workflow.v1 import definition_pb2, execution_pb2, task_pb2, workflow_pb2
from server.demo.stage import Session, Stage, hold

_DRAFT = "In one short sentence, thank ${input.customer} for their order of ${input.goods}."
_STEPS = (
    {
        "id": "draft",
        "chat": {
            "model": "local-chat",
            "messages": [{"role": "ROLE_USER", "content": _DRAFT}],
            "max_tokens": 32,
            "temperature": 0,
        },
    },
    {
        "id": "approved",
        "needs": ["draft"],
        "approval": {"message": "Send this to ${input.customer}?", "value": "steps.draft.output.text"},
    },
    {
        "id": "parcels",
        "for_each": "input.goods.split(' and ')",
        "transform": {"value": "'1 x ' + item"},
    },
    {
        "id": "sent",
        "needs": ["approved", "parcels"],
        "transform": {"value": "{'letter': steps.approved.output.value, 'parcels': steps.parcels.output}"},
    },
)
_NAMES = {step["id"] for step in _STEPS}
_CORRECTED = "Thank you, Lin: the lamp and the chair are on their way."


class Workflows:
    """A tenant's work, step by step."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._out, self._workflows = stage.out, stage.workflows

    async def chapter(self, session: Session) -> None:
        self._stage.chapter("A workflow runs by itself, waits for a person, and goes on")
        who = {"metadata": session.metadata}
        steps = [definition_pb2.Step(**step) for step in _STEPS]  # type: ignore[arg-type]
        definition = definition_pb2.WorkflowDefinition(steps=steps, output="steps.sent.output")
        checked = await self._workflows.ValidateWorkflow(
            definition_pb2.ValidateWorkflowRequest(definition=definition), **who
        )
        hold(not checked.problems, "nothing is wrong with the definition")
        made = await self._workflows.CreateWorkflow(
            workflow_pb2.CreateWorkflowRequest(name="thanks", definition=definition), **who
        )
        request = execution_pb2.ExecuteWorkflowRequest(
            workflow_id=made.workflow.id, input={"customer": "Lin", "goods": "a lamp and a chair"}
        )
        execution_id = (await self._workflows.ExecuteWorkflow(request, **who)).execution.id
        self._out.print(f"  {made.workflow.name} {made.workflow.version} is executed: {', '.join(checked.order)}")
        seen = 0
        async for message in self._workflows.WatchExecution(
            execution_pb2.WatchExecutionRequest(id=execution_id), **who
        ):
            if message.HasField("ended"):
                execution = message.ended.execution
            elif message.HasField("event"):
                seen += 1
                hold(message.event.seq == seen, "no event is missing")
                await self._told(session, execution_id, message.event)
        hold(execution.state == execution_pb2.Execution.STATE_COMPLETED, "the execution completes")
        output = MessageToDict(execution.output)
        self._out.print(Text(f"  sent: {output['letter']}  with {', '.join(output['parcels'])}"))
        self._out.print(f"  {execution.usage.calls} call of a model, {execution.usage.tokens} tokens, {seen} events")

    async def _told(self, session: Session, execution_id: str, event: execution_pb2.ExecutionEvent) -> None:
        kind = execution_pb2.ExecutionEvent.Kind
        if event.kind == kind.KIND_TASK_COMPLETED and not event.iteration and event.step_id in _NAMES:
            self._out.print(f"  {event.step_id:8} is done")
        elif event.kind == kind.KIND_TASK_WAITING and event.step_id == "approved":
            await self._decide(session, execution_id, event.task_id)

    async def _decide(self, session: Session, execution_id: str, task_id: str) -> None:
        who = {"metadata": session.metadata}
        waiting = task_pb2.ListTasksRequest(execution_id=execution_id, state=task_pb2.Task.STATE_WAITING)
        found = (await self._workflows.ListTasks(waiting, **who)).tasks
        about = MessageToDict(next(task for task in found if task.id == task_id).input)
        self._out.print(Text(f"  {about['message']} {about['value'].strip()}"), style="bold")
        decision = task_pb2.CompleteTaskRequest(
            execution_id=execution_id,
            id=task_id,
            decision=task_pb2.CompleteTaskRequest.DECISION_MODIFY,
            value={"string_value": _CORRECTED},
            comment="Warmer",
        )
        await self._workflows.CompleteTask(decision, **who)
        self._out.print(f"  {session.who} changes it")
