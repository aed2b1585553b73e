"""Statements that stand in a file of their own, where the SQL itself is the design."""

from __future__ import annotations

import re
from importlib.resources import files

from server.db.statements import Statement

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_PLACE = re.compile(r"(?<!:):([a-z_]+)")


class Query(Statement):
    """SQL with a name for each of its places: `:name` stands where the value goes."""

    __slots__ = ()

    def __init__(self, text: str) -> None:
        names: list[str] = []

        def place(found: re.Match[str]) -> str:
            if found[1] not in names:
                names.append(found[1])
            return f"${names.index(found[1]) + 1}"

        self._compiled = _PLACE.sub(place, text).strip(), tuple(names)


def load(package: str, file: str) -> dict[str, Query]:
    """The queries of a file beside the package's modules, by name. Each begins with a line `-- name: <name>`."""
    _, *parts = _NAME.split(files(package).joinpath(file).read_text())
    return {name: Query(text) for name, text in zip(parts[::2], parts[1::2], strict=True)}
