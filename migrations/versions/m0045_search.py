"""Search: the indexes that chunks are found by, the statistics of their words, and the function that ranks by words."""

from alembic import op

revision = "0045"
down_revision = "0044"

_OWN = "tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid"
_STATISTICS = ("knowledge_words", "knowledge_word_totals")
_UP = (
    # Bytes of all words with their places, less those of the words: two bytes a place are left.
    """
    ALTER TABLE knowledge_chunks ADD COLUMN word_count INTEGER NOT NULL GENERATED ALWAYS AS (
        (octet_length(tsvectorsend(search_vector)) - octet_length(tsvectorsend(strip(search_vector)))) / 2
    ) STORED
    """,
    "ALTER TABLE knowledge_chunks ADD CONSTRAINT ck_knowledge_chunks_word_count CHECK (word_count >= 0)",
    "COMMENT ON COLUMN knowledge_chunks.word_count IS 'How many words that is, each as often as it stands there.'",
    # The base is a word of the index: what other bases have of a word is not looked at.
    """
    CREATE INDEX ix_knowledge_chunks_words ON knowledge_chunks
        USING gin ((search_vector || array_to_tsvector(ARRAY[CAST(knowledge_base_id AS text)])))
        WITH (fastupdate = off)
    """,
    *(
        f"""
        CREATE INDEX ix_knowledge_chunks_vector_{n} ON knowledge_chunks
            USING hnsw ((CAST(embedding AS halfvec({n}))) halfvec_cosine_ops) WHERE dimensions = {n}
        """
        for n in (256, 1536)
    ),
    """
    CREATE TABLE knowledge_word_totals (
        tenant_id UUID NOT NULL,
        knowledge_base_id UUID NOT NULL,
        generation INTEGER NOT NULL,
        chunk_count INTEGER DEFAULT 0 NOT NULL,
        word_count BIGINT DEFAULT 0 NOT NULL,
        CONSTRAINT pk_knowledge_word_totals PRIMARY KEY (tenant_id, knowledge_base_id, generation),
        CONSTRAINT fk_knowledge_word_totals_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT fk_knowledge_word_totals_tenant_id_knowledge_base_id FOREIGN KEY(tenant_id, knowledge_base_id) REFERENCES knowledge_bases (tenant_id, id) ON DELETE CASCADE,
        CONSTRAINT ck_knowledge_word_totals_generation CHECK (generation >= 1),
        CONSTRAINT ck_knowledge_word_totals_chunk_count CHECK (chunk_count >= 0),
        CONSTRAINT ck_knowledge_word_totals_word_count CHECK (word_count >= 0)
    )
    """,
    "COMMENT ON TABLE knowledge_word_totals IS 'How much text search has to search in a base.'",
    "COMMENT ON COLUMN knowledge_word_totals.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN knowledge_word_totals.knowledge_base_id IS 'The base.'",
    "COMMENT ON COLUMN knowledge_word_totals.generation IS 'Which generation of its chunks.'",
    "COMMENT ON COLUMN knowledge_word_totals.chunk_count IS 'The chunks that count.'",
    "COMMENT ON COLUMN knowledge_word_totals.word_count IS 'Their words, each as often as it stands there.'",
    """
    CREATE TABLE knowledge_words (
        tenant_id UUID NOT NULL,
        knowledge_base_id UUID NOT NULL,
        generation INTEGER NOT NULL,
        word TEXT COLLATE "C" NOT NULL,
        chunk_count INTEGER DEFAULT 0 NOT NULL,
        CONSTRAINT pk_knowledge_words PRIMARY KEY (tenant_id, knowledge_base_id, generation, word),
        CONSTRAINT fk_knowledge_words_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT fk_knowledge_words_tenant_id_knowledge_base_id_generation FOREIGN KEY(tenant_id, knowledge_base_id, generation) REFERENCES knowledge_word_totals (tenant_id, knowledge_base_id, generation) ON DELETE CASCADE,
        CONSTRAINT ck_knowledge_words_generation CHECK (generation >= 1),
        CONSTRAINT ck_knowledge_words_chunk_count CHECK (chunk_count >= 0)
    )
    """,
    "COMMENT ON TABLE knowledge_words IS 'How rare each word is in a base, which text search weighs it by.'",
    "COMMENT ON COLUMN knowledge_words.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN knowledge_words.knowledge_base_id IS 'The base.'",
    "COMMENT ON COLUMN knowledge_words.generation IS 'Which generation of its chunks.'",
    "COMMENT ON COLUMN knowledge_words.word IS 'The word, as it is indexed.'",
    "COMMENT ON COLUMN knowledge_words.chunk_count IS 'How many of the chunks that count have it.'",
    *(
        statement
        for table in _STATISTICS
        for statement in (
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
            f"CREATE POLICY tenant_isolation ON {table} USING ({_OWN}) WITH CHECK ({_OWN})",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO atrium_app",
        )
    ),
    # BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009) with k1 = 1.2 and b = 0.75.
    #
    # A chunk is matched by any of the rarer words, as many of them as few chunks enough have, or by two of the others, as
    # many pairs as likely come to as few again; it is scored with all words. In a small base that is every chunk with any
    # of them. Of what a word matches that is common and alone, so many are looked at as lie first. The statement is planned
    # for its values, with one partition in it.
    #
    # How often a chunk has a word: ts_rank gives of one word, all places alike, the sum of 1/1^2 .. 1/n^2 over pi^2/6 (see
    # PostgreSQL's tsrank.c), and what is wanting to 1 in that is 1/(n + 1/2) over pi^2/6, to a hundredth of n. It takes a
    # third of the time of unnesting the tsvector, which is read from its storage once and not for each word.
    """
    CREATE FUNCTION atrium_search_text(bases uuid[], words text[], times integer[], documents uuid[], most integer)
    RETURNS TABLE (knowledge_base_id uuid, id uuid, score double precision, bound double precision)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    #variable_conflict use_column
    DECLARE
        own CONSTANT uuid := nullif(current_setting('app.tenant_id', true), '')::uuid;
        enough CONSTANT integer := 1500;
        live uuid[];
        generations integer[];
        chunks double precision;
        mean double precision;
        share double precision := 1;
        known text[];
        weights double precision[];
        base record;
        asked record;
        taken integer;
        expected double precision;
        pairs text[];
        wanted text[];
        ids uuid[];
        scores double precision[];
    BEGIN
        SELECT array_agg(b.id), array_agg(b.active_generation), sum(t.chunk_count), sum(t.word_count) / nullif(sum(t.chunk_count), 0)
        INTO live, generations, chunks, mean
        FROM public.knowledge_bases b
            JOIN public.knowledge_word_totals t ON t.tenant_id = own AND t.knowledge_base_id = b.id AND t.generation = b.active_generation
        WHERE b.tenant_id = own AND b.id = ANY (bases) AND b.deleted_at IS NULL;
        IF mean IS NULL OR mean = 0 THEN
            RETURN;
        END IF;

        -- Each word is looked up in each base by the key of the table: the OFFSET keeps them from being joined otherwise.
        SELECT array_agg(q.word), array_agg(q.weight), 2.2 * sum(q.weight)
        INTO known, weights, bound
        FROM (
            SELECT w.word,
                max(w.times) * ln(1 + (greatest(chunks - sum(k.chunk_count), 0) + 0.5) / (sum(k.chunk_count) + 0.5)) AS weight
            FROM unnest(words, times) AS w (word, times)
                CROSS JOIN unnest(live, generations) AS b (id, generation)
                CROSS JOIN LATERAL (
                    SELECT k.chunk_count FROM public.knowledge_words k
                    WHERE k.tenant_id = own AND k.knowledge_base_id = b.id AND k.generation = b.generation
                        AND k.word = w.word COLLATE "C"
                    OFFSET 0
                ) k
            GROUP BY w.word
        ) q;

        IF documents IS NOT NULL THEN
            SELECT least(1, coalesce(sum(d.chunk_count), 0) / chunks) INTO share
            FROM public.knowledge_documents d WHERE d.tenant_id = own AND d.id = ANY (documents);
        END IF;

        FOR base IN SELECT b.id, b.generation FROM unnest(live, generations) AS b (id, generation) LOOP
            SELECT array_agg(w.word ORDER BY k.chunk_count, w.word) AS words,
                array_agg(w.weight ORDER BY k.chunk_count, w.word) AS weights,
                array_agg(k.chunk_count ORDER BY k.chunk_count, w.word) AS counts,
                array_agg('''' || replace(replace(w.word, '\\', '\\\\'), '''', '''''') || '''' ORDER BY k.chunk_count, w.word) AS quoted
            INTO asked
            FROM unnest(known, weights) AS w (word, weight)
                CROSS JOIN LATERAL (
                    SELECT k.chunk_count FROM public.knowledge_words k
                    WHERE k.tenant_id = own AND k.knowledge_base_id = base.id AND k.generation = base.generation
                        AND k.word = w.word COLLATE "C" AND k.chunk_count > 0
                    OFFSET 0
                ) k;
            CONTINUE WHEN asked.words IS NULL;

            taken := 0;
            expected := 0;
            WHILE taken < cardinality(asked.words) AND expected + share * asked.counts[taken + 1] <= enough LOOP
                taken := taken + 1;
                expected := expected + share * asked.counts[taken];
            END LOOP;
            SELECT array_agg(p.both) INTO pairs
            FROM (
                SELECT a.word || ' & ' || b.word AS both,
                    sum(share * a.count::double precision * b.count / chunks) OVER (ORDER BY a.count::double precision * b.count, a.word, b.word) AS expected
                FROM unnest(asked.quoted[taken + 1 : taken + 12], asked.counts[taken + 1 : taken + 12]) WITH ORDINALITY AS a (word, count, n)
                    JOIN unnest(asked.quoted[taken + 1 : taken + 12], asked.counts[taken + 1 : taken + 12]) WITH ORDINALITY AS b (word, count, n)
                        ON a.n < b.n
            ) p
            WHERE p.expected <= enough;
            wanted := asked.quoted[1:taken] || coalesce(pairs, '{}');

            LOOP
                EXECUTE $query$
                    SELECT array_agg(f.id ORDER BY f.score DESC, f.id), array_agg(f.score ORDER BY f.score DESC, f.id)
                    FROM (
                        SELECT c.id, s.score
                        FROM (
                            SELECT c.id, c.word_count, c.search_vector
                            FROM public.knowledge_chunks c
                                JOIN public.knowledge_documents d ON d.tenant_id = $1 AND d.knowledge_base_id = $2
                                    AND d.id = c.document_id AND d.active_revision = c.document_revision AND d.deleted_at IS NULL
                            WHERE c.tenant_id = $1 AND c.knowledge_base_id = $2 AND c.generation = $3 AND c.enabled
                                AND (c.search_vector || array_to_tsvector(ARRAY[c.knowledge_base_id::text])) @@ $4
                                AND ($5 IS NULL OR c.document_id = ANY ($5))
                            LIMIT $6
                        ) c
                        CROSS JOIN LATERAL (
                            SELECT ts_filter(c.search_vector, '{d}') AS read, 0.3 + 0.9 * (c.word_count / $9) AS norm OFFSET 0
                        ) v
                        CROSS JOIN LATERAL (
                            SELECT sum(t.weight * t.times * 2.2 / (t.times + v.norm)) AS score
                            FROM (
                                SELECT w.weight, round(1 / (1.6449340668 * (1 - ts_rank('{1, 1, 1, 1}', v.read, w.word))) - 0.5) AS times
                                FROM unnest($7, $8) AS w (word, weight)
                            ) t
                        ) s
                        ORDER BY s.score DESC, c.id LIMIT $10
                    ) f
                $query$
                INTO ids, scores
                USING own, base.id, base.generation,
                    ('''' || base.id || ''' & ( ' || array_to_string(coalesce(nullif(wanted, '{}'), asked.quoted[1:1]), ' | ') || ' )')::tsquery,
                    documents, 4 * enough,
                    asked.quoted::tsquery[], asked.weights, mean, most;
                EXIT WHEN taken > 0 OR wanted = '{}' OR cardinality(ids) >= most;
                wanted := '{}';
            END LOOP;
            RETURN QUERY SELECT base.id, f.id, f.score, bound FROM unnest(ids, scores) AS f (id, score);
        END LOOP;
    END
    $$
    """,
    "COMMENT ON FUNCTION atrium_search_text(uuid[], text[], integer[], uuid[], integer) IS "
    "'The chunks of these bases of the running transaction''s tenant that have the words, each asked so many times, with their BM25 scores and the bound that none reaches: the best of each base. documents: none but their chunks; NULL: all.'",
    "REVOKE ALL ON FUNCTION atrium_search_text(uuid[], text[], integer[], uuid[], integer) FROM PUBLIC",
    "GRANT EXECUTE ON FUNCTION atrium_search_text(uuid[], text[], integer[], uuid[], integer) TO atrium_app",
    # By the angle between the vectors. It runs with the rights of its caller, under row security.
    #
    # What is small is compared one by one, which is exact. What is large is looked up in the index of its partition, which
    # goes on until enough of the base were found that count, or so many were passed by that it gives up: then those few
    # are found one by one as well. The order of the index is not quite right (relaxed), and put right behind it.
    """
    CREATE FUNCTION atrium_search_vector(bases uuid[], vector halfvec, documents uuid[], most integer, small integer)
    RETURNS TABLE (knowledge_base_id uuid, id uuid, similarity double precision)
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, public, pg_temp SET enable_sort = off AS $$
    #variable_conflict use_column
    DECLARE
        own CONSTANT uuid := nullif(current_setting('app.tenant_id', true), '')::uuid;
        size CONSTANT text := vector_dims(vector)::text;
        count double precision;
        share double precision := 1;
        base record;
        indexed boolean;
        ids uuid[];
        similarities double precision[];
    BEGIN
        PERFORM set_config('hnsw.iterative_scan', 'relaxed_order', true),
            set_config('hnsw.ef_search', least(1000, greatest(400, 4 * most))::text, true);
        IF documents IS NOT NULL THEN
            SELECT coalesce(sum(d.chunk_count), 0) INTO count
            FROM public.knowledge_documents d WHERE d.tenant_id = own AND d.id = ANY (documents);
        END IF;

        FOR base IN
            SELECT b.id, b.active_generation AS generation,
                coalesce((SELECT t.chunk_count FROM public.knowledge_word_totals t
                          WHERE t.tenant_id = own AND t.knowledge_base_id = b.id AND t.generation = b.active_generation), 0) AS chunks
            FROM public.knowledge_bases b WHERE b.tenant_id = own AND b.id = ANY (bases) AND b.deleted_at IS NULL
        LOOP
            indexed := least(base.chunks, count) > small;
            LOOP
                EXECUTE $query$
                    SELECT array_agg(f.id ORDER BY f.distance, f.id), array_agg(1 - f.distance ORDER BY f.distance, f.id)
                    FROM (
                        SELECT c.id, c.embedding::halfvec($query$ || size || $query$) <=> $4 AS distance
                        FROM public.knowledge_chunks c
                            JOIN public.knowledge_documents d ON d.tenant_id = $1 AND d.knowledge_base_id = $2
                                AND d.id = c.document_id AND d.active_revision = c.document_revision AND d.deleted_at IS NULL
                        WHERE c.tenant_id = $1 AND c.knowledge_base_id = $2 AND c.generation = $3 AND c.enabled
                            AND c.dimensions = $query$ || size || $query$ AND c.embedding IS NOT NULL
                            AND ($5 IS NULL OR c.document_id = ANY ($5))
                        ORDER BY (c.embedding::halfvec($query$ || size || $query$) <=> $4) $query$ || CASE WHEN indexed THEN '' ELSE '+ 0' END || $query$
                        LIMIT $6
                    ) f
                $query$
                INTO ids, similarities
                USING own, base.id, base.generation, vector, documents, most;
                EXIT WHEN NOT indexed OR cardinality(ids) >= most;
                indexed := false;
            END LOOP;
            RETURN QUERY SELECT base.id, f.id, f.similarity FROM unnest(ids, similarities) AS f (id, similarity);
        END LOOP;
    END
    $$
    """,
    "COMMENT ON FUNCTION atrium_search_vector(uuid[], halfvec, uuid[], integer, integer) IS "
    "'The chunks of these bases of the running transaction''s tenant whose vectors are nearest, with the cosine: the best of each base. documents: none but their chunks; NULL: all. small: up to how many chunks are compared one by one.'",
    "REVOKE ALL ON FUNCTION atrium_search_vector(uuid[], halfvec, uuid[], integer, integer) FROM PUBLIC",
    "GRANT EXECUTE ON FUNCTION atrium_search_vector(uuid[], halfvec, uuid[], integer, integer) TO atrium_app",
)
_DOWN = (
    "DROP FUNCTION atrium_search_vector(uuid[], halfvec, uuid[], integer, integer)",
    "DROP FUNCTION atrium_search_text(uuid[], text[], integer[], uuid[], integer)",
    "DROP TABLE knowledge_words",
    "DROP TABLE knowledge_word_totals",
    "DROP INDEX ix_knowledge_chunks_vector_1536",
    "DROP INDEX ix_knowledge_chunks_vector_256",
    "DROP INDEX ix_knowledge_chunks_words",
    "ALTER TABLE knowledge_chunks DROP COLUMN word_count",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
