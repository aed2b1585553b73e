"""Workflows and their versions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

from server.kernel.ids import PLATFORM_TENANT_ID
from server.kernel.permissions import Permission
from server.kernel.principal import Principal
from server.workflow.definition import Definition
from server.workflow.errors import WorkflowDeleted

Visibility = Literal["personal", "tenant", "public"]

FIRST_VERSION = "v1.0"


@dataclass(frozen=True, slots=True)
class Workflow:
    """What executions are made of. `version`: its newest, whose `definition` this is."""

    id: UUID
    tenant_id: UUID
    owner_user_id: UUID | None
    name: str
    description: str | None
    definition: Definition
    version: str
    visibility: Visibility
    execution_count: int
    success_count: int
    failure_count: int
    revision: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None
    deleted_by: str | None

    def seen_by(self, caller: Principal) -> bool:
        """Whether it is there for the caller."""
        if self.tenant_id != caller.tenant_id:
            return self.visibility == "public" and self.tenant_id == PLATFORM_TENANT_ID
        return self.visibility != "personal" or self.owner_user_id == caller.member_id or manages(caller)

    def abroad(self) -> Workflow:
        """As it is shown in another tenant: nothing of whose it is, and how much it is used."""
        return replace(self, owner_user_id=None, execution_count=0, success_count=0, failure_count=0)

    def check_live(self) -> None:
        """Raises WorkflowDeleted."""
        if self.deleted_at is not None:
            raise WorkflowDeleted(self.name)


@dataclass(frozen=True, slots=True)
class WorkflowVersion:
    """A state of a workflow's definition."""

    id: UUID
    workflow_id: UUID
    version: str
    definition: Definition
    changelog: str | None
    created_by: UUID | None
    created_at: datetime

    def abroad(self) -> WorkflowVersion:
        """As it is shown in another tenant: without who made it."""
        return replace(self, created_by=None)


def manages(caller: Principal) -> bool:
    """Whether they see what is personal to others: who may change workflows."""
    return Permission.WORKFLOWS_UPDATE in caller.permissions


def version_after(version: str) -> str:
    """The name of the version that follows that one: v1.1 after v1.0."""
    major, _, minor = version.rpartition(".")
    return f"{major}.{int(minor) + 1}"
