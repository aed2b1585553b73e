-- Some thousand rows in every table that has an index of its own: four fifths of them one tenant's, the rest another's.
-- Every fourth user, role and tenant is deleted; what lists filter by is as rare as it is in life.

-- What refers to what is right as it is written here: to look it up a row at a time takes longer than to write it.
SET session_replication_role = replica;

INSERT INTO tenants (id, name, slug) VALUES ('01890a5d-ac96-774b-bcce-b302099a8057', 'Ada', 'ada'), (atrium_uuid7(), 'Grace', 'grace');
INSERT INTO tenants (name, slug, status, deleted_at, created_at)
    SELECT 'T', 't' || n, CASE WHEN n % 4 = 0 THEN 'deleted' WHEN n % 50 = 1 THEN 'suspended' ELSE 'active' END,
           CASE WHEN n % 4 = 0 THEN now() - n * interval '1 hour' END, now() - n * interval '1 hour'
    FROM generate_series(1, 3000) n;

CREATE TEMPORARY TABLE spread AS
    SELECT n, CASE WHEN n % 5 = 0 THEN (SELECT id FROM tenants WHERE slug = 'grace') ELSE '01890a5d-ac96-774b-bcce-b302099a8057' END AS tenant_id
    FROM generate_series(1, 4000) n;

INSERT INTO users (tenant_id, username, email, status, email_verified, last_login_at, deleted_at)
    SELECT tenant_id, 'u' || n, 'u' || n || '@example.com', CASE WHEN n % 101 = 0 THEN 'locked' ELSE 'active' END,
           n % 53 <> 0, now() - n * interval '1 hour', CASE WHEN n % 4 = 0 THEN now() - n * interval '1 hour' END
    FROM spread;
INSERT INTO roles (tenant_id, name, code, deleted_at)
    SELECT tenant_id, 'R', 'r' || n, CASE WHEN n % 4 = 0 THEN now() - n * interval '1 hour' END FROM spread;
CREATE TEMPORARY TABLE people AS
    SELECT tenant_id, id AS user_id, row_number() OVER (PARTITION BY tenant_id ORDER BY id) AS n FROM users WHERE username LIKE 'u%';
CREATE INDEX ON people (tenant_id, n);
CREATE TEMPORARY TABLE parts AS
    SELECT tenant_id, id AS role_id, row_number() OVER (PARTITION BY tenant_id ORDER BY id) AS n FROM roles WHERE code LIKE 'r%';
INSERT INTO user_roles (tenant_id, user_id, role_id, granted_by)
    SELECT tenant_id, user_id, role_id, CASE WHEN n % 7 = 0 THEN user_id END FROM people JOIN parts USING (tenant_id, n);
INSERT INTO role_permissions (tenant_id, role_id, permission_id)
    SELECT tenant_id, role_id, (SELECT id FROM permissions ORDER BY id OFFSET n % 19 LIMIT 1) FROM parts;
INSERT INTO sessions (tenant_id, user_id, refresh_hash, expires_at, revoked_at)
    SELECT tenant_id, user_id, 'hash', now() + (n - 30) * interval '1 day', CASE WHEN n % 97 = 0 THEN now() - interval '8 days' END FROM people;
INSERT INTO api_keys (tenant_id, user_id, name, prefix, secret_hash, scopes)
    SELECT tenant_id, user_id, 'key', 'p' || n, 'hash', '{}' FROM people;
INSERT INTO one_time_tokens (tenant_id, user_id, purpose, token_hash, expires_at, used_at)
    SELECT tenant_id, user_id, 'verify_email', 'h' || n, now() + (n - 30) * interval '1 day', CASE WHEN n % 97 = 0 THEN now() - interval '8 days' END
    FROM people;
INSERT INTO sign_in_throttle (tenant_id, address, updated_at)
    SELECT tenant_id, '10.0.0.0'::inet + n, now() + (n - 1500) * interval '1 minute' FROM people;
INSERT INTO sign_in_guesses (tenant_id, user_id, address, updated_at)
    SELECT tenant_id, user_id, '10.0.0.0'::inet + n, now() + (n - 1500) * interval '1 minute' FROM people;
INSERT INTO idempotency_keys (tenant_id, caller, method, key, request_hash, status, expires_at)
    SELECT tenant_id, user_id, 'CreateUser', 'k' || n, 'hash', 'done', now() + (n - 30) * interval '1 minute' FROM people;

INSERT INTO models (name, provider, model_type) SELECT 'm' || n, 'custom', 'chat' FROM generate_series(1, 2000) n;
UPDATE models SET replacement_model_id = (SELECT id FROM models WHERE name = 'm1') WHERE name LIKE 'm9%';
INSERT INTO model_call_logs (tenant_id, user_id, model_id, request_kind, status, trace_id, workflow_execution_id)
    SELECT tenant_id, (SELECT user_id FROM people p WHERE p.tenant_id = s.tenant_id AND p.n = s.n % 97 + 1),
           (SELECT id FROM models WHERE name = 'm' || s.n % 89 + 1), 'chat', 'success', 'trace-' || n,
           CASE WHEN n % 9 = 0 THEN (SELECT user_id FROM people p WHERE p.tenant_id = s.tenant_id AND p.n = s.n % 11 + 1) END
    FROM spread s;
