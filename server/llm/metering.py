"""What an answer uses, where its provider does not count, and how long it may get."""

from __future__ import annotations

from collections.abc import Sequence

from server.llm.port import ChatChunk, ChatRequest, ModelResponseInvalid, Usage

BYTES_PER_TOKEN = 4
"""What a token is taken to be where the provider does not count: about four bytes of English."""

_MOST_ANSWER_CHARACTERS = 16 * 1_048_576


class AnswerMeter:
    """Counts for a provider that does not, and holds one that does not stop to what it was asked for."""

    def __init__(self, request: ChatRequest) -> None:
        self._most = request.max_tokens
        self._prompt = sum(len(message.text.encode()) for message in request.messages) // BYTES_PER_TOKEN + 1
        self._parts = 0
        self._characters = 0
        self._bytes = 0
        self._told = False
        self.finished = False

    def counted(self, chunks: list[ChatChunk]) -> list[ChatChunk]:
        """The chunks, the last of them with an estimate where the provider has told nothing yet.

        Raises ModelResponseInvalid for an answer of more parts than tokens were asked for, or of absurd size: it would
        not end.
        """
        for chunk in chunks:
            self._parts += bool(chunk.size)
            self._characters += chunk.size
            self._told = self._told or chunk.usage is not None
            if not self._told:
                self._bytes += sum(len(text.encode()) for text in chunk.texts)
            self.finished = self.finished or chunk.finish_reason is not None
        if self._parts > self._most + 1 or self._characters > _MOST_ANSWER_CHARACTERS:
            raise ModelResponseInvalid
        if self._told:
            return chunks
        last = chunks[-1]
        # A part may be a token or a sentence of them.
        usage = Usage(self._prompt, max(self._parts, self._bytes // BYTES_PER_TOKEN), estimated=True)
        # Not by `replace`, which looks at all fields anew: a tenth of a chunk's way.
        return [*chunks[:-1], ChatChunk(last.text, last.finish_reason, usage, last.tool_calls)]


def estimated(texts: Sequence[str]) -> Usage:
    """What reading these texts uses, about."""
    return Usage(sum(len(text.encode()) // BYTES_PER_TOKEN + 1 for text in texts), estimated=True)
