"""Errors carry their message, reason and fields by convention."""

import pytest

from server.kernel.errors import AlreadyExists, EtagMismatch, InvalidRequest, PageTokenInvalid
from server.kernel.masks import masked


class SlugTaken(AlreadyExists):
    """The slug {slug}
    is taken.

    Not part of the message.
    """


def test_the_docstring_is_the_message_and_the_fields_are_metadata() -> None:
    error = SlugTaken(slug="acme")

    assert (error.message, error.reason, error.fields) == ("The slug acme is taken.", "SLUG_TAKEN", {"slug": "acme"})


def test_a_field_with_braces_is_not_a_template() -> None:
    assert SlugTaken(slug="{0.__class__}").message == "The slug {0.__class__} is taken."


def test_the_errors_of_the_kernel_name_what_they_are_about() -> None:
    assert EtagMismatch(resource="user").message.startswith("The user was changed")
    assert PageTokenInvalid().violations[0][0] == "page_token"


def test_a_mask_picks_its_fields_and_none_means_all_that_are_set() -> None:
    values = {"name": "n", "note": None, "size": 3}

    assert masked(values, ["name", "note"]) == {"name": "n", "note": None}
    assert masked(values, []) == {"name": "n", "size": 3}
    with pytest.raises(InvalidRequest) as raised:
        masked(values, ["id", "name"])
    assert raised.value.violations == (("update_mask", "id cannot be updated"),)
