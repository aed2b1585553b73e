"""Tokens that are not good, in every way one can think of, and those that are good no more."""

from __future__ import annotations

import base64
import hmac
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from time import time
from typing import Any
from uuid import uuid4

import grpc
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from atrium.identity.v1 import role_pb2, session_pb2
from server.db.database import Database
from server.identity.signing_keys import SigningKey
from server.identity.store import keys
from server.kernel.clock import now
from tests.databases import Scratch
from tests.factories.world import Person, World, refused

CODE = grpc.StatusCode
REASONS = {"AUTHENTICATION_REQUIRED", "TOKEN_INVALID", "TOKEN_EXPIRED", "SESSION_REVOKED"}
WHO = session_pb2.WhoAmIRequest()
ROLES = role_pb2.ListRolesRequest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass(frozen=True)
class Token:
    """A token whose parts can be changed; signed anew unless it is told how else."""

    key: SigningKey
    header: dict[str, Any]
    claims: dict[str, Any]

    def text(self, signature: bytes | None = None) -> str:
        signed = self._signed
        return f"{signed}.{_encode(self.key.private_key.sign(signed.encode()) if signature is None else signature)}"

    def hmac(self, secret: bytes, digest: str) -> str:
        return self.text(hmac.digest(secret, self._signed.encode(), digest))

    @property
    def _signed(self) -> str:
        return ".".join(_encode(json.dumps(part).encode()) for part in (self.header, self.claims))

    def headed(self, **changes: Any) -> Token:
        return replace(self, header=_changed(self.header, changes))

    def saying(self, **changes: Any) -> Token:
        return replace(self, claims=_changed(self.claims, changes))


def _changed(old: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**old, **changes}.items() if value is not ...}


def _with_other_algorithms(good: Token) -> Iterator[str]:
    public = good.key.public_key
    secrets = [
        public.public_bytes_raw(),
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        good.key.jwk()["x"].encode(),
        json.dumps(good.key.jwk()).encode(),
        b"",
    ]
    for name in ("none", "None", "NONE", "nOnE", "", ..., None, 0, ["EdDSA"], "HS256", "RS256", "ES256", "Ed25519"):
        yield good.headed(alg=name).text(b"")
        yield good.headed(alg=name).text()
    for bits in (256, 384, 512):
        for secret in secrets:
            yield good.headed(alg=f"HS{bits}").hmac(secret, f"sha{bits}")
    yield good.text(b"")
    yield good.text(bytes(64))


def _with_other_keys(good: Token) -> Iterator[str]:
    forger = SigningKey.generate(now())
    for kid in (..., None, "", "other", 1, True, [good.key.kid], {"kid": good.key.kid}, good.key.kid + " ", forger.kid):
        yield good.headed(kid=kid).text()
    forged = replace(good, key=forger)
    yield forged.text()
    yield forged.headed(kid=forger.kid).text()
    for kid in (good.key.kid, forger.kid):
        yield forged.headed(kid=kid, jwk=forger.jwk()).text()
        yield forged.headed(kid=kid, jku="https://evil.example/keys", x5u="https://evil.example/x5u").text()
    for kind in (..., None, "", "JWT", "jwt", "rt+jwt", "application/jose", 1, ["at+jwt"]):
        yield good.headed(typ=kind).text()
    yield good.headed(crit=["unknown"], unknown=1).text()
    yield good.headed(crit=["b64"], b64=False).text()


