"""What a tenant's calls go by: its settings, routes, models and credentials, remembered until they change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from server.db.database import Database
from server.db.memory import Memory
from server.kernel.clock import now
from server.kernel.features import Feature, FeatureMissing
from server.kernel.ids import PLATFORM_TENANT_ID
from server.model.domain import (
    CallKind,
    Deprecated,
    Model,
    ModelDisabled,
    ModelKindMismatch,
    ModelNotFound,
    SealedCredential,
    address,
)
from server.model.limits import Limits
from server.model.ports import CallSettings, TenantSettings
from server.model.routes import Route
from server.model.store import credentials, limits, models, routes, tenant_models

_LIFE = timedelta(days=1)

NOT_CALLABLE = (ModelNotFound, ModelDisabled, ModelKindMismatch, FeatureMissing)
"""What is raised of a model that a tenant cannot call now."""


@dataclass(frozen=True, slots=True)
class _Shared:
    """What every tenant can call, by name and by id."""

    models: Mapping[str, Model]
    good_until: datetime

    user = (PLATFORM_TENANT_ID, None)


@dataclass(frozen=True, slots=True)
class _Own:
    """What is one tenant's."""

    tenant_id: UUID
    settings: CallSettings
    features: frozenset[Feature]
    limits: Mapping[str, Limits]
    models: Mapping[str, Model]
    routes: Mapping[str, Route]
    credentials: Mapping[tuple[str, str | None], SealedCredential]
    good_until: datetime

    @property
    def user(self) -> tuple[UUID, None]:
        return self.tenant_id, None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What one tenant can call, as it was at one moment. A tenant's own model hides the platform's of that name."""

    tenant_id: UUID
    _shared: _Shared
    _own: _Own

    @property
    def settings(self) -> CallSettings:
        """What the tenant's settings say of a call that leaves things open."""
        return self._own.settings

    @property
    def limits(self) -> Mapping[str, Limits]:
        """The limits of the tenant, its users and its keys, of those who have any."""
        return self._own.limits

    def route(self, named: str) -> Route | None:
        """The route of that alias."""
        return self._own.routes.get(named)

    def find(self, named: str) -> Model | None:
        """The model of that name or id."""
        return self._own.models.get(named) or self._shared.models.get(named)

    def model(self, named: str, kind: CallKind) -> Model:
        """The model of that name or id, to be called now.

        Raises ModelNotFound, ModelDisabled, ModelKindMismatch, and FeatureMissing where the tenant's tier gives it no
        longer what the model, or the key that it is called with, was made by.
        """
        model = self.find(named)
        if model is None:
            raise ModelNotFound(named)
        if model.status == "disabled":
            raise ModelDisabled(model.name)
        if model.model_type != kind:
            raise ModelKindMismatch(model.name)
        if model.own:
            self._require(Feature.CUSTOM_MODELS)
        if self.credential(model) is not None:
            # Nor with the server's own key in its place: who brings a key pays with it.
            self._require(Feature.OWN_CREDENTIALS)
        return model

    def deprecated(self, model: Model) -> Deprecated | None:
        """What callers of the model are told who should use another: one that the tenant can call now, or none."""
        found = model.deprecated(now())
        if found is not None and found.replacement is not None:
            try:
                self.model(found.replacement, model.model_type)
            except NOT_CALLABLE:
                return replace(found, replacement=None)
        return found

    def _require(self, feature: Feature) -> None:
        if feature not in self._own.features:
            raise FeatureMissing(feature)

    def credential(self, model: Model) -> SealedCredential | None:
        """The tenant's own key to the model's provider, at the model's address."""
        return self._own.credentials.get((model.provider, address(model.base_url)))


class Catalogues:
    """The catalogues of the tenants that call, read once and again when something in them changes."""

    def __init__(self, database: Database, settings: TenantSettings) -> None:
        self._database = database
        self._settings = settings
        self._shared = Memory[_Shared]()
        self._own = Memory[_Own]()

    async def of(self, tenant_id: UUID) -> Catalogue:
        """What the tenant can call now."""
        shared = self._shared.recall("models") or await self._shared.read("models", self._read_shared)
        own = self._own.recall(tenant_id) or await self._own.read(tenant_id, lambda: self._read_own(tenant_id))
        assert shared is not None
        assert own is not None
        return Catalogue(tenant_id, shared, own)

    def changed(self, payload: str = "") -> None:
        """A tenant's changed, or (empty) what every tenant can call."""
        if payload:
            self._own.changed(UUID(payload))
        else:
            self._shared.forget()

    def listening(self, connected: bool) -> None:
        """Changes are told from now on, or not any more."""
        self._shared.listening(connected)
        self._own.listening(connected)

    def heard(self, until: float) -> None:
        """Whatever was told before then has been heard."""
        self._shared.heard(until)
        self._own.heard(until)

    async def _read_shared(self) -> _Shared:
        async with self._database.global_tx() as tx:
            found, next_price = await models.everything(tx)
        return _Shared(_named(found), next_price or now() + _LIFE)

    async def _read_own(self, tenant_id: UUID) -> _Own:
        settings = await self._settings.model_settings(tenant_id)
        features, end = await self._settings.features(tenant_id)
        async with self._database.tenant_tx(tenant_id) as tx:
            own_models, next_price = await tenant_models.everything(tx)
            return _Own(
                tenant_id,
                settings,
                features,
                {**_tenants(settings), **await limits.everything(tx)},
                _named(own_models),
                {route.alias: route for route in await routes.everything(tx)},
                await credentials.everything(tx),
                min(filter(None, (end, next_price)), default=now() + _LIFE),
            )


def _tenants(settings: CallSettings) -> dict[str, Limits]:
    found = Limits(
        settings.requests_per_minute,
        settings.tokens_per_minute,
        settings.monthly_token_quota,
        settings.monthly_cost_quota_usd,
        settings.max_parallel_calls,
    )
    return {} if found == Limits() else {"tenant": found}


def _named(found: Sequence[Model]) -> dict[str, Model]:
    return {key: model for model in found for key in (model.name, str(model.id))}
