"""What the audit log keeps of the slice's objects: their fields as JSON values."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from server.workflow.agents import Agent
from server.workflow.domain import Workflow
from server.workflow.executions import Execution


def workflow_values(workflow: Workflow | None) -> dict[str, Any] | None:
    """Not the definition: its versions stay, and tell it."""
    if workflow is None:
        return None
    return {
        "name": workflow.name,
        "description": workflow.description,
        "version": workflow.version,
        "visibility": workflow.visibility,
        "owner_user_id": workflow.owner_user_id and str(workflow.owner_user_id),
        "deleted_at": workflow.deleted_at and workflow.deleted_at.isoformat(),
        "deleted_by": workflow.deleted_by,
    }


def agent_values(agent: Agent | None) -> dict[str, Any] | None:
    if agent is None:
        return None
    return {
        "name": agent.name,
        "description": agent.description,
        "agent_type": agent.agent_type,
        "model": agent.model,
        "prompt_template_id": agent.prompt_template_id and str(agent.prompt_template_id),
        "prompt_label": agent.prompt_label,
        "temperature": agent.temperature,
        "max_tokens": agent.max_tokens,
        "knowledge_base_ids": [str(base_id) for base_id in agent.knowledge_base_ids],
        "tools": [asdict(tool) for tool in agent.tools],
        "output_schema": agent.output_schema,
        "max_turns": agent.max_turns,
        "deleted_at": agent.deleted_at and agent.deleted_at.isoformat(),
        "deleted_by": agent.deleted_by,
    }


def execution_values(execution: Execution | None) -> dict[str, Any] | None:
    """Not what it is given and comes to, which is kept with it."""
    if execution is None:
        return None
    return {
        "workflow_id": str(execution.workflow_id),
        "workflow_version": execution.workflow_version,
        "status": execution.status,
        "personal": execution.personal,
        "pause_reason": execution.pause_reason,
        "parent_execution_id": execution.parent_execution_id and str(execution.parent_execution_id),
        "priority": execution.priority,
    }
