"""The processes that documents are read in."""

from __future__ import annotations

from server.knowledge.errors import DocumentsBusy, DocumentTooHeavy
from server.offload.workers import Workers

_MOST_SECONDS = 120.0
"""The most text that is read, 50 million Chinese characters, took 52 s on one core."""

_MOST_SECONDS_OF_A_QUESTION = 10.0
_MOST_MEMORY = 2 << 30
"""The same took 0.9 GiB. Some documents that are made to do harm would take all there is."""

_MOST_WAITING = 16_384
_MOST_OF_A_TENANT = 4_096
_RETRY_SECONDS = 5.0


def document_workers(parallel: int, seconds: float = _MOST_SECONDS, memory: int = _MOST_MEMORY) -> Workers:
    """So many processes. `seconds`, `memory`: what one document may take, in bytes the latter.

    Work in them raises DocumentsBusy, and DocumentTooHeavy where it takes more or makes its process end.
    """
    return Workers(
        parallel,
        busy=_busy,
        too_long=DocumentTooHeavy,
        lost=DocumentTooHeavy,
        imports=["server.knowledge.reading"],
        seconds=seconds,
        memory=memory,
        most_waiting=_MOST_WAITING,
        most_of_a_tenant=_MOST_OF_A_TENANT,
    )


def question_workers() -> Workers:
    """A process for the words of questions that take a dictionary: where calls are served there is none, and to load it
    would hold up all of them. It waits behind no document.
    """
    return document_workers(parallel=1, seconds=_MOST_SECONDS_OF_A_QUESTION)


def _busy() -> DocumentsBusy:
    return DocumentsBusy("documents read at once", _RETRY_SECONDS)
