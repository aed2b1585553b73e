"""The tour of the whole product, on real parts: what `atrium demo` shows."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from time import perf_counter

import grpc
from pydantic import SecretStr
from rich.console import Console

from server.demo.gateway import NOBODY
from server.demo.seals import Seals
from server.demo.stage import Stage, TourFailed
from server.demo.tour import Tour
from server.launch import running
from server.operating import first_administrator
from server.prepare import prepared
from server.settings import Settings

__all__ = ["TourFailed", "take"]


def take(settings: Settings, console: Console) -> None:
    """Takes the tour on a fresh database of its own, which is gone afterwards. Raises TourFailed."""
    began = perf_counter()
    console.print("[bold]Atrium[/], on an embedded PostgreSQL and local models: nothing here leaves this machine.")
    with tempfile.TemporaryDirectory(prefix="atrium-") as directory:
        own = settings.model_copy(
            update={
                "address": "127.0.0.1:0",
                "database_url": None,
                "admin_database_url": None,
                "listen_database_url": None,
                "health_address": None,
                "metrics_address": None,
                "data_dir": Path(directory),
                "log_level": "error",
                "tls_certificate_file": None,
                "tls_private_key_file": None,
                "tls_client_ca_file": None,
                "processes": 1,
                "provider_keys": {NOBODY: SecretStr("")},
            }
        )
        with console.status("starting PostgreSQL, making the schema, starting the server"), prepared(own) as ready:
            administrator = first_administrator(ready)
            with running(ready) as port:
                console.print(f"Serving on 127.0.0.1:{port} after {perf_counter() - began:.1f} s.")
                asyncio.run(_tour(ready, port, administrator, console))
    console.print(f"\n[bold green]Everything held.[/] The tour took {perf_counter() - began:.1f} s.")


async def _tour(settings: Settings, port: int, administrator: tuple[str, str] | None, console: Console) -> None:
    if administrator is None:
        raise TourFailed("does not hold: a fresh database has no administrator yet")
    # Directly, whatever HTTP_PROXY says.
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", [("grpc.enable_http_proxy", 0)]) as channel:
        stage = Stage(channel, console)
        await Tour(stage, Seals(stage, settings)).run(*administrator)
