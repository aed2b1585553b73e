"""What can be wrong with a prompt's text, its variables and the values that it is rendered with."""

from __future__ import annotations

from collections.abc import Sequence

from server.kernel.errors import InvalidArgument


class PromptVariablesInvalid(InvalidArgument):
    """The prompt's variables, or the values given for them, do not fit."""


class PromptSyntaxInvalid(InvalidArgument):
    """The prompt is not a template that can be rendered."""

    def __init__(self, problem: str, field: str = "content") -> None:
        super().__init__([(field, problem)])


class PromptRenderFailed(InvalidArgument):
    """The prompt cannot be rendered with these values."""

    def __init__(self, problem: str, field: str = "content") -> None:
        super().__init__([(field, problem)])


class PromptIncludeCycle(InvalidArgument):
    """The prompt includes itself: {chain}."""

    def __init__(self, chain: Sequence[str], field: str = "content") -> None:
        joined = " -> ".join(chain)
        super().__init__([(field, f"includes itself: {joined}")], chain=joined)
