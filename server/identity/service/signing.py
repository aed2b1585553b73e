"""The signing keys that all processes share: made, read, rotated."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import timedelta

from server.db.database import Database, Tx
from server.identity.ports import AuditLog
from server.identity.signing_keys import KeyRing, SigningKey
from server.identity.store import keys as store
from server.kernel.audit import Change
from server.kernel.clock import Clock, now
from server.kernel.ids import PLATFORM_TENANT_ID
from server.kernel.sealing import MasterKeys

# From when a key is told of until it signs: for those who check our tokens themselves and keep GetJwks' answer a while.
LEAD = timedelta(hours=1)
# How far the clocks of two machines may be apart.
_SKEW = timedelta(minutes=5)


class SigningKeys:
    """Reads the keys for the processes that sign and check, and puts new ones in their place."""

    def __init__(
        self, database: Database, audit: AuditLog, master_keys: MasterKeys, access_life: timedelta, clock: Clock = now
    ) -> None:
        """`access_life`: how long a token is good for that any process signs."""
        self._database = database
        self._audit = audit
        self._master_keys = master_keys
        self._access_life = access_life
        self._clock = clock

    async def load(self) -> list[SigningKey]:
        """The keys whose tokens are accepted; the first one is made here. Raises MasterKeyUnknown."""
        async with self._database.global_tx() as tx:
            await store.hold(tx)
            return await store.live(tx, self._master_keys) or [await self._add(tx, timedelta(0))]

    async def ring(self) -> KeyRing:
        """The keys whose tokens are accepted now. Raises DatabaseUnavailable, MasterKeyUnknown."""
        async with self._database.global_tx() as tx:
            return KeyRing(await store.live(tx, self._master_keys), self._clock)

    async def sign(self, statement: bytes) -> tuple[str, bytes]:
        """The name of the key that signs now, and its signature (Ed25519)."""
        key = KeyRing(await self.load(), self._clock).signing()
        return key.kid, key.private_key.sign(statement)

    async def verifiers(self, kids: Collection[str]) -> Mapping[str, Callable[[bytes, bytes], bool]]:
        """For each of these keys that is ours, also where it signs no more, whether it made a signature of a statement.

        That it is ours its private half says, which is kept under the master key: whoever can only write into the
        database makes none.
        """
        async with self._database.global_tx() as tx:
            keys = await store.named(tx, kids, self._master_keys)
        return {key.kid: key.signed for key in keys}

    async def rotate(self, *, compromised: bool = False) -> SigningKey:
        """A new key, which signs in an hour; the others are accepted until their last token has expired.

        `compromised`: it signs at once, and no token of the others is accepted from now on: whoever is signed in goes
        on with their refresh token.
        """
        async with self._database.tenant_tx(PLATFORM_TENANT_ID) as tx:
            await store.hold(tx)
            return await self._rotate(tx, compromised=compromised)

    async def rotate_after(self, age: timedelta) -> SigningKey | None:
        """The same where the newest key is as old, however many ask at once; None where it is not."""
        async with self._database.tenant_tx(PLATFORM_TENANT_ID) as tx:
            await store.hold(tx)
            newest = await store.newest(tx)
            if newest is None or self._clock() - newest < age:
                return None
            return await self._rotate(tx, compromised=False)

    async def rewrap(self) -> int:
        """Keeps the keys under the current master key; how many there are. Raises MasterKeyUnknown."""
        async with self._database.tenant_tx(PLATFORM_TENANT_ID) as tx:
            await store.hold(tx)
            count = await store.rewrap(tx, self._master_keys)
            details = {"master_key": self._master_keys.key_id, "signing_keys": count}
            await self._audit.record(tx, Change("master_key.rewrap", "master_key", details=details))
        return count

    async def _rotate(self, tx: Tx, *, compromised: bool) -> SigningKey:
        lead = timedelta(0) if compromised else LEAD
        accepted = timedelta(0) if compromised else lead + self._access_life + _SKEW
        await store.retire(tx, self._clock() + accepted)
        key = await self._add(tx, lead)
        await store.tell_changed(tx)
        details = {"not_before": key.not_before.isoformat(), "compromised": compromised}
        await self._audit.record(tx, Change("signing_keys.rotate", "signing_key", key.kid, details=details))
        return key

    async def _add(self, tx: Tx, lead: timedelta) -> SigningKey:
        return await store.add(tx, SigningKey.generate(self._clock() + lead), self._master_keys)
