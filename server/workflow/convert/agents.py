"""Agents, as the API has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from google.protobuf.struct_pb2 import Struct

from atrium.model.v1 import chat_pb2
from atrium.workflow.v1 import agent_pb2 as pb
from server import chats
from server.kernel.errors import InvalidRequest, etag_of
from server.kernel.masks import masked
from server.llm.port import Tool
from server.rpc.wire import json_schema, present, struct, timestamp, uuid_or_none
from server.workflow.agents import MAX_TURNS, MOST_BYTES, MOST_VALUES, Agent
from server.workflow.limits import problem

_ONE = (
    *("name", "description", "agent_type", "model", "prompt_template_id", "prompt_label"),
    *("temperature", "max_tokens", "output_schema", "max_turns"),
)
_MANY = ("knowledge_base_ids", "tools")


def agent_changes(request: pb.UpdateAgentRequest) -> dict[str, Any]:
    """The fields to change; one that the mask names and that is unset becomes what is usual. Raises InvalidRequest."""
    given = {**present(request, *_ONE), **{name: getattr(request, name) or None for name in _MANY}}
    values = agent_values(request)
    return {name: values[name] for name in masked(given, request.update_mask.paths)}


def agent_values(request: pb.CreateAgentRequest | pb.UpdateAgentRequest) -> dict[str, Any]:
    """Every field, as usual where nothing is said of it. Raises InvalidRequest."""
    return {
        "name": request.name,
        "agent_type": request.agent_type or None,
        "model": request.model or None,
        "prompt_template_id": uuid_or_none(request.prompt_template_id),
        "prompt_label": request.prompt_label or None,
        "knowledge_base_ids": list(dict.fromkeys(UUID(base_id) for base_id in request.knowledge_base_ids)),
        "tools": _tools(request.tools),
        "output_schema": _schema(request.output_schema) if request.HasField("output_schema") else None,
        "max_turns": request.max_turns or MAX_TURNS,
        **present(request, "description", "temperature", "max_tokens"),
    }


def filters(request: pb.ListAgentsRequest) -> dict[str, Any]:
    return {"agent_type": request.agent_type} if request.agent_type else {}


def agent(value: Agent) -> pb.Agent:
    made = listed(value)
    made.tools.extend(chats.chat_tool(tool) for tool in value.tools)
    if (schema := struct(value.output_schema)) is not None:
        made.output_schema.CopyFrom(schema)
    return made


def listed(value: Agent) -> pb.Agent:
    """Without what may be much."""
    return pb.Agent(
        id=str(value.id),
        etag=etag_of(value.revision),
        create_time=timestamp(value.created_at),
        update_time=timestamp(value.updated_at),
        name=value.name,
        description=value.description,
        agent_type=value.agent_type or "",
        model=value.model or "",
        prompt_template_id=str(value.prompt_template_id or ""),
        prompt_label=value.prompt_label or "",
        temperature=value.temperature,
        max_tokens=value.max_tokens,
        knowledge_base_ids=[str(base_id) for base_id in value.knowledge_base_ids],
        max_turns=value.max_turns,
        delete_time=timestamp(value.deleted_at),
    )


def _tools(given: Sequence[chat_pb2.Tool]) -> list[Tool]:
    tools = [chats.tool(tool) for tool in given]
    _check("tools", [asdict(tool) for tool in tools])
    return tools


def _schema(given: Struct) -> dict[str, Any]:
    schema = json_schema(given, "output_schema")
    _check("output_schema", schema)
    return schema


def _check(field: str, value: Any) -> None:
    if wrong := problem(value, MOST_BYTES, MOST_VALUES):
        raise InvalidRequest([(field, wrong)])
