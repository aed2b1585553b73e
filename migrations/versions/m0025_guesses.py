"""What has attempts at a password wait that come from where its user signed in before: nothing but such attempts."""

from alembic import op

revision = "0025"
down_revision = "0024"

_UP = (
    """
    CREATE TABLE sign_in_guesses (
        tenant_id UUID NOT NULL,
        user_id UUID NOT NULL,
        address INET NOT NULL,
        failures INTEGER DEFAULT 1 NOT NULL,
        blocked_until TIMESTAMP WITH TIME ZONE,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_sign_in_guesses PRIMARY KEY (tenant_id, user_id, address),
        CONSTRAINT fk_sign_in_guesses_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT ck_sign_in_guesses_failures CHECK (failures >= 0)
    )
    """,
    "CREATE INDEX ix_sign_in_guesses_updated_at ON sign_in_guesses (tenant_id, updated_at)",
    "COMMENT ON TABLE sign_in_guesses IS "
    "'Failed attempts at a password from where its user had signed in before: they wait for nothing else.'",
    "COMMENT ON COLUMN sign_in_guesses.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN sign_in_guesses.user_id IS 'At whose password; nil: in a tenant that is not there.'",
    "COMMENT ON COLUMN sign_in_guesses.address IS 'From where, which they had signed in from before; IPv6: its /64.'",
    "COMMENT ON COLUMN sign_in_guesses.failures IS 'How many, one after the other, with those under way.'",
    "COMMENT ON COLUMN sign_in_guesses.blocked_until IS 'Until when the next ones are refused.'",
    "COMMENT ON COLUMN sign_in_guesses.created_at IS 'When it was made.'",
    "COMMENT ON COLUMN sign_in_guesses.updated_at IS 'When it last changed; a trigger''s.'",
    "ALTER TABLE sign_in_guesses ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON sign_in_guesses USING (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "CREATE TRIGGER touch BEFORE UPDATE ON sign_in_guesses FOR EACH ROW EXECUTE FUNCTION atrium_touch()",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON sign_in_guesses TO atrium_app",
    "COMMENT ON COLUMN sign_in_throttle.address IS 'From where sign-ins failed; of IPv6 the /64.'",
    "COMMENT ON COLUMN sign_in_throttle.failures IS 'How many, one after the other, with those under way.'",
    "COMMENT ON COLUMN users.login_attempts IS 'Failed sign-ins since the last good one, with those under way.'",
)
_DOWN = (
    "DROP TABLE sign_in_guesses",
    "COMMENT ON COLUMN sign_in_throttle.address IS 'From where sign-ins failed.'",
    "COMMENT ON COLUMN sign_in_throttle.failures IS 'How many, one after the other.'",
    "COMMENT ON COLUMN users.login_attempts IS 'Failed sign-ins since the last good one.'",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
