"""What people are written, in their own language."""

from __future__ import annotations

from dataclasses import dataclass

from server.identity.domain import TokenPurpose, User


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail's subject, and its text with a place for the name and for the token."""

    subject: str
    text: str


_ENGLISH: dict[TokenPurpose, Mail] = {
    "reset_password": Mail(
        "Reset your password",
        """\
Hello {name},

somebody, probably you, wants to reset the password of your account. With this code a new one can be set, once and
within an hour:

{token}

If it was not you, do nothing: your password stays as it is.
""",
    ),
    "verify_email": Mail(
        "Verify your e-mail address",
        """\
Hello {name},

with this code you verify that this e-mail address is yours, once and within a day:

{token}

If you did not ask for it, do nothing.
""",
    ),
}
_CHINESE: dict[TokenPurpose, Mail] = {
    "reset_password": Mail(
        "重置密码",
        """\
{name}，您好：

有人（可能是您本人）请求重置您帐户的密码。请使用以下验证码设置新密码，验证码一小时内有效，只能使用一次：

{token}

如果不是您本人操作，请忽略此邮件，您的密码不会改变。
""",
    ),
    "verify_email": Mail(
        "验证邮箱地址",
        """\
{name}，您好：

请使用以下验证码确认此邮箱属于您，验证码一天内有效，只能使用一次：

{token}

如果不是您本人操作，请忽略此邮件。
""",
    ),
}


def written(purpose: TokenPurpose, user: User, token: str) -> Mail:
    """The mail that brings the user the token: in Chinese to whoever speaks it, in English to all others."""
    language = _CHINESE if user.locale.partition("-")[0].lower() == "zh" else _ENGLISH
    mail = language[purpose]
    return Mail(mail.subject, mail.text.format(name=user.full_name or user.username, token=token))
