"""Sign-ins, keys, and calls that must not be made twice."""

from alembic import op

revision = "0004"
down_revision = "0003"

_STATEMENTS = (
    """
    CREATE TABLE sessions (
        tenant_id UUID NOT NULL,
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        user_id UUID NOT NULL,
        refresh_hash VARCHAR(64) NOT NULL,
        previous_hash VARCHAR(64),
        rotated_at TIMESTAMP WITH TIME ZONE,
        user_agent VARCHAR(500),
        ip_address INET,
        expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
        revoked_at TIMESTAMP WITH TIME ZONE,
        revoke_reason VARCHAR(100),
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_sessions PRIMARY KEY (tenant_id, id),
        CONSTRAINT fk_sessions_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT fk_sessions_tenant_id_user_id FOREIGN KEY(tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX ix_sessions_user_id ON sessions (tenant_id, user_id)",
    "COMMENT ON TABLE sessions IS 'Sign-ins: each a family of refresh tokens, of which one is good.'",
    "COMMENT ON COLUMN sessions.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN sessions.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN sessions.user_id IS 'Who is signed in.'",
    "COMMENT ON COLUMN sessions.refresh_hash IS 'SHA-256 of the refresh token that is good now.'",
    "COMMENT ON COLUMN sessions.previous_hash IS 'SHA-256 of the one before: whoever shows it ends the session.'",
    "COMMENT ON COLUMN sessions.rotated_at IS 'When the refresh token was last exchanged.'",
    "COMMENT ON COLUMN sessions.user_agent IS 'With what they signed in.'",
    "COMMENT ON COLUMN sessions.ip_address IS 'From where they signed in.'",
    "COMMENT ON COLUMN sessions.expires_at IS 'When it ends without use.'",
    "COMMENT ON COLUMN sessions.revoked_at IS 'When it was ended; NULL: it was not.'",
    "COMMENT ON COLUMN sessions.revoke_reason IS 'Why it was ended.'",
    "COMMENT ON COLUMN sessions.created_at IS 'When it was made.'",
    "COMMENT ON COLUMN sessions.updated_at IS 'When it last changed; a trigger''s.'",
    "ALTER TABLE sessions ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON sessions USING (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "CREATE TRIGGER touch BEFORE UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION atrium_touch()",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON sessions TO atrium_app",
    """
    CREATE TABLE api_keys (
        tenant_id UUID NOT NULL,
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        user_id UUID NOT NULL,
        name VARCHAR(100) NOT NULL,
        prefix VARCHAR(16) NOT NULL,
        secret_hash VARCHAR(64) NOT NULL,
        previous_hash VARCHAR(64),
        previous_valid_until TIMESTAMP WITH TIME ZONE,
        scopes TEXT[] NOT NULL,
        allowed_models TEXT[],
        expires_at TIMESTAMP WITH TIME ZONE,
        last_used_at TIMESTAMP WITH TIME ZONE,
        revoked_at TIMESTAMP WITH TIME ZONE,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_api_keys PRIMARY KEY (tenant_id, id),
        CONSTRAINT fk_api_keys_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT fk_api_keys_tenant_id_user_id FOREIGN KEY(tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE,
        CONSTRAINT uq_api_keys_prefix UNIQUE (tenant_id, prefix)
    )
    """,
    "CREATE INDEX ix_api_keys_user_id ON api_keys (tenant_id, user_id)",
    "COMMENT ON TABLE api_keys IS 'Keys that programs call with.'",
    "COMMENT ON COLUMN api_keys.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN api_keys.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN api_keys.user_id IS 'Whose key it is: a person''s or a service account''s.'",
    "COMMENT ON COLUMN api_keys.name IS 'Its name, for people.'",
    "COMMENT ON COLUMN api_keys.prefix IS 'Its beginning, by which it is found.'",
    "COMMENT ON COLUMN api_keys.secret_hash IS 'SHA-256 of the secret.'",
    "COMMENT ON COLUMN api_keys.previous_hash IS 'SHA-256 of the secret before the last rotation.'",
    "COMMENT ON COLUMN api_keys.previous_valid_until IS 'Until when the secret before is good too.'",
    "COMMENT ON COLUMN api_keys.scopes IS 'The permissions it is limited to.'",
    "COMMENT ON COLUMN api_keys.allowed_models IS 'The models it is limited to; NULL: all.'",
    "COMMENT ON COLUMN api_keys.expires_at IS 'When it ends; NULL: it does not.'",
    "COMMENT ON COLUMN api_keys.last_used_at IS 'When it was last used.'",
    "COMMENT ON COLUMN api_keys.revoked_at IS 'When it was ended; NULL: it was not.'",
    "COMMENT ON COLUMN api_keys.created_at IS 'When it was made.'",
    "COMMENT ON COLUMN api_keys.updated_at IS 'When it last changed; a trigger''s.'",
    "ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON api_keys USING (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "CREATE TRIGGER touch BEFORE UPDATE ON api_keys FOR EACH ROW EXECUTE FUNCTION atrium_touch()",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON api_keys TO atrium_app",
    """
    CREATE TABLE one_time_tokens (
        tenant_id UUID NOT NULL,
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        user_id UUID NOT NULL,
        purpose VARCHAR(50) NOT NULL,
        token_hash VARCHAR(64) NOT NULL,
        expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
        used_at TIMESTAMP WITH TIME ZONE,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_one_time_tokens PRIMARY KEY (tenant_id, id),
        CONSTRAINT fk_one_time_tokens_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT fk_one_time_tokens_tenant_id_user_id FOREIGN KEY(tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE,
        CONSTRAINT ck_one_time_tokens_purpose CHECK (purpose IN ('verify_email', 'reset_password')),
        CONSTRAINT uq_one_time_tokens_token_hash UNIQUE (tenant_id, token_hash)
    )
    """,
    "CREATE INDEX ix_one_time_tokens_user_id ON one_time_tokens (tenant_id, user_id)",
    "COMMENT ON TABLE one_time_tokens IS 'Tokens sent by mail, each good once.'",
    "COMMENT ON COLUMN one_time_tokens.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN one_time_tokens.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN one_time_tokens.user_id IS 'Whose token it is.'",
    "COMMENT ON COLUMN one_time_tokens.purpose IS 'verify_email or reset_password.'",
    "COMMENT ON COLUMN one_time_tokens.token_hash IS 'SHA-256 of the token.'",
    "COMMENT ON COLUMN one_time_tokens.expires_at IS 'Until when it is good.'",
    "COMMENT ON COLUMN one_time_tokens.used_at IS 'When it was used; NULL: it was not.'",
    "COMMENT ON COLUMN one_time_tokens.created_at IS 'When it was made.'",
    "ALTER TABLE one_time_tokens ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON one_time_tokens USING (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON one_time_tokens TO atrium_app",
    """
    CREATE TABLE signing_keys (
        kid VARCHAR(64) NOT NULL,
        public_key BYTEA NOT NULL,
        wrapped_private_key BYTEA NOT NULL,
        not_before TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        retires_at TIMESTAMP WITH TIME ZONE,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_signing_keys PRIMARY KEY (kid)
    )
    """,
    "COMMENT ON TABLE signing_keys IS 'The keys that access tokens are signed with.'",
    "COMMENT ON COLUMN signing_keys.kid IS 'The name that tokens call it by.'",
    "COMMENT ON COLUMN signing_keys.public_key IS 'Ed25519, 32 raw bytes.'",
    "COMMENT ON COLUMN signing_keys.wrapped_private_key IS 'The private key under the master key: "
    "AES-256-GCM, nonce first.'",
    "COMMENT ON COLUMN signing_keys.not_before IS 'From when it may sign.'",
    "COMMENT ON COLUMN signing_keys.retires_at IS 'From when its tokens are refused; NULL: not yet known.'",
    "COMMENT ON COLUMN signing_keys.created_at IS 'When it was made.'",
    "GRANT SELECT, INSERT, UPDATE ON signing_keys TO atrium_app",
    """
    CREATE TABLE idempotency_keys (
        tenant_id UUID NOT NULL,
        caller UUID NOT NULL,
        method VARCHAR(255) NOT NULL,
        key VARCHAR(128) NOT NULL,
        request_hash VARCHAR(64) NOT NULL,
        response BYTEA,
        status VARCHAR(20) NOT NULL,
        expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_idempotency_keys PRIMARY KEY (tenant_id, caller, method, key),
        CONSTRAINT fk_idempotency_keys_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT ck_idempotency_keys_status CHECK (status IN ('running', 'done'))
    )
    """,
    "CREATE INDEX ix_idempotency_keys_expires_at ON idempotency_keys (tenant_id, expires_at)",
    "COMMENT ON TABLE idempotency_keys IS 'Calls that must not be made twice.'",
    "COMMENT ON COLUMN idempotency_keys.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN idempotency_keys.caller IS 'Who called.'",
    "COMMENT ON COLUMN idempotency_keys.method IS 'What they called.'",
    "COMMENT ON COLUMN idempotency_keys.key IS 'The key they gave.'",
    "COMMENT ON COLUMN idempotency_keys.request_hash IS 'SHA-256 of the request: another body is refused.'",
    "COMMENT ON COLUMN idempotency_keys.response IS 'The first answer; NULL: not yet, or it held a secret.'",
    "COMMENT ON COLUMN idempotency_keys.status IS 'running or done.'",
    "COMMENT ON COLUMN idempotency_keys.expires_at IS 'Until when the key is remembered.'",
    "COMMENT ON COLUMN idempotency_keys.created_at IS 'When it was made.'",
    "ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON idempotency_keys USING (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_keys TO atrium_app",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in ("idempotency_keys", "signing_keys", "one_time_tokens", "api_keys", "sessions"):
        op.execute(f"DROP TABLE {table}")
