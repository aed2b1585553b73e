"""The embedding model that comes with Atrium."""

from __future__ import annotations

import asyncio
import math

import numpy as np
import pytest

from server.embedded import embedding
from server.embedded.embedding import DIMENSIONS, LocalEmbedding
from server.llm.port import ModelRequestRejected, Vector


def _cosine(one: Vector, other: Vector) -> float:
    return float(one @ other)


async def test_a_text_becomes_a_vector_of_length_one() -> None:
    found = await LocalEmbedding().embed(["A cat sleeps.", "a", "猫", "😀", "word " * 5_000], {})

    assert [len(vector) for vector in found.vectors] == [DIMENSIONS] * 5
    assert [math.hypot(*vector) for vector in found.vectors] == pytest.approx([1.0] * 5, abs=1e-5)


async def test_a_text_has_the_same_vector_alone_and_among_others() -> None:
    model = LocalEmbedding()

    (alone,) = (await model.embed(["A cat sleeps."], {})).vectors
    among = (await model.embed(["Something else, and longer.", "A cat sleeps."], {})).vectors

    assert np.array_equal(among[1], alone)


async def test_tokens_are_counted_over_all_texts() -> None:
    model = LocalEmbedding()
    apart = [(await model.embed([text], {})).usage.prompt_tokens for text in ("A cat sleeps.", "猫在睡觉")]

    together = (await model.embed(["A cat sleeps.", "猫在睡觉"], {})).usage

    assert (together.prompt_tokens, together.completion_tokens, together.estimated) == (sum(apart), 0, False)
    assert min(apart) > 3


@pytest.mark.parametrize(
    ("text", "related", "unrelated"),
    [
        ("A cat sleeps by the window.", "A kitten naps in the sun.", "The quarterly revenue grew."),
        ("How do I reset my password?", "I forgot my login credentials.", "The weather is lovely today."),
        ("The court sentenced the thief.", "A judge punished a criminal.", "Boil the pasta for ten minutes."),
        ("猫在沙发上睡觉", "小猫喜欢睡觉", "季度收入增长了"),
        ("如何重置密码", "忘记密码怎么办", "今天天气很好"),
        ("公司今年的利润增加", "企业的收入增长", "我喜欢吃苹果"),
    ],
)
async def test_related_texts_lie_closer_than_unrelated_ones(text: str, related: str, unrelated: str) -> None:
    one, near, far = (await LocalEmbedding().embed([text, related, unrelated], {})).vectors

    assert _cosine(one, near) > _cosine(one, far)


async def test_texts_without_a_word_are_refused_each_by_its_place() -> None:
    with pytest.raises(ModelRequestRejected) as refusal:
        await LocalEmbedding().embed(["a", "", "b", " \n\t", "\u3000"], {})

    assert [field for field, _ in refusal.value.violations] == ["inputs[1]", "inputs[3]", "inputs[4]"]


async def test_of_many_first_calls_one_loads() -> None:
    embedding._load.cache_clear()
    model = LocalEmbedding()

    found = await asyncio.gather(*(model.embed(["A cat sleeps."], {}) for _ in range(8)))

    assert embedding._load.cache_info().misses == 1
    assert all(np.array_equal(result.vectors, found[0].vectors) for result in found)
