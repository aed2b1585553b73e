"""Differences that can be applied again, whatever the texts."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.prompt.diff import unified

_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@\n")


def _lines(text: str) -> list[str]:
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _applied(old: str, diff: str) -> str:
    """What a patch tool makes of the diff."""
    was, now = _lines(old), list[str]()
    taken = 0
    for line in _lines(re.sub(r"\n\\ No newline at end of file\n", "\0", diff).replace("\0", "\0\n"))[2:]:
        text = line[1:].replace("\0\n", "")
        if hunk := _HUNK.fullmatch(line):
            start = int(hunk[1]) - (0 if hunk[2] == "0" else 1)
            now += was[taken:start]
            taken = start
            assert len(now) == int(hunk[3]) - (0 if hunk[4] == "0" else 1)
        elif line.startswith("+"):
            now.append(text)
        else:
            assert was[taken] == text
            taken += 1
            now += [text] if line.startswith(" ") else []
    return "".join(now + was[taken:])


def test_a_diff_as_people_know_it() -> None:
    old = "".join(f"line {number}\n" for number in range(1, 10))

    assert unified(old, old.replace("line 5\n", "new\n"), "v1", "v2") == (
        "--- v1\n+++ v2\n@@ -2,7 +2,7 @@\n line 2\n line 3\n line 4\n-line 5\n+new\n line 6\n line 7\n line 8\n"
    )


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ("", "a\n", ["@@ -0,0 +1 @@", "+a"]),
        ("a\n", "", ["@@ -1 +0,0 @@", "-a"]),
        ("a", "a\n", ["@@ -1 +1 @@", "-a", "\\ No newline at end of file", "+a"]),
        ("a\r\nb", "a\nb", ["@@ -1,2 +1,2 @@", "-a\r", "+a", " b", "\\ No newline at end of file"]),
    ],
)
def test_ends_of_texts(old: str, new: str, lines: list[str]) -> None:
    assert unified(old, new, "v1", "v2").split("\n")[2:-1] == lines


def test_equal_texts_do_not_differ() -> None:
    assert unified("a\nb", "a\nb", "v1", "v2") == ""


_TEXTS = st.lists(st.sampled_from(["a", "b", "", "c\u2028d", "\r"]), max_size=12).map("\n".join)


@given(_TEXTS, _TEXTS)
def test_applied_to_the_old_text_it_gives_the_new_one(old: str, new: str) -> None:
    assert _applied(old, unified(old, new, "v1", "v2")) == new


@given(_TEXTS, _TEXTS)
def test_a_whole_replacement_can_be_applied_too(old: str, new: str) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("server.prompt.diff._MOST_WORK", -1)

        assert _applied(old, unified(old, new, "v1", "v2")) == new


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a" + "\n" * 262_000, "b" + "\n" * 200_000 + "c"),
        ("x\ny\n" * 60_000, "y\nx\nz\n" * 40_000),
        ("\n".join(map(str, range(40_000))), "\n".join(map(str, range(40_000, 0, -1)))),
    ],
)
def test_texts_that_would_take_long_are_replaced_as_a_whole(old: str, new: str) -> None:
    diff = unified(old, new, "v1", "v2")

    assert diff.count("\n@@ ") == 1
    assert _applied(old, diff) == new


def test_a_small_change_in_a_long_text_is_a_small_difference() -> None:
    old = "\n".join(map(str, range(40_000)))

    diff = unified(old, old.replace("\n20000\n", "\nchanged\n"), "v1", "v2")

    assert diff.splitlines()[2:] == [
        "@@ -19998,7 +19998,7 @@", " 19997", " 19998", " 19999", "-20000", "+changed", " 20001", " 20002", " 20003",
    ]  # fmt: skip
