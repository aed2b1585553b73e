"""Work on prompts in processes of its own: it comes to the same as here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from server.offload.workers import Workers
from server.prompt import worker
from server.prompt.errors import PromptIncludeCycle, PromptRenderFailed, PromptVariablesInvalid
from server.prompt.rendering import Renderer
from server.prompt.service.work import prompt_workers
from server.prompt.variables import Variable

ADA = UUID(int=1)


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    running = prompt_workers(parallel=1)
    yield running
    await running.close()


async def test_what_is_rendered_elsewhere_is_the_same(workers: Workers) -> None:
    sources = {"text": "{% include 'part' %}{% for one in many %}{{ one }}{% endfor %}"}
    variables, includes = [Variable("many", "list")], {"part": "Of {{ many|length }}: "}

    texts = await workers.run(ADA, worker.rendered, sources, variables, {"many": [1, "a"]}, includes)

    assert texts == ["Of 2: 1a"]


async def test_what_is_prepared_elsewhere_is_rendered_here(workers: Workers) -> None:
    source, renderer = "{{ a + 1 }}{% include 'b' %}", Renderer()

    for text, prepared in zip((source, "!"), await workers.run(ADA, worker.prepared, [source, "!"]), strict=True):
        renderer.learn(text, prepared)

    assert renderer.references(source) == ("b",)
    assert renderer.render_at_once({"text": source}, {"a": 1}, {"b": "!"}) == ["2!"]


@pytest.mark.parametrize(
    ("source", "values", "kind"),
    [
        ("{{ a }}", {"b": 1}, PromptVariablesInvalid),
        ("{{ 1 / 0 }}", {}, PromptRenderFailed),
        ("{% include 'self' %}", {}, PromptIncludeCycle),
    ],
)
async def test_a_refusal_is_the_same_as_if_it_were_made_here(
    workers: Workers, source: str, values: dict[str, Any], kind: type[Exception]
) -> None:
    arguments = ({"text": source}, [Variable("a", "string")], values, {"self": "1{% include 'self' %}"})
    with pytest.raises(kind) as here:
        worker.rendered(*arguments)

    with pytest.raises(kind) as there:
        await workers.run(ADA, worker.rendered, *arguments)

    assert there.value.args == here.value.args
    assert vars(there.value) == vars(here.value)
