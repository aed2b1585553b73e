"""Credentials that somebody has made up: refused like any other, and told to the tenant that they name."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any
from uuid import UUID, uuid4

import orjson

from atrium.identity.v1 import api_key_pb2, session_pb2
from server.audit.service import AuditLog
from server.db.database import Database
from server.identity.service.forgeries import Forgeries
from server.identity.tokens import KeySecret
from server.kernel.errors import DatabaseUnavailable
from server.kernel.principal import Call, within
from server.tenant.standing import TenantStanding
from tests.factories.world import Person, World, refused

WHO = session_pb2.WhoAmIRequest()
TRACE = "ab" * 16


def _forged(token: str) -> str:
    """The token with another signature."""
    signed, _, signature = token.rpartition(".")
    return f"{signed}.{signature[:-6]}{'A' if signature[-6] != 'A' else 'B'}{signature[-5:]}"


def _naming(token: str, tenant_id: str) -> str:
    """The token, which names another tenant than it was signed for."""
    header, claims, signature = token.split(".")
    said = json.loads(base64.urlsafe_b64decode(claims + "==")) | {"tid": tenant_id}
    return f"{header}.{base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip('=')}.{signature}"


async def _try(world: World, kind: str, credential: str) -> str:
    value = f"Bearer {credential}" if kind == "authorization" else credential
    ids = (("x-request-id", "my-request"), ("traceparent", f"00-{TRACE}-{'cd' * 8}-01"))
    return (await refused(world.identity.WhoAmI(WHO, metadata=((kind, value), *ids)))).reason


async def _entries(admin: Any, *, at_least: int = 0) -> list[dict[str, Any]]:
    """What was told of forgeries, once there is so much of it: it is told beside the calls."""
    async with asyncio.timeout(10):
        while True:
            rows = await admin.fetch("SELECT * FROM audit_logs WHERE action = 'access.forge' ORDER BY id")
            if len(rows) >= at_least:
                return [{**row, "details": orjson.loads(row["details"])} for row in rows]


async def _key(world: World, by: Person) -> tuple[str, str]:
    """The id of a new key, and the whole of it."""
    request = api_key_pb2.CreateApiKeyRequest(name="key", scopes=["users:read"])
    made = await world.identity.CreateApiKey(request, metadata=by.metadata)
    return made.api_key.id, made.secret


async def test_a_token_with_a_wrong_signature_is_told_to_the_tenant_that_it_names(world: World, admin: Any) -> None:
    ann, other = await world.tenant(), await world.tenant()

    reasons = [
        await _try(world, "authorization", _naming(ann.tokens.access_token, tenant_id))
        for tenant_id in (str(uuid4()), "nobody's", other.tenant_id)
    ]

    (entry,) = await _entries(admin, at_least=1)
    assert reasons == ["TOKEN_INVALID"] * 3
    assert (str(entry["tenant_id"]), entry["user_id"], entry["status"]) == (other.tenant_id, None, "failure")
    assert (str(entry["ip_address"]), entry["request_id"], entry["trace_id"]) == ("127.0.0.1", "my-request", TRACE)
    assert entry["error_message"] == "TOKEN_INVALID"
    assert entry["details"] == {"access_tokens": 1, "method": "/atrium.identity.v1.IdentityService/WhoAmI"}
    await world.identity.WhoAmI(WHO, metadata=ann.metadata)


async def test_a_key_with_a_wrong_secret_is_told_and_one_that_was_good_once_is_not(world: World, admin: Any) -> None:
    ann, other = await world.tenant(), await world.tenant()
    revoked_id, revoked = await _key(world, ann)
    await world.identity.RevokeApiKey(api_key_pb2.RevokeApiKeyRequest(id=revoked_id), metadata=ann.metadata)
    rotated_id, rotated = await _key(world, ann)
    await world.identity.RotateApiKey(api_key_pb2.RotateApiKeyRequest(id=rotated_id), metadata=ann.metadata)
    _, good = await _key(world, other)
    unknown = good.replace(good.split("_")[2], "nosuchprefix")

    reasons = [
        await _try(world, "x-api-key", key)
        for key in (revoked, rotated, unknown, good[:-1] + ("A" if good[-1] != "A" else "B"))
    ]

    (entry,) = await _entries(admin, at_least=1)
    assert reasons == ["API_KEY_INVALID"] * 4
    assert (str(entry["tenant_id"]), entry["user_id"], entry["actor_kind"]) == (other.tenant_id, None, "user")
    assert (entry["details"]["api_keys"], entry["error_message"]) == (1, "API_KEY_INVALID")
    assert good.rsplit("_", 1)[1][:8] not in str(entry)


class _Watch:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def _call(address: str) -> Call:
    return Call("/method", "request", TRACE, "cd" * 8, address)


class _Away(TenantStanding):
    """Tenants of a database that does not answer yet."""

    is_away = True

    async def exists(self, tenant_id: UUID) -> bool:
        if self.is_away:
            raise DatabaseUnavailable
        return await super().exists(tenant_id)


async def test_a_flood_is_one_entry_a_minute_with_its_count_and_hides_no_one_elses(
    world: World, database: Database, admin: Any
) -> None:
    ann = await world.tenant()
    forged, watch = _forged(ann.tokens.access_token), _Watch()
    forgeries = Forgeries(database, TenantStanding(database), AuditLog(database), watch)

    async def flooded(*addresses: str) -> list[tuple[str, int]]:
        for address in addresses:
            with within(_call(address)):
                for _ in range(40):
                    forgeries.see(forged)
        await forgeries.tell()
        return [(str(entry["ip_address"]), entry["details"]["access_tokens"]) for entry in await _entries(admin)]

    first = [("192.0.2.1", 40), ("192.0.2.2", 40)]
    assert await flooded("192.0.2.1", "192.0.2.2") == first
    assert await flooded("192.0.2.1") == first
    watch.seconds += 59
    assert await flooded("192.0.2.1") == first
    watch.seconds += 1
    assert await flooded("192.0.2.1") == [*first, ("192.0.2.1", 120)]
    watch.seconds += 60
    assert await flooded() == [*first, ("192.0.2.1", 120)]


async def test_what_one_network_sends_too_much_of_is_passed_over_and_no_other_is(
    world: World, database: Database, admin: Any
) -> None:
    ann, other = await world.tenant(), await world.tenant()
    forgeries = Forgeries(database, TenantStanding(database), AuditLog(database))
    with within(_call("2001:db8::1")):
        for _ in range(10_000):
            forgeries.see(_naming(ann.tokens.access_token, str(uuid4())))
    for address, named in (("2001:db8::2", ann), ("2001:db8:1::1", other)):
        with within(_call(address)):
            forgeries.see(_forged(named.tokens.access_token))

    await forgeries.tell()

    assert [entry["tenant_id"] for entry in await _entries(admin)] == [UUID(other.tenant_id)]


async def test_what_is_gathered_is_told_when_the_server_ends(world: World, database: Database, admin: Any) -> None:
    ann = await world.tenant()
    forgeries = Forgeries(database, TenantStanding(database), AuditLog(database), lambda: 0.0)
    for _ in range(2):
        with within(_call("192.0.2.1")):
            forgeries.see(_forged(ann.tokens.access_token))
        await forgeries.tell()

    async with forgeries.telling():
        pass

    assert [entry["details"]["access_tokens"] for entry in await _entries(admin)] == [1, 1]


async def test_what_cannot_be_told_now_is_told_later(world: World, database: Database, admin: Any) -> None:
    ann = await world.tenant()
    away = _Away(database)
    forgeries = Forgeries(database, away, AuditLog(database))
    with within(_call("192.0.2.1")):
        forgeries.see(_forged(ann.tokens.access_token))

    await forgeries.tell()
    told = await _entries(admin)
    away.is_away = False
    await forgeries.tell()

    assert (told, len(await _entries(admin))) == ([], 1)


class _Gone(Database):
    """A database that does not answer yet."""

    def __init__(self, there: Database) -> None:
        self._there = there
        self.is_gone = True

    def tenant_tx(self, *arguments: Any, **options: Any) -> Any:
        if self.is_gone:
            raise DatabaseUnavailable
        return self._there.tenant_tx(*arguments, **options)


async def test_what_cannot_be_looked_at_now_is_looked_at_later(world: World, database: Database, admin: Any) -> None:
    _, key = await _key(world, await world.tenant())
    gone = _Gone(database)
    forgeries = Forgeries(gone, TenantStanding(database), AuditLog(database))
    with within(_call("192.0.2.1")):
        for _ in range(2):
            forgeries.see(KeySecret.parse(key[:-1] + ("A" if key[-1] != "A" else "B")))

    await forgeries.tell()
    gone.is_gone = False
    await forgeries.tell()

    (entry,) = await _entries(admin)
    assert entry["details"]["api_keys"] == 2


async def test_a_token_that_nests_without_end_is_nobodys(database: Database, admin: Any) -> None:
    claims = base64.urlsafe_b64encode(b"[" * 100_000).decode()
    forgeries = Forgeries(database, TenantStanding(database), AuditLog(database))
    with within(_call("192.0.2.1")):
        forgeries.see(f"e30.{claims}.AA")

    await forgeries.tell()

    assert await _entries(admin) == []
