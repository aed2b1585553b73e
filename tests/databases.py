"""Real PostgreSQL for tests: one embedded server a run, a schema migrated once, and a clone of it for each test.

A pytest plugin: the top conftest names it. Servers are started when the first test asks, are shared by the workers of
pytest-xdist, and are gone when the run ends.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr

from server.db.bootstrap import bootstrap
from server.db.database import Database
from server.db.migrate import up
from server.db.rules import OWNER_ROLE, SERVING_ROLE
from server.embedded.postgres import as_role, embedded_postgres
from server.settings import Settings

VERSIONS = (18, 16)
MASTER_KEY = SecretStr("A" * 43 + "=")

# A test's database is thrown away: nothing of it need survive a crash of the machine.
_UNSAFE_AND_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}

WAITING = """
SELECT count(*) FROM pg_locks AS wanted WHERE NOT granted AND EXISTS (
    SELECT FROM pg_locks AS held JOIN pg_database ON pg_database.oid = held.database
    WHERE held.pid = wanted.pid AND datname = current_database()
)
"""
"""How many wait for a lock in the database that it is asked in: the server is other tests' too."""

_CATALOGUES = """
SELECT oid::regclass::text FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'pg_catalog'::regnamespace AND NOT relisshared
"""

_MOST_BYTES = 4 << 30
"""Several times what the servers of a run have at once."""

_FOLDER = pytest.StashKey[Path]()
_numbers = count(1)


def pytest_configure(config: pytest.Config) -> None:
    shared = getattr(config, "workerinput", {}).get("atrium_postgres")
    config.stash[_FOLDER] = Path(shared or tempfile.mkdtemp(prefix="atrium-tests-", dir=in_memory()))


def in_memory() -> str | None:
    """A place in memory for what is thrown away, where there is one with room: each database that is cloned has
    hundreds of files, and a file system on a disk takes a good part of a test's time to make and remove them.
    """
    place = Path("/dev/shm")
    has_room = place.is_dir() and os.access(place, os.W_OK) and shutil.disk_usage(place).free >= _MOST_BYTES
    return str(place) if has_room else None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tells each worker of pytest-xdist where the run's servers are."""
    node.workerinput["atrium_postgres"] = str(node.config.stash[_FOLDER])


def pytest_unconfigure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return
    for pid_file in config.stash[_FOLDER].glob("*/postmaster.pid"):  # of a server whose last worker was killed
        with suppress(ProcessLookupError):
            os.kill(int(pid_file.read_text().split()[0]), signal.SIGQUIT)
    shutil.rmtree(config.stash[_FOLDER], ignore_errors=True)  # a server that is ending removes files as well


@cache
def _settings() -> Settings:
    """Made once: to look for each in the environment takes as long as to open a database."""
    return Settings(master_key=MASTER_KEY, pool_size=4)


@dataclass(frozen=True)
class Scratch:
    """One database of a test. As the serving role, the owner, the superuser."""

    admin_url: str

    @property
    def url(self) -> str:
        return as_role(self.admin_url, SERVING_ROLE)

    @property
    def owner_url(self) -> str:
        return as_role(self.admin_url, OWNER_ROLE)

    def settings(self, **changes: Any) -> Settings:
        own = {"database_url": self.url, "admin_database_url": self.admin_url}
        return _settings().model_copy(update=own | changes)

    @asynccontextmanager
    async def connect(self, url: str | None = None) -> AsyncIterator[Any]:
        """A plain connection, as superuser where no address is given: past row security, to arrange and to look."""
        connection = await asyncpg.connect(url or self.admin_url)
        try:
            yield connection
        finally:
            await connection.close()


@dataclass(frozen=True)
class Cluster:
    """One embedded server of the run, whose database `atrium` is the migrated template."""

    version: int
    template_url: str

    @asynccontextmanager
    async def clone(self) -> AsyncIterator[Scratch]:
        """A database of its own with the whole schema and its seeds."""
        # Its files are copied whole: block by block and into the log, as it is by itself, takes twice as long.
        async with self._database("TEMPLATE atrium STRATEGY FILE_COPY") as made:
            yield made

    @asynccontextmanager
    async def empty(self, options: str = "") -> AsyncIterator[Scratch]:
        """A database of its own with nothing in it. `options`: of CREATE DATABASE."""
        async with self._database(options) as made:
            yield made

    @asynccontextmanager
    async def _database(self, options: str) -> AsyncIterator[Scratch]:
        name = f"test_{os.getpid()}_{next(_numbers)}"
        admin = await asyncpg.connect(self.template_url, database="postgres")
        try:
            await admin.execute(f"CREATE DATABASE {name} {options}")
            try:
                yield Scratch(self.template_url.replace("/atrium?", f"/{name}?"))
            finally:
                await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        finally:
            await admin.close()


