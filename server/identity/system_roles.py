"""The roles that every tenant is founded with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from server.kernel.permissions import Permission
from server.kernel.principal import SUPER_ADMIN


@dataclass(frozen=True, slots=True)
class SystemRole:
    """A role that every tenant is founded with."""

    name: str
    priority: int
    permissions: frozenset[Permission]
    is_default: bool = False


_CONTENT = frozenset(
    permission
    for permission in Permission
    if permission.resource in {"agents", "workflows", "templates", "knowledge_bases"}
) | {Permission.MODELS_READ, Permission.MODELS_EXECUTE, Permission.USERS_READ}

SYSTEM_ROLES: Mapping[str, SystemRole] = MappingProxyType(
    {
        "admin": SystemRole(
            "管理员",
            100,
            frozenset(Permission)
            - {
                Permission.MODELS_MANAGE,
                Permission.PUBLIC_KNOWLEDGE_BASES_MANAGE,
                Permission.PUBLIC_TEMPLATES_MANAGE,
                Permission.PUBLIC_WORKFLOWS_MANAGE,
            },
        ),
        "editor": SystemRole("编辑", 50, _CONTENT),
        "viewer": SystemRole(
            "查看者",
            10,
            frozenset(
                {
                    Permission.KNOWLEDGE_BASES_READ,
                    Permission.MODELS_READ,
                    Permission.TEMPLATES_READ,
                    Permission.USERS_READ,
                    Permission.WORKFLOWS_READ,
                }
            ),
            is_default=True,
        ),
    }
)
"""The roles of a new tenant, by code. The platform's own `super_admin` comes with the database."""

ADMINISTRATOR_ROLE = "admin"
PLATFORM_ADMINISTRATOR_ROLE = SUPER_ADMIN
