"""The TenantService: converts, calls, converts."""

from __future__ import annotations

from uuid import UUID

from atrium.tenant.v1 import tenant_service_pb2 as pb
from server.kernel.principal import current_call
from server.rpc.chain import Context
from server.rpc.pages import Pages
from server.rpc.wire import uuid_or_none
from server.tenant import convert
from server.tenant.service import TenantService


class TenantServicer:
    """Tenants and their settings."""

    def __init__(self, tenants: TenantService, pages: Pages) -> None:
        self._tenants = tenants
        self._pages = pages

    async def CreateTenant(self, request: pb.CreateTenantRequest, context: Context) -> pb.CreateTenantResponse:
        who = request.administrator
        tenant, user_id = await self._tenants.create(convert.new_tenant(request), who.username, who.email, who.password)
        return pb.CreateTenantResponse(tenant=convert.tenant(tenant), administrator_user_id=str(user_id))

    async def GetTenant(self, request: pb.GetTenantRequest, context: Context) -> pb.GetTenantResponse:
        return pb.GetTenantResponse(tenant=convert.tenant(await self._tenants.get(_meant(request.id))))

    async def ListTenants(self, request: pb.ListTenantsRequest, context: Context) -> pb.ListTenantsResponse:
        page = await self._tenants.page(self._pages.read(request), **convert.tenant_filters(request))
        return pb.ListTenantsResponse(
            tenants=[convert.tenant(tenant) for tenant in page.items], next_page_token=self._pages.next(request, page)
        )

    async def UpdateTenant(self, request: pb.UpdateTenantRequest, context: Context) -> pb.UpdateTenantResponse:
        tenant = await self._tenants.update(_meant(request.id), convert.tenant_changes(request), request.etag)
        return pb.UpdateTenantResponse(tenant=convert.tenant(tenant))

    async def GetTenantConfig(self, request: pb.GetTenantConfigRequest, context: Context) -> pb.GetTenantConfigResponse:
        tenant_id = _meant(request.tenant_id)
        return pb.GetTenantConfigResponse(config=convert.config(tenant_id, await self._tenants.get_config(tenant_id)))

    async def UpdateTenantConfig(
        self, request: pb.UpdateTenantConfigRequest, context: Context
    ) -> pb.UpdateTenantConfigResponse:
        tenant_id = _meant(request.tenant_id)
        config = await self._tenants.update_config(tenant_id, convert.config_changes(request), request.etag)
        return pb.UpdateTenantConfigResponse(config=convert.config(tenant_id, config))


def _meant(text: str) -> UUID:
    """The tenant that a request means: the one it names, or the caller's own."""
    return uuid_or_none(text) or current_call().caller.tenant_id
