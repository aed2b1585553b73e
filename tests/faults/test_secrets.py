"""The log of a whole server run: nothing secret is in it, and nothing of what was said."""

from __future__ import annotations

import json
import signal
from datetime import timedelta
from typing import Any
from uuid import uuid4

import grpc

from atrium.identity.v1 import api_key_pb2, password_pb2, session_pb2, user_pb2
from atrium.model.v1 import chat_pb2, credential_pb2, embedding_pb2, model_pb2, stream_pb2
from atrium.prompt.v1 import prompt_service_pb2 as prompt
from atrium.tenant.v1 import tenant_config_pb2
from tests.databases import Scratch
from tests.factories.models import make_model
from tests.factories.prompts import NAME, make_template, make_version
from tests.factories.world import PASSWORD, Person, World, refused
from tests.fakes.openai_exchange import SECRET
from tests.fakes.openai_stub import OpenAIStub
from tests.processes import atrium, environment

CODE = grpc.StatusCode
SERVERS, OWN, NEXT = "sk-of-the-server-3141", "sk-of-the-tenant-5926", "sk-that-comes-next-5358"
WRONG, NEW = "a wrong horse battery 9793", "another horse battery 2384"
SAID, TEMPLATE, VALUE, EMBEDDED = (f"said-{what}-6264" for what in ("message", "template", "value", "text"))
CHAT, EMBEDDING = model_pb2.Model.TYPE_CHAT, model_pb2.Model.TYPE_EMBEDDING


def _asked(name: str, **fields: Any) -> dict[str, Any]:
    message = chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_USER, content=SAID)
    return {"model": name, "messages": [message], **fields}


async def _models(world: World, stub: OpenAIStub) -> None:
    for name in ("stub-fast-3", "stub-401", "stub-400", "stub-500", "stub-html", "stub-error-event-2"):
        await make_model(world, stub.base_url, name)
    await make_model(world, stub.base_url, "stub-embed-8", type=EMBEDDING, dimensions=8)


async def _sign_in_and_out(world: World, ann: Person) -> list[str]:
    """With passwords that are right, wrong and changed; the tokens that were made."""
    wrong = session_pb2.LoginRequest(tenant=ann.tenant, login="admin", password=WRONG)
    assert (await refused(world.identity.Login(wrong))).code is CODE.UNAUTHENTICATED
    other = await world.user(ann)
    await world.identity.RefreshToken(session_pb2.RefreshTokenRequest(refresh_token=other.tokens.refresh_token))
    await refused(world.identity.RefreshToken(session_pb2.RefreshTokenRequest(refresh_token=WRONG)))
    change = password_pb2.ChangePasswordRequest(current_password=WRONG, new_password=NEW)
    await refused(world.identity.ChangePassword(change, metadata=other.metadata))
    change.current_password = PASSWORD
    await world.identity.ChangePassword(change, metadata=other.metadata)
    again = await world.sign_in(ann.tenant, other.username, NEW)
    await refused(world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=(("authorization", f"Bearer {WRONG}"),)))
    tokens = [person.tokens for person in (ann, other, again)]
    return [text for one in tokens for text in (one.access_token, one.refresh_token)]


async def _keys(world: World, ann: Person) -> list[str]:
    """Made, used, rotated and wrong."""
    request = api_key_pb2.CreateApiKeyRequest(name="k", scopes=["models:read"], idempotency_key=str(uuid4()))
    key = await world.identity.CreateApiKey(request, metadata=ann.metadata)
    await world.models.ListModels(model_pb2.ListModelsRequest(), metadata=(("x-api-key", key.secret),))
    rotate = api_key_pb2.RotateApiKeyRequest(id=key.api_key.id)
    rotated = await world.identity.RotateApiKey(rotate, metadata=ann.metadata)
    bad = f"{rotated.secret[:-4]}0000"
    await refused(world.models.ListModels(model_pb2.ListModelsRequest(), metadata=(("x-api-key", bad),)))
    return [key.secret, rotated.secret, bad]


