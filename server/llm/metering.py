"""What an answer uses, where its provider does not count, and how long it may get."""

from __future__ import annotations

from collections.abc import Sequence

from server.llm.port import ChatChunk, ChatRequest, ModelAnswerTooLong, Usage, length

BYTES_PER_TOKEN = 4
"""What a token is taken to be where the provider does not count: about four bytes of English."""

_MOST_ANSWER_BYTES = 16 * 1_048_576

_MOST_TOKEN_BYTES = 16
"""More than the tokens of any text have on the average; a single one, of blanks for instance, may have more."""

_HOLLOW_BYTES = 1_048_576
_HOLLOW_TOKEN_BYTES = 1024
"""Of what a provider sends without writing anything: signs of life, and an event for each token that it holds back."""

_THOUGHT_BYTES = 65_536
"""What thoughts that are shown may take beside as much as an answer: some providers hold them to nothing."""

_SPARE_TOKENS = 16
"""What is let pass beyond what was asked for: some providers count the end of an answer, and the like."""


class AnswerMeter:
    """Counts for a provider that does not, and holds one that does not stop to what it was asked for.

    `begun`: something came. `finished`: the provider has said why it ended. `failure`: the answer goes on beyond
    what was asked for, and nothing more of it is to be read.
    """

    def __init__(self, request: ChatRequest) -> None:
        self._asked_for = request.max_tokens
        self._most_tokens = request.max_tokens + _SPARE_TOKENS
        self._prompt = about(request)
        self._parts = 0
        self._bytes = 0
        self._counted = 0
        self._uncounted = 0
        self._thought = 0
        self._ids = 0
        self._told: Usage | None = None
        self.begun = False
        self.finished = False
        self.failure: ModelAnswerTooLong | None = None

    def counted(self, chunks: list[ChatChunk]) -> list[ChatChunk]:
        """The chunks, the last of them with an estimate of what the provider has not told yet.

        Of an answer of more tokens than were asked for, as its provider counts them while it writes or, where it does
        not, as many as its bytes make at least, there is what it used alone: it would not end. How many parts it comes
        in says nothing, some send each character by itself; but a part of a tool's call with nothing in it is a token.
        """
        self.begun = True
        for chunk in chunks:
            size = chunk.size
            if calls := chunk.tool_calls:
                self._parts += len(calls)
                self._uncounted += _MOST_TOKEN_BYTES * sum(not (call.name or call.arguments) for call in calls)
                self._ids += sum(length(call.id) for call in calls)
            else:
                self._parts += bool(size)
            self._bytes += size
            self._uncounted += size
            self._thought += chunk.thought
            if chunk.usage is not None:
                self._tell(chunk.usage)
            self.finished = self.finished or chunk.finish_reason is not None
        if self._too_long():
            self.failure = ModelAnswerTooLong()
            return [ChatChunk(usage=self._used())]
        if (used := self._used()) is self._told:
            return chunks
        last = chunks[-1]
        # Not by `replace`, which looks at all fields anew: a tenth of a chunk's way.
        return [
            *chunks[:-1],
            ChatChunk(last.text, last.finish_reason, used, last.tool_calls, last.thought),
        ]

    def check_hollow(self, size: int) -> None:
        """Raises ModelAnswerTooLong where so many bytes that wrote nothing are more than a model would send."""
        if size > _HOLLOW_BYTES + self._most_tokens * _HOLLOW_TOKEN_BYTES:
            raise ModelAnswerTooLong

    def _tell(self, usage: Usage) -> None:
        """Takes the provider's count, which holds for the bytes that have come. One that stands still counts nothing,
        and one beyond what was asked for may count thoughts.
        """
        self._told = usage
        if usage.estimated:  # by whoever read the answer, from the same bytes
            return
        if self._counted < (shown := usage.completion_tokens - usage.reasoning_tokens) <= self._most_tokens:
            self._counted, self._uncounted = shown, 0

    def _too_long(self) -> bool:
        # What is told when all is over is what was used. Thoughts count in it, which some are not held to.
        shown = 0 if self._told is None else self._told.completion_tokens - self._told.reasoning_tokens
        told = not self.finished and shown > self._most_tokens
        beyond = self._uncounted > (self._most_tokens - self._counted) * _MOST_TOKEN_BYTES
        thinks_on = self._thought > _THOUGHT_BYTES + self._most_tokens * _MOST_TOKEN_BYTES
        everything = self._bytes + self._thought + self._ids
        return (told and bool(self._bytes)) or beyond or thinks_on or everything > _MOST_ANSWER_BYTES

    def _used(self) -> Usage:
        """What is told, and an estimate of the rest: some tell noughts until the end, or have nothing else to tell."""
        told = self._told
        if told is None:
            return self._estimate()
        if told.prompt_tokens and (told.completion_tokens or not (self._bytes or self._thought)):
            return told
        guess = self._estimate()
        return Usage(
            told.prompt_tokens or guess.prompt_tokens,
            told.completion_tokens or guess.completion_tokens,
            told.cached_tokens,
            told.reasoning_tokens,
            estimated=True,
        )

    def _estimate(self) -> Usage:
        # A part may be a token or a sentence of them. Nobody is billed by a guess for more than may be written.
        written = max(self._parts, (self._bytes + self._thought) // BYTES_PER_TOKEN)
        return Usage(self._prompt, min(written, self._asked_for), estimated=True)


def about(request: ChatRequest) -> int:
    """The tokens that reading the conversation takes, about."""
    return sum(length(message.text) for message in request.messages) // BYTES_PER_TOKEN + 1


def estimated(texts: Sequence[str]) -> Usage:
    """What reading these texts uses, about."""
    return Usage(sum(length(text) // BYTES_PER_TOKEN + 1 for text in texts), estimated=True)
