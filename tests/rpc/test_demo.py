"""The tour of the whole product, as `make demo` takes it and the README shows it."""

from __future__ import annotations

import re
from tempfile import gettempdir

import pytest

from tests.databases import in_memory
from tests.processes import ROOT, atrium

pytestmark = pytest.mark.xdist_group("local-model")


async def test_the_tour_is_taken_to_its_end_and_everything_holds() -> None:
    async with atrium({"TMPDIR": in_memory() or gettempdir()}, "demo") as process:
        code = await process.end()

    chapters = _chapters("\n".join(process.lines))
    assert code == 0, process.errors
    assert [int(chapter.partition(".")[0]) for chapter in chapters] == list(range(1, 19))
    (shown,) = re.findall(r"^## The tour\n(.*?)^## ", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    assert chapters == _chapters(shown)
    assert process.lines[-1].startswith("Everything held.")


def _chapters(text: str) -> list[str]:
    """Their headings, in order; a terminal has a rule behind each."""
    return [line.rstrip(" ─") for line in text.split("\n") if re.match(r"\d+\. ", line)]
