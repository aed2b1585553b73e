"""What tenants do with models, prompts, knowledge, workflows and agents."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from atrium.knowledge.v1 import knowledge_base_pb2
from atrium.model.v1 import (
    chat_pb2,
    credential_pb2,
    embedding_pb2,
    model_pb2,
    route_pb2,
    stream_pb2,
    tenant_model_pb2,
    usage_pb2,
)
from atrium.prompt.v1 import label_pb2, template_pb2, version_pb2
from atrium.workflow.v1 import agent_pb2, workflow_pb2
from tests.factories.workflows import TENANT, defined, transform
from tests.isolation.machine import NAMES, PICKS, SIDES, Machine, picked

SHARED_MODEL = "stub-fast-3"
"""A model of the platform's, which both tenants may call."""

MODELS = st.sampled_from(["own-ann", "own-bob"])
HELLO = chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_USER, content="Hello")
CUSTOM = model_pb2.Model.PROVIDER_CUSTOM
ACTIVE, ARCHIVED = knowledge_base_pb2.KnowledgeBase.STATE_ACTIVE, knowledge_base_pb2.KnowledgeBase.STATE_ARCHIVED
FREE = model_pb2.ModelPrice(input_cost_per_1k="0", output_cost_per_1k="0")


class Work(Machine):
    """The steps that the services of models, prompts, knowledge and workflows take part in."""

    @rule(side=SIDES, text=NAMES)
    def embed(self, side: int, text: str) -> None:
        request = embedding_pb2.EmbedRequest(model="local-embedding", inputs=[text])
        reply = self.call(side, self.server.world.models.Embed, request)
        self.tenants[side].calls.append(reply.call_log_id)

    @rule(side=SIDES, name=NAMES)
    def create_template(self, side: int, name: str) -> None:
        own, prompts = self.tenants[side], self.server.world.prompts
        request = template_pb2.CreateTemplateRequest(name=name, visibility=template_pb2.VISIBILITY_TENANT)
        if name in {known for known, _ in own.templates.values()}:
            assert self.refused(side, prompts.CreateTemplate, request).reason == "TEMPLATE_NAME_TAKEN"
        else:
            own.templates[self.call(side, prompts.CreateTemplate, request).template.id] = (name, "")

    @rule(side=SIDES, pick=PICKS, text=NAMES)
    def create_version(self, side: int, pick: int, text: str) -> None:
        own, prompts = self.tenants[side], self.server.world.prompts
        if not own.templates:
            return
        template_id = picked(own.templates, pick)
        request = version_pb2.CreateVersionRequest(template_id=template_id, text=text)
        made = self.call(side, prompts.CreateVersion, request).version
        own.templates[template_id] = (own.templates[template_id][0], made.version)
        target = label_pb2.LabelTarget(version=made.version)
        label = label_pb2.SetLabelRequest(template_id=template_id, label="production", targets=[target])
        self.call(side, prompts.SetLabel, label)
        found = self.call(side, prompts.GetVersion, version_pb2.GetVersionRequest(template_id=template_id))
        assert found.version.text == text

    @rule(side=SIDES, name=NAMES)
    def create_base(self, side: int, name: str) -> None:
        own, knowledge = self.tenants[side], self.server.world.knowledge
        request = knowledge_base_pb2.CreateKnowledgeBaseRequest(name=name, embedding_model="local-embedding")
        if name in {known for known, _ in own.bases.values()}:
            assert self.refused(side, knowledge.CreateKnowledgeBase, request).reason == "KNOWLEDGE_BASE_NAME_TAKEN"
        else:
            base = self.call(side, knowledge.CreateKnowledgeBase, request).knowledge_base
            own.bases[base.id] = (name, ACTIVE)

    @rule(side=SIDES, pick=PICKS)
    def archive_or_activate_base(self, side: int, pick: int) -> None:
        own, knowledge = self.tenants[side], self.server.world.knowledge
        if not own.bases:
            return
        base_id = picked(own.bases, pick)
        name, state = own.bases[base_id]
        if state == ACTIVE:
            archive = knowledge_base_pb2.ArchiveKnowledgeBaseRequest(id=base_id)
            self.call(side, knowledge.ArchiveKnowledgeBase, archive)
        else:
            activate = knowledge_base_pb2.ActivateKnowledgeBaseRequest(id=base_id)
            self.call(side, knowledge.ActivateKnowledgeBase, activate)
        own.bases[base_id] = (name, ARCHIVED if state == ACTIVE else ACTIVE)

    @rule(side=SIDES, pick=PICKS)
    def delete_or_restore_base(self, side: int, pick: int) -> None:
        """A base that is deleted is there for neither, and comes back as it was where its name is free."""
        own, knowledge = self.tenants[side], self.server.world.knowledge
        if own.gone:
            base_id = picked(own.gone, pick)
            restore = knowledge_base_pb2.RestoreKnowledgeBaseRequest(id=base_id)
            if own.gone[base_id][0] in {known for known, _ in own.bases.values()}:
                refusal = self.refused(side, knowledge.RestoreKnowledgeBase, restore)
                assert refusal.reason == "KNOWLEDGE_BASE_NAME_TAKEN"
            else:
                self.call(side, knowledge.RestoreKnowledgeBase, restore)
                own.bases[base_id] = own.gone.pop(base_id)
        elif own.bases:
            base_id = picked(own.bases, pick)
            delete = knowledge_base_pb2.DeleteKnowledgeBaseRequest(id=base_id)
            self.call(side, knowledge.DeleteKnowledgeBase, delete)
            own.gone[base_id] = own.bases.pop(base_id)

    @rule(side=SIDES, name=NAMES)
    def create_workflow(self, side: int, name: str) -> None:
        own, workflows = self.tenants[side], self.server.world.workflows
        request = workflow_pb2.CreateWorkflowRequest(name=name, definition=defined(transform(name)), visibility=TENANT)
        if name in {known for known, _ in own.workflows.values()}:
            assert self.refused(side, workflows.CreateWorkflow, request).reason == "WORKFLOW_NAME_TAKEN"
        else:
            own.workflows[self.call(side, workflows.CreateWorkflow, request).workflow.id] = (name, "v1.0")

    @rule(side=SIDES, pick=PICKS, step=NAMES)
    def change_workflow(self, side: int, pick: int, step: str) -> None:
        """Another definition is another version, which the list of its versions has."""
        own, workflows = self.tenants[side], self.server.world.workflows
        if not own.workflows:
            return
        workflow_id = picked(own.workflows, pick)
        request = workflow_pb2.UpdateWorkflowRequest(id=workflow_id, definition=defined(transform(step)))
        changed = self.call(side, workflows.UpdateWorkflow, request).workflow
        own.workflows[workflow_id] = (changed.name, changed.version)
        listed = workflow_pb2.ListWorkflowVersionsRequest(workflow_id=workflow_id)
        newest = self.call(side, workflows.ListWorkflowVersions, listed).versions[0]
        assert (newest.version, newest.definition.steps[0].id) == (changed.version, step)

    @rule(side=SIDES, pick=PICKS)
    def delete_or_restore_workflow(self, side: int, pick: int) -> None:
        own, workflows = self.tenants[side], self.server.world.workflows
        if own.ended:
            workflow_id = picked(own.ended, pick)
            restore = workflow_pb2.RestoreWorkflowRequest(id=workflow_id)
            if own.ended[workflow_id][0] in {known for known, _ in own.workflows.values()}:
                assert self.refused(side, workflows.RestoreWorkflow, restore).reason == "WORKFLOW_NAME_TAKEN"
            else:
                self.call(side, workflows.RestoreWorkflow, restore)
                own.workflows[workflow_id] = own.ended.pop(workflow_id)
        elif own.workflows:
            workflow_id = picked(own.workflows, pick)
            self.call(side, workflows.DeleteWorkflow, workflow_pb2.DeleteWorkflowRequest(id=workflow_id))
            own.ended[workflow_id] = own.workflows.pop(workflow_id)

    @rule(side=SIDES, name=NAMES)
    def create_agent(self, side: int, name: str) -> None:
        own, workflows = self.tenants[side], self.server.world.workflows
        request = agent_pb2.CreateAgentRequest(name=name)
        if name in {known for known, _ in own.agents.values()}:
            assert self.refused(side, workflows.CreateAgent, request).reason == "AGENT_NAME_TAKEN"
        else:
            own.agents[self.call(side, workflows.CreateAgent, request).agent.id] = (name, "")

    @rule(side=SIDES, pick=PICKS, kind=NAMES)
    def change_agent(self, side: int, pick: int, kind: str) -> None:
        own, workflows = self.tenants[side], self.server.world.workflows
        if own.agents:
            request = agent_pb2.UpdateAgentRequest(id=picked(own.agents, pick), agent_type=kind)
            changed = self.call(side, workflows.UpdateAgent, request).agent
            own.agents[changed.id] = (changed.name, kind)

    @rule(side=SIDES, pick=PICKS)
    def delete_or_restore_agent(self, side: int, pick: int) -> None:
        own, workflows = self.tenants[side], self.server.world.workflows
        if own.dismissed:
            agent_id = picked(own.dismissed, pick)
            restore = agent_pb2.RestoreAgentRequest(id=agent_id)
            if own.dismissed[agent_id][0] in {known for known, _ in own.agents.values()}:
                assert self.refused(side, workflows.RestoreAgent, restore).reason == "AGENT_NAME_TAKEN"
            else:
                self.call(side, workflows.RestoreAgent, restore)
                own.agents[agent_id] = own.dismissed.pop(agent_id)
        elif own.agents:
            agent_id = picked(own.agents, pick)
            self.call(side, workflows.DeleteAgent, agent_pb2.DeleteAgentRequest(id=agent_id))
            own.dismissed[agent_id] = own.agents.pop(agent_id)

    @rule(side=SIDES, alias=NAMES)
    def create_or_delete_route(self, side: int, alias: str) -> None:
        own, models = self.tenants[side], self.server.world.models
        for route_id, known in own.routes.items():
            if known == alias:
                self.call(side, models.DeleteRoute, route_pb2.DeleteRouteRequest(id=route_id))
                del own.routes[route_id]
                return
        request = route_pb2.CreateRouteRequest(alias=alias, targets=[{"model": "local-chat"}])
        own.routes[self.call(side, models.CreateRoute, request).route.id] = alias

    @rule(side=SIDES, name=NAMES, rotated=st.booleans())
    def create_or_change_credential(self, side: int, name: str, rotated: bool) -> None:
        own, models = self.tenants[side], self.server.world.models
        secret = f"{self._secret(side)}-{len(own.calls)}"
        for credential_id, known in own.credentials.items():
            if known == name and rotated:
                request = credential_pb2.RotateCredentialRequest(id=credential_id, secret=secret)
                self.call(side, models.RotateCredential, request)
                return
            if known == name:
                self.call(side, models.DeleteCredential, credential_pb2.DeleteCredentialRequest(id=credential_id))
                del own.credentials[credential_id]
                return
        stub = self.server.stub.base_url
        request = credential_pb2.CreateCredentialRequest(provider=CUSTOM, name=name, base_url=stub, secret=secret)
        own.credentials[self.call(side, models.CreateCredential, request).credential.id] = name

    def _secret(self, side: int) -> str:
        """How this tenant's keys to the provider begin."""
        return f"sk-of-{self.tenants[side].administrator.tenant_id}"

    @rule(side=SIDES, name=MODELS, description=NAMES, deleted=st.booleans())
    def create_or_change_model(self, side: int, name: str, description: str, deleted: bool) -> None:
        own, models = self.tenants[side], self.server.world.models
        for model_id, (known, _) in own.models.items():
            if known == name and deleted:
                self.call(side, models.DeleteTenantModel, tenant_model_pb2.DeleteTenantModelRequest(id=model_id))
                del own.models[model_id]
                return
            if known == name:
                request = tenant_model_pb2.UpdateTenantModelRequest(id=model_id, description=description)
                self.call(side, models.UpdateTenantModel, request)
                own.models[model_id] = (name, description)
                return
        request = tenant_model_pb2.CreateTenantModelRequest(
            name=name,
            upstream_name=SHARED_MODEL,
            description=description,
            provider=CUSTOM,
            type=model_pb2.Model.TYPE_CHAT,
            price=FREE,
            base_url=self.server.stub.base_url,
            supports_streaming=True,
        )
        own.models[self.call(side, models.CreateTenantModel, request).model.id] = (name, description)

    @rule(side=SIDES, name=MODELS, streamed=st.booleans())
    def chat_with_an_own_model(self, side: int, name: str, streamed: bool) -> None:
        """Whoever has such a model is answered, and the provider sees this tenant's key, if any."""
        own, models, stub = self.tenants[side], self.server.world.models, self.server.stub
        method, kind = (self._stream, stream_pb2.StreamChatRequest) if streamed else (models.Chat, chat_pb2.ChatRequest)
        request, asked = kind(model=name, messages=[HELLO]), len(stub.exchanges)
        if name not in {known for known, _ in own.models.values()}:
            assert self.refused(side, method, request).reason == "MODEL_NOT_FOUND"
            return
        own.calls.append(self.call(side, method, request).call_log_id)
        (exchange,) = stub.exchanges[asked:]
        key = exchange.headers.get("authorization", "")
        assert key.startswith(f"Bearer {self._secret(side)}-") if own.credentials else "sk-of-" not in key

    @rule(side=SIDES, resumable=st.booleans())
    def stream_from_a_shared_model(self, side: int, resumable: bool) -> None:
        request = stream_pb2.StreamChatRequest(model=SHARED_MODEL, messages=[HELLO], resumable=resumable)
        started = self.call(side, self._stream, request)
        self.tenants[side].calls.append(started.call_log_id)
        if resumable:
            self.server.written()
            again = stream_pb2.StreamChatRequest(generation_id=started.generation_id)
            assert self.call(side, self._stream, again) == started
            self.tenants[side].generations.append(started.generation_id)

    async def _stream(self, request: stream_pb2.StreamChatRequest, metadata: Any) -> Any:
        """How the stream began; it is read to its end."""
        events = [event async for event in self.server.world.models.StreamChat(request, metadata=metadata)]
        return events[0].started

    @rule(side=SIDES, most=st.integers(1000, 1003))
    def set_or_delete_limits(self, side: int, most: int) -> None:
        own, models = self.tenants[side], self.server.world.models
        for limits_id, (_, known) in own.limits.items():
            if known == most:
                self.call(side, models.DeleteModelLimits, usage_pb2.DeleteModelLimitsRequest(id=limits_id))
                del own.limits[limits_id]
                return
        user_id = own.administrator.id
        request = usage_pb2.SetModelLimitsRequest(user_id=user_id, requests_per_minute=most)
        own.limits[self.call(side, models.SetModelLimits, request).limits.id] = (user_id, most)
