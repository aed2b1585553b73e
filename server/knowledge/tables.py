"""The knowledge slice's tables."""

from __future__ import annotations

from typing import Any

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    String,
    Text,
    UniqueConstraint,
    Uuid,
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR

from server.db.base import (
    LIVE,
    MOMENT,
    belongs_to_tenant,
    created_at,
    id_,
    index,
    live_list,
    live_unique,
    one_of,
    part_of,
    revision,
    soft_delete,
    tenant_key,
    tenant_table,
    timestamps,
)
from server.kernel.ids import PLATFORM_TENANT_ID

CHUNK_PARTITIONS = 16
"""Hash partitions of the chunks, by their base: a search reads one of them for each base."""


def _count(name: str, comment: str, kind: Any = Integer) -> Column[Any]:
    return Column(name, kind, nullable=False, server_default=text("0"), comment=comment)


def _at_least(least: int, *names: str) -> list[CheckConstraint]:
    return [CheckConstraint(f"{name} >= {least}", name=name) for name in names]


def _unique_name(name: str, *columns: str, where: str) -> Index:
    """What is unique among the live bases that are shared, or among those of one owner."""
    return Index(name, "tenant_id", *columns, unique=True, postgresql_where=text(f"{LIVE} AND {where}"))


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


def _of_base(table: str) -> ForeignKeyConstraint:
    """What belongs to a document, and so to that document's base."""
    return ForeignKeyConstraint(
        ["tenant_id", "knowledge_base_id", "document_id"],
        [f"{table}.tenant_id", f"{table}.knowledge_base_id", f"{table}.id"],
        ondelete="CASCADE",
    )


_COUNTS = ("document_count", "chunk_count", "total_size")

knowledge_bases = tenant_table(
    "knowledge_bases",
    id_(),
    Column("owner_user_id", Uuid, comment="Whose it is; NULL: nobody's in the tenant."),
    Column("name", String(255), nullable=False, comment="Its name."),
    Column("description", Text, comment="What it holds."),
    Column(
        "visibility_scope",
        String(20),
        nullable=False,
        server_default="tenant",
        comment="Who sees it: personal (its owner), tenant, or public (every tenant; the platform's alone).",
    ),
    Column(
        "default_embedding_model", String(100), nullable=False, comment="The model that its chunks are embedded with."
    ),
    Column("embedding_dimensions", Integer, nullable=False, comment="How many numbers a vector of that model has."),
    Column("chunk_size", Integer, nullable=False, comment="The most tokens of a chunk."),
    Column("chunk_overlap", Integer, nullable=False, comment="The most tokens that a chunk repeats of the one before."),
    Column("search_top_k", Integer, comment="How many chunks a search gives; NULL: the tenant's setting."),
    Column("search_threshold", Numeric(3, 2), comment="The least score of one; NULL: the tenant's setting."),
    Column(
        "active_generation",
        Integer,
        nullable=False,
        server_default=text("1"),
        comment="Which generation of its chunks is searched.",
    ),
    Column("status", String(20), nullable=False, server_default="active", comment="active, archived or deleted."),
    Column("former_status", String(20), comment="What it was before it was deleted, and is again when restored."),
    _count("document_count", "Its live documents."),
    _count("chunk_count", "The chunks of those."),
    _count("total_size", "Bytes of their originals.", BigInteger),
    Column("created_by", String(100), comment="Who made it; NULL: nobody in the tenant."),
    Column("updated_by", String(100), comment="Who changed it last; NULL: nobody in the tenant."),
    revision(),
    *timestamps(),
    *soft_delete(),
    tenant_key(),
    belongs_to_tenant(),
    ForeignKeyConstraint(["tenant_id", "owner_user_id"], ["users.tenant_id", "users.id"]),
    one_of("visibility_scope", "personal", "tenant", "public"),
    one_of("status", "active", "archived", "deleted"),
    one_of("former_status", "active", "archived"),
    CheckConstraint("(status = 'deleted') = (deleted_at IS NOT NULL)", name="deleted"),
    CheckConstraint("visibility_scope <> 'personal' OR owner_user_id IS NOT NULL", name="owner"),
    CheckConstraint(f"visibility_scope <> 'public' OR tenant_id = '{PLATFORM_TENANT_ID}'", name="public"),
    *_at_least(1, "embedding_dimensions", "chunk_size", "search_top_k", "active_generation"),
    *_at_least(0, *_COUNTS),
    CheckConstraint("chunk_overlap >= 0 AND chunk_overlap < chunk_size", name="chunk_overlap"),
    CheckConstraint("search_threshold BETWEEN 0 AND 1", name="search_threshold"),
    _unique_name("uq_knowledge_bases_name", "name", where="visibility_scope <> 'personal'"),
    _unique_name("uq_knowledge_bases_own_name", "owner_user_id", "name", where="visibility_scope = 'personal'"),
    *live_list("knowledge_bases"),
    index("ix_knowledge_bases_owner_user_id", "tenant_id", "owner_user_id", serves="its list, of one owner"),
    index(
        "ix_knowledge_bases_visibility_scope",
        "tenant_id",
        "visibility_scope",
        "id DESC",
        where=LIVE,
        serves="its list, of one visibility, such as the library of public ones",
    ),
    comment="Collections of documents that are searched together, all embedded with one model.",
    revised=(
        "name",
        "description",
        "visibility_scope",
        "chunk_size",
        "chunk_overlap",
        "search_top_k",
        "search_threshold",
        "status",
    ),
    counted=_COUNTS,
)

