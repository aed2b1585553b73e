"""Authentication: who is calling, from the call's metadata and from nothing else."""

from __future__ import annotations

from typing import Protocol

from server.kernel.errors import Unauthenticated
from server.kernel.principal import Principal
from server.rpc.policy import Rule
from server.rpc.steps.enter import TenantDoor, inside
from server.rpc.steps.trace import Credentials


class AuthenticationRequired(Unauthenticated):
    """This method needs one credential: metadata `authorization: Bearer <access token>` or `x-api-key: <key>`, once and
    not both.
    """


class Verifier(Protocol):
    """Turns a credential into the caller. The identity slice is one."""

    def recall_token(self, token: str) -> Principal | None:
        """The caller, where the access token was verified before and nothing has changed since."""

    def recall_key(self, key: str) -> Principal | None:
        """The same of an API key."""

    async def verify_token(self, token: str) -> Principal:
        """The caller of an access token. Raises an Unauthenticated error for every one that is not good now."""

    async def verify_key(self, key: str) -> Principal:
        """The caller of an API key. Raises an Unauthenticated error for every one that is not good now."""

    async def confirm(self, principal: Principal) -> Principal:
        """The caller of a call that goes on in a session, as they are now. Raises an Unauthenticated error."""


class Authenticate:
    """Verifies the credential of every method that is not public."""

    def __init__(self, verifier: Verifier, door: TenantDoor) -> None:
        self._verifier = verifier
        self._door = door

    def recall(self, rule: Rule, credentials: Credentials) -> Principal | None:
        """The caller, where they are known at once; else (None) it takes the whole step."""
        authorization, api_key, tenant = credentials
        if authorization is None or api_key is not None or tenant is not None or rule.access == "public":
            return None
        scheme, _, token = authorization.partition(" ")
        return self._verifier.recall_token(token) if scheme.lower() == "bearer" else None

    async def __call__(self, rule: Rule, credentials: Credentials) -> Principal | None:
        if rule.access == "public":
            return None
        return await self._verified(credentials)

    async def confirm(self, principal: Principal, credentials: Credentials) -> Principal:
        """The caller of a call that goes on, as they are now. Raises where they may not be here any more."""
        if principal.session_id is None:
            now = await self._verified(credentials)
        else:
            now = await self._verifier.confirm(principal)
        if principal.home_tenant_id is None:
            return now
        return await inside(self._door, now, principal.tenant_id)

    async def _verified(self, credentials: Credentials) -> Principal:
        authorization, api_key, _ = credentials
        if api_key and authorization is None:
            return self._verifier.recall_key(api_key) or await self._verifier.verify_key(api_key)
        scheme, _, token = (authorization or "").partition(" ")
        if api_key is not None or scheme.lower() != "bearer" or not token:
            raise AuthenticationRequired
        return self._verifier.recall_token(token) or await self._verifier.verify_token(token)
