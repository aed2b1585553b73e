"""Addresses that an operator gives: whether each has the form that whoever connects will need.

What is said of one that has not repeats nothing of it: it may hold a password.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

HIGHEST_PORT = 65_535

_SPACE = re.compile(r"\s")
# A name or an address, an IPv6 address in brackets, or the folder of a socket file.
_DATABASE_HOST = re.compile(r"/[^@]*|(?:\[[^\[\]@]+\]|[^\[\]:@/]+)(?::(?P<port>[^:]*))?")


def check_database_url(url: str) -> None:
    """Raises ValueError where this is no address of PostgreSQL, of one host or of several, that asyncpg can read."""
    try:
        known = _leads_to_a_database(url)
    except ValueError:
        known = False
    if not known:
        raise ValueError(
            "must be of the form postgresql://user:password@host:port/database, with percent signs for what is special "
            "in a password, such as %40 for @"
        )


def _leads_to_a_database(url: str) -> bool:
    parts = urlsplit(url)
    query = parse_qs(parts.query, strict_parsing=True) if parts.query else {}
    # For asyncpg the first @ ends the user's part: after one within a password the rest of it would be a host.
    user, at, after = parts.netloc.partition("@")
    hosts = ",".join([*filter(None, [after if at else user]), *query.get("host", [])])
    ports = ",".join(query.get("port", []))
    found = [_DATABASE_HOST.fullmatch(host) for host in hosts.split(",")] if hosts else []
    return (
        parts.scheme in {"postgres", "postgresql"}
        and not parts.fragment  # asyncpg would pass over it, and it is the end of a password
        and not _SPACE.search(url)
        and all(host is not None and (not host["port"] or _is_port(host["port"])) for host in found)
        and (not ports or all(map(_is_port, ports.split(","))))
    )


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text) <= HIGHEST_PORT


def check_host(host: str) -> None:
    """Raises ValueError for a name that no host can have: one with an empty label, or one of 64 letters."""
    host.encode("idna")


def check_endpoint_url(url: str) -> None:
    """Raises ValueError where this is no base address of an HTTP API."""
    try:
        parts = urlsplit(url)
        known = parts.scheme in {"http", "https"} and parts.port != 0 and not _SPACE.search(url)
        check_host(parts.hostname or "")
    except ValueError:
        known = False
    if not known or not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(
            "must be of the form https://host:port/path, or http://, with no user, no query and no fragment"
        )


def check_mail_url(url: str) -> None:
    """Raises ValueError where this is no address of a mail server."""
    try:
        server = urlsplit(url)
        known = server.scheme in {"smtp", "smtps"} and server.port != 0
    except ValueError:
        known = False
    if not known or not server.hostname or server.path not in {"", "/"} or server.query or server.fragment:
        raise ValueError("must be of the form smtp://user:password@host:port or smtps://user:password@host:port")
    if (server.username is None) != (server.password is None):
        raise ValueError("must name both the user and the password, or neither")
