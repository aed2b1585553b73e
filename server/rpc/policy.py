"""What each method asks of its caller, read once from the method options of the protos."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from atrium.options.v1 import options_pb2
from server.kernel.features import Feature
from server.kernel.permissions import Permission
from server.kernel.refusal import CommandRefused

Access = Literal["public", "authenticated"] | Permission

_PERMISSIONS, _FEATURES = frozenset(Permission), frozenset(Feature)

# A client that has learned what it wants to know leaves the stream open while it makes its call.
_REFLECTION_SECONDS = 60.0


class PolicyError(CommandRefused):
    """A method declares no rule, or one that means nothing: the server must not start."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a method asks: who may call it, from where, and the longest it may run in seconds (None: the default)."""

    access: Access
    platform_only: bool = False
    super_admin: bool = False
    """Only for those of the platform who hold its own role, and are signed in."""
    ceiling: float | None = None
    unverified: bool = False
    """Open to callers who have yet to verify their e-mail address, where their tenant asks for that."""
    feature: Feature | None = None
    """What the tier of the tenant that is acted in must give."""
    detached: bool = False
    """With an idempotency key, it runs outside the transaction that remembers its answer."""
    unlimited: bool = False
    """Exempt from shedding, and from a ceiling that it does not name: the standard services, which must be reached
    under load, and take no place from others.
    """


STANDARD_SERVICES = {
    "grpc.health.v1.Health": Rule("public", unlimited=True),
    "grpc.reflection.v1.ServerReflection": Rule("public", unlimited=True, ceiling=_REFLECTION_SECONDS),
    "grpc.reflection.v1alpha.ServerReflection": Rule("public", unlimited=True, ceiling=_REFLECTION_SECONDS),
}
"""Services whose protos are not ours and carry no rule: public by their nature."""


def read_rules(services: Iterable[ServiceDescriptor]) -> dict[str, Rule]:
    """The rule of every method, by its path (`/package.Service/Method`).

    Raises PolicyError that names each method without a rule of its own.
    """
    rules: dict[str, Rule] = {}
    problems: list[str] = []
    for service in services:
        for method in service.methods:
            path = f"/{service.full_name}/{method.name}"
            try:
                rules[path] = STANDARD_SERVICES.get(service.full_name) or _read(method)
            except PolicyError as error:
                problems.append(f"{path}: {error}")
    if problems:
        raise PolicyError("\n".join(problems))
    return rules


def _read(method: MethodDescriptor) -> Rule:
    options: Any = method.GetOptions()
    if not options.HasExtension(options_pb2.rule):
        raise PolicyError("declares no (atrium.options.v1.rule)")
    rule = options.Extensions[options_pb2.rule]
    ceiling = rule.ceiling.ToTimedelta().total_seconds() if rule.HasField("ceiling") else None
    if ceiling is not None and ceiling <= 0:
        raise PolicyError(f"declares a ceiling of {ceiling} s, within which nothing can run")
    if rule.unverified and not rule.authenticated:
        raise PolicyError("opens to unverified callers what is for everyone, or for roles that they do not have")
    if rule.detached and not rule.permission:
        raise PolicyError("is detached, which only what asks for a permission may be")
    if rule.feature and rule.feature not in _FEATURES:
        raise PolicyError(f"asks for {rule.feature!r}, which is not a feature")
    feature = Feature(rule.feature) if rule.feature else None
    match rule.WhichOneof("access"):
        case "permission":
            if rule.permission not in _PERMISSIONS:
                raise PolicyError(f"asks for {rule.permission!r}, which is not a permission")
            return Rule(
                Permission(rule.permission),
                rule.platform_only or rule.super_admin,
                rule.super_admin,
                ceiling,
                feature=feature,
                detached=rule.detached,
            )
        case "authenticated" if rule.authenticated:
            platform_only = rule.platform_only or rule.super_admin
            return Rule("authenticated", platform_only, rule.super_admin, ceiling, rule.unverified, feature)
        case "public" if rule.public and not (rule.platform_only or rule.super_admin) and feature is None:
            return Rule("public", ceiling=ceiling)
        case _:
            raise PolicyError("declares a rule that names no access")
