"""Whoever is removed for good is named by no version and no label any more."""

from alembic import op

revision = "0037"
down_revision = "0036"

_UP = (
    # Versions are INSERT-only for the role that serves. Whoever made them may be removed for good all the same, and their
    # id with them: this does nothing else, and for no one who is there.
    """
    CREATE FUNCTION atrium_forget_author(author uuid) RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
        UPDATE public.prompt_template_versions v SET created_by = NULL
        WHERE v.tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid AND v.created_by = author
          AND NOT EXISTS (
              SELECT FROM public.users u WHERE u.tenant_id = v.tenant_id AND u.id = author AND u.deleted_at IS NULL
          )
    $$
    """,
    "COMMENT ON FUNCTION atrium_forget_author(uuid) IS "
    "'Has the versions of the running transaction''s tenant that this user made be made by nobody; unless they are live.'",
    "REVOKE ALL ON FUNCTION atrium_forget_author(uuid) FROM PUBLIC",
    "GRANT EXECUTE ON FUNCTION atrium_forget_author(uuid) TO atrium_app",
    # A label is moved by rows that are new: one whose mover is forgotten was moved when it was.
    "DROP TRIGGER touch ON prompt_labels",
    "CREATE TRIGGER touch BEFORE UPDATE ON prompt_labels FOR EACH ROW "
    "WHEN (OLD.moved_by IS NOT DISTINCT FROM NEW.moved_by) EXECUTE FUNCTION atrium_touch()",
)
_DOWN = (
    "DROP TRIGGER touch ON prompt_labels",
    "CREATE TRIGGER touch BEFORE UPDATE ON prompt_labels FOR EACH ROW EXECUTE FUNCTION atrium_touch()",
    "DROP FUNCTION atrium_forget_author(uuid)",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
