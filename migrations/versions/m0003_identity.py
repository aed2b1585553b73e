"""People, roles, sessions and keys."""

from alembic import op

revision = "0003"
down_revision = "0002"

_STATEMENTS = (
    """
    CREATE TABLE users (
        tenant_id UUID NOT NULL,
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        username VARCHAR(100) NOT NULL,
        email VARCHAR(255) NOT NULL,
        username_key VARCHAR(100) GENERATED ALWAYS AS (lower(username)) STORED NOT NULL,
        email_key VARCHAR(255) GENERATED ALWAYS AS (lower(email)) STORED NOT NULL,
        password_hash VARCHAR(255),
        kind VARCHAR(20) DEFAULT 'person' NOT NULL,
        full_name VARCHAR(255),
        avatar_url TEXT,
        phone VARCHAR(50),
        locale VARCHAR(10) DEFAULT 'zh-CN' NOT NULL,
        timezone VARCHAR(50) DEFAULT 'Asia/Shanghai' NOT NULL,
        status VARCHAR(20) DEFAULT 'active' NOT NULL,
        email_verified BOOLEAN DEFAULT false NOT NULL,
        last_login_at TIMESTAMP WITH TIME ZONE,
        last_login_ip INET,
        login_attempts INTEGER DEFAULT 0 NOT NULL,
        locked_until TIMESTAMP WITH TIME ZONE,
        token_epoch INTEGER DEFAULT 0 NOT NULL,
        revision BIGINT DEFAULT 1 NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        deleted_at TIMESTAMP WITH TIME ZONE,
        deleted_by VARCHAR(100),
        CONSTRAINT pk_users PRIMARY KEY (tenant_id, id),
        CONSTRAINT fk_users_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT ck_users_status CHECK (status IN ('active', 'inactive', 'locked')),
        CONSTRAINT ck_users_kind CHECK (kind IN ('person', 'service')),
        CONSTRAINT ck_users_login_attempts CHECK (login_attempts >= 0)
    )
    """,
    "CREATE INDEX ix_users_deleted ON users (tenant_id, deleted_at) WHERE deleted_at IS NOT NULL",
    "CREATE INDEX ix_users_email_verified ON users (tenant_id, email_verified)",
    "CREATE INDEX ix_users_last_login_at ON users (tenant_id, last_login_at DESC)",
    "CREATE INDEX ix_users_live ON users (tenant_id, id DESC) WHERE deleted_at IS NULL",
    "CREATE INDEX ix_users_status ON users (tenant_id, status)",
    "CREATE UNIQUE INDEX uq_users_email_key ON users (tenant_id, email_key) WHERE deleted_at IS NULL",
    "CREATE UNIQUE INDEX uq_users_username_key ON users (tenant_id, username_key) WHERE deleted_at IS NULL",
    "COMMENT ON TABLE users IS 'The people and service accounts of a tenant.'",
    "COMMENT ON COLUMN users.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN users.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN users.username IS 'What they sign in with.'",
    "COMMENT ON COLUMN users.email IS 'Their e-mail address; they may sign in with it too.'",
    "COMMENT ON COLUMN users.username_key IS 'The username in lower case: what is unique.'",
    "COMMENT ON COLUMN users.email_key IS 'The e-mail address in lower case: what is unique.'",
    "COMMENT ON COLUMN users.password_hash IS 'argon2id; NULL: no sign-in with a password.'",
    "COMMENT ON COLUMN users.kind IS 'person or service.'",
    "COMMENT ON COLUMN users.full_name IS 'Their name, for people.'",
    "COMMENT ON COLUMN users.avatar_url IS 'Where their picture is.'",
    "COMMENT ON COLUMN users.phone IS 'Their telephone number.'",
    "COMMENT ON COLUMN users.locale IS 'Their language, a BCP 47 tag.'",
    "COMMENT ON COLUMN users.timezone IS 'Their time zone, by its IANA name.'",
    "COMMENT ON COLUMN users.status IS 'active, inactive or locked.'",
    "COMMENT ON COLUMN users.email_verified IS 'Whether the e-mail address is theirs.'",
    "COMMENT ON COLUMN users.last_login_at IS 'When they last signed in.'",
    "COMMENT ON COLUMN users.last_login_ip IS 'From where they last signed in.'",
    "COMMENT ON COLUMN users.login_attempts IS 'Failed sign-ins since the last good one.'",
    "COMMENT ON COLUMN users.locked_until IS 'Until when sign-ins are refused.'",
    "COMMENT ON COLUMN users.token_epoch IS 'Access tokens of an earlier epoch are refused.'",
    "COMMENT ON COLUMN users.revision IS 'Rises with every change that the API can make; its etag.'",
    "COMMENT ON COLUMN users.created_at IS 'When it was made.'",
    "COMMENT ON COLUMN users.updated_at IS 'When it last changed; a trigger''s.'",
    "COMMENT ON COLUMN users.deleted_at IS 'When it was deleted; NULL: it is live.'",
    "COMMENT ON COLUMN users.deleted_by IS 'Who deleted it.'",
    "ALTER TABLE users ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON users USING (tenant_id = nullif(current_setting('app.tenant_id', "
    "true), '')::uuid) WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "CREATE TRIGGER touch BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION atrium_touch()",
    "CREATE TRIGGER revise BEFORE UPDATE ON users FOR EACH ROW WHEN (OLD.username IS DISTINCT FROM "
    "NEW.username OR OLD.email IS DISTINCT FROM NEW.email OR OLD.full_name IS DISTINCT FROM NEW.full_name"
    " OR OLD.avatar_url IS DISTINCT FROM NEW.avatar_url OR OLD.phone IS DISTINCT FROM NEW.phone OR "
    "OLD.locale IS DISTINCT FROM NEW.locale OR OLD.timezone IS DISTINCT FROM NEW.timezone OR OLD.status "
    "IS DISTINCT FROM NEW.status OR OLD.email_verified IS DISTINCT FROM NEW.email_verified) EXECUTE "
    "FUNCTION atrium_revise()",
    "CREATE VIEW active_users WITH (security_invoker = true) AS SELECT * FROM users WHERE deleted_at IS NULL",
    "COMMENT ON VIEW active_users IS 'The live rows of users.'",
    "GRANT SELECT ON active_users TO atrium_app",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON users TO atrium_app",
    """
    CREATE TABLE roles (
        tenant_id UUID NOT NULL,
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        name VARCHAR(100) NOT NULL,
        code VARCHAR(100) NOT NULL,
        description TEXT,
        is_system BOOLEAN DEFAULT false NOT NULL,
        is_default BOOLEAN DEFAULT false NOT NULL,
        priority INTEGER DEFAULT 0 NOT NULL,
        revision BIGINT DEFAULT 1 NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        deleted_at TIMESTAMP WITH TIME ZONE,
        deleted_by VARCHAR(100),
        CONSTRAINT pk_roles PRIMARY KEY (tenant_id, id),
        CONSTRAINT fk_roles_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT ck_roles_priority CHECK (priority >= 0)
    )
    """,
    "CREATE INDEX ix_roles_deleted ON roles (tenant_id, deleted_at) WHERE deleted_at IS NOT NULL",
    "CREATE INDEX ix_roles_live ON roles (tenant_id, id DESC) WHERE deleted_at IS NULL",
    "CREATE UNIQUE INDEX uq_roles_code ON roles (tenant_id, code) WHERE deleted_at IS NULL",
    "COMMENT ON TABLE roles IS 'Named sets of permission entries.'",
    "COMMENT ON COLUMN roles.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN roles.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN roles.name IS 'Its name, for people.'",
    "COMMENT ON COLUMN roles.code IS 'Its name, for programs.'",
    "COMMENT ON COLUMN roles.description IS 'What it is for.'",
    "COMMENT ON COLUMN roles.is_system IS 'Whether it can be neither changed nor deleted.'",
    "COMMENT ON COLUMN roles.is_default IS 'Whether new users are given it.'",
    "COMMENT ON COLUMN roles.priority IS 'The higher one wins where roles disagree.'",
    "COMMENT ON COLUMN roles.revision IS 'Rises with every change that the API can make; its etag.'",
    "COMMENT ON COLUMN roles.created_at IS 'When it was made.'",
    "COMMENT ON COLUMN roles.updated_at IS 'When it last changed; a trigger''s.'",
    "COMMENT ON COLUMN roles.deleted_at IS 'When it was deleted; NULL: it is live.'",
    "COMMENT ON COLUMN roles.deleted_by IS 'Who deleted it.'",
    "ALTER TABLE roles ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON roles USING (tenant_id = nullif(current_setting('app.tenant_id', "
    "true), '')::uuid) WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "CREATE TRIGGER touch BEFORE UPDATE ON roles FOR EACH ROW EXECUTE FUNCTION atrium_touch()",
    "CREATE TRIGGER revise BEFORE UPDATE ON roles FOR EACH ROW WHEN (OLD.name IS DISTINCT FROM NEW.name "
    "OR OLD.code IS DISTINCT FROM NEW.code OR OLD.description IS DISTINCT FROM NEW.description OR "
    "OLD.is_default IS DISTINCT FROM NEW.is_default OR OLD.priority IS DISTINCT FROM NEW.priority) "
    "EXECUTE FUNCTION atrium_revise()",
    "CREATE VIEW active_roles WITH (security_invoker = true) AS SELECT * FROM roles WHERE deleted_at IS NULL",
    "COMMENT ON VIEW active_roles IS 'The live rows of roles.'",
    "GRANT SELECT ON active_roles TO atrium_app",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON roles TO atrium_app",
    """
    CREATE TABLE permissions (
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        resource VARCHAR(100) NOT NULL,
        action VARCHAR(100) NOT NULL,
        description TEXT NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_permissions PRIMARY KEY (id),
        CONSTRAINT uq_permissions_resource_action UNIQUE (resource, action)
    )
    """,
    "COMMENT ON TABLE permissions IS 'Every permission there is.'",
    "COMMENT ON COLUMN permissions.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN permissions.resource IS 'What it is about.'",
    "COMMENT ON COLUMN permissions.action IS 'What may be done; manage: everything.'",
    "COMMENT ON COLUMN permissions.description IS 'The same for people.'",
    "COMMENT ON COLUMN permissions.created_at IS 'When it was made.'",
    "GRANT SELECT ON permissions TO atrium_app",
    """
    CREATE TABLE user_roles (
        tenant_id UUID NOT NULL,
        user_id UUID NOT NULL,
        role_id UUID NOT NULL,
        granted_by UUID,
        expires_at TIMESTAMP WITH TIME ZONE,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_user_roles PRIMARY KEY (tenant_id, user_id, role_id),
        CONSTRAINT fk_user_roles_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT fk_user_roles_tenant_id_user_id FOREIGN KEY(tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE,
        CONSTRAINT fk_user_roles_tenant_id_role_id FOREIGN KEY(tenant_id, role_id) REFERENCES roles (tenant_id, id) ON DELETE CASCADE,
        CONSTRAINT fk_user_roles_tenant_id_granted_by FOREIGN KEY(tenant_id, granted_by) REFERENCES users (tenant_id, id)
    )
    """,
    "CREATE INDEX ix_user_roles_granted_by ON user_roles (tenant_id, granted_by)",
    "CREATE INDEX ix_user_roles_role_id ON user_roles (tenant_id, role_id)",
    "COMMENT ON TABLE user_roles IS 'Who holds which role.'",
    "COMMENT ON COLUMN user_roles.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN user_roles.user_id IS 'Who has the role.'",
    "COMMENT ON COLUMN user_roles.role_id IS 'The role.'",
    "COMMENT ON COLUMN user_roles.granted_by IS 'Who gave it; NULL: the platform.'",
    "COMMENT ON COLUMN user_roles.expires_at IS 'Until when; NULL: without end.'",
    "COMMENT ON COLUMN user_roles.created_at IS 'When it was made.'",
    "ALTER TABLE user_roles ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON user_roles USING (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON user_roles TO atrium_app",
    """
    CREATE TABLE role_permissions (
        tenant_id UUID NOT NULL,
        role_id UUID NOT NULL,
        permission_id UUID NOT NULL,
        effect VARCHAR(10) DEFAULT 'allow' NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_role_permissions PRIMARY KEY (tenant_id, role_id, permission_id),
        CONSTRAINT fk_role_permissions_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT fk_role_permissions_tenant_id_role_id FOREIGN KEY(tenant_id, role_id) REFERENCES roles (tenant_id, id) ON DELETE CASCADE,
        CONSTRAINT fk_role_permissions_permission_id FOREIGN KEY(permission_id) REFERENCES permissions (id) ON DELETE CASCADE,
        CONSTRAINT ck_role_permissions_effect CHECK (effect IN ('allow', 'deny'))
    )
    """,
    "CREATE INDEX ix_role_permissions_permission_id ON role_permissions (permission_id)",
    "COMMENT ON TABLE role_permissions IS 'What each role says of a permission.'",
    "COMMENT ON COLUMN role_permissions.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN role_permissions.role_id IS 'The role.'",
    "COMMENT ON COLUMN role_permissions.permission_id IS 'The permission.'",
    "COMMENT ON COLUMN role_permissions.effect IS 'allow or deny.'",
    "COMMENT ON COLUMN role_permissions.created_at IS 'When it was made.'",
    "ALTER TABLE role_permissions ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON role_permissions USING (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON role_permissions TO atrium_app",
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

    op.execute("DROP VIEW active_users")
    op.execute("DROP VIEW active_roles")
    for table in (
        "idempotency_keys",
        "signing_keys",
        "one_time_tokens",
        "api_keys",
        "sessions",
        "role_permissions",
        "user_roles",
        "permissions",
        "roles",
        "users",
    ):
        op.execute(f"DROP TABLE {table}")
