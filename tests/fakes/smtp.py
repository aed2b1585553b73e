"""A real SMTP server that keeps what it is sent."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

NOT_FOR_EVER = 40.0


class Mailbox:
    """What has come in, and over what kind of connection."""

    def __init__(self) -> None:
        self.port = 0
        self.arrived: asyncio.Queue[EmailMessage] = asyncio.Queue()
        self.recipients: list[str] = []
        self.encrypted: list[bool] = []
        self.logins: list[tuple[bytes, bytes]] = []
        self.answer = "250 OK"
        """What the text of a mail is answered with; it is kept where that begins with a 2."""
        self.open = asyncio.Event()
        """Mail is taken while this is set; until then whoever sends waits."""
        self.open.set()

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    async def next(self) -> EmailMessage:
        """The mail that came first of those not looked at; waits for one, but not for ever."""
        return await asyncio.wait_for(self.arrived.get(), NOT_FOR_EVER)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        await self.open.wait()
        if not self.answer.startswith("2"):
            return self.answer
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=policy.default)
        self.recipients += envelope.rcpt_tos
        self.encrypted.append(session.ssl is not None)
        self.arrived.put_nowait(message)
        return self.answer

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login, data.password))
        return AuthResult(success=True)


@asynccontextmanager
async def mailbox(tls: ssl.SSLContext | None = None, **options: Any) -> AsyncIterator[Mailbox]:
    """A server on a free port of this machine. `tls`: offers STARTTLS with it. `options`: aiosmtpd's."""
    box = Mailbox()

    def serve() -> SMTP:
        return SMTP(box, hostname="mail.example", tls_context=tls, authenticator=box.authenticate, **options)

    server = await asyncio.get_running_loop().create_server(serve, "127.0.0.1", 0)
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        box.open.set()
        server.close()
