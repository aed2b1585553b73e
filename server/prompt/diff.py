"""The difference of two texts, as people read it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

_CONTEXT = 3
_MOST_WORK = 20_000_000
"""Comparisons of lines; half a second of them at most."""

_Opcode = tuple[str, int, int, int, int]


def unified(old: str, new: str, old_name: str, new_name: str) -> str:
    """A unified diff, empty where the texts are equal.

    Where finding the smallest difference would take too long, all between the first and the last line that differ is
    replaced.
    """
    if old == new:
        return ""
    was, now = _lines(old), _lines(new)
    # Most of two versions is equal at the ends: what is compared line by line begins and ends near a difference.
    before = _equal(was, now)
    after = _equal(reversed(was[before:]), reversed(now[before:]))
    skipped = max(before - _CONTEXT, 0)
    left = max(after - _CONTEXT, 0)
    was, now = was[skipped : len(was) - left], now[skipped : len(now) - left]
    written = [f"--- {old_name}\n", f"+++ {new_name}\n"]
    for group in _groups(was, now, before - skipped, after - left):
        written.append(
            f"@@ -{_span(group[0][1], group[-1][2], skipped)} +{_span(group[0][3], group[-1][4], skipped)} @@\n"
        )
        for kind, was_from, was_to, now_from, now_to in group:
            if kind == "equal":
                written += (" " + line for line in was[was_from:was_to])
            else:
                written += ("-" + line for line in was[was_from:was_to])
                written += ("+" + line for line in now[now_from:now_to])
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in written)


def _lines(text: str) -> list[str]:
    """Lines with their ends; \\n alone ends one, as in every tool that reads a diff."""
    lines = [line + "\n" for line in text.split("\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last else lines


def _equal(was: Iterable[str], now: Iterable[str]) -> int:
    count = 0
    for one, other in zip(was, now, strict=False):
        if one != other:
            break
        count += 1
    return count


def _groups(was: Sequence[str], now: Sequence[str], before: int, after: int) -> Iterable[list[_Opcode]]:
    """The hunks. `before`, `after`: how many lines are equal at the ends."""
    times = Counter(now)
    pairs = sum(times[line] for line in was)
    # Each block that is found may cost a look at all lines and at all equal pairs of them.
    if min(len(was), len(now)) * (len(was) + len(now) + pairs) <= _MOST_WORK:
        return SequenceMatcher(None, was, now).get_grouped_opcodes(_CONTEXT)
    was_end, now_end = len(was) - after, len(now) - after
    return [
        [
            ("equal", 0, before, 0, before),
            ("replace", before, was_end, before, now_end),
            ("equal", was_end, len(was), now_end, len(now)),
        ]
    ]


def _span(first: int, last: int, skipped: int) -> str:
    """Where a hunk is in a file, as in `12,3`. An empty one is said to be after the line before it."""
    count = last - first
    start = first + skipped + (1 if count else 0)
    return str(start) if count == 1 else f"{start},{count}"
