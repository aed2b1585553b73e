"""What tenants, users, keys and versions of prompts used of models, summed up as it is asked for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import grpc

from atrium.identity.v1 import api_key_pb2
from atrium.model.v1 import chat_pb2
from atrium.model.v1 import usage_pb2 as pb
from atrium.prompt.v1 import template_pb2 as templates
from atrium.prompt.v1 import version_pb2 as versions
from tests.databases import Scratch
from tests.factories.world import Person, World, refused
from tests.gateways import chat_with, said

Code = grpc.StatusCode

TOKENS = 7
"""Of a call: the stub counts words, reads 4 and writes 3."""


async def test_usage_is_summed_up_by_what_is_asked(gateway: World) -> None:
    ann, other = await gateway.tenant(), await gateway.tenant()
    user = await gateway.user(ann, "models:execute")
    today = datetime.now(UTC).date()
    for person in (ann, user, other):
        await chat_with(gateway, person, "stub-fast-3")
    await refused(chat_with(gateway, user, "stub-cut-2"))
    tomorrow = datetime.now(UTC).date()  # where it is midnight

    async def usage(**fields: Any) -> list[pb.ModelUsage]:
        reply = await gateway.models.GetModelUsage(pb.GetModelUsageRequest(**fields), metadata=ann.metadata)
        return list(reply.usage)

    (total,) = await usage()
    days = await usage(group_by=[pb.USAGE_DIMENSION_DAY])
    by_user = await usage(group_by=[pb.USAGE_DIMENSION_USER, pb.USAGE_DIMENSION_MODEL])
    (users,) = await usage(user_id=user.id)
    nothing = await usage(day_until={"seconds": 1})
    two = await refused(
        gateway.models.GetModelUsage(
            pb.GetModelUsageRequest(user_id=user.id, group_by=[pb.USAGE_DIMENSION_API_KEY]), metadata=ann.metadata
        )
    )

    assert (total.calls, total.errors, total.prompt_tokens + total.completion_tokens) == (3, 1, 2 * TOKENS + 6 + 2)
    assert (total.cost_usd, total.day) == ("22", "")
    assert {one.day for one in days} <= {str(today), str(tomorrow)}
    assert sum(one.calls for one in days) == 3
    assert sorted((one.user_id == user.id, one.calls) for one in by_user) == [(False, 1), (True, 1), (True, 1)]
    assert (users.calls, users.errors) == (2, 1)
    assert [one.calls for one in nothing] == [0]
    assert (two.code, two.reason) == (Code.INVALID_ARGUMENT, "DIMENSIONS_EXCLUSIVE")


async def test_usage_is_read_whole_page_by_page(gateway: World, scratch: Scratch) -> None:
    ann, other = await gateway.tenant(), await gateway.tenant()
    users = [await gateway.user(ann, "models:execute") for _ in range(3)]
    for user in users:
        await chat_with(gateway, user, "stub-fast-3")
    await gateway.models.GetModelUsage(pb.GetModelUsageRequest(), metadata=ann.metadata)  # for which all are counted
    async with scratch.connect(scratch.owner_url) as owner:
        await owner.execute(
            "INSERT INTO usage_rollups (tenant_id, grain, day, model_id, user_id, calls)"
            " SELECT tenant_id, grain, day - 1, model_id, user_id, 2 FROM usage_rollups WHERE grain = 'user'"
        )
    asked = {"group_by": [pb.USAGE_DIMENSION_DAY, pb.USAGE_DIMENSION_USER], "limit": 4, "day_from": {"seconds": 0}}

    async def page(person: Person, **fields: Any) -> pb.GetModelUsageResponse:
        return await gateway.models.GetModelUsage(pb.GetModelUsageRequest(**fields), metadata=person.metadata)

    first = await page(ann, **asked)
    second = await page(ann, **asked, page_token=first.next_page_token)
    whole = await page(ann, **{**asked, "limit": 6})
    refusals = [
        await refused(page(whom, **{**asked, **changed}, page_token=first.next_page_token))
        for whom, changed in ((other, {}), (ann, {"group_by": [pb.USAGE_DIMENSION_DAY]}), (ann, {"limit": 5}))
    ]

    assert [*first.usage, *second.usage] == list(whole.usage)
    assert [len(first.usage), len(second.usage)] == [4, 2]
    assert (bool(first.next_page_token), second.next_page_token, whole.next_page_token) == (True, "", "")
    assert [one.calls for one in whole.usage] == [2, 2, 2, 1, 1, 1]
    assert {one.user_id for one in whole.usage} == {user.id for user in users}
    assert {refusal.reason for refusal in refusals} == {"PAGE_TOKEN_INVALID"}


async def test_usage_is_told_apart_by_key_and_by_the_version_of_a_prompt(gateway: World) -> None:
    ann = await gateway.tenant()
    made = api_key_pb2.CreateApiKeyRequest(name="key", scopes=["models:execute"])
    key = await gateway.identity.CreateApiKey(made, metadata=ann.metadata)
    new = templates.CreateTemplateRequest(name="x", visibility=templates.VISIBILITY_TENANT)
    template_id = (await gateway.prompts.CreateTemplate(new, metadata=ann.metadata)).template.id
    text = versions.CreateVersionRequest(template_id=template_id, text="Say hello")
    version = (await gateway.prompts.CreateVersion(text, metadata=ann.metadata)).version
    plain = chat_pb2.ChatRequest(**said("stub-fast-3"))

    await chat_with(gateway, ann, "stub-fast-3")
    await gateway.models.Chat(plain, metadata=(("x-api-key", key.secret),))
    await chat_with(gateway, ann, "stub-fast-3", prompt=chat_pb2.Prompt(template_id=template_id))

    async def usage(**fields: Any) -> list[pb.ModelUsage]:
        request = pb.GetModelUsageRequest(**fields)
        return list((await gateway.models.GetModelUsage(request, metadata=ann.metadata)).usage)

    by_key = await usage(group_by=[pb.USAGE_DIMENSION_API_KEY])
    by_version = await usage(group_by=[pb.USAGE_DIMENSION_PROMPT_VERSION])
    assert [(one.api_key_id, one.calls, one.prompt_tokens + one.completion_tokens) for one in by_key] == [
        (key.api_key.id, 1, TOKENS)
    ]
    assert [(one.prompt_version_id, one.calls) for one in by_version] == [(version.id, 1)]
    assert [one.calls for one in await usage(api_key_id=key.api_key.id)] == [1]
    assert [one.calls for one in await usage(prompt_version_id=version.id)] == [1]
