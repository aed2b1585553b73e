"""What an operator does to the embedded database, beside the server that runs on it and without one."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import grpc
import psutil
import pytest

from atrium.identity.v1 import identity_service_pb2_grpc, session_pb2
from server.embedded.postgres import PostgresServer, embedded_postgres
from tests.databases import in_memory
from tests.processes import BOUND_SECONDS, atrium, command, sentence_of

RUNNING = "postgres/postmaster.pid"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: the socket of the database lies in it."""
    with tempfile.TemporaryDirectory(prefix="atrium-own-", dir=in_memory()) as name:
        yield Path(name)


async def test_an_operators_commands_reach_the_embedded_database(folder: Path) -> None:
    variables = {"ATRIUM_DATA_DIR": str(folder), "ATRIUM_ADDRESS": "127.0.0.1:0", "ATRIUM_POOL_SIZE": "2"}
    async with atrium(variables) as server:
        port = await server.port()
        assert await _printed(variables, "jobs", "failed") == []
        assert await _printed(variables, "jobs", "retry") == ["0 jobs are done anew."]
        (rotated,) = await _printed(variables, "signing-key", "rotate")
        (rewrapped,) = await _printed(variables, "master-key", "rewrap")
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            identity = identity_service_pb2_grpc.IdentityServiceStub(channel)
            async with asyncio.timeout(BOUND_SECONDS):  # the server is there yet, and hears of the new key
                while rotated.split()[2] not in await _keys(identity):  # noqa: ASYNC110 - nothing here is told of it
                    await asyncio.sleep(0.01)
        server.send(signal.SIGTERM)
        assert await server.end() == 0
    assert rewrapped.startswith("Every key, 2 in all, is kept under the master key ")
    assert not _holds(folder, RUNNING)

    (rewrapped,) = await _printed(variables, "master-key", "rewrap")
    assert rewrapped.startswith("Every key, 2 in all, ")
    assert not _holds(folder, RUNNING), "the command has left none behind"


@pytest.mark.parametrize("words", [("serve",), ("jobs", "failed")])
async def test_a_part_of_ones_own_database_does_not_lead_to_the_embedded_one(
    folder: Path, words: tuple[str, ...]
) -> None:
    url = "postgresql://127.0.0.1:1/x"
    variables = {"ATRIUM_ADMIN_DATABASE_URL": url, "ATRIUM_LISTEN_DATABASE_URL": url}

    ended = await command({"ATRIUM_DATA_DIR": str(folder), **variables}, *words)

    assert ended.exit_code == 1
    assert [line.removeprefix("atrium: ").partition(": ")[0] for line in ended.stderr.splitlines()] == list(variables)
    assert "set ATRIUM_DATABASE_URL too" in ended.stderr
    assert not _holds(folder, "*")


@pytest.mark.parametrize(
    "words", [("jobs", "failed"), ("jobs", "retry"), ("signing-key", "rotate"), ("master-key", "rewrap")]
)
async def test_a_command_makes_no_database_of_its_own(folder: Path, words: tuple[str, ...]) -> None:
    ended = await command({"ATRIUM_DATA_DIR": str(folder)}, *words)

    assert ended.exit_code == 1
    assert sentence_of(ended.stderr.splitlines()).startswith(f"ATRIUM_DATA_DIR: {folder} holds no database yet")
    assert not _holds(folder, "*")


async def test_a_worker_needs_a_database_of_ones_own(folder: Path) -> None:
    ended = await command({"ATRIUM_DATA_DIR": str(folder)}, "worker")

    assert ended.exit_code == 1
    assert sentence_of(ended.stderr.splitlines()).startswith("ATRIUM_DATABASE_URL: is needed for this")


@pytest.mark.parametrize("processes", [1, 2])
async def test_a_server_that_is_told_to_stop_again_and_again_stops_as_well(folder: Path, processes: int) -> None:
    variables = {
        "ATRIUM_DATA_DIR": str(folder),
        "ATRIUM_ADDRESS": "127.0.0.1:0",
        "ATRIUM_POOL_SIZE": "2",
        "ATRIUM_PROCESSES": str(processes),
    }
    async with atrium(variables) as server:
        await server.port()

        ended = asyncio.create_task(server.end())
        while not ended.done():
            with suppress(ProcessLookupError):
                os.kill(
                    server.pid, signal.SIGTERM
                )  # without a look at whether it has ended, which is asyncio's to take
            await asyncio.wait([ended], timeout=0.01)

        assert await ended == 0
    assert not _holds(folder, RUNNING)


