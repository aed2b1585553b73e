"""The schema that this version needs; by itself, so that serving loads nothing of what migrates."""

SCHEMA_REVISION = "0055"