@contextmanager
def _cluster(folder: Path, version: int) -> Iterator[Cluster]:
    with embedded_postgres(folder / str(version), version) as url:
        with (folder / f"{version}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # one worker makes the template, the others wait for it
            ready = folder / f"{version}.ready"
            if not ready.exists():
                asyncio.run(_make_template(url))
                ready.touch()
        yield Cluster(version, url)


async def _make_template(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for name, value in _UNSAFE_AND_FAST.items():
            await connection.execute(f"ALTER SYSTEM SET {name} = {value}")
        await connection.execute("SELECT pg_reload_conf()")
    finally:
        await connection.close()
    await bootstrap(url)
    await up(url)
    await _compact(url)


async def _compact(url: str) -> None:
    """Each clone copies what migrations have left behind in the catalogues."""
    template = Scratch(url)
    async with template.connect() as admin:
        for (table,) in await admin.fetch(_CATALOGUES):
            await admin.execute(f"VACUUM (FULL, FREEZE) {table}")
    async with template.connect():
        pass  # the first connection writes down what it has found there, for others to begin with, in clones too


@pytest.fixture(scope="session")
def clusters(request: pytest.FixtureRequest) -> Iterator[Callable[[int], Cluster]]:
    """The servers by version, each started when it is first asked for.

    A worker holds on to each until the run ends: one that left and came back would not be counted among its users.
    """
    with ExitStack() as held:
        yield cache(lambda version: held.enter_context(_cluster(request.config.stash[_FOLDER], version)))


@pytest.fixture(scope="session")
def postgres(clusters: Callable[[int], Cluster]) -> Cluster:
    """The server that tests run on: the version that Atrium embeds."""
    return clusters(VERSIONS[0])


@pytest.fixture(scope="session", params=VERSIONS)
def each_postgres(request: pytest.FixtureRequest, clusters: Callable[[int], Cluster]) -> Cluster:
    """The test runs once on every major version at hand."""
    return clusters(request.param)


@contextmanager
def _shared(cluster: Cluster) -> Iterator[Scratch]:
    clone = cluster.clone()
    with asyncio.Runner() as runner:  # the tests' own loops end with each of them
        made = runner.run(clone.__aenter__())
        try:
            yield made
        finally:
            runner.run(clone.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def shared(postgres: Cluster) -> Iterator[Scratch]:
    """A database for all tests of a module, which leave it as they found it."""
    with _shared(postgres) as made:
        yield made


@pytest.fixture(scope="module")
def each_shared(each_postgres: Cluster) -> Iterator[Scratch]:
    """The same on every major version at hand."""
    with _shared(each_postgres) as made:
        yield made


@pytest.fixture
async def passing(shared: Scratch) -> AsyncIterator[Any]:
    """A connection that sees every row of the module's database, in a transaction that leaves nothing behind."""
    async with shared.connect() as connection:
        transaction = connection.transaction()
        await transaction.start()
        yield connection
        await transaction.rollback()


@pytest.fixture
async def scratch(postgres: Cluster) -> AsyncIterator[Scratch]:
    """A database of the test's own, with the whole schema."""
    async with postgres.clone() as made:
        yield made


@pytest.fixture
async def database(scratch: Scratch) -> AsyncIterator[Database]:
    """The same, opened as the server opens it."""
    async with Database.open(scratch.settings()) as opened:
        yield opened


@pytest.fixture
async def admin(scratch: Scratch) -> AsyncIterator[Any]:
    """A connection to the test's database that sees every row."""
    async with scratch.connect() as connection:
        yield connection


async def somebody_waits(connection: Any) -> None:
    """Returns once somebody waits for a lock in the connection's database."""
    async with asyncio.timeout(20):
        while not await connection.fetchval(WAITING):  # noqa: ASYNC110 - what it waits for is in the database
            await asyncio.sleep(0.01)


@pytest.fixture
async def stranger(postgres: Cluster) -> AsyncIterator[str]:
    """A role that may log in and nothing else. Roles are the cluster's, so it has a name of its own."""
    name = f"stranger_{os.getpid()}_{next(_numbers)}"
    admin = await asyncpg.connect(postgres.template_url, database="postgres")
    try:
        await admin.execute(f"CREATE ROLE {name} LOGIN")
        yield name
        await admin.execute(f"DROP ROLE {name}")
    finally:
        await admin.close()
