"""Requests of the audit service, good ones and bad ones."""

from __future__ import annotations

from tests.contract.cases import FUTURE, ID, PAGE, PERIOD, Bad, Cases, ids, odd

_GOOD = {
    "user_id": ID,
    "action": "users.update",
    "resource_type": "user",
    "resource_id": ID,
    "status": 1,
    "request_id": "r",
    "session_id": ID,
    "ip_network": "192.0.2.7",
    "create_time_from": FUTURE,
}
_FILTERS = [{}, _GOOD, *({"ip_network": text} for text in ("10.0.0.0/8", "10.1.2.3/8", "::1", "2001:db8::/32"))]
_ODD: Bad = [
    *odd({}, user_id=["ada"], action=["a" * 256], resource_type=["t" * 256], resource_id=["1"], status=[9]),
    *odd({"resource_type": "user"}, resource_id=["r" * 101]),
    *odd({}, request_id=["r" * 101], session_id=["s" * 101]),
    *odd({}, ip_network=["10.0.0", "10.0.0.0/33", "::/129", "fe80::1%eth0", "localhost", "10.0.0.0/8 "]),
    *PERIOD,
]
_GOOD_FILTERS = [{"filter": fields} for fields in _FILTERS]
_ODD_FILTERS: Bad = [({"filter": fields}, f"filter.{field}") for fields, field in _ODD]

AUDIT_CASES: Cases = {
    "GetAuditLogRequest": ([{"id": ID}], ids("id")),
    "ListAuditLogsRequest": ([{}, {"page_size": 5000}, *_GOOD_FILTERS], [*PAGE, *_ODD_FILTERS]),
    "ListActionsRequest": ([{}], []),
    "VerifyAuditLogsRequest": (
        [{}, {"page_size": 5000, "create_time_from": FUTURE, "known_checkpoint": {"id": ID, "hash": b"h" * 32}}],
        [
            *PAGE,
            *PERIOD,
            ({"known_checkpoint": {"id": "1", "hash": b"h" * 32}}, "known_checkpoint.id"),
            *(({"known_checkpoint": {"id": ID, "hash": text}}, "known_checkpoint.hash") for text in (b"", b"h" * 33)),
        ],
    ),
    "ListDdlLogsRequest": ([{}, {"page_size": 5000}], [*PAGE]),
    "WatchAuditLogsRequest": (
        [{}, {"after_cursor": "x"}, *({"filter": fields} for fields in _FILTERS)],
        [*odd({}, after_cursor=["x" * 513]), *_ODD_FILTERS],
    ),
    "ExportAuditLogsRequest": (
        [{}, {"after_cursor": "x"}, *_GOOD_FILTERS],
        [*odd({}, after_cursor=["x" * 4097]), *_ODD_FILTERS],
    ),
}
