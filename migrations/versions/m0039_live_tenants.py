"""A list of live tenants looks at live ones alone, however many deleted ones there are beside them."""

from alembic import op

revision = "0039"
down_revision = "0038"

_SIGNATURE = "before uuid, since uuid, wanted text, most integer, deleted text"
_WITH = "LANGUAGE {language} STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$ {body} $$"
_PLATFORM = "nullif(current_setting('app.tenant_id', true), '')::uuid = '00000000-0000-0000-0000-000000000000'"
_PAGE = "SELECT t.* FROM public.tenants t WHERE {condition} AND t.id < before AND t.id >= since ORDER BY t.id DESC LIMIT most"
_ANY = (
    "(t.deleted_at IS NULL OR deleted <> 'exclude') AND (t.deleted_at IS NOT NULL OR deleted <> 'only') "
    "AND (wanted IS NULL OR t.status = wanted)"
)

# A function is planned before its arguments are known: what an index is to serve stands in a statement of its own.
_UP = f"""
    BEGIN
        IF {_PLATFORM} THEN
            IF deleted = 'exclude' AND wanted IS NULL THEN
                RETURN QUERY {_PAGE.format(condition="t.deleted_at IS NULL")};
            ELSIF deleted = 'exclude' THEN
                RETURN QUERY {_PAGE.format(condition="t.deleted_at IS NULL AND t.status = wanted")};
            ELSE
                RETURN QUERY {_PAGE.format(condition=_ANY)};
            END IF;
        END IF;
    END
"""
_DOWN = _PAGE.format(condition=f"{_PLATFORM} AND {_ANY}")


def upgrade() -> None:
    _make("plpgsql", _UP)


def downgrade() -> None:
    _make("sql", _DOWN)


def _make(language: str, body: str) -> None:
    made = _WITH.format(language=language, body=body)
    op.execute(f"CREATE OR REPLACE FUNCTION atrium_list_tenants({_SIGNATURE}) RETURNS SETOF public.tenants {made}")