INSERT INTO audit_logs (tenant_id, user_id, actor_kind, action, resource_type, resource_id, status, request_id, session_id)
    SELECT tenant_id, (SELECT user_id FROM people p WHERE p.tenant_id = s.tenant_id AND p.n = s.n % 97 + 1), 'user',
           'things.' || n % 83, 'thing', 'r' || n, CASE WHEN n % 59 = 0 THEN 'failure' ELSE 'success' END,
           'request-' || n, 'session-' || n % 397
    FROM spread s;
INSERT INTO quota_ledger (tenant_id, window_kind, window_start, subject, kind)
    SELECT tenant_id, 'minute', date_trunc('minute', now()), user_id::text, 'tokens' FROM people;
INSERT INTO quota_reservations (tenant_id, window_kind, window_start, subject, kind, amount, expires_at)
    SELECT tenant_id, 'minute', date_trunc('minute', now()), user_id::text, 'tokens', 1,
           now() + (n - 30) * interval '1 minute'
    FROM people;
INSERT INTO quota_holds (tenant_id, window_kinds, window_starts, subjects, kinds, amounts, expires_at)
    SELECT tenant_id, '{minute}', ARRAY[date_trunc('minute', now())], ARRAY[user_id::text], '{tokens}', '{1}',
           now() + (n - 30) * interval '1 minute'
    FROM people;
INSERT INTO model_limits (tenant_id, api_key_id) SELECT tenant_id, id FROM api_keys;
INSERT INTO call_contents (tenant_id, call_log_id, messages, created_at)
    SELECT tenant_id, user_id, '[]', now() - n * interval '1 hour' FROM people;
INSERT INTO response_cache (tenant_id, question_hash, answer, expires_at)
    SELECT tenant_id, sha256(user_id::text::bytea), '{}', now() + (n - 30) * interval '1 minute' FROM people;
INSERT INTO embedding_cache (tenant_id, model_id, content_hash, vector, expires_at)
    SELECT tenant_id, user_id, sha256(user_id::text::bytea), '', now() + (n - 30) * interval '1 minute' FROM people;
INSERT INTO generations (tenant_id, user_id, kept_until, expires_at)
    SELECT tenant_id, user_id, now(), now() + (n - 30) * interval '1 minute' FROM people;
INSERT INTO prompt_templates (tenant_id, owner_user_id, name, visibility, category, deleted_at)
    SELECT tenant_id, (SELECT user_id FROM people p WHERE p.tenant_id = s.tenant_id AND p.n = s.n % 97 + 1), 'p' || n,
           CASE WHEN n % 2 = 0 THEN 'tenant' ELSE 'personal' END, 'c' || n % 61,
           CASE WHEN n % 4 <> 0 THEN now() - n * interval '1 hour' END
    FROM spread s;
INSERT INTO prompt_templates (tenant_id, name, visibility)
    SELECT '00000000-0000-0000-0000-000000000000', 'library ' || n, 'public' FROM generate_series(1, 200) n;
INSERT INTO prompt_template_versions (tenant_id, template_id, version, content, content_hash, includes)
    SELECT tenant_id, id, 'v1.' || n, '"Hello"', 'hash', CASE WHEN n = 0 AND category = 'c7' THEN ARRAY['p8'] END
    FROM prompt_templates, generate_series(0, 2) n;
INSERT INTO prompt_labels (tenant_id, template_id, label, version_id)
    SELECT tenant_id, template_id, 'production', id FROM prompt_template_versions WHERE version = 'v1.1';
INSERT INTO knowledge_bases (tenant_id, owner_user_id, name, visibility_scope, status, deleted_at,
                             default_embedding_model, embedding_dimensions, chunk_size, chunk_overlap)
    SELECT tenant_id, (SELECT user_id FROM people p WHERE p.tenant_id = s.tenant_id AND p.n = s.n % 97 + 1), 'b' || n,
           CASE WHEN n % 2 = 0 THEN 'tenant' ELSE 'personal' END, CASE WHEN n % 4 = 0 THEN 'active' ELSE 'deleted' END,
           CASE WHEN n % 4 <> 0 THEN now() - n * interval '1 hour' END, 'local-embedding', 256, 512, 64
    FROM spread s;
INSERT INTO knowledge_bases (tenant_id, name, visibility_scope, default_embedding_model, embedding_dimensions, chunk_size, chunk_overlap)
    SELECT '00000000-0000-0000-0000-000000000000', 'library ' || n, 'public', 'local-embedding', 256, 512, 64
    FROM generate_series(1, 200) n;
