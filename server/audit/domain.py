"""What the audit log holds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from server.kernel.addresses import Address
from server.kernel.errors import NotFound, ResourceExhausted


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry, as it lies."""

    id: UUID
    created_at: datetime
    actor_kind: Literal["user", "api_key", "system"]
    user_id: UUID | None
    acting_for: UUID | None
    action: str
    resource_type: str
    resource_id: str | None
    old_value: Mapping[str, Any] | None
    new_value: Mapping[str, Any] | None
    details: Mapping[str, Any] | None
    ip_address: Address | None
    user_agent: str | None
    request_id: str | None
    session_id: str | None
    trace_id: str | None
    status: Literal["success", "failure"]
    error_message: str | None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries are meant. `columns`: what they must be equal to; `ip_network`: where their address must lie in;
    `since`, `until`: from when, and before when, they were written.
    """

    columns: Mapping[str, Any]
    ip_network: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class DdlChange:
    """A change to the schema of the database."""

    id: UUID
    created_at: datetime
    command_tag: str
    object_identity: str | None
    command: str | None
    session_user: str
    application_name: str | None


@dataclass(frozen=True, slots=True)
class Seal:
    """What a checkpoint states of a stretch of a tenant's log.

    It reaches from behind the stretch of the seal before, `previous_hash` (None: the first), to `to_position`, and has
    `row_count` entries, the first at `from_position`. `root_hash`: SHA-256 over the hashes of those, in their order.
    """

    tenant_id: UUID
    id: UUID
    from_position: UUID
    to_position: UUID
    row_count: int
    root_hash: bytes
    previous_hash: bytes | None

    def statement(self) -> bytes:
        """What is signed. No token is: those are of printable characters."""
        numbers = (self.tenant_id.bytes, self.id.bytes, self.from_position.bytes, self.to_position.bytes)
        count = self.row_count.to_bytes(8)
        return b"\0".join(
            (b"atrium audit checkpoint", b"".join((*numbers, count, self.root_hash, self.previous_hash or b"")))
        )

    def hash(self) -> bytes:
        """What the next one follows: SHA-256 of the statement."""
        return hashlib.sha256(self.statement()).digest()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A seal that is signed and kept. `removed_at`: when the entries up to its end were no longer to be kept."""

    seal: Seal
    signing_kid: str
    signature: bytes
    removed_at: datetime | None

    def signed_by(self, verifiers: Verifiers) -> bool:
        """Whether it is signed by one of these keys, by their names."""
        is_by = verifiers.get(self.signing_kid)
        return is_by is not None and is_by(self.signature, self.seal.statement())


Verifiers = Mapping[str, Callable[[bytes, bytes], bool]]
"""Keys by their names: whether each made a signature, of a signature and a statement."""


@dataclass(frozen=True, slots=True)
class CheckpointRef:
    """A checkpoint, and the hash of its seal."""

    id: UUID
    hash: bytes


FindingKind = Literal["entries_altered", "checkpoint_forged", "checkpoint_missing"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was sealed. `since`, `until`: when what the checkpoint seals was written; None: there
    is none. `row_count`: how many entries it seals; `found`: how many there are, counted no further than one too many.
    """

    kind: FindingKind
    checkpoint_id: UUID
    since: datetime | None = None
    until: datetime | None = None
    row_count: int = 0
    found: int = 0


@dataclass(frozen=True, slots=True)
class Verification:
    """What became of looking at a page of checkpoints.

    `rows`: the entries that are as they were sealed. `sealed_until`: when the last entry was written that is sealed;
    `removed_until`: the last one that was removed since it was no longer to be kept.
    """

    checkpoints: int
    rows: int
    findings: Sequence[Finding]
    last: CheckpointRef | None
    sealed_until: datetime | None
    removed_until: datetime | None
    next_cursor: UUID | None


class TooManyWatches(ResourceExhausted):
    """So many watch the audit log as may at once: try again later."""


class AuditLogNotFound(NotFound):
    """No entry of the audit log with this id."""

    resource = "audit log"
