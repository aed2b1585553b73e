"""The tables of jobs that are tenants' own. The queue's are its engine's, in a schema of their own."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Integer, String, text
from sqlalchemy.dialects.postgresql import JSONB

from server.db.base import (
    MOMENT,
    NOW,
    belongs_to_tenant,
    created_at,
    id_,
    index,
    one_of,
    tenant_key,
    tenant_table,
)

tenant_slots = tenant_table(
    "tenant_slots",
    Column(
        "admitted",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="How many of its jobs are in the queue, waiting for a worker or with one.",
    ),
    tenant_key("tenant_id"),
    belongs_to_tenant(),
    CheckConstraint("admitted >= 0", name="admitted"),
    comment="What holds a tenant to its share of the workers: whoever admits a job of it locks its row.",
)

tenant_jobs = tenant_table(
    "tenant_jobs",
    id_(),
    Column("entrypoint", String(100), nullable=False, comment="What does the job, with its version: mail/1."),
    Column("payload", JSONB, nullable=False, comment="What it is about; no secret."),
    Column(
        "status",
        String(20),
        nullable=False,
        server_default="ready",
        comment="ready: it waits; admitted: it is in the queue; aside: it failed too often, for somebody to look at.",
    ),
    Column(
        "failed_runs",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="How many of its runs failed.",
    ),
    Column("not_before", MOMENT, nullable=False, server_default=NOW, comment="When it is to be tried at the earliest."),
    created_at(),
    tenant_key(),
    belongs_to_tenant(),
    one_of("status", "ready", "admitted", "aside"),
    CheckConstraint("failed_runs >= 0", name="failed_runs"),
    index(
        "ix_tenant_jobs_ready",
        "tenant_id",
        "not_before",
        "id",
        where="status = 'ready'",
        serves="the next ones to be admitted",
    ),
    index(
        "ix_tenant_jobs_taken",
        "tenant_id",
        "id",
        where="status <> 'ready'",
        serves="the search for those whose job in the queue was lost",
    ),
    comment="Jobs of tenants that are to be done: the authority, for which the queue only has leases and wake-ups.",
)
