"""How a tenant's model is reached: by which adapter, and with whose key."""

from __future__ import annotations

import structlog
from cryptography.exceptions import InvalidTag

from server.kernel.sealing import MasterKeyUnknown
from server.llm.port import ChatModel, EmbeddingModel, ModelNotConfigured
from server.llm.registry import Endpoint, Registry
from server.model.catalogue import Catalogue
from server.model.domain import Model
from server.model.service.credentials import Vault

_log = structlog.get_logger("atrium.model")


class Reach:
    """The way to models: with the tenant's own key where it has one, and with the server's where the model is the
    platform's.
    """

    def __init__(self, registry: Registry, vault: Vault) -> None:
        self._registry = registry
        self._vault = vault

    def chat(self, catalogue: Catalogue, model: Model) -> ChatModel:
        """Raises ModelNotConfigured."""
        return self._registry.chat(self._endpoint(catalogue, model))

    def embedding(self, catalogue: Catalogue, model: Model) -> EmbeddingModel:
        """Raises ModelNotConfigured."""
        return self._registry.embedding(self._endpoint(catalogue, model))

    def _endpoint(self, catalogue: Catalogue, model: Model) -> Endpoint:
        sealed = catalogue.credential(model)
        own_key = None
        if sealed is not None:
            try:
                own_key = self._vault.open(catalogue.tenant_id, sealed)
            except (InvalidTag, MasterKeyUnknown):
                # Never the server's own key in its place: who brings a key pays with it.
                _log.error("a credential does not open", credential_id=sealed.id, tenant_id=catalogue.tenant_id)
                raise ModelNotConfigured(model.name) from None
        return Endpoint(
            model.provider,
            model.upstream,
            model.base_url,
            own_key,
            tenants=model.own,
            dimensions=model.dimensions,
            label=model.name,
        )
