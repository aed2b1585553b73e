"""Definitions, as the API has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf.duration_pb2 import Duration

from atrium.workflow.v1 import definition_pb2 as pb
from server.rpc.wire import EnumMap, present
from server.workflow.definition import (
    Action,
    AgentRun,
    Approval,
    Chat,
    ChatMessage,
    Definition,
    Problem,
    Prompt,
    Retry,
    Search,
    Step,
    Transform,
    Wait,
)

_ROLE = EnumMap(
    {
        "system": pb.ChatStepMessage.ROLE_SYSTEM,
        "user": pb.ChatStepMessage.ROLE_USER,
        "assistant": pb.ChatStepMessage.ROLE_ASSISTANT,
    }
)
_ON_FAILURE = EnumMap({"fail": pb.Step.ON_FAILURE_FAIL, "continue": pb.Step.ON_FAILURE_CONTINUE})


def new_definition(value: pb.WorkflowDefinition) -> Definition:
    return Definition([_new_step(step) for step in value.steps], value.output)


def _new_step(value: pb.Step) -> Step:
    retry = Retry()
    if value.HasField("retry"):
        seconds = _seconds(value.retry.delay) if value.retry.HasField("delay") else retry.seconds
        retry = Retry(value.retry.max_attempts, seconds)
    return Step(
        value.id,
        _new_action(value),
        list(value.needs),
        value.when,
        value.for_each,
        retry,
        _seconds(value.timeout) if value.HasField("timeout") else None,
        _ON_FAILURE.word.get(value.on_failure, "fail"),
    )


def _new_action(value: pb.Step) -> Action:
    match value.WhichOneof("kind"):
        case "chat":
            messages = [ChatMessage(_ROLE.word[one.role], one.content) for one in value.chat.messages]
            return Chat(
                messages,
                value.chat.model,
                json=value.chat.json,
                prompt=_new_prompt(value.chat.prompt) if value.chat.HasField("prompt") else None,
                **present(value.chat, "temperature", "max_tokens"),
            )
        case "agent":
            return AgentRun(value.agent.agent_id, value.agent.message, value.agent.variables)
        case "search":
            return Search(list(value.search.knowledge_base_ids), value.search.query, **present(value.search, "top_k"))
        case "transform":
            return Transform(value.transform.value)
        case "approval":
            return Approval(value.approval.message, value.approval.value)
    return Wait(_seconds(value.wait.duration))


def _new_prompt(value: pb.StepPrompt) -> Prompt:
    return Prompt(value.template_id, value.version, value.label, value.variables)


def definition(value: Definition) -> pb.WorkflowDefinition:
    return pb.WorkflowDefinition(steps=[_step(step) for step in value.steps], output=value.output)


def _step(value: Step) -> pb.Step:
    made: dict[str, Any] = {value.kind: _action(value.action)}
    if value.retry != Retry():
        made["retry"] = pb.Retry(max_attempts=value.retry.max_attempts, delay=duration(value.retry.seconds))
    return pb.Step(
        id=value.id,
        needs=value.needs,
        when=value.when,
        for_each=value.for_each,
        timeout=None if value.timeout is None else duration(value.timeout),
        on_failure=_ON_FAILURE.number[value.on_failure],
        **made,
    )


def _action(value: Action) -> Any:
    match value:
        case Chat():
            return pb.ChatStep(
                model=value.model,
                messages=[
                    pb.ChatStepMessage(role=_ROLE.number[one.role], content=one.content) for one in value.messages
                ],
                temperature=value.temperature,
                max_tokens=value.max_tokens,
                json=value.json,
                prompt=None if value.prompt is None else _prompt(value.prompt),
            )
        case AgentRun():
            return pb.AgentStep(agent_id=value.agent_id, message=value.message, variables=value.variables)
        case Search():
            return pb.SearchStep(knowledge_base_ids=value.knowledge_base_ids, query=value.query, top_k=value.top_k)
        case Transform():
            return pb.TransformStep(value=value.value)
        case Approval():
            return pb.ApprovalStep(message=value.message, value=value.value)
        case Wait():
            return pb.WaitStep(duration=duration(value.seconds))


def _prompt(value: Prompt) -> pb.StepPrompt:
    return pb.StepPrompt(
        template_id=value.template_id,
        version=value.version or None,
        label=value.label or None,
        variables=value.variables,
    )


def validated(value: Definition, problems: Sequence[Problem]) -> pb.ValidateWorkflowResponse:
    return pb.ValidateWorkflowResponse(
        problems=[pb.DefinitionProblem(field=field, description=problem) for field, problem in problems],
        order=() if problems else value.order(),
    )


def duration(seconds: float) -> Duration:
    made = Duration()
    made.FromMicroseconds(round(seconds * 1_000_000))
    return made


def _seconds(value: Duration) -> float:
    return value.ToMicroseconds() / 1_000_000
