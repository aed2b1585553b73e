"""The oldest PostgreSQL and pgvector that Atrium runs on, and how one that is older is refused."""

from __future__ import annotations

from server.db.errors import DatabaseRefused

MIN_POSTGRES = 15
MIN_VECTOR = (0, 8)


def check_postgres(setting: str, major: int, version: str) -> None:
    """Raises DatabaseRefused where the server is too old. `setting`: whose address it is."""
    if major < MIN_POSTGRES:
        raise DatabaseRefused(
            f"{setting} is PostgreSQL {version}, and Atrium needs {MIN_POSTGRES} or newer: upgrade the server."
        )


def check_vector(setting: str, version: str) -> None:
    """Raises DatabaseRefused where the database's extension is too old. `setting`: whose address it is."""
    if is_older(version):
        raise DatabaseRefused(
            f"The database of {setting} has pgvector {version}, and Atrium needs {least()} or newer: install it on "
            "the server, then run `ALTER EXTENSION vector UPDATE`."
        )


def is_older(vector: str) -> bool:
    """Whether that version of pgvector is too old."""
    return tuple(map(int, vector.split(".")[:2])) < MIN_VECTOR


def least() -> str:
    """The oldest pgvector that will do, as people write it."""
    return ".".join(map(str, MIN_VECTOR))
