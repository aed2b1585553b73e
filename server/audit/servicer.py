"""The AuditService: converts, calls, converts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from uuid import UUID

from atrium.audit.v1 import audit_log_pb2, ddl_log_pb2, export_pb2, verify_pb2, watch_pb2
from server.audit import convert
from server.audit.service.reading import AuditReader
from server.audit.service.verifying import AuditVerifier
from server.audit.service.watching import AuditWatching
from server.rpc import parts
from server.rpc.chain import Context
from server.rpc.pages import Pages
from server.rpc.wire import moment


class AuditServicer:
    """The audit log, for who may read it."""

    def __init__(self, entries: AuditReader, watching: AuditWatching, verifier: AuditVerifier, pages: Pages) -> None:
        self._entries = entries
        self._watching = watching
        self._verifier = verifier
        self._pages = pages

    async def GetAuditLog(
        self, request: audit_log_pb2.GetAuditLogRequest, context: Context
    ) -> audit_log_pb2.GetAuditLogResponse:
        entry = await self._entries.get(UUID(request.id))
        return audit_log_pb2.GetAuditLogResponse(audit_log=convert.audit_log(entry))

    async def ListAuditLogs(
        self, request: audit_log_pb2.ListAuditLogsRequest, context: Context
    ) -> audit_log_pb2.ListAuditLogsResponse:
        page = await self._entries.page(self._pages.read(request), convert.wanted(request.filter))
        return audit_log_pb2.ListAuditLogsResponse(
            audit_logs=[convert.audit_log(entry) for entry in page.items],
            next_page_token=self._pages.next(request, page),
        )

    async def ListActions(
        self, request: audit_log_pb2.ListActionsRequest, context: Context
    ) -> audit_log_pb2.ListActionsResponse:
        return audit_log_pb2.ListActionsResponse(actions=await self._entries.actions())

    async def ExportAuditLogs(
        self, request: export_pb2.ExportAuditLogsRequest, context: Context
    ) -> AsyncIterator[export_pb2.ExportAuditLogsResponse]:
        after = parts.place(self._pages, request)
        async with aclosing(self._entries.export(convert.wanted(request.filter), after)) as stream:
            async for part in stream:
                yield parts.response(self._pages, request, export_pb2.ExportAuditLogsResponse, part)

    async def WatchAuditLogs(
        self, request: watch_pb2.WatchAuditLogsRequest, context: Context
    ) -> AsyncIterator[watch_pb2.WatchAuditLogsResponse]:
        after = self._pages.after(request)
        stream = self._watching.watch(convert.wanted(request.filter), None if after is None else UUID(bytes=after))
        async with aclosing(stream):
            async for news in stream:
                yield convert.news(news, self._pages.behind(request, news.behind.bytes))

    async def VerifyAuditLogs(
        self, request: verify_pb2.VerifyAuditLogsRequest, context: Context
    ) -> verify_pb2.VerifyAuditLogsResponse:
        since, until = (moment(request, name) for name in ("create_time_from", "create_time_until"))
        found = await self._verifier.verify(self._pages.read(request), since, until, convert.known(request))
        return convert.verification(found, self._pages.token(request, found.next_cursor))

    async def ListDdlLogs(
        self, request: ddl_log_pb2.ListDdlLogsRequest, context: Context
    ) -> ddl_log_pb2.ListDdlLogsResponse:
        page = await self._entries.ddl_changes(self._pages.read(request))
        return ddl_log_pb2.ListDdlLogsResponse(
            ddl_logs=[convert.ddl_log(change) for change in page.items],
            next_page_token=self._pages.next(request, page),
        )
