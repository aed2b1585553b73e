"""The time from the word to stop to the end, and the part of it that is kept for what comes last."""

from __future__ import annotations

import pytest

from server.kernel.grace import Grace, last


@pytest.mark.parametrize(("seconds", "kept"), [(0.4, 0.1), (2.0, 0.5), (4.0, 1.0), (10.0, 1.0), (600.0, 1.0)])
def test_the_last_second_is_kept_and_of_a_short_time_a_quarter(seconds: float, kept: float) -> None:
    assert last(seconds) == kept
    assert Grace(seconds).to_finish == seconds - kept
