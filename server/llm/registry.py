"""Which adapter reaches a model, and with which key."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from server.kernel.tasks import Background
from server.llm import anthropic
from server.llm.anthropic import AnthropicChat, AnthropicEndpoint
from server.llm.endpoint import HttpEndpoint
from server.llm.http import NO_KEY, Connections
from server.llm.openai import OpenAIChat, OpenAIEmbedding, connect
from server.llm.port import ChatModel, EmbeddingModel, ModelNotConfigured
from server.settings import Settings

MOST_ENDPOINTS = 256

_CLOSE_SECONDS = 5.0

Held = TypeVar("Held", bound=Connections)

_ADDRESSES = {"openai": "https://api.openai.com/v1", "anthropic": anthropic.ADDRESS}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is, and who calls it.

    `name`: as its provider calls it. `own_key`: the tenant's, in place of the server's. `tenants`: the model is a
    tenant's own, and none of the server's keys is for it. `dimensions`: the length that its vectors have. `label`: what
    callers know it by; None: the same.
    """

    provider: str
    name: str
    base_url: str | None
    own_key: str | None
    tenants: bool
    dimensions: int | None = None
    label: str | None = None

    @property
    def called(self) -> str:
        """What callers know it by, and are told."""
        return self.label or self.name

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


class _Lately(Generic[Held]):
    """What was used last; the rest is given up."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: OrderedDict[tuple[str, bool], Held] = OrderedDict()
        self._background = Background()

    def get(self, place: tuple[str, bool], make: Callable[[], Held]) -> Held:
        found = self._held.get(place)
        if found is None:
            found = self._held[place] = make()
            if len(self._held) > self._most:
                _, oldest = self._held.popitem(last=False)
                self._background.start(oldest.give_up(), "endpoint given up")
        else:
            self._held.move_to_end(place)
        return found

    async def close(self) -> None:
        for held in self._held.values():
            await held.close()
        await self._background.close(_CLOSE_SECONDS)


class Registry:
    """The models of one process. An endpoint's connections stay while it is among those that were called last."""

    def __init__(
        self,
        settings: Settings,
        chats: Mapping[str, ChatModel],
        embeddings: Mapping[str, EmbeddingModel],
        *,
        most: int = MOST_ENDPOINTS,
    ) -> None:
        """`chats`, `embeddings`: the models that need no endpoint, by name. `most`: endpoints of one protocol that stay
        open, since tenants name as many as they like.
        """
        keys = {url.rstrip("/"): key.get_secret_value() for url, key in settings.provider_keys.items()}
        for provider, secret in (("openai", settings.openai_api_key), ("anthropic", settings.anthropic_api_key)):
            if secret is not None:
                keys.setdefault(_ADDRESSES[provider].rstrip("/"), secret.get_secret_value())
        self._keys = keys
        self._private = settings.private_model_addresses
        self._clients = _Lately[HttpEndpoint](most)
        self._anthropic = _Lately[AnthropicEndpoint](most)
        self._chats = chats
        self._embeddings = embeddings

    async def close(self) -> None:
        """Closes what it connected."""
        await self._clients.close()
        await self._anthropic.close()

    def chat(self, endpoint: Endpoint) -> ChatModel:
        """The chat model there. Raises ModelNotConfigured."""
        if endpoint.embedded and endpoint.name in self._chats:
            return self._chats[endpoint.name]
        if endpoint.provider == "anthropic":
            return AnthropicChat(self._endpoint(endpoint), endpoint.key)
        return OpenAIChat(self._client(endpoint), key=endpoint.key)

    def embedding(self, endpoint: Endpoint) -> EmbeddingModel:
        """The embedding model there. Raises ModelNotConfigured."""
        if endpoint.embedded and endpoint.name in self._embeddings:
            return self._embeddings[endpoint.name]
        if endpoint.provider == "anthropic":  # whose API has no embeddings
            raise ModelNotConfigured(endpoint.called)
        # Others than OpenAI may not know the field, and shorten nothing.
        shortens = endpoint.provider == "openai"
        return OpenAIEmbedding(
            self._client(endpoint),
            endpoint.name,
            endpoint.key,
            label=endpoint.label,
            dimensions=endpoint.dimensions,
            shortens=shortens,
        )

    def _client(self, endpoint: Endpoint) -> HttpEndpoint:
        """The connections to the endpoint, which all share, whatever their key. Raises ModelNotConfigured."""
        place = address, guarded = self._place(endpoint)
        return self._clients.get(place, lambda: connect(address, self._keys.get(address, ""), guarded=guarded))

    def _endpoint(self, endpoint: Endpoint) -> AnthropicEndpoint:
        """The same of one that speaks Anthropic's protocol."""
        place = address, guarded = self._place(endpoint)
        if not anthropic.installed():
            raise ModelNotConfigured(endpoint.called)
        key = self._keys.get(address, "")
        return self._anthropic.get(place, lambda: AnthropicEndpoint(address, key, guarded=guarded))

    def _place(self, endpoint: Endpoint) -> tuple[str, bool]:
        """Its address, and whether that must be a public one.

        A key goes to the address it was given for, and to no other. Raises ModelNotConfigured where there is none.
        """
        address = (endpoint.base_url or _ADDRESSES.get(endpoint.provider, "")).rstrip("/")
        if not address or (endpoint.key is None and (endpoint.tenants or address not in self._keys)):
            raise ModelNotConfigured(endpoint.called)
        return address, endpoint.tenants and not self._private
