"""TLS and mutual TLS, set by files: who gets through, and who does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from atrium.identity.v1 import user_pb2
from tests.databases import Scratch
from tests.factories.certificates import Certificate, authority, signed_by
from tests.factories.world import World, refused
from tests.rpc.requests import GOOD
from tests.rpc.test_every_method import PRIVATE
from tests.servers import serving

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


async def _code(port: int, credentials: grpc.ChannelCredentials | None) -> grpc.StatusCode:
    """What a call over such a channel ends with."""
    address = f"127.0.0.1:{port}"
    options = [("grpc.use_local_subchannel_pool", 1)]
    made: Any = (
        grpc.aio.insecure_channel(address, options)
        if credentials is None
        else grpc.aio.secure_channel(address, credentials, options)
    )
    async with made as channel:
        try:
            reply = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
        except grpc.aio.AioRpcError as error:
            code: grpc.StatusCode = error.code()
            return code
    assert reply.status == health_pb2.HealthCheckResponse.SERVING
    return grpc.StatusCode.OK


@pytest.fixture
def ours(tmp_path: Path) -> Certificate:
    return authority(tmp_path, "ours")


@pytest.fixture
def theirs(tmp_path: Path) -> Certificate:
    return authority(tmp_path, "theirs")


def _trusting(root: Certificate, client: Certificate | None = None) -> grpc.ChannelCredentials:
    if client is None:
        return grpc.ssl_channel_credentials(root.pem)
    return grpc.ssl_channel_credentials(root.pem, client.key_pem, client.pem)


async def test_with_a_certificate_the_server_speaks_tls_alone(
    scratch: Scratch, tmp_path: Path, ours: Certificate, theirs: Certificate
) -> None:
    own = signed_by(ours, tmp_path, "server")
    settings = scratch.settings(tls_certificate_file=own.certificate_file, tls_private_key_file=own.key_file)

    async with serving(settings) as (_, port):
        assert await _code(port, _trusting(ours)) is grpc.StatusCode.OK
        assert await _code(port, _trusting(theirs)) is UNAVAILABLE
        assert await _code(port, None) is UNAVAILABLE


async def test_with_authorities_for_clients_those_without_a_certificate_of_theirs_stay_outside(
    scratch: Scratch, tmp_path: Path, ours: Certificate, theirs: Certificate
) -> None:
    own = signed_by(ours, tmp_path, "server")
    settings = scratch.settings(
        tls_certificate_file=own.certificate_file,
        tls_private_key_file=own.key_file,
        tls_client_ca_file=ours.certificate_file,
    )

    async with serving(settings) as (_, port):
        assert await _code(port, _trusting(ours, signed_by(ours, tmp_path, "client"))) is grpc.StatusCode.OK
        assert await _code(port, _trusting(ours)) is UNAVAILABLE
        assert await _code(port, _trusting(ours, signed_by(theirs, tmp_path, "stranger"))) is UNAVAILABLE
        assert await _code(port, None) is UNAVAILABLE


async def test_a_service_carries_its_users_token_and_is_nobody_without_one(
    scratch: Scratch, tmp_path: Path, ours: Certificate, admin: Any
) -> None:
    own = signed_by(ours, tmp_path, "server")
    settings = scratch.settings(
        tls_certificate_file=own.certificate_file,
        tls_private_key_file=own.key_file,
        tls_client_ca_file=ours.certificate_file,
    )
    async with (
        serving(settings) as (app, port),
        grpc.aio.secure_channel(f"127.0.0.1:{port}", _trusting(ours, signed_by(ours, tmp_path, "billing"))) as channel,
    ):
        administrator = await app.founding.first_platform_administrator()
        assert administrator is not None
        world = World(channel, administrator)
        ann = await world.tenant()

        for path in PRIVATE:
            refusal = await refused(world.method(path)(GOOD[path], metadata=(("x-tenant-id", ann.tenant_id),)))
            assert (path, refusal.code) == (path, grpc.StatusCode.UNAUTHENTICATED)
        made = await world.identity.CreateUser(
            user_pb2.CreateUserRequest(username="lin", email="lin@example.com"), metadata=ann.metadata
        )

    entry = await admin.fetchrow("SELECT user_id, details FROM audit_logs WHERE resource_id = $1", made.user.id)
    assert (str(entry["user_id"]), json.loads(entry["details"])["service"]) == (ann.id, "billing")
