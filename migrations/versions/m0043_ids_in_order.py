"""Ids that the database makes within a millisecond are in the order of their making, before PostgreSQL 18 too."""

from alembic import op

revision = "0043"
down_revision = "0042"

# A random UUID with the milliseconds laid over its first 48 bits, and over the next 16 its version and the fraction of the
# millisecond (method 3 of RFC 9562, section 6.2).
_ORDERED = """
    SELECT encode(overlay(uuid_send(gen_random_uuid())
        PLACING substring(int8send(us / 1000) FROM 3) || substring(int4send(28672 + (us % 1000 * 4096 / 1000)::int) FROM 3)
        FROM 1 FOR 8), 'hex')::uuid
    FROM (SELECT floor(extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS us) AS moment
"""
_BEFORE = """
    SELECT encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
        PLACING substring(int8send(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
        FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid
"""


def upgrade() -> None:
    _make(_ORDERED)


def downgrade() -> None:
    _make(_BEFORE)


def _make(body: str) -> None:
    if op.get_bind().dialect.server_version_info < (18,):  # since then PostgreSQL makes them itself, in their order
        op.execute(
            f"CREATE OR REPLACE FUNCTION atrium_uuid7() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $${body}$$"
        )
