-- Whoever changes the statistics of a base holds its totals first: who comes second waits there, and never in a circle.
-- name: add
WITH held AS (
    INSERT INTO knowledge_word_totals (tenant_id, knowledge_base_id, generation, chunk_count, word_count)
    VALUES (:tenant_id::uuid, :base_id::uuid, :generation::int, :chunks, :length)
    ON CONFLICT ON CONSTRAINT pk_knowledge_word_totals DO UPDATE SET
        chunk_count = knowledge_word_totals.chunk_count + excluded.chunk_count,
        word_count = knowledge_word_totals.word_count + excluded.word_count
    RETURNING tenant_id, knowledge_base_id, generation
)
INSERT INTO knowledge_words (tenant_id, knowledge_base_id, generation, word, chunk_count)
SELECT held.tenant_id, held.knowledge_base_id, held.generation, w.word, w.chunk_count
FROM held CROSS JOIN LATERAL unnest(:words::text[], :counts::int[]) AS w (word, chunk_count)
ON CONFLICT ON CONSTRAINT pk_knowledge_words DO UPDATE SET chunk_count = knowledge_words.chunk_count + excluded.chunk_count

-- name: hold
UPDATE knowledge_word_totals SET
    chunk_count = greatest(chunk_count - :chunks::int, 0), word_count = greatest(word_count - :length::bigint, 0)
WHERE knowledge_base_id = :base_id AND generation = :generation

-- Each word is looked up by its key, found and then lessened: joined to the table, a document's thousands of words are now
-- and then compared with all of the base's.
-- name: remove
INSERT INTO knowledge_words (tenant_id, knowledge_base_id, generation, word, chunk_count)
SELECT :tenant_id::uuid, :base_id::uuid, :generation::int, w.word, w.chunk_count
FROM unnest(:words::text[], :counts::int[]) AS w (word, chunk_count)
    CROSS JOIN LATERAL (
        SELECT FROM knowledge_words k
        WHERE k.knowledge_base_id = :base_id::uuid AND k.generation = :generation::int AND k.word = w.word COLLATE "C"
        OFFSET 0
    ) there
ON CONFLICT ON CONSTRAINT pk_knowledge_words DO UPDATE SET
    chunk_count = greatest(knowledge_words.chunk_count - excluded.chunk_count, 0)

-- name: sweep
DELETE FROM knowledge_words
WHERE knowledge_base_id = :base_id AND generation = :generation AND word = ANY (:words::text[] COLLATE "C") AND chunk_count = 0

-- name: drop
DELETE FROM knowledge_word_totals WHERE knowledge_base_id = :base_id AND generation = :generation

-- name: words_of
SELECT w.lexeme, count(*)::int
FROM knowledge_chunks c CROSS JOIN LATERAL unnest(c.search_vector) w
WHERE c.knowledge_base_id = :base_id AND c.document_id = :document_id AND c.document_revision = :revision
    AND c.generation = :generation AND c.enabled AND (:chunk_ids::uuid[] IS NULL OR c.id = ANY (:chunk_ids::uuid[]))
GROUP BY w.lexeme

-- name: length_of
SELECT count(*)::int, coalesce(sum(c.word_count), 0)::bigint
FROM knowledge_chunks c
WHERE c.knowledge_base_id = :base_id AND c.document_id = :document_id AND c.document_revision = :revision
    AND c.generation = :generation AND c.enabled AND (:chunk_ids::uuid[] IS NULL OR c.id = ANY (:chunk_ids::uuid[]))
