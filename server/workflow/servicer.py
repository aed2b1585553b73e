"""The WorkflowService: converts, calls, converts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from uuid import UUID

from atrium.workflow.v1 import agent_pb2, agent_run_pb2, definition_pb2, task_pb2, workflow_pb2
from atrium.workflow.v1 import execution_pb2 as pb
from server.rpc.chain import Context
from server.rpc.pages import Pages
from server.rpc.wire import deletion
from server.workflow.convert import agent_runs, agents, definitions, executions
from server.workflow.convert import workflows as convert
from server.workflow.service.agents import AgentService
from server.workflow.service.executions import ExecutionService
from server.workflow.service.running import AgentRunning
from server.workflow.service.watching import ExecutionWatching
from server.workflow.service.workflows import WorkflowService


class WorkflowServicer:
    """Workflows and what executing them comes to, and agents."""

    def __init__(
        self,
        workflows: WorkflowService,
        executions: ExecutionService,
        watching: ExecutionWatching,
        agents: AgentService,
        running: AgentRunning,
        pages: Pages,
    ) -> None:
        self._workflows = workflows
        self._executions = executions
        self._watching = watching
        self._agents = agents
        self._running = running
        self._pages = pages

    async def CreateWorkflow(
        self, request: workflow_pb2.CreateWorkflowRequest, context: Context
    ) -> workflow_pb2.CreateWorkflowResponse:
        workflow = await self._workflows.create(convert.new_workflow(request))
        return workflow_pb2.CreateWorkflowResponse(workflow=convert.workflow(workflow))

    async def GetWorkflow(
        self, request: workflow_pb2.GetWorkflowRequest, context: Context
    ) -> workflow_pb2.GetWorkflowResponse:
        workflow = await self._workflows.get(UUID(request.id), deletion(request))
        return workflow_pb2.GetWorkflowResponse(workflow=convert.workflow(workflow))

    async def ListWorkflows(
        self, request: workflow_pb2.ListWorkflowsRequest, context: Context
    ) -> workflow_pb2.ListWorkflowsResponse:
        asked = self._pages.read(request)
        if request.all_tenants:
            page = await self._workflows.public_page(asked)
        else:
            page = await self._workflows.page(asked, convert.filters(request), deletion(request))
        return workflow_pb2.ListWorkflowsResponse(
            workflows=[convert.workflow(workflow) for workflow in page.items],
            next_page_token=self._pages.next(request, page),
        )

    async def UpdateWorkflow(
        self, request: workflow_pb2.UpdateWorkflowRequest, context: Context
    ) -> workflow_pb2.UpdateWorkflowResponse:
        values = convert.workflow_changes(request)
        workflow = await self._workflows.update(UUID(request.id), values, request.changelog, request.etag)
        return workflow_pb2.UpdateWorkflowResponse(workflow=convert.workflow(workflow))

    async def DeleteWorkflow(
        self, request: workflow_pb2.DeleteWorkflowRequest, context: Context
    ) -> workflow_pb2.DeleteWorkflowResponse:
        await self._workflows.delete(UUID(request.id), request.etag)
        return workflow_pb2.DeleteWorkflowResponse()

    async def RestoreWorkflow(
        self, request: workflow_pb2.RestoreWorkflowRequest, context: Context
    ) -> workflow_pb2.RestoreWorkflowResponse:
        workflow = await self._workflows.restore(UUID(request.id))
        return workflow_pb2.RestoreWorkflowResponse(workflow=convert.workflow(workflow))

    async def PurgeWorkflow(
        self, request: workflow_pb2.PurgeWorkflowRequest, context: Context
    ) -> workflow_pb2.PurgeWorkflowResponse:
        await self._workflows.purge(UUID(request.id))
        return workflow_pb2.PurgeWorkflowResponse()

    async def ListWorkflowVersions(
        self, request: workflow_pb2.ListWorkflowVersionsRequest, context: Context
    ) -> workflow_pb2.ListWorkflowVersionsResponse:
        page = await self._workflows.versions(UUID(request.workflow_id), self._pages.read(request))
        return workflow_pb2.ListWorkflowVersionsResponse(
            versions=[convert.version(version) for version in page.items],
            next_page_token=self._pages.next(request, page),
        )

    async def ValidateWorkflow(
        self, request: definition_pb2.ValidateWorkflowRequest, context: Context
    ) -> definition_pb2.ValidateWorkflowResponse:
        definition = definitions.new_definition(request.definition)
        return definitions.validated(definition, await self._workflows.problems(definition))

    async def ExecuteWorkflow(self, request: pb.ExecuteWorkflowRequest, context: Context) -> pb.ExecuteWorkflowResponse:
        execution = await self._executions.execute(*executions.asked(request))
        return pb.ExecuteWorkflowResponse(execution=executions.execution(execution))

    async def GetExecution(self, request: pb.GetExecutionRequest, context: Context) -> pb.GetExecutionResponse:
        execution = await self._executions.get(UUID(request.id))
        return pb.GetExecutionResponse(execution=executions.execution(execution))

    async def ListExecutions(self, request: pb.ListExecutionsRequest, context: Context) -> pb.ListExecutionsResponse:
        page = await self._executions.page(self._pages.read(request), executions.filters(request))
        return pb.ListExecutionsResponse(
            executions=[executions.listed(execution) for execution in page.items],
            next_page_token=self._pages.next(request, page),
        )

    async def WatchExecution(
        self, request: pb.WatchExecutionRequest, context: Context
    ) -> AsyncIterator[pb.WatchExecutionResponse]:
        async with aclosing(self._watching.watch(UUID(request.id), request.after_seq)) as events:
            async for event in events:
                yield executions.watched(event)

    async def ListTasks(self, request: task_pb2.ListTasksRequest, context: Context) -> task_pb2.ListTasksResponse:
        asked = self._pages.read(request)
        page = await self._executions.tasks(UUID(request.execution_id), asked, executions.task_state(request))
        return task_pb2.ListTasksResponse(
            tasks=[executions.task(task) for task in page.items],
            next_page_token=self._pages.next(request, page),
        )

    async def PauseExecution(self, request: pb.PauseExecutionRequest, context: Context) -> pb.PauseExecutionResponse:
        execution = await self._executions.pause(UUID(request.id), request.reason)
        return pb.PauseExecutionResponse(execution=executions.execution(execution))

    async def ResumeExecution(self, request: pb.ResumeExecutionRequest, context: Context) -> pb.ResumeExecutionResponse:
        execution = await self._executions.resume(UUID(request.id))
        return pb.ResumeExecutionResponse(execution=executions.execution(execution))

    async def CancelExecution(self, request: pb.CancelExecutionRequest, context: Context) -> pb.CancelExecutionResponse:
        execution = await self._executions.cancel(UUID(request.id))
        return pb.CancelExecutionResponse(execution=executions.execution(execution))

    async def ReplayExecution(self, request: pb.ReplayExecutionRequest, context: Context) -> pb.ReplayExecutionResponse:
        execution = await self._executions.replay(UUID(request.id), request.from_step_id)
        return pb.ReplayExecutionResponse(execution=executions.execution(execution))

    async def CompleteTask(
        self, request: task_pb2.CompleteTaskRequest, context: Context
    ) -> task_pb2.CompleteTaskResponse:
        task = await self._executions.decide(*executions.decided(request))
        return task_pb2.CompleteTaskResponse(task=executions.task(task))

    async def GetLineage(self, request: pb.GetLineageRequest, context: Context) -> pb.GetLineageResponse:
        above, below = await self._executions.lineage(UUID(request.id))
        return pb.GetLineageResponse(
            ancestors=[executions.listed(one) for one in above],
            descendants=[executions.listed(one) for one in below],
        )

    async def CreateAgent(
        self, request: agent_pb2.CreateAgentRequest, context: Context
    ) -> agent_pb2.CreateAgentResponse:
        agent = await self._agents.create(agents.agent_values(request))
        return agent_pb2.CreateAgentResponse(agent=agents.agent(agent))

    async def GetAgent(self, request: agent_pb2.GetAgentRequest, context: Context) -> agent_pb2.GetAgentResponse:
        agent = await self._agents.get(UUID(request.id), deletion(request))
        return agent_pb2.GetAgentResponse(agent=agents.agent(agent))

    async def ListAgents(self, request: agent_pb2.ListAgentsRequest, context: Context) -> agent_pb2.ListAgentsResponse:
        page = await self._agents.page(self._pages.read(request), agents.filters(request), deletion(request))
        return agent_pb2.ListAgentsResponse(
            agents=[agents.listed(agent) for agent in page.items],
            next_page_token=self._pages.next(request, page),
        )

    async def UpdateAgent(
        self, request: agent_pb2.UpdateAgentRequest, context: Context
    ) -> agent_pb2.UpdateAgentResponse:
        agent = await self._agents.update(UUID(request.id), agents.agent_changes(request), request.etag)
        return agent_pb2.UpdateAgentResponse(agent=agents.agent(agent))

    async def DeleteAgent(
        self, request: agent_pb2.DeleteAgentRequest, context: Context
    ) -> agent_pb2.DeleteAgentResponse:
        await self._agents.delete(UUID(request.id), request.etag)
        return agent_pb2.DeleteAgentResponse()

    async def RestoreAgent(
        self, request: agent_pb2.RestoreAgentRequest, context: Context
    ) -> agent_pb2.RestoreAgentResponse:
        agent = await self._agents.restore(UUID(request.id))
        return agent_pb2.RestoreAgentResponse(agent=agents.agent(agent))

    async def PurgeAgent(self, request: agent_pb2.PurgeAgentRequest, context: Context) -> agent_pb2.PurgeAgentResponse:
        await self._agents.purge(UUID(request.id))
        return agent_pb2.PurgeAgentResponse()

    async def RunAgent(
        self, request: agent_run_pb2.RunAgentRequest, context: Context
    ) -> AsyncIterator[agent_run_pb2.RunAgentResponse]:
        seq = 0
        async with aclosing(self._running.run(agent_runs.asked(request))) as events:
            async for event in events:
                seq += 1
                yield agent_runs.event(seq, event)
