"""Idempotency keys across servers: beside each other, after a crash, and while the master key is replaced."""

from __future__ import annotations

import asyncio
import hashlib
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc
from pydantic import SecretStr

from atrium.identity.v1 import user_pb2
from tests.databases import Scratch
from tests.factories.world import PASSWORD, World, refused
from tests.processes import BOUND_SECONDS, atrium, environment
from tests.servers import serving

OTHER_MASTER_KEY = SecretStr("B" * 43 + "=")


def _twin(key: str = "key") -> user_pb2.CreateUserRequest:
    return user_pb2.CreateUserRequest(username="twin", email="twin@example.com", password=PASSWORD, idempotency_key=key)


@asynccontextmanager
async def _beside(scratch: Scratch, world: World, **settings: Any) -> AsyncIterator[World]:
    """Another server on the world's database."""
    async with (
        serving(scratch.settings(**settings)) as (_, port),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield World(channel, world.administrator)


async def _count(admin: Any) -> int:
    return int(await admin.fetchval("SELECT count(*) FROM users WHERE username = 'twin'"))


async def test_copies_on_two_servers_at_once_make_one(world: World, scratch: Scratch, admin: Any) -> None:
    administrator = await world.tenant()
    async with _beside(scratch, world) as other:
        calls = [
            each.identity.CreateUser(_twin(), metadata=administrator.metadata)
            for _ in range(25)
            for each in (world, other)
        ]
        replies = await asyncio.gather(*calls)

    assert len({reply.SerializeToString() for reply in replies}) == 1
    assert await _count(admin) == 1


class Line:
    """A connection to a server, on which answers can be held up."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open = asyncio.Event()
        self._open.set()

    def hold(self) -> None:
        """Nothing that the server says comes through from now on, and not that it is gone."""
        self._open.clear()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._port)
        with suppress(ConnectionError):
            await asyncio.gather(self._carry(reader, to_server), self._carry(from_server, writer, self._open))

    async def _carry(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, door: asyncio.Event | None = None
    ) -> None:
        data = b"..."
        try:
            while data:
                try:
                    data = await source.read(65_536)
                except ConnectionError:
                    data = b""
                if door is not None:
                    await door.wait()
                target.write(data)
                await target.drain()
        finally:
            target.close()


async def test_a_server_that_dies_between_commit_and_answer_has_answered_for_the_next(
    scratch: Scratch, admin: Any
) -> None:
    async with atrium(environment(scratch)) as process:
        line = Line(await process.port())
        server = await asyncio.start_server(line, "127.0.0.1", 0)
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with grpc.aio.insecure_channel(address) as channel:
            world = World(channel, await process.administrator())
            administrator = await world.tenant()
            line.hold()
            call = asyncio.ensure_future(
                _code(world.identity.CreateUser(_twin(), metadata=administrator.metadata, timeout=BOUND_SECONDS))
            )
            async with asyncio.timeout(BOUND_SECONDS):
                while await _count(admin) == 0:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            for each in process.servers():
                each.send_signal(signal.SIGKILL)
            process.send(signal.SIGKILL)
            await process.end()
            server.close()
            assert not call.done(), "the answer is on its way"
            user_id = await admin.fetchval("SELECT id::text FROM users WHERE username = 'twin'")
            async with _beside(scratch, world) as next_one:
                reply = await next_one.identity.CreateUser(_twin(), metadata=administrator.metadata)
            call.cancel()

    assert (reply.user.id, await _count(admin)) == (user_id, 1)


async def _code(call: Any) -> grpc.StatusCode:
    return await call.code()


async def test_a_repeat_is_known_while_the_master_key_is_replaced(world: World, scratch: Scratch, admin: Any) -> None:
    administrator = await world.tenant()
    old = scratch.settings().master_key
    first = await world.identity.CreateUser(_twin(), metadata=administrator.metadata)
    async with _beside(scratch, world, master_key=OTHER_MASTER_KEY, other_master_keys=(old,)) as new:
        again = await new.identity.CreateUser(_twin(), metadata=administrator.metadata)
        changed = _twin()
        changed.full_name = "Another"
        refusal = await refused(new.identity.CreateUser(changed, metadata=administrator.metadata))

    assert again == first
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.ABORTED, "IDEMPOTENCY_KEY_REUSED")


async def test_what_is_kept_of_a_request_tells_nothing_of_its_password(world: World, admin: Any) -> None:
    administrator = await world.tenant()

    await world.identity.CreateUser(_twin(), metadata=administrator.metadata)

    guess = hashlib.sha256(_twin(key="").SerializeToString(deterministic=True)).hexdigest()
    kept = await admin.fetchval("SELECT request_hash FROM idempotency_keys")
    assert len(kept) == len(guess)
    assert kept != guess
