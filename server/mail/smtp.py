"""Mail over SMTP (RFC 5321)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from ipaddress import ip_address
from urllib.parse import SplitResult, unquote, urlsplit

import aiosmtplib

from server.kernel.clock import now
from server.mail import MailNotTaken, MailRefused

_TIMEOUT_SECONDS = 30.0
"""For each answer of the server."""

_WHOLE_SECONDS = 60.0
"""For all of them: a server that is just quick enough each time holds no mail for ever."""

_GOOD_BYE_SECONDS = 5.0

_PORTS = {"smtp": 587, "smtps": 465}


class SmtpMailer:
    """Hands each mail to one server, on a connection of its own.

    `url`: `smtp://user:password@host:port`, or `smtps://` for TLS from the first byte. `sender`: what stands in From.
    """

    def __init__(self, url: str, sender: str) -> None:
        server = urlsplit(url)
        self._sender = sender
        self._host = server.hostname or ""
        self._port = server.port or _PORTS[server.scheme]
        self._username = unquote(server.username) if server.username else None
        self._password = unquote(server.password) if server.password else None
        self._tls = server.scheme == "smtps"
        self._start_tls = _start_tls(server)

    async def send(self, to: str, subject: str, text: str) -> None:
        """Returns once the server has taken the mail. Raises MailNotTaken, MailRefused, or what keeps it from
        being asked: aiosmtplib's SMTPException, OSError, TimeoutError.
        """
        message = EmailMessage()
        message["From"] = self._sender
        message["To"] = to
        message["Subject"] = subject
        message["Date"] = format_datetime(now())
        message["Message-ID"] = make_msgid(domain=message["From"].addresses[0].domain)
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: keeps holiday notices from answering
        message.set_content(text)
        client = aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            username=self._username,
            password=self._password,
            use_tls=self._tls,
            start_tls=self._start_tls,
            timeout=_TIMEOUT_SECONDS,
        )
        try:
            async with asyncio.timeout(_WHOLE_SECONDS):
                await client.connect()
                # The recipient is given, and not what a header parser makes of it.
                await client.send_message(message, recipients=[to])
            with suppress(aiosmtplib.SMTPException):  # it is taken, whatever they say to a good-bye
                await client.quit(timeout=_GOOD_BYE_SECONDS)
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _judged(min(refused.code for refused in error.recipients)) from None
        except aiosmtplib.SMTPDataError as error:
            raise _judged(error.code) from None
        except aiosmtplib.SMTPResponseException as error:
            # What it thinks of who sends can be set right: another sender, another password.
            raise MailNotTaken(error.code) from None
        finally:
            client.close()  # without a word: whoever was too slow is not waited for again


def _judged(code: int) -> MailNotTaken:
    """What is to be raised: of mail that is refused for good (RFC 5321, section 4.2.1), that it is."""
    return MailRefused(code) if code // 100 == 5 else MailNotTaken(code)


def _start_tls(server: SplitResult) -> bool | None:
    """True: or no mail at all, so that nobody on the way can strip the offer and read the codes and the password. None,
    for a server on this machine: where it offers it.
    """
    if server.scheme == "smtps":
        return False
    return None if _is_here(server.hostname or "") else True


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
