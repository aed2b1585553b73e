"""Seals over the audit log say which key signed them, follow one another, and outlive what they seal by a while."""

from alembic import op

revision = "0041"
down_revision = "0040"

_COMMENTS = {
    "previous_hash": (
        "SHA-256 of what the checkpoint before states; NULL: it is the first.",
        "The root of the checkpoint before; NULL: it is the first.",
    ),
    "root_hash": ("SHA-256 over the hashes of its entries, in their order.", "The root over their hashes."),
    "signature": ("Ed25519, over all of the above and its tenant and id.", "Over all of the above."),
}


def upgrade() -> None:
    # Nothing has written this table: what is in it all the same was signed by no key of ours.
    op.execute(
        "ALTER TABLE audit_checkpoints ADD COLUMN signing_kid VARCHAR(64) DEFAULT '' NOT NULL, "
        "ADD COLUMN removed_at TIMESTAMP WITH TIME ZONE, "
        "ADD CONSTRAINT uq_audit_checkpoints_from_position UNIQUE (tenant_id, from_position)"
    )
    op.execute(
        "COMMENT ON COLUMN audit_checkpoints.signing_kid IS 'The signing key that it was signed with; empty: none.'"
    )
    op.execute(
        "COMMENT ON COLUMN audit_checkpoints.removed_at IS "
        "'When its entries, and all before them, were no longer to be kept; NULL: they are.'"
    )
    _comment(0)


def downgrade() -> None:
    op.execute(
        "ALTER TABLE audit_checkpoints DROP CONSTRAINT uq_audit_checkpoints_from_position, "
        "DROP COLUMN removed_at, DROP COLUMN signing_kid"
    )
    _comment(1)


def _comment(which: int) -> None:
    for column, texts in _COMMENTS.items():
        op.execute(f"COMMENT ON COLUMN audit_checkpoints.{column} IS '{texts[which]}'")
