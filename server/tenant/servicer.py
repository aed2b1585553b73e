"""The TenantService: converts, calls, converts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from uuid import UUID

from atrium.tenant.v1 import export_pb2, tenant_config_pb2, tenant_pb2, usage_pb2
from server.kernel.names import username
from server.kernel.principal import current_call
from server.rpc import parts
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

    async def CreateTenant(
        self, request: tenant_pb2.CreateTenantRequest, context: Context
    ) -> tenant_pb2.CreateTenantResponse:
        who = request.administrator
        name = username("administrator.username", who.username)
        tenant, user_id = await self._tenants.create(convert.new_tenant(request), name, who.email, who.password)
        return tenant_pb2.CreateTenantResponse(tenant=convert.tenant(tenant), administrator_user_id=str(user_id))

    async def GetTenant(self, request: tenant_pb2.GetTenantRequest, context: Context) -> tenant_pb2.GetTenantResponse:
        return tenant_pb2.GetTenantResponse(
            tenant=convert.tenant(await self._tenants.get(_meant(request.id), deletion(request)))
        )

    async def ListTenants(
        self, request: tenant_pb2.ListTenantsRequest, context: Context
    ) -> tenant_pb2.ListTenantsResponse:
        page = await self._tenants.page(self._pages.read(request), deletion(request), **convert.tenant_filters(request))
        return tenant_pb2.ListTenantsResponse(
            tenants=[convert.tenant(tenant) for tenant in page.items], next_page_token=self._pages.next(request, page)
        )

    async def UpdateTenant(
        self, request: tenant_pb2.UpdateTenantRequest, context: Context
    ) -> tenant_pb2.UpdateTenantResponse:
        tenant = await self._tenants.update(_meant(request.id), convert.tenant_changes(request), request.etag)
        return tenant_pb2.UpdateTenantResponse(tenant=convert.tenant(tenant))

    async def SuspendTenant(
        self, request: tenant_pb2.SuspendTenantRequest, context: Context
    ) -> tenant_pb2.SuspendTenantResponse:
        return tenant_pb2.SuspendTenantResponse(tenant=convert.tenant(await self._tenants.suspend(UUID(request.id))))

    async def ActivateTenant(
        self, request: tenant_pb2.ActivateTenantRequest, context: Context
    ) -> tenant_pb2.ActivateTenantResponse:
        return tenant_pb2.ActivateTenantResponse(tenant=convert.tenant(await self._tenants.activate(UUID(request.id))))

    async def DeleteTenant(
        self, request: tenant_pb2.DeleteTenantRequest, context: Context
    ) -> tenant_pb2.DeleteTenantResponse:
        await self._tenants.delete(UUID(request.id), request.etag)
        return tenant_pb2.DeleteTenantResponse()

    async def RestoreTenant(
        self, request: tenant_pb2.RestoreTenantRequest, context: Context
    ) -> tenant_pb2.RestoreTenantResponse:
        return tenant_pb2.RestoreTenantResponse(tenant=convert.tenant(await self._tenants.restore(UUID(request.id))))

    async def PurgeTenant(
        self, request: tenant_pb2.PurgeTenantRequest, context: Context
    ) -> tenant_pb2.PurgeTenantResponse:
        await self._tenants.purge(UUID(request.id))
        return tenant_pb2.PurgeTenantResponse()

    async def GetUsage(self, request: usage_pb2.GetUsageRequest, context: Context) -> usage_pb2.GetUsageResponse:
        return convert.usage(await self._tenants.usage(_meant(request.tenant_id)))

    async def ExportTenant(
        self, request: export_pb2.ExportTenantRequest, context: Context
    ) -> AsyncIterator[export_pb2.ExportTenantResponse]:
        after = parts.place(self._pages, request)
        async with aclosing(self._tenants.export(_meant(request.tenant_id), after)) as stream:
            async for part in stream:
                yield parts.response(self._pages, request, export_pb2.ExportTenantResponse, part)

    async def GetTenantConfig(
        self, request: tenant_config_pb2.GetTenantConfigRequest, context: Context
    ) -> tenant_config_pb2.GetTenantConfigResponse:
        tenant_id = _meant(request.tenant_id)
        return tenant_config_pb2.GetTenantConfigResponse(
            config=convert.config(tenant_id, await self._tenants.get_config(tenant_id))
        )

    async def UpdateTenantConfig(
        self, request: tenant_config_pb2.UpdateTenantConfigRequest, context: Context
    ) -> tenant_config_pb2.UpdateTenantConfigResponse:
        tenant_id = _meant(request.tenant_id)
        config = await self._tenants.update_config(tenant_id, convert.config_changes(request), request.etag)
        return tenant_config_pb2.UpdateTenantConfigResponse(config=convert.config(tenant_id, config))


def _meant(text: str) -> UUID:
    """The tenant that a request means: the one it names, or the caller's own."""
    return uuid_or_none(text) or current_call().caller.tenant_id
