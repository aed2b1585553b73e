"""What must hold for every table there is, and for every one that a later slice adds: asked of the catalogue itself."""

from __future__ import annotations

from typing import Any

import pytest

from server.db.rules import DEFINER_FUNCTIONS, OWNER_ROLE, SERVING_ROLE
from tests.databases import Scratch

# The root of tenancy: under row security by its `id`, which is the tenant.
ROOT = "tenants"
# Keyed by something else than (tenant_id, ...), since they belong to no tenant.
GLOBAL = ("alembic_version", "ddl_audit_logs", "model_prices", "models", "permissions", "signing_keys", ROOT)
# A number that neither counts nor measures: a trigger has it rise with every change.
ORDERS = "revision"
# Words that others add to: the resources that audit rows tell of, the types of media, the kinds of steps and of agents,
# and what happens to executions.
OPEN_WORDS = (
    "agent_configs.agent_type",
    "audit_logs.resource_type",
    "execution_events.event_type",
    "knowledge_documents.file_mime_type",
    "workflow_tasks.agent_type",
    "workflow_tasks.step_type",
)
_WORDS = "(^|_)(status|state|kind|type|tier|visibility|provider|effect|purpose|grain)$"
# The engine of jobs keeps its own schema, and pgvector its functions.
_OURS = "c.relnamespace = 'public'::regnamespace"
_OWN = "nullif(current_setting('app.tenant_id'::text, true), ''::text)"

