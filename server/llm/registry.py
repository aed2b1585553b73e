"""Which adapter reaches a model, and with which key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from openai import AsyncOpenAI

from server.llm.openai import NO_KEY, OpenAIChat, OpenAIEmbedding, connect
from server.llm.port import ChatModel, EmbeddingModel, ModelNotConfigured
from server.settings import Settings

# Anthropic's endpoint that speaks OpenAI's protocol: docs.anthropic.com, "OpenAI SDK compatibility".
_ADDRESSES = {"openai": "https://api.openai.com/v1", "anthropic": "https://api.anthropic.com/v1/"}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is, and who calls it. `own_key`: the tenant's, in place of the server's. `tenants`: the model is a
    tenant's own, and none of the server's keys is for it.
    """

    provider: str
    name: str
    base_url: str | None
    own_key: str | None
    tenants: bool

    @property
    def embedded(self) -> bool:
        """Whether it may be one of the models built into the server."""
        return self.base_url is None and not self.tenants

    @property
    def key(self) -> str | None:
        """The key to call with; None: the server's."""
        if self.own_key is None and self.tenants and self.base_url is not None:
            return NO_KEY
        return self.own_key


class Registry:
    """The models of one process, each endpoint's connections made once."""

    def __init__(
        self, settings: Settings, chats: Mapping[str, ChatModel], embeddings: Mapping[str, EmbeddingModel]
    ) -> None:
        """`chats`, `embeddings`: the models that need no endpoint, by name."""
        keys = {url.rstrip("/"): key.get_secret_value() for url, key in settings.provider_keys.items()}
        for provider, secret in (("openai", settings.openai_api_key), ("anthropic", settings.anthropic_api_key)):
            if secret is not None:
                keys.setdefault(_ADDRESSES[provider].rstrip("/"), secret.get_secret_value())
        self._keys = keys
        self._private = settings.private_model_addresses
        self._clients: dict[tuple[str, bool], AsyncOpenAI] = {}
        self._chats = chats
        self._embeddings = embeddings

    async def close(self) -> None:
        """Closes what it connected."""
        for client in self._clients.values():
            await client.close()

    def chat(self, endpoint: Endpoint) -> ChatModel:
        """The chat model there. Raises ModelNotConfigured."""
        if endpoint.embedded and endpoint.name in self._chats:
            return self._chats[endpoint.name]
        return OpenAIChat(self._client(endpoint), key=endpoint.key)

    def embedding(self, endpoint: Endpoint) -> EmbeddingModel:
        """The embedding model there. Raises ModelNotConfigured."""
        if endpoint.embedded and endpoint.name in self._embeddings:
            return self._embeddings[endpoint.name]
        return OpenAIEmbedding(self._client(endpoint), endpoint.name, endpoint.key)

    def _client(self, endpoint: Endpoint) -> AsyncOpenAI:
        """The connections to the endpoint, which all share, whatever their key.

        A key goes to the address it was given for, and to no other.
        """
        address = (endpoint.base_url or _ADDRESSES.get(endpoint.provider, "")).rstrip("/")
        if not address or (endpoint.key is None and (endpoint.tenants or address not in self._keys)):
            raise ModelNotConfigured(endpoint.name)
        guarded = endpoint.tenants and not self._private
        if (address, guarded) not in self._clients:
            self._clients[address, guarded] = connect(address, self._keys.get(address, ""), guarded=guarded)
        return self._clients[address, guarded]
