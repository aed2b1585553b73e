"""Prompts: public is the platform's alone, versions cannot be changed, and what includes what is known."""

from alembic import op

revision = "0020"
down_revision = "0019"

_PLATFORM = "'00000000-0000-0000-0000-000000000000'"
_UP = (
    f"UPDATE prompt_templates SET visibility = 'tenant' WHERE visibility = 'public' AND tenant_id <> {_PLATFORM}",
    f"ALTER TABLE prompt_templates ADD CONSTRAINT ck_prompt_templates_public CHECK (visibility <> 'public' OR tenant_id = {_PLATFORM})",
    "COMMENT ON COLUMN prompt_templates.visibility IS 'Who sees it: personal (its owner), tenant, or public (every tenant; the platform''s alone).'",
    "DROP FUNCTION atrium_list_public_templates(uuid, text, integer)",
    "DELETE FROM role_permissions rp USING roles r, permissions p WHERE r.tenant_id = rp.tenant_id AND r.id = rp.role_id AND p.id = rp.permission_id AND (p.resource, p.action) = ('public_templates', 'manage') AND r.code <> 'super_admin'",
    "ALTER TABLE prompt_template_versions ADD COLUMN includes TEXT[]",
    "COMMENT ON COLUMN prompt_template_versions.includes IS 'Names or ids of the templates that it includes itself; NULL: none.'",
    # Of the versions that there are: a name too many only tells of a change too many.
    r"""
    UPDATE prompt_template_versions v SET includes = found.names
    FROM (
        SELECT tenant_id, id, array_agg(DISTINCT reference[1] ORDER BY reference[1]) AS names
        FROM prompt_template_versions,
            regexp_matches(content::text, $$include(?:\s|\\[nrt])*(?:'|\\")([A-Za-z0-9][A-Za-z0-9_.-]*)$$, 'g') AS reference
        GROUP BY tenant_id, id
    ) found
    WHERE v.tenant_id = found.tenant_id AND v.id = found.id
    """,
    "CREATE INDEX ix_prompt_template_versions_includes ON prompt_template_versions (tenant_id, template_id) WHERE includes IS NOT NULL",
    "REVOKE UPDATE, DELETE ON prompt_template_versions FROM atrium_app",
)
_DOWN = (
    "GRANT UPDATE, DELETE ON prompt_template_versions TO atrium_app",
    "ALTER TABLE prompt_template_versions DROP COLUMN includes",
    "INSERT INTO role_permissions (tenant_id, role_id, permission_id) SELECT r.tenant_id, r.id, p.id FROM roles r, permissions p WHERE r.is_system AND r.code IN ('super_admin', 'admin') AND (p.resource, p.action) = ('public_templates', 'manage') ON CONFLICT DO NOTHING",
    """
    CREATE FUNCTION atrium_list_public_templates(before uuid, wanted text, most integer)
    RETURNS SETOF public.prompt_templates
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
        SELECT found.* FROM public.tenants t CROSS JOIN LATERAL (
            SELECT p.* FROM public.prompt_templates p
            WHERE p.tenant_id = t.id AND p.visibility = 'public' AND p.deleted_at IS NULL AND p.id < before
              AND (wanted IS NULL OR p.category = wanted)
            ORDER BY p.id DESC LIMIT most
        ) found
        WHERE t.status = 'active'
        ORDER BY found.id DESC LIMIT most
    $$
    """,
    "COMMENT ON FUNCTION atrium_list_public_templates(uuid, text, integer) IS 'The public templates of active tenants, newest first.'",
    "REVOKE ALL ON FUNCTION atrium_list_public_templates(uuid, text, integer) FROM PUBLIC",
    "GRANT EXECUTE ON FUNCTION atrium_list_public_templates(uuid, text, integer) TO atrium_app",
    "COMMENT ON COLUMN prompt_templates.visibility IS 'Who sees it: personal (its owner), tenant, or public (every tenant).'",
    "ALTER TABLE prompt_templates DROP CONSTRAINT ck_prompt_templates_public",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
