"""Mail over SMTP, to a real server; and onto the log."""

from __future__ import annotations

import asyncio
import ssl
import traceback
from pathlib import Path

import aiosmtplib
import pytest
from structlog.testing import capture_logs

from server.mail import MailNotTaken, MailRefused
from server.mail.console import ConsoleMailer
from server.mail.smtp import SmtpMailer
from tests.factories.certificates import Certificate, authority, signed_by
from tests.fakes.smtp import mailbox

SENDER = "Atrium <no-reply@atrium.example>"


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """What a server offers STARTTLS with, by an authority that this process trusts."""
    trusted = authority(tmp_path, "trusted")
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted.certificate_file))
    return _context(signed_by(trusted, tmp_path, "server"))


def _context(certificate: Certificate) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.certificate_file, certificate.key_file)
    return context


async def test_a_mail_arrives_as_it_was_written() -> None:
    async with mailbox() as box:
        await SmtpMailer(box.url, SENDER).send("ada@example.com", "重置密码", "First line\n第二行\n")
        message = await box.next()

    assert (message["From"], message["To"], message["Subject"]) == (SENDER, "ada@example.com", "重置密码")
    assert message.get_content().splitlines() == ["First line", "第二行"]
    assert message["Message-ID"].endswith("@atrium.example>")
    assert message["Date"].datetime is not None


@pytest.mark.parametrize("address", ["a..b@example.com", ".a@example.com", "a.@example.com", "o'hara+x=y@example.com"])
async def test_a_mail_goes_to_the_address_as_it_stands(address: str) -> None:
    async with mailbox() as box:
        await SmtpMailer(box.url, SENDER).send(address, "Hello", "")

    assert box.recipients == [address]


async def test_the_offer_of_tls_is_taken(tls: ssl.SSLContext) -> None:
    async with mailbox(tls) as box:
        await SmtpMailer(box.url, SENDER).send("ada@example.com", "Hello", "")

    assert box.encrypted == [True]


async def test_a_server_that_cannot_prove_who_it_is_gets_no_mail(tls: ssl.SSLContext, tmp_path: Path) -> None:
    unknown = _context(signed_by(authority(tmp_path, "unknown"), tmp_path, "other"))
    async with mailbox(unknown) as box:
        with pytest.raises((aiosmtplib.SMTPException, OSError)):
            await SmtpMailer(box.url, SENDER).send("ada@example.com", "Hello", "")

    assert box.arrived.empty()


async def test_the_user_of_the_url_signs_in(tls: ssl.SSLContext) -> None:
    async with mailbox(tls, auth_required=True) as box:
        url = f"smtp://us%40er:pass%2Fword@127.0.0.1:{box.port}"
        await SmtpMailer(url, SENDER).send("ada@example.com", "Hello", "")

    assert (box.logins, box.encrypted) == ([(b"us@er", b"pass/word")], [True])


@pytest.mark.parametrize(
    ("url", "start_tls"),
    [
        ("smtp://mail.example", True),
        ("smtp://user:password@mail.example", True),
        ("smtp://user:password@127.0.0.1", None),
        ("smtp://user:password@[::1]:25", None),
        ("smtp://user:password@localhost", None),
        ("smtps://user:password@mail.example", False),
    ],
)
def test_mail_goes_over_the_network_under_tls_alone(url: str, start_tls: bool | None) -> None:
    assert SmtpMailer(url, SENDER)._start_tls is start_tls


@pytest.mark.parametrize(("to", "subject"), [("a@example.com\nBcc: b@example.com", "Hello"), ("a@example.com", "A\nB")])
async def test_a_line_break_adds_no_header(to: str, subject: str) -> None:
    async with mailbox() as box:
        with pytest.raises(ValueError):
            await SmtpMailer(box.url, SENDER).send(to, subject, "")

    assert box.arrived.empty()


async def test_a_server_that_refuses_or_is_not_there_is_an_error() -> None:
    async with mailbox(auth_required=True) as box:
        with pytest.raises(MailNotTaken):
            await SmtpMailer(box.url, SENDER).send("ada@example.com", "Hello", "")
    with pytest.raises((aiosmtplib.SMTPException, OSError)):
        await asyncio.wait_for(SmtpMailer("smtp://127.0.0.1:1", SENDER).send("ada@example.com", "Hello", ""), 10)


@pytest.mark.parametrize(
    ("answer", "kind"), [("451 ada@example.com is away", MailNotTaken), ("550 ada@example.com is away", MailRefused)]
)
async def test_what_the_server_says_of_whom_mail_is_for_is_not_repeated(answer: str, kind: type[Exception]) -> None:
    async with mailbox() as box:
        box.answer = answer
        with pytest.raises(kind) as refused:
            await SmtpMailer(box.url, SENDER).send("ada@example.com", "Hello", "")

    assert type(refused.value) is kind
    assert "is away" not in "".join(traceback.format_exception(refused.value))


async def test_a_server_that_answers_too_slowly_in_all_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.mail.smtp._WHOLE_SECONDS", 0.2)
    async with mailbox() as box:
        box.open.clear()
        async with asyncio.timeout(20):  # which is less than one answer may take
            with pytest.raises(TimeoutError):
                await SmtpMailer(box.url, SENDER).send("ada@example.com", "Hello", "")


async def test_in_development_a_mail_is_a_line_of_the_log() -> None:
    with capture_logs() as lines:
        await ConsoleMailer().send("ada@example.com", "Hello", "Text")

    assert lines == [
        {"event": "mail", "log_level": "info", "to": "ada@example.com", "subject": "Hello", "text": "Text"}
    ]
