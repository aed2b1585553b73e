"""What calls of models are made of, put together once in each process that makes any."""

from __future__ import annotations

from server.db.database import Database
from server.embedded import chat, embedding
from server.embedded.chat import LocalChat
from server.embedded.embedding import LocalEmbedding
from server.kernel.tasks import Background
from server.llm.registry import Registry
from server.model.breakers import Breakers
from server.model.catalogue import Catalogues
from server.model.ledger import Ledger
from server.model.ports import AuditLog
from server.model.service.books import Books
from server.model.service.caches import Caches
from server.model.service.credentials import Vault
from server.model.service.embedding import EmbedService
from server.model.service.planning import Planner
from server.model.service.reach import Reach
from server.settings import Settings
from server.tenant.standing import TenantStanding


class Gateway:
    """The way to the models."""

    def __init__(
        self, settings: Settings, database: Database, audit: AuditLog, standing: TenantStanding, background: Background
    ) -> None:
        self._local_chat = LocalChat()
        self._models = Registry(settings, {chat.NAME: self._local_chat}, {embedding.NAME: LocalEmbedding()})
        self.vault = Vault(settings.master_keys)
        self.ledger = Ledger(database, audit, background, lease=settings.reservation_seconds)
        self.books = Books(database, self.ledger, background)
        self.caches, self.reach = Caches(database), Reach(self._models, self.vault)
        self.catalogues, self.breakers = Catalogues(database, standing), Breakers()
        self.planner = Planner(self.catalogues, self.reach, self.breakers)
        self.embed = EmbedService(self.planner, self.reach, self.ledger, self.books, self.caches)

    async def close(self) -> None:
        """Ends the connections to providers, and the local model."""
        await self._models.close()
        await self._local_chat.close()
