"""The schema's history, for Alembic: one small file a change, up and down. What has landed is never edited."""
