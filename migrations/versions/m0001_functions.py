"""Functions that the tables stand on: ids, and what keeps `updated_at` and `revision`."""

from alembic import op

revision = "0001"
down_revision = None

# PostgreSQL 18 makes version 7 ids itself. Before it: a random UUID with the milliseconds laid over its first 48 bits,
# and its version raised from 4 to 7 by two more bits.
_UUID7_BEFORE_18 = """
    SELECT encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
        PLACING substring(int8send(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
        FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid
"""


def upgrade() -> None:
    modern = op.get_bind().dialect.server_version_info >= (18,)
    body = "SELECT uuidv7()" if modern else _UUID7_BEFORE_18
    op.execute(f"CREATE FUNCTION atrium_uuid7() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $${body}$$")
    op.execute("COMMENT ON FUNCTION atrium_uuid7() IS 'A version 7 UUID.'")
    op.execute(
        """
        CREATE FUNCTION atrium_touch() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            NEW.updated_at := now();
            RETURN NEW;
        END
        $$
        """
    )
    op.execute("COMMENT ON FUNCTION atrium_touch() IS 'Keeps updated_at.'")
    op.execute(
        """
        CREATE FUNCTION atrium_revise() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            NEW.revision := OLD.revision + 1;
            RETURN NEW;
        END
        $$
        """
    )
    op.execute(
        "COMMENT ON FUNCTION atrium_revise() IS 'Raises revision, where a column changed that the API can change.'"
    )
    # A server compares the revision it was written for with the one it finds.
    op.execute("GRANT SELECT ON alembic_version TO atrium_app")
    op.execute("COMMENT ON TABLE alembic_version IS 'Which migration the schema is at.'")
    op.execute("COMMENT ON COLUMN alembic_version.version_num IS 'The revision.'")


def downgrade() -> None:
    for name in ("atrium_revise", "atrium_touch", "atrium_uuid7"):
        op.execute(f"DROP FUNCTION {name}()")
