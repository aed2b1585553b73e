"""What can be wrong with a prompt's text, its variables and the values that it is rendered with."""

from __future__ import annotations

from collections.abc import Sequence

from server.kernel.errors import DeadlineExceeded, InvalidArgument, ResourceExhausted


class PromptVariablesInvalid(InvalidArgument):
    """The prompt's variables, or the values given for them, do not fit."""


class PromptSyntaxInvalid(InvalidArgument):
    """The prompt is not a template that can be rendered."""

    def __init__(self, problem: str, field: str = "text") -> None:
        super().__init__([(field, problem)])


class PromptRenderFailed(InvalidArgument):
    """The prompt cannot be rendered with these values."""

    def __init__(self, problem: str, field: str = "text") -> None:
        super().__init__([(field, problem)])


class PromptIncludeUnknown(InvalidArgument):
    """The prompt includes {reference}, which is not there for everyone who sees the prompt."""

    def __init__(self, reference: str, field: str = "text") -> None:
        problem = f"includes {reference}, which is not there for everyone who sees the prompt"
        super().__init__([(field, problem)], reference=reference)


class PromptIncludeCycle(InvalidArgument):
    """The prompt includes itself: {chain}."""

    def __init__(self, chain: Sequence[str], field: str = "text") -> None:
        joined = " -> ".join(chain)
        super().__init__([(field, f"includes itself: {joined}")], chain=joined)


class PromptsBusy(ResourceExhausted):
    """As much work on prompts is under way as the server takes at once: try again shortly."""


class PromptWorkTooLong(DeadlineExceeded):
    """The work on the prompt took longer than the server allows."""
