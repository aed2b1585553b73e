"""Asking for mails, reading them, and using what stands in them."""

from __future__ import annotations

import re
from email.message import EmailMessage
from typing import Any

import grpc

from atrium.identity.v1 import email_verification_pb2, password_pb2, user_pb2
from tests.factories.world import Person, World, refused
from tests.fakes.smtp import Mailbox

NEW = "an engine of many wheels"
TOKEN = re.compile(r"\b[0-9a-f]{32}\.[0-9a-f]{32}\.[\w-]{43}")
INVALID = (grpc.StatusCode.INVALID_ARGUMENT, "ONE_TIME_TOKEN_INVALID", ["token"])


async def request_reset(world: World, tenant: str, login: str, by: str = "198.51.100.1") -> Any:
    request = password_pb2.RequestPasswordResetRequest(tenant=tenant, login=login)
    return await world.identity.RequestPasswordReset(request, metadata=(("x-forwarded-for", by),))


def reset_with(world: World, token: str, password: str = NEW) -> Any:
    return world.identity.ResetPassword(password_pb2.ResetPasswordRequest(token=token, new_password=password))


async def request_verification(world: World, person: Person) -> Any:
    return await world.identity.RequestEmailVerification(
        email_verification_pb2.RequestEmailVerificationRequest(), metadata=person.metadata
    )


def verify_with(world: World, token: str) -> Any:
    return world.identity.VerifyEmail(email_verification_pb2.VerifyEmailRequest(token=token))


async def user_of(world: World, person: Person) -> user_pb2.User:
    reply = await world.identity.GetUser(user_pb2.GetUserRequest(id=person.id), metadata=person.metadata)
    user: user_pb2.User = reply.user
    return user


async def mailed_token(box: Mailbox) -> str:
    """The token in the next mail."""
    return token_in(await box.next())


def token_in(mail: EmailMessage) -> str:
    (found,) = TOKEN.findall(mail.get_content())
    return str(found)


async def reset_token(world: World, box: Mailbox, person: Person) -> str:
    await request_reset(world, person.tenant, person.username)
    return await mailed_token(box)


async def verification_token(world: World, box: Mailbox, person: Person) -> str:
    await request_verification(world, person)
    return await mailed_token(box)


async def outcome(call: Any) -> tuple[Any, ...]:
    refusal = await refused(call)
    return refusal.code, refusal.reason, refusal.fields
