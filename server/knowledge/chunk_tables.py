"""The tables that are searched: chunks, and how rare their words are."""

from __future__ import annotations

from typing import Any

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    Uuid,
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR

from server.db.base import belongs_to_tenant, id_, part_of, revision, tenant_key, tenant_table, timestamps
from server.knowledge.table_parts import at_least, count, of_base


def _found_by(name: str, method: str, key: str, where: str | None = None, *, serves: str, **options: Any) -> Index:
    """An index of chunks that has no order, and so no tenant that leads it."""
    return Index(
        name,
        literal_column(key).label("key"),
        postgresql_using=method,
        postgresql_where=None if where is None else text(where),
        info={"serves": serves},
        **options,
    )


def _by_vector(dimensions: int) -> Index:
    """An index has vectors of one length."""
    return _found_by(
        f"ix_knowledge_chunks_vector_{dimensions}",
        "hnsw",
        f"(CAST(embedding AS halfvec({dimensions})))",
        f"dimensions = {dimensions}",
        serves=f"the nearest of vectors of {dimensions} numbers, in a large base",
        postgresql_ops={"key": "halfvec_cosine_ops"},
    )


knowledge_chunks = tenant_table(
    "knowledge_chunks",
    Column("knowledge_base_id", Uuid, nullable=False, comment="The base that it is in."),
    id_(),
    Column("document_id", Uuid, nullable=False, comment="The document that it is of."),
    Column("document_revision", Integer, nullable=False, comment="Of which revision of that."),
    Column("generation", Integer, nullable=False, comment="Of which generation of the base."),
    Column("chunk_index", Integer, nullable=False, comment="Its place in the document, from 0."),
    Column("content", Text, nullable=False, comment="Its text."),
    count("token_count", "How long that is, in tokens."),
    Column("start_offset", Integer, nullable=False, comment="Where it begins in the document's text, in characters."),
    Column("end_offset", Integer, nullable=False, comment="Where it ends."),
    Column("page", Integer, comment="The page that it begins on, from 1; NULL: the document has none."),
    Column("heading", Text, comment="The headings that it stands under."),
    Column("embedding", HALFVEC, comment="Its vector, of the model's length; NULL: the model refused it."),
    Column("dimensions", Integer, nullable=False, comment="How many numbers that has."),
    Column("embedding_model", String(100), nullable=False, comment="The model that it is of."),
    Column("search_vector", TSVECTOR, nullable=False, comment="Its words, which text search finds it by."),
    Column(
        "word_count",
        Integer,
        # The bytes of all words with their places, less those of the words: two bytes a place are left.
        Computed(
            "(octet_length(tsvectorsend(search_vector)) - octet_length(tsvectorsend(strip(search_vector)))) / 2",
            persisted=True,
        ),
        nullable=False,
        comment="How many words that is, each as often as it stands there.",
    ),
    Column("metadata", JSONB, comment="What its document's people note of it."),
    Column("enabled", Boolean, nullable=False, server_default=text("true"), comment="Whether searches find it."),
    revision(),
    *timestamps(),
    tenant_key("knowledge_base_id", "id"),
    belongs_to_tenant(),
    of_base("knowledge_documents"),
    UniqueConstraint(
        "tenant_id",
        "knowledge_base_id",
        "document_id",
        "document_revision",
        "generation",
        "chunk_index",
        name="uq_knowledge_chunks_place",
    ),
    *at_least(1, "document_revision", "generation", "dimensions", "page"),
    *at_least(0, "chunk_index", "token_count", "start_offset", "word_count"),
    CheckConstraint("end_offset >= start_offset", name="end_offset"),
    # The base is a word of the index: what other bases have of a word is not looked at.
    _found_by(
        "ix_knowledge_chunks_words",
        "gin",
        "(search_vector || array_to_tsvector(ARRAY[CAST(knowledge_base_id AS text)]))",
        serves="the chunks of a base that have certain words",
        postgresql_with={"fastupdate": "off"},
    ),
    _by_vector(256),
    _by_vector(1536),
    comment="The pieces of documents that searches find.",
    revised=("content", "enabled", "metadata"),
    postgresql_partition_by="HASH (knowledge_base_id)",
)

knowledge_word_totals = tenant_table(
    "knowledge_word_totals",
    Column("knowledge_base_id", Uuid, nullable=False, comment="The base."),
    Column("generation", Integer, nullable=False, comment="Which generation of its chunks."),
    count("chunk_count", "The chunks that count."),
    count("word_count", "Their words, each as often as it stands there.", BigInteger),
    tenant_key("knowledge_base_id", "generation"),
    belongs_to_tenant(),
    part_of("knowledge_base_id", "knowledge_bases"),
    *at_least(1, "generation"),
    *at_least(0, "chunk_count", "word_count"),
    comment="How much text search has to search in a base.",
)

knowledge_words = tenant_table(
    "knowledge_words",
    Column("knowledge_base_id", Uuid, nullable=False, comment="The base."),
    Column("generation", Integer, nullable=False, comment="Which generation of its chunks."),
    Column("word", Text(collation="C"), nullable=False, comment="The word, as it is indexed."),
    count("chunk_count", "How many of the chunks that count have it."),
    tenant_key("knowledge_base_id", "generation", "word"),
    belongs_to_tenant(),
    ForeignKeyConstraint(
        ["tenant_id", "knowledge_base_id", "generation"],
        [f"knowledge_word_totals.{name}" for name in ("tenant_id", "knowledge_base_id", "generation")],
        ondelete="CASCADE",
    ),
    *at_least(1, "generation"),
    *at_least(0, "chunk_count"),
    comment="How rare each word is in a base, which text search weighs it by.",
)
