"""Workflows: what they do, their versions, what executing them comes to; and whose versions they were is forgotten alike."""

from alembic import op

revision = "0047"
down_revision = "0046"

_FORGET = """
    CREATE OR REPLACE FUNCTION atrium_forget_author(author uuid) RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
        {}
    $$
"""
_OF_TABLE = """
        UPDATE public.{} v SET created_by = NULL
        WHERE v.tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid AND v.created_by = author
          AND NOT EXISTS (
              SELECT FROM public.users u WHERE u.tenant_id = v.tenant_id AND u.id = author AND u.deleted_at IS NULL
          );
"""

_PROMPTS = _OF_TABLE.format("prompt_template_versions")
_UP = (
    "INSERT INTO permissions (resource, action, description) VALUES ('public_workflows', 'manage', 'Make workflows public to every tenant') ON CONFLICT DO NOTHING",
    "INSERT INTO role_permissions (tenant_id, role_id, permission_id) SELECT r.tenant_id, r.id, p.id FROM roles r, permissions p WHERE r.code = 'super_admin' AND (p.resource, p.action) = ('public_workflows', 'manage') ON CONFLICT DO NOTHING",
    """
    CREATE TABLE workflows (
        tenant_id UUID NOT NULL,
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        owner_user_id UUID,
        name VARCHAR(255) NOT NULL,
        description TEXT,
        definition JSONB NOT NULL,
        version VARCHAR(50) NOT NULL,
        visibility VARCHAR(20) DEFAULT 'personal' NOT NULL,
        execution_count BIGINT DEFAULT 0 NOT NULL,
        success_count BIGINT DEFAULT 0 NOT NULL,
        failure_count BIGINT DEFAULT 0 NOT NULL,
        revision BIGINT DEFAULT 1 NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        deleted_at TIMESTAMP WITH TIME ZONE,
        deleted_by VARCHAR(100),
        CONSTRAINT pk_workflows PRIMARY KEY (tenant_id, id),
        CONSTRAINT fk_workflows_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT fk_workflows_tenant_id_owner_user_id FOREIGN KEY(tenant_id, owner_user_id) REFERENCES users (tenant_id, id),
        CONSTRAINT ck_workflows_visibility CHECK (visibility IN ('personal', 'tenant', 'public')),
        CONSTRAINT ck_workflows_owner CHECK (visibility <> 'personal' OR owner_user_id IS NOT NULL),
        CONSTRAINT ck_workflows_public CHECK (visibility <> 'public' OR tenant_id = '00000000-0000-0000-0000-000000000000'),
        CONSTRAINT ck_workflows_execution_count CHECK (execution_count >= 0),
        CONSTRAINT ck_workflows_success_count CHECK (success_count >= 0),
        CONSTRAINT ck_workflows_failure_count CHECK (failure_count >= 0)
    )
    """,
    "CREATE INDEX ix_workflows_deleted ON workflows (tenant_id, deleted_at) WHERE deleted_at IS NOT NULL",
    "CREATE INDEX ix_workflows_live ON workflows (tenant_id, id DESC) WHERE deleted_at IS NULL",
    "CREATE INDEX ix_workflows_owner_user_id ON workflows (tenant_id, owner_user_id)",
    "CREATE INDEX ix_workflows_visibility ON workflows (tenant_id, visibility, id DESC) WHERE deleted_at IS NULL",
    "CREATE UNIQUE INDEX uq_workflows_name ON workflows (tenant_id, name) WHERE deleted_at IS NULL AND visibility <> 'personal'",
    "CREATE UNIQUE INDEX uq_workflows_own_name ON workflows (tenant_id, owner_user_id, name) WHERE deleted_at IS NULL AND visibility = 'personal'",
    "COMMENT ON TABLE workflows IS 'Workflows by name: what executions are made of.'",
    "COMMENT ON COLUMN workflows.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN workflows.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN workflows.owner_user_id IS 'Whose it is; NULL: nobody''s in the tenant.'",
    "COMMENT ON COLUMN workflows.name IS 'Its name.'",
    "COMMENT ON COLUMN workflows.description IS 'What it is for.'",
    "COMMENT ON COLUMN workflows.definition IS 'Its steps, as in its newest version.'",
    "COMMENT ON COLUMN workflows.version IS 'Its newest version''s name, such as v1.0.'",
    "COMMENT ON COLUMN workflows.visibility IS 'Who sees it: personal (its owner), tenant, or public (every tenant; the platform''s alone).'",
    "COMMENT ON COLUMN workflows.execution_count IS 'How many executions were started.'",
    "COMMENT ON COLUMN workflows.success_count IS 'How many of them completed.'",
    "COMMENT ON COLUMN workflows.failure_count IS 'How many of them failed.'",
    "COMMENT ON COLUMN workflows.revision IS 'Rises with every change that the API can make; its etag.'",
    "COMMENT ON COLUMN workflows.created_at IS 'When it was made.'",
    "COMMENT ON COLUMN workflows.updated_at IS 'When it last changed; a trigger''s.'",
    "COMMENT ON COLUMN workflows.deleted_at IS 'When it was deleted; NULL: it is live.'",
    "COMMENT ON COLUMN workflows.deleted_by IS 'Who deleted it.'",
    "ALTER TABLE workflows ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON workflows USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "CREATE TRIGGER touch BEFORE UPDATE ON workflows FOR EACH ROW WHEN (OLD.execution_count = NEW.execution_count AND OLD.success_count = NEW.success_count AND OLD.failure_count = NEW.failure_count) EXECUTE FUNCTION atrium_touch()",
    "CREATE TRIGGER revise BEFORE UPDATE ON workflows FOR EACH ROW WHEN (OLD.name IS DISTINCT FROM NEW.name OR OLD.description IS DISTINCT FROM NEW.description OR OLD.visibility IS DISTINCT FROM NEW.visibility OR OLD.definition IS DISTINCT FROM NEW.definition OR OLD.version IS DISTINCT FROM NEW.version) EXECUTE FUNCTION atrium_revise()",
    "CREATE VIEW active_workflows WITH (security_invoker = true) AS SELECT * FROM workflows WHERE deleted_at IS NULL",
    "COMMENT ON VIEW active_workflows IS 'The live rows of workflows.'",
    "GRANT SELECT ON active_workflows TO atrium_app",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON workflows TO atrium_app",
    """
    CREATE TABLE workflow_versions (
        tenant_id UUID NOT NULL,
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        workflow_id UUID NOT NULL,
        version VARCHAR(50) NOT NULL,
        definition JSONB NOT NULL,
        changelog TEXT,
        created_by UUID,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_workflow_versions PRIMARY KEY (tenant_id, id),
        CONSTRAINT fk_workflow_versions_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT fk_workflow_versions_tenant_id_workflow_id FOREIGN KEY(tenant_id, workflow_id) REFERENCES workflows (tenant_id, id) ON DELETE CASCADE,
        CONSTRAINT uq_workflow_versions_version UNIQUE (tenant_id, workflow_id, version)
    )
    """,
    "CREATE INDEX ix_workflow_versions_list ON workflow_versions (tenant_id, workflow_id, id DESC)",
    "COMMENT ON TABLE workflow_versions IS 'The states of workflows'' definitions, which never change.'",
    "COMMENT ON COLUMN workflow_versions.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN workflow_versions.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN workflow_versions.workflow_id IS 'Whose version it is.'",
    "COMMENT ON COLUMN workflow_versions.version IS 'Its name, such as v1.0.'",
    "COMMENT ON COLUMN workflow_versions.definition IS 'Its steps.'",
    "COMMENT ON COLUMN workflow_versions.changelog IS 'What changed, and why.'",
    "COMMENT ON COLUMN workflow_versions.created_by IS 'Who made it; NULL: nobody in the tenant.'",
    "COMMENT ON COLUMN workflow_versions.created_at IS 'When it was made.'",
    "ALTER TABLE workflow_versions ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON workflow_versions USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "GRANT SELECT, INSERT ON workflow_versions TO atrium_app",
    """
    CREATE TABLE workflow_executions (
        tenant_id UUID NOT NULL,
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        workflow_id UUID NOT NULL,
        workflow_version VARCHAR(50) NOT NULL,
        definition JSONB NOT NULL,
        user_id UUID,
        api_key_id UUID,
        personal BOOLEAN DEFAULT false NOT NULL,
        status VARCHAR(20) DEFAULT 'pending' NOT NULL,
        input JSONB,
        output JSONB,
        error_reason VARCHAR(100),
        error_message TEXT,
        pause_reason TEXT,
        parent_execution_id UUID,
        priority INTEGER DEFAULT 0 NOT NULL,
        budget JSONB,
        usage JSONB,
        deadline_at TIMESTAMP WITH TIME ZONE,
        started_at TIMESTAMP WITH TIME ZONE,
        completed_at TIMESTAMP WITH TIME ZONE,
        request_id VARCHAR(100),
        trace_id VARCHAR(100),
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_workflow_executions PRIMARY KEY (tenant_id, id),
        CONSTRAINT fk_workflow_executions_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT ck_workflow_executions_status CHECK (status IN ('pending', 'running', 'completed', 'failed', 'paused', 'cancelled')),
        CONSTRAINT ck_workflow_executions_priority CHECK (priority BETWEEN -100 AND 100),
        CONSTRAINT ck_workflow_executions_completed_at CHECK ((status IN ('completed', 'failed', 'cancelled')) = (completed_at IS NOT NULL))
    )
     PARTITION BY RANGE (id)
    """,
    "CREATE INDEX ix_workflow_executions_parent_execution_id ON workflow_executions (tenant_id, parent_execution_id) WHERE parent_execution_id IS NOT NULL",
    "CREATE INDEX ix_workflow_executions_status ON workflow_executions (tenant_id, status, id DESC)",
    "CREATE INDEX ix_workflow_executions_trace_id ON workflow_executions (tenant_id, trace_id)",
    "CREATE INDEX ix_workflow_executions_user_id ON workflow_executions (tenant_id, user_id)",
    "CREATE INDEX ix_workflow_executions_workflow_id ON workflow_executions (tenant_id, workflow_id, id DESC)",
    "COMMENT ON TABLE workflow_executions IS 'Executions of workflows: the authority, for which jobs are only wake-ups.'",
    "COMMENT ON COLUMN workflow_executions.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN workflow_executions.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN workflow_executions.workflow_id IS 'Which workflow was executed.'",
    "COMMENT ON COLUMN workflow_executions.workflow_version IS 'In which of its versions.'",
    "COMMENT ON COLUMN workflow_executions.definition IS 'That version''s steps: the workflow may be gone before it ends.'",
    "COMMENT ON COLUMN workflow_executions.user_id IS 'Who started it; NULL: they were removed for good.'",
    "COMMENT ON COLUMN workflow_executions.api_key_id IS 'With which key.'",
    "COMMENT ON COLUMN workflow_executions.personal IS 'Whether it is seen by who started it, and who may change workflows, alone.'",
    "COMMENT ON COLUMN workflow_executions.status IS 'pending: for a place among those that run; running, paused, completed, failed or cancelled.'",
    "COMMENT ON COLUMN workflow_executions.input IS 'What it was given.'",
    "COMMENT ON COLUMN workflow_executions.output IS 'What it came to.'",
    "COMMENT ON COLUMN workflow_executions.error_reason IS 'Why it failed, as the API names it.'",
    "COMMENT ON COLUMN workflow_executions.error_message IS 'Why it failed, in words.'",
    "COMMENT ON COLUMN workflow_executions.pause_reason IS 'Why it was paused.'",
    "COMMENT ON COLUMN workflow_executions.parent_execution_id IS 'Which execution it repeats.'",
    "COMMENT ON COLUMN workflow_executions.priority IS 'Those with more of it run before others that wait.'",
    "COMMENT ON COLUMN workflow_executions.budget IS 'What it may use at most: tokens, cost.'",
    "COMMENT ON COLUMN workflow_executions.usage IS 'What its models used: calls, tokens, cost.'",
    "COMMENT ON COLUMN workflow_executions.deadline_at IS 'When it fails unless it has ended; NULL: it has not begun.'",
    "COMMENT ON COLUMN workflow_executions.started_at IS 'When it was given a place.'",
    "COMMENT ON COLUMN workflow_executions.completed_at IS 'When it ended.'",
    "COMMENT ON COLUMN workflow_executions.request_id IS 'In which request it was started.'",
    "COMMENT ON COLUMN workflow_executions.trace_id IS 'In which trace.'",
    "COMMENT ON COLUMN workflow_executions.created_at IS 'When it was made.'",
    "COMMENT ON COLUMN workflow_executions.updated_at IS 'When it last changed; a trigger''s.'",
    "ALTER TABLE workflow_executions ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON workflow_executions USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "CREATE TRIGGER touch BEFORE UPDATE ON workflow_executions FOR EACH ROW EXECUTE FUNCTION atrium_touch()",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON workflow_executions TO atrium_app",
    """
    CREATE TABLE workflow_tasks (
        tenant_id UUID NOT NULL,
        execution_id UUID NOT NULL,
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        step_id VARCHAR(100) NOT NULL,
        step_type VARCHAR(20) NOT NULL,
        iteration INTEGER DEFAULT 0 NOT NULL,
        agent_type VARCHAR(100),
        status VARCHAR(20) DEFAULT 'pending' NOT NULL,
        waiting_on INTEGER DEFAULT 0 NOT NULL,
        input JSONB,
        output JSONB,
        error_reason VARCHAR(100),
        error_message TEXT,
        usage JSONB,
        retry_count INTEGER DEFAULT 0 NOT NULL,
        attempt INTEGER DEFAULT 0 NOT NULL,
        run_token UUID,
        worker_id VARCHAR(100),
        not_before TIMESTAMP WITH TIME ZONE,
        started_at TIMESTAMP WITH TIME ZONE,
        completed_at TIMESTAMP WITH TIME ZONE,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_workflow_tasks PRIMARY KEY (tenant_id, execution_id, id),
        CONSTRAINT fk_workflow_tasks_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT fk_workflow_tasks_tenant_id_execution_id FOREIGN KEY(tenant_id, execution_id) REFERENCES workflow_executions (tenant_id, id) ON DELETE CASCADE,
        CONSTRAINT uq_workflow_tasks_step UNIQUE (tenant_id, execution_id, step_id, iteration),
        CONSTRAINT ck_workflow_tasks_status CHECK (status IN ('pending', 'ready', 'running', 'waiting', 'completed', 'failed', 'skipped', 'cancelled')),
        CONSTRAINT ck_workflow_tasks_iteration CHECK (iteration >= 0),
        CONSTRAINT ck_workflow_tasks_waiting_on CHECK (waiting_on >= 0),
        CONSTRAINT ck_workflow_tasks_retry_count CHECK (retry_count >= 0),
        CONSTRAINT ck_workflow_tasks_attempt CHECK (attempt >= 0)
    )
     PARTITION BY RANGE (execution_id)
    """,
    "COMMENT ON TABLE workflow_tasks IS 'What is to be done for executions, step by step.'",
    "COMMENT ON COLUMN workflow_tasks.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN workflow_tasks.execution_id IS 'Whose task it is.'",
    "COMMENT ON COLUMN workflow_tasks.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN workflow_tasks.step_id IS 'Which step it does.'",
    "COMMENT ON COLUMN workflow_tasks.step_type IS 'What kind of step that is.'",
    "COMMENT ON COLUMN workflow_tasks.iteration IS 'Of a step that is run for each item: which item, from 1; 0: the step itself.'",
    "COMMENT ON COLUMN workflow_tasks.agent_type IS 'Of a step that is an agent''s: which kind.'",
    "COMMENT ON COLUMN workflow_tasks.status IS 'pending: for other steps; ready: for a worker; running; waiting: for a person, a time or its items; completed, failed, skipped or cancelled.'",
    "COMMENT ON COLUMN workflow_tasks.waiting_on IS 'How many steps, or items, have not ended that it waits for.'",
    "COMMENT ON COLUMN workflow_tasks.input IS 'What it was given: the item, or what somebody decides about.'",
    "COMMENT ON COLUMN workflow_tasks.output IS 'What it came to.'",
    "COMMENT ON COLUMN workflow_tasks.error_reason IS 'Why it failed, as the API names it.'",
    "COMMENT ON COLUMN workflow_tasks.error_message IS 'Why it failed, in words.'",
    "COMMENT ON COLUMN workflow_tasks.usage IS 'What its models used: calls, tokens, cost.'",
    "COMMENT ON COLUMN workflow_tasks.retry_count IS 'How many of its tries failed.'",
    "COMMENT ON COLUMN workflow_tasks.attempt IS 'How often it was begun.'",
    "COMMENT ON COLUMN workflow_tasks.run_token IS 'Of who does it now: nobody else may end it.'",
    "COMMENT ON COLUMN workflow_tasks.worker_id IS 'The job that does it, or did last: no other takes it over.'",
    "COMMENT ON COLUMN workflow_tasks.not_before IS 'When it is tried again, or ends waiting, at the earliest.'",
    "COMMENT ON COLUMN workflow_tasks.started_at IS 'When it was begun first.'",
    "COMMENT ON COLUMN workflow_tasks.completed_at IS 'When it ended.'",
    "COMMENT ON COLUMN workflow_tasks.created_at IS 'When it was made.'",
    "COMMENT ON COLUMN workflow_tasks.updated_at IS 'When it last changed; a trigger''s.'",
    "ALTER TABLE workflow_tasks ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON workflow_tasks USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "CREATE TRIGGER touch BEFORE UPDATE ON workflow_tasks FOR EACH ROW EXECUTE FUNCTION atrium_touch()",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON workflow_tasks TO atrium_app",
    """
    CREATE TABLE execution_events (
        tenant_id UUID NOT NULL,
        execution_id UUID NOT NULL,
        seq BIGINT NOT NULL,
        event_type VARCHAR(50) NOT NULL,
        payload JSONB NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_execution_events PRIMARY KEY (tenant_id, execution_id, seq),
        CONSTRAINT fk_execution_events_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT fk_execution_events_tenant_id_execution_id FOREIGN KEY(tenant_id, execution_id) REFERENCES workflow_executions (tenant_id, id) ON DELETE CASCADE,
        CONSTRAINT ck_execution_events_seq CHECK (seq > 0)
    )
     PARTITION BY RANGE (execution_id)
    """,
    "COMMENT ON TABLE execution_events IS 'What happened to executions, in order.'",
    "COMMENT ON COLUMN execution_events.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN execution_events.execution_id IS 'What it happened to.'",
    "COMMENT ON COLUMN execution_events.seq IS 'Its place: 1, and one more with each.'",
    "COMMENT ON COLUMN execution_events.event_type IS 'What happened.'",
    "COMMENT ON COLUMN execution_events.payload IS 'Of which step, and how.'",
    "COMMENT ON COLUMN execution_events.created_at IS 'When it was made.'",
    "ALTER TABLE execution_events ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON execution_events USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON execution_events TO atrium_app",
    _FORGET.format(_PROMPTS + _OF_TABLE.format("workflow_versions")),
)
_DOWN = (
    _FORGET.format(_PROMPTS),
    "DROP TABLE execution_events",
    "DROP TABLE workflow_tasks",
    "DROP TABLE workflow_executions",
    "DROP TABLE workflow_versions",
    "DROP VIEW active_workflows",
    "DROP TABLE workflows",
    "DELETE FROM permissions WHERE (resource, action) = ('public_workflows', 'manage')",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
