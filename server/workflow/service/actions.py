"""What steps do beside computing: models asked, and knowledge bases searched."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import orjson

from server.kernel.errors import PermissionMissing
from server.kernel.permissions import Permission
from server.kernel.principal import current_call
from server.workflow.definition import Chat, Search
from server.workflow.errors import AnswerNotJson, ExpressionFailed
from server.workflow.limits import problem
from server.workflow.ports import Answers, Passage, Passages


class Actions:
    """Does what takes others, for the running call's caller."""

    def __init__(self, answers: Answers, passages: Passages) -> None:
        self._answers = answers
        self._passages = passages

    async def chat(self, action: Chat, contents: Sequence[str]) -> dict[str, Any]:
        """The answer. Raises PermissionMissing, AnswerNotJson, and what is wrong with the call or fails the model."""
        _check(Permission.MODELS_EXECUTE)
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
        text = _whole("".join(written))
        output: dict[str, Any] = {"text": text, "finish_reason": answered.finish_reason}
        return _kept("chat", {**output, "value": _json(text)} if action.json else output)

    async def search(self, action: Search, query: str) -> dict[str, Any]:
        """What is found. Raises PermissionMissing, and what is wrong with the bases or fails the model."""
        _check(Permission.KNOWLEDGE_BASES_READ)
        found = await self._passages.find(action.base_ids, query, action.top_k)
        return _kept("search", {"results": [_result(one) for one in found]})


def _check(permission: Permission) -> None:
    """Raises PermissionMissing where who started the execution lost it."""
    if permission not in current_call().caller.permissions:
        raise PermissionMissing(permission=permission)


def _whole(text: str) -> str:
    """Providers may send half a character; where the other half does not follow, it is the sign for what is none."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _json(text: str) -> Any:
    """Models like to put it between fences. Raises AnswerNotJson."""
    bare = text.strip()
    if bare.startswith("```") and bare.endswith("```"):
        bare = bare[3:-3].removeprefix("json").strip()
    try:
        return orjson.loads(bare)
    except orjson.JSONDecodeError:
        raise AnswerNotJson from None


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
