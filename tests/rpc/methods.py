"""Every method of every service, as the protos declare them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from atrium.audit.v1 import audit_service_pb2
from atrium.identity.v1 import identity_service_pb2
from atrium.knowledge.v1 import knowledge_service_pb2
from atrium.model.v1 import model_service_pb2
from atrium.prompt.v1 import prompt_service_pb2
from atrium.tenant.v1 import tenant_service_pb2
from atrium.workflow.v1 import workflow_service_pb2
from server.rpc.policy import read_rules

SERVICES = [
    tenant_service_pb2.DESCRIPTOR.services_by_name["TenantService"],
    identity_service_pb2.DESCRIPTOR.services_by_name["IdentityService"],
    model_service_pb2.DESCRIPTOR.services_by_name["ModelService"],
    prompt_service_pb2.DESCRIPTOR.services_by_name["PromptService"],
    knowledge_service_pb2.DESCRIPTOR.services_by_name["KnowledgeService"],
    workflow_service_pb2.DESCRIPTOR.services_by_name["WorkflowService"],
    audit_service_pb2.DESCRIPTOR.services_by_name["AuditService"],
]
RULES = read_rules(SERVICES)

IDENTITY = "/atrium.identity.v1.IdentityService/"
TENANT = "/atrium.tenant.v1.TenantService/"
MODEL = "/atrium.model.v1.ModelService/"
PROMPT = "/atrium.prompt.v1.PromptService/"
KNOWLEDGE = "/atrium.knowledge.v1.KnowledgeService/"
WORKFLOW = "/atrium.workflow.v1.WorkflowService/"
AUDIT = "/atrium.audit.v1.AuditService/"


def _methods() -> Iterator[tuple[str, MethodDescriptor]]:
    for service in SERVICES:
        for method in service.methods:
            yield f"/{service.full_name}/{method.name}", method


METHODS: dict[str, MethodDescriptor] = dict(_methods())
"""The methods by their paths."""


def request_of(path: str, **fields: Any) -> Message:
    """A request of the method."""
    return message_factory.GetMessageClass(METHODS[path].input_type)(**fields)
