"""What a session asks of its tenant's settings: whether an unverified user may do more than verify."""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.execute(
        """
        CREATE FUNCTION atrium_verified_email_required() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS $$
            SELECT EXISTS (
                SELECT FROM public.tenant_configs
                WHERE tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid AND require_verified_email
            )
        $$
        """
    )
    op.execute(
        "COMMENT ON FUNCTION atrium_verified_email_required() IS "
        "'Whether the tenant of the context lets only verified users do anything.'"
    )


def downgrade() -> None:
    op.execute("DROP FUNCTION atrium_verified_email_required()")