async def _calls(world: World, ann: Person) -> None:
    """Of models that answer, refuse and break off, with what was said kept and not."""
    for name in ("stub-401", "stub-400", "stub-500", "stub-html", "stub-error-event-2"):
        await refused(world.models.Chat(chat_pb2.ChatRequest(**_asked(name)), metadata=ann.metadata))
        async for _ in world.models.StreamChat(stream_pb2.StreamChatRequest(**_asked(name)), metadata=ann.metadata):
            pass
    asked = _asked("stub-fast-3", cache_ttl=timedelta(hours=1))
    await world.models.Chat(chat_pb2.ChatRequest(**asked, idempotency_key="k"), metadata=ann.metadata)
    resumable = stream_pb2.StreamChatRequest(**asked, resumable=True, generation_id=str(uuid4()))
    async for _ in world.models.StreamChat(resumable, metadata=ann.metadata):
        pass
    await refused(world.models.Chat(chat_pb2.ChatRequest(**_asked(SAID)), metadata=ann.metadata))
    await refused(
        world.models.Chat(chat_pb2.ChatRequest(**_asked("stub-fast-3", temperature=9)), metadata=ann.metadata)
    )
    embed = embedding_pb2.EmbedRequest(model="stub-embed-8", inputs=[EMBEDDED], cache_ttl=timedelta(hours=1))
    await world.models.Embed(embed, metadata=ann.metadata)


async def _credentials(world: World, ann: Person, stub: OpenAIStub) -> None:
    request = credential_pb2.CreateCredentialRequest(
        provider=model_pb2.Model.PROVIDER_CUSTOM, name="c", base_url=stub.base_url, secret=OWN
    )
    made = (await world.models.CreateCredential(request, metadata=ann.metadata)).credential
    await refused(world.models.CreateCredential(request, metadata=ann.metadata))
    await _calls(world, ann)
    rotate = credential_pb2.RotateCredentialRequest(id=made.id, secret=NEXT)
    await world.models.RotateCredential(rotate, metadata=ann.metadata)
    await _calls(world, ann)


async def _prompts(world: World, ann: Person) -> None:
    template_id = await make_template(world, ann)
    await make_version(
        world, ann, template_id, TEMPLATE + "{{ name.missing.deeper }}{{ 'x' * 10 ** 9 }}", variables=[NAME]
    )
    render = prompt.RenderPromptRequest(template_id=template_id)
    render.variables.update({"name": VALUE})
    await refused(world.prompts.RenderPrompt(render, metadata=ann.metadata))
    named = chat_pb2.Prompt(template_id=template_id, variables=render.variables)
    await refused(world.models.Chat(chat_pb2.ChatRequest(model="stub-fast-3", prompt=named), metadata=ann.metadata))


async def test_nothing_secret_is_in_the_log_of_a_server_and_nothing_that_was_said(
    scratch: Scratch, stub: OpenAIStub, admin: Any
) -> None:
    variables = environment(scratch, provider_keys={stub.base_url: SERVERS}, log_level="debug")
    async with atrium(variables) as process:
        login = await process.administrator()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{await process.port()}") as channel:
            world = World(channel, login)
            await _models(world, stub)
            ann = await world.tenant()
            config = tenant_config_pb2.UpdateTenantConfigRequest(store_prompts=True)
            await world.tenants.UpdateTenantConfig(config, metadata=ann.metadata)
            secrets = [*await _sign_in_and_out(world, ann), *await _keys(world, ann)]
            await _calls(world, ann)
            await _credentials(world, ann, stub)
            await _prompts(world, ann)
            # The database names whole rows in its errors, and what nobody thought of is logged with its error.
            for table in (
                "users",
                "call_contents",
                "response_cache",
                "embedding_cache",
                "generation_events",
                "api_keys",
            ):
                await admin.execute(f"ALTER TABLE {table} ADD CONSTRAINT none CHECK (false) NOT VALID")
            user = user_pb2.CreateUserRequest(username=VALUE, email="a@b.example", password=NEW)
            assert (await refused(world.identity.CreateUser(user, metadata=ann.metadata))).code is CODE.INTERNAL
            await refused(
                world.identity.CreateApiKey(api_key_pb2.CreateApiKeyRequest(name="l", scopes=[]), metadata=ann.metadata)
            )
            await admin.execute("DELETE FROM response_cache")
            await admin.execute("DELETE FROM embedding_cache")
            await _calls(world, ann)
        process.send(signal.SIGINT)
        assert await process.end() == 0

    secrets += [login[1], variables["ATRIUM_MASTER_KEY"], SERVERS, OWN, NEXT, SECRET, PASSWORD, WRONG, NEW]
    secrets += [SAID, TEMPLATE, VALUE, EMBEDDED, "t0 t1", "$argon2"]
    log = "\n".join(process.errors)
    assert [secret for secret in secrets if secret in log] == []
    # What the library of gRPC says by itself is no JSON.
    events = [json.loads(line)["event"] for line in process.errors if line.startswith("{")]
    assert events.count("call") > 60
    assert {"unforeseen error", "what was said in a call is not kept", "not kept to be given again"} <= set(events)
