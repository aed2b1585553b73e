"""The processes that expressions are computed in."""

from __future__ import annotations

from server.offload.workers import Workers
from server.workflow.errors import ExpressionsBusy, ExpressionTooHeavy

_MOST_SECONDS = 5.0
_MOST_MEMORY = 512 << 20
_RETRY_SECONDS = 1.0


def expression_workers(parallel: int, seconds: float = _MOST_SECONDS) -> Workers:
    """So many processes. `seconds`: what one piece of work may take.

    Work in them raises ExpressionsBusy, and ExpressionTooHeavy where it takes more or makes its process end.
    """
    return Workers(
        parallel,
        busy=_busy,
        too_long=ExpressionTooHeavy,
        lost=ExpressionTooHeavy,
        imports=["server.workflow.expressions"],
        seconds=seconds,
        memory=_MOST_MEMORY,
    )


def _busy() -> ExpressionsBusy:
    return ExpressionsBusy("expressions at once", _RETRY_SECONDS)
