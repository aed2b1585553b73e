"""Page tokens hold what they were made for, and nothing else."""

import base64
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.kernel.errors import PageTokenInvalid
from server.kernel.ids import uuid7
from server.kernel.paging import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, Page, PageTokens

TOKENS = PageTokens([b"key"])
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@given(st.uuids(), st.binary())
def test_a_token_gives_its_cursor_back_in_its_own_scope(cursor: UUID, scope: bytes) -> None:
    assert TOKENS.request(1, TOKENS.token(cursor, scope), scope).cursor == cursor


def test_another_scope_or_another_key_refuses_it() -> None:
    token = TOKENS.token(uuid7(), b"tenant a")

    for tokens, scope in ((TOKENS, b"tenant b"), (PageTokens([b"other"]), b"tenant a")):
        with pytest.raises(PageTokenInvalid):
            tokens.request(1, token, scope)


@given(st.integers(0, 32 * 8 - 1))
def test_any_flipped_bit_is_noticed(bit: int) -> None:
    raw = bytearray(base64.urlsafe_b64decode(TOKENS.token(UUID(int=7), b"s")))
    raw[bit // 8] ^= 1 << bit % 8

    with pytest.raises(PageTokenInvalid):
        TOKENS.request(1, base64.urlsafe_b64encode(raw).decode(), b"s")


@given(st.uuids())
def test_a_token_is_written_in_one_way_alone(cursor: UUID) -> None:
    token = TOKENS.token(cursor, b"s")
    last = ALPHABET.index(token[-2])
    others = {token[:-2] + ALPHABET[last ^ bit] + "=" for bit in (1, 2, 3)}  # bits that stand for nothing

    for other in (others | {token.replace("-", "+").replace("_", "/")}) - {token}:
        with pytest.raises(PageTokenInvalid):
            TOKENS.request(1, other, b"s")


@given(st.text())
def test_rubbish_is_refused(text: str) -> None:
    if text:
        with pytest.raises(PageTokenInvalid):
            TOKENS.request(1, text, b"s")


@pytest.mark.parametrize(("asked", "given_"), [(0, DEFAULT_PAGE_SIZE), (7, 7), (5_000, MAX_PAGE_SIZE)])
def test_page_sizes_have_a_default_and_a_ceiling(asked: int, given_: int) -> None:
    assert TOKENS.request(asked, "", b"").size == given_


def test_a_page_is_cut_where_one_row_more_came_than_asked_for() -> None:
    ids = [uuid7() for _ in range(3)]

    assert Page.cut("abc", ids, 2) == Page("ab", ids[1])
    assert Page.cut("ab", ids[:2], 2) == Page("ab", None)
