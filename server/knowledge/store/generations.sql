-- A document is to be in a generation where searches find it now: it is live and has chunks in the one that is searched.
-- What a build has of another revision than the document's counts for nothing.

-- name: missing
SELECT d.id
FROM knowledge_documents d
WHERE d.knowledge_base_id = :base_id AND d.deleted_at IS NULL AND d.chunk_count > 0
    AND NOT EXISTS (
        SELECT FROM knowledge_builds b
        WHERE b.knowledge_base_id = d.knowledge_base_id AND b.generation = :generation AND b.document_id = d.id
            AND b.document_revision = d.active_revision AND b.chunk_count IS NOT NULL
    )
ORDER BY d.id
LIMIT :most

-- name: progress
UPDATE knowledge_generations g SET document_done = found.done, document_total = found.total
FROM (
    SELECT count(*) AS total, count(b.chunk_count) AS done
    FROM knowledge_documents d
        LEFT JOIN knowledge_builds b ON b.knowledge_base_id = d.knowledge_base_id AND b.generation = :generation
            AND b.document_id = d.id AND b.document_revision = d.active_revision
    WHERE d.knowledge_base_id = :base_id AND d.deleted_at IS NULL AND d.chunk_count > 0
) found
WHERE g.knowledge_base_id = :base_id AND g.generation = :generation

-- name: start_build
INSERT INTO knowledge_builds (tenant_id, knowledge_base_id, generation, document_id, document_revision)
VALUES (:tenant_id, :base_id, :generation, :document_id, :revision)
ON CONFLICT ON CONSTRAINT pk_knowledge_builds DO UPDATE SET document_revision = excluded.document_revision, chunk_count = NULL

-- name: end_build
WITH done AS (
    UPDATE knowledge_generations SET document_done = document_done + 1
    WHERE knowledge_base_id = :base_id AND generation = :generation
)
UPDATE knowledge_builds SET chunk_count = :chunk_count
WHERE knowledge_base_id = :base_id AND generation = :generation AND document_id = :document_id

-- name: halves
SELECT document_id FROM knowledge_builds
WHERE knowledge_base_id = :base_id AND generation = :generation AND chunk_count IS NULL

-- name: some
SELECT document_id FROM knowledge_builds
WHERE knowledge_base_id = :base_id AND generation = :generation
ORDER BY document_id LIMIT 100

-- name: drop_build
DELETE FROM knowledge_builds
WHERE knowledge_base_id = :base_id AND generation = :generation AND document_id = :document_id

-- name: drop_builds
DELETE FROM knowledge_builds WHERE knowledge_base_id = :base_id AND document_id = :document_id

-- name: built
SELECT generation FROM knowledge_builds
WHERE knowledge_base_id = :base_id AND document_id = :document_id AND document_revision = :revision
    AND chunk_count IS NOT NULL
ORDER BY generation

-- What the generation that was searched has of documents is theirs to say no longer, and what the other has is: of all
-- of them, as what is deleted may be restored.
-- name: leave
INSERT INTO knowledge_builds (tenant_id, knowledge_base_id, generation, document_id, document_revision, chunk_count)
SELECT d.tenant_id, d.knowledge_base_id, :former::int, d.id, d.active_revision, d.chunk_count
FROM knowledge_documents d
WHERE d.knowledge_base_id = :base_id::uuid AND d.chunk_count > 0
ON CONFLICT ON CONSTRAINT pk_knowledge_builds DO UPDATE
    SET document_revision = excluded.document_revision, chunk_count = excluded.chunk_count

-- name: enter
WITH counted AS (
    SELECT d.id, coalesce(b.chunk_count, 0) AS chunk_count
    FROM knowledge_documents d
        LEFT JOIN knowledge_builds b ON b.knowledge_base_id = d.knowledge_base_id AND b.generation = :generation
            AND b.document_id = d.id AND b.document_revision = d.active_revision
    WHERE d.knowledge_base_id = :base_id
)
UPDATE knowledge_documents d SET chunk_count = counted.chunk_count
FROM counted
WHERE d.id = counted.id AND d.chunk_count <> counted.chunk_count

-- name: forget_builds
DELETE FROM knowledge_builds WHERE knowledge_base_id = :base_id AND generation = :generation

-- name: turn
UPDATE knowledge_bases SET
    active_generation = :generation, default_embedding_model = :embedding_model,
    embedding_dimensions = :embedding_dimensions, chunk_size = :chunk_size, chunk_overlap = :chunk_overlap,
    chunk_count = (
        SELECT coalesce(sum(d.chunk_count), 0) FROM knowledge_documents d
        WHERE d.knowledge_base_id = :base_id AND d.deleted_at IS NULL
    )
WHERE id = :base_id