knowledge_documents = tenant_table(
    "knowledge_documents",
    id_(),
    Column("knowledge_base_id", Uuid, nullable=False, comment="The base that it is in."),
    Column("title", String(500), comment="Its title, as given or as found in it."),
    Column("author", String(255), comment="Who wrote it, as given or as found in it."),
    Column("source_type", String(20), nullable=False, comment="How it arrived: file, url or text."),
    Column("source_uri", Text, nullable=False, comment="Where it is from; uploads and texts have blob:<hash>."),
    Column("file_name", String(255), comment="What the file was called."),
    Column("file_size", BigInteger, nullable=False, comment="Bytes of the original."),
    Column("file_mime_type", String(100), nullable=False, comment="What it is, found by looking into it."),
    Column("file_hash", String(64), nullable=False, comment="SHA-256 of the original, in hexadecimal."),
    Column("version", String(50), nullable=False, server_default="v1.0", comment="Its version, as its people count."),
    Column(
        "status",
        String(20),
        nullable=False,
        server_default="pending",
        comment="pending, processing, indexed or failed.",
    ),
    Column("error_reason", String(100), comment="Why it failed: a reason of the API."),
    Column("error_message", Text, comment="The same in a sentence."),
    _count("chunk_count", "Its chunks that can be searched."),
    Column("uploaded_by", String(100), comment="Who added it; NULL: nobody in the tenant."),
    Column("processed_at", MOMENT, comment="When it was last indexed, or failed."),
    Column(
        "active_revision",
        Integer,
        nullable=False,
        server_default=text("1"),
        comment="Which revision of its chunks is searched.",
    ),
    Column("run_token", Uuid, comment="The run that processes it now, which alone may say how that ended."),
    Column("metadata", JSONB, comment="What its people note of it, which searches filter by."),
    revision(),
    *timestamps(),
    *soft_delete(),
    tenant_key(),
    belongs_to_tenant(),
    part_of("knowledge_base_id", "knowledge_bases"),
    # What chunks and originals refer to, so that theirs is its base; and what its base's documents are found by.
    UniqueConstraint("tenant_id", "knowledge_base_id", "id", name="uq_knowledge_documents_base"),
    one_of("source_type", "file", "url", "text"),
    one_of("status", "pending", "processing", "indexed", "failed"),
    *_at_least(0, "file_size", "chunk_count"),
    *_at_least(1, "active_revision"),
    live_unique("uq_knowledge_documents_hash", "knowledge_base_id", "file_hash"),
    index(
        "ix_knowledge_documents_live",
        "tenant_id",
        "knowledge_base_id",
        "id DESC",
        where=LIVE,
        serves="its list, of one base, newest first",
    ),
    index(
        "ix_knowledge_documents_deleted",
        "tenant_id",
        "deleted_at",
        where="deleted_at IS NOT NULL",
        serves="the purge, and the list of deleted rows",
    ),
    index(
        "ix_knowledge_documents_status",
        "tenant_id",
        "knowledge_base_id",
        "status",
        "id DESC",
        where=LIVE,
        serves="its list, of one status",
    ),
    index(
        "ix_knowledge_documents_waiting",
        "tenant_id",
        "updated_at",
        where=f"{LIVE} AND status IN ('pending', 'processing')",
        serves="those that are still to be processed",
    ),
    index("ix_knowledge_documents_file_hash", "tenant_id", "file_hash", serves="where else the same file lies"),
    comment="Documents of the bases.",
    revised=("title", "author", "version", "metadata"),
)

document_blobs = tenant_table(
    "document_blobs",
    id_(),
    Column("knowledge_base_id", Uuid, nullable=False, comment="The base that the document is to be in."),
    Column("document_id", Uuid, comment="Whose original it is; NULL: it is still being uploaded."),
    Column("started_by", Uuid, comment="Who uploads it, and has it processed; NULL: they are gone for good."),
    Column("started_with", Uuid, comment="With which key; NULL: in a session."),
    Column(
        "described", JSONB, nullable=False, comment="What was said of it: file name, type, title, author, metadata."
    ),
    Column("size", BigInteger, comment="Its bytes; NULL: nobody said before, and it is not complete."),
    Column("hash", String(64), comment="Its SHA-256, in hexadecimal; NULL likewise."),
    _count("received", "The bytes of it that are there.", BigInteger),
    Column("expires_at", MOMENT, comment="When an upload that nobody went on with is forgotten; NULL: it is complete."),
    *timestamps(),
    tenant_key(),
    belongs_to_tenant(),
    part_of("knowledge_base_id", "knowledge_bases"),
    _of_base("knowledge_documents"),
    *_at_least(0, "received", "size"),
    CheckConstraint("(document_id IS NULL) = (expires_at IS NOT NULL)", name="complete"),
    index(
        "ix_document_blobs_document_id",
        "tenant_id",
        "knowledge_base_id",
        "document_id",
        serves="the original of a document",
    ),
    index(
        "ix_document_blobs_expires_at",
        "tenant_id",
        "expires_at",
        where="expires_at IS NOT NULL",
        serves="the uploads that are forgotten",
    ),
    comment="The originals of documents, so that they can be indexed again, and uploads under way.",
)

