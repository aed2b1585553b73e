"""Prompt templates into text: Jinja's sandbox, with a budget around everything that it does."""

from __future__ import annotations

import hashlib
import marshal
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import CodeType
from typing import Any

from jinja2 import Template, TemplateError, UndefinedError
from jinja2.meta import find_undeclared_variables
from jinja2.nodes import Name
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from server.prompt import grammar
from server.prompt.budget import MAX_STEPS, Missing, Refused, Run, RunContext, Unfinished
from server.prompt.errors import PromptRenderFailed, PromptSyntaxInvalid, PromptVariablesInvalid
from server.prompt.filters import FILTERS, TESTS, member
from server.prompt.grammar import Malformed, Parsed
from server.prompt.operations import AS_FILTERS, arithmetic, joined, sign
from server.prompt.variables import Variable

MAX_CACHED_STEPS = 200_000
"""What the cached templates may cost together, by `Parsed.steps`, which their memory goes with."""

MAX_STEPS_AT_ONCE = 500
"""What a rendering may take where calls are served: a step is some ten microseconds at worst."""

_CACHED_AT_LEAST = 100
_LONGEST_PROBLEM = 300


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja's sandbox with the short list of filters and tests, no globals, and no attribute but an object's keys."""

    intercepted_binops = frozenset(ImmutableSandboxedEnvironment.default_binop_table)
    intercepted_unops = frozenset(ImmutableSandboxedEnvironment.default_unop_table)
    context_class = RunContext
    concat = staticmethod(joined)

    def __init__(self) -> None:
        # Not optimized: constants would be worked out while compiling, where there is no budget.
        super().__init__(undefined=Missing, autoescape=False, optimized=False, keep_trailing_newline=True, cache_size=0)
        self.filters = FILTERS | AS_FILTERS
        self.tests = dict(TESTS)
        self.globals = {}

    def getattr(self, obj: Any, attribute: str) -> Any:
        return member(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        return member(obj, argument)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        assert isinstance(context, RunContext)
        return arithmetic(context.run, operator, left, right)

    def call_unop(self, context: Context, operator: str, arg: Any) -> Any:
        assert isinstance(context, RunContext)
        return sign(context.run, operator, arg)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A source that was read and compiled. `references`: what it includes, each once, in order. `steps`: what a run of
    it costs at least. `code`: for this interpreter, in another of its processes too.
    """

    references: tuple[str, ...]
    steps: int
    code: bytes


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A template that can run."""

    template: Template
    references: tuple[str, ...]
    steps: int


class Unread(Exception):
    """A source that is to be rendered at once was not prepared, or so long ago that it is forgotten."""


class Renderer:
    """Renders prompts and keeps what was compiled.

    Preparing never waits but may work for a part of a second, and so may a rendering that uses up its budget;
    `render_at_once` takes milliseconds at most.
    """

    def __init__(self, max_cached_steps: int = MAX_CACHED_STEPS) -> None:
        self._environment = _Environment()
        self._cache: OrderedDict[bytes, _Compiled] = OrderedDict()
        self._cached_steps = 0
        self._max_cached_steps = max_cached_steps

    def prepare(self, source: str) -> Prepared:
        """Reads and compiles. Raises PromptSyntaxInvalid."""
        try:
            return _prepared(self._environment, source)
        except Malformed as error:
            raise PromptSyntaxInvalid(str(error)) from None

    def learn(self, source: str, prepared: Prepared) -> None:
        """Keeps what the source was compiled to, as `prepare` gave it here or in another process of this server."""
        self._learn(_key(source), prepared)

    def references(self, source: str) -> Sequence[str] | None:
        """What the source itself includes, each once, in order; None: it is not known."""
        known = self._known(_key(source))
        return None if known is None else known.references

    def check(self, source: str, variables: Sequence[Variable], field: str = "text") -> None:
        """Raises PromptSyntaxInvalid for what is no template, and PromptVariablesInvalid with every name that it uses
        and that is not among the variables. What it includes is not looked at.
        """
        try:
            parsed = grammar.parse(self._environment, source)
            _code(self._environment, parsed)
        except Malformed as error:
            raise PromptSyntaxInvalid(str(error), field) from None
        unknown = find_undeclared_variables(parsed.tree) - {variable.name for variable in variables}
        if unknown:
            lines: dict[str, int] = {}
            for name in parsed.tree.find_all(Name):
                lines.setdefault(name.name, name.lineno)
            raise PromptVariablesInvalid(
                [
                    (field, f"line {lines[name]}: {name} is not declared as a variable")
                    for name in sorted(unknown, key=lambda name: (lines[name], name))
                ]
            )

    def render(self, source: str, values: Mapping[str, Any], includes: Mapping[str, str]) -> str:
        """The text of one source. Raises as `render_all` does."""
        return self.render_all({"text": source}, values, includes)[0]

    def render_all(
        self, sources: Mapping[str, str], values: Mapping[str, Any], includes: Mapping[str, str]
    ) -> list[str]:
        """The text of each source, all of them within one rendering's budget. `sources`: by the fields that they stand
        in. `includes`: sources by the references that templates include them by.

        Raises PromptSyntaxInvalid, PromptRenderFailed, PromptIncludeCycle.
        """
        return self._render(sources, values, includes, MAX_STEPS)

    def render_at_once(
        self, sources: Mapping[str, str], values: Mapping[str, Any], includes: Mapping[str, str]
    ) -> list[str] | None:
        """The same where it takes no more than MAX_STEPS_AT_ONCE; None: it takes more. Raises Unread, and as
        `render_all` does.
        """
        try:
            return self._render(sources, values, includes, MAX_STEPS_AT_ONCE)
        except Unfinished:
            return None

    def _render(
        self, sources: Mapping[str, str], values: Mapping[str, Any], includes: Mapping[str, str], most: int
    ) -> list[str]:
        texts: list[str] = []
        field, run = next(iter(sources), "text"), None
        try:
            run = Run(values, includes, lambda source: self._text(source, run, most), most)
            for at, source in sources.items():
                field = at
                run.begin(source)
                texts.append(self._text(source, run, most))
        except Malformed as error:
            raise PromptSyntaxInvalid(_where(run, str(error)), field) from None
        except (
            Refused,
            TemplateError,
            ArithmeticError,
            AttributeError,
            LookupError,
            MemoryError,
            RuntimeError,
            TypeError,
            ValueError,
        ) as error:
            line = _line(error)
            problem = _problem(error)[:_LONGEST_PROBLEM]
            raise PromptRenderFailed(_where(run, f"line {line}: {problem}" if line else problem), field) from None
        return texts

    def _text(self, source: str, run: Run | None, most: int) -> str:
        assert run is not None
        run.weigh(source)
        key = _key(source)
        compiled = self._known(key)
        if compiled is None:
            if most < MAX_STEPS:
                raise Unread
            compiled = self._learn(key, _prepared(self._environment, source))
        run.spend(compiled.steps)
        context = RunContext(self._environment, dict(run.values), None, {})
        context.run = run
        pieces = compiled.template.root_render_func(context)
        # What is rendered was counted as it was written, and what is included was not.
        return joined(pieces) if run.chain else "".join(pieces)

    def _known(self, key: bytes) -> _Compiled | None:
        known = self._cache.get(key)
        if known is not None:
            self._cache.move_to_end(key)
        return known

    def _learn(self, key: bytes, prepared: Prepared) -> _Compiled:
        template = Template.from_code(self._environment, marshal.loads(prepared.code), {}, None)  # noqa: S302 - our own
        made = _Compiled(template, prepared.references, prepared.steps)
        if key not in self._cache:
            self._cache[key] = made
            self._cached_steps += made.steps + _CACHED_AT_LEAST
            while self._cached_steps > self._max_cached_steps:
                _, dropped = self._cache.popitem(last=False)
                self._cached_steps -= dropped.steps + _CACHED_AT_LEAST
        return made


def _key(source: str) -> bytes:
    return hashlib.sha256(source.encode(errors="surrogatepass")).digest()


def _prepared(environment: _Environment, source: str) -> Prepared:
    """Raises Malformed."""
    parsed = grammar.parse(environment, source)
    return Prepared(parsed.references, parsed.steps, marshal.dumps(_code(environment, parsed)))


def _code(environment: _Environment, parsed: Parsed) -> CodeType:
    """Raises Malformed."""
    try:
        return environment.compile(parsed.tree)
    except TemplateError as error:
        raise Malformed(getattr(error, "lineno", 1), error.message or "is not a template") from None
    except (SyntaxError, RecursionError, MemoryError, ValueError, OverflowError):
        raise Malformed(1, "is nested too deeply") from None


def _problem(error: Exception) -> str:
    match error:
        case Refused() | UndefinedError():
            return str(error)
        case ZeroDivisionError():
            return "divides by zero"
        case OverflowError():
            return "makes a number that is out of range"
        case RecursionError() | MemoryError():
            return "is too large to be rendered"
    # What Python says of it names what is none of the author's business.
    return "uses a value of another kind than this needs"


def _line(error: BaseException) -> int | None:
    """The line of the innermost template that was running."""
    line = None
    at = error.__traceback__
    while at is not None:
        template = at.tb_frame.f_globals.get("__jinja_template__")
        if template is not None:
            line = template.get_corresponding_lineno(at.tb_lineno)
        at = at.tb_next
    return line


def _where(run: Run | None, problem: str) -> str:
    return f"in {' -> '.join(run.chain)}, {problem}" if run is not None and run.chain else problem
