"""The changes to the schema, which migrations and event triggers write down."""

from __future__ import annotations

from sqlalchemy import bindparam, func, select

from server.audit.domain import DdlChange
from server.audit.tables import ddl_audit_logs
from server.db.database import Tx
from server.db.statements import Statement
from server.kernel.paging import Page, PageRequest

# A script of many commands is the text of each of them.
_MOST_CHARACTERS = 2_000

_C = ddl_audit_logs.c
_FIELDS = {**_C, "command": func.left(_C.command, _MOST_CHARACTERS)}
_LIST = Statement(
    select(*(_FIELDS[name] for name in DdlChange.__dataclass_fields__))
    .where(_C.id < bindparam("before"))
    .order_by(_C.id.desc())
    .limit(bindparam("most"))
)


async def page(tx: Tx, request: PageRequest) -> Page[DdlChange]:
    """Changes, newest first."""
    found = [DdlChange(*row) for row in await tx.fetch(_LIST, before=request.before, most=request.size + 1)]
    return Page.cut(found, [change.id for change in found], request.size)
