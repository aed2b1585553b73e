"""Models, what they cost, and the keys to their providers."""

from alembic import op

revision = "0005"
down_revision = "0004"

_STATEMENTS = (
    """
    CREATE TABLE models (
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        name VARCHAR(100) NOT NULL,
        provider VARCHAR(50) NOT NULL,
        model_type VARCHAR(20) NOT NULL,
        description TEXT,
        max_tokens INTEGER,
        dimensions INTEGER,
        supports_streaming BOOLEAN DEFAULT false NOT NULL,
        supports_function_calling BOOLEAN DEFAULT false NOT NULL,
        base_url TEXT,
        status VARCHAR(20) DEFAULT 'active' NOT NULL,
        deprecates_at TIMESTAMP WITH TIME ZONE,
        replacement_model_id UUID,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_models PRIMARY KEY (id),
        CONSTRAINT uq_models_name UNIQUE (name),
        CONSTRAINT fk_models_replacement_model_id FOREIGN KEY(replacement_model_id) REFERENCES models (id) ON DELETE RESTRICT,
        CONSTRAINT ck_models_provider CHECK (provider IN ('openai', 'anthropic', 'custom')),
        CONSTRAINT ck_models_model_type CHECK (model_type IN ('chat', 'embedding')),
        CONSTRAINT ck_models_status CHECK (status IN ('active', 'deprecated', 'disabled')),
        CONSTRAINT ck_models_max_tokens CHECK (max_tokens > 0),
        CONSTRAINT ck_models_dimensions CHECK (dimensions > 0)
    )
    """,
    "CREATE INDEX ix_models_replacement_model_id ON models (replacement_model_id)",
    "COMMENT ON TABLE models IS 'The models that every tenant can call.'",
    "COMMENT ON COLUMN models.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN models.name IS 'What calls name it by.'",
    "COMMENT ON COLUMN models.provider IS 'openai, anthropic or custom.'",
    "COMMENT ON COLUMN models.model_type IS 'chat or embedding.'",
    "COMMENT ON COLUMN models.description IS 'What it is good for.'",
    "COMMENT ON COLUMN models.max_tokens IS 'The most tokens of a call, read and written.'",
    "COMMENT ON COLUMN models.dimensions IS 'The length of its vectors, for an embedding model.'",
    "COMMENT ON COLUMN models.supports_streaming IS 'Whether it answers in parts.'",
    "COMMENT ON COLUMN models.supports_function_calling IS 'Whether it calls functions.'",
    "COMMENT ON COLUMN models.base_url IS 'Where it is reached; NULL: the provider''s own address.'",
    "COMMENT ON COLUMN models.status IS 'active, deprecated or disabled.'",
    "COMMENT ON COLUMN models.deprecates_at IS 'From when it should not be used any more.'",
    "COMMENT ON COLUMN models.replacement_model_id IS 'What to use in its place.'",
    "COMMENT ON COLUMN models.created_at IS 'When it was made.'",
    "COMMENT ON COLUMN models.updated_at IS 'When it last changed; a trigger''s.'",
    "CREATE TRIGGER touch BEFORE UPDATE ON models FOR EACH ROW EXECUTE FUNCTION atrium_touch()",
    "GRANT SELECT, INSERT, UPDATE ON models TO atrium_app",
    """
    CREATE TABLE model_prices (
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        model_id UUID NOT NULL,
        input_cost_per_1k NUMERIC(18, 9) NOT NULL,
        output_cost_per_1k NUMERIC(18, 9) NOT NULL,
        cached_input_cost_per_1k NUMERIC(18, 9),
        effective_from TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_model_prices PRIMARY KEY (id),
        CONSTRAINT fk_model_prices_model_id FOREIGN KEY(model_id) REFERENCES models (id) ON DELETE RESTRICT,
        CONSTRAINT ck_model_prices_input_cost_per_1k CHECK (input_cost_per_1k >= 0),
        CONSTRAINT ck_model_prices_output_cost_per_1k CHECK (output_cost_per_1k >= 0),
        CONSTRAINT ck_model_prices_cached_input_cost_per_1k CHECK (cached_input_cost_per_1k >= 0),
        CONSTRAINT uq_model_prices_model_id_effective_from UNIQUE (model_id, effective_from)
    )
    """,
    "COMMENT ON TABLE model_prices IS 'What models cost, and from when.'",
    "COMMENT ON COLUMN model_prices.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN model_prices.model_id IS 'Whose price it is.'",
    "COMMENT ON COLUMN model_prices.input_cost_per_1k IS 'USD per 1,000 tokens read.'",
    "COMMENT ON COLUMN model_prices.output_cost_per_1k IS 'USD per 1,000 tokens written.'",
    "COMMENT ON COLUMN model_prices.cached_input_cost_per_1k IS 'USD per 1,000 tokens read from the "
    "provider''s cache; NULL: as others.'",
    "COMMENT ON COLUMN model_prices.effective_from IS 'From when it is in force.'",
    "COMMENT ON COLUMN model_prices.created_at IS 'When it was made.'",
    "GRANT SELECT, INSERT ON model_prices TO atrium_app",
    """
    CREATE TABLE tenant_models (
        tenant_id UUID NOT NULL,
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        name VARCHAR(100) NOT NULL,
        provider VARCHAR(50) NOT NULL,
        model_type VARCHAR(20) NOT NULL,
        description TEXT,
        max_tokens INTEGER,
        dimensions INTEGER,
        supports_streaming BOOLEAN DEFAULT false NOT NULL,
        supports_function_calling BOOLEAN DEFAULT false NOT NULL,
        base_url TEXT,
        status VARCHAR(20) DEFAULT 'active' NOT NULL,
        deprecates_at TIMESTAMP WITH TIME ZONE,
        replacement_model_id UUID,
        input_cost_per_1k NUMERIC(18, 9) NOT NULL,
        output_cost_per_1k NUMERIC(18, 9) NOT NULL,
        cached_input_cost_per_1k NUMERIC(18, 9),
        revision BIGINT DEFAULT 1 NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_tenant_models PRIMARY KEY (tenant_id, id),
        CONSTRAINT fk_tenant_models_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT uq_tenant_models_name UNIQUE (tenant_id, name),
        CONSTRAINT ck_tenant_models_provider CHECK (provider IN ('openai', 'anthropic', 'custom')),
        CONSTRAINT ck_tenant_models_model_type CHECK (model_type IN ('chat', 'embedding')),
        CONSTRAINT ck_tenant_models_status CHECK (status IN ('active', 'deprecated', 'disabled')),
        CONSTRAINT ck_tenant_models_max_tokens CHECK (max_tokens > 0),
        CONSTRAINT ck_tenant_models_dimensions CHECK (dimensions > 0),
        CONSTRAINT ck_tenant_models_input_cost_per_1k CHECK (input_cost_per_1k >= 0),
        CONSTRAINT ck_tenant_models_output_cost_per_1k CHECK (output_cost_per_1k >= 0),
        CONSTRAINT ck_tenant_models_cached_input_cost_per_1k CHECK (cached_input_cost_per_1k >= 0)
    )
    """,
    "COMMENT ON TABLE tenant_models IS 'A tenant''s own models, which hide the platform''s of the same name.'",
    "COMMENT ON COLUMN tenant_models.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN tenant_models.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN tenant_models.name IS 'What calls name it by.'",
    "COMMENT ON COLUMN tenant_models.provider IS 'openai, anthropic or custom.'",
    "COMMENT ON COLUMN tenant_models.model_type IS 'chat or embedding.'",
    "COMMENT ON COLUMN tenant_models.description IS 'What it is good for.'",
    "COMMENT ON COLUMN tenant_models.max_tokens IS 'The most tokens of a call, read and written.'",
    "COMMENT ON COLUMN tenant_models.dimensions IS 'The length of its vectors, for an embedding model.'",
    "COMMENT ON COLUMN tenant_models.supports_streaming IS 'Whether it answers in parts.'",
    "COMMENT ON COLUMN tenant_models.supports_function_calling IS 'Whether it calls functions.'",
    "COMMENT ON COLUMN tenant_models.base_url IS 'Where it is reached; NULL: the provider''s own address.'",
    "COMMENT ON COLUMN tenant_models.status IS 'active, deprecated or disabled.'",
    "COMMENT ON COLUMN tenant_models.deprecates_at IS 'From when it should not be used any more.'",
    "COMMENT ON COLUMN tenant_models.replacement_model_id IS 'What to use in its place.'",
    "COMMENT ON COLUMN tenant_models.input_cost_per_1k IS 'USD per 1,000 tokens read.'",
    "COMMENT ON COLUMN tenant_models.output_cost_per_1k IS 'USD per 1,000 tokens written.'",
    "COMMENT ON COLUMN tenant_models.cached_input_cost_per_1k IS 'USD per 1,000 tokens read from the "
    "provider''s cache; NULL: as others.'",
    "COMMENT ON COLUMN tenant_models.revision IS 'Rises with every change that the API can make; its etag.'",
    "COMMENT ON COLUMN tenant_models.created_at IS 'When it was made.'",
    "COMMENT ON COLUMN tenant_models.updated_at IS 'When it last changed; a trigger''s.'",
    "ALTER TABLE tenant_models ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON tenant_models USING (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "CREATE TRIGGER touch BEFORE UPDATE ON tenant_models FOR EACH ROW EXECUTE FUNCTION atrium_touch()",
    "CREATE TRIGGER revise BEFORE UPDATE ON tenant_models FOR EACH ROW WHEN (OLD.name IS DISTINCT FROM "
    "NEW.name OR OLD.provider IS DISTINCT FROM NEW.provider OR OLD.model_type IS DISTINCT FROM "
    "NEW.model_type OR OLD.description IS DISTINCT FROM NEW.description OR OLD.max_tokens IS DISTINCT "
    "FROM NEW.max_tokens OR OLD.dimensions IS DISTINCT FROM NEW.dimensions OR OLD.supports_streaming IS "
    "DISTINCT FROM NEW.supports_streaming OR OLD.supports_function_calling IS DISTINCT FROM "
    "NEW.supports_function_calling OR OLD.base_url IS DISTINCT FROM NEW.base_url OR OLD.status IS "
    "DISTINCT FROM NEW.status OR OLD.deprecates_at IS DISTINCT FROM NEW.deprecates_at OR "
    "OLD.replacement_model_id IS DISTINCT FROM NEW.replacement_model_id OR OLD.input_cost_per_1k IS "
    "DISTINCT FROM NEW.input_cost_per_1k OR OLD.output_cost_per_1k IS DISTINCT FROM "
    "NEW.output_cost_per_1k OR OLD.cached_input_cost_per_1k IS DISTINCT FROM "
    "NEW.cached_input_cost_per_1k) EXECUTE FUNCTION atrium_revise()",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON tenant_models TO atrium_app",
    """
    CREATE TABLE model_routes (
        tenant_id UUID NOT NULL,
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        alias VARCHAR(100) NOT NULL,
        targets JSONB NOT NULL,
        fallbacks JSONB,
        retry JSONB,
        cooldown_seconds INTEGER DEFAULT 0 NOT NULL,
        cache_ttl_seconds INTEGER,
        revision BIGINT DEFAULT 1 NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_model_routes PRIMARY KEY (tenant_id, id),
        CONSTRAINT fk_model_routes_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT uq_model_routes_alias UNIQUE (tenant_id, alias),
        CONSTRAINT ck_model_routes_cooldown_seconds CHECK (cooldown_seconds >= 0),
        CONSTRAINT ck_model_routes_cache_ttl_seconds CHECK (cache_ttl_seconds >= 0)
    )
    """,
    "COMMENT ON TABLE model_routes IS 'Names behind which several models stand.'",
    "COMMENT ON COLUMN model_routes.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN model_routes.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN model_routes.alias IS 'What calls name it by.'",
    "COMMENT ON COLUMN model_routes.targets IS 'The models behind it, each with weight and priority.'",
    "COMMENT ON COLUMN model_routes.fallbacks IS 'What to try when a target fails, by the kind of failure.'",
    "COMMENT ON COLUMN model_routes.retry IS 'How often and how fast to try again.'",
    "COMMENT ON COLUMN model_routes.cooldown_seconds IS 'How long a failed target is left alone.'",
    "COMMENT ON COLUMN model_routes.cache_ttl_seconds IS 'How long an answer may be used again; NULL: never.'",
    "COMMENT ON COLUMN model_routes.revision IS 'Rises with every change that the API can make; its etag.'",
    "COMMENT ON COLUMN model_routes.created_at IS 'When it was made.'",
    "COMMENT ON COLUMN model_routes.updated_at IS 'When it last changed; a trigger''s.'",
    "ALTER TABLE model_routes ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON model_routes USING (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "CREATE TRIGGER touch BEFORE UPDATE ON model_routes FOR EACH ROW EXECUTE FUNCTION atrium_touch()",
    "CREATE TRIGGER revise BEFORE UPDATE ON model_routes FOR EACH ROW WHEN (OLD.alias IS DISTINCT FROM "
    "NEW.alias OR OLD.targets IS DISTINCT FROM NEW.targets OR OLD.fallbacks IS DISTINCT FROM "
    "NEW.fallbacks OR OLD.retry IS DISTINCT FROM NEW.retry OR OLD.cooldown_seconds IS DISTINCT FROM "
    "NEW.cooldown_seconds OR OLD.cache_ttl_seconds IS DISTINCT FROM NEW.cache_ttl_seconds) EXECUTE "
    "FUNCTION atrium_revise()",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON model_routes TO atrium_app",
    """
    CREATE TABLE tenant_keys (
        tenant_id UUID NOT NULL,
        wrapped_key BYTEA NOT NULL,
        key_id VARCHAR(64) NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_tenant_keys PRIMARY KEY (tenant_id),
        CONSTRAINT fk_tenant_keys_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id)
    )
    """,
    "COMMENT ON TABLE tenant_keys IS 'The key that each tenant''s secrets are kept under.'",
    "COMMENT ON COLUMN tenant_keys.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN tenant_keys.wrapped_key IS 'The tenant''s data key under the master key.'",
    "COMMENT ON COLUMN tenant_keys.key_id IS 'Which master key wrapped it.'",
    "COMMENT ON COLUMN tenant_keys.created_at IS 'When it was made.'",
    "COMMENT ON COLUMN tenant_keys.updated_at IS 'When it last changed; a trigger''s.'",
    "ALTER TABLE tenant_keys ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON tenant_keys USING (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "CREATE TRIGGER touch BEFORE UPDATE ON tenant_keys FOR EACH ROW EXECUTE FUNCTION atrium_touch()",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON tenant_keys TO atrium_app",
    """
    CREATE TABLE provider_credentials (
        tenant_id UUID NOT NULL,
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        provider VARCHAR(50) NOT NULL,
        name VARCHAR(100) NOT NULL,
        base_url TEXT,
        ciphertext BYTEA NOT NULL,
        nonce BYTEA NOT NULL,
        key_id VARCHAR(64) NOT NULL,
        last_four VARCHAR(4) NOT NULL,
        revision BIGINT DEFAULT 1 NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_provider_credentials PRIMARY KEY (tenant_id, id),
        CONSTRAINT fk_provider_credentials_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT uq_provider_credentials_name UNIQUE (tenant_id, provider, name),
        CONSTRAINT ck_provider_credentials_provider CHECK (provider IN ('openai', 'anthropic', 'custom'))
    )
    """,
    "COMMENT ON TABLE provider_credentials IS 'Tenants'' own keys to providers.'",
    "COMMENT ON COLUMN provider_credentials.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN provider_credentials.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN provider_credentials.provider IS 'openai, anthropic or custom.'",
    "COMMENT ON COLUMN provider_credentials.name IS 'Its name, for people.'",
    "COMMENT ON COLUMN provider_credentials.base_url IS 'The only address it is sent to; NULL: the provider''s own.'",
    "COMMENT ON COLUMN provider_credentials.ciphertext IS 'AES-256-GCM under the tenant''s data key, "
    "bound to tenant, row and column.'",
    "COMMENT ON COLUMN provider_credentials.nonce IS 'The nonce of the ciphertext.'",
    "COMMENT ON COLUMN provider_credentials.key_id IS 'Which master key wrapped the data key.'",
    "COMMENT ON COLUMN provider_credentials.last_four IS 'Its last characters, by which people know it.'",
    "COMMENT ON COLUMN provider_credentials.revision IS 'Rises with every change that the API can make; its etag.'",
    "COMMENT ON COLUMN provider_credentials.created_at IS 'When it was made.'",
    "COMMENT ON COLUMN provider_credentials.updated_at IS 'When it last changed; a trigger''s.'",
    "ALTER TABLE provider_credentials ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON provider_credentials USING (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "CREATE TRIGGER touch BEFORE UPDATE ON provider_credentials FOR EACH ROW EXECUTE FUNCTION atrium_touch()",
    "CREATE TRIGGER revise BEFORE UPDATE ON provider_credentials FOR EACH ROW WHEN (OLD.name IS DISTINCT "
    "FROM NEW.name OR OLD.base_url IS DISTINCT FROM NEW.base_url OR OLD.ciphertext IS DISTINCT FROM "
    "NEW.ciphertext) EXECUTE FUNCTION atrium_revise()",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON provider_credentials TO atrium_app",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in (
        "provider_credentials",
        "tenant_keys",
        "model_routes",
        "tenant_models",
        "model_prices",
        "models",
    ):
        op.execute(f"DROP TABLE {table}")
