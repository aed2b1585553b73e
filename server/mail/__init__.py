"""Mail on its way out: over SMTP, or onto the developer's console. Not what is written in it, nor to whom."""

from __future__ import annotations


class MailRefused(Exception):
    """The mail will not be taken, however often it is tried. `code`: the server's (RFC 5321, section 4.2)."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code
