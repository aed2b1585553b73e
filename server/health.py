"""Asks the server of these settings whether it serves: `python -m server.health`."""

from __future__ import annotations

import sys
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.x509.oid import NameOID
from grpc_health.v1 import health_pb2, health_pb2_grpc

from server.settings import Settings, SettingsError, load_settings

_TIMEOUT_SECONDS = 3.0
# What is on this machine is reached directly, whatever HTTP_PROXY says.
_DIRECT = [("grpc.enable_http_proxy", 0)]


def local_address(address: str, port: int | None = None) -> str:
    """Where a server that listens on `address` is reached from its own machine."""
    host, _, configured = address.rpartition(":")
    return f"{'127.0.0.1' if host in ('0.0.0.0', '[::]') else host}:{port or configured}"  # noqa: S104 - read, not bound


def names(certificate_file: Path) -> list[str]:
    """What the certificate is for, names before addresses, each as a client may ask for it."""
    certificate = x509.load_pem_x509_certificates(certificate_file.read_bytes())[0]
    try:
        subject = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return [str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    hosts = [name.replace("*", "any", 1) for name in subject.get_values_for_type(x509.DNSName)]
    return hosts + [str(address) for address in subject.get_values_for_type(x509.IPAddress)]


def serving(settings: Settings) -> bool:
    """Whether the server answers and says that it serves. Raises SettingsError where it could not be asked."""
    with _channel(settings) as channel:
        try:
            reply = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=_TIMEOUT_SECONDS)
        except grpc.RpcError:
            return False
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


def _channel(settings: Settings) -> grpc.Channel:
    if settings.health_address is not None:
        return grpc.insecure_channel(local_address(settings.health_address), _DIRECT)
    if settings.tls_certificate_file is None:
        return grpc.insecure_channel(local_address(settings.address), _DIRECT)
    if settings.tls_client_ca_file is not None:
        raise SettingsError(
            "ATRIUM_HEALTH_ADDRESS: is needed for this: at ATRIUM_ADDRESS clients must show a certificate"
        )
    credentials = grpc.ssl_channel_credentials(settings.tls_certificate_file.read_bytes())
    # The certificate is for the name that clients know, and this machine goes by another here.
    options = [("grpc.ssl_target_name_override", name) for name in names(settings.tls_certificate_file)[:1]]
    return grpc.secure_channel(local_address(settings.address), credentials, _DIRECT + options)


if __name__ == "__main__":
    try:
        sys.exit(0 if serving(load_settings()) else "not serving")
    except SettingsError as error:
        sys.exit(str(error))
