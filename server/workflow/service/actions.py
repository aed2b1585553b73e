"""What steps do beside computing: models asked, and knowledge bases searched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any
from uuid import UUID

import orjson

from server.kernel.permissions import Permission
from server.kernel.principal import current_call
from server.llm.port import Message
from server.workflow.definition import AgentRun, Chat, Search
from server.workflow.errors import AgentToolsWanted, ExpressionFailed
from server.workflow.limits import problem
from server.workflow.ports import Conversations, Passage, Passages
from server.workflow.runs import Ended, Run, Searched
from server.workflow.service.checks import read_json, whole
from server.workflow.service.running import MOST_QUERY_BYTES, AgentRunning


class Actions:
    """Does what takes others, for the running call's caller."""

    def __init__(self, conversations: Conversations, agents: AgentRunning, passages: Passages) -> None:
        self._conversations = conversations
        self._agents = agents
        self._passages = passages

    async def chat(self, action: Chat, given: Sequence[Any]) -> dict[str, Any]:
        """The answer. `given`: what the messages say, and the values of its prompt's variables where it has some.

        Raises PermissionMissing, AnswerNotJson, and what is wrong with the prompt or the call, or fails the model.
        """
        current_call().need(Permission.MODELS_EXECUTE)
        prompt, contents, values = action.prompt, given[: len(action.messages)], given[len(action.messages) :]
        conversation = await self._conversations.begin(
            [Message(message.role, content) for message, content in zip(action.messages, contents, strict=True)],
            model=action.model,
            temperature=action.temperature,
            max_tokens=action.max_tokens,
            schema=None,
            prompt=None if prompt is None else (UUID(prompt.template_id), prompt.version, prompt.label),
            values=_values("chat.prompt.variables", values),
            user_key="",
        )
        async with aclosing(conversation.turn(conversation.messages, [], "auto", whole=True)) as events:
            async for event in events:
                if event is not None and not isinstance(event, str):
                    ended = event
        if ended.answered.error is not None:
            raise ended.answered.error
        text = whole(ended.message.content)
        output: dict[str, Any] = {"text": text, "finish_reason": ended.answered.finish_reason}
        return _kept("chat", {**output, "value": read_json(text)} if action.json else output)

    async def agent(
        self, action: AgentRun, given: Sequence[Any], going_on: Callable[[], None]
    ) -> tuple[dict[str, Any], str | None]:
        """The agent's answer, and which kind of agent it is. `going_on`: called between turns; raises where there are
        to be no more of them.

        Raises PermissionMissing, AgentNotFound, AgentToolsWanted, AnswerNotJson, and what is wrong with the run or
        fails it.
        """
        current_call().need(Permission.AGENTS_EXECUTE)
        values = _values("agent.variables", given[1:])
        asked = Run(UUID(action.agent_id), [Message("user", given[0])], *values, whole=True)
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
        """What is found. Raises PermissionMissing, ExpressionFailed for a query that no search takes, and what is wrong
        with the bases or fails the model.
        """
        current_call().need(Permission.KNOWLEDGE_BASES_READ)
        if not query or len(query.encode()) > MOST_QUERY_BYTES:
            raise ExpressionFailed("search.query", f"it has no text, or more than {MOST_QUERY_BYTES} bytes")
        found = await self._passages.find(action.base_ids, query, action.top_k)
        return _kept("search", {"results": [_result(one) for one in found]})


def _values(field: str, given: Sequence[Any]) -> tuple[Mapping[str, Any], bytes]:
    """The values of a prompt's variables, which may be none, and these as JSON. Raises ExpressionFailed."""
    values = given[0] if given else {}
    if not isinstance(values, dict):
        raise ExpressionFailed(field, "it is no object")
    return values, orjson.dumps(values, option=orjson.OPT_SORT_KEYS)


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
