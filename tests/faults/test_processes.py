"""Server processes, as an operator starts, watches, loses and stops them."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any
from urllib.request import urlopen

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2
from pydantic import SecretStr

from atrium.errors.v1 import error_reason_pb2
from atrium.identity.v1 import identity_service_pb2_grpc, session_pb2
from atrium.model.v1 import chat_pb2, stream_pb2
from server.db.database import Database
from server.db.partitions import month_after, partition_name
from server.jobs.queue import enqueue
from server.kernel.clock import now
from tests.databases import Scratch, somebody_waits
from tests.factories.models import make_model
from tests.factories.world import World, refused
from tests.fakes.openai_stub import OpenAIStub
from tests.processes import BOUND_SECONDS, ROOT, Process, atrium, environment, free_port, refusal_of
from tests.promptly import within
from tests.servers import serving

HELLO = [chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_USER, content="Hello")]
JWKS = session_pb2.GetJwksRequest()


@asynccontextmanager
async def _world_of(process: Process) -> AsyncIterator[World]:
    administrator = await process.administrator()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{await process.port()}") as channel:
        yield World(channel, administrator)


async def _register(world: World, stub: OpenAIStub, *names: str) -> None:
    for name in names:
        await make_model(world, stub.base_url, name, usd=0)


async def test_a_server_that_is_stopped_says_so_finishes_what_is_short_and_ends_what_is_long(
    scratch: Scratch, stub: OpenAIStub, admin: Any
) -> None:
    variables = environment(scratch, provider_keys={stub.base_url: ""}, grace_seconds=30)
    async with atrium(variables) as process, _world_of(process) as world:
        await _register(world, stub, "stub-held-60", "stub-stall-2")
        administrator = await world.tenant()
        watch = world.health.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        stalled = stream_pb2.StreamChatRequest(model="stub-stall-2", messages=HELLO)
        stream = world.models.StreamChat(stalled, metadata=administrator.metadata)
        while (await stream.read()).WhichOneof("event") != "delta":
            pass
        chat = world.models.Chat(
            chat_pb2.ChatRequest(model="stub-held-60", messages=HELLO), metadata=administrator.metadata
        )
        while (exchange := await stub.arrival()).body["model"] != "stub-held-60":
            pass

        process.send(signal.SIGTERM)

        stopped_at = monotonic()
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert monotonic() - stopped_at < 1
        assert not chat.done(), "it is said while calls are still answered"
        exchange.go_on.set()
        ended, answered = await asyncio.gather(refused(_rest(stream)), chat)
        assert (ended.code, ended.reason) == (grpc.StatusCode.UNAVAILABLE, "SERVER_SHUTTING_DOWN")
        assert (await refused(_rest(watch))).code is grpc.StatusCode.UNAVAILABLE
        assert answered.usage.completion_tokens == 60
        assert await process.end() == 0
        assert monotonic() - stopped_at < 10, "when all of it has ended, and not when the grace period has"
        assert not [line for line in process.errors if "Traceback" in line or '"level":"error"' in line]
    logged = await admin.fetch("SELECT status, completion_tokens FROM model_call_logs ORDER BY completion_tokens")
    assert [tuple(row) for row in logged] == [("cancelled", 2), ("success", 60)]


async def _rest(stream: Any) -> None:
    while await stream.read() is not grpc.aio.EOF:
        pass


@pytest.fixture
def full_disk() -> Iterator[Any]:
    with Path("/dev/full").open("wb") as file:
        yield file


@pytest.mark.parametrize("log_format", ["json", "console"])
async def test_a_log_that_cannot_be_written_fails_no_call(scratch: Scratch, full_disk: Any, log_format: str) -> None:
    async with atrium(environment(scratch, log_format=log_format), errors=full_disk) as process:
        async with _world_of(process) as world:
            administrator = await world.tenant()
            me = session_pb2.WhoAmIRequest()
            assert (await world.identity.WhoAmI(me, metadata=administrator.metadata)).user_id == administrator.id
            refusal = await refused(world.identity.WhoAmI(me))
        process.send(signal.SIGTERM)
        assert await process.end() == 0

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAUTHENTICATED, "AUTHENTICATION_REQUIRED")


@pytest.mark.parametrize(("processes", "told"), [(1, 6.0), (2, 5.0)])
async def test_a_call_and_a_job_that_outlive_the_grace_period_do_not_outlive_the_server(
    processes: int, told: float, scratch: Scratch, stub: OpenAIStub, database: Database, admin: Any
) -> None:
    variables = environment(scratch, provider_keys={stub.base_url: ""}, grace_seconds=6, processes=processes)
    async with atrium(variables) as process, _world_of(process) as world:
        await _register(world, stub, "stub-silent")
        administrator = await world.tenant()
        chat = world.models.Chat(
            chat_pb2.ChatRequest(model="stub-silent", messages=HELLO), metadata=administrator.metadata
        )
        await stub.arrival()
        async with _stuck(scratch, database, admin):
            process.send(signal.SIGTERM)

            stopped_at = monotonic()
            await _asked_for(database, "prune/1")
            told_so = await refused(chat)
            assert (told_so.code, told_so.reason) == (grpc.StatusCode.UNAVAILABLE, "SERVER_SHUTTING_DOWN")
            assert await process.end() == 0
            assert monotonic() - stopped_at < 12, (
                "one grace period for all of it, not two, and what a busy machine adds"
            )
    stopping = [json.loads(line) for line in process.errors if '"event":"stopping"' in line]
    assert [line["grace_seconds"] for line in stopping] == [told] * processes, "so that the whole ends within its own"
    logged = await admin.fetchrow("SELECT status, error_code FROM model_call_logs")
    assert tuple(logged) == ("cancelled", "SERVER_SHUTTING_DOWN")
    waiting = await admin.fetch("SELECT entrypoint, status FROM jobs.pgqueuer ORDER BY entrypoint DESC")
    assert ("prune/1", "queued") in [tuple(row) for row in waiting], "no job is begun after the word to stop"


async def test_a_stream_that_goes_on_without_its_reader_is_ended_within_the_grace_period(
    scratch: Scratch, stub: OpenAIStub, admin: Any
) -> None:
    variables = environment(scratch, provider_keys={stub.base_url: ""}, grace_seconds=6)
    async with atrium(variables) as process, _world_of(process) as world:
        await _register(world, stub, "stub-stall-2")
        administrator = await world.tenant()
        asked = stream_pb2.StreamChatRequest(model="stub-stall-2", messages=HELLO, resumable=True)
        stream = world.models.StreamChat(asked, metadata=administrator.metadata)
        while (await stream.read()).WhichOneof("event") != "delta":
            pass

        process.send(signal.SIGINT)

        stopped_at = monotonic()
        assert await process.end() == 0
        assert monotonic() - stopped_at < 12, "one grace period, and what a busy machine adds"
    logged = await admin.fetchrow("SELECT status, error_code FROM model_call_logs")
    assert tuple(logged) == ("cancelled", "GENERATION_LOST")
    assert await admin.fetchval("SELECT ended FROM generations")


async def test_a_server_that_was_stopped_for_a_while_does_not_go_on_with_a_stream_that_is_lost(
    scratch: Scratch, stub: OpenAIStub, admin: Any
) -> None:
    variables = environment(scratch, provider_keys={stub.base_url: ""})
    settings = scratch.settings(provider_keys={stub.base_url: SecretStr("")})
    async with (
        atrium(variables) as process,
        _world_of(process) as world,
        serving(settings) as (_, port),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        other = World(channel, await process.administrator())
        await _register(world, stub, "stub-slow-3000")
        ann = await world.tenant()
        asked = stream_pb2.StreamChatRequest(model="stub-slow-3000", messages=HELLO, resumable=True)
        stream = world.models.StreamChat(asked, metadata=ann.metadata)
        events = aiter(stream)
        generation = (await anext(events)).started.generation_id
        local = asyncio.create_task(_events(events))

        async def elsewhere(after_seq: int = 0) -> list[stream_pb2.StreamChatResponse]:
            request = stream_pb2.StreamChatRequest(generation_id=generation, after_seq=after_seq)
            return await _events(other.models.StreamChat(request, metadata=ann.metadata, timeout=BOUND_SECONDS))

        remote = asyncio.create_task(elsewhere())
        while not await admin.fetchval("SELECT count(*) FROM generation_events"):
            pass
        process.send(signal.SIGSTOP)
        try:
            told = await remote
        finally:
            process.send(signal.SIGCONT)
        seen = await local
        async with asyncio.timeout(BOUND_SECONDS):
            await (await stub.arrival()).left.wait()
            while not (logged := await admin.fetchrow("SELECT * FROM model_call_logs")):
                pass

        lost = error_reason_pb2.ERROR_REASON_GENERATION_LOST
        assert [event.seq for event in told] == list(range(1, len(told) + 1))
        assert [event.seq for event in seen] == list(range(2, len(seen) + 2))
        for events in (told, seen):
            assert [event.WhichOneof("event") for event in events].count("failed") == 1
            assert events[-1].failed.reason == lost
        assert told[1:-1] == seen[: len(told) - 2]
        assert await elsewhere() == told
        assert await elsewhere(len(told) - 1) == told[-1:]
        assert (logged["status"], logged["error_code"]) == ("cancelled", "GENERATION_LOST")
        assert logged["completion_tokens"] >= len(seen) - 1, "what it used until then is paid for"


async def _events(stream: Any) -> list[stream_pb2.StreamChatResponse]:
    return [event async for event in stream]


@asynccontextmanager
async def _stuck(scratch: Scratch, database: Database, admin: Any) -> AsyncIterator[None]:
    """A job that has begun and waits for what it does not get."""
    async with scratch.connect() as other, other.transaction():
        await other.execute("LOCK TABLE one_time_tokens")
        await _asked_for(database, "upkeep/1")
        await somebody_waits(admin)
        yield


async def _asked_for(database: Database, entrypoint: str) -> None:
    async with database.global_tx() as tx:
        await enqueue(tx, entrypoint)


def _calls(port: int) -> float:
    """The calls that a process has answered, by its metrics; -1 where there is no such process."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
            lines = page.read().decode().splitlines()
    except OSError:
        return -1
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("atrium_rpc_calls_total{"))


