"""Generations of a base beside the one that is searched, and documents whose original is yet to be fetched."""

from alembic import op

revision = "0046"
down_revision = "0045"

_OWN = "tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid"
_COMMENTS = {
    "knowledge_generations": {
        "": "How the chunks of a base are made, and were: a generation has all that are made alike.",
        "tenant_id": "The tenant whose row it is.",
        "knowledge_base_id": "The base.",
        "generation": "Which generation of its chunks.",
        "embedding_model": "The model that its chunks are embedded with.",
        "embedding_dimensions": "How many numbers a vector of that model has.",
        "chunk_size": "The most tokens of a chunk.",
        "chunk_overlap": "The most tokens that a chunk repeats of the one before.",
        "status": "building, active (searched), kept (it was, and may be again) or discarded (its chunks are removed).",
        "rollback": "Whether it was searched before, and is gone back to.",
        "started_by": "Who asked for it, and has it built; NULL: nobody, or they are gone for good.",
        "started_with": "With which key; NULL: in a session.",
        "run_token": "The run that builds it now, which alone may add to it.",
        "document_done": "The documents that are in it.",
        "document_total": "Those that are to be.",
        "error_reason": "Why it could not be built: a reason of the API.",
        "error_message": "The same in a sentence.",
        "started_at": "When it was asked for; NULL: it is a base's first, and nobody did.",
        "ended_at": "When it was searched, failed or was called off; NULL: it is being built.",
        "kept_until": "Until when it is kept; NULL: it is not.",
        "created_at": "When it was made.",
        "updated_at": "When it last changed; a trigger's.",
    },
    "knowledge_builds": {
        "": "What generations that are not searched have of documents; of the one that is, the documents say it.",
        "tenant_id": "The tenant whose row it is.",
        "knowledge_base_id": "The base.",
        "generation": "Which generation of its chunks.",
        "document_id": "The document.",
        "document_revision": "Of which revision of that it has chunks.",
        "chunk_count": "How many those are; NULL: they are being made.",
    },
}
_TABLES = (
    """
    CREATE TABLE knowledge_generations (
        tenant_id UUID NOT NULL,
        knowledge_base_id UUID NOT NULL,
        generation INTEGER NOT NULL,
        embedding_model VARCHAR(100) NOT NULL,
        embedding_dimensions INTEGER NOT NULL,
        chunk_size INTEGER NOT NULL,
        chunk_overlap INTEGER NOT NULL,
        status VARCHAR(20) NOT NULL,
        rollback BOOLEAN DEFAULT false NOT NULL,
        started_by UUID,
        started_with UUID,
        run_token UUID,
        document_done INTEGER DEFAULT 0 NOT NULL,
        document_total INTEGER DEFAULT 0 NOT NULL,
        error_reason VARCHAR(100),
        error_message TEXT,
        started_at TIMESTAMP WITH TIME ZONE,
        ended_at TIMESTAMP WITH TIME ZONE,
        kept_until TIMESTAMP WITH TIME ZONE,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_knowledge_generations PRIMARY KEY (tenant_id, knowledge_base_id, generation),
        CONSTRAINT fk_knowledge_generations_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT fk_knowledge_generations_tenant_id_knowledge_base_id FOREIGN KEY(tenant_id, knowledge_base_id) REFERENCES knowledge_bases (tenant_id, id) ON DELETE CASCADE,
        CONSTRAINT ck_knowledge_generations_status CHECK (status IN ('building', 'active', 'kept', 'discarded')),
        CONSTRAINT ck_knowledge_generations_kept_until CHECK (status <> 'kept' OR kept_until IS NOT NULL),
        CONSTRAINT ck_knowledge_generations_generation CHECK (generation >= 1),
        CONSTRAINT ck_knowledge_generations_embedding_dimensions CHECK (embedding_dimensions >= 1),
        CONSTRAINT ck_knowledge_generations_chunk_size CHECK (chunk_size >= 1),
        CONSTRAINT ck_knowledge_generations_document_done CHECK (document_done >= 0),
        CONSTRAINT ck_knowledge_generations_document_total CHECK (document_total >= 0),
        CONSTRAINT ck_knowledge_generations_chunk_overlap CHECK (chunk_overlap >= 0 AND chunk_overlap < chunk_size)
    )
    """,
    "CREATE UNIQUE INDEX uq_knowledge_generations_building ON knowledge_generations (tenant_id, knowledge_base_id) WHERE status = 'building'",
    "CREATE INDEX ix_knowledge_generations_over ON knowledge_generations (tenant_id, status, kept_until) WHERE status IN ('kept', 'discarded')",
    "CREATE TRIGGER touch BEFORE UPDATE ON knowledge_generations FOR EACH ROW EXECUTE FUNCTION atrium_touch()",
    """
    CREATE TABLE knowledge_builds (
        tenant_id UUID NOT NULL,
        knowledge_base_id UUID NOT NULL,
        generation INTEGER NOT NULL,
        document_id UUID NOT NULL,
        document_revision INTEGER NOT NULL,
        chunk_count INTEGER,
        CONSTRAINT pk_knowledge_builds PRIMARY KEY (tenant_id, knowledge_base_id, generation, document_id),
        CONSTRAINT fk_knowledge_builds_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT fk_knowledge_builds_tenant_id_knowledge_base_id_generation FOREIGN KEY(tenant_id, knowledge_base_id, generation) REFERENCES knowledge_generations (tenant_id, knowledge_base_id, generation) ON DELETE CASCADE,
        CONSTRAINT fk_knowledge_builds_tenant_id_knowledge_base_id_document_id FOREIGN KEY(tenant_id, knowledge_base_id, document_id) REFERENCES knowledge_documents (tenant_id, knowledge_base_id, id) ON DELETE CASCADE,
        CONSTRAINT ck_knowledge_builds_generation CHECK (generation >= 1),
        CONSTRAINT ck_knowledge_builds_document_revision CHECK (document_revision >= 1),
        CONSTRAINT ck_knowledge_builds_chunk_count CHECK (chunk_count >= 0)
    )
    """,
    "CREATE INDEX ix_knowledge_builds_document_id ON knowledge_builds (tenant_id, knowledge_base_id, document_id)",
)


