"""Prompts and answers, of tenants that keep them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import insert as upsert

from server.db.database import Tx
from server.db.removal import removal
from server.db.statements import Statement
from server.llm.port import Message, ToolCall
from server.model.tables import call_contents
from server.model.usage_tables import model_call_logs

_ADD = Statement(
    upsert(call_contents)
    .values({name: bindparam(name) for name in ("tenant_id", "call_log_id", "messages", "answer")})
    .on_conflict_do_nothing()
)
_GET = Statement(
    select(call_contents.c.messages, call_contents.c.answer).where(
        call_contents.c.call_log_id == bindparam("call_log_id")
    )
)
_REMOVE_ALL = Statement(
    delete(call_contents)
    .where(
        call_contents.c.call_log_id.in_(
            select(model_call_logs.c.id).where(model_call_logs.c.user_id == bindparam("user_id"))
        )
    )
    .returning(call_contents.c.call_log_id)
)
_life = func.make_interval(0, 0, 0, bindparam("days", type_=Integer))
EXPIRED = removal(call_contents, call_contents.c.created_at, func.now() - _life)
"""Removes what has been kept for `days`."""


async def add(tx: Tx, call_log_id: UUID, messages: Sequence[Message], answer: Message) -> None:
    """Keeps them, once however often it is done."""
    plain = [asdict(message) for message in messages]
    await tx.execute(_ADD, tenant_id=tx.tenant_id, call_log_id=call_log_id, messages=plain, answer=asdict(answer))


async def remove_all(tx: Tx, user_id: UUID) -> int:
    """Removes what is kept of the user's calls; of how many there was something."""
    return len(await tx.fetch(_REMOVE_ALL, user_id=user_id))


async def get(tx: Tx, call_log_id: UUID) -> tuple[list[Message], Message | None] | None:
    """What was asked and answered; None where it is not kept."""
    row = await tx.fetchrow(_GET, call_log_id=call_log_id)
    if row is None:
        return None
    answer = row["answer"]
    return [_message(message) for message in row["messages"]], None if answer is None else _message(answer)


def _message(value: dict[str, Any]) -> Message:
    calls = [ToolCall(**call) for call in value["tool_calls"]]
    return Message(value["role"], value["content"], calls, value["tool_call_id"])
