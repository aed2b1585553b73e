"""What belongs to the cluster and not to the schema: roles, the vector extension, event triggers."""

from __future__ import annotations

from typing import Any

import asyncpg

from server.db.rules import OWNER_ROLE, SERVING_ROLE

_ROLES = f"""
DO $$
BEGIN
    -- Roles are the cluster's: of two databases made at once, one finds them there.
    PERFORM pg_advisory_xact_lock(hashtext('atrium roles'));
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{OWNER_ROLE}') THEN
        CREATE ROLE {OWNER_ROLE} NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{SERVING_ROLE}') THEN
        CREATE ROLE {SERVING_ROLE} LOGIN NOBYPASSRLS NOSUPERUSER NOCREATEDB NOCREATEROLE;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END
$$
"""

_LOG_DDL = """
CREATE OR REPLACE FUNCTION atrium_log_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE
    item record;
BEGIN
    IF to_regclass('public.ddl_audit_logs') IS NULL THEN
        RETURN;
    END IF;
    IF tg_event = 'sql_drop' THEN
        FOR item IN SELECT object_identity FROM pg_event_trigger_dropped_objects() WHERE original LOOP
            INSERT INTO public.ddl_audit_logs (command_tag, object_identity, command, "session_user", application_name)
            VALUES (tg_tag, item.object_identity, current_query(), session_user, current_setting('application_name'));
        END LOOP;
    ELSE
        FOR item IN SELECT command_tag, object_identity FROM pg_event_trigger_ddl_commands()
                    WHERE schema_name IS DISTINCT FROM 'pg_temp' LOOP
            INSERT INTO public.ddl_audit_logs (command_tag, object_identity, command, "session_user", application_name)
            VALUES (item.command_tag, item.object_identity, current_query(), session_user,
                    current_setting('application_name'));
        END LOOP;
    END IF;
END
$$
"""


async def bootstrap(dsn: str) -> list[str]:
    """Makes what the schema stands on, where it is missing; what was done, a sentence each.

    `dsn`: a superuser, or a role that may create roles and owns the database. May be run again.
    """
    connection: Any = await asyncpg.connect(dsn, timeout=10, server_settings={"application_name": "atrium bootstrap"})
    try:
        await connection.execute(_ROLES)
        await connection.execute(f"GRANT {OWNER_ROLE} TO CURRENT_USER")
        await connection.execute(f"GRANT CREATE, USAGE ON SCHEMA public TO {OWNER_ROLE}")
        await connection.execute(f"GRANT USAGE ON SCHEMA public TO {SERVING_ROLE}")
        await connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        done = [f"The roles {OWNER_ROLE} and {SERVING_ROLE} and the extension vector are there."]
        superuser = await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        if superuser:
            await connection.execute(_LOG_DDL)
            for event in ("ddl_command_end", "sql_drop"):
                await connection.execute(f"DROP EVENT TRIGGER IF EXISTS atrium_{event}")
                await connection.execute(
                    f"CREATE EVENT TRIGGER atrium_{event} ON {event} EXECUTE FUNCTION atrium_log_ddl()"
                )
            done.append("Event triggers record every change to the schema in ddl_audit_logs.")
        else:
            done.append("Event triggers need a superuser and were skipped: `atrium migrate` records its own changes.")
        return done
    finally:
        await connection.close()
