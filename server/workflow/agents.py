"""Agents: models with what they are told, what they look things up in, and what they may have called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from server.llm.port import Tool

SEARCH = "search_knowledge"
"""The tool that agents with knowledge bases have of themselves."""

MAX_TURNS = 8
"""How often an agent that does not say otherwise has a model asked in a run at most."""


MOST_BYTES = 32_768
"""Of an agent's tools, or of its answer's schema, as JSON: the audit log tells both with every change."""

MOST_VALUES = 2_000
"""Likewise, of values: each takes a moment of the server's to read and to tell."""


@dataclass(frozen=True, slots=True)
class Agent:
    """What is run.

    `model`: a name, an id or a route's alias; None: the tenant's default. `prompt_label`: None: the template's newest
    version. `temperature`, `max_tokens`: None: as the prompt says, or else the tenant. `knowledge_base_ids`: where it
    searches. `tools`: what is done for it by who runs it. `output_schema`: what its answer must match; None: it is any
    text. `max_turns`: how often a model is asked in a run at most.
    """

    id: UUID
    tenant_id: UUID
    agent_type: str | None
    name: str
    description: str | None
    model: str | None
    prompt_template_id: UUID | None
    prompt_label: str | None
    temperature: float | None
    max_tokens: int | None
    knowledge_base_ids: Sequence[UUID]
    tools: Sequence[Tool]
    output_schema: Mapping[str, Any] | None
    max_turns: int
    revision: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None
    deleted_by: str | None
