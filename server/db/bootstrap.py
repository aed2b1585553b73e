"""What belongs to the cluster and not to the schema: roles, the vector extension, event triggers."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import asyncpg

from server.db.errors import CONNECT_ERRORS, DatabaseRefused
from server.db.owner import refused
from server.db.pool import CONNECT_SECONDS
from server.db.rules import OWNER_ROLE, SERVING_ROLE
from server.db.versions import check_postgres, check_vector, is_older, least

_EVENTS = ("ddl_command_end", "sql_drop")

# Both may log in; neither has a password until somebody gives it one.
_ROLES = {
    OWNER_ROLE: "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE",
    SERVING_ROLE: "LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE",
}

_GROUND = """
SELECT current_setting('server_version_num')::int / 10000 AS postgres,
       current_setting('server_version') AS version,
       current_setting('server_encoding') AS encoding,
       (SELECT extversion FROM pg_extension WHERE extname = 'vector') AS vector,
       (SELECT default_version FROM pg_available_extensions WHERE name = 'vector') AS vector_available
"""

_FACTS = f"""
SELECT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS superuser,
       -- Before 16 every member may; since then a role that only made another one may not, until it is granted.
       CASE WHEN current_setting('server_version_num')::int >= 160000 THEN pg_has_role('{OWNER_ROLE}', 'SET')
            ELSE pg_has_role('{OWNER_ROLE}', 'MEMBER') END AS may_become_owner,
       EXISTS (SELECT FROM pg_extension WHERE extname = 'vector') AS vector,
       has_schema_privilege('{OWNER_ROLE}', 'public', 'CREATE') AS owner_creates,
       to_regnamespace('jobs') IS NOT NULL AS jobs,
       has_schema_privilege('{SERVING_ROLE}', 'public', 'USAGE') AS app_uses,
       has_schema_privilege('{SERVING_ROLE}', 'public', 'CREATE') AS app_creates,
       has_database_privilege('{SERVING_ROLE}', current_database(), 'TEMPORARY') AS app_makes_temporary,
       quote_ident(current_database()) AS database,
       EXISTS (SELECT FROM pg_event_trigger WHERE evtname = 'atrium_{_EVENTS[0]}') AS event_triggers
"""

# Runs with the rights of the superuser who makes it: whoever changes the schema need not be able to write its log.
_LOG_DDL = """
CREATE OR REPLACE FUNCTION public.atrium_log_ddl() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    done record;
BEGIN
    IF to_regclass('public.ddl_audit_logs') IS NULL THEN
        RETURN;  -- before the migration that makes it, and after the one that takes it away
    END IF;
    IF tg_event = 'sql_drop' THEN
        FOR done IN
            SELECT object_identity FROM pg_event_trigger_dropped_objects() WHERE original AND NOT is_temporary
        LOOP
            INSERT INTO public.ddl_audit_logs (command_tag, object_identity, command, "session_user", application_name)
            VALUES (tg_tag, done.object_identity, current_query(), session_user, current_setting('application_name'));
        END LOOP;
    ELSE
        FOR done IN
            SELECT command_tag, object_identity FROM pg_event_trigger_ddl_commands()
            WHERE schema_name IS DISTINCT FROM 'pg_temp' AND command_tag <> 'COMMENT'
        LOOP
            INSERT INTO public.ddl_audit_logs (command_tag, object_identity, command, "session_user", application_name)
            VALUES (done.command_tag, done.object_identity, current_query(), session_user,
                    current_setting('application_name'));
        END LOOP;
    END IF;