# Each finds what breaks its rule, by name. A partition is looked at through its parent, but for what it could leak.
RULES = {
    "every table but the global ones has a tenant_id": f"""
        SELECT c.relname FROM pg_class c
        WHERE {_OURS} AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> ALL ($1)
            AND NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attname = 'tenant_id' AND attnotnull)
    """,
    "every tenant table is under row security, and not forced, which would bind its owner silently": f"""
        SELECT c.relname FROM pg_class c
        WHERE {_OURS} AND c.relkind IN ('r', 'p') AND (c.relname <> ALL ($1) OR c.relname = '{ROOT}')
            AND (NOT c.relrowsecurity OR c.relforcerowsecurity)
    """,
    "every tenant table has the one policy, for reading and for writing": f"""
        SELECT c.relname FROM pg_class c
        WHERE {_OURS} AND c.relkind IN ('r', 'p') AND NOT c.relispartition
            AND (c.relname <> ALL ($1) OR c.relname = '{ROOT}')
            AND (SELECT array_agg(ROW(p.polcmd, p.polpermissive, p.polroles, lower(pg_get_expr(p.polqual, p.polrelid)),
                                      lower(pg_get_expr(p.polwithcheck, p.polrelid)))::text)
                 FROM pg_policy p WHERE p.polrelid = c.oid)
                IS DISTINCT FROM (
                    SELECT ARRAY[ROW('*'::"char", true, '{{0}}'::oid[], own, own)::text]
                    FROM (SELECT '(' || CASE c.relname WHEN '{ROOT}' THEN 'id' ELSE 'tenant_id' END
                                 || $own$ = (nullif(current_setting('app.tenant_id'::text, true), ''::text))::uuid)$own$
                         ) wanted (own))
    """,
    "nothing is owned by the role that serves, and everything by the owner": f"""
        SELECT c.relname FROM pg_class c
        WHERE {_OURS} AND c.relkind IN ('r', 'p', 'v', 'm', 'S') AND c.relowner <> '{OWNER_ROLE}'::regrole
    """,
    "every primary and unique key of a tenant table is led by tenant_id": f"""
        SELECT k.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_class k ON k.oid = i.indexrelid
        WHERE {_OURS} AND i.indisunique AND c.relname <> ALL ($1)
            AND i.indkey[0] IS DISTINCT FROM (
                SELECT attnum FROM pg_attribute WHERE attrelid = c.oid AND attname = 'tenant_id')
    """,
    "every table has a primary key": f"""
        SELECT c.relname FROM pg_class c
        WHERE {_OURS} AND c.relkind IN ('r', 'p')
            AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary)
    """,
    "every foreign key between tenant tables is led by tenant_id on both sides": f"""
        SELECT f.conname FROM pg_constraint f
            JOIN pg_class c ON c.oid = f.conrelid JOIN pg_class t ON t.oid = f.confrelid
        WHERE {_OURS} AND f.contype = 'f' AND c.relname <> ALL ($1) AND t.relname <> ALL ($1)
            AND NOT EXISTS (
                SELECT FROM pg_attribute a, pg_attribute b
                WHERE a.attrelid = c.oid AND a.attnum = f.conkey[1] AND a.attname = 'tenant_id'
                    AND b.attrelid = t.oid AND b.attnum = f.confkey[1] AND b.attname = 'tenant_id')
    """,
    "every tenant table refers to its tenant": f"""
        SELECT c.relname FROM pg_class c
        WHERE {_OURS} AND c.relkind IN ('r', 'p') AND c.relname <> ALL ($1)
            AND NOT EXISTS (
                SELECT FROM pg_constraint f JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
                WHERE f.conrelid = c.oid AND f.contype = 'f' AND f.confrelid = '{ROOT}'::regclass
                    AND f.conkey = ARRAY[a.attnum])
    """,
    "no foreign key leads into a table that is divided by months from outside its family": f"""
        SELECT f.conname FROM pg_constraint f
            JOIN pg_class c ON c.oid = f.conrelid JOIN pg_class t ON t.oid = f.confrelid
        WHERE {_OURS} AND f.contype = 'f' AND t.relkind = 'p' AND NOT c.relispartition AND c.oid <> t.oid
            AND NOT (t.relname = 'workflow_executions' AND c.relkind = 'p')  -- whose parts are divided as it is
    """,
    "what is a log refers to nothing but its tenant, so that nothing that is removed alters it": f"""
        SELECT f.conname FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid
        WHERE {_OURS} AND f.contype = 'f' AND NOT c.relispartition AND f.confrelid <> '{ROOT}'::regclass
            AND c.relname IN ('audit_checkpoints', 'audit_logs', 'ddl_audit_logs', 'model_call_logs')
    """,
    "every foreign key has an index that begins with its columns": f"""
        SELECT f.conname FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid
        WHERE {_OURS} AND f.contype = 'f'
            AND NOT EXISTS (
                SELECT FROM pg_index i
                WHERE i.indrelid = c.oid AND i.indpred IS NULL
                    AND (i.indkey::int2[])[0 : cardinality(f.conkey) - 1] @> f.conkey)
    """,
    "every index of a tenant table that has an order is led by tenant_id, but for the keys of global tables": f"""
        SELECT k.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_class k ON k.oid = i.indexrelid
        WHERE {_OURS} AND c.relname <> ALL ($1) AND NOT c.relispartition
            AND k.relam = (SELECT oid FROM pg_am WHERE amname = 'btree')
            AND k.relname <> 'ix_role_permissions_permission_id'
            AND i.indkey[0] IS DISTINCT FROM (
                SELECT attnum FROM pg_attribute WHERE attrelid = c.oid AND attname = 'tenant_id')
    """,
    "every view asks with the rights of whoever asks it": f"""
        SELECT c.relname FROM pg_class c
        WHERE {_OURS} AND c.relkind IN ('v', 'm')
            AND NOT coalesce('security_invoker=true' = ANY (c.reloptions), false)
    """,
    "every table with deleted_at has its view of live rows": f"""
        SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'deleted_at'
        WHERE {_OURS} AND c.relkind IN ('r', 'p') AND NOT c.relispartition
            AND NOT EXISTS (SELECT FROM pg_class v WHERE v.relkind = 'v' AND v.relname = 'active_' || c.relname)
    """,
    "every updated_at has its trigger": f"""
        SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'updated_at'
        WHERE {_OURS} AND c.relkind IN ('r', 'p')
            AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = c.oid AND tgenabled = 'O'
                            AND tgfoid = 'atrium_touch()'::regprocedure)
    """,
    "every revision has its trigger": f"""
        SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'revision'
        WHERE {_OURS} AND c.relkind IN ('r', 'p')
            AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = c.oid AND tgenabled = 'O'
                            AND tgfoid = 'atrium_revise()'::regprocedure)
    """,
    "every table, view and column says what it is": f"""
        SELECT c.relname FROM pg_class c
        WHERE {_OURS} AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
            AND obj_description(c.oid, 'pg_class') IS NULL
        UNION ALL
        SELECT c.relname || '.' || a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE {_OURS} AND c.relkind IN ('r', 'p') AND NOT c.relispartition
            AND a.attnum > 0 AND NOT a.attisdropped AND col_description(c.oid, a.attnum) IS NULL
    """,
    "every number that counts or measures is in a CHECK": f"""
        SELECT c.relname || '.' || a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE {_OURS} AND c.relkind IN ('r', 'p') AND NOT c.relispartition
            AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> '{ORDERS}'
            AND a.atttypid IN (SELECT oid FROM pg_type WHERE typcategory = 'N' AND typname !~ '^(oid|reg|money)')
            AND NOT EXISTS (
                SELECT FROM pg_constraint k
                WHERE k.conrelid = c.oid AND k.contype = 'c' AND k.convalidated AND k.conkey @> ARRAY[a.attnum])
    """,
    "every state, kind, tier and the like is one of the words in its CHECK": f"""
        SELECT c.relname || '.' || a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE {_OURS} AND c.relkind IN ('r', 'p') AND NOT c.relispartition
            AND a.attnum > 0 AND NOT a.attisdropped AND a.attname ~ '{_WORDS}'
            AND c.relname || '.' || a.attname NOT IN {OPEN_WORDS}
            AND NOT EXISTS (
                SELECT FROM pg_constraint k
                WHERE k.conrelid = c.oid AND k.contype = 'c' AND k.convalidated AND k.conkey = ARRAY[a.attnum]
                    AND pg_get_constraintdef(k.oid) LIKE '%= ANY%')
    """,
    "every id is a version 7 UUID by default": f"""
        SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'id'
            LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE {_OURS} AND c.relkind IN ('r', 'p')
            AND pg_get_expr(d.adbin, d.adrelid) IS DISTINCT FROM 'atrium_uuid7()'
    """,
    "no time is without its zone": f"""
        SELECT c.relname || '.' || a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE {_OURS} AND c.relkind IN ('r', 'p') AND a.atttypid = 'timestamp'::regtype
    """,
    "only the functions on the list run with other rights than the caller's, and each fixes its search_path": """
        SELECT p.proname FROM pg_proc p
        WHERE p.prosecdef AND p.pronamespace::regnamespace::text <> ALL ('{pg_catalog,information_schema,jobs}')
            AND (p.pronamespace <> 'public'::regnamespace OR p.proname <> ALL ($2)
                OR NOT coalesce('search_path=pg_catalog, public, pg_temp' = ANY (p.proconfig), false))
    """,
    "nobody else may call them": """
        SELECT p.proname FROM pg_proc p
            CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) g
        WHERE p.prosecdef AND p.pronamespace::regnamespace::text <> ALL ('{pg_catalog,information_schema,jobs}')
            AND p.prorettype <> 'event_trigger'::regtype
            AND g.grantee NOT IN (p.proowner, 'atrium_app'::regrole)
    """,
    "the role that serves reaches partitions through their parents alone": f"""
        SELECT c.relname FROM pg_class c
        WHERE {_OURS} AND c.relispartition
            AND has_table_privilege('{SERVING_ROLE}', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')
    """,
    "the role that serves has no more than rows: no TRUNCATE, REFERENCES or TRIGGER": f"""
        SELECT c.relname FROM pg_class c
        WHERE {_OURS} AND has_table_privilege('{SERVING_ROLE}', c.oid, 'TRUNCATE, REFERENCES, TRIGGER')
    """,
    "the role that serves deletes no tenant, and alters nothing that is written down": f"""
        SELECT c.relname FROM pg_class c
        WHERE {_OURS} AND (
            c.relname = 'tenants' AND has_table_privilege('{SERVING_ROLE}', c.oid, 'DELETE')
            OR c.relname IN (
                'audit_logs', 'audit_checkpoints', 'ddl_audit_logs', 'model_call_logs', 'model_prices',
                'tenant_model_prices')
                AND has_table_privilege('{SERVING_ROLE}', c.oid, 'UPDATE, DELETE'))
    """,
    "the role that serves makes nothing": f"""
        SELECT nspname FROM pg_namespace
        WHERE nspname = 'public' AND has_schema_privilege('{SERVING_ROLE}', oid, 'CREATE')
    """,
    "no table divided by months has a default partition, which forbids detaching beside readers": """
        SELECT partrelid::regclass::text FROM pg_partitioned_table WHERE partdefid <> 0
    """,
}

