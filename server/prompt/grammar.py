"""What of the template language prompts may use, and what of it is counted.

A parsed template is gone through once: each construct is either known here or refused with its line, and what could
grow or go on is put through one of the `COUNTED` operations, which take the run's budget.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from jinja2 import Environment, TemplateSyntaxError, nodes

from server.prompt.budget import MAX_NUMBER
from server.prompt.filters import FILTERS, TESTS
from server.prompt.operations import COUNTED
from server.prompt.variables import NAME, RESERVED

MAX_SOURCE = 256 * 1024
MAX_TOKENS = 10_000
MAX_BRACKETS = 24
MAX_EXPRESSION_DEPTH = 32
MAX_BLOCK_DEPTH = 16

REFERENCE = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}"
    r"(?:@v[0-9]{1,9}(?:\.[0-9]{1,9}){0,2}|:[A-Za-z0-9][A-Za-z0-9_.-]{0,63})?"
)
"""What an include may name: a template, with a version after @ or a label after : where it is not the default one."""

_NODES_PER_STEP = 8
_LONGEST_PROBLEM = 400
_STRAY = re.compile(r"[\ud800-\udfff]")
"""Half of a character, which no text of UTF-8 has."""

_MARKER = re.compile(r"\{[{%#]")
_TAGS: Mapping[type[nodes.Node], str] = {
    nodes.Macro: "macro",
    nodes.CallBlock: "call",
    nodes.Import: "import",
    nodes.FromImport: "from",
    nodes.Extends: "extends",
    nodes.Block: "block",
}
_NEVER_READ = RESERVED - {"loop", "range"}


class Malformed(Exception):
    """A source that is no template, or uses what prompts may not. Never leaves the slice."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line}: {problem[:_LONGEST_PROBLEM]}")


class Parsed:
    """A template ready to be compiled. `references`: what it includes, each once, in order. `steps`: what a run of it
    costs at least.
    """

    def __init__(self, tree: nodes.Template, references: tuple[str, ...], steps: int) -> None:
        self.tree = tree
        self.references = references
        self.steps = steps


def parse(environment: Environment, source: str) -> Parsed:
    """Raises Malformed."""
    try:
        size = len(source.encode())
    except UnicodeEncodeError:
        raise Malformed(1, "holds a character that is not one") from None
    if size > MAX_SOURCE:
        raise Malformed(1, f"is longer than {MAX_SOURCE // 1024} KiB")
    try:
        if _MARKER.search(source):
            _check_tokens(environment, source)
            tree = environment.parse(source)
        else:
            # The parser would make all ends of lines alike.
            tree = nodes.Template([nodes.Output([nodes.TemplateData(source, lineno=1)], lineno=1)], lineno=1)
        rewriter = _Rewriter()
        rewriter.body(tree.body, depth=0, captured=False)
    except TemplateSyntaxError as error:
        raise Malformed(error.lineno, error.message or "is not a template") from None
    except RecursionError:
        raise Malformed(1, "is nested too deeply") from None
    except (ValueError, OverflowError):
        raise Malformed(1, "holds a number that is out of range") from None
    tree.set_environment(environment)
    return Parsed(tree, tuple(rewriter.references), rewriter.total)


def _check_tokens(environment: Environment, source: str) -> None:
    """Refuses, before the parser works on it, a source that it would work on for long or deeply."""
    open_ = 0
    for count, (line, _, token) in enumerate(environment.lex(source)):
        if count == MAX_TOKENS:
            raise Malformed(line, f"has more than {MAX_TOKENS} parts up to here")
        if token in ("(", "[", "{"):
            open_ += 1
            if open_ > MAX_BRACKETS:
                raise Malformed(line, "is nested too deeply")
        elif token in (")", "]", "}"):
            open_ -= 1


