"""What the audit slice needs from others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Protocol


class Signer(Protocol):
    """Signs what is to be shown unaltered later."""

    async def sign(self, statement: bytes) -> tuple[str, bytes]:
        """The name of the key that signs now, and its signature."""

    async def verifiers(self, kids: Collection[str]) -> Mapping[str, Callable[[bytes, bytes], bool]]:
        """For each of these keys that is ours, whether it made a signature: of a signature and a statement."""
