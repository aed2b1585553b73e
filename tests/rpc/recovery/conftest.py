"""A server that sends mail, and where it arrives."""

from __future__ import annotations

from collections.abc import AsyncIterator
from ipaddress import ip_network

import grpc
import pytest
from pydantic import SecretStr

from tests.databases import Scratch
from tests.factories.world import World
from tests.fakes.smtp import Mailbox, mailbox
from tests.servers import serving


@pytest.fixture
async def box() -> AsyncIterator[Mailbox]:
    """Where the server's mail arrives."""
    async with mailbox() as made:
        yield made


@pytest.fixture
async def world(scratch: Scratch, box: Mailbox) -> AsyncIterator[World]:
    """A server that sends mail to the box, and takes this machine for a proxy."""
    settings = scratch.settings(
        smtp_url=SecretStr(box.url),
        mail_from="Atrium <no-reply@atrium.example>",
        trusted_proxies=(ip_network("127.0.0.0/8"), ip_network("::1/128")),
    )
    async with serving(settings) as (app, port):
        administrator = await app.founding.first_platform_administrator()
        assert administrator is not None
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield World(channel, administrator)
