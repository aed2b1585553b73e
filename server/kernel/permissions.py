"""What a role can allow: one permission is an action on a resource."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import TypeAlias


class Permission(StrEnum):
    """Every permission there is, sorted. `manage` implies every action on its resource."""

    AGENTS_EXECUTE = "agents:execute"
    API_KEYS_MANAGE = "api_keys:manage"
    AUDIT_LOGS_READ = "audit_logs:read"
    CALL_LOGS_READ = "call_logs:read"
    CREDENTIALS_MANAGE = "credentials:manage"
    DELETED_READ = "deleted:read"
    KNOWLEDGE_BASES_MANAGE = "knowledge_bases:manage"
    KNOWLEDGE_BASES_READ = "knowledge_bases:read"
    LIMITS_MANAGE = "limits:manage"
    MODELS_EXECUTE = "models:execute"
    MODELS_MANAGE = "models:manage"
    MODELS_READ = "models:read"
    PROMPT_LABELS_MANAGE = "prompt_labels:manage"
    PUBLIC_KNOWLEDGE_BASES_MANAGE = "public_knowledge_bases:manage"
    PUBLIC_TEMPLATES_MANAGE = "public_templates:manage"
    PUBLIC_WORKFLOWS_MANAGE = "public_workflows:manage"
    QUERY_LOGS_READ = "query_logs:read"
    ROLES_MANAGE = "roles:manage"
    ROLES_READ = "roles:read"
    ROUTES_MANAGE = "routes:manage"
    TEMPLATES_MANAGE = "templates:manage"
    TEMPLATES_READ = "templates:read"
    TENANT_MODELS_MANAGE = "tenant_models:manage"
    TENANTS_MANAGE = "tenants:manage"
    TENANTS_READ = "tenants:read"
    USERS_MANAGE = "users:manage"
    USERS_READ = "users:read"
    WORKFLOWS_CREATE = "workflows:create"
    WORKFLOWS_DELETE = "workflows:delete"
    WORKFLOWS_EXECUTE = "workflows:execute"
    WORKFLOWS_READ = "workflows:read"
    WORKFLOWS_UPDATE = "workflows:update"

    @property
    def resource(self) -> str:
        return self.value.partition(":")[0]

    @property
    def action(self) -> str:
        return self.value.partition(":")[2]

    @property
    def implied(self) -> frozenset[Permission]:
        """The permission itself, and for `manage` every other on its resource."""
        return _IMPLIED[self]


_IMPLIED = {
    permission: frozenset(
        other
        for other in Permission
        if other is permission or (permission.action == "manage" and other.resource == permission.resource)
    )
    for permission in Permission
}


@dataclass(frozen=True, slots=True)
class Grant:
    """One entry of one role that a user holds. `until`: when they stop holding it; None: never."""

    permission: Permission
    allow: bool
    role_code: str
    priority: int
    until: datetime | None = None


Decided: TypeAlias = Mapping[Permission, Grant]
"""The entry that decides each permission; one that no entry speaks of is absent, which means no."""


def decide(grants: Iterable[Grant]) -> Decided:
    """What the entries come to: the role of the highest priority wins, and at equal priority deny."""
    decided: dict[Permission, Grant] = {}
    for grant in sorted(grants, key=attrgetter("priority", "role_code"), reverse=True):
        for permission in grant.permission.implied:
            first = decided.get(permission)
            if first is None or (first.priority == grant.priority and first.allow and not grant.allow):
                decided[permission] = grant
    return decided


def allowed(decided: Decided) -> frozenset[Permission]:
    """The permissions that are given."""
    return frozenset(permission for permission, grant in decided.items() if grant.allow)


def ends(grants: Sequence[Grant]) -> Mapping[Permission, datetime]:
    """When permissions that are given now end by themselves, of those that do: one role ends after the other, and what
    outweighs a denial may end before it.
    """
    left, found = grants, dict[Permission, datetime]()
    for end in sorted({grant.until for grant in grants if grant.until is not None}):
        given = allowed(decide(left))
        left = [grant for grant in left if grant.until is None or grant.until > end]
        for permission in given - allowed(decide(left)):
            found.setdefault(permission, end)
    return found
