"""The model slice's tables of what is kept for a time: what was said, what may be given again, streams."""

from __future__ import annotations

from sqlalchemy import ARRAY, BigInteger, Boolean, CheckConstraint, Column, Index, LargeBinary, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from server.db.base import (
    MOMENT,
    belongs_to_tenant,
    by_moment,
    created_at,
    id_,
    part_of,
    tenant_key,
    tenant_table,
)

_NO = text("false")

# In PostgreSQL's own lines, so that it is seen to be the same as in the database.
_CALLED = "(\nCASE\n WHEN called IS NULL THEN id\n ELSE called\nEND)"

call_contents = tenant_table(
    "call_contents",
    Column("call_log_id", Uuid, nullable=False, comment="Whose prompt and answer: a record of a call."),
    Column("messages", JSONB, nullable=False, comment="What was asked."),
    Column("answer", JSONB, comment="What was answered; NULL: nothing was."),
    created_at(),
    tenant_key("call_log_id"),
    belongs_to_tenant(),
    by_moment("ix_call_contents_created_at", "created_at", serves="the end of what was kept long enough"),
    comment="Prompts and answers, of tenants that keep them.",
)

response_cache = tenant_table(
    "response_cache",
    Column("question_hash", LargeBinary, nullable=False, comment="SHA-256 of all that the answer depends on."),
    Column("answer", JSONB, nullable=False, comment="The answer."),
    Column("expires_at", MOMENT, nullable=False, comment="Until when it may be given again."),
    created_at(),
    tenant_key("question_hash"),
    belongs_to_tenant(),
    by_moment("ix_response_cache_expires_at", "expires_at", serves="the end of what has expired"),
    comment="Answers that may be given again.",
)

embedding_cache = tenant_table(
    "embedding_cache",
    Column("model_id", Uuid, nullable=False, comment="Whose vector."),
    Column("content_hash", LargeBinary, nullable=False, comment="SHA-256 of the text and the state of its model."),
    Column("vector", LargeBinary, nullable=False, comment="Little-endian floats of 32 bits."),
    Column("expires_at", MOMENT, nullable=False, comment="Until when it may be given again."),
    created_at(),
    tenant_key("model_id", "content_hash"),
    belongs_to_tenant(),
    by_moment("ix_embedding_cache_expires_at", "expires_at", serves="the end of what has expired"),
    comment="Vectors that may be given again.",
)

generations = tenant_table(
    "generations",
    id_(),
    Column("user_id", Uuid, nullable=False, comment="Whose it is."),
    Column("cancelled", Boolean, nullable=False, server_default=_NO, comment="Whether it was asked to end."),
    Column("ended", Boolean, nullable=False, server_default=_NO, comment="Whether its last event is written."),
    Column("kept_until", MOMENT, nullable=False, comment="When its server counts as gone, unless it says otherwise."),
    Column("expires_at", MOMENT, nullable=False, comment="Until when it can be read."),
    created_at(),
    Column("called", Uuid, comment="What its user calls it; NULL: by its id."),
    Column("asked", LargeBinary, comment="SHA-256 of all that was asked for; NULL: nobody knows any more."),
    Column(
        "lost",
        Boolean,
        nullable=False,
        server_default=_NO,
        comment="Whether it was ended since its server was gone, which may have told more than is written.",
    ),
    tenant_key(),
    belongs_to_tenant(),
    by_moment("ix_generations_expires_at", "expires_at", serves="the end of what has expired"),
    Index(
        "uq_generations_called",
        "tenant_id",
        "user_id",
        text(_CALLED),
        unique=True,
    ),
    comment="Streams that can be taken up again.",
)

generation_events = tenant_table(
    "generation_events",
    Column("generation_id", Uuid, nullable=False, comment="Whose events."),
    Column("last_seq", BigInteger, nullable=False, comment="The last of them."),
    Column("first_seq", BigInteger, nullable=False, comment="The first of them."),
    Column("messages", ARRAY(LargeBinary), nullable=False, comment="The events as they are sent, one after the other."),
    created_at(),
    tenant_key("generation_id", "last_seq"),
    belongs_to_tenant(),
    part_of("generation_id", "generations"),
    CheckConstraint("first_seq >= 0", name="first_seq"),
    CheckConstraint("last_seq >= 0", name="last_seq"),
    comment="The events of streams that can be taken up again, in runs of those that came together.",
)
