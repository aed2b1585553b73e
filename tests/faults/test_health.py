"""Whether a server serves, asked on its own machine: plainly, under TLS, and past mutual TLS."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from atrium.identity.v1 import identity_service_pb2_grpc, session_pb2
from server import health
from server.rpc.server import PortTaken
from server.settings import Settings, SettingsError
from tests.databases import Scratch
from tests.factories.certificates import Certificate, authority, signed_by
from tests.processes import command, environment, free_port
from tests.servers import serving


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks waits for an answer that a busy machine keeps from them."""
    monkeypatch.setattr(health, "_TIMEOUT_SECONDS", 20.0)


@pytest.fixture
def ours(tmp_path: Path) -> Certificate:
    return authority(tmp_path, "ours")


@pytest.fixture
def probed() -> str:
    """An address that nobody listens on."""
    return f"127.0.0.1:{free_port()}"


def _tls(certificate: Certificate, **more: Any) -> dict[str, Any]:
    return {
        "tls_certificate_file": certificate.certificate_file,
        "tls_private_key_file": certificate.key_file,
        **more,
    }


async def _asked(settings: Settings, port: int) -> bool:
    here = settings.model_copy(update={"address": f"127.0.0.1:{port}"})
    return await asyncio.to_thread(health.serving, here)


async def test_a_server_serves_until_it_is_stopped(scratch: Scratch) -> None:
    settings = scratch.settings()

    async with serving(settings) as (_, port):
        assert await _asked(settings, port)
    assert not await _asked(settings, port)


async def test_a_proxy_for_everything_else_is_not_asked(
    scratch: Scratch, probed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(scratch.settings(health_address=probed)) as (_, port):
        for name in ("http_proxy", "https_proxy", "grpc_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")

        assert await _asked(scratch.settings(), port)
        assert await _asked(scratch.settings(health_address=probed), port)


@pytest.mark.parametrize("host", [None, "api.example.com", "*.example.com"])
async def test_under_tls_it_is_asked_for_by_a_name_of_its_certificate(
    scratch: Scratch, tmp_path: Path, ours: Certificate, host: str | None
) -> None:
    settings = scratch.settings(**_tls(signed_by(ours, tmp_path, "server", host)))

    async with serving(settings) as (_, port):
        assert await _asked(settings, port)


async def test_under_mutual_tls_it_is_asked_at_an_address_that_answers_nothing_else(
    scratch: Scratch, tmp_path: Path, ours: Certificate, probed: str
) -> None:
    own = _tls(signed_by(ours, tmp_path, "server"), tls_client_ca_file=ours.certificate_file)
    settings = scratch.settings(**own, health_address=probed)

    async with serving(settings) as (app, port):
        assert await _asked(settings, port)
        async with grpc.aio.insecure_channel(probed) as channel:
            stub = identity_service_pb2_grpc.IdentityServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.GetJwks(session_pb2.GetJwksRequest())
            health = health_pb2_grpc.HealthStub(channel)
            watch = health.Watch(health_pb2.HealthCheckRequest())
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            await health.Check(health_pb2.HealthCheckRequest())  # the server knows by then that it was read
            await app.stop()
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert not await _asked(settings, port)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def _may_watch(stub: Any) -> bool:
    watch = stub.Watch(health_pb2.HealthCheckRequest())
    try:
        await watch.read()
    except grpc.aio.AioRpcError:
        return await watch.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED
    return True


async def test_so_many_may_watch_at_a_port_and_everybody_may_ask(
    scratch: Scratch, probed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.rpc.health._MOST_WATCHERS", 2)
    every = health_pb2.HealthCheckRequest()
    async with (
        serving(scratch.settings(health_address=probed)) as (_, port),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
        grpc.aio.insecure_channel(probed) as of_probes,
        asyncio.timeout(20),
    ):
        stub = health_pb2_grpc.HealthStub(channel)
        first, second = stub.Watch(every), stub.Watch(every)
        for watch in (first, second):
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING

        assert not await _may_watch(stub)
        assert (await stub.Check(every)).status == health_pb2.HealthCheckResponse.SERVING
        assert await _may_watch(health_pb2_grpc.HealthStub(of_probes))

        first.cancel()
        while not await _may_watch(stub):
            pass


async def test_under_mutual_tls_without_such_an_address_it_says_what_is_missing(
    scratch: Scratch, tmp_path: Path, ours: Certificate
) -> None:
    own = _tls(signed_by(ours, tmp_path, "server"), tls_client_ca_file=ours.certificate_file)

    with pytest.raises(SettingsError, match="ATRIUM_HEALTH_ADDRESS"):
        await _asked(scratch.settings(**own), 1)


async def test_an_address_for_probes_that_is_taken_is_named(scratch: Scratch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"

        with pytest.raises(PortTaken, match=f"Cannot listen on {address}: .*ATRIUM_HEALTH_ADDRESS"):
            async with serving(scratch.settings(health_address=address)):
                pass


async def test_the_command_says_it_and_ends_with_it(scratch: Scratch) -> None:
    async with serving(scratch.settings()) as (_, port):
        variables = environment(scratch, address=f"127.0.0.1:{port}")

        well = await command(variables, "health")
    ill = await command(variables, "health")

    assert (well.exit_code, well.stdout) == (0, "serving\n")
    assert (ill.exit_code, ill.stderr) == (1, "not serving\n")
