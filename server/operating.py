"""What an operator does to the database itself, beside the servers that run on it or without one."""

from __future__ import annotations

import asyncio

from server.audit.service.log import AuditLog
from server.db.database import Database
from server.identity.passwords import Passwords
from server.identity.service.founding import Founding
from server.identity.service.signing import SigningKeys
from server.identity.signing_keys import SigningKey
from server.model.service.credentials import Vault
from server.prepare import bring_up
from server.settings import Settings
from server.telemetry import configure_logging
from server.tenant.standing import TenantStanding


def first_administrator(settings: Settings) -> tuple[str, str] | None:
    """The username and generated password of the platform's first administrator; None where there is one already."""
    return asyncio.run(_first_administrator(settings))


def founded(asked: Settings, found: Settings) -> tuple[str, str] | None:
    """Brings the database up, and its platform's first administrator as above. `found`: what `located` made of what was
    asked.
    """
    configure_logging(asked)
    bring_up(asked, found)
    return first_administrator(found)


async def _first_administrator(settings: Settings) -> tuple[str, str] | None:
    passwords = Passwords(parallel=1)
    async with Database.open(settings) as database:
        try:
            return await Founding(database, passwords, AuditLog(database)).first_platform_administrator()
        finally:
            passwords.close()


async def rotated(settings: Settings, *, compromised: bool) -> SigningKey:
    """A new signing key, which every running server hears of. Raises the refusals of `Database.open`."""
    async with Database.open(settings) as database:
        return await _signing_keys(settings, database).rotate(compromised=compromised)


async def rewrapped(settings: Settings) -> int:
    """Keeps every key in the database under the current master key; how many there are. Raises MasterKeyUnknown, and
    the refusals of `Database.open`.
    """
    async with Database.open(settings) as database:
        vault = Vault(settings.master_keys)
        count = await _signing_keys(settings, database).rewrap()
        async for tenant, _ in TenantStanding(database).everyone():
            async with database.tenant_tx(tenant.id) as tx:
                count += await vault.rewrap(tx, tenant.id)
    return count


def _signing_keys(settings: Settings, database: Database) -> SigningKeys:
    return SigningKeys(database, AuditLog(database), settings.master_keys, settings.access_life)
