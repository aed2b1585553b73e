"""Between the identity slice's protos and its domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID
from zoneinfo import available_timezones

from langcodes import tag_is_valid

from atrium.identity.v1 import api_key_pb2, permission_pb2, role_pb2, session_pb2, user_pb2
from server.identity.domain import ApiKey, Decision, Role, RoleEntry, Session, TokenPair, User, UserStatus
from server.kernel.errors import InvalidRequest, etag_of
from server.kernel.names import username
from server.kernel.permissions import Permission
from server.kernel.principal import Principal
from server.rpc.wire import EnumMap, changes, moment, present, timestamp

STATES = EnumMap(
    {
        "active": user_pb2.User.STATE_ACTIVE,
        "inactive": user_pb2.User.STATE_INACTIVE,
        "locked": user_pb2.User.STATE_LOCKED,
    }
)
KINDS = EnumMap({"person": user_pb2.User.KIND_PERSON, "service": user_pb2.User.KIND_SERVICE})

_PROFILE = ("full_name", "avatar_url", "phone", "locale", "timezone")
# The database has two names that are no place: of a clock that was never set, and of wherever a machine happens to be.
_TIMEZONES = available_timezones() - {"Factory", "localtime"}


def user(value: User) -> user_pb2.User:
    return user_pb2.User(
        id=str(value.id),
        etag=etag_of(value.revision),
        create_time=timestamp(value.created_at),
        update_time=timestamp(value.updated_at),
        username=value.username,
        email=value.email,
        email_verified=value.email_verified,
        kind=KINDS.number[value.kind],
        state=STATES.number[value.status],
        full_name=value.full_name,
        avatar_url=value.avatar_url,
        phone=value.phone,
        locale=value.locale,
        timezone=value.timezone,
        last_login_time=timestamp(value.last_login_at),
        delete_time=timestamp(value.deleted_at),
    )


def new_user(request: user_pb2.CreateUserRequest) -> dict[str, Any]:
    """The columns of a new user; what is left out takes the column's default."""
    profile = {name: value for name, value in present(request, *_PROFILE).items() if value is not None}
    kind = KINDS.word.get(request.kind, "person")
    return _known({"username": username("username", request.username), "email": request.email, "kind": kind, **profile})


def user_changes(request: user_pb2.UpdateUserRequest) -> dict[str, Any]:
    values = changes(request, "username", "email", "state", *_PROFILE)
    if "state" in values:
        values["status"] = STATES.word[values.pop("state")]
    if "username" in values:
        values["username"] = username("username", values["username"])
    return _known(values)


def _known(values: dict[str, Any]) -> dict[str, Any]:
    wrong = []
    if not tag_is_valid(values.get("locale", "und")):
        wrong.append(("locale", "is not a language that BCP 47 knows, or not so in a place that it knows"))
    if values.get("timezone", "UTC") not in _TIMEZONES:
        wrong.append(("timezone", "is not a time zone of the IANA database"))
    if wrong:
        raise InvalidRequest(wrong)
    return values


def user_filters(request: user_pb2.ListUsersRequest) -> dict[str, Any]:
    filters: dict[str, Any] = {}
    if request.state:
        filters["status"] = STATES.word[request.state]
    if request.HasField("email_verified"):
        filters["email_verified"] = request.email_verified
    for field in ("last_login_time_from", "last_login_time_until"):
        if (bound := moment(request, field)) is not None:
            filters[field] = bound
    return filters


def role(value: tuple[Role, Sequence[RoleEntry]]) -> role_pb2.Role:
    found, entries = value
    return role_pb2.Role(
        id=str(found.id),
        etag=etag_of(found.revision),
        create_time=timestamp(found.created_at),
        update_time=timestamp(found.updated_at),
        name=found.name,
        code=found.code,
        description=found.description,
        system=found.is_system,
        default=found.is_default,
        priority=found.priority,
        permissions=[_entry(entry) for entry in entries],
        delete_time=timestamp(found.deleted_at),
    )


def new_role(request: role_pb2.CreateRoleRequest) -> dict[str, Any]:
    """The columns of a new role."""
    return {
        "name": request.name,
        "code": request.code,
        "is_default": request.default,
        "priority": request.priority,
        **present(request, "description"),
    }


