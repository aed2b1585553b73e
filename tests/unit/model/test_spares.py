"""Which of what a process holds for calls to come is whose, and for how long."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from server.kernel.ids import PLATFORM_TENANT_ID
from server.model.holds import Hold, Part
from server.model.limits import Claim, Window
from server.model.spares import IDLE_SECONDS, Spares


def _claims() -> list[Claim]:
    window = Window("month", datetime(2030, 1, 1, tzinfo=UTC), "tenant", "tokens")
    return [Claim(window, Decimal(1000), Decimal(10))]


class _Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def _open(clock: _Clock) -> Spares:
    spares = Spares(10.0, clock)
    spares.open = spares.heard = True
    return spares


def _begun(spares: Spares, calls: int = 1) -> list[Part]:
    """What is begun to be held once so many calls are over that came at once, after another."""
    for _ in range(calls + 1):
        spares.take(PLATFORM_TENANT_ID, _claims())
    _, begun = spares.kept(PLATFORM_TENANT_ID, [Hold.of(_claims()) for _ in range(calls)])
    assert not spares.put(PLATFORM_TENANT_ID, [], begun, 100.0)
    return begun


def test_one_is_good_for_a_while_however_often_it_is_lent() -> None:
    clock = _Clock()
    spares = _open(clock)
    (part,) = _begun(spares)
    lent = 0
    while (found := spares.take(PLATFORM_TENANT_ID, _claims())) is not None:
        assert found == part
        clock.now += IDLE_SECONDS / 2
        again, begun = spares.kept(PLATFORM_TENANT_ID, [Hold([found])])
        spares.put(PLATFORM_TENANT_ID, again, begun, clock.now)
        lent += 1

    assert lent == 10.0 / (IDLE_SECONDS / 2)


def test_there_are_no_more_of_them_than_are_of_use() -> None:
    spares = _open(_Clock())

    assert len(_begun(spares, calls=100)) == 32


def test_one_that_was_recalled_while_its_call_was_entered_is_not_lent_again() -> None:
    spares = _open(_Clock())
    (part,) = _begun(spares)
    assert spares.take(PLATFORM_TENANT_ID, _claims()) == part
    again, _ = spares.kept(PLATFORM_TENANT_ID, [Hold([part])])

    assert spares.recall(PLATFORM_TENANT_ID) == ([], [part.id])

    assert spares.put(PLATFORM_TENANT_ID, again, [], 100.0) == [part]
    assert spares.kept(PLATFORM_TENANT_ID, [Hold([part])]) == ([], [])


def test_of_two_that_are_recalled_the_one_whose_call_is_over_is_given_back_as_it_is_entered() -> None:
    spares = _open(_Clock())
    _begun(spares, calls=2)
    taken = [spares.take(PLATFORM_TENANT_ID, _claims()) for _ in range(2)]
    over, running = (Hold([part]) for part in taken if part is not None)
    assert spares.over(PLATFORM_TENANT_ID, [over.parts[0].id])

    idle, own = spares.recall(PLATFORM_TENANT_ID)

    assert (idle, own) == ([], [running.parts[0].id])
    assert not spares.over(PLATFORM_TENANT_ID, [running.parts[0].id]), "it is its call's alone until that is entered"
    assert spares.kept(PLATFORM_TENANT_ID, [over]) == ([], [])
    spares.forget(PLATFORM_TENANT_ID, over.parts[0].id)
    assert not spares._over


def test_nothing_is_held_for_a_while_of_what_too_much_is_in_use_of() -> None:
    clock = _Clock()
    spares = _open(clock)
    (part,) = _begun(spares)

    spares.hold_off(PLATFORM_TENANT_ID, [part])

    asked = 0
    while not spares.kept(PLATFORM_TENANT_ID, [Hold.of(_claims())])[1]:
        clock.now += IDLE_SECONDS / 2
        spares.take(PLATFORM_TENANT_ID, _claims())
        spares.too_idle()
        asked += 1
    assert asked == 10.0 / (IDLE_SECONDS / 2)


def test_what_was_recalled_is_not_held_again_at_once() -> None:
    clock = _Clock()
    spares = _open(clock)
    (part,) = _begun(spares)

    assert spares.recall(PLATFORM_TENANT_ID) == ([part], [])

    for _ in range(2):
        spares.take(PLATFORM_TENANT_ID, _claims())
    assert spares.kept(PLATFORM_TENANT_ID, [Hold.of(_claims())]) == ([], [])
    clock.now += IDLE_SECONDS
    for _ in range(2):
        spares.take(PLATFORM_TENANT_ID, _claims())
    assert len(spares.kept(PLATFORM_TENANT_ID, [Hold.of(_claims())])[1]) == 1


def test_nothing_is_remembered_of_who_calls_no_more() -> None:
    clock = _Clock()
    spares = _open(clock)
    (part,) = _begun(spares)
    clock.now += IDLE_SECONDS

    assert spares.too_idle() == {PLATFORM_TENANT_ID: [part]}
    spares.recall(PLATFORM_TENANT_ID)
    clock.now += IDLE_SECONDS
    assert spares.too_idle() == {}
    assert not spares.tenants
    assert not spares._none_until
