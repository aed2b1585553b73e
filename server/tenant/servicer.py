"""The TenantService: converts, calls, converts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from uuid import UUID

from atrium.tenant.v1 import tenant_service_pb2 as pb
from server.kernel.names import username
from server.kernel.principal import current_call
from server.rpc.chain import Context
from server.rpc.pages import Pages
from server.rpc.wire import deletion, uuid_or_none
from server.tenant import convert
from server.tenant.service import TenantService


class TenantServicer:
    """Tenants and their settings."""

    def __init__(self, tenants: TenantService, pages: Pages) -> None:
        self._tenants = tenants
        self._pages = pages

    async def CreateTenant(self, request: pb.CreateTenantRequest, context: Context) -> pb.CreateTenantResponse:
        who = request.administrator
        name = username("administrator.username", who.username)
        tenant, user_id = await self._tenants.create(convert.new_tenant(request), name, who.email, who.password)
        return pb.CreateTenantResponse(tenant=convert.tenant(tenant), administrator_user_id=str(user_id))

    async def GetTenant(self, request: pb.GetTenantRequest, context: Context) -> pb.GetTenantResponse:
        return pb.GetTenantResponse(
            tenant=convert.tenant(await self._tenants.get(_meant(request.id), deletion(request)))
        )

    async def ListTenants(self, request: pb.ListTenantsRequest, context: Context) -> pb.ListTenantsResponse:
        page = await self._tenants.page(self._pages.read(request), deletion(request), **convert.tenant_filters(request))
        return pb.ListTenantsResponse(
            tenants=[convert.tenant(tenant) for tenant in page.items], next_page_token=self._pages.next(request, page)
        )

    async def UpdateTenant(self, request: pb.UpdateTenantRequest, context: Context) -> pb.UpdateTenantResponse:
        tenant = await self._tenants.update(_meant(request.id), convert.tenant_changes(request), request.etag)
        return pb.UpdateTenantResponse(tenant=convert.tenant(tenant))

    async def SuspendTenant(self, request: pb.SuspendTenantRequest, context: Context) -> pb.SuspendTenantResponse:
        return pb.SuspendTenantResponse(tenant=convert.tenant(await self._tenants.suspend(UUID(request.id))))

    async def ActivateTenant(self, request: pb.ActivateTenantRequest, context: Context) -> pb.ActivateTenantResponse:
        return pb.ActivateTenantResponse(tenant=convert.tenant(await self._tenants.activate(UUID(request.id))))

    async def DeleteTenant(self, request: pb.DeleteTenantRequest, context: Context) -> pb.DeleteTenantResponse:
        await self._tenants.delete(UUID(request.id), request.etag)
        return pb.DeleteTenantResponse()

    async def RestoreTenant(self, request: pb.RestoreTenantRequest, context: Context) -> pb.RestoreTenantResponse:
        return pb.RestoreTenantResponse(tenant=convert.tenant(await self._tenants.restore(UUID(request.id))))

    async def PurgeTenant(self, request: pb.PurgeTenantRequest, context: Context) -> pb.PurgeTenantResponse:
        await self._tenants.purge(UUID(request.id))
        return pb.PurgeTenantResponse()

    async def GetUsage(self, request: pb.GetUsageRequest, context: Context) -> pb.GetUsageResponse:
        return convert.usage(await self._tenants.usage(_meant(request.tenant_id)))

    async def ExportTenant(
        self, request: pb.ExportTenantRequest, context: Context
    ) -> AsyncIterator[pb.ExportTenantResponse]:
        after = convert.place(self._pages.after(request))
        async with aclosing(self._tenants.export(_meant(request.tenant_id), after)) as parts:
            async for part in parts:
                yield convert.exported(part, lambda place: self._pages.behind(request, place))

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
