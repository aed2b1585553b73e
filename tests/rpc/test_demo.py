"""The tour of the whole product, as `make demo` takes it."""

from __future__ import annotations

import re

import pytest

from tests.processes import atrium

pytestmark = pytest.mark.xdist_group("local-model")


async def test_the_tour_is_taken_to_its_end_and_everything_holds() -> None:
    async with atrium({}, "demo") as process:
        code = await process.end()

    chapters = [int(found[1]) for line in process.lines if (found := re.match(r"(\d+)\. ", line))]
    assert code == 0, process.errors
    assert chapters == list(range(1, 14))
    assert process.lines[-1].startswith("Everything held.")
