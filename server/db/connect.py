"""How the serving role connects, and whether the database behind it is one to serve from."""

from __future__ import annotations

import re
from contextlib import suppress
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from pgvector import HalfVector

from server.db.errors import DatabaseRefused
from server.db.pool import CONNECT_SECONDS, Connection
from server.db.revision import SCHEMA_REVISION
from server.db.rules import SERVING_ROLE
from server.db.versions import check_postgres, check_vector
from server.settings import Settings

# Sent with the start of a connection, so they cost no round trip. Behind PgBouncer they need its
# `ignore_startup_parameters`, and belong on the role instead.
_SERVER_SETTINGS = {
    "application_name": "atrium",
    "search_path": "public",
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "30s",
    "jit": "off",  # compiling a statement takes longer than any of ours runs
}
# Later than the server's own limit: it ends what waits for a server that does not answer at all.
_COMMAND_SECONDS = 35.0

# Its escape, and not the six characters themselves, which one more backslash stands before.
_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")

_FACTS = """
SELECT current_user::text AS role,
       current_setting('server_version_num')::int / 10000 AS postgres,
       current_setting('server_version') AS version,
       (SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'vector') AS vector,
       current_setting('default_transaction_isolation') AS isolation,
       -- MEMBER and not USAGE: what SET ROLE can reach counts too.
       EXISTS (SELECT FROM pg_catalog.pg_roles
               WHERE (rolsuper OR rolbypassrls) AND pg_has_role(oid, 'MEMBER')) AS unbound,
       EXISTS (SELECT FROM pg_catalog.pg_class
               WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v')
                 AND pg_has_role(relowner, 'MEMBER')) AS owns,
       to_regclass('public.alembic_version') IS NOT NULL AS migrated
"""


async def connect(settings: Settings) -> Connection:
    """A connection as the serving role: JSON as Python values, vectors in binary. Raises what asyncpg raises."""
    connection: Connection = await asyncpg.connect(
        settings.database_url,
        timeout=CONNECT_SECONDS,
        command_timeout=_COMMAND_SECONDS,
        server_settings=_SERVER_SETTINGS,
        statement_cache_size=500,
        max_cached_statement_lifetime=0,
    )
    try:
        await teach_json(connection)
        # pgvector's own codec, for the one of its types that there are columns of. Without the extension there is none,
        # which is told of by `check`.
        with suppress(ValueError):
            await connection.set_type_codec(
                "halfvec", schema="public", encoder=_encode_halfvec, decoder=HalfVector.from_binary, format="binary"
            )
    except BaseException:
        connection.terminate()
        raise
    return connection


async def teach_json(connection: Connection) -> None:
    """JSON goes and comes as Python values from now on."""
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_encode_jsonb, decoder=_decode_jsonb, format="binary"
    )
    await connection.set_type_codec(
        "json", schema="pg_catalog", encoder=_encode_json, decoder=orjson.loads, format="binary"
    )


async def check(connection: Connection) -> None:
    """Raises DatabaseRefused where this is no database to serve from, or the role is not one to serve as."""
    facts = await connection.fetchrow(_FACTS)
    assert facts is not None
    check_postgres("ATRIUM_DATABASE_URL", facts["postgres"], facts["version"])
    if (vector := facts["vector"]) is None:
        raise DatabaseRefused(
            "The database of ATRIUM_DATABASE_URL has no pgvector: install it on the server, "
            "then run `atrium migrate bootstrap`."
        )
    check_vector("ATRIUM_DATABASE_URL", vector)
    if facts["unbound"] or facts["owns"]:
        why = "may bypass row security" if facts["unbound"] else "owns tables, or is a member of a role that does"
        instead = (
            "take that away from it."
            if facts["role"] == SERVING_ROLE
            else f"connect as {SERVING_ROLE}, which `atrium migrate bootstrap` makes; the owner is for "
            "ATRIUM_ADMIN_DATABASE_URL."
        )
        raise DatabaseRefused(
            f"ATRIUM_DATABASE_URL connects as {facts['role']}, which {why}, so tenants would not be kept apart: "
            f"{instead}"
        )
    if facts["isolation"] != "read committed":  # what waits for a lock sees what was done meanwhile
        raise DatabaseRefused(
            f"ATRIUM_DATABASE_URL begins transactions as {facts['isolation']}, and Atrium needs read committed: give "
            f"the role {facts['role']} the setting default_transaction_isolation = 'read committed', with `ALTER ROLE`."
        )
    found: str | None = None
    if facts["migrated"]:
        try:
            found = await connection.fetchval("SELECT version_num FROM public.alembic_version")
        except asyncpg.InsufficientPrivilegeError:
            raise DatabaseRefused(
                f"ATRIUM_DATABASE_URL connects as {facts['role']}, which may not read the schema: connect as "
                "atrium_app, which `atrium migrate bootstrap` makes."
            ) from None
    # A newer schema serves this version too: migrations work beside the version of the code before them.
    if found is None or found < SCHEMA_REVISION:
        raise DatabaseRefused(
            f"The schema of ATRIUM_DATABASE_URL is {f'at revision {found}' if found else 'not there'}, and this "
            f"version needs {SCHEMA_REVISION}: run `atrium migrate up` with ATRIUM_ADMIN_DATABASE_URL set."
        )


def _encode_json(value: Any) -> bytes:
    text = orjson.dumps(value, default=_as_text)
    # PostgreSQL takes no NUL in its texts, and models write any: it is the sign for what cannot be shown then.
    return _NUL.sub(rb"\1\\ufffd", text) if b"\\u0000" in text else text


def _encode_jsonb(value: Any) -> bytes:
    return b"\x01" + _encode_json(value)  # the binary form is its version, 1, and the text


def _decode_jsonb(value: bytes) -> Any:
    return orjson.loads(value[1:])


def _encode_halfvec(value: Any) -> bytes:
    """Of a list or an array of numbers, or what a column gave."""
    encoded: bytes = (value if isinstance(value, HalfVector) else HalfVector(value)).to_binary()
    return encoded


def _as_text(value: object) -> str:
    """What JSON knows as text alone. asyncpg's UUID is a subclass, which orjson does not know by itself."""
    if isinstance(value, UUID | Decimal):
        return str(value)
    raise TypeError(f"no JSON form for {type(value).__name__}")
