"""People, what they may do, and the sessions they are signed in with: the rules and what can go wrong."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from server.kernel.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
)
from server.kernel.permissions import Decided, Permission
from server.kernel.principal import Principal

UserStatus = Literal["active", "inactive", "locked"]
UserKind = Literal["person", "service"]
TokenPurpose = Literal["verify_email", "reset_password"]


class TokenInvalid(Unauthenticated):
    """The access token is not one of this server's."""


class TokenExpired(Unauthenticated):
    """The access token has expired: refresh it."""


class SessionRevoked(Unauthenticated):
    """The session has ended: sign in again."""


class LoginFailed(Unauthenticated):
    """The tenant, the login or the password is wrong."""


class RefreshTokenInvalid(Unauthenticated):
    """The refresh token is not good: sign in again."""


class RefreshTokenReused(Unauthenticated):
    """The refresh token was used before, so its session has been ended: sign in again."""


class PasswordIncorrect(InvalidArgument):
    """The current password is wrong."""

    def __init__(self) -> None:
        super().__init__([("current_password", "is wrong")])


class PasswordGuessable(InvalidArgument):
    """The password is among the first that somebody would guess."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__([(field, why)])


class OneTimeTokenInvalid(InvalidArgument):
    """The token is not good, or not any more: ask for another one."""

    def __init__(self) -> None:
        super().__init__([("token", "is not good, or not any more")])


class MailNotConfigured(FailedPrecondition):
    """This server has no way to send mail: its operator must set one up."""

    def __init__(self) -> None:
        super().__init__("mail")


class MailBusy(ResourceExhausted):
    """As many requests for mail are looked into as the server takes at once: try again shortly."""


class EscalationRefused(PermissionDenied):
    """Nobody can give or take more than they hold, or change somebody who holds more: of what this needs you do not
    hold {permissions}, or not for as long.
    """


class ApiKeyInvalid(Unauthenticated):
    """The API key is not good: it is unknown, revoked or expired, or its user or tenant is not active."""


class ApiKeyTooWide(PermissionDenied):
    """A key makes no other key that is good for more than itself: its own {field} is narrower."""


class ApiKeyNotYours(PermissionDenied):
    """Whoever has a person's key can act as that person: only they themselves make or rotate it."""


class SessionRequired(PermissionDenied):
    """This is for somebody who is signed in, and not for a key."""


class SessionNotFound(NotFound):
    """No session with this id."""

    resource = "session"


class ApiKeyNotFound(NotFound):
    """No API key with this id."""

    resource = "api_key"


class ApiKeyEnded(FailedPrecondition):
    """The API key {subject} was revoked or has expired: create a new one."""


class UserNotFound(NotFound):
    """No user with this id."""

    resource = "user"


class RoleNotFound(NotFound):
    """No role with this id."""

    resource = "role"


class UsernameTaken(AlreadyExists):
    """The username is taken."""


class EmailTaken(AlreadyExists):
    """The e-mail address is taken."""


class RoleCodeTaken(AlreadyExists):
    """The role code is taken."""


class SystemRoleImmutable(FailedPrecondition):
    """The role {subject} is a system role and cannot be changed."""


class IdempotencyKeyReused(Aborted):
    """The idempotency key was used with another request: use a new one."""


class RoleDeleted(FailedPrecondition):
    """The role {subject} is deleted: restore it first."""


class UserDeleted(FailedPrecondition):
    """The user {subject} is deleted: restore them first."""


class LastAdministrator(FailedPrecondition):
    """The user {subject} is the tenant's last administrator: another needs the role first, with a password, and with a
    verified e-mail address where the tenant asks for one.
    """

    security_event = True


class RoleNotAssignable(FailedPrecondition):
    """The role {subject} belongs to the platform's administrators alone, who are people."""


@dataclass(frozen=True, slots=True)
class User:
    """A person or a service account of a tenant."""

    id: UUID
    username: str
    email: str
    kind: UserKind
    full_name: str | None
    avatar_url: str | None
    phone: str | None
    locale: str
    timezone: str
    status: UserStatus
    email_verified: bool
    last_login_at: datetime | None
    revision: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None
    deleted_by: str | None


@dataclass(frozen=True, slots=True)
class Role:
    """A named set of permission entries. `priority` settles what happens where a user's roles disagree."""

    id: UUID
    name: str
    code: str
    description: str | None
    is_system: bool
    is_default: bool
    priority: int
    revision: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None
    deleted_by: str | None


@dataclass(frozen=True, slots=True)
class RoleEntry:
    """What a role says of one permission."""

    permission: Permission
    allow: bool


@dataclass(frozen=True, slots=True)
class RoleGrant:
    """How a user holds a role. `granted_by`: None: the server or the platform. `expires_at`: None: never."""

    granted_by: UUID | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class LoginCandidate:
    """The user that a login names, with what the sign-in is decided by. Never leaves the slice.

    `familiar`: whether they signed in before from the address that the sign-in comes from.
    """

    user: User
    password_hash: str | None
    epoch: int
    login_attempts: int
    locked_until: datetime | None
    familiar: bool


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session's refresh state, its times by the database's clock. Never leaves the slice.

    `generation`: how often its token was exchanged. `live`: whether it has neither ended nor expired.
    `just_rotated`: whether its token was exchanged so short a time ago that the one before is good too.
    """

    user_id: UUID
    refresh_hash: str
    previous_hash: str | None
    generation: int
    live: bool
    just_rotated: bool


@dataclass(frozen=True, slots=True)
class Session:
    """A sign-in that goes on, or has ended."""

    id: UUID
    user_id: UUID
    user_agent: str | None
    ip_address: object
    rotated_at: datetime | None
    expires_at: datetime
    revoked_at: datetime | None
    revoke_reason: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that a program calls with, in the name of a user."""

    id: UUID
    user_id: UUID
    name: str
    prefix: str
    scopes: Sequence[str]
    allowed_models: Sequence[str] | None
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    previous_valid_until: datetime | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Access:
    """What a live session or key gives: its caller, and the epoch that its tokens must name.

    `good_until`: when something that it is made of, such as a role given for a time, expires next.
    """

    principal: Principal
    epoch: int
    good_until: datetime

    @property
    def user(self) -> tuple[UUID, UUID]:
        """The tenant and the user that it is of."""
        return self.principal.home, self.principal.user_id


@dataclass(frozen=True, slots=True)
class Standing:
    """What a user may do. `user`: the tenant, the user. `unverified`: they must verify their e-mail address before
    anything else. `decided`: what their roles come to; nothing for who is not active, or unverified. `good_until`: when
    one of the roles ends next.
    """

    user: tuple[UUID, UUID]
    status: UserStatus
    unverified: bool
    decided: Decided
    good_until: datetime


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a sign-in or a refresh gives."""

    access_token: str
    access_expires_at: datetime
    refresh_token: str
    refresh_expires_at: datetime
    user: User


class Holder(NamedTuple):
    """Somebody active who holds a role for good. `has_password`: without one they cannot sign in. `unverified`: they
    can do nothing before they have verified their e-mail address.
    """

    user_id: UUID
    username: str
    has_password: bool
    unverified: bool


class Given(NamedTuple):
    """What people hold: permissions, and the codes of the roles that these are from."""

    permissions: Set[Permission]
    roles: Set[str]


class Decision(NamedTuple):
    """Whether a user has a permission, and the role that decided it (None: no role speaks of it)."""

    permission: Permission
    allowed: bool
    role_code: str | None