async def _call_until_both_answer(port: int, metrics: int) -> None:
    """Calls over one connection after the other until each of the two processes has answered some."""
    async with asyncio.timeout(BOUND_SECONDS):
        while min([await asyncio.to_thread(_calls, metrics + index) for index in range(2)]) <= 0:
            for _ in range(8):
                options = [("grpc.use_local_subchannel_pool", 1)]
                async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
                    stub = identity_service_pb2_grpc.IdentityServiceStub(channel)
                    await stub.GetJwks(JWKS, wait_for_ready=True)


@pytest.fixture
async def pair(scratch: Scratch) -> AsyncIterator[tuple[Process, int]]:
    """Two server processes, and the first port of their metrics."""
    metrics = free_port(2)
    variables = environment(scratch, processes=2, metrics_address=f"127.0.0.1:{metrics}")
    async with atrium(variables) as process:
        await process.port()
        yield process, metrics


async def test_two_processes_share_the_port_one_that_dies_is_replaced_and_all_end_together(
    pair: tuple[Process, int], scratch: Scratch
) -> None:
    process, metrics = pair
    port = await process.port()
    await _call_until_both_answer(port, metrics)
    first, second = process.servers()

    first.kill()

    await asyncio.to_thread(first.wait, BOUND_SECONDS)
    await _call_until_both_answer(port, metrics)
    everyone = process.servers()
    assert len({child.pid for child in everyone} - {first.pid, second.pid}) == 1
    # Theirs alone, though they share it with one another.
    assert f":{port}" in await refusal_of(environment(scratch, address=f"127.0.0.1:{port}", processes=2))
    process.send(signal.SIGTERM)
    assert await process.end() == 0
    assert not psutil.wait_procs(everyone, timeout=0)[1]


