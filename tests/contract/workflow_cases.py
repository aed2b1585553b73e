"""Requests of the workflow service, good ones and bad ones."""

from __future__ import annotations

from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Value

from tests.contract.cases import ID, OTHER, PAGE, Bad, Cases, ids, mask, odd

YEAR = 31_536_000
STEP: dict[str, Any] = {"id": "one", "transform": {"value": "1"}}
ONE = {"steps": [STEP]}
_MESSAGE = {"role": 2, "content": "Hello"}
_CHAT: dict[str, Any] = {"messages": [_MESSAGE]}
_SEARCH: dict[str, Any] = {"knowledge_base_ids": [ID], "query": "Why?"}


def _of_kind(kind: str, *given: tuple[dict[str, Any], str]) -> Bad:
    """Steps of that kind, each with the field of it to blame."""
    return [({"id": "one", kind: fields}, f"{kind}.{field}") for fields, field in given]


_BAD_STEPS: Bad = [
    *odd(STEP, id=["", "A", "1", "_a", "a-b", "a" * 101], needs=[["a", "a"], [f"a{n}" for n in range(101)]]),
    ({**STEP, "needs": ["n" * 101]}, "needs[0]"),
    *odd(STEP, when=["w" * 4097], for_each=["f" * 4097], on_failure=[9]),
    *odd(STEP, timeout=[Duration(), Duration(seconds=-1), Duration(seconds=YEAR + 1)]),
    ({**STEP, "retry": {}}, "retry.max_attempts"),
    ({**STEP, "retry": {"max_attempts": 21}}, "retry.max_attempts"),
    *(
        ({**STEP, "retry": {"max_attempts": 1, "delay": delay}}, "retry.delay")
        for delay in (Duration(seconds=-1), Duration(seconds=3601))
    ),
    ({"id": "one"}, "kind"),
    *_of_kind(
        "chat",
        *odd(_CHAT, model=["m" * 101], messages=[[], [_MESSAGE] * 51], temperature=[-0.1, 2.1], max_tokens=[0]),
        *(({"messages": [{**_MESSAGE, "role": role}]}, "messages[0].role") for role in (0, 9)),
        *(({"messages": [{**_MESSAGE, "content": text}]}, "messages[0].content") for text in ("", "c" * 32_769)),
    ),
    *_of_kind(
        "chat",
        *(
            ({"prompt": {"template_id": ID, name: value}}, f"prompt.{name}")
            for name, value in (
                *(("template_id", it) for it in ("", "7")),
                *((name, "l" * 51) for name in ("version", "label")),
                ("variables", "v" * 4097),
            )
        ),
    ),
    *_of_kind(
        "search",
        *odd(_SEARCH, knowledge_base_ids=[[], [ID, ID], [ID] * 11], query=["", "q" * 8193], top_k=[0, 101]),
        ({**_SEARCH, "knowledge_base_ids": ["7"]}, "knowledge_base_ids[0]"),
    ),
    *_of_kind(
        "agent",
        *odd({"agent_id": ID, "message": "m"}, agent_id=["", "7"], message=["", "m" * 32_769], variables=["v" * 4097]),
    ),
    *_of_kind("transform", ({}, "value"), ({"value": "v" * 4097}, "value")),
    *_of_kind(
        "approval",
        ({}, "message"),
        ({"message": "m" * 8193}, "message"),
        ({"message": "m", "value": "v" * 4097}, "value"),
    ),
    *_of_kind(
        "wait",
        ({}, "duration"),
        *(({"duration": long}, "duration") for long in (Duration(seconds=-1), Duration(seconds=YEAR + 1))),
    ),
]
_GOOD_DEFINITIONS: list[dict[str, Any]] = [
    ONE,
    {"steps": [STEP, {**STEP, "id": "a" * 100, "needs": ["one"]}], "output": "steps.one.output"},
    {
        "steps": [
            {
                "id": "chat",
                "when": "true",
                "for_each": "[1]",
                "retry": {"max_attempts": 20, "delay": Duration(seconds=3600)},
                "timeout": Duration(seconds=YEAR),
                "on_failure": 2,
                "chat": {**_CHAT, "model": "m", "temperature": 0, "max_tokens": 1, "json": True},
            },
            {"id": "prompt", "chat": {"prompt": {"template_id": ID, "label": "l" * 50, "variables": "input"}}},
            {"id": "prompts", "chat": {**_CHAT, "prompt": {"template_id": ID, "version": "v1.0"}}},
            {"id": "search", "search": {**_SEARCH, "knowledge_base_ids": [ID, OTHER], "top_k": 100}},
            {"id": "agent", "agent": {"agent_id": ID, "message": "m", "variables": "input"}},
            {"id": "approval", "approval": {"message": "Well?", "value": "1"}},
            {"id": "wait", "wait": {"duration": Duration()}},
        ]
    },
]
_BAD_DEFINITIONS: Bad = [
    ({}, "steps"),
    ({"steps": [{**STEP, "id": f"a{n}"} for n in range(101)]}, "steps"),
    ({**ONE, "output": "o" * 4097}, "output"),
    *(({"steps": [STEP, step]}, f"steps[1].{field}") for step, field in _BAD_STEPS),
]
_NEW = {"name": "n", "definition": ONE}
_DEFINED: Bad = [({"definition": it}, f"definition.{field}") for it, field in _BAD_DEFINITIONS]

