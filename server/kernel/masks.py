"""Partial updates: which fields a request means to change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from server.kernel.errors import InvalidRequest


def masked(values: Mapping[str, Any], paths: Iterable[str]) -> dict[str, Any]:
    """The values that an update mask names; with no mask, all that are set (not None), as AIP-134 has it.

    Raises InvalidRequest for a path that is not one of the fields.
    """
    paths = list(paths)
    unknown = [path for path in paths if path not in values]
    if unknown:
        raise InvalidRequest([("update_mask", f"{path} cannot be updated") for path in unknown])
    if paths:
        return {path: values[path] for path in paths}
    return {name: value for name, value in values.items() if value is not None}
