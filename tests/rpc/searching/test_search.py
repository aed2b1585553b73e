"""Search: what it finds, how well, and how much of it."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import grpc
import pytest

from atrium.knowledge.v1 import knowledge_base_pb2 as bases
from tests.factories.knowledge import make_base
from tests.factories.searches import (
    HYBRID,
    MODES,
    TEXT,
    VECTOR,
    configure,
    found,
    indexed,
    query_logs,
    search,
)
from tests.factories.world import Person, World, refused
from tests.gateways import logs_of

Code = grpc.StatusCode

TIDES = "The moon pulls the sea, and twice a day the tide comes in."
BREAD = "Flour, water and salt make a loaf once yeast has lifted the dough."
LAW = "A contract is void where one of the parties could not have consented to it."
TEA = "绿茶的水温应当在八十度左右，太热会发苦。"
TRAIN = "高速铁路连接北京和上海，全程大约四个半小时。"
SHELF = (TIDES, BREAD, LAW, TEA, TRAIN)

QUESTIONS = {
    "the moon and the tide": TIDES,
    "How much salt is in the dough of a loaf?": BREAD,
    "When is a contract void?": LAW,
    "绿茶的水温": TEA,
    "北京到上海的铁路": TRAIN,
}


async def _shelf(world: World, person: Person, **fields: Any) -> str:
    """A base with a few documents about very different things."""
    base_id = await make_base(world, person, **fields)
    await indexed(world, person, base_id, *SHELF)
    return base_id


async def _water(world: World, person: Person, **fields: Any) -> str:
    """A base of a dozen documents that a question finds all of, some better than others."""
    base_id = await make_base(world, person, **fields)
    await indexed(world, person, base_id, *("water " * count + "and stones" * 3 for count in range(1, 13)))
    return base_id


async def test_every_mode_finds_what_answers_in_english_and_in_chinese(world: World) -> None:
    owner = await world.tenant()
    base_id = await _shelf(world, owner)

    for mode in MODES:
        for question, answer in QUESTIONS.items():
            results = (await search(world, owner, base_id, question, mode=mode)).results

            scores = [one.score for one in results]
            assert results[0].content == answer, (mode, question)
            assert scores == sorted(scores, reverse=True)
            assert all(0 <= score <= 1 for score in scores)
            assert len({one.chunk_id for one in results}) == len(results)
            assert results[0].HasField("vector_score") is (mode != TEXT)
            assert results[0].HasField("text_score") is (mode != VECTOR)
            for one in results:
                assert mode != TEXT or one.text_score > 0
                assert one.HasField("vector_score") or mode == TEXT
                assert not (mode == VECTOR and one.HasField("text_score"))
                assert not one.HasField("vector_score") or -1 <= one.vector_score <= 1.0001


async def test_a_search_that_names_no_mode_is_hybrid(world: World) -> None:
    owner = await world.tenant()
    base_id = await _shelf(world, owner)

    either = await search(world, owner, base_id, "the moon and the tide")
    hybrid = await search(world, owner, base_id, "the moon and the tide", mode=HYBRID)

    assert list(either.results) == list(hybrid.results)
    assert [log.mode for log in await query_logs(world, owner)] == [HYBRID, HYBRID]


async def test_what_is_found_says_where_it_is_from(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    said = {"title": "On the sea", "file_name": "sea.md", "metadata": {"year": 2030, "tags": ["moon", None]}}
    (document,) = await indexed(world, owner, base_id, "# Tides\n\n## Spring\n\n" + TIDES, **said)

    (one,) = (await search(world, owner, base_id, "the moon", mode=TEXT)).results

    assert (one.document_id, one.knowledge_base_id, one.document_title) == (document.id, base_id, "On the sea")
    assert (one.chunk_index, one.heading, one.HasField("page")) == (0, "Tides", False)
    assert one.content.endswith(TIDES)
    assert one.metadata == document.metadata


async def test_a_document_without_a_title_is_called_as_its_file(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    await indexed(world, owner, base_id, TIDES, file_name="sea.txt")
    await indexed(world, owner, base_id, BREAD)

    results = (await search(world, owner, base_id, "moon or bread flour", mode=TEXT)).results

    assert {one.content: one.document_title for one in results} == {TIDES: "sea.txt", BREAD: ""}


async def test_how_many_are_given_is_the_requests_to_say_then_the_bases_then_the_tenants(world: World) -> None:
    owner = await world.tenant()
    base_id, other = await _water(world, owner), await _water(world, owner, name="another")

    async def count(bases: Any, **fields: Any) -> int:
        return len(await found(world, owner, bases, "water", mode=TEXT, **fields))

    usual = await count(base_id)
    await configure(world, owner, vector_search_top_k=3)
    by_tenant = await count(base_id)
    change = bases.UpdateKnowledgeBaseRequest(id=base_id, search_top_k=2)
    await world.knowledge.UpdateKnowledgeBase(change, metadata=owner.metadata)
    by_base, of_several = await count(base_id), await count([base_id, other])
    by_request = [await count(base_id, top_k=4), await count([base_id, other], top_k=100)]

    assert (usual, by_tenant, by_base, of_several, by_request) == (10, 3, 2, 3, [4, 24])
    assert [log.top_k for log in reversed(await query_logs(world, owner))] == [10, 3, 2, 3, 4, 100]


@pytest.mark.parametrize("mode", MODES)
async def test_the_least_score_is_the_requests_to_say_then_the_bases_then_the_tenants(world: World, mode: int) -> None:
    owner = await world.tenant()
    base_id, empty = await _shelf(world, owner), await make_base(world, owner, "empty")
    question = "water, the moon, the tide and the sea"

    async def count(bases: Any, **fields: Any) -> int:
        return len(await found(world, owner, bases, question, mode=mode, **fields))

    scores = [one.score for one in (await search(world, owner, base_id, question, mode=mode)).results]
    between = round((scores[0] + scores[1]) / 2, 2)
    assert scores[0] > between > scores[1]
    by_request = await count(base_id, score_threshold=between)
    await configure(world, owner, vector_search_threshold=between)
    by_tenant = await count(base_id)
    change = bases.UpdateKnowledgeBaseRequest(id=base_id, search_threshold=0)
    await world.knowledge.UpdateKnowledgeBase(change, metadata=owner.metadata)
    by_base, of_several = await count(base_id), await count([base_id, empty])
    none_so_good = await count(base_id, score_threshold=1) if mode == VECTOR else 0

    assert (by_request, by_tenant, by_base, of_several, none_so_good) == (1, 1, len(scores), 1, 0)


async def test_the_least_score_that_a_request_asks_for_is_held_to_as_it_is(world: World) -> None:
    owner = await world.tenant()
    base_id = await _shelf(world, owner)
    scores = [one.score for one in (await search(world, owner, base_id, "the sea", mode=VECTOR)).results]

    for place, score in enumerate(scores[:3], start=1):
        for least, count in ((score, place), (score + 1e-9, place - 1), (score - 1e-9, place)):
            results = await found(world, owner, base_id, "the sea", mode=VECTOR, score_threshold=least)
            assert len(results) == count, (place, least - score)
        assert (await query_logs(world, owner))[0].score_threshold == pytest.approx(score, abs=0.0051)


async def test_only_documents_that_are_named_or_have_the_metadata_are_found(world: World) -> None:
    owner, other = await world.tenant(), await world.tenant()
    base_id, elsewhere = await make_base(world, owner), await make_base(world, owner, "elsewhere")
    theirs = await make_base(world, other)
    (old,) = await indexed(world, owner, base_id, "Old water", metadata={"year": 1999, "by": {"name": "Ann"}})
    (new,) = await indexed(world, owner, base_id, "New water", metadata={"year": 2030, "tags": ["wet", "cold"]})
    (bare,) = await indexed(world, owner, base_id, "Bare water")
    (away,) = await indexed(world, owner, elsewhere, "Water elsewhere", metadata={"year": 2030})
    (foreign,) = await indexed(world, other, theirs, "Water of theirs", metadata={"year": 2030})
    everything = {"Old water", "New water", "Bare water"}

    for mode in MODES:
        for fields, expected in (
            ({}, everything),
            ({"document_ids": [old.id]}, {"Old water"}),
            ({"document_ids": [old.id, bare.id, away.id]}, {"Old water", "Bare water"}),
            ({"document_ids": [away.id]}, set()),
            ({"document_ids": [foreign.id]}, set()),
            ({"document_ids": [str(uuid4())]}, set()),
            ({"metadata": {"year": 2030}}, {"New water"}),
            ({"metadata": {"tags": ["cold"]}}, {"New water"}),
            ({"metadata": {"by": {"name": "Ann"}}}, {"Old water"}),
            ({"metadata": {"year": "2030"}}, set()),
            ({"metadata": {"no": None}}, set()),
            ({"metadata": {}}, everything),
            ({"metadata": {"year": 2030}, "document_ids": [old.id, new.id]}, {"New water"}),
            ({"metadata": {"year": 2030}, "document_ids": [old.id]}, set()),
            ({"metadata": {"year": 2030}, "document_ids": [away.id]}, set()),
        ):
            given = await found(world, owner, base_id, "water", mode=mode, **fields)

            assert (set(given), len(given)) == (expected, len(expected)), (mode, fields)


async def test_metadata_that_json_has_no_form_for_are_refused(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)

    refusal = await refused(search(world, owner, base_id, "water", metadata={"year": float("nan")}))

    assert (refusal.code, refusal.fields) == (Code.INVALID_ARGUMENT, ["query.metadata"])


async def test_nothing_is_found_in_an_empty_base(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)

    for mode in MODES:
        reply = await search(world, owner, base_id, "water", mode=mode)
        assert not reply.results
    logs = await query_logs(world, owner)
    assert [(log.retrieved_count, log.HasField("average_score")) for log in logs] == [(0, False)] * 3


async def test_words_ask_no_model_and_the_others_embed_the_question_once(world: World) -> None:
    owner = await world.tenant()
    reader = await world.user(owner)
    base_id, other = await _shelf(world, owner), await make_base(world, owner, "another")
    before = len(await logs_of(world, owner))

    await search(world, reader, base_id, "the moon", mode=TEXT)
    by_words = (await logs_of(world, owner))[before:]
    first = await search(world, reader, [base_id, other], "the moon", mode=HYBRID)
    again = await search(world, reader, base_id, "the moon", mode=VECTOR)
    calls = (await logs_of(world, owner))[before:]

    assert by_words == []
    assert [(call.kind, call.user_id, call.cached) for call in calls] == [
        (call.KIND_EMBEDDING, reader.id, cached) for call, cached in zip(calls, (False, True), strict=True)
    ]
    searches = {log.id: log for log in await query_logs(world, owner)}
    for reply, call in zip((first, again), calls, strict=True):
        assert searches[reply.query_log_id].request_id == call.request_id


HOSTILE = {
    "quotes": """it's "quoted" and 'quoted' ''' "" `and so on`""",
    "backslashes": r"C:\temp\\new \' \0 \\",
    "operators": "a & !b | 'c' <-> \\ :* <2> (d",
    "SQL": "'; DROP TABLE knowledge_chunks; -- SELECT $1 %s {0} :name",
    "emoji": "🙂🚀👩‍👩‍👧‍👦 🇨🇳",
    "punctuation": "?!… — (;:)",
    "spaces": " \t\n\u3000 ",
    "nothing that shows": "\u200b\u00ad\ufeff",
    "controls": "\x01\x02\x1f",
    "common words": "the and of a to in is",
    "very long": "water and the moon 水 " * 341,
    "one long word": "w" * 8192,
    "long Chinese": "北京上海" * 682,
    "marks": "a" + "\u0301" * 4000,
    "numbers": "1,000,000.00 -3e99 ٣٤ ½",
    "right to left": "مرحبا بالعالم",
    "no letters of ours": "ภาษาไทย ひらがな 한국어",
}


async def test_whatever_is_asked_a_search_answers(world: World) -> None:
    owner = await world.tenant()
    base_id = await _shelf(world, owner)

    for mode in MODES:
        for kind, text in HOSTILE.items():
            assert len(text.encode()) <= 8192
            reply = await search(world, owner, base_id, text, mode=mode, top_k=100)

            assert all(0 <= one.score <= 1 for one in reply.results), (mode, kind)
    assert len(await found(world, owner, base_id, "the moon", mode=TEXT)) >= 1
    logs = await query_logs(world, owner)
    assert {log.query for log in logs} >= set(HOSTILE.values())


async def test_nothing_is_like_a_question_without_a_word_in_it(world: World) -> None:
    owner = await world.tenant()
    base_id = await _shelf(world, owner)
    before = len(await logs_of(world, owner))

    for mode in MODES:
        assert await found(world, owner, base_id, HOSTILE["spaces"], mode=mode) == []
    assert len(await logs_of(world, owner)) == before


async def test_odd_words_are_found_as_any_others_are(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    odd = ["It's o'clock", r"path\to\nowhere", "x86-64 & arm64", "naïve café", "snake_case_name", "第十三届"]
    await indexed(world, owner, base_id, *odd)

    for text in odd:
        assert (await found(world, owner, base_id, text, mode=TEXT))[0] == text


async def test_nul_is_refused(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)

    refusal = await refused(search(world, owner, base_id, "a\x00b"))

    assert (refusal.code, refusal.fields) == (Code.INVALID_ARGUMENT, ["query.query"])
