"""The `atrium` command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import typer
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rich.console import Console

from server import demo as tour
from server.app import first_administrator
from server.db.errors import DatabaseRefused
from server.launch import serve as serve_until_stopped
from server.prepare import prepared
from server.rpc.policy import PolicyError
from server.rpc.server import PortTaken
from server.settings import Settings, SettingsError, load_settings
from server.telemetry import configure_logging

app = typer.Typer(
    help="The multi-tenant backend of an AI product, over gRPC.", no_args_is_help=True, add_completion=False
)
migrate = typer.Typer(help="Bring a database of your own to the schema that this version needs.", no_args_is_help=True)
app.add_typer(migrate, name="migrate")

_out = Console(highlight=False)
_err = Console(stderr=True, highlight=False)


@contextmanager
def _explained() -> Iterator[Settings]:
    """The settings. What is wrong with them, or with what they name, ends the command with a sentence."""
    try:
        settings = load_settings()
        configure_logging(settings)
        yield settings
    except (SettingsError, DatabaseRefused, PortTaken, PolicyError, tour.TourFailed) as error:
        _err.print(f"[bold red]atrium:[/] {error}")
        raise typer.Exit(1) from None


@app.command()
def serve() -> None:
    """Serve until SIGTERM or Ctrl-C, and say how to reach it."""
    with _explained() as settings, prepared(settings) as ready:
        administrator = first_administrator(ready)
        serve_until_stopped(ready, lambda port: _announce(ready, port, administrator))


def _announce(settings: Settings, port: int, administrator: tuple[str, str] | None) -> None:
    host = settings.address.rpartition(":")[0]
    address = f"{'127.0.0.1' if host in ('0.0.0.0', '[::]') else host}:{port}"  # noqa: S104 - read, not bound
    secure = settings.tls_certificate_file is not None
    flags = f"-cacert {settings.tls_certificate_file}" if secure else "-plaintext"
    _out.print(f"Atrium serves on [bold]{address}[/] ({'TLS' if secure else 'no TLS'}). Stop it with Ctrl-C.")
    service = "atrium.identity.v1.IdentityService"
    if administrator is None:
        call = f"grpcurl {flags} {address} {service}/GetJwks"
    else:
        username, password = administrator
        _out.print("The platform's first administrator; the password is shown this once:")
        _out.print(f"  tenant platform, login {username}, password [bold]{password}[/]")
        body = f'{{"tenant": "platform", "login": "{username}", "password": "{password}"}}'
        call = f"grpcurl {flags} -d '{body}' {address} {service}/Login"
    if settings.serves_reflection:
        _out.print(f"Try:\n  {call}", soft_wrap=True)
    _out.file.flush()


@app.command()
def demo() -> None:
    """Take the tour of the whole product, on real parts, and exit 0 if everything held."""
    with _explained() as settings:
        tour.take(settings, _out)


@app.command()
def health() -> None:
    """Ask the server at ATRIUM_ADDRESS whether it serves, and exit 0 if it does."""
    with _explained() as settings:
        host, _, port = settings.address.rpartition(":")
        target = f"{'127.0.0.1' if host in ('0.0.0.0', '[::]') else host}:{port}"  # noqa: S104 - read, not bound
        if settings.tls_certificate_file is None:
            channel = grpc.insecure_channel(target)
        else:
            credentials = grpc.ssl_channel_credentials(settings.tls_certificate_file.read_bytes())
            channel = grpc.secure_channel(target, credentials)
        try:
            reply = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=3)
        except grpc.RpcError as error:
            _err.print(f"not serving: {error.code().name}")
            raise typer.Exit(1) from None
        finally:
            channel.close()
        if reply.status != health_pb2.HealthCheckResponse.SERVING:
            _err.print("not serving")
            raise typer.Exit(1)
        _out.print("serving")
