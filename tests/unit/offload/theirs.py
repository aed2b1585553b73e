"""What tests have done in processes of its own."""

from __future__ import annotations

from typing import Any

from server.kernel.errors import DomainError


def refuse(error: type[DomainError], arguments: tuple[Any, ...], fields: dict[str, str]) -> None:
    raise error(*arguments, **fields)


def allocate(size: int) -> int:
    return len(bytes(size))


def keep_trying(size: int) -> int:
    """Takes it in small parts, all of which it holds to the end."""
    return len([bytes(1_000) for _ in range(size // 1_000)])