def _said(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _commented(table: str, column: str, text: str) -> str:
    what = f"COLUMN {table}.{column}" if column else f"TABLE {table}"
    return f"COMMENT ON {what} IS {_said(text)}"


_UNFETCHED = {
    "file_mime_type": "What it is, found by looking into it; NULL: it is yet to be fetched.",
    "file_hash": "SHA-256 of the original, in hexadecimal; NULL: it is yet to be fetched.",
}
_UP = (
    *_TABLES,
    *(_commented(table, column, text) for table, said in _COMMENTS.items() for column, text in said.items()),
    *(
        statement
        for table in _COMMENTS
        for statement in (
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
            f"CREATE POLICY tenant_isolation ON {table} USING ({_OWN}) WITH CHECK ({_OWN})",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO atrium_app",
        )
    ),
    *(f"ALTER TABLE knowledge_documents ALTER COLUMN {column} DROP NOT NULL" for column in _UNFETCHED),
    *(_commented("knowledge_documents", column, text) for column, text in _UNFETCHED.items()),
    _commented(
        "document_blobs",
        "hash",
        "Its SHA-256, in hexadecimal; NULL: nobody said before, and it is not complete, or is to be fetched.",
    ),
)
_DOWN = (
    "DELETE FROM knowledge_documents WHERE file_hash IS NULL",
    *(f"ALTER TABLE knowledge_documents ALTER COLUMN {column} SET NOT NULL" for column in _UNFETCHED),
    "COMMENT ON COLUMN knowledge_documents.file_mime_type IS 'What it is, found by looking into it.'",
    "COMMENT ON COLUMN knowledge_documents.file_hash IS 'SHA-256 of the original, in hexadecimal.'",
    "COMMENT ON COLUMN document_blobs.hash IS 'Its SHA-256, in hexadecimal; NULL likewise.'",
    "DROP TABLE knowledge_builds",
    "DROP TABLE knowledge_generations",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
