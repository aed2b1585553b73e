-- name: add
-- Pieces of one revision of a document. COPY is refused under row security.
INSERT INTO knowledge_chunks (
    tenant_id, knowledge_base_id, id, document_id, document_revision, generation, chunk_index, content, token_count,
    start_offset, end_offset, page, heading, embedding, dimensions, embedding_model, search_vector
)
SELECT
    :tenant_id, :base_id, piece.id, :document_id, :document_revision, :generation, piece.chunk_index, piece.content,
    piece.token_count, piece.start_offset, piece.end_offset, piece.page, piece.heading, piece.embedding, :dimensions,
    :embedding_model, piece.words::tsvector
FROM unnest(
    :ids::uuid[], :chunk_indexes::integer[], :contents::text[], :token_counts::integer[], :start_offsets::integer[],
    :end_offsets::integer[], :pages::integer[], :headings::text[], :embeddings::halfvec[], :words::text[]
) AS piece (
    id, chunk_index, content, token_count, start_offset, end_offset, page, heading, embedding, words
)

-- name: drop
-- A batch of what is left of other revisions of a document than the one that is kept.
WITH gone AS (
    DELETE FROM knowledge_chunks AS chunk
    USING (
        SELECT id FROM knowledge_chunks
        WHERE knowledge_base_id = :base_id AND document_id = :document_id AND document_revision <> :kept
        LIMIT 1000
    ) AS old
    WHERE chunk.knowledge_base_id = :base_id AND chunk.id = old.id
    RETURNING 1
)
SELECT count(*) FROM gone

-- name: drop_of
-- A batch of what a generation has of a document.
WITH gone AS (
    DELETE FROM knowledge_chunks AS chunk
    USING (
        SELECT id FROM knowledge_chunks
        WHERE knowledge_base_id = :base_id AND document_id = :document_id AND generation = :generation
        LIMIT 1000
    ) AS old
    WHERE chunk.knowledge_base_id = :base_id AND chunk.id = old.id
    RETURNING 1
)
SELECT count(*) FROM gone
