"""Version 7 ids: their form and their order."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from server.kernel.ids import uuid7, uuid7_floor


def test_an_id_is_a_version_7_uuid_of_the_rfc_variant() -> None:
    made = uuid7()

    assert made.version == 7
    assert made.variant == "specified in RFC 4122"


def test_ids_made_one_after_the_other_rise() -> None:
    made = [uuid7() for _ in range(10_000)]

    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_an_id_lies_between_the_floors_of_the_moments_around_it() -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    made = uuid7()
    # Ids may run ahead of the clock by what was drawn within one tick, far less than a second.
    after = datetime.now(UTC) + timedelta(seconds=1)

    assert uuid7_floor(before) <= made < uuid7_floor(after)


@given(st.datetimes(datetime(1970, 1, 2), datetime(2400, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_floors_rise_with_their_moments(moment: datetime) -> None:
    assert uuid7_floor(moment) < uuid7_floor(moment + timedelta(milliseconds=2))