class _Rewriter:
    """Checks and rewrites a tree in place. `total`: nodes so far."""

    def __init__(self) -> None:
        self.references: dict[str, None] = {}
        self.total = 0
        self._in_loops = 0

    def body(self, statements: list[nodes.Node], depth: int, *, captured: bool) -> None:
        """`captured`: what these write becomes a value and not, at once, a part of what is rendered."""
        for index, statement in enumerate(statements):
            if depth > MAX_BLOCK_DEPTH:
                _refuse(statement, "is nested too deeply")
            statements[index] = self._statement(statement, depth + 1, captured=captured)

    def _statement(self, node: nodes.Node, depth: int, *, captured: bool) -> nodes.Node:
        self.total += 1
        match node:
            case nodes.Output():
                node.nodes = [self._piece(piece, captured=captured) for piece in node.nodes]
            case nodes.If():
                node.test = self._expression(node.test)
                self.body(node.body, depth, captured=captured)
                self.body(node.elif_, depth, captured=captured)  # type: ignore[arg-type]
                self.body(node.else_, depth, captured=captured)
            case nodes.For():
                self._loop(node, depth, captured=captured)
            case nodes.Assign():
                self._target(node.target)
                node.node = self._expression(node.node)
            case nodes.AssignBlock():
                self._target(node.target)
                self.body(node.body, depth, captured=True)
                if node.filter is not None:
                    self._filter(node.filter, 0)
            case nodes.FilterBlock():
                self.body(node.body, depth, captured=True)
                self._filter(node.filter, 0)
                node.filter = _counted("capture" if captured else "write", node.filter)
            case nodes.With():
                for target in node.targets:
                    self._target(target)
                node.values = [self._expression(value) for value in node.values]
                self.body(node.body, depth, captured=captured)
            case nodes.Include():
                return nodes.Output([self._include(node, captured=captured)], lineno=node.lineno)
            case nodes.Scope():
                _refuse(node.body[0], "the tag autoescape is not for prompts")
            case _:
                tag = next((tag for kind, tag in _TAGS.items() if isinstance(node, kind)), "here")
                _refuse(node, f"the tag {tag} is not for prompts")
        return node

    def _piece(self, node: nodes.Expr, *, captured: bool) -> nodes.Expr:
        if isinstance(node, nodes.TemplateData):
            self.total += 1
            made: nodes.Expr = nodes.Const(node.data, lineno=node.lineno)
        else:
            made = self._expression(node)
        return _counted("capture" if captured else "write", made)

    def _loop(self, node: nodes.For, depth: int, *, captured: bool) -> None:
        if node.recursive:
            _refuse(node, "a recursive loop is not for prompts")
        self._target(node.target)
        iterated = self._expression(node.iter)
        # The body is paid for with each iteration, loops within it with each of their own.
        before, loops_before = self.total, self._in_loops
        if node.test is not None:
            node.test = self._expression(node.test)
        self.body(node.body, depth, captured=captured)
        inside = self.total - before
        cost = 1 + (inside - (self._in_loops - loops_before)) // _NODES_PER_STEP
        self._in_loops = loops_before + inside
        self.body(node.else_, depth, captured=captured)
        node.iter = _counted("each", iterated, nodes.Const(cost, lineno=node.lineno))

    def _include(self, node: nodes.Include, *, captured: bool) -> nodes.Expr:
        named = node.template
        if not (isinstance(named, nodes.Const) and isinstance(named.value, str) and REFERENCE.fullmatch(named.value)):
            _refuse(node, "an include names a template as a fixed text: name, name@v1.2 or name:label")
        if node.ignore_missing or not node.with_context:
            _refuse(node, "an include has no further words")
        self.references[named.value] = None
        return _counted("capture" if captured else "write", _counted("include", named))

    def _target(self, node: nodes.Node) -> None:
        match node:
            case nodes.Name():
                self._name(node)
                if node.name in RESERVED:
                    _refuse(node, f"{node.name} cannot be set")
            case nodes.Tuple():
                for item in node.items:
                    self._target(item)
            case _:
                _refuse(node, "only a name can be set")

    def _name(self, node: nodes.Name) -> None:
        self.total += 1
        if not NAME.fullmatch(node.name):
            _refuse(node, f"{node.name[:64]} is no name: it must be letters, digits and _, at most 64")
        if node.name in _NEVER_READ:
            _refuse(node, f"{node.name} is not for prompts")

    def _expression(self, node: nodes.Node, depth: int = 0) -> nodes.Expr:
        self.total += 1
        if depth > MAX_EXPRESSION_DEPTH:
            _refuse(node, "is nested too deeply")
        deeper = depth + 1
        match node:
            case nodes.Const():
                _check_constant(node)
            case nodes.Name(ctx="load"):
                self._name(node)
            case nodes.Getattr():
                node.node = self._expression(node.node, deeper)
            case nodes.Getitem(arg=nodes.Slice() as bounds):
                ends = [bounds.start, bounds.stop, bounds.step]
                return _counted(
                    "slice", self._expression(node.node, deeper), *(self._optional(e, deeper) for e in ends)
                )
            case nodes.Getitem():
                node.node = self._expression(node.node, deeper)
                node.arg = self._expression(node.arg, deeper)
            case nodes.Call(node=nodes.Name(name="range"), kwargs=[], dyn_args=None, dyn_kwargs=None):
                return _counted(
                    "range", nodes.List([self._expression(a, deeper) for a in node.args], lineno=node.lineno)
                )
            case nodes.Call():
                _refuse(node, "nothing but range can be called")
            case nodes.Filter():
                self._filter(node, depth)
            case nodes.Test():
                node.node = self._expression(node.node, deeper)
                self._arguments(node, "test", TESTS, deeper)
            case nodes.Compare():
                operands: list[nodes.Expr] = []
                for operand in node.ops:
                    operands += nodes.Const(operand.op, lineno=node.lineno), self._expression(operand.expr, deeper)
                return _counted("compare", self._expression(node.expr, deeper), *operands)
            case nodes.Concat():
                pieces = [self._expression(piece, deeper) for piece in node.nodes]
                return _counted("concat", nodes.List(pieces, lineno=node.lineno))
            case nodes.List() | nodes.Tuple(ctx="load"):
                node.items = [self._expression(item, deeper) for item in node.items]
                return _counted("make", node)
            case nodes.Dict():
                for pair in node.items:
                    pair.key = self._expression(pair.key, deeper)
                    pair.value = self._expression(pair.value, deeper)
                return _counted("make", node)
            case nodes.CondExpr():
                node.test = self._expression(node.test, deeper)
                node.expr1 = self._expression(node.expr1, deeper)
                # With no else it is nothing, as it is for Jinja where it is not strict.
                node.expr2 = self._optional(node.expr2, deeper, absent="")
            case nodes.And() | nodes.Or() | nodes.Add() | nodes.Sub() | nodes.Mul() | nodes.Div() | nodes.FloorDiv():
                self._pair(node, deeper)
            case nodes.Mod() | nodes.Pow():
                self._pair(node, deeper)
            case nodes.Not() | nodes.Neg() | nodes.Pos():
                node.node = self._expression(node.node, deeper)
            case _:
                _refuse(node, "uses what is not for prompts")
        return node

    def _pair(self, node: nodes.BinExpr, depth: int) -> None:
        node.left = self._expression(node.left, depth)
        node.right = self._expression(node.right, depth)

    def _optional(self, node: nodes.Expr | None, depth: int, absent: str | None = None) -> nodes.Expr:
        return nodes.Const(absent, lineno=1) if node is None else self._expression(node, depth)

    def _filter(self, node: nodes.Filter, depth: int) -> None:
        if depth > MAX_EXPRESSION_DEPTH:
            _refuse(node, "is nested too deeply")
        # The innermost filter of a block has none: it takes what the block holds.
        if isinstance(node.node, nodes.Filter):
            self._filter(node.node, depth + 1)
        elif node.node is not None:
            node.node = self._expression(node.node, depth + 1)
        self._arguments(node, "filter", FILTERS, depth + 1)

    def _arguments(self, node: nodes.Filter | nodes.Test, kind: str, known: Mapping[str, Any], depth: int) -> None:
        self.total += 1
        if node.name not in known:
            _refuse(node, f"there is no {kind} {node.name[:64]}; there are {', '.join(sorted(known))}")
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            _refuse(node, f"the {kind} {node.name} does not take these arguments")
        named = [str(pair.key) for pair in node.kwargs]
        try:
            inspect.signature(known[node.name]).bind(None, *node.args, **dict.fromkeys(named))
        except TypeError:
            _refuse(node, f"the {kind} {node.name} does not take these arguments")
        if len(set(named)) < len(named):
            _refuse(node, f"the {kind} {node.name} is given an argument twice")
        node.args = [self._expression(arg, depth) for arg in node.args]
        for pair in node.kwargs:
            pair.value = self._expression(pair.value, depth)


def _counted(operation: str, node: nodes.Expr, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, COUNTED[operation], list(args), [], None, None, lineno=node.lineno)


def _check_constant(node: nodes.Const) -> None:
    match node.value:
        case int() if abs(node.value) > MAX_NUMBER:
            _refuse(node, "holds a number that is out of range")
        case float() if not math.isfinite(node.value):
            _refuse(node, "holds a number that is out of range")
        case str() if _STRAY.search(node.value):  # written as an escape: as a character no request has it
            _refuse(node, "holds a character that is not one")
        case str() if "\0" in node.value:
            _refuse(node, "holds a NUL character")


def _refuse(node: nodes.Node, problem: str) -> NoReturn:
    raise Malformed(node.lineno, problem)
