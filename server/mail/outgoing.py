"""What mail goes out by."""

from __future__ import annotations

from server.mail.console import ConsoleMailer
from server.mail.smtp import SmtpMailer
from server.settings import Settings


def mailer(settings: Settings) -> SmtpMailer | ConsoleMailer | None:
    """None in production without an SMTP server, where a log is no place for what stands in mail."""
    if settings.smtp_url is not None and settings.mail_from is not None:
        return SmtpMailer(settings.smtp_url.get_secret_value(), settings.mail_from)
    return ConsoleMailer() if settings.environment == "development" else None
