"""Asks the server at ATRIUM_ADDRESS whether it serves: `python -m server.health`."""

from __future__ import annotations

import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from server.settings import Settings, load_settings

_TIMEOUT_SECONDS = 3.0


def local_address(settings: Settings, port: int | None = None) -> str:
    """Where the server is reached from its own machine."""
    host, _, configured = settings.address.rpartition(":")
    return f"{'127.0.0.1' if host in ('0.0.0.0', '[::]') else host}:{port or configured}"  # noqa: S104 - read, not bound


def serving(settings: Settings) -> bool:
    """Whether the server answers and says that it serves; where it asks for client certificates, it does not answer."""
    if settings.tls_certificate_file is None:
        channel = grpc.insecure_channel(local_address(settings))
    else:
        credentials = grpc.ssl_channel_credentials(settings.tls_certificate_file.read_bytes())
        channel = grpc.secure_channel(local_address(settings), credentials)
    with channel:
        try:
            reply = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=_TIMEOUT_SECONDS)
        except grpc.RpcError:
            return False
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


if __name__ == "__main__":
    sys.exit(0 if serving(load_settings()) else "not serving")
