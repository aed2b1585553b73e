"""Authentication: who is calling, from the `authorization` metadata and from nothing else."""

from __future__ import annotations

from typing import Protocol

from server.kernel.errors import Unauthenticated
from server.kernel.principal import Principal
from server.rpc.policy import Rule


class AuthenticationRequired(Unauthenticated):
    """This method needs a credential: metadata `authorization: Bearer <access token>`."""


class Verifier(Protocol):
    """Turns an access token into the caller. The identity slice is one."""

    def recall(self, token: str) -> Principal | None:
        """The caller, where the token was verified before and nothing has changed since."""

    async def verify(self, token: str) -> Principal:
        """The caller. Raises an Unauthenticated error for every token that is not good now."""


class Authenticate:
    """Verifies the credential of every method that is not public."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier

    async def __call__(self, rule: Rule, authorization: str | None) -> Principal | None:
        if rule.access == "public":
            return None
        if not authorization:
            raise AuthenticationRequired
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise AuthenticationRequired
        return self._verifier.recall(token) or await self._verifier.verify(token)
