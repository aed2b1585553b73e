"""The record of calls to models, what they add up to, and what is held of each limit."""

from alembic import op

revision = "0006"
down_revision = "0005"

_STATEMENTS = (
    """
    CREATE TABLE model_call_logs (
        tenant_id UUID NOT NULL,
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        user_id UUID,
        api_key_id UUID,
        model_id UUID NOT NULL,
        prompt_template_version_id UUID,
        request_kind VARCHAR(20) NOT NULL,
        prompt_tokens INTEGER DEFAULT 0 NOT NULL,
        completion_tokens INTEGER DEFAULT 0 NOT NULL,
        cached_tokens INTEGER DEFAULT 0 NOT NULL,
        total_tokens INTEGER DEFAULT 0 NOT NULL,
        total_cost NUMERIC(18, 9),
        latency_ms INTEGER,
        time_to_first_token_ms INTEGER,
        status VARCHAR(20) NOT NULL,
        error_code VARCHAR(100),
        finish_reason VARCHAR(50),
        workflow_execution_id UUID,
        task_id UUID,
        trace_id VARCHAR(100),
        request_id VARCHAR(100),
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_model_call_logs PRIMARY KEY (tenant_id, id),
        CONSTRAINT fk_model_call_logs_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT ck_model_call_logs_request_kind CHECK (request_kind IN ('chat', 'embedding')),
        CONSTRAINT ck_model_call_logs_status CHECK (status IN ('success', 'error', 'cancelled')),
        CONSTRAINT ck_model_call_logs_prompt_tokens CHECK (prompt_tokens >= 0),
        CONSTRAINT ck_model_call_logs_completion_tokens CHECK (completion_tokens >= 0),
        CONSTRAINT ck_model_call_logs_cached_tokens CHECK (cached_tokens >= 0),
        CONSTRAINT ck_model_call_logs_total_tokens CHECK (total_tokens >= 0),
        CONSTRAINT ck_model_call_logs_total_cost CHECK (total_cost >= 0),
        CONSTRAINT ck_model_call_logs_latency_ms CHECK (latency_ms >= 0),
        CONSTRAINT ck_model_call_logs_time_to_first_token_ms CHECK (time_to_first_token_ms >= 0)
    )
     PARTITION BY RANGE (id)
    """,
    "CREATE INDEX ix_model_call_logs_model_id ON model_call_logs (tenant_id, model_id, id DESC)",
    "CREATE INDEX ix_model_call_logs_trace_id ON model_call_logs (tenant_id, trace_id)",
    "CREATE INDEX ix_model_call_logs_workflow_execution_id ON model_call_logs (tenant_id, workflow_execution_id)"
    " WHERE workflow_execution_id IS NOT NULL",
    "CREATE INDEX ix_model_call_logs_user_id ON model_call_logs (tenant_id, user_id, id DESC)",
    "COMMENT ON TABLE model_call_logs IS 'The record of each call to a model.'",
    "COMMENT ON COLUMN model_call_logs.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN model_call_logs.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN model_call_logs.user_id IS 'Who called.'",
    "COMMENT ON COLUMN model_call_logs.api_key_id IS 'With which key.'",
    "COMMENT ON COLUMN model_call_logs.model_id IS 'What was called.'",
    "COMMENT ON COLUMN model_call_logs.prompt_template_version_id IS 'With which prompt.'",
    "COMMENT ON COLUMN model_call_logs.request_kind IS 'chat or embedding.'",
    "COMMENT ON COLUMN model_call_logs.prompt_tokens IS 'Tokens read.'",
    "COMMENT ON COLUMN model_call_logs.completion_tokens IS 'Tokens written.'",
    "COMMENT ON COLUMN model_call_logs.cached_tokens IS 'Tokens read from the provider''s cache, among those read.'",
    "COMMENT ON COLUMN model_call_logs.total_tokens IS 'Tokens read and written.'",
    "COMMENT ON COLUMN model_call_logs.total_cost IS 'USD, at the price in force when it ran; NULL: there was none.'",
    "COMMENT ON COLUMN model_call_logs.latency_ms IS 'How long it took.'",
    "COMMENT ON COLUMN model_call_logs.time_to_first_token_ms IS 'How long the first token took.'",
    "COMMENT ON COLUMN model_call_logs.status IS 'success, error or cancelled.'",
    "COMMENT ON COLUMN model_call_logs.error_code IS 'The reason of the failure, an ErrorReason.'",
    "COMMENT ON COLUMN model_call_logs.finish_reason IS 'Why the model stopped.'",
    "COMMENT ON COLUMN model_call_logs.workflow_execution_id IS 'For which workflow execution.'",
    "COMMENT ON COLUMN model_call_logs.task_id IS 'For which of its tasks.'",
    "COMMENT ON COLUMN model_call_logs.trace_id IS 'The trace that it was a part of.'",
    "COMMENT ON COLUMN model_call_logs.request_id IS 'The request that it was made for.'",
    "COMMENT ON COLUMN model_call_logs.created_at IS 'When it was made.'",
    "ALTER TABLE model_call_logs ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON model_call_logs USING (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "GRANT SELECT, INSERT ON model_call_logs TO atrium_app",
    """
    CREATE TABLE usage_rollups (
        tenant_id UUID NOT NULL,
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        day DATE NOT NULL,
        model_id UUID NOT NULL,
        user_id UUID,
        api_key_id UUID,
        prompt_template_version_id UUID,
        calls BIGINT DEFAULT 0 NOT NULL,
        prompt_tokens BIGINT DEFAULT 0 NOT NULL,
        completion_tokens BIGINT DEFAULT 0 NOT NULL,
        cached_tokens BIGINT DEFAULT 0 NOT NULL,
        cost NUMERIC(18, 9) DEFAULT 0 NOT NULL,
        errors BIGINT DEFAULT 0 NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_usage_rollups PRIMARY KEY (tenant_id, id),
        CONSTRAINT fk_usage_rollups_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT uq_usage_rollups_day UNIQUE NULLS NOT DISTINCT (tenant_id, day, model_id, user_id, api_key_id, prompt_template_version_id),
        CONSTRAINT ck_usage_rollups_calls CHECK (calls >= 0),
        CONSTRAINT ck_usage_rollups_prompt_tokens CHECK (prompt_tokens >= 0),
        CONSTRAINT ck_usage_rollups_completion_tokens CHECK (completion_tokens >= 0),
        CONSTRAINT ck_usage_rollups_cached_tokens CHECK (cached_tokens >= 0),
        CONSTRAINT ck_usage_rollups_cost CHECK (cost >= 0),
        CONSTRAINT ck_usage_rollups_errors CHECK (errors >= 0)
    )
    """,
    "COMMENT ON TABLE usage_rollups IS 'What was used, by day.'",
    "COMMENT ON COLUMN usage_rollups.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN usage_rollups.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN usage_rollups.day IS 'The day, in UTC.'",
    "COMMENT ON COLUMN usage_rollups.model_id IS 'What was called.'",
    "COMMENT ON COLUMN usage_rollups.user_id IS 'Who called.'",
    "COMMENT ON COLUMN usage_rollups.api_key_id IS 'With which key.'",
    "COMMENT ON COLUMN usage_rollups.prompt_template_version_id IS 'With which prompt.'",
    "COMMENT ON COLUMN usage_rollups.calls IS 'How many calls.'",
    "COMMENT ON COLUMN usage_rollups.prompt_tokens IS 'Tokens read.'",
    "COMMENT ON COLUMN usage_rollups.completion_tokens IS 'Tokens written.'",
    "COMMENT ON COLUMN usage_rollups.cached_tokens IS 'Tokens read from caches.'",
    "COMMENT ON COLUMN usage_rollups.cost IS 'USD.'",
    "COMMENT ON COLUMN usage_rollups.errors IS 'How many calls failed.'",
    "COMMENT ON COLUMN usage_rollups.created_at IS 'When it was made.'",
    "COMMENT ON COLUMN usage_rollups.updated_at IS 'When it last changed; a trigger''s.'",
    "ALTER TABLE usage_rollups ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON usage_rollups USING (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "CREATE TRIGGER touch BEFORE UPDATE ON usage_rollups FOR EACH ROW EXECUTE FUNCTION atrium_touch()",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON usage_rollups TO atrium_app",
    """
    CREATE TABLE quota_ledger (
        tenant_id UUID NOT NULL,
        window_start TIMESTAMP WITH TIME ZONE NOT NULL,
        window_kind VARCHAR(20) NOT NULL,
        subject VARCHAR(100) NOT NULL,
        kind VARCHAR(20) NOT NULL,
        reserved NUMERIC(24, 9) DEFAULT 0 NOT NULL,
        used NUMERIC(24, 9) DEFAULT 0 NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_quota_ledger PRIMARY KEY (tenant_id, window_kind, window_start, subject, kind),
        CONSTRAINT fk_quota_ledger_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT ck_quota_ledger_window_kind CHECK (window_kind IN ('minute', 'month')),
        CONSTRAINT ck_quota_ledger_kind CHECK (kind IN ('requests', 'tokens', 'cost', 'parallel')),
        CONSTRAINT ck_quota_ledger_reserved CHECK (reserved >= 0),
        CONSTRAINT ck_quota_ledger_used CHECK (used >= 0)
    )
    """,
    "COMMENT ON TABLE quota_ledger IS 'What is used of each limit.'",
    "COMMENT ON COLUMN quota_ledger.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN quota_ledger.window_start IS 'When the window began.'",
    "COMMENT ON COLUMN quota_ledger.window_kind IS 'minute or month.'",
    "COMMENT ON COLUMN quota_ledger.subject IS 'Whose limit: the tenant''s, a key''s, a user''s.'",
    "COMMENT ON COLUMN quota_ledger.kind IS 'requests, tokens, cost or parallel.'",
    "COMMENT ON COLUMN quota_ledger.reserved IS 'Held for calls under way.'",
    "COMMENT ON COLUMN quota_ledger.used IS 'Used by calls that are over.'",
    "COMMENT ON COLUMN quota_ledger.created_at IS 'When it was made.'",
    "COMMENT ON COLUMN quota_ledger.updated_at IS 'When it last changed; a trigger''s.'",
    "ALTER TABLE quota_ledger ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON quota_ledger USING (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "CREATE TRIGGER touch BEFORE UPDATE ON quota_ledger FOR EACH ROW EXECUTE FUNCTION atrium_touch()",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON quota_ledger TO atrium_app",
    """
    CREATE TABLE quota_reservations (
        tenant_id UUID NOT NULL,
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        window_start TIMESTAMP WITH TIME ZONE NOT NULL,
        window_kind VARCHAR(20) NOT NULL,
        subject VARCHAR(100) NOT NULL,
        kind VARCHAR(20) NOT NULL,
        amount NUMERIC(24, 9) NOT NULL,
        expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
        settled_at TIMESTAMP WITH TIME ZONE,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_quota_reservations PRIMARY KEY (tenant_id, id),
        CONSTRAINT fk_quota_reservations_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT fk_quota_reservations_ledger FOREIGN KEY(tenant_id, window_kind, window_start, subject, kind) REFERENCES quota_ledger (tenant_id, window_kind, window_start, subject, kind) ON DELETE CASCADE,
        CONSTRAINT ck_quota_reservations_amount CHECK (amount >= 0)
    )
    """,
    "CREATE INDEX ix_quota_reservations_expires_at ON quota_reservations (tenant_id, expires_at) WHERE "
    "settled_at IS NULL",
    "CREATE INDEX ix_quota_reservations_ledger ON quota_reservations (tenant_id, window_kind, "
    "window_start, subject, kind)",
    "COMMENT ON TABLE quota_reservations IS 'Amounts held for calls under way.'",
    "COMMENT ON COLUMN quota_reservations.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN quota_reservations.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN quota_reservations.window_start IS 'When the window began.'",
    "COMMENT ON COLUMN quota_reservations.window_kind IS 'minute or month.'",
    "COMMENT ON COLUMN quota_reservations.subject IS 'Whose limit.'",
    "COMMENT ON COLUMN quota_reservations.kind IS 'requests, tokens, cost or parallel.'",
    "COMMENT ON COLUMN quota_reservations.amount IS 'How much is held.'",
    "COMMENT ON COLUMN quota_reservations.expires_at IS 'When it is given up, should its process have died.'",
    "COMMENT ON COLUMN quota_reservations.settled_at IS 'When the call was over; NULL: it is not.'",
    "COMMENT ON COLUMN quota_reservations.created_at IS 'When it was made.'",
    "ALTER TABLE quota_reservations ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON quota_reservations USING (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON quota_reservations TO atrium_app",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in ("quota_reservations", "quota_ledger", "usage_rollups", "model_call_logs"):
        op.execute(f"DROP TABLE {table}")
