"""Changes to sessions, passwords and addresses."""

from __future__ import annotations

from typing import Any

from tests.factories.world import PASSWORD, Person
from tests.rpc.changes.stage import Attempt, Stage, by_id, change_of
from tests.rpc.methods import IDENTITY

NEW_PASSWORD = "an engine of many wheels"


@change_of(IDENTITY + "Login")
async def _(stage: Stage) -> Attempt:
    user = await stage.user()
    fields = {"tenant": user.tenant, "login": user.username, "password": PASSWORD}
    return stage.attempt(
        IDENTITY + "Login",
        *("sessions.login", "session"),
        fields,
        {**fields, "password": "wrong"},
        by=None,
        actor=user,
        tables=("sessions",),
        beside=("users",),
    )


@change_of(IDENTITY + "Logout")
async def _(stage: Stage) -> Attempt:
    user = await stage.user()
    me = await stage.call(IDENTITY + "WhoAmI", user)
    again = await stage.world.sign_in(user.tenant, user.username)
    ended = await stage.call(IDENTITY + "WhoAmI", again)
    await stage.call(IDENTITY + "RevokeSession", user, id=ended.session_id)
    return stage.attempt(
        IDENTITY + "Logout",
        *("sessions.logout", "session", {}, {}),
        by=user,
        target=me.session_id,
        tables=("sessions",),
        refused_by=again,
    )


@change_of(IDENTITY + "RevokeSession")
async def _(stage: Stage) -> Attempt:
    me = await stage.call(IDENTITY + "WhoAmI", await stage.user())
    return by_id(stage, IDENTITY + "RevokeSession", "sessions.revoke", "session", me.session_id)


@change_of(IDENTITY + "ChangePassword")
async def _(stage: Stage) -> Attempt:
    user = await stage.user()
    await stage.world.sign_in(user.tenant, user.username)
    return stage.attempt(
        IDENTITY + "ChangePassword",
        *("users.change_password", "user"),
        {"current_password": PASSWORD, "new_password": NEW_PASSWORD},
        {"current_password": "wrong", "new_password": NEW_PASSWORD},
        by=user,
        target=user.id,
        beside=("users", "sessions"),
        secret=True,
    )


@change_of(IDENTITY + "RequestPasswordReset")
async def _(stage: Stage) -> Attempt:
    user = await stage.user()
    return stage.attempt(
        IDENTITY + "RequestPasswordReset",
        *("users.request_password_reset", "user"),
        {"tenant": user.tenant, "login": user.username},
        {},
        by=None,
        actor=user,
        target=user.id,
        beside=("one_time_tokens",),
        new={"purpose": "reset_password"},
        answered_first=True,
    )


async def _mailed(stage: Stage, user: Person, path: str, **fields: Any) -> str:
    """The token that a request has mailed."""
    await stage.call(path, user, **fields)
    text = (await stage.box.next()).get_content()
    return next(word for word in text.split() if word.count(".") == 2 and len(word) > 100)


@change_of(IDENTITY + "ResetPassword")
async def _(stage: Stage) -> Attempt:
    user = await stage.user()
    asked = {"tenant": user.tenant, "login": user.username}
    token = await _mailed(stage, user, IDENTITY + "RequestPasswordReset", **asked)
    return stage.attempt(
        IDENTITY + "ResetPassword",
        *("users.reset_password", "user"),
        {"token": token, "new_password": NEW_PASSWORD},
        {"token": token, "new_password": user.username},
        by=None,
        actor=user,
        target=user.id,
        beside=("users", "sessions", "one_time_tokens"),
        secret=True,
    )


@change_of(IDENTITY + "RequestEmailVerification")
async def _(stage: Stage) -> Attempt:
    user = await stage.user()
    return stage.attempt(
        IDENTITY + "RequestEmailVerification",
        *("users.request_email_verification", "user", {}, {}),
        by=user,
        target=user.id,
        beside=("one_time_tokens",),
        new={"purpose": "verify_email"},
    )


@change_of(IDENTITY + "VerifyEmail")
async def _(stage: Stage) -> Attempt:
    user = await stage.user()
    token = await _mailed(stage, user, IDENTITY + "RequestEmailVerification")
    return stage.attempt(
        IDENTITY + "VerifyEmail",
        *("users.verify_email", "user"),
        {"token": token},
        {"token": token[:-1]},
        by=None,
        actor=user,
        target=user.id,
        tables=("users",),
        beside=("one_time_tokens",),
    )
