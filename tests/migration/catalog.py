"""What a database's catalogue says of our schema, in words that two databases can be compared by."""

from __future__ import annotations

from typing import Any

_QUERIES = {
    "tables": """
        SELECT c.relname || ' ' || c.relkind::text || coalesce(' ' || pg_get_partkeydef(c.oid), '')
            || ' row security ' || c.relrowsecurity || ' forced ' || c.relforcerowsecurity
            || coalesce(' ' || array_to_string(c.reloptions, ','), '')
            || ': ' || coalesce(obj_description(c.oid, 'pg_class'), '')
        FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND {ours}
    """,
    "columns": """
        SELECT c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
            || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END || ' ' || a.attgenerated::text
            || coalesce(' = ' || pg_get_expr(d.adbin, d.adrelid), '')
            || ': ' || coalesce(col_description(c.oid, a.attnum), '')
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND {ours}
    """,
    "constraints": """
        SELECT c.relname || ' ' || k.conname || ' ' || pg_get_constraintdef(k.oid)
        FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
        WHERE c.relnamespace = 'public'::regnamespace AND k.contype <> 'n' AND {ours}
            AND k.conparentid = 0  -- and not what a foreign key into months has for each of them
    """,
    "indexes": """
        SELECT pg_get_indexdef(i.indexrelid)
        FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
        WHERE c.relnamespace = 'public'::regnamespace AND {ours}
    """,
    "triggers": """
        SELECT pg_get_triggerdef(t.oid)
        FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        WHERE c.relnamespace = 'public'::regnamespace AND NOT t.tgisinternal AND {ours}
    """,
    "policies": """
        SELECT c.relname || ' ' || p.polname || ' ' || p.polcmd::text || ' ' || p.polpermissive
            || ' ' || p.polroles::regrole[]::text
            || ' USING ' || coalesce(pg_get_expr(p.polqual, p.polrelid), '')
            || ' WITH CHECK ' || coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '')
        FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
        WHERE c.relnamespace = 'public'::regnamespace AND {ours}
    """,
    "views": """
        SELECT c.relname || ' ' || pg_get_viewdef(c.oid)
        FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'v' AND {ours}
    """,
    "grants": """
        SELECT c.relname || ' ' || g.grantee::regrole::text || ' ' || g.privilege_type
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) g
        WHERE c.relnamespace = 'public'::regnamespace AND g.grantee <> c.relowner AND {ours}
    """,
    "functions": """
        SELECT pg_get_functiondef(p.oid) || coalesce(p.proacl::text, '') || p.proowner::regrole::text
            || coalesce(obj_description(p.oid, 'pg_proc'), '')
        FROM pg_proc p
        WHERE p.pronamespace = 'public'::regnamespace
            AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
    """,
}

# Not the months, which come and go, nor Alembic's own table.
_OURS = "NOT c.relispartition AND c.relname <> 'alembic_version'"


async def describe(connection: Any) -> dict[str, list[str]]:
    """Every table, column, constraint, index, trigger, policy, view, grant and function of the schema, a line each."""
    return {
        kind: sorted(row[0] for row in await connection.fetch(query.format(ours=_OURS)))
        for kind, query in _QUERIES.items()
    }