_DECIDED = {"execution_id": ID, "id": OTHER, "decision": 1}

_TOOL: dict[str, Any] = {"name": "look_up", "description": "d", "parameters": {"type": "object"}}
_AGENT: dict[str, Any] = {
    "agent_type": "writer",
    "model": "m" * 100,
    "description": "d",
    "prompt_template_id": ID,
    "prompt_label": "production",
    "temperature": 2,
    "max_tokens": 1,
    "knowledge_base_ids": [ID, OTHER],
    "tools": [_TOOL, {"name": "t" * 64}],
    "output_schema": {"type": "object"},
    "max_turns": 32,
}
_BAD_AGENT: dict[str, list[Any]] = {
    "description": ["", "d" * 2001],
    "agent_type": [" ", "a\nb", "a" * 101],
    "model": ["m" * 101],
    "prompt_template_id": ["7"],
    "prompt_label": ["l" * 51],
    "temperature": [-0.1, 2.1, float("nan")],
    "max_tokens": [0],
    "knowledge_base_ids": [[ID, ID], [ID] * 11],
    "tools": [[_TOOL, _TOOL], [{"name": "search_knowledge"}], [{"name": f"t{n}"} for n in range(65)]],
    "output_schema": [{f"k{n}": n for n in range(101)}],
    "max_turns": [-1, 33],
}