async def test_one_that_does_not_hear_that_it_is_to_stop_is_ended_with_the_others(scratch: Scratch) -> None:
    async with atrium(environment(scratch, processes=2, grace_seconds=2)) as process:
        await process.port()
        servers = process.servers()
        assert len(servers) == 2
        servers[0].suspend()

        process.send(signal.SIGTERM)

        assert await process.end() == 0
    assert not psutil.wait_procs(servers, timeout=0)[1]


async def test_server_processes_end_with_the_one_that_watches_them(pair: tuple[Process, int]) -> None:
    process, _ = pair
    servers = process.servers()
    assert len(servers) == 2

    process.send(signal.SIGKILL)

    _, alive = await asyncio.to_thread(psutil.wait_procs, servers, BOUND_SECONDS)
    assert alive == []
    assert await process.end() == -signal.SIGKILL


_CLIENT = """
import sys
import grpc
from atrium.model.v1 import chat_pb2, model_service_pb2_grpc, stream_pb2

port, token, name = sys.argv[1:]
with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
    request = stream_pb2.StreamChatRequest(model=name, messages=[chat_pb2.ChatMessage(role=1, content="Hello")])
    stub = model_service_pb2_grpc.ModelServiceStub(channel)
    for event in stub.StreamChat(request, metadata=[("authorization", f"Bearer {token}")]):
        print(event.seq, flush=True)
"""


