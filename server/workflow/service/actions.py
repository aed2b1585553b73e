"""What steps do beside computing: models asked, and knowledge bases searched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Any
from uuid import UUID

import orjson

from server.kernel.permissions import Permission
from server.llm.port import Message
from server.workflow.definition import AgentRun, Chat, Search
from server.workflow.errors import AgentToolsWanted, ExpressionFailed
from server.workflow.limits import problem
from server.workflow.ports import Answers, Passage, Passages
from server.workflow.runs import Ended, Run, Searched
from server.workflow.service.checks import check_permission, read_json, whole
from server.workflow.service.running import AgentRunning


class Actions:
    """Does what takes others, for the running call's caller."""

    def __init__(self, answers: Answers, agents: AgentRunning, passages: Passages) -> None:
        self._answers = answers
        self._agents = agents
        self._passages = passages

    async def chat(self, action: Chat, contents: Sequence[str]) -> dict[str, Any]:
        """The answer. Raises PermissionMissing, AnswerNotJson, and what is wrong with the call or fails the model."""
        check_permission(Permission.MODELS_EXECUTE)
        turns = [(message.role, content) for message, content in zip(action.messages, contents, strict=True)]
        written: list[str] = []
        stream = self._answers.stream(action.model, turns, action.max_tokens, action.temperature, whole=True)
        async with aclosing(stream) as events:
            async for event in events:
                if isinstance(event, str):
                    written.append(event)
                elif event is not None:
                    answered = event
        if answered.error is not None:
            raise answered.error
        text = whole("".join(written))
        output: dict[str, Any] = {"text": text, "finish_reason": answered.finish_reason}
        return _kept("chat", {**output, "value": read_json(text)} if action.json else output)

    async def agent(
        self, action: AgentRun, given: Sequence[Any], going_on: Callable[[], None]
    ) -> tuple[dict[str, Any], str | None]:
        """The agent's answer, and which kind of agent it is. `going_on`: called between turns; raises where there are
        to be no more of them.

        Raises PermissionMissing, AgentNotFound, AgentToolsWanted, AnswerNotJson, and what is wrong with the run or
        fails it.
        """
        check_permission(Permission.AGENTS_EXECUTE)
        message, values = given if action.variables else (given[0], {})
        if not isinstance(values, dict):
            raise ExpressionFailed("agent.variables", "it is no object")
        said = orjson.dumps(values, option=orjson.OPT_SORT_KEYS)
        asked = Run(UUID(action.agent_id), [Message("user", message)], values, said, whole=True)
        async with aclosing(self._agents.run(asked)) as events:
            async for event in events:
                if isinstance(event, Searched):
                    going_on()
                elif isinstance(event, Ended):
                    ended = event
        if ended.error is not None:
            raise ended.error
        if ended.tool_calls:
            raise AgentToolsWanted(", ".join(sorted({call.name for call in ended.tool_calls})))
        text = next((said.content for said in reversed(ended.messages) if said.role == "assistant"), "")
        output: dict[str, Any] = {"text": text, "finish_reason": ended.finish_reason}
        return _kept("agent", {**output, "value": ended.output} if ended.is_json else output), ended.agent_type

    async def search(self, action: Search, query: str) -> dict[str, Any]:
        """What is found. Raises PermissionMissing, and what is wrong with the bases or fails the model."""
        check_permission(Permission.KNOWLEDGE_BASES_READ)
        found = await self._passages.find(action.base_ids, query, action.top_k)
        return _kept("search", {"results": [_result(one) for one in found]})


def _kept(name: str, output: dict[str, Any]) -> dict[str, Any]:
    """The same. Raises ExpressionFailed where it is more than is kept."""
    if wrong := problem(output):
        raise ExpressionFailed(name, f"what it comes to {wrong}")
    return output


def _result(one: Passage) -> dict[str, Any]:
    return {
        "content": one.content,
        "score": one.score,
        "document_id": str(one.document_id),
        "document_title": one.document_title,
        "heading": one.heading,
        "page": one.page,
        "chunk_id": str(one.chunk_id),
    }
