"""What can go wrong, in the domain's words.

Code raises a subclass of one of the categories below; `server.rpc.status` alone knows which status code a category is.
The first paragraph of a class's docstring is its message (a format template over its fields), its name in upper snake
case is its reason in `atrium.errors.v1.ErrorReason`, and its fields are the metadata a client may read.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import ClassVar


class DomainError(Exception):
    """Something went wrong."""

    template: ClassVar[str]
    reason: ClassVar[str]
    security_event: ClassVar[bool] = False
    """Whether a known caller's being refused for it is written into the audit log."""

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        cls.template = " ".join(inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].split())
        cls.reason = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).upper()

    def __init__(self, **fields: object) -> None:
        self.fields = {name: str(value) for name, value in fields.items()}
        super().__init__(self.template.format(**self.fields))

    @property
    def message(self) -> str:
        return str(self.args[0])


class TenantGone(Exception):
    """The tenant was purged while something of it was under way.

    No caller is told this: they are told what a call of theirs that comes now is told.
    """


class Unauthenticated(DomainError):
    """The caller is not known."""


class PermissionDenied(DomainError):
    """The caller is known and may not do this."""

    security_event = True


class NotFound(DomainError):
    """No {resource} with this id.

    One answer for an absent object, a hidden one and another tenant's.
    """

    resource: ClassVar[str]

    def __init__(self, id: object) -> None:
        super().__init__(resource=self.resource, id=id)


class InvalidArgument(DomainError):
    """The request is malformed.

    `violations`: (field path, what is wrong with it), each field named.
    """

    def __init__(self, violations: Sequence[tuple[str, str]] = (), **fields: object) -> None:
        self.violations = tuple(violations)
        super().__init__(**fields)


class AlreadyExists(DomainError):
    """A unique value is taken."""


class Aborted(DomainError):
    """Someone else was first."""


class FailedPrecondition(DomainError):
    """The object is not in the state this needs.

    `subject`: what is in the wrong state, such as a role's code.
    """

    def __init__(self, subject: str, **fields: object) -> None:
        self.subject = subject
        super().__init__(subject=subject, **fields)


class ResourceExhausted(DomainError):
    """A limit is reached.

    `subject`: whose limit. `retry_after`: seconds until another try may succeed, None when waiting does not help.
    """

    def __init__(self, subject: str, retry_after: float | None = None, **fields: object) -> None:
        self.subject = subject
        self.retry_after = retry_after
        super().__init__(subject=subject, **fields)


class DeadlineExceeded(DomainError):
    """The call ran longer than the server allows it.

    Raised at the server's own ceiling; the caller's deadline ends a call by itself.
    """


class Unavailable(DomainError):
    """Something this needs is out of reach.

    `retry_after`: seconds until another try may succeed.
    """

    def __init__(self, retry_after: float | None = 1.0, **fields: object) -> None:
        self.retry_after = retry_after
        super().__init__(**fields)


class InvalidRequest(InvalidArgument):
    """The request is malformed."""


class PageTokenInvalid(InvalidArgument):
    """The page token is not one that this list gave for these arguments."""

    security_event = True  # it may be another tenant's

    def __init__(self, field: str = "page_token") -> None:
        super().__init__([(field, "is not one that this list gave for these arguments")])


class PermissionMissing(PermissionDenied):
    """This needs the permission {permission}."""


class PlatformOnly(PermissionDenied):
    """Only the platform's administrators may do this."""


class SuperAdminOnly(PermissionDenied):
    """Only the platform's super administrators may do this, signed in themselves and not with a key."""


class EmailNotVerified(PermissionDenied):
    """This needs a verified e-mail address: verify yours first."""


class EtagMismatch(Aborted):
    """The {resource} was changed since it was read: read it again."""


class DatabaseUnavailable(Unavailable):
    """The database is out of reach."""


def check_etag(etag: str, revision: int, resource: str) -> None:
    """Raises EtagMismatch where an etag is given and is not that of the revision."""
    if etag and etag != etag_of(revision):
        raise EtagMismatch(resource=resource)


def etag_of(revision: int) -> str:
    """The etag of an object's revision, opaque to clients."""
    return f'"{revision}"'