document_blob_parts = tenant_table(
    "document_blob_parts",
    Column("blob_id", Uuid, nullable=False, comment="Whose part it is."),
    Column("part", Integer, nullable=False, comment="Which one, from 0."),
    Column("bytes", LargeBinary, nullable=False, comment="At most 1 MiB of it."),
    created_at(),
    tenant_key("blob_id", "part"),
    belongs_to_tenant(),
    part_of("blob_id", "document_blobs"),
    *_at_least(0, "part"),
    CheckConstraint("octet_length(bytes) <= 1048576", name="bytes"),
    comment="The bytes of originals.",
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
    _count("token_count", "How long that is, in tokens."),
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
    _of_base("knowledge_documents"),
    UniqueConstraint(
        "tenant_id",
        "knowledge_base_id",
        "document_id",
        "document_revision",
        "generation",
        "chunk_index",
        name="uq_knowledge_chunks_place",
    ),
    *_at_least(1, "document_revision", "generation", "dimensions", "page"),
    *_at_least(0, "chunk_index", "token_count", "start_offset", "word_count"),
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
    _count("chunk_count", "The chunks that count."),
    _count("word_count", "Their words, each as often as it stands there.", BigInteger),
    tenant_key("knowledge_base_id", "generation"),
    belongs_to_tenant(),
    part_of("knowledge_base_id", "knowledge_bases"),
    *_at_least(1, "generation"),
    *_at_least(0, "chunk_count", "word_count"),
    comment="How much text search has to search in a base.",
)

knowledge_words = tenant_table(
    "knowledge_words",
    Column("knowledge_base_id", Uuid, nullable=False, comment="The base."),
    Column("generation", Integer, nullable=False, comment="Which generation of its chunks."),
    Column("word", Text(collation="C"), nullable=False, comment="The word, as it is indexed."),
    _count("chunk_count", "How many of the chunks that count have it."),
    tenant_key("knowledge_base_id", "generation", "word"),
    belongs_to_tenant(),
    ForeignKeyConstraint(
        ["tenant_id", "knowledge_base_id", "generation"],
        [f"knowledge_word_totals.{name}" for name in ("tenant_id", "knowledge_base_id", "generation")],
        ondelete="CASCADE",
    ),
    *_at_least(1, "generation"),
    *_at_least(0, "chunk_count"),
    comment="How rare each word is in a base, which text search weighs it by.",
)

rag_query_logs = tenant_table(
    "rag_query_logs",
    id_(),
    Column("user_id", Uuid, comment="Who asked."),
    Column("api_key_id", Uuid, comment="With which key."),
    Column("knowledge_base_ids", ARRAY(Uuid), nullable=False, comment="What was searched."),
    Column("query_text", Text, nullable=False, comment="What was asked."),
    Column("mode", String(20), nullable=False, comment="vector, text or hybrid."),
    Column("top_k", Integer, nullable=False, comment="How many were asked for."),
    Column("score_threshold", Numeric(3, 2), comment="The least score that was asked for."),
    Column("retrieved_count", Integer, nullable=False, comment="How many were found."),
    Column("average_score", Numeric(6, 5), comment="The mean of their scores; NULL: none was found."),
    Column("latency_ms", Integer, comment="How long it took."),
    Column("request_id", String(100), comment="In which request."),
    Column("trace_id", String(100), comment="In which trace."),
    Column("session_id", String(100), comment="In which session."),
    created_at(),
    tenant_key(),
    belongs_to_tenant(),
    one_of("mode", "vector", "text", "hybrid"),
    *_at_least(0, "top_k", "retrieved_count", "latency_ms"),
    CheckConstraint("score_threshold BETWEEN 0 AND 1", name="score_threshold"),
    CheckConstraint("average_score BETWEEN 0 AND 1", name="average_score"),
    index("ix_rag_query_logs_user_id", "tenant_id", "user_id", "id DESC", serves="its list, of one person"),
    index("ix_rag_query_logs_trace_id", "tenant_id", "trace_id", serves="its list, of one trace"),
    comment="What was searched for.",
    postgresql_partition_by="RANGE (id)",
)
