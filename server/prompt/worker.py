"""What processes of their own do for prompts: all that may take more than a few milliseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from server.prompt.diff import unified
from server.prompt.rendering import Prepared, Renderer
from server.prompt.variables import Variable, bind, check_declared


@cache
def _renderer() -> Renderer:
    return Renderer()


def prepared(sources: Sequence[str]) -> list[Prepared]:
    """Each source, read and compiled. Raises PromptSyntaxInvalid."""
    return [_renderer().prepare(source) for source in sources]


def checked(sources: Mapping[str, str], variables: Sequence[Variable]) -> list[Prepared]:
    """The same for a version that is to be made; `sources`: by the fields that they stand in.

    Raises PromptSyntaxInvalid, PromptVariablesInvalid.
    """
    check_declared(variables)
    for field, source in sources.items():
        _renderer().check(source, variables, field)
    return prepared(list(sources.values()))


def rendered(
    sources: Mapping[str, str], variables: Sequence[Variable], values: Mapping[str, Any], includes: Mapping[str, str]
) -> list[str]:
    """The text of each source. Raises as `bind` and `Renderer.render_all` do."""
    return _renderer().render_all(sources, bind(variables, values), includes)


def differences(pairs: Sequence[tuple[str, str]], old_name: str, new_name: str) -> list[str]:
    """The difference of each pair, as a unified diff."""
    return [unified(old, new, old_name, new_name) for old, new in pairs]
