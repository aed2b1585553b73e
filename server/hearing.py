"""What the processes on one database tell each other of changes, and what each does that hears of one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from uuid import UUID

from server.db.database import Database
from server.db.listener import listening
from server.db.memory import Memory
from server.identity.domain import Access, Standing
from server.identity.signing_keys import KeyRing
from server.identity.store import keys, sessions
from server.kernel.tasks import Background
from server.model.catalogue import Catalogues
from server.model.ledger import Ledger
from server.model.service.generations import Generations
from server.model.service.usage import UsageService
from server.model.store import generations as generation_store
from server.model.store import ledger as ledger_store
from server.model.store import models as model_store
from server.prompt.service.rendering import PromptRendering
from server.prompt.service.watching import PromptWatching
from server.prompt.store import templates as template_store
from server.settings import Settings
from server.tenant import store as tenant_store


@dataclass(frozen=True, slots=True)
class Hearing:
    """What a process remembers of what others change, and whoever waits in it for a change."""

    background: Background
    accesses: Memory[Access]
    standings: Memory[Standing]
    catalogues: Catalogues
    rendering: PromptRendering
    watching: PromptWatching
    generations: Generations
    usage: UsageService
    ledger: Ledger
    rings: Memory[KeyRing]

    def here(self, database: Database) -> None:
        """Hears at once of what this process itself changes."""
        database.hear(sessions.CHANGED, self._access_changed)
        database.hear(tenant_store.CHANGED, self._tenant_changed_here)
        database.hear(model_store.CHANGED, self.catalogues.changed)
        database.hear(template_store.CHANGED, self._prompt_changed)
        database.hear(generation_store.CANCELLED, self.generations.cancelled)

    def everywhere(self, settings: Settings) -> AbstractAsyncContextManager[None]:
        """Hears of what any process changes, this one too, while the context is open."""
        heard: dict[str, Callable[[str], None]] = {
            sessions.CHANGED: self._access_changed,
            tenant_store.CHANGED: self._tenant_changed,
            keys.CHANGED: self._keys_changed,
            model_store.CHANGED: self.catalogues.changed,
            template_store.CHANGED: self._prompt_change_heard,
            generation_store.CANCELLED: self.generations.cancelled,
            ledger_store.RECALLED: self.ledger.recalled,
        }
        return listening(settings, heard, self._listening_changed, self._heard_until)

    def _access_changed(self, payload: str) -> None:
        tenant, _, user = payload.partition("/")
        for memory in (self.accesses, self.standings):
            memory.changed(UUID(tenant), UUID(user) if user else None)

    def _tenant_changed(self, payload: str) -> None:
        for memory in (self.accesses, self.standings):
            memory.changed(UUID(payload))
        self.catalogues.changed(payload)

    def _tenant_changed_here(self, payload: str) -> None:
        self._tenant_changed(payload)
        # Its limits may be others. It is told once: in the process of the change.
        self.background.start(self.usage.look(UUID(payload)), "limits")

    def _prompt_changed(self, payload: str) -> None:
        tenant_id, _, _ = template_store.read_changed(payload)
        self.rendering.changed(tenant_id)

    def _prompt_change_heard(self, payload: str) -> None:
        self._prompt_changed(payload)
        # Watchers are told once: in the process of the change, too, by what all processes hear.
        self.watching.changed(*template_store.read_changed(payload))

    def _keys_changed(self, _: str) -> None:
        self.rings.forget()

    def _listening_changed(self, connected: bool) -> None:
        for memory in (self.accesses, self.standings, self.rings, self.catalogues, self.rendering):
            memory.listening(connected)
        self.ledger.listening(connected)
        if connected:
            self.watching.afresh()

    def _heard_until(self, moment: float) -> None:
        for memory in (self.accesses, self.standings, self.rings, self.catalogues, self.rendering):
            memory.heard(moment)
