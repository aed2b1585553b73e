"""Between protobuf's types and Python's, for every slice's `convert.py`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from atrium.common.v1 import deleted_pb2
from atrium.errors.v1 import error_reason_pb2
from server.kernel.clock import now
from server.kernel.decimals import decimal_text
from server.kernel.deletion import Deleted
from server.kernel.errors import DomainError, InvalidRequest, ResourceExhausted, Unavailable
from server.kernel.json import MOST_DEPTH, MOST_TOLD_DEPTH, depth, shallow
from server.kernel.masks import masked

_MOST_WHOLE = 2**53


def timestamp(moment: datetime | None) -> Timestamp | None:
    """None stays None, and the field unset."""
    if moment is None:
        return None
    return Timestamp(seconds=int(moment.timestamp() // 1), nanos=moment.microsecond * 1000)


def moment(request: Message, field: str, path: str | None = None) -> datetime | None:
    """The request's timestamp, None where it is unset. Raises InvalidRequest for one outside the years 1 to 9999.

    `path`: how to call the field there, where it is not one of the request itself.
    """
    if not request.HasField(field):
        return None
    try:
        made: datetime = getattr(request, field).ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise InvalidRequest([(path or field, "must be a moment of the years 1 to 9999")]) from None
    return made


def duration_ms(milliseconds: int | None) -> Duration | None:
    """None stays None, and the field unset."""
    if milliseconds is None:
        return None
    return Duration(seconds=milliseconds // 1000, nanos=milliseconds % 1000 * 1_000_000)


def retry_delay(error: DomainError) -> Duration | None:
    """How long to wait before another try; None where nobody says, or waiting does not help."""
    if not isinstance(error, ResourceExhausted | Unavailable) or error.retry_after is None:
        return None
    return Duration(seconds=int(error.retry_after), nanos=int(error.retry_after % 1 * 1e9))


def whole_seconds(request: Message, field: str) -> int | None:
    """The request's duration in whole seconds, at least one where it is any; None where it is unset."""
    if not request.HasField(field):
        return None
    duration: Duration = getattr(request, field)
    return duration.seconds or int(duration.nanos > 0)


def money(amount: Decimal | None) -> str | None:
    """USD as a decimal string without an exponent and without trailing zeros."""
    return None if amount is None else decimal_text(amount)


def days(request: Message) -> tuple[date, date]:
    """From which day, and before which: this month's until now, unless `day_from` and `day_until` say otherwise."""
    today = now().astimezone(UTC).date()
    since, until = moment(request, "day_from"), moment(request, "day_until")
    return (
        today.replace(day=1) if since is None else since.date(),
        today + timedelta(days=1) if until is None else until.date(),
    )


def average_ms(total: int, count: int) -> Duration | None:
    """The average of so many, in milliseconds; None of none."""
    return duration_ms(total // count if count else None)


def reason(name: str | None) -> Any:
    """The enum value of a domain error's reason; unspecified for none, and for one that a later version wrote down."""
    return _REASONS.get(name, error_reason_pb2.ERROR_REASON_UNSPECIFIED)


_REASONS: dict[str | None, Any] = {
    name.removeprefix("ERROR_REASON_"): number for name, number in error_reason_pb2.ErrorReason.items()
}


def present(request: Message, *fields: str) -> dict[str, Any]:
    """The values of optional fields, None where one is unset."""
    return {field: getattr(request, field) if request.HasField(field) else None for field in fields}


def changes(request: Any, *fields: str) -> dict[str, Any]:
    """What an update request means to change: the fields of its mask, or without one those that are set."""
    return masked(present(request, *fields), request.update_mask.paths)


def uuid_or_none(text: str) -> UUID | None:
    """An id that may be left out. Its form has been validated."""
    return UUID(text) if text else None


def deletion(request: Any) -> Deleted:
    """Whether the request asks for what was deleted."""
    return _DELETED.word.get(request.deleted, "exclude")  # type: ignore[no-any-return]


def json_struct(value: Struct, field: str) -> dict[str, Any]:
    """The request's free-form field as JSON has it. Raises InvalidRequest where JSON has no form for it."""
    made: dict[str, Any] = json_value(value, field)
    return made


def json_value(value: Struct | Value, field: str) -> Any:
    """The same of a field that may be any JSON. Raises InvalidRequest also where it is deeper than could be told."""
    made = _json(value, field)
    if depth(made) > MOST_DEPTH:
        raise InvalidRequest([(field, f"is nested deeper than {MOST_DEPTH}")])
    return made


def _json(value: Struct | Value, field: str) -> Any:
    try:
        return json_format.MessageToDict(value)
    except ValueError:  # it has no NaN and no infinity
        raise InvalidRequest([(field, "must hold finite numbers only")]) from None


def json_schema(value: Struct, field: str) -> dict[str, Any]:
    """The same of a JSON schema, whose whole numbers are integers, and which is told to models alone."""
    made: dict[str, Any] = _whole(_json(value, field))
    return made


def _whole(value: Any) -> Any:
    """A Struct has no integers, and a JSON schema's `maxItems` is none that ends in .0.

    Where floats do not tell whole numbers apart any more, a number stays one: orjson writes integers of 64 bits only.
    """
    match value:
        case dict():
            return {name: _whole(one) for name, one in value.items()}
        case list():
            return [_whole(one) for one in value]
        case float() if value.is_integer() and abs(value) <= _MOST_WHOLE:
            return int(value)
    return value


def value_of(value: Any) -> Value:
    """JSON as a free-form value."""
    holder = ListValue()
    holder.extend([value])
    return holder.values[0]


def struct(value: Mapping[str, Any] | None) -> Struct | None:
    """JSON as a free-form field, as deep as clients read it; None stays None, and the field unset."""
    if value is None:
        return None
    made = Struct()
    made.update(value if depth(value) <= MOST_TOLD_DEPTH else shallow(value, MOST_TOLD_DEPTH))
    return made


def plain_struct(value: Struct) -> dict[str, Any]:
    """As Python has it; numbers are floats, as the Struct has no others."""
    return {name: plain_value(one) for name, one in value.fields.items()}


def plain_value(value: Value) -> Any:
    """The same of one value; None where it is null or unset."""
    match value.WhichOneof("kind"):
        case "string_value":
            return value.string_value
        case "number_value":
            return value.number_value
        case "bool_value":
            return value.bool_value
        case "struct_value":
            return plain_struct(value.struct_value)
        case "list_value":
            return [plain_value(one) for one in value.list_value.values]
    return None


class EnumMap:
    """One to one between the words of the database and the values of a proto enum; 0, unspecified, is no word."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.number = values
        self.word: dict[Any, Any] = {number: word for word, number in values.items()}


_DELETED = EnumMap(
    {
        "exclude": deleted_pb2.DELETED_EXCLUDE,
        "include": deleted_pb2.DELETED_INCLUDE,
        "only": deleted_pb2.DELETED_ONLY,
    }
)
