"""What mail goes out by."""

from __future__ import annotations

from server.mail.console import ConsoleMailer
from server.mail.smtp import SmtpMailer
from server.settings import Settings


def mailer(settings: Settings, *, console: bool) -> SmtpMailer | ConsoleMailer | None:
    """None without an SMTP server, unless it is for a developer to read. `console`: whether one is looking on."""
    if settings.smtp_url is not None and settings.mail_from is not None:
        return SmtpMailer(settings.smtp_url.get_secret_value(), settings.mail_from)
    # In production a log is no place for what stands in mail.
    return ConsoleMailer() if console and settings.environment == "development" else None
