"""The gRPC server: its port, its limits, and how servicers are put on it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from server.kernel.refusal import CommandRefused
from server.rpc.chain import Chain
from server.rpc.health import Health
from server.rpc.policy import Rule, read_rules
from server.rpc.reflection import Reflection
from server.settings import Settings

# A peer that stops answering is found within 10 s: a ping after 4 s of silence, 4 s for the answer. The http2 option is
# what makes the core hold pings on a busy transport to the same time.
_KEEPALIVE_MS = 4_000

# What the calls that are cut short are left of the grace period to be told so: of a short one a part.
_TELLING_SECONDS = 0.5
_TELLING_PART = 0.25

_HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"]
_REFLECTION = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]
_REFLECTION_NAMES = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")


class PortTaken(CommandRefused):
    """The port cannot be listened on."""


@dataclass(frozen=True, slots=True)
class Service:
    """A servicer and the descriptor it answers for; its methods bear the names of the RPCs."""

    descriptor: ServiceDescriptor
    servicer: object


class RpcServer:
    """The services behind the chain on one port, with health and reflection beside them."""

    def __init__(self, settings: Settings, chain: Chain, services: Iterable[Service]) -> None:
        """Raises PolicyError where a method declares no rule."""
        services = list(services)
        self._settings = settings
        self._chain = chain
        names = [service.descriptor.full_name for service in services]
        self._healths = [Health(names)]
        self._server = grpc.aio.server(options=_options(settings))
        rules = read_rules([service.descriptor for service in services] + [_HEALTH, _REFLECTION])
        for service in services:
            self._add(self._server, service.descriptor.full_name, service, rules)
        self._add(self._server, _HEALTH.full_name, Service(_HEALTH, self._healths[0]), rules)
        if settings.serves_reflection:
            reflection = Service(_REFLECTION, Reflection([*names, _HEALTH.full_name, *_REFLECTION_NAMES]))
            for name in _REFLECTION_NAMES:  # one protocol under its old and its new name
                self._add(self._server, name, reflection, rules)
        self._probed: grpc.aio.Server | None = None
        if settings.health_address is not None:
            self._probed = grpc.aio.server(options=_options(settings))
            # One of its own: whoever watches at the other port keeps no probe from watching here.
            self._healths.append(Health(names))
            self._add(self._probed, _HEALTH.full_name, Service(_HEALTH, self._healths[1]), rules)

    def _add(self, server: grpc.aio.Server, name: str, service: Service, rules: Mapping[str, Rule]) -> None:
        handlers = {
            method.name: _method_handler(self._chain, method, rules[_path(method)], service.servicer)
            for method in service.descriptor.methods
        }
        # Not registered one by one, as generated code does: for each method that is, gRPC's loop waits by itself, and
        # sixty of them were a fifth of what a small call costs.
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))

    async def start(self) -> int:
        """Listens and serves; returns the port. Raises PortTaken."""
        port = _listen(self._server, self._settings.address, "ATRIUM_ADDRESS", _credentials(self._settings))
        if self._probed is not None and self._settings.health_address is not None:
            _listen(self._probed, self._settings.health_address, "ATRIUM_HEALTH_ADDRESS")
            await self._probed.start()
        await self._server.start()
        return port

    async def stop(self, grace: float) -> None:
        """Says NOT_SERVING, ends the streams with UNAVAILABLE and lets unary calls finish within `grace` seconds; those
        that do not are ended with it too, a moment before.
        """
        for health in self._healths:
            health.stop()
        stopping = asyncio.create_task(self._server.stop(grace))
        with suppress(TimeoutError):
            async with asyncio.timeout(grace - min(_TELLING_SECONDS, grace * _TELLING_PART)):
                await self._chain.drain()  # a stream that does not end when it is told to is cut short with the rest
                await asyncio.shield(stopping)
        # gRPC ends calls without a word of why, so those that are left are told before it does.
        self._chain.end_calls()
        await stopping
        if self._probed is not None:  # last, so that probes hear why until the end
            await self._probed.stop(None)


def _listen(
    server: grpc.aio.Server, address: str, setting: str, credentials: grpc.ServerCredentials | None = None
) -> int:
    """The port. Raises PortTaken."""
    try:
        if credentials is None:
            return int(server.add_insecure_port(address))
        return int(server.add_secure_port(address, credentials))
    except RuntimeError:
        raise PortTaken(
            f"Cannot listen on {address}: another program has that port, or it is not an address of this machine. "
            f"Stop that program or set {setting}."
        ) from None


def _path(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


def _method_handler(chain: Chain, method: MethodDescriptor, rule: Rule, servicer: object) -> grpc.RpcMethodHandler:
    requests, responses = method.client_streaming, method.server_streaming
    make: Any = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[requests, responses]
    request_class: Any = message_factory.GetMessageClass(method.input_type)
    response_class: Any = message_factory.GetMessageClass(method.output_type)
    handler = chain.wrap(
        _path(method),
        rule,
        getattr(servicer, method.name),
        request_class,
        response_class,
        requests=requests,
        responses=responses,
    )
    # The chain reads the request by itself, once it knows that the caller may have it read.
    made: grpc.RpcMethodHandler = make(handler, response_serializer=response_class.SerializeToString)
    return made


def _options(settings: Settings) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", 1 if settings.processes > 1 else 0),
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_metadata_size", settings.max_metadata_bytes),
        ("grpc.absolute_max_metadata_size", settings.max_metadata_bytes),
        ("grpc.max_concurrent_streams", settings.max_streams_per_connection),
        # It counts calls that have ended and that Python has yet to let go, and refuses others for them: half the calls
        # of a client that keeps to the limit. The limit itself holds without it.
        ("grpc.http.overload_protection", 0),
        ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", _KEEPALIVE_MS),
        ("grpc.http2.ping_timeout_ms", _KEEPALIVE_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ("grpc.enable_channelz", 0),
    ]


def _credentials(settings: Settings) -> grpc.ServerCredentials | None:
    if settings.tls_certificate_file is None or settings.tls_private_key_file is None:
        return None
    pair = (settings.tls_private_key_file.read_bytes(), settings.tls_certificate_file.read_bytes())
    authorities = settings.tls_client_ca_file.read_bytes() if settings.tls_client_ca_file else None
    return grpc.ssl_server_credentials([pair], authorities, require_client_auth=authorities is not None)
