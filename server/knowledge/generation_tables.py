"""The tables of generations: how each is made, and what those that are not searched have of documents."""

from __future__ import annotations

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKeyConstraint, Index, Integer, String, Text, Uuid, text

from server.db.base import MOMENT, belongs_to_tenant, index, one_of, part_of, tenant_key, tenant_table, timestamps
from server.knowledge.table_parts import at_least, count, of_base

_PLACE = ("tenant_id", "knowledge_base_id", "generation")

knowledge_generations = tenant_table(
    "knowledge_generations",
    Column("knowledge_base_id", Uuid, nullable=False, comment="The base."),
    Column("generation", Integer, nullable=False, comment="Which generation of its chunks."),
    Column("embedding_model", String(100), nullable=False, comment="The model that its chunks are embedded with."),
    Column("embedding_dimensions", Integer, nullable=False, comment="How many numbers a vector of that model has."),
    Column("chunk_size", Integer, nullable=False, comment="The most tokens of a chunk."),
    Column("chunk_overlap", Integer, nullable=False, comment="The most tokens that a chunk repeats of the one before."),
    Column(
        "status",
        String(20),
        nullable=False,
        comment="building, active (searched), kept (it was, and may be again) or discarded (its chunks are removed).",
    ),
    Column(
        "rollback",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="Whether it was searched before, and is gone back to.",
    ),
    Column("started_by", Uuid, comment="Who asked for it, and has it built; NULL: nobody, or they are gone for good."),
    Column("started_with", Uuid, comment="With which key; NULL: in a session."),
    Column("run_token", Uuid, comment="The run that builds it now, which alone may add to it."),
    count("document_done", "The documents that are in it."),
    count("document_total", "Those that are to be."),
    Column("error_reason", String(100), comment="Why it could not be built: a reason of the API."),
    Column("error_message", Text, comment="The same in a sentence."),
    Column("started_at", MOMENT, comment="When it was asked for; NULL: it is a base's first, and nobody did."),
    Column("ended_at", MOMENT, comment="When it was searched, failed or was called off; NULL: it is being built."),
    Column("kept_until", MOMENT, comment="Until when it is kept; NULL: it is not."),
    *timestamps(),
    tenant_key("knowledge_base_id", "generation"),
    belongs_to_tenant(),
    part_of("knowledge_base_id", "knowledge_bases"),
    one_of("status", "building", "active", "kept", "discarded"),
    CheckConstraint("status <> 'kept' OR kept_until IS NOT NULL", name="kept_until"),
    *at_least(1, "generation", "embedding_dimensions", "chunk_size"),
    *at_least(0, "document_done", "document_total"),
    CheckConstraint("chunk_overlap >= 0 AND chunk_overlap < chunk_size", name="chunk_overlap"),
    Index(
        "uq_knowledge_generations_building",
        "tenant_id",
        "knowledge_base_id",
        unique=True,
        postgresql_where=text("status = 'building'"),
    ),
    index(
        "ix_knowledge_generations_over",
        "tenant_id",
        "status",
        "kept_until",
        where="status IN ('kept', 'discarded')",
        serves="the upkeep: those whose time is over, and those whose chunks are removed",
    ),
    comment="How the chunks of a base are made, and were: a generation has all that are made alike.",
)

knowledge_builds = tenant_table(
    "knowledge_builds",
    Column("knowledge_base_id", Uuid, nullable=False, comment="The base."),
    Column("generation", Integer, nullable=False, comment="Which generation of its chunks."),
    Column("document_id", Uuid, nullable=False, comment="The document."),
    Column("document_revision", Integer, nullable=False, comment="Of which revision of that it has chunks."),
    Column("chunk_count", Integer, comment="How many those are; NULL: they are being made."),
    tenant_key("knowledge_base_id", "generation", "document_id"),
    belongs_to_tenant(),
    ForeignKeyConstraint(_PLACE, [f"knowledge_generations.{name}" for name in _PLACE], ondelete="CASCADE"),
    of_base("knowledge_documents"),
    *at_least(1, "generation", "document_revision"),
    *at_least(0, "chunk_count"),
    index(
        "ix_knowledge_builds_document_id",
        "tenant_id",
        "knowledge_base_id",
        "document_id",
        serves="the generations that a document is in",
    ),
    comment="What generations that are not searched have of documents; of the one that is, the documents say it.",
)
