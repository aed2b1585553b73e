"""Credentials that somebody has made up: refused like any other, and told to the tenant that they name."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
from typing import Any
from uuid import UUID, uuid4

import grpc
import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from atrium.identity.v1 import api_key_pb2, session_pb2
from server.audit.service.log import AuditLog
from server.db.database import Database
from server.identity.service.forgeries import Forgeries
from server.identity.service.signing import SigningKeys
from server.identity.tokens import KeySecret
from server.kernel.errors import DatabaseUnavailable
from server.kernel.principal import Call, within
from server.tenant.standing import TenantStanding
from tests.databases import Scratch
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


def _b64(value: bytes | dict[str, Any]) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _mutant(token: str, key: Any, sign: Any = None, **header: Any) -> str:
    """The token's claims under another header (a value of None: without it), signed as `sign` does or with the key."""
    said, claims, _ = token.split(".")
    made = json.loads(base64.urlsafe_b64decode(said + "==")) | header
    signed = f"{_b64({name: value for name, value in made.items() if value is not None})}.{claims}"
    return f"{signed}.{_b64(key.sign(signed.encode()) if sign is None else sign(signed.encode()))}"


def _mutants(token: str, ours: str) -> dict[str, str]:
    """What attackers make of a token, a family each. `ours`: the `x` of the key that signed it."""
    key = Ed25519PrivateKey.generate()
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": _b64(key.public_key().public_bytes_raw())}
    public = base64.urlsafe_b64decode(ours + "==")

    def unsigned(_: bytes) -> bytes:
        return b""

    return {
        "another's key": _mutant(token, key),
        "a key of that name": _mutant(token, key, kid="attacker"),
        "a name like ours": _mutant(token, key, kid="A" * 16),
        "a key in the header": _mutant(token, key, kid="attacker", jwk=jwk),
        "a key somewhere else": _mutant(token, key, kid="attacker", jku="https://attacker.example/jwks"),
        "no name": _mutant(token, key, kid=None),
        "a path for a name": _mutant(token, key, kid="../../dev/null"),
        "what cannot be text": _mutant(token, key, kid="a\0b"),
        "a number for a name": _mutant(token, key, kid=7),
        "not signed": _mutant(token, key, unsigned, alg="none"),
        "not signed, by another": _mutant(token, key, unsigned, alg="none", kid="attacker"),
        "our public key as a secret": _mutant(token, key, lambda it: hmac.digest(public, it, "sha256"), alg="HS256"),
        "another kind": _mutant(token, key, typ="JWT"),
        "no header": f"{_b64(b'no JSON')}.{token.partition('.')[2]}",
        "the signature altered": _forged(token),
        "no signature": token.rpartition(".")[0] + ".",
    }


async def test_every_family_of_made_up_tokens_is_told(world: World, admin: Any) -> None:
    (ours,) = (await world.identity.GetJwks(session_pb2.GetJwksRequest())).keys
    told_of: dict[str, str] = {}
    for family in _mutants((await world.tenant()).tokens.access_token, ours.x):
        ann = await world.tenant()
        told_of[ann.tenant_id] = family
        assert await _try(world, "authorization", _mutants(ann.tokens.access_token, ours.x)[family]) == "TOKEN_INVALID"

    entries = await _entries(admin, at_least=len(told_of))

    assert sorted(told_of[str(entry["tenant_id"])] for entry in entries) == sorted(told_of.values())
    assert {entry["details"]["access_tokens"] for entry in entries} == {1}


async def test_what_a_key_of_ours_has_signed_is_nobodys_forgery(
    world: World, database: Database, scratch: Scratch, admin: Any
) -> None:
    ann, other = await world.tenant(), await world.tenant()
    settings = scratch.settings()
    signing = SigningKeys(database, AuditLog(database), settings.master_keys, settings.access_life)
    await signing.rotate(compromised=True)
    async with asyncio.timeout(10):
        while (await world.identity.WhoAmI(WHO, metadata=ann.metadata).code()) is grpc.StatusCode.OK:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    assert await _try(world, "authorization", ann.tokens.access_token) == "TOKEN_INVALID"
    assert await _try(world, "authorization", _forged(other.tokens.access_token)) == "TOKEN_INVALID"

    entries = await _entries(admin, at_least=1)
    assert [str(entry["tenant_id"]) for entry in entries] == [other.tenant_id]


async def test_a_token_whose_header_nests_without_end_is_refused(world: World) -> None:
    assert await _try(world, "authorization", f"{_b64(b'[' * 4_000)}.e30.AA") == "TOKEN_INVALID"


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