async def test_a_server_that_is_stopped_while_it_prepares_its_database_leaves_nothing_running(folder: Path) -> None:
    async with atrium({"ATRIUM_DATA_DIR": str(folder), "ATRIUM_ADDRESS": "127.0.0.1:0"}) as server:
        async with asyncio.timeout(BOUND_SECONDS):
            while not (preparing := server.servers()):  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.01)

        server.send(signal.SIGTERM)
        server.send(signal.SIGTERM)

        assert await server.end() in (128 + signal.SIGTERM, 0), "0: it served by then"
    assert not psutil.wait_procs(preparing, timeout=BOUND_SECONDS)[1]
    assert not _holds(folder, RUNNING)


async def test_the_database_of_a_server_that_was_killed_is_stopped_by_the_next(folder: Path) -> None:
    variables = {"ATRIUM_DATA_DIR": str(folder), "ATRIUM_ADDRESS": "127.0.0.1:0", "ATRIUM_POOL_SIZE": "2"}
    async with atrium(variables) as killed:
        await killed.port()
        killed.send(signal.SIGKILL)
        await killed.end()
    left = (folder / RUNNING).read_text()
    assert await _printed(variables, "jobs", "failed") == []
    assert not _holds(folder, RUNNING), f"the command has left it running: {left.split()[0]}"


async def test_a_folder_that_cannot_be_used_is_named(folder: Path) -> None:
    (folder / "file").touch()
    (folder / "broken" / "postgres").mkdir(parents=True)
    (folder / "broken" / "postgres" / "PG_VERSION").write_text("18\n")

    inside = await command({"ATRIUM_DATA_DIR": str(folder / "file" / "data")}, "serve")
    broken = await command({"ATRIUM_DATA_DIR": str(folder / "broken")}, "serve")

    assert (inside.exit_code, broken.exit_code) == (1, 1)
    assert sentence_of(inside.stderr.splitlines()).startswith(f"The embedded PostgreSQL cannot use {folder / 'file'}")
    assert f"and in {folder / 'broken' / 'postgres' / 'log'}" in sentence_of(broken.stderr.splitlines())


async def test_a_number_that_is_another_processs_by_now_is_not_taken_for_the_server(folder: Path) -> None:
    variables = {"ATRIUM_DATA_DIR": str(folder), "ATRIUM_ADDRESS": "127.0.0.1:0", "ATRIUM_POOL_SIZE": "2"}
    async with atrium(variables) as killed:
        await killed.port()
        told = (folder / RUNNING).read_text()
        server = psutil.Process(int(told.split()[0]))
        # As when the machine loses its power.
        killed.send(signal.SIGKILL)
        for process in (*server.children(), server):
            with suppress(psutil.NoSuchProcess):  # it has ended with its client
                process.kill()
        await killed.end()
        await asyncio.to_thread(server.wait, BOUND_SECONDS)
    _, *rest = told.splitlines(keepends=True)
    other = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE)
    try:
        (folder / RUNNING).write_text("".join([f"{other.pid}\n", *rest]))

        assert await _printed(variables, "jobs", "failed") == []

        assert other.returncode is None
        assert not _holds(folder, RUNNING)
    finally:
        with suppress(ProcessLookupError):
            other.kill()
        await other.wait()


def test_nobody_else_on_the_machine_reaches_the_database(folder: Path) -> None:
    with embedded_postgres(folder / ("long" * 30)) as dsn:
        (place,) = parse_qs(urlsplit(dsn).query)["host"]
        assert not Path(place).is_relative_to(folder), "where sockets of long paths lie"
        assert (Path(place) / ".s.PGSQL.5432").stat().st_mode & 0o077 == 0
    Path(place).rmdir()


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="elsewhere users have no common folder")
def test_one_user_of_the_machine_does_not_keep_another_out() -> None:
    assert str(os.getuid()) in PostgresServer.lock_path.name
    assert PostgresServer._lock.path == str(PostgresServer.lock_path).encode()


async def _keys(identity: Any) -> list[str]:
    return [key.kid for key in (await identity.GetJwks(session_pb2.GetJwksRequest())).keys]


def _holds(folder: Path, pattern: str) -> bool:
    return any(folder.glob(pattern))


async def _printed(variables: dict[str, str], *words: str) -> list[str]:
    """What a command prints that ends well, in a process of its own."""
    async with atrium(variables, *words) as process:
        assert await process.end() == 0, process.errors
    return process.lines
