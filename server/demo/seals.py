"""The chapter on the seals over the audit log, with the two who act beside the API: the hourly job, and a forger."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from atrium.audit.v1 import verify_pb2
from atrium.identity.v1 import session_pb2
from server.audit.service.log import AuditLog
from server.audit.service.sealing import Sealing
from server.db.database import Database
from server.db.owner import connect_as_owner
from server.demo.stage import Session, Stage, hold
from server.identity.service.signing import SigningKeys
from server.settings import Settings

# The job leaves the last minutes out, for clocks that are set back; here none is.
_MARGIN = timedelta(0)
_FORGE = "UPDATE audit_logs SET action = 'users.update' WHERE tenant_id = $1 AND action = 'users.delete'"


class Seals:
    """Seals a tenant's log, and alters it past Atrium."""

    def __init__(self, stage: Stage, settings: Settings) -> None:
        self._stage = stage
        self._settings = settings

    async def chapter(self, session: Session) -> None:
        self._stage.chapter("Whoever alters the audit log in the database is found out")
        out, who = self._stage.out, {"metadata": session.metadata}
        tenant_id = UUID((await self._stage.identity.WhoAmI(session_pb2.WhoAmIRequest(), **who)).tenant_id)
        await self._seal(tenant_id)
        whole = await self._stage.audit.VerifyAuditLogs(verify_pb2.VerifyAuditLogsRequest(), **who)
        out.print(f"  {whole.entries} entries are sealed and signed; all are as they were")
        hold(whole.entries > 0 and not whole.findings, "the log is as it was sealed")
        out.print(f"  the database's owner: [dim]{_FORGE.replace('$1', '…')}[/]")
        await self._forge(tenant_id)
        forged = await self._stage.audit.VerifyAuditLogs(verify_pb2.VerifyAuditLogsRequest(), **who)
        for finding in forged.findings:
            kind = verify_pb2.Finding.Kind.Name(finding.kind).removeprefix("KIND_")
            since, until = (
                f"{moment.ToDatetime():%H:%M:%S}" for moment in (finding.create_time_from, finding.create_time_until)
            )
            out.print(f"  found: {kind}, among the {finding.sealed_entries} entries from {since} to {until}")
        hold(len(forged.findings) == 1, "the forgery is found")

    async def _seal(self, tenant_id: UUID) -> None:
        settings = self._settings
        async with Database.open(settings) as database:
            signing = SigningKeys(database, AuditLog(database), settings.master_keys, settings.access_life)
            sealing = Sealing(database, signing, _MARGIN)
            if (before := await sealing.horizon()) is not None:
                await sealing(tenant_id, before)

    async def _forge(self, tenant_id: UUID) -> None:
        async with connect_as_owner(self._settings.admin_database_url or "", "atrium demo") as owner:
            await owner.execute(_FORGE, tenant_id)
