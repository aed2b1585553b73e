"""Usernames: in one form, of scripts that belong together, and told apart by how they look."""

from __future__ import annotations

import pytest

from server.kernel.errors import InvalidRequest
from server.kernel.names import likeness, username


@pytest.mark.parametrize(
    "name",
    ["admin", "张三", "ada-张三.2", "たなかカズ", "김철수", "Ωmega"[1:], "иван", "Zoë", "u_1", "राम", "ปิยะ", "தமிழ்"],
)
def test_a_username_of_scripts_that_are_written_together_is_kept_as_it_is(name: str) -> None:
    assert username("username", name) == name


def test_a_username_has_one_form() -> None:
    assert username("username", "Zoe\u0308") == "Zo\u00eb"
    assert username("username", "\uff41\uff44\uff4d\uff49\uff4e") == "admin"


@pytest.mark.parametrize(
    "name",
    [
        "\u0430dmin",
        "adm\u0456n",
        "\u03b1dmin",
        "иvan",
        "한カ",
        "\ufdfa",
        "\ufb03" * 40,
        "a\u0902",
        "q\u0300",
        "a\u034fb",
        "a\ufe00",
        "ក\u17b4",
        "र\u0941\u0942\u0941\u0942\u0941",
    ],
    ids=ascii,
)
def test_a_username_that_is_made_to_look_like_another_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        username("administrator.username", name)

    assert [field for field, _ in refused.value.violations] == ["administrator.username"]


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("admin", "Admin"),
        ("admin", "adm\u0131n"),
        ("admin", "\uff41dmin"),
        ("paypal", "\u0440\u0430\u0443\u0440\u0430\u04cf".replace("\u04cf", "l")),
        ("cocoa", "\u0441\u043e\u0441\u043e\u0430"),
    ],
    ids=ascii,
)
def test_names_that_look_the_same_have_one_likeness(name: str, other: str) -> None:
    assert likeness(name) == likeness(other)


@pytest.mark.parametrize(("name", "other"), [("user-1", "user-l"), ("corn", "com"), ("张三", "張三"), ("zoe", "zoë")])
def test_names_that_people_tell_apart_have_two(name: str, other: str) -> None:
    assert likeness(name) != likeness(other)