WORKFLOW_CASES: Cases = {
    "CreateWorkflowRequest": (
        [
            *({**_NEW, "definition": definition} for definition in _GOOD_DEFINITIONS),
            {**_NEW, "name": "Report 报告", "description": "d", "visibility": 3},
        ],
        [
            *odd(_NEW, name=["", " ", "a ", "a\nb", "n" * 256], description=["", "d" * 2001], visibility=[4]),
            ({"name": "n"}, "definition"),
            *(({**_NEW, **definition}, field) for definition, field in _DEFINED),
            ({**_NEW, "idempotency_key": "k" * 129}, "idempotency_key"),
        ],
    ),
    "GetWorkflowRequest": ([{"id": ID}, {"id": ID, "deleted": 2}], [*ids("id"), ({"id": ID, "deleted": 9}, "deleted")]),
    "ListWorkflowsRequest": (
        [{}, {"visibility": 1, "owner_user_id": ID, "deleted": 1}, {"all_tenants": True}],
        [
            *PAGE,
            *odd({}, visibility=[9], owner_user_id=["ada"], deleted=[9]),
            *(
                ({"all_tenants": True, **filtered}, "all_tenants")
                for filtered in ({"visibility": 1}, {"owner_user_id": ID}, {"deleted": 1})
            ),
        ],
    ),
    "UpdateWorkflowRequest": (
        [
            {"id": ID},
            {"id": ID, "name": "n", "visibility": 2, "definition": ONE, "changelog": "c"},
            {"id": ID, "update_mask": mask("description")},
        ],
        [
            *ids("id"),
            *(({"id": ID, "update_mask": mask(field)}, field) for field in ("name", "visibility", "definition")),
            *(({"id": ID, "update_mask": mask(field)}, "update_mask") for field in ("owner_user_id", "changelog")),
            *odd({"id": ID}, etag=["e" * 65], name=["", "n" * 256], description=[""], visibility=[0, 9]),
            ({"id": ID, "changelog": "c" * 2001}, "changelog"),
            *(({"id": ID, **definition}, field) for definition, field in _DEFINED[:3]),
        ],
    ),
    "DeleteWorkflowRequest": ([{"id": ID}], [*ids("id"), ({"id": ID, "etag": "e" * 65}, "etag")]),
    "RestoreWorkflowRequest": ([{"id": ID}], ids("id")),
    "PurgeWorkflowRequest": ([{"id": ID}], ids("id")),
    "ListWorkflowVersionsRequest": (
        [{"workflow_id": ID}],
        [*ids("workflow_id"), *odd({"workflow_id": ID}, page_size=[-1], page_token=["x" * 513])],
    ),
    "ValidateWorkflowRequest": (
        [{"definition": definition} for definition in _GOOD_DEFINITIONS],
        [({}, "definition"), *_DEFINED[:3]],
    ),
    "ExecuteWorkflowRequest": (
        [
            {"workflow_id": ID},
            {
                "workflow_id": ID,
                "version": "v1.0",
                "priority": -100,
                "budget": {"max_tokens": 1, "max_cost_usd": "0.5"},
                "timeout": Duration(seconds=1),
            },
        ],
        [
            *ids("workflow_id"),
            *odd({"workflow_id": ID}, version=["v" * 51], priority=[-101, 101], timeout=[Duration()]),
            *(
                ({"workflow_id": ID, "budget": budget}, f"budget.{field}")
                for budget, field in odd({}, max_tokens=[0], max_cost_usd=["", "-1", "1e3", "1." + "0" * 10])
            ),
            ({"workflow_id": ID, "idempotency_key": "k" * 129}, "idempotency_key"),
        ],
    ),
    "ListExecutionsRequest": (
        [{}, {"workflow_id": ID, "state": 6, "trace_id": "t"}],
        [*PAGE, *odd({}, workflow_id=["7"], state=[7], trace_id=["t" * 101])],
    ),
    "WatchExecutionRequest": ([{"id": ID}], [*ids("id"), ({"id": ID, "after_seq": -1}, "after_seq")]),
    "PauseExecutionRequest": ([{"id": ID}], [*ids("id"), ({"id": ID, "reason": "r" * 2001}, "reason")]),
    **{
        f"{name}Request": ([{"id": ID}], ids("id"))
        for name in ("GetExecution", "ResumeExecution", "CancelExecution", "GetLineage")
    },
    "ReplayExecutionRequest": (
        [{"id": ID, "from_step_id": "one"}],
        [*ids("id"), *odd({"id": ID}, from_step_id=["s" * 101], idempotency_key=["k" * 129])],
    ),
    "ListTasksRequest": (
        [{"execution_id": ID, "state": 8}],
        [
            *ids("execution_id"),
            *odd({"execution_id": ID}, page_size=[-1], page_token=["x" * 513], state=[9]),
        ],
    ),
    "CompleteTaskRequest": (
        [_DECIDED, {**_DECIDED, "decision": 3, "value": Value(null_value=0), "comment": "c"}],
        [
            ({**_DECIDED, "execution_id": "7"}, "execution_id"),
            ({**_DECIDED, "id": "7"}, "id"),
            *odd(_DECIDED, decision=[0, 4], comment=["c" * 2001], idempotency_key=["k" * 129]),
            ({**_DECIDED, "decision": 3}, "value"),
            ({**_DECIDED, "value": Value(bool_value=True)}, "value"),
        ],
    ),
    "CreateAgentRequest": (
        [{"name": "n"}, {**_AGENT, "name": "Ann 安"}],
        [
            *odd({"name": "n"}, name=["", " ", "a ", "a\nb", "n" * 256], idempotency_key=["k" * 129]),
            *odd({**_AGENT, "name": "n"}, **_BAD_AGENT),
            ({"name": "n", "prompt_label": "production"}, "prompt_label"),
            ({"name": "n", "knowledge_base_ids": ["7"]}, "knowledge_base_ids[0]"),
            ({"name": "n", "tools": [{"name": "a b"}]}, "tools[0].name"),
        ],
    ),
    "RunAgentRequest": (
        [
            {"agent_id": ID},
            {
                "agent_id": ID,
                "messages": [
                    _MESSAGE,
                    {"role": 3, "tool_calls": [{"id": "1", "name": "t", "arguments": "{}"}]},
                    {"role": 4, "content": "c", "tool_call_id": "1"},
                ],
                "variables": {"name": "Ada"},
                "user_key": "k" * 255,
            },
        ],
        [
            *ids("agent_id"),
            ({"agent_id": ID, "messages": [{"role": 2}]}, "messages[0].content"),
            ({"agent_id": ID, "messages": [{"content": "c"}]}, "messages[0].role"),
            ({"agent_id": ID, "messages": [_MESSAGE] * 1001}, "messages"),
            ({"agent_id": ID, "user_key": "k" * 256}, "user_key"),
        ],
    ),
    "GetAgentRequest": ([{"id": ID}, {"id": ID, "deleted": 2}], [*ids("id"), ({"id": ID, "deleted": 9}, "deleted")]),
    "ListAgentsRequest": (
        [{}, {"agent_type": "writer", "deleted": 1}],
        [*PAGE, *odd({}, agent_type=["a" * 101], deleted=[9])],
    ),
    "UpdateAgentRequest": (
        [
            {"id": ID},
            {**_AGENT, "id": ID, "name": "n"},
            {"id": ID, "prompt_label": "production"},
            {"id": ID, "update_mask": mask("knowledge_base_ids", "max_turns", "output_schema", "tools")},
        ],
        [
            *ids("id"),
            ({"id": ID, "update_mask": mask("name")}, "name"),
            ({"id": ID, "update_mask": mask("delete_time")}, "update_mask"),
            *odd({"id": ID}, etag=["e" * 65], name=["", "n" * 256], **_BAD_AGENT),
            *odd({"id": ID}, agent_type=[""], model=[""], prompt_template_id=[""], prompt_label=[""], max_turns=[0]),
        ],
    ),
    "DeleteAgentRequest": ([{"id": ID}], [*ids("id"), ({"id": ID, "etag": "e" * 65}, "etag")]),
    **{f"{name}AgentRequest": ([{"id": ID}], ids("id")) for name in ("Restore", "Purge")},
}
