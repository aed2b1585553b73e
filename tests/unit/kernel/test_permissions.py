"""How role entries add up to permissions."""

from datetime import UTC, datetime

import pytest

from server.kernel.permissions import Grant, Permission, allowed, decide, ends

READ, CREATE = Permission.WORKFLOWS_READ, Permission.WORKFLOWS_CREATE


SOON, LATER = datetime(2030, 1, 1, tzinfo=UTC), datetime(2030, 1, 2, tzinfo=UTC)


def _grant(
    permission: Permission,
    *,
    allow: bool = True,
    role: str = "a",
    priority: int = 0,
    until: datetime | None = None,
) -> Grant:
    return Grant(permission, allow, role, priority, until)


def test_the_enum_is_sorted() -> None:
    assert list(Permission) == sorted(Permission)


def test_what_no_role_speaks_of_is_not_allowed() -> None:
    assert allowed(decide([_grant(READ)])) == {READ}


def test_manage_implies_every_action_on_its_resource_and_on_no_other() -> None:
    given = allowed(decide([_grant(Permission.USERS_MANAGE)]))

    assert given == {Permission.USERS_MANAGE, Permission.USERS_READ}


@pytest.mark.parametrize(
    ("grants", "expected"),
    [
        ([_grant(READ), _grant(READ, allow=False, role="b")], False),
        ([_grant(READ, allow=False), _grant(READ, role="b")], False),
        ([_grant(READ, priority=2), _grant(READ, allow=False, role="b", priority=1)], True),
        ([_grant(READ, priority=1), _grant(READ, allow=False, role="b", priority=2)], False),
    ],
    ids=["equal: deny", "equal, other order: deny", "higher allows", "higher denies"],
)
def test_where_roles_disagree_the_higher_priority_wins_and_then_deny(grants: list[Grant], *, expected: bool) -> None:
    assert (READ in allowed(decide(grants))) is expected


def test_a_denied_manage_denies_what_it_implies() -> None:
    grants = [_grant(Permission.USERS_READ), _grant(Permission.USERS_MANAGE, allow=False, role="b", priority=1)]
    given = allowed(decide(grants))

    assert given == frozenset()


def test_the_deciding_entry_names_its_role() -> None:
    decided = decide([_grant(READ, role="low"), _grant(READ, allow=False, role="high", priority=5)])

    assert decided[READ].role_code == "high"
    assert CREATE not in decided


@pytest.mark.parametrize(
    ("grants", "end"),
    [
        ([_grant(READ)], None),
        ([_grant(READ, until=SOON)], SOON),
        ([_grant(READ, until=SOON), _grant(READ, role="b", until=LATER)], LATER),
        ([_grant(READ, priority=1, until=SOON), _grant(READ, role="b")], None),
        ([_grant(READ, priority=1, until=SOON), _grant(READ, role="b", allow=False)], SOON),
        ([_grant(READ, until=SOON), _grant(READ, role="b", allow=False, priority=1)], None),
    ],
    ids=["for good", "for a time", "by two", "for good below", "what outweighs a denial", "not held"],
)
def test_a_permission_ends_with_the_last_that_gives_it(grants: list[Grant], end: datetime | None) -> None:
    assert ends(grants) == ({} if end is None else {READ: end})