END
$$
"""


async def bootstrap(dsn: str) -> list[str]:
    """Makes what the schema stands on, where it is missing; what there is now, a sentence each.

    `dsn`: a superuser; or, where somebody else has made roles and extension, a role that owns the database. May be run
    again, by several at once. Raises DatabaseRefused, which says what is missing and who can make it.
    """
    try:
        connection: Any = await asyncpg.connect(
            dsn, timeout=CONNECT_SECONDS, server_settings={"application_name": "atrium bootstrap"}
        )
    except CONNECT_ERRORS as error:
        raise refused(error) from None
    try:
        await _check_ground(connection)
        await _make_roles(connection)
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext('atrium bootstrap'))")
            return await _prepare_database(connection)
    except asyncpg.InsufficientPrivilegeError as error:
        raise DatabaseRefused(
            f"ATRIUM_ADMIN_DATABASE_URL may not prepare the database ({error}): run `atrium migrate bootstrap` once "
            "as a superuser."
        ) from None
    finally:
        await connection.close()


async def _check_ground(connection: Any) -> None:
    """Before anything is made: what is refused leaves nothing behind."""
    facts = await connection.fetchrow(_GROUND)
    check_postgres("ATRIUM_ADMIN_DATABASE_URL", facts["postgres"], facts["version"])
    if facts["encoding"] != "UTF8":  # others lack characters, or do not know where one ends
        raise DatabaseRefused(
            f"The database of ATRIUM_ADMIN_DATABASE_URL is in {facts['encoding']}, and Atrium needs UTF8: make "
            "another, with `CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0`."
        )
    if (present := facts["vector"]) is not None:
        check_vector("ATRIUM_ADMIN_DATABASE_URL", present)
    elif (available := facts["vector_available"]) is None or is_older(available):
        found = "no pgvector" if available is None else f"pgvector {available}"
        raise DatabaseRefused(
            f"The server of ATRIUM_ADMIN_DATABASE_URL has {found}, and Atrium needs {least()} or newer: install it, "
            "and run this again."
        )


async def _make_roles(connection: Any) -> None:
    for role, options in _ROLES.items():
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role):
            # Roles are the cluster's: another database's bootstrap may make it in this moment.
            with suppress(asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
                await connection.execute(f"CREATE ROLE {role} {options}")


async def _prepare_database(connection: Any) -> list[str]:
    facts = await connection.fetchrow(_FACTS)
    if not facts["may_become_owner"]:  # as whoever makes the schema must
        await connection.execute(f"GRANT {OWNER_ROLE} TO CURRENT_USER")
    if not facts["owner_creates"]:
        await connection.execute(f"GRANT USAGE, CREATE ON SCHEMA public TO {OWNER_ROLE}")
    if not facts["jobs"]:  # made here, since the owner need not be one who makes schemas
        await connection.execute(f"CREATE SCHEMA IF NOT EXISTS jobs AUTHORIZATION {OWNER_ROLE}")
    if not facts["app_uses"]:
        await connection.execute(f"GRANT USAGE ON SCHEMA public TO {SERVING_ROLE}")
    if facts["app_creates"]:  # granted to everybody by clusters that were once older than 15
        await connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    if facts["app_makes_temporary"]:  # granted to everybody by every version; a temporary table could hide one of ours
        await connection.execute(f"REVOKE TEMPORARY ON DATABASE {facts['database']} FROM PUBLIC")
    if not facts["vector"]:
        await connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    done = [f"The roles {OWNER_ROLE} and {SERVING_ROLE} and the extension vector are there."]
    if facts["superuser"]:
        await _make_event_triggers(connection)
        done.append("Event triggers record every change to the schema in ddl_audit_logs.")
    elif facts["event_triggers"]:
        done.append("Event triggers record every change to the schema in ddl_audit_logs: they were made before.")
    else:
        done.append(
            "Event triggers need a superuser and were skipped: `atrium migrate` records its own changes to the schema."
        )
    return done


async def _make_event_triggers(connection: Any) -> None:
    await connection.execute(_LOG_DDL)
    present = {row["evtname"] for row in await connection.fetch("SELECT evtname FROM pg_event_trigger")}
    for event in _EVENTS:
        if f"atrium_{event}" not in present:
            await connection.execute(
                f"CREATE EVENT TRIGGER atrium_{event} ON {event} EXECUTE FUNCTION public.atrium_log_ddl()"
            )
