"""What tests of calls can ask for."""

from __future__ import annotations

from typing import Any

import pytest

from server.audit.service.log import AuditLog
from server.db.database import Database
from server.kernel.ids import PLATFORM_TENANT_ID, uuid7
from server.kernel.principal import Call, Principal
from server.kernel.sealing import MasterKeys
from server.kernel.tasks import Background
from server.llm.registry import Registry
from server.model.breakers import Breakers
from server.model.catalogue import Catalogues
from server.model.ledger import Ledger
from server.model.service.books import Books
from server.model.service.caches import Caches
from server.model.service.calls import CallService
from server.model.service.credentials import Vault
from server.model.service.planning import Planner
from server.model.service.reach import Reach
from server.prompt.rendering import Renderer
from server.prompt.service.counts import Counts
from server.prompt.service.rendering import PromptRendering
from server.prompt.service.sight import Sight
from server.prompt.service.work import PromptWork, prompt_workers
from server.settings import Settings as ServerSettings
from tests.unit.model.scripted import AT_ONCE, NOT_FOR_EVER, Records, Script, Settings


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
async def caller(admin: Any) -> Call:
    """Who calls; a model with a price is in place."""
    model_id = uuid7()
    await admin.execute(
        "INSERT INTO models (id, name, provider, model_type, max_tokens) VALUES ($1, 'scripted', 'custom', 'chat', 50)",
        model_id,
    )
    await admin.execute(
        "INSERT INTO model_prices (id, model_id, input_cost_per_1k, output_cost_per_1k, effective_from)"
        " VALUES ($1, $2, 0.5, 1.5, now())",
        uuid7(),
        model_id,
    )
    call = Call("/test", "request-1", "ab" * 16, "cd" * 8)
    call.principal = Principal(PLATFORM_TENANT_ID, uuid7(), uuid7(), frozenset())
    return call


@pytest.fixture
def settings() -> Settings:
    """The tenant's."""
    return Settings()


@pytest.fixture
def calls(database: Database, script: Script, background: Background, caller: Call, settings: Settings) -> CallService:
    registry = Registry(ServerSettings(), {"scripted": script}, {})
    reach = Reach(registry, Vault(MasterKeys(bytes(32))))
    ledger = Ledger(database, AuditLog(database), background)
    books = Books(database, ledger, background)
    catalogues = Catalogues(database, settings)
    planner = Planner(catalogues, reach, Breakers())
    sight = Sight(database)
    prompts = PromptRendering(sight, PromptWork(Renderer(), prompt_workers(parallel=1)), Counts(database))
    return CallService(planner, prompts, ledger, books, Caches(database), heartbeat=AT_ONCE)


@pytest.fixture
def records(admin: Any, background: Background) -> Records:
    """Reads the records when all of them are written."""

    async def read() -> list[dict[str, Any]]:
        await background.close(NOT_FOR_EVER)
        return [dict(row) for row in await admin.fetch("SELECT * FROM model_call_logs")]

    return read
