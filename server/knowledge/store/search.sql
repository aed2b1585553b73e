-- Each finds the best of each base, with what the other way says of them where that costs little. The functions look at
-- what counts alone: chunks that are enabled, of their document's active revision and their base's active generation, of
-- live documents. Row security is over the chunks here, and over all of `near`.

-- name: near
SELECT f.id, f.knowledge_base_id, c.document_id, f.similarity, NULL::float8, NULL::float8
FROM atrium_search_vector(:bases, :vector, :documents, :most, :one_by_one) f
    CROSS JOIN LATERAL (
        SELECT c.document_id FROM knowledge_chunks c
        WHERE c.knowledge_base_id = f.knowledge_base_id AND c.id = f.id OFFSET 0
    ) c

-- name: said
SELECT f.id, f.knowledge_base_id, c.document_id, NULL::float8, f.score, f.bound
FROM atrium_search_text(:bases, :words, :times, :documents, :most) f
    CROSS JOIN LATERAL (
        SELECT c.document_id FROM knowledge_chunks c
        WHERE c.knowledge_base_id = f.knowledge_base_id AND c.id = f.id OFFSET 0
    ) c

-- What was found by words alone has its cosine reckoned too: the two lists are weighed with both scores of each. They are
-- joined before the chunks are looked up, whose key takes columns and, under row security, no COALESCE.
-- name: both
WITH near AS MATERIALIZED (
    SELECT * FROM atrium_search_vector(:bases, :vector, :documents, :most, :one_by_one)
), said AS MATERIALIZED (
    SELECT * FROM atrium_search_text(:bases, :words, :times, :documents, :most)
), found AS MATERIALIZED (
    SELECT * FROM near FULL JOIN said USING (knowledge_base_id, id)
)
SELECT f.id, f.knowledge_base_id, c.document_id,
    coalesce(f.similarity, CASE WHEN c.dimensions = vector_dims(:vector) THEN 1 - (c.embedding <=> :vector) END),
    f.score, f.bound
FROM found f
    CROSS JOIN LATERAL (
        SELECT c.document_id, c.dimensions, c.embedding FROM knowledge_chunks c
        WHERE c.knowledge_base_id = f.knowledge_base_id AND c.id = f.id OFFSET 0
    ) c

-- The documents that a filter leaves, which is none where it leaves none.
-- name: documents
SELECT coalesce(array_agg(d.id), '{}')
FROM knowledge_documents d
WHERE d.knowledge_base_id = ANY (:bases::uuid[]) AND d.deleted_at IS NULL
    AND (:ids::uuid[] IS NULL OR d.id = ANY (:ids::uuid[]))
    AND (:metadata::jsonb IS NULL OR d.metadata @> :metadata::jsonb)

-- name: contents
SELECT c.id, c.content, c.token_count, c.page, c.heading, c.chunk_index, d.metadata, d.title, d.file_name
FROM unnest(:bases::uuid[], :ids::uuid[]) AS f (knowledge_base_id, id)
    CROSS JOIN LATERAL (
        SELECT * FROM knowledge_chunks c WHERE c.knowledge_base_id = f.knowledge_base_id AND c.id = f.id OFFSET 0
    ) c
    JOIN knowledge_documents d ON d.knowledge_base_id = c.knowledge_base_id AND d.id = c.document_id
