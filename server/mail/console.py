"""Mail for development, where there is no server to send it through."""

from __future__ import annotations

import structlog

_log = structlog.get_logger("atrium.mail")


class ConsoleMailer:
    """Writes each mail into the log, its secrets included, and sends none."""

    async def send(self, to: str, subject: str, text: str) -> None:
        """Logs the mail."""
        _log.info("mail", to=to, subject=subject, text=text)