def role_changes(request: role_pb2.UpdateRoleRequest) -> dict[str, Any]:
    values = changes(request, "name", "description", "default", "priority")
    if "default" in values:
        values["is_default"] = values.pop("default")
    return values


def entries(request: role_pb2.SetRolePermissionsRequest) -> list[RoleEntry]:
    return [
        RoleEntry(
            permission_named(entry.permission, "permissions[{}].permission", index),
            entry.effect == role_pb2.EFFECT_ALLOW,
        )
        for index, entry in enumerate(request.permissions)
    ]


def _entry(entry: RoleEntry) -> role_pb2.RolePermission:
    effect = role_pb2.EFFECT_ALLOW if entry.allow else role_pb2.EFFECT_DENY
    return role_pb2.RolePermission(permission=entry.permission, effect=effect)


def permission(value: tuple[Permission, str]) -> permission_pb2.Permission:
    code, description = value
    return permission_pb2.Permission(name=code, resource=code.resource, action=code.action, description=description)


_PERMISSIONS: Mapping[str, Permission] = {permission.value: permission for permission in Permission}


def permission_named(name: str, field: str, index: int) -> Permission:
    """Raises InvalidRequest that names the field. `field`: a template for the index."""
    found = _PERMISSIONS.get(name)
    if found is None:
        raise InvalidRequest([(field.format(index), "is not a permission")])
    return found


def wanted(request: permission_pb2.CheckPermissionRequest) -> list[Permission]:
    return [permission_named(name, "permissions[{}]", index) for index, name in enumerate(request.permissions)]


def decisions(
    status: UserStatus, unverified: bool, values: Sequence[Decision]
) -> permission_pb2.CheckPermissionResponse:
    reply = permission_pb2.CheckPermissionResponse(user_state=STATES.number[status], must_verify_email=unverified)
    for permission, allowed, role_code in values:
        reply.results.add(permission=permission, allowed=allowed, role_code=role_code or "")
    return reply


def session(value: Session, current: UUID | None) -> session_pb2.Session:
    return session_pb2.Session(
        id=str(value.id),
        create_time=timestamp(value.created_at),
        user_id=str(value.user_id),
        user_agent=value.user_agent or "",
        ip_address="" if value.ip_address is None else str(value.ip_address),
        refresh_time=timestamp(value.rotated_at),
        expire_time=timestamp(value.expires_at),
        revoke_time=timestamp(value.revoked_at),
        revoke_reason=value.revoke_reason or "",
        current=value.id == current,
    )


def scopes(request: api_key_pb2.CreateApiKeyRequest) -> list[Permission]:
    return [permission_named(name, "scopes[{}]", index) for index, name in enumerate(request.scopes)]


def api_key(value: ApiKey) -> api_key_pb2.ApiKey:
    return api_key_pb2.ApiKey(
        id=str(value.id),
        create_time=timestamp(value.created_at),
        update_time=timestamp(value.updated_at),
        user_id=str(value.user_id),
        name=value.name,
        prefix=value.prefix,
        scopes=value.scopes,
        allowed_models=value.allowed_models or (),
        expire_time=timestamp(value.expires_at),
        last_use_time=timestamp(value.last_used_at),
        revoke_time=timestamp(value.revoked_at),
        previous_secret_expire_time=timestamp(value.previous_valid_until),
    )


def tokens(value: TokenPair) -> session_pb2.Tokens:
    return session_pb2.Tokens(
        access_token=value.access_token,
        access_token_expire_time=timestamp(value.access_expires_at),
        refresh_token=value.refresh_token,
        refresh_token_expire_time=timestamp(value.refresh_expires_at),
    )


@lru_cache(maxsize=4096)  # a principal is immutable, and the same one for every call until something about it changes
def who(caller: Principal) -> session_pb2.WhoAmIResponse:
    return session_pb2.WhoAmIResponse(
        tenant_id=str(caller.tenant_id),
        user_id=str(caller.user_id),
        session_id=str(caller.session_id or ""),
        api_key_id=str(caller.api_key_id or ""),
        platform=caller.is_platform,
        permissions=sorted(caller.permissions),
    )
