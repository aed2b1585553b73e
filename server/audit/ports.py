"""What the audit slice needs from others."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from server.audit.domain import Verifiers


class Signer(Protocol):
    """Signs what is to be shown unaltered later."""

    async def sign(self, statement: bytes) -> tuple[str, bytes]:
        """The name of the key that signs now, and its signature."""

    async def verifiers(self, kids: Collection[str]) -> Verifiers:
        """Those of these keys that are ours, also where they sign no more."""
