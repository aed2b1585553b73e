"""Mail on its way out: over SMTP, or onto the developer's console. Not what is written in it, nor to whom."""

from __future__ import annotations


class MailNotTaken(Exception):
    """The server does not take the mail now. `code`: what it answered (RFC 5321, section 4.2). Its words are not
    repeated: they name whom the mail is for.
    """

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class MailRefused(MailNotTaken):
    """The server will not take the mail, however often it is tried."""
