"""Which adapter reaches a model, and with which key."""

from __future__ import annotations

from collections.abc import Mapping

from openai import AsyncOpenAI

from server.llm.openai import OpenAIChat, OpenAIEmbedding, connect
from server.llm.port import ChatModel, EmbeddingModel, ModelNotConfigured
from server.settings import Settings

# Anthropic's endpoint that speaks OpenAI's protocol: docs.anthropic.com, "OpenAI SDK compatibility".
_ADDRESSES = {"openai": "https://api.openai.com/v1", "anthropic": "https://api.anthropic.com/v1/"}


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
        self._clients: dict[str, AsyncOpenAI] = {}
        self._chats = chats
        self._embeddings = embeddings

    async def close(self) -> None:
        """Closes what it connected."""
        for client in self._clients.values():
            await client.close()

    def chat(self, provider: str, name: str, base_url: str | None, own_key: str | None = None) -> ChatModel:
        """The chat model of that name. `own_key`: the caller's, in place of the server's. Raises ModelNotConfigured."""
        if base_url is None and name in self._chats:
            return self._chats[name]
        return OpenAIChat(self._client(provider, name, base_url, own_key), key=own_key)

    def embedding(self, provider: str, name: str, base_url: str | None, own_key: str | None = None) -> EmbeddingModel:
        """The embedding model of that name, and the same. Raises ModelNotConfigured."""
        if base_url is None and name in self._embeddings:
            return self._embeddings[name]
        return OpenAIEmbedding(self._client(provider, name, base_url, own_key), name, own_key)

    def _client(self, provider: str, name: str, base_url: str | None, own_key: str | None) -> AsyncOpenAI:
        """The connections to the model's endpoint, which all share, whatever their key.

        A key goes to the address it was given for, and to no other.
        """
        address = (base_url or _ADDRESSES.get(provider, "")).rstrip("/")
        if not address or (own_key is None and address not in self._keys):
            raise ModelNotConfigured(name)
        if address not in self._clients:
            self._clients[address] = connect(address, self._keys.get(address, ""))
        return self._clients[address]