@asynccontextmanager
async def _client(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program that reads a stream to its end, once it has read the first of it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _CLIENT, *arguments, stdout=asyncio.subprocess.PIPE, cwd=ROOT / "generated"
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(BOUND_SECONDS):
            await process.stdout.readline()
        yield process
    finally:
        process.kill()
        await process.wait()


@pytest.mark.xdist_group("silent-peer")
async def test_a_client_that_falls_silent_is_found_within_ten_seconds(scratch: Scratch, stub: OpenAIStub) -> None:
    names = ["stub-stall-2", "stub-endless"]  # nothing to send to it, and more than it takes
    variables = environment(scratch, provider_keys={stub.base_url: ""})
    async with atrium(variables) as process:
        port = str(await process.port())
        async with _world_of(process) as world:
            await _register(world, stub, *names)
            token = (await world.tenant()).tokens.access_token

        async def found() -> float:
            """How long it took until the provider saw that nobody is there for either."""
            before = len(stub.exchanges)
            async with _client(port, token, names[0]) as idle, _client(port, token, names[1]) as busy:
                silent_at = perf_counter()
                for client in (idle, busy):
                    client.send_signal(signal.SIGSTOP)
                exchanges = stub.exchanges[before:]
                assert len(exchanges) == 2
                async with asyncio.timeout(BOUND_SECONDS):
                    for exchange in exchanges:
                        await exchange.left.wait()
            return max(exchange.left_at for exchange in exchanges) - silent_at

        await within(10, found)


async def test_a_worker_of_its_own_works_until_it_is_stopped(scratch: Scratch, database: Database, admin: Any) -> None:
    await admin.execute("INSERT INTO tenants (name, slug) VALUES ('Ada', 'ada')")
    await admin.execute(
        "INSERT INTO tenant_configs (tenant_id) SELECT id FROM tenants WHERE slug = 'ada'; "
        "INSERT INTO idempotency_keys (tenant_id, caller, method, key, request_hash, status, expires_at) "
        "SELECT id, id, 'm', 'old', 'h', 'done', now() FROM tenants WHERE slug = 'ada'"
    )
    month = partition_name("audit_logs", month_after(now().date(), 2))
    await admin.execute(f"DROP TABLE {month}")
    async with atrium(environment(scratch, admin_database_url=scratch.admin_url), "worker") as process:
        await _asked_for(database, "upkeep/1")
        async with asyncio.timeout(60):
            # It sees to the months ahead, too.
            while await admin.fetchval(  # noqa: ASYNC110
                "SELECT to_regclass($1) IS NULL OR EXISTS (SELECT FROM jobs.pgqueuer WHERE entrypoint = 'upkeep/1')",
                month,
            ):
                await asyncio.sleep(0.05)

        process.send(signal.SIGTERM)

        assert await process.end() == 0
    assert await admin.fetchval("SELECT count(*) FROM idempotency_keys") == 0
