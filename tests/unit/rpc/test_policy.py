"""The rules that methods declare in their protos, and those that must not let the server start."""

from __future__ import annotations

from typing import Any

import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from server.kernel.features import Feature
from server.kernel.permissions import Permission
from server.rpc.policy import PolicyError, Rule, read_rules
from tests.factories.services import NO_RULE, service
from tests.rpc.methods import RULES

ASKED_FOR_ELSEWHERE = {
    Feature.LONGER_RETENTION: "it depends on the days that are set, and on how long a tier that has ended goes on for",
}
"""Features that no method's rule asks for, and why."""


def test_a_feature_is_asked_for_by_a_method_or_there_is_a_reason() -> None:
    asked = {rule.feature for rule in RULES.values() if rule.feature is not None}

    assert asked.isdisjoint(ASKED_FOR_ELSEWHERE)
    assert asked | ASKED_FOR_ELSEWHERE.keys() == set(Feature)


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ({"permission": "users:read"}, Rule(Permission.USERS_READ)),
        ({"authenticated": True}, Rule("authenticated")),
        ({"public": True}, Rule("public")),
        ({"permission": "users:read", "platform_only": True}, Rule(Permission.USERS_READ, platform_only=True)),
        ({"authenticated": True, "platform_only": True}, Rule("authenticated", platform_only=True)),
        (
            {"permission": "users:read", "super_admin": True},
            Rule(Permission.USERS_READ, platform_only=True, super_admin=True),
        ),
        ({"authenticated": True, "super_admin": True}, Rule("authenticated", platform_only=True, super_admin=True)),
        ({"public": True, "ceiling": {"seconds": 90}}, Rule("public", ceiling=90.0)),
        ({"authenticated": True, "ceiling": {"nanos": 500_000_000}}, Rule("authenticated", ceiling=0.5)),
        ({"authenticated": True, "unverified": True}, Rule("authenticated", unverified=True)),
        ({"permission": "users:read", "detached": True}, Rule(Permission.USERS_READ, detached=True)),
    ],
    ids=repr,
)
def test_a_rule_is_read_from_its_method(declared: dict[str, Any], expected: Rule) -> None:
    assert read_rules([service(Do=declared)]) == {"/p.S/Do": expected}


@pytest.mark.parametrize(
    ("declared", "complaint"),
    [
        (NO_RULE, "declares no"),
        ({}, "names no access"),
        ({"ceiling": {"seconds": 1}}, "names no access"),
        ({"platform_only": True}, "names no access"),
        ({"authenticated": False}, "names no access"),
        ({"public": False}, "names no access"),
        ({"public": True, "platform_only": True}, "names no access"),
        ({"public": True, "super_admin": True}, "names no access"),
        ({"public": True, "unverified": True}, "opens to unverified callers"),
        ({"permission": "users:read", "unverified": True}, "opens to unverified callers"),
        ({"permission": ""}, "'', which is not a permission"),
        ({"permission": "unicorns:ride"}, "'unicorns:ride', which is not a permission"),
        ({"permission": "USERS_READ"}, "not a permission"),
        ({"permission": "authenticated"}, "not a permission"),
        ({"public": True, "detached": True}, "is detached"),
        ({"authenticated": True, "detached": True}, "is detached"),
        ({"public": True, "ceiling": {}}, "ceiling"),
        ({"public": True, "ceiling": {"seconds": -1}}, "ceiling"),
    ],
    ids=repr,
)
def test_a_rule_that_means_nothing_is_refused(declared: Any, complaint: str) -> None:
    with pytest.raises(PolicyError, match=complaint):
        read_rules([service(Do=declared)])


def test_every_method_without_a_rule_is_named_at_once() -> None:
    with pytest.raises(PolicyError) as refused:
        read_rules([service(One=NO_RULE, Two={"public": True}, Three={"permission": "x"})])

    assert [line.partition(":")[0] for line in str(refused.value).splitlines()] == ["/p.S/One", "/p.S/Three"]


def test_the_standard_services_are_public_and_never_shed() -> None:
    rules = read_rules(
        [
            health_pb2.DESCRIPTOR.services_by_name["Health"],
            reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"],
        ]
    )

    reflection = rules.pop("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
    assert reflection == Rule("public", unlimited=True, ceiling=60.0)
    assert set(rules.values()) == {Rule("public", unlimited=True)}
    assert {"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"} < rules.keys()
