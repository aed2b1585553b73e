"""The only map from a domain error to a status code and its details (google.rpc.Status)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from server.kernel import errors
from server.kernel.principal import Call
from server.rpc.wire import retry_delay

DETAILS_KEY = "grpc-status-details-bin"
DOMAIN = "atrium"

CODES: dict[type[errors.DomainError], grpc.StatusCode] = {
    errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    errors.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
    errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    errors.Aborted: grpc.StatusCode.ABORTED,
    errors.FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    errors.ResourceExhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
}
"""One status code a category, as the table of the API has it."""

# All that a call is told stands in its trailers, and clients refuse those of 8 KiB, as base64 has it, with a code of
# their own. So it is the first of many malformed fields that are named.
_MOST_BYTES = 3_500
_MOST_CHARACTERS = 200


class Internal(errors.DomainError):
    """Something went wrong on the server; its operator finds the cause under this request id."""


class Status(NamedTuple):
    """What the caller is told: the code, a text, and the serialized google.rpc.Status that says more."""

    code: grpc.StatusCode
    text: str
    details: bytes


def code_of(error: errors.DomainError) -> grpc.StatusCode:
    """The status code of the error's category; INTERNAL for one without."""
    return next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), grpc.StatusCode.INTERNAL)


def status_of(error: errors.DomainError, call: Call | None) -> Status:
    """The error as the caller sees it; `call` gives the request id that is added to an internal error."""
    code = code_of(error)
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.fields)
    if code is grpc.StatusCode.INTERNAL and call is not None:
        info.metadata["request_id"] = call.request_id
    status = status_pb2.Status(code=code.value[0], message=error.message)
    for detail in (info, *_specific(error)):
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return Status(code, error.message, status.SerializeToString())


def _specific(error: errors.DomainError) -> list[Message]:
    match error:
        case errors.NotFound():
            return [error_details_pb2.ResourceInfo(resource_type=error.resource, resource_name=error.fields["id"])]
        case errors.InvalidArgument():
            return [_bad_request(error.violations)]
        case errors.FailedPrecondition():
            failure = error_details_pb2.PreconditionFailure()
            failure.violations.add(type=error.reason, subject=error.subject, description=error.message)
            return [failure]
        case errors.ResourceExhausted():
            quota = error_details_pb2.QuotaFailure()
            quota.violations.add(subject=error.subject, description=error.message)
            return [quota, *_retry(error)]
        case errors.Unavailable():
            return [*_retry(error)]
    return []


def _bad_request(violations: Sequence[tuple[str, str]]) -> error_details_pb2.BadRequest:
    bad, left = error_details_pb2.BadRequest(), _MOST_BYTES
    for number, (field, description) in enumerate(violations):
        told = bad.FieldViolation(field=field[:_MOST_CHARACTERS], description=description[:_MOST_CHARACTERS])
        left -= told.ByteSize()
        if left < 0:
            bad.field_violations.add(description=f"at least {len(violations) - number} more are malformed")
            break
        bad.field_violations.append(told)
    return bad


def _retry(error: errors.DomainError) -> list[Message]:
    delay = retry_delay(error)
    return [] if delay is None else [error_details_pb2.RetryInfo(retry_delay=delay)]
