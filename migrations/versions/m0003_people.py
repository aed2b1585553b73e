"""People, their roles, and what these allow."""

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
    "CREATE INDEX ix_users_email_verified ON users (tenant_id, email_verified, id DESC) WHERE deleted_at IS NULL",
    "CREATE INDEX ix_users_last_login_at ON users (tenant_id, last_login_at DESC) WHERE deleted_at IS NULL",
    "CREATE INDEX ix_users_live ON users (tenant_id, id DESC) WHERE deleted_at IS NULL",
    "CREATE INDEX ix_users_status ON users (tenant_id, status, id DESC) WHERE deleted_at IS NULL",
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
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP VIEW active_users")
    op.execute("DROP VIEW active_roles")
    for table in ("role_permissions", "user_roles", "permissions", "roles", "users"):
        op.execute(f"DROP TABLE {table}")