def _with_other_claims(good: Token, other: Person) -> Iterator[str]:
    for name in good.claims:
        for value in (..., None, "", "x", [], {}, True, -1, "\0", "9" * 400, 1e400, float("nan")):
            if (name, value) != ("iat", -1):  # long ago is a time
                yield good.saying(**{name: value}).text()
    for name, values in {
        "iss": ["Atrium", "atrium ", "https://evil.example", ["atrium"]],
        "aud": ["other", ["other", "another"], "atrium/", [["atrium"]]],
        "exp": [time() - 1, time() - 86_400, 0, -1e300],
        "iat": [time() + 3_600],
        "nbf": [time() + 3_600, "x"],
        "epoch": [good.claims["epoch"] + 1, good.claims["epoch"] - 1, 2**31, 2**63, 10**30],
        "sub": [other.id, str(uuid4())],
        "tid": [other.tenant_id, str(uuid4()), "00000000-0000-0000-0000-000000000000"],
        "sid": [str(uuid4()), json.loads(_decode(other.tokens.access_token.split(".")[1]))["sid"]],
    }.items():
        for value in values:
            yield good.saying(**{name: value}).text()
    yield good.saying(tid=other.tenant_id, sub=other.id).text()


def _with_other_bits(text: str) -> Iterator[str]:
    parts = [_decode(part) for part in text.split(".")]
    for part, data in enumerate(parts):
        for position in range(0, len(data), 2):
            changed = bytearray(data)
            changed[position] ^= 1 << position % 8
            yield ".".join(_encode(bytes(changed)) if index == part else _encode(parts[index]) for index in range(3))


def _of_other_form(text: str, refresh_token: str) -> Iterator[str]:
    header, claims, signature = text.split(".")
    yield from (text[:length] for length in range(1, len(text) - 2, 7))
    yield from ("a", ".", "..", "...", "a.b.c", f"{header}.{claims}", f"{header}.{claims}.", f".{claims}.{signature}")
    yield from (f"{header}..{signature}", f"{text}.", f"{text}.{signature}", f".{text}", text[::-1], f"{text} x")
    yield from (f"{claims}.{header}.{signature}", f"{_encode(b'[]')}.{claims}.{signature}")
    yield from (f"{_encode(bytes(200))}.{claims}.{signature}", f"{_encode(b'{' * 5_000)}.{claims}.{signature}")
    yield from (refresh_token, f"{refresh_token}.x", refresh_token.split(".")[2])


def _written_otherwise(text: str) -> Iterator[str]:
    """The same bytes in other words: bits that stand for nothing, and characters that are none of base64's."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    yield from (text[:-1] + alphabet[alphabet.index(text[-1]) ^ bit] for bit in range(1, 16))
    header, claims, signature = text.split(".")
    for noise in ("~~~~", "!!!!", "    ", "===="):
        yield f"{header[:8]}{noise}{header[8:]}.{claims}.{signature}"
        yield f"{header}.{claims}.{signature[:8]}{noise}{signature[8:]}"
    yield f"{header}.{claims}.{signature}=="


async def test_no_mutant_of_a_token_is_good(world: World, database: Database, scratch: Scratch) -> None:
    ann, other = await world.tenant(), await world.tenant()
    async with database.global_tx() as tx:
        (key,) = await keys.live(tx, scratch.settings().master_keys)
    text = ann.tokens.access_token
    good = Token(key, *(json.loads(_decode(part)) for part in text.split(".")[:2]))
    await world.identity.WhoAmI(WHO, metadata=_bearing(good.text()))  # and is remembered from here on

    mutants = {
        *_with_other_algorithms(good),
        *_with_other_keys(good),
        *_with_other_claims(good, other),
        *_with_other_bits(text),
        *_of_other_form(text, ann.tokens.refresh_token),
        *_written_otherwise(text),
    }
    assert len(mutants) > 400
    messages: dict[str, set[str]] = defaultdict(set)
    for mutant in sorted(mutants):
        refusal = await refused(world.identity.WhoAmI(WHO, metadata=_bearing(mutant)))
        assert (refusal.code, refusal.reason in REASONS) == (CODE.UNAUTHENTICATED, True), (mutant, refusal)
        messages[refusal.reason].add(refusal.message)
    assert all(len(texts) == 1 for texts in messages.values()), "no message tells more than its reason"
    await world.identity.WhoAmI(WHO, metadata=ann.metadata)


def _bearing(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)
