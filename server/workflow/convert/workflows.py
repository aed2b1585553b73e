"""Workflows, as the API has them."""

from __future__ import annotations

from typing import Any

from atrium.workflow.v1 import workflow_pb2 as pb
from server.kernel.errors import etag_of
from server.rpc.wire import EnumMap, changes, present, timestamp, uuid_or_none
from server.workflow.convert.definitions import definition, new_definition
from server.workflow.domain import Workflow, WorkflowVersion

_VISIBILITY = EnumMap(
    {
        "personal": pb.Workflow.VISIBILITY_PERSONAL,
        "tenant": pb.Workflow.VISIBILITY_TENANT,
        "public": pb.Workflow.VISIBILITY_PUBLIC,
    }
)


def new_workflow(request: pb.CreateWorkflowRequest) -> dict[str, Any]:
    return {
        "name": request.name,
        "definition": new_definition(request.definition),
        "visibility": _VISIBILITY.word.get(request.visibility, "personal"),
        **present(request, "description"),
    }


def workflow_changes(request: pb.UpdateWorkflowRequest) -> dict[str, Any]:
    values = changes(request, "name", "description", "visibility", "definition")
    if "visibility" in values:
        values["visibility"] = _VISIBILITY.word[values["visibility"]]
    if "definition" in values:
        values["definition"] = new_definition(values["definition"])
    return values


def filters(request: pb.ListWorkflowsRequest) -> dict[str, Any]:
    given = {
        "visibility": _VISIBILITY.word.get(request.visibility),
        "owner_user_id": uuid_or_none(request.owner_user_id),
    }
    return {name: value for name, value in given.items() if value is not None}


def workflow(value: Workflow) -> pb.Workflow:
    return pb.Workflow(
        id=str(value.id),
        etag=etag_of(value.revision),
        create_time=timestamp(value.created_at),
        update_time=timestamp(value.updated_at),
        name=value.name,
        description=value.description,
        visibility=_VISIBILITY.number[value.visibility],
        owner_user_id=str(value.owner_user_id or ""),
        definition=definition(value.definition),
        version=value.version,
        execution_count=value.execution_count,
        success_count=value.success_count,
        failure_count=value.failure_count,
        tenant_id=str(value.tenant_id),
        delete_time=timestamp(value.deleted_at),
    )


def version(value: WorkflowVersion) -> pb.WorkflowVersion:
    return pb.WorkflowVersion(
        version=value.version,
        definition=definition(value.definition),
        changelog=value.changelog,
        created_by=str(value.created_by or ""),
        create_time=timestamp(value.created_at),
    )
