"""What is kept of answers: those to give again, those to take up again, and those that a tenant wants kept."""

from alembic import op

revision = "0015"
down_revision = "0014"

_UP = (
    "ALTER TABLE model_call_logs ADD COLUMN cached BOOLEAN DEFAULT false NOT NULL",
    "COMMENT ON COLUMN model_call_logs.cached IS 'Whether the answer was given before.'",
    "UPDATE models SET supports_function_calling = true WHERE name IN ('gpt-4', 'gpt-3.5-turbo', 'claude-3-5-sonnet') AND provider IN ('openai', 'anthropic')",
    """
    CREATE TABLE call_contents (
        tenant_id UUID NOT NULL,
        call_log_id UUID NOT NULL,
        messages JSONB NOT NULL,
        answer JSONB,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_call_contents PRIMARY KEY (tenant_id, call_log_id),
        CONSTRAINT fk_call_contents_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id)
    )
    """,
    "CREATE INDEX ix_call_contents_created_at ON call_contents (tenant_id, created_at)",
    "COMMENT ON TABLE call_contents IS 'Prompts and answers, of tenants that keep them.'",
    "COMMENT ON COLUMN call_contents.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN call_contents.call_log_id IS 'Whose prompt and answer: a record of a call.'",
    "COMMENT ON COLUMN call_contents.messages IS 'What was asked.'",
    "COMMENT ON COLUMN call_contents.answer IS 'What was answered; NULL: nothing was.'",
    "COMMENT ON COLUMN call_contents.created_at IS 'When it was made.'",
    "ALTER TABLE call_contents ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON call_contents USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON call_contents TO atrium_app",
    """
    CREATE TABLE response_cache (
        tenant_id UUID NOT NULL,
        question_hash BYTEA NOT NULL,
        answer JSONB NOT NULL,
        expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_response_cache PRIMARY KEY (tenant_id, question_hash),
        CONSTRAINT fk_response_cache_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id)
    )
    """,
    "CREATE INDEX ix_response_cache_expires_at ON response_cache (tenant_id, expires_at)",
    "COMMENT ON TABLE response_cache IS 'Answers that may be given again.'",
    "COMMENT ON COLUMN response_cache.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN response_cache.question_hash IS 'SHA-256 of all that the answer depends on.'",
    "COMMENT ON COLUMN response_cache.answer IS 'The answer.'",
    "COMMENT ON COLUMN response_cache.expires_at IS 'Until when it may be given again.'",
    "COMMENT ON COLUMN response_cache.created_at IS 'When it was made.'",
    "ALTER TABLE response_cache ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON response_cache USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON response_cache TO atrium_app",
    """
    CREATE TABLE embedding_cache (
        tenant_id UUID NOT NULL,
        model_id UUID NOT NULL,
        content_hash BYTEA NOT NULL,
        vector BYTEA NOT NULL,
        expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_embedding_cache PRIMARY KEY (tenant_id, model_id, content_hash),
        CONSTRAINT fk_embedding_cache_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id)
    )
    """,
    "CREATE INDEX ix_embedding_cache_expires_at ON embedding_cache (tenant_id, expires_at)",
    "COMMENT ON TABLE embedding_cache IS 'Vectors that may be given again.'",
    "COMMENT ON COLUMN embedding_cache.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN embedding_cache.model_id IS 'Whose vector.'",
    "COMMENT ON COLUMN embedding_cache.content_hash IS 'SHA-256 of the text and the state of its model.'",
    "COMMENT ON COLUMN embedding_cache.vector IS 'Little-endian floats of 32 bits.'",
    "COMMENT ON COLUMN embedding_cache.expires_at IS 'Until when it may be given again.'",
    "COMMENT ON COLUMN embedding_cache.created_at IS 'When it was made.'",
    "ALTER TABLE embedding_cache ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON embedding_cache USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON embedding_cache TO atrium_app",
    """
    CREATE TABLE generations (
        tenant_id UUID NOT NULL,
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        user_id UUID NOT NULL,
        cancelled BOOLEAN DEFAULT false NOT NULL,
        ended BOOLEAN DEFAULT false NOT NULL,
        kept_until TIMESTAMP WITH TIME ZONE NOT NULL,
        expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_generations PRIMARY KEY (tenant_id, id),
        CONSTRAINT fk_generations_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id)
    )
    """,
    "CREATE INDEX ix_generations_expires_at ON generations (tenant_id, expires_at)",
    "COMMENT ON TABLE generations IS 'Streams that can be taken up again.'",
    "COMMENT ON COLUMN generations.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN generations.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN generations.user_id IS 'Whose it is.'",
    "COMMENT ON COLUMN generations.cancelled IS 'Whether it was asked to end.'",
    "COMMENT ON COLUMN generations.ended IS 'Whether its last event is written.'",
    "COMMENT ON COLUMN generations.kept_until IS 'When its server counts as gone, unless it says otherwise.'",
    "COMMENT ON COLUMN generations.expires_at IS 'Until when it can be read.'",
    "COMMENT ON COLUMN generations.created_at IS 'When it was made.'",
    "ALTER TABLE generations ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON generations USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON generations TO atrium_app",
    """
    CREATE TABLE generation_events (
        tenant_id UUID NOT NULL,
        generation_id UUID NOT NULL,
        last_seq BIGINT NOT NULL,
        first_seq BIGINT NOT NULL,
        messages BYTEA[] NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_generation_events PRIMARY KEY (tenant_id, generation_id, last_seq),
        CONSTRAINT fk_generation_events_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT fk_generation_events_tenant_id_generation_id FOREIGN KEY(tenant_id, generation_id) REFERENCES generations (tenant_id, id) ON DELETE CASCADE
    )
    """,
    "COMMENT ON TABLE generation_events IS 'The events of streams that can be taken up again, in runs of those that came together.'",
    "COMMENT ON COLUMN generation_events.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN generation_events.generation_id IS 'Whose events.'",
    "COMMENT ON COLUMN generation_events.last_seq IS 'The last of them.'",
    "COMMENT ON COLUMN generation_events.first_seq IS 'The first of them.'",
    "COMMENT ON COLUMN generation_events.messages IS 'The events as they are sent, one after the other.'",
    "COMMENT ON COLUMN generation_events.created_at IS 'When it was made.'",
    "ALTER TABLE generation_events ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON generation_events USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON generation_events TO atrium_app",
)
_DOWN = (
    "DROP TABLE generation_events",
    "DROP TABLE generations",
    "DROP TABLE embedding_cache",
    "DROP TABLE response_cache",
    "DROP TABLE call_contents",
    "UPDATE models SET supports_function_calling = false WHERE name IN ('gpt-4', 'gpt-3.5-turbo', 'claude-3-5-sonnet') AND provider IN ('openai', 'anthropic')",
    "ALTER TABLE model_call_logs DROP COLUMN cached",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
