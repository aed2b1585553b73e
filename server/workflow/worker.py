"""What processes of their own do for workflows: all that computes what a tenant wrote.

A server names it, and loads nothing of what it takes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from server.workflow.definition import AgentRun, Approval, Chat, Definition, Problem, Search, Step, Transform

_UNNAMED = re.compile(r"""\bsteps\b(?!\s*(?:\.\s*\w|\[\s*(?:"\w+"|'\w+')\s*\]))""")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Source:
    """What is computed. `field`: where it stands; `text`: whether it is a text with expressions, and not one itself."""

    field: str
    source: str
    text: bool = False


def asked(step: Step) -> list[Source]:
    """What the step's action is given."""
    match step.action:
        case Chat(messages=messages, prompt=prompt):
            given = [
                Source(f"chat.messages[{place}].content", one.content, text=True) for place, one in enumerate(messages)
            ]
            return [*given, Source("chat.prompt.variables", prompt.variables)] if prompt and prompt.variables else given
        case AgentRun(message=message, variables=variables):
            given = [Source("agent.message", message, text=True)]
            return [*given, Source("agent.variables", variables)] if variables else given
        case Search(query=query):
            return [Source("search.query", query, text=True)]
        case Transform(value=value):
            return [Source("transform.value", value)]
        case Approval(message=message, value=value):
            given = [Source("approval.message", message, text=True)]
            return [*given, Source("approval.value", value)] if value else given
    return []


def read_by(step: Step, steps: set[str], *, of_item: bool) -> set[str]:
    """Those of these steps whose outputs what is computed for the step may read, and more at times: what strings say
    counts too. `of_item`: for one of its items, for which its conditions are not asked again.
    """
    sources = [one.source for one in asked(step)] + ([] if of_item else [step.when, step.for_each])
    return {name for source in sources if "steps" in source for name in _spoken_of(source, steps)}


def _spoken_of(source: str, steps: set[str]) -> set[str]:
    return steps if _UNNAMED.search(source) else steps.intersection(_WORD.findall(source))


def problems(definition: Definition) -> list[Problem]:
    """All that is wrong with a definition."""
    from server.workflow import expressions

    return expressions.problems(definition)


def computed(sources: Sequence[Source], known: Mapping[str, Any]) -> list[Any]:
    """What each comes to, as JSON has it. `known`: what expressions may name. Raises ExpressionFailed."""
    from server.workflow import expressions

    return expressions.computed(sources, known)
