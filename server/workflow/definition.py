"""What a workflow does: steps, what each needs, and whether that can be run at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any, Literal, TypeAlias
from uuid import UUID

Role = Literal["system", "user", "assistant"]
OnFailure = Literal["fail", "continue"]
Problem = tuple[str, str]
"""Where something is wrong, such as `steps[2].when`, and what."""

MOST_ITEMS = 1_000
"""Of a list that a step is run for each of."""

MOST_BYTES = 262_144
"""Of a definition, of what an execution is given, and of what one step comes to, as JSON."""

RESULT = "_output"
"""The step that every definition with an `output` ends with. No other has a name like it."""


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One turn of a conversation. `content`: a text with expressions."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a conversation begins with. `version`, `label`: both empty: the template's newest version; `variables`: an
    expression, empty: it has none.
    """

    template_id: str
    version: str = ""
    label: str = ""
    variables: str = ""


@dataclass(frozen=True, slots=True)
class Chat:
    """A model is asked. `json`: the answer has to be some. What is None or empty is left open."""

    messages: Sequence[ChatMessage]
    model: str = ""
    temperature: float | None = None
    max_tokens: int | None = None
    json: bool = False
    prompt: Prompt | None = None


@dataclass(frozen=True, slots=True)
class AgentRun:
    """An agent answers. `message`: a text with expressions; `variables`: an expression, empty: its prompt has none."""

    agent_id: str
    message: str
    variables: str = ""


@dataclass(frozen=True, slots=True)
class Search:
    """Knowledge bases are searched. `query`: a text with expressions."""

    knowledge_base_ids: Sequence[str]
    query: str
    top_k: int | None = None

    @property
    def base_ids(self) -> list[UUID]:
        return [UUID(one) for one in self.knowledge_base_ids]


@dataclass(frozen=True, slots=True)
class Transform:
    """A value is computed. `value`: an expression."""

    value: str


@dataclass(frozen=True, slots=True)
class Approval:
    """Somebody decides. `message`: a text with expressions; `value`: an expression, empty: there is none."""

    message: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class Wait:
    """Time passes."""

    seconds: float


Action: TypeAlias = Chat | AgentRun | Search | Transform | Approval | Wait

ACTIONS: Mapping[str, type[Any]] = {
    "chat": Chat,
    "agent": AgentRun,
    "search": Search,
    "transform": Transform,
    "approval": Approval,
    "wait": Wait,
}
_KINDS = {kind: name for name, kind in ACTIONS.items()}


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a step is tried, and how many seconds after the first failure; each time twice as long."""

    max_attempts: int = 5
    seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `when`, `for_each`: expressions, empty: always, and once. `timeout`: seconds of one try, or of waiting
    for somebody; None: any.
    """

    id: str
    action: Action
    needs: Sequence[str] = ()
    when: str = ""
    for_each: str = ""
    retry: Retry = field(default_factory=Retry)
    timeout: float | None = None
    on_failure: OnFailure = "fail"

    @property
    def kind(self) -> str:
        """What it does, in a word."""
        return _KINDS[type(self.action)]


@dataclass(frozen=True, slots=True)
class Definition:
    """Steps by what they need. `output`: an expression over all of them; empty: what those come to that no other
    needs.
    """

    steps: Sequence[Step]
    output: str = ""

    @property
    def run(self) -> Sequence[Step]:
        """The steps as they are executed: with the one that makes the output, where there is one."""
        if not self.output:
            return self.steps
        return [*self.steps, Step(RESULT, Transform(self.output), self.leaves)]

    @property
    def leaves(self) -> list[str]:
        """The steps that no other needs."""
        needed = {need for step in self.steps for need in step.needs}
        return [step.id for step in self.steps if step.id not in needed]

    def step(self, step_id: str) -> Step:
        return next(step for step in self.run if step.id == step_id)

    def before(self, step_id: str) -> set[str]:
        """The steps that must have ended before that one."""
        needs = {step.id: step.needs for step in self.run}
        found: set[str] = set()
        left = list(needs[step_id])
        while left:
            name = left.pop()
            if name not in found:
                found.add(name)
                left.extend(needs.get(name, ()))  # of a definition that is wrong, there may be no such step
        return found

    def order(self) -> list[str]:
        """The steps, each after what it needs. Raises CycleError."""
        return list(TopologicalSorter({step.id: step.needs for step in self.steps}).static_order())

    def problems(self) -> Iterator[Problem]:
        """What is wrong with the steps' names and needs."""
        names = [step.id for step in self.steps]
        for place, step in enumerate(self.steps):
            if step.id in names[:place]:
                yield f"steps[{place}].id", f"another step is called {step.id}"
            for number, need in enumerate(step.needs):
                if need not in names:
                    yield f"steps[{place}].needs[{number}]", f"there is no step {need}"
        try:
            self.order()
        except CycleError as error:
            yield "steps", f"they need each other in a circle: {' -> '.join(reversed(error.args[1]))}"


def values(definition: Definition) -> dict[str, Any]:
    """As it is kept."""
    return {"steps": [_step_values(step) for step in definition.steps], "output": definition.output}


def _step_values(step: Step) -> dict[str, Any]:
    made = asdict(step)
    action = made[step.kind] = made.pop("action")
    if isinstance(step.action, Chat) and step.action.prompt is None:  # servers of versions before know of none
        del action["prompt"]
    return made


def read(kept: Mapping[str, Any]) -> Definition:
    """What was kept as `values` gives it."""
    return Definition([_step(one) for one in kept["steps"]], kept["output"])


def _step(kept: Mapping[str, Any]) -> Step:
    given = dict(kept)
    kind = next(name for name in ACTIONS if name in given)
    said = dict(given.pop(kind))
    if kind == "chat":
        said["messages"] = [ChatMessage(**one) for one in said["messages"]]
        said["prompt"] = Prompt(**said["prompt"]) if "prompt" in said else None
    return Step(action=ACTIONS[kind](**said), **{**given, "retry": Retry(**given["retry"])})
