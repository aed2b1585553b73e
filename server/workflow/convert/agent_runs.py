"""Runs of agents, as the API has them."""

from __future__ import annotations

from uuid import UUID

from atrium.workflow.v1 import agent_run_pb2 as pb
from server import chats
from server.rpc.wire import plain_struct, reason, retry_delay, value_of
from server.workflow.ports import Passage
from server.workflow.runs import Ended, Run, RunEvent, Searched


def asked(request: pb.RunAgentRequest) -> Run:
    return Run(
        UUID(request.agent_id),
        [chats.message(one) for one in request.messages],
        plain_struct(request.variables),
        request.variables.SerializeToString(deterministic=True),
        request.user_key,
    )


def event(seq: int, value: RunEvent) -> pb.RunAgentResponse:
    match value:
        case None:
            return pb.RunAgentResponse(seq=seq, heartbeat={})
        case str():
            return pb.RunAgentResponse(seq=seq, delta={"text": value})
        case Searched(query, passages):
            sources = [_source(passage) for passage in passages]
            return pb.RunAgentResponse(seq=seq, searched=pb.RunAgentResponse.Searched(query=query, sources=sources))
        case Ended():
            return pb.RunAgentResponse(seq=seq, ended=_ended(value))
    turn = pb.RunAgentResponse.Turn(
        call_log_id=str(value.call_log_id),
        finish_reason=chats.finish_reason(value.finish_reason),
        usage=chats.usage([(value, value.cost)]),
    )
    return pb.RunAgentResponse(seq=seq, turn=turn)


def _source(passage: Passage) -> pb.RunAgentResponse.Source:
    return pb.RunAgentResponse.Source(
        chunk_id=str(passage.chunk_id),
        document_id=str(passage.document_id),
        document_title=passage.document_title,
        content=passage.content,
        page=passage.page,
        heading=passage.heading or "",
        score=passage.score,
    )


def _ended(value: Ended) -> pb.RunAgentResponse.Ended:
    error = value.error
    return pb.RunAgentResponse.Ended(
        finish_reason=chats.finish_reason(value.finish_reason),
        messages=[chats.chat_message(message) for message in value.messages],
        tool_calls=[chats.tool_call(call) for call in value.tool_calls],
        output=value_of(value.output) if value.is_json else None,
        usage=chats.usage((turn, turn.cost) for turn in value.turns),
        error_reason=reason(None if error is None else error.reason),
        error_message="" if error is None else error.message,
        retry_delay=None if error is None else retry_delay(error),
    )