# What breaks each of them: a rule that finds nothing in this would find nothing at all.
BREACHES = {
    "every table but the global ones has a tenant_id": "CREATE TABLE stray (id uuid)",
    "every tenant table is under row security": "ALTER TABLE users DISABLE ROW LEVEL SECURITY",
    "every tenant table has the one policy": "CREATE POLICY all_see ON users FOR SELECT USING (true)",
    "nothing is owned by the role that serves": "ALTER TABLE users OWNER TO atrium_app",
    "every primary and unique key": "CREATE UNIQUE INDEX stray ON users (email_key)",
    "every table has a primary key": "CREATE TABLE stray (tenant_id uuid)",
    "every foreign key between tenant tables": """
        ALTER TABLE users ADD COLUMN friend uuid, ADD UNIQUE (id);
        ALTER TABLE users ADD FOREIGN KEY (friend) REFERENCES users (id)
    """,
    "every tenant table refers to its tenant": "ALTER TABLE users DROP CONSTRAINT fk_users_tenant_id",
    "no foreign key leads into a table": """
        ALTER TABLE users ADD COLUMN log uuid;
        ALTER TABLE users ADD FOREIGN KEY (tenant_id, log) REFERENCES audit_logs (tenant_id, id)
    """,
    "what is a log refers": """
        ALTER TABLE model_call_logs ADD FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id)
    """,
    "every foreign key has an index": "DROP INDEX ix_sessions_user_id",
    "every index of a tenant table": "CREATE INDEX stray ON users (status)",
    "every view asks with the rights": "CREATE VIEW stray AS SELECT * FROM users",
    "every table with deleted_at": "DROP VIEW active_users",
    "every updated_at has its trigger": "ALTER TABLE users DISABLE TRIGGER touch",
    "every revision has its trigger": "DROP TRIGGER revise ON users",
    "every table, view and column says": "ALTER TABLE users ADD COLUMN nickname text",
    "every number that counts": "ALTER TABLE sessions ADD COLUMN uses integer DEFAULT 0 NOT NULL",
    "every state, kind, tier": "ALTER TABLE sessions ADD COLUMN client_kind text CHECK (client_kind <> '')",
    "every id is a version 7": "ALTER TABLE users ALTER COLUMN id SET DEFAULT gen_random_uuid()",
    "no time is without its zone": "ALTER TABLE users ADD COLUMN born timestamp",
    "only the functions on the list": """
        CREATE SCHEMA stray;
        CREATE FUNCTION stray.atrium_find_tenant() RETURNS int LANGUAGE sql SECURITY DEFINER
            SET search_path = pg_catalog, public, pg_temp AS 'SELECT 1'
    """,
    "nobody else may call them": "GRANT EXECUTE ON FUNCTION atrium_find_tenant(text) TO PUBLIC",
    "the role that serves reaches partitions": """
        DO $$ BEGIN EXECUTE (SELECT 'GRANT SELECT ON ' || inhrelid::regclass || ' TO atrium_app'
                             FROM pg_inherits WHERE inhparent = 'audit_logs'::regclass LIMIT 1); END $$
    """,
    "the role that serves has no more": "GRANT TRUNCATE ON users TO atrium_app",
    "the role that serves deletes no tenant": "GRANT DELETE ON audit_logs TO atrium_app",
    "the role that serves makes nothing": "GRANT CREATE ON SCHEMA public TO atrium_app",
    "no table divided by months": "CREATE TABLE stray PARTITION OF audit_logs DEFAULT",
}


async def _breaking(connection: Any, rule: str) -> list[str]:
    query = RULES[rule]
    arguments = [list(GLOBAL), list(DEFINER_FUNCTIONS)]
    # A rule that does not ask for an argument is not given it, whose type nothing would tell.
    if "$2" in query:
        query = query.replace("$2", "$1")
        arguments.reverse()
    rows = await connection.fetch(query, *arguments[: query.count("$1") > 0])
    return sorted({row[0] for row in rows})


@pytest.mark.parametrize("rule", RULES)
async def test_it_holds_that(rule: str, each_shared: Scratch) -> None:
    async with each_shared.connect() as admin:
        assert await _breaking(admin, rule) == []


@pytest.mark.parametrize("rule", RULES)
async def test_a_breach_is_found_of(rule: str, passing: Any) -> None:
    (breach,) = [breach for beginning, breach in BREACHES.items() if rule.startswith(beginning)]

    await passing.execute(breach)

    assert await _breaking(passing, rule) != []
