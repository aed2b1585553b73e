"""What seals the log in tests."""

from __future__ import annotations

from datetime import timedelta

import pytest

from server.audit.service.log import AuditLog
from server.audit.service.sealing import Sealing
from server.db.database import Database
from server.identity.service.signing import SigningKeys
from tests.databases import Scratch
from tests.factories.world import Person
from tests.rpc.audit.sealed import Seal, sealed


@pytest.fixture
def signing(database: Database, scratch: Scratch) -> SigningKeys:
    settings = scratch.settings()
    return SigningKeys(database, AuditLog(database), settings.master_keys, settings.access_life)


@pytest.fixture
def seal(database: Database, signing: SigningKeys) -> Seal:
    """Seals what the tenant's log has by now, where the hourly job keeps some minutes away from now."""

    async def seal(person: Person) -> int:
        return await sealed(Sealing(database, signing, margin=timedelta(0)), person)

    return seal
