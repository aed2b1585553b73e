"""A good request for every method of the workflow service that names no object by its id, and malformed ones."""

from __future__ import annotations

from google.protobuf.message import Message

from atrium.workflow.v1 import agent_pb2, agent_run_pb2, definition_pb2, execution_pb2, task_pb2, workflow_pb2
from tests.rpc.malformed import SOME_ID, Malformed
from tests.rpc.methods import WORKFLOW

ONE_STEP = definition_pb2.WorkflowDefinition(steps=[{"id": "one", "transform": {"value": "1"}}])

MALFORMED_OF_WORKFLOWS: dict[str, Malformed] = {
    WORKFLOW + "CreateWorkflow": Malformed(
        workflow_pb2.CreateWorkflowRequest(name=" ", visibility=9, idempotency_key="x" * 129),
        ("name", "definition", "visibility", "idempotency_key"),
    ),
    WORKFLOW + "GetWorkflow": Malformed(workflow_pb2.GetWorkflowRequest(id="1"), ("id",)),
    WORKFLOW + "ListWorkflows": Malformed(
        workflow_pb2.ListWorkflowsRequest(page_size=-1, owner_user_id="1"), ("page_size", "owner_user_id")
    ),
    WORKFLOW + "UpdateWorkflow": Malformed(
        workflow_pb2.UpdateWorkflowRequest(id="1", definition={"steps": [{"id": "A"}]}),
        ("id", "definition.steps[0].id", "definition.steps[0].kind"),
    ),
    WORKFLOW + "DeleteWorkflow": Malformed(workflow_pb2.DeleteWorkflowRequest(id="1", etag="x" * 65), ("id", "etag")),
    WORKFLOW + "RestoreWorkflow": Malformed(workflow_pb2.RestoreWorkflowRequest(id="1"), ("id",)),
    WORKFLOW + "PurgeWorkflow": Malformed(workflow_pb2.PurgeWorkflowRequest(id="1"), ("id",)),
    WORKFLOW + "ListWorkflowVersions": Malformed(
        workflow_pb2.ListWorkflowVersionsRequest(workflow_id="1", page_size=-1), ("workflow_id", "page_size")
    ),
    WORKFLOW + "ValidateWorkflow": Malformed(
        definition_pb2.ValidateWorkflowRequest(definition={"output": "x" * 4097}),
        ("definition.steps", "definition.output"),
    ),
    WORKFLOW + "ExecuteWorkflow": Malformed(
        execution_pb2.ExecuteWorkflowRequest(workflow_id="1", priority=101), ("workflow_id", "priority")
    ),
    **{
        WORKFLOW + f"{verb}Execution": Malformed(getattr(execution_pb2, f"{verb}ExecutionRequest")(id="1"), ("id",))
        for verb in ("Get", "Watch", "Pause", "Resume", "Cancel", "Replay")
    },
    WORKFLOW + "GetLineage": Malformed(execution_pb2.GetLineageRequest(id="1"), ("id",)),
    WORKFLOW + "ListExecutions": Malformed(
        execution_pb2.ListExecutionsRequest(page_size=-1, workflow_id="1", state=9),
        ("page_size", "workflow_id", "state"),
    ),
    WORKFLOW + "ListTasks": Malformed(
        task_pb2.ListTasksRequest(execution_id="1", page_size=-1), ("execution_id", "page_size")
    ),
    WORKFLOW + "CompleteTask": Malformed(
        task_pb2.CompleteTaskRequest(execution_id="1", id="1"), ("execution_id", "id", "decision")
    ),
    WORKFLOW + "CreateAgent": Malformed(
        agent_pb2.CreateAgentRequest(name=" ", prompt_label="production", temperature=3, knowledge_base_ids=["1"]),
        ("name", "prompt_label", "temperature", "knowledge_base_ids[0]"),
    ),
    WORKFLOW + "ListAgents": Malformed(
        agent_pb2.ListAgentsRequest(page_size=-1, agent_type="x" * 101), ("page_size", "agent_type")
    ),
    WORKFLOW + "UpdateAgent": Malformed(
        agent_pb2.UpdateAgentRequest(id="1", max_turns=33, tools=[{"name": "search_knowledge"}]),
        ("id", "max_turns", "tools"),
    ),
    WORKFLOW + "RunAgent": Malformed(
        agent_run_pb2.RunAgentRequest(agent_id="1", messages=[{"role": 2}], user_key="k" * 256),
        ("agent_id", "messages[0].content", "user_key"),
    ),
    WORKFLOW + "DeleteAgent": Malformed(agent_pb2.DeleteAgentRequest(id="1", etag="x" * 65), ("id", "etag")),
    **{
        WORKFLOW + f"{verb}Agent": Malformed(getattr(agent_pb2, f"{verb}AgentRequest")(id="1"), ("id",))
        for verb in ("Get", "Restore", "Purge")
    },
}
GOOD_OF_WORKFLOWS: dict[str, Message] = {
    WORKFLOW + "CreateWorkflow": workflow_pb2.CreateWorkflowRequest(name="new", definition=ONE_STEP),
    WORKFLOW + "ListWorkflows": workflow_pb2.ListWorkflowsRequest(),
    WORKFLOW + "PurgeWorkflow": workflow_pb2.PurgeWorkflowRequest(id=SOME_ID),
    WORKFLOW + "ValidateWorkflow": definition_pb2.ValidateWorkflowRequest(definition=ONE_STEP),
    WORKFLOW + "ListExecutions": execution_pb2.ListExecutionsRequest(),
    WORKFLOW + "CreateAgent": agent_pb2.CreateAgentRequest(name="new"),
    WORKFLOW + "ListAgents": agent_pb2.ListAgentsRequest(),
    WORKFLOW + "PurgeAgent": agent_pb2.PurgeAgentRequest(id=SOME_ID),
}
