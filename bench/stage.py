"""What a bench stands on: a server process on an embedded database of its own, and a bare one beside it."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import grpc
from pydantic import SecretStr

from atrium.identity.v1 import identity_service_pb2_grpc, session_pb2
from atrium.model.v1 import model_pb2, model_service_pb2_grpc
from atrium.tenant.v1 import tenant_pb2, tenant_service_pb2_grpc
from server.launch import loop_factory, running
from server.operating import first_administrator
from server.prepare import prepared
from server.settings import Settings

PASSWORD = "the password of a bench"

Serve = Callable[[], Any]


@dataclass(frozen=True)
class Stage:
    """A running server. `pid`: of the process that serves. `settings`: with the addresses of its database."""

    port: int
    pid: int
    administrator: tuple[str, str]
    settings: Settings

    async def sign_in(self, channel: grpc.aio.Channel) -> tuple[Any, tuple[tuple[str, str], ...]]:
        """The platform's administrator, and the metadata that says who they are."""
        username, password = self.administrator
        request = session_pb2.LoginRequest(tenant="platform", login=username, password=password)
        reply = await identity_service_pb2_grpc.IdentityServiceStub(channel).Login(request)
        return reply.user, (("authorization", f"Bearer {reply.tokens.access_token}"),)


async def found(channel: grpc.aio.Channel, platform: Any, slug: str) -> tuple[str, Any]:
    """The id of a new tenant, and the metadata of its administrator. `platform`: that of the platform's."""
    tenants: Any = tenant_service_pb2_grpc.TenantServiceStub(channel)
    people: Any = identity_service_pb2_grpc.IdentityServiceStub(channel)
    who = tenant_pb2.CreateTenantRequest.Administrator(username="admin", email="a@b.example", password=PASSWORD)
    request = tenant_pb2.CreateTenantRequest(slug=slug, name=slug, tier="TIER_ENTERPRISE", administrator=who)
    made = await tenants.CreateTenant(request, metadata=platform)
    reply = await people.Login(session_pb2.LoginRequest(tenant=slug, login="admin", password=PASSWORD))
    return made.tenant.id, (("authorization", f"Bearer {reply.tokens.access_token}"),)


async def create_model(channel: grpc.aio.Channel, platform: Any, name: str, base_url: str) -> None:
    """A chat model that every tenant can call, with a price."""
    models: Any = model_service_pb2_grpc.ModelServiceStub(channel)
    price = model_pb2.ModelPrice(input_cost_per_1k="0.01", output_cost_per_1k="0.02")
    request = model_pb2.CreateModelRequest(
        name=name,
        provider=model_pb2.Model.PROVIDER_CUSTOM,
        type=model_pb2.Model.TYPE_CHAT,
        base_url=base_url,
        supports_streaming=True,
        price=price,
    )
    await models.CreateModel(request, metadata=platform)


@contextmanager
def databased(provider: str | None = None, **fields: Any) -> Iterator[Settings]:
    """An embedded database with the schema, and the settings to serve from it. `provider`: an endpoint of models.
    `fields`: settings that are not as they are by themselves.
    """
    with tempfile.TemporaryDirectory(prefix="atrium-bench-") as directory:
        keys = {} if provider is None else {provider: SecretStr("")}
        settings = Settings(address="127.0.0.1:0", data_dir=Path(directory), provider_keys=keys, **fields)
        with prepared(settings) as ready:
            yield ready


@contextmanager
def staged(provider: str | None = None, **fields: Any) -> Iterator[Stage]:
    """The server as it is served, logs and metrics included. `provider`, `fields`: as `databased` takes them."""
    with databased(provider, **fields) as ready:
        administrator = first_administrator(ready)
        assert administrator is not None
        with running(ready) as port:
            (child,) = multiprocessing.active_children()
            assert child.pid is not None
            yield Stage(port, child.pid, administrator, ready)


@dataclass(frozen=True)
class Command:
    """A running `atrium serve`. `login`, `password`: its first administrator's."""

    pid: int
    login: str
    password: str
    port: int

    async def sign_in(self, channel: grpc.aio.Channel) -> tuple[tuple[str, str], ...]:
        """The metadata that says who the administrator is."""
        request = session_pb2.LoginRequest(tenant="platform", login=self.login, password=self.password)
        reply = await identity_service_pb2_grpc.IdentityServiceStub(channel).Login(request)
        return (("authorization", f"Bearer {reply.tokens.access_token}"),)


_SAID = re.compile(r"tenant platform, login (\S+), password (\S+)|serves on 127\.0\.0\.1:(\d+)")


@contextmanager
def commanded(**variables: str) -> Iterator[Command]:
    """The command itself, on a new embedded database. `variables`: of its environment."""
    with tempfile.TemporaryDirectory(prefix="atrium-bench-") as directory:
        told = {**os.environ, "ATRIUM_DATA_DIR": directory, "ATRIUM_ADDRESS": "127.0.0.1:0", **variables}
        command = [sys.executable, "-m", "server", "serve"]
        with subprocess.Popen(command, env=told, stdout=subprocess.PIPE, text=True) as server:
            try:
                login, password, port = _said(server)
                yield Command(server.pid, login, password, int(port))
            finally:
                server.terminate()


def _said(server: subprocess.Popen[str]) -> tuple[str, str, str]:
    """The first administrator's login and password, and the port."""
    assert server.stdout is not None
    found: list[str] = []
    for line in server.stdout:
        if match := _SAID.search(line):
            found += [part for part in match.groups() if part]
        if len(found) == 3:
            return found[0], found[1], found[2]
    raise RuntimeError("the server ended before it served")


@contextmanager
def process(serve: Callable[..., Any], *arguments: Any) -> Iterator[tuple[int, int]]:
    """A bare server in a process of its own: its port and its process id. `serve`: a coroutine function that is given a
    callback for the port, then the arguments."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_serve, args=(sender, serve, arguments))
    child.start()
    try:
        assert child.pid is not None
        yield receiver.recv(), child.pid
    finally:
        child.terminate()
        child.join()


def _serve(started: Connection, serve: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve(started.send, *arguments))


@contextmanager
def provider() -> Iterator[str]:
    """The stubbed provider of models in a process of its own; its base URL."""
    command = [sys.executable, "-m", "tests.fakes.openai_stub", "--port", "0"]
    root = Path(__file__).parent.parent
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        yield child.stdout.readline().strip()
        child.stdin.close()  # which ends it