CREATE TEMPORARY TABLE shelves AS
    SELECT tenant_id, id AS base_id, row_number() OVER (PARTITION BY tenant_id ORDER BY id) AS n FROM knowledge_bases;
INSERT INTO knowledge_documents (tenant_id, knowledge_base_id, source_type, source_uri, file_size, file_mime_type, file_hash,
                                 status, deleted_at)
    SELECT tenant_id, base_id, 'text', 'blob:', 1, 'text/plain', 'hash-' || s.n,
           CASE WHEN s.n % 53 = 0 THEN 'failed' ELSE 'indexed' END,
           CASE WHEN s.n % 4 = 0 THEN now() - s.n * interval '1 hour' END
    FROM spread s JOIN shelves USING (tenant_id) WHERE shelves.n = s.n % 40 + 1;
INSERT INTO knowledge_generations (tenant_id, knowledge_base_id, generation, embedding_model, embedding_dimensions,
                                   chunk_size, chunk_overlap, status, kept_until)
    SELECT tenant_id, base_id, generation, 'local-embedding', 256, 512, 64,
           CASE WHEN generation = 2 AND n % 40 = 0 THEN 'building' WHEN n % 20 = 0 THEN 'kept' ELSE 'active' END,
           now() + (n - 30) * interval '1 hour'
    FROM shelves CROSS JOIN generate_series(1, 4) AS generation;
INSERT INTO knowledge_builds (tenant_id, knowledge_base_id, generation, document_id, document_revision)
    SELECT tenant_id, knowledge_base_id, generation, id, 1 FROM knowledge_documents CROSS JOIN generate_series(1, 4) AS generation;
INSERT INTO document_blobs (tenant_id, knowledge_base_id, document_id, described)
    SELECT tenant_id, knowledge_base_id, id, '{}' FROM knowledge_documents;
INSERT INTO document_blobs (tenant_id, knowledge_base_id, described, expires_at)
    SELECT tenant_id, base_id, '{}', now() + (n - 30) * interval '1 minute' FROM shelves;
INSERT INTO rag_query_logs (tenant_id, user_id, knowledge_base_ids, query_text, mode, top_k, retrieved_count, latency_ms, trace_id)
    SELECT tenant_id, (SELECT user_id FROM people p WHERE p.tenant_id = s.tenant_id AND p.n = s.n % 97 + 1), '{}', 'tides',
           'hybrid', 10, 0, 1, 'trace-' || n
    FROM spread s;
INSERT INTO workflows (tenant_id, owner_user_id, name, visibility, definition, version, deleted_at)
    SELECT tenant_id, (SELECT user_id FROM people p WHERE p.tenant_id = s.tenant_id AND p.n = s.n % 97 + 1), 'w' || n,
           CASE WHEN n % 2 = 0 THEN 'tenant' ELSE 'personal' END, '{}', 'v1.0',
           CASE WHEN n % 4 <> 0 THEN now() - n * interval '1 hour' END
    FROM spread s;
INSERT INTO workflows (tenant_id, name, visibility, definition, version)
    SELECT '00000000-0000-0000-0000-000000000000', 'library ' || n, 'public', '{}', 'v1.0' FROM generate_series(1, 200) n;
INSERT INTO workflow_versions (tenant_id, workflow_id, version, definition)
    SELECT tenant_id, id, 'v1.' || n, '{}' FROM workflows, generate_series(0, 2) n;
CREATE TEMPORARY TABLE plans AS
    SELECT tenant_id, id AS workflow_id, row_number() OVER (PARTITION BY tenant_id ORDER BY id) AS n FROM workflows;
INSERT INTO workflow_executions (tenant_id, workflow_id, workflow_version, definition, user_id, status, completed_at,
                                 parent_execution_id, trace_id)
    SELECT s.tenant_id, p.workflow_id, 'v1.0', '{}',
           (SELECT user_id FROM people q WHERE q.tenant_id = s.tenant_id AND q.n = s.n % 97 + 1),
           CASE WHEN s.n % 53 = 0 THEN 'running' ELSE 'completed' END, CASE WHEN s.n % 53 <> 0 THEN now() END,
           CASE WHEN s.n % 9 = 0 THEN p.workflow_id END, 'trace-' || s.n
    FROM spread s JOIN plans p ON p.tenant_id = s.tenant_id AND p.n = s.n % 89 + 1;
INSERT INTO agent_configs (tenant_id, name, agent_type, deleted_at)
    SELECT tenant_id, 'a' || n, 'type ' || n % 50, CASE WHEN n % 4 <> 0 THEN now() - n * interval '1 hour' END FROM spread;
INSERT INTO tenant_slots (tenant_id) SELECT DISTINCT tenant_id FROM people;
INSERT INTO tenant_jobs (tenant_id, entrypoint, payload, status, not_before)
    SELECT tenant_id, 'mail/1', '{}', CASE WHEN n % 97 = 0 THEN 'admitted' ELSE 'ready' END,
           now() + (n - 30) * interval '1 minute'
    FROM spread;
ANALYZE;
