"""The one map from domain errors to what a client is told."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2 as details
from google.rpc import status_pb2

import server
from atrium.errors.v1 import error_reason_pb2
from server.kernel import errors
from server.kernel.principal import Call
from server.rpc.status import CODES, Internal, code_of, status_of

CALL = Call("/s/M", "request-1", "trace", "span")
INFO = details.ErrorInfo


class UnicornNotFound(errors.NotFound):
    """No {resource} with this id."""

    resource = "unicorn"


class HornTaken(errors.AlreadyExists):
    """The horn {name} is taken."""


class QuotaOfHorns(errors.ResourceExhausted):
    """The horns of {subject} are used up."""


def _read(error: errors.DomainError, call: Call | None = CALL) -> tuple[status_pb2.Status, list[Message]]:
    status = status_pb2.Status.FromString(status_of(error, call).details)
    kinds: list[Any] = [
        INFO,
        details.ResourceInfo,
        details.BadRequest,
        details.PreconditionFailure,
        details.QuotaFailure,
        details.RetryInfo,
    ]
    found = []
    for packed in status.details:
        kind = next(kind for kind in kinds if packed.Is(kind.DESCRIPTOR))
        found.append(kind.FromString(packed.value))
    return status, found


@pytest.mark.parametrize(
    ("error", "code", "kinds"),
    [
        (errors.Unauthenticated(), "UNAUTHENTICATED", [INFO]),
        (errors.PermissionMissing(permission="users:read"), "PERMISSION_DENIED", [INFO]),
        (UnicornNotFound("1"), "NOT_FOUND", [INFO, details.ResourceInfo]),
        (errors.InvalidRequest([("a", "is wrong")]), "INVALID_ARGUMENT", [INFO, details.BadRequest]),
        (errors.InvalidRequest(), "INVALID_ARGUMENT", [INFO, details.BadRequest]),
        (HornTaken(name="h"), "ALREADY_EXISTS", [INFO]),
        (errors.EtagMismatch(resource="user"), "ABORTED", [INFO]),
        (errors.FailedPrecondition("role"), "FAILED_PRECONDITION", [INFO, details.PreconditionFailure]),
        (QuotaOfHorns("acme"), "RESOURCE_EXHAUSTED", [INFO, details.QuotaFailure]),
        (QuotaOfHorns("acme", 2.0), "RESOURCE_EXHAUSTED", [INFO, details.QuotaFailure, details.RetryInfo]),
        (errors.DeadlineExceeded(), "DEADLINE_EXCEEDED", [INFO]),
        (errors.DatabaseUnavailable(), "UNAVAILABLE", [INFO, details.RetryInfo]),
        (errors.DatabaseUnavailable(retry_after=None), "UNAVAILABLE", [INFO]),
        (Internal(), "INTERNAL", [INFO]),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_each_category_is_one_code_with_its_details(error: errors.DomainError, code: str, kinds: list[Any]) -> None:
    told = status_of(error, CALL)
    status, found = _read(error)

    assert told.code is grpc.StatusCode[code]
    assert (status.code, status.message) == (told.code.value[0], told.text) == (told.code.value[0], error.message)
    assert [type(detail) for detail in found] == kinds
    assert (found[0].domain, found[0].reason) == ("atrium", error.reason)
    assert {**error.fields, **found[0].metadata} == dict(found[0].metadata)


def test_every_category_has_a_code_of_its_own() -> None:
    categories = {kind for kind in errors.DomainError.__subclasses__() if kind is not Internal}

    assert categories == CODES.keys()
    assert len(set(CODES.values())) == len(CODES)
    assert all(code_of(kind.__new__(kind)) is code for kind, code in CODES.items())


def test_an_absent_object_is_named_by_its_kind_and_id() -> None:
    _, (_, resource) = _read(UnicornNotFound("7"))

    assert (resource.resource_type, resource.resource_name) == ("unicorn", "7")


def test_every_malformed_field_is_told() -> None:
    _, (_, bad) = _read(errors.InvalidRequest([("name", "is empty"), ("tags[1]", "is too long")]))

    assert [(found.field, found.description) for found in bad.field_violations] == [
        ("name", "is empty"),
        ("tags[1]", "is too long"),
    ]


def test_of_very_many_malformed_fields_the_first_are_told_and_how_many_more_there_are() -> None:
    many = errors.InvalidRequest([(f"tags[{number}]", "must have at least 1 character") for number in range(5_000)])
    long = errors.InvalidRequest([("tags[" + "\u00e9" * 5_000 + "]", "is wrong"), ("name", "is empty")])

    _, (_, bad) = _read(many)
    _, (_, cut) = _read(long)

    *first, rest = bad.field_violations
    assert [found.field for found in first] == [f"tags[{number}]" for number in range(len(first))]
    assert (rest.field, rest.description) == ("", f"at least {5_000 - len(first)} more are malformed")
    assert len(first) > 50
    assert len(status_of(many, CALL).details) < 4_096
    assert [len(found.field) for found in cut.field_violations] == [200, 4]


def test_the_state_a_limit_and_the_wait_are_told() -> None:
    _, (_, failure) = _read(errors.FailedPrecondition("agent 7"))
    _, (_, quota, retry) = _read(QuotaOfHorns("acme", 2.5))

    assert (failure.violations[0].type, failure.violations[0].subject) == ("FAILED_PRECONDITION", "agent 7")
    assert (quota.violations[0].subject, quota.violations[0].description) == ("acme", "The horns of acme are used up.")
    assert retry.retry_delay.ToTimedelta().total_seconds() == 2.5


def test_an_internal_error_gives_the_request_id_and_nothing_else_does() -> None:
    _, (internal,) = _read(Internal())
    _, (taken,) = _read(HornTaken(name="h"))
    _, (nowhere,) = _read(Internal(), call=None)

    assert dict(internal.metadata) == {"request_id": "request-1"}
    assert dict(taken.metadata) == {"name": "h"}
    assert dict(nowhere.metadata) == {}


def _leaves() -> Iterator[type[errors.DomainError]]:
    """Every error that the server can raise: the classes of its own that have none of its own below them."""
    for module in pkgutil.walk_packages(server.__path__, "server."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)

    def below(kind: type[errors.DomainError]) -> Iterator[type[errors.DomainError]]:
        children = [child for child in kind.__subclasses__() if child.__module__.startswith("server.")]
        if not children:
            yield kind
        for child in children:
            yield from below(child)

    yield from below(errors.DomainError)


def test_the_published_reasons_are_the_servers_errors_one_to_one() -> None:
    leaves = list(_leaves())
    published = set(error_reason_pb2.ErrorReason.keys()) - {"ERROR_REASON_UNSPECIFIED"}

    reasons = [f"ERROR_REASON_{kind.reason}" for kind in leaves if kind not in CODES]
    assert len(reasons) == len(set(reasons))
    assert set(reasons) == published


def test_every_error_says_something_of_its_own() -> None:
    for kind in _leaves():
        if kind not in CODES:
            assert inspect.getdoc(kind) != inspect.getdoc(kind.__mro__[1]) or issubclass(kind, errors.NotFound), kind
            assert kind.template.endswith((".", "}")), kind
