"""Tenants' own keys to providers: used for their calls, never shown, and readable in their own place alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from pydantic import SecretStr

from atrium.model.v1 import call_log_pb2, chat_pb2, embedding_pb2, model_pb2
from atrium.model.v1 import credential_pb2 as pb
from atrium.tenant.v1 import tenant_config_pb2, tenant_pb2
from tests.databases import Scratch
from tests.factories.models import make_model
from tests.factories.world import Person, World, refused
from tests.fakes.openai_stub import OpenAIStub
from tests.processes import atrium, environment
from tests.servers import serving

Code = grpc.StatusCode
CUSTOM, OPENAI = model_pb2.Model.PROVIDER_CUSTOM, model_pb2.Model.PROVIDER_OPENAI
SERVERS, OWN, NEXT = "sk-the-servers-own", "sk-the-tenants-own-1234", "sk-the-tenants-next-5678"
OTHER_MASTER_KEY = SecretStr("B" * 43 + "=")


@asynccontextmanager
async def _gateway(scratch: Scratch, stub: OpenAIStub, **settings: Any) -> AsyncIterator[World]:
    """A server with a key of its own to the stub."""
    keys = {stub.base_url: SecretStr(SERVERS)}
    async with (
        serving(scratch.settings(provider_keys=keys, **settings)) as (app, port),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield World(channel, await app.founding.first_platform_administrator() or ("", ""))


@pytest.fixture
async def gateway(scratch: Scratch, stub: OpenAIStub) -> AsyncIterator[World]:
    """The same, with the stub's models."""
    async with _gateway(scratch, stub) as world:
        await make_model(world, stub.base_url, "stub-fast")
        await make_model(world, stub.base_url, "stub-embed", type=model_pb2.Model.TYPE_EMBEDDING, dimensions=3)
        yield world


async def _bring(world: World, person: Person, stub: OpenAIStub, secret: str = OWN, **fields: Any) -> pb.Credential:
    given = {"provider": CUSTOM, "name": "production", "base_url": stub.base_url, "secret": secret} | fields
    return (
        await world.models.CreateCredential(pb.CreateCredentialRequest(**given), metadata=person.metadata)
    ).credential


async def _used(world: World, person: Person, stub: OpenAIStub) -> set[str]:
    """The keys that a chat and an embedding go out with."""
    seen = len(stub.exchanges)
    messages = [chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_USER, content="Hello")]
    await world.models.Chat(chat_pb2.ChatRequest(model="stub-fast", messages=messages), metadata=person.metadata)
    await world.models.Embed(embedding_pb2.EmbedRequest(model="stub-embed", inputs=["a"]), metadata=person.metadata)
    return {exchange.headers["authorization"].removeprefix("Bearer ") for exchange in stub.exchanges[seen:]}


async def test_calls_go_out_with_the_tenants_own_key_and_nobody_elses_do(gateway: World, stub: OpenAIStub) -> None:
    ann, other = await gateway.tenant(), await gateway.tenant()
    made = await _bring(gateway, ann, stub)
    assert (await _used(gateway, ann, stub), await _used(gateway, other, stub)) == ({OWN}, {SERVERS})

    rotate = pb.RotateCredentialRequest(id=made.id, secret=NEXT, etag=made.etag)
    rotated = (await gateway.models.RotateCredential(rotate, metadata=ann.metadata)).credential
    stale = await refused(gateway.models.RotateCredential(rotate, metadata=ann.metadata))
    assert (await _used(gateway, ann, stub), rotated.last_four, stale.reason) == ({NEXT}, "5678", "ETAG_MISMATCH")

    delete = pb.DeleteCredentialRequest(id=made.id, etag=rotated.etag)
    await gateway.models.DeleteCredential(delete, metadata=ann.metadata)
    assert await _used(gateway, ann, stub) == {SERVERS}


async def test_a_key_goes_to_the_address_it_is_for_and_to_no_other(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    await _bring(gateway, ann, stub, base_url="https://models.example/v1")
    await _bring(gateway, ann, stub, provider=OPENAI, base_url="", name="openai")

    assert await _used(gateway, ann, stub) == {SERVERS}


async def test_a_slash_at_the_end_of_an_address_makes_it_no_other(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    await _bring(gateway, ann, stub, base_url=f"{stub.base_url}/")

    assert await _used(gateway, ann, stub) == {OWN}


@pytest.mark.parametrize(
    ("secret", "shown"), [("12345678", "78"), ("123456789012345", "345"), ("1" * 12 + "2345", "2345")]
)
async def test_no_more_than_a_quarter_of_a_short_secret_is_shown(gateway: World, secret: str, shown: str) -> None:
    ann = await gateway.tenant()
    request = pb.CreateCredentialRequest(provider=OPENAI, name="short", secret=secret)

    made = (await gateway.models.CreateCredential(request, metadata=ann.metadata)).credential
    again = pb.RotateCredentialRequest(id=made.id, secret=secret, etag=made.etag)
    rotated = (await gateway.models.RotateCredential(again, metadata=ann.metadata)).credential

    assert (made.last_four, rotated.last_four) == (shown, shown)


async def test_a_credential_is_listed_and_never_shown(gateway: World, stub: OpenAIStub, admin: Any) -> None:
    ann = await gateway.tenant()
    made = await _bring(gateway, ann, stub)
    taken = pb.CreateCredentialRequest(provider=CUSTOM, name="production", base_url=stub.base_url, secret=NEXT)
    refusal = await refused(gateway.models.CreateCredential(taken, metadata=ann.metadata))

    listed = (await gateway.models.ListCredentials(pb.ListCredentialsRequest(), metadata=ann.metadata)).credentials
    await gateway.models.DeleteCredential(pb.DeleteCredentialRequest(id=made.id), metadata=ann.metadata)

    assert (refusal.code, refusal.reason) == (Code.ALREADY_EXISTS, "CREDENTIAL_NAME_TAKEN")
    assert list(listed) == [made]
    assert (made.name, made.base_url, made.last_four) == ("production", stub.base_url, "1234")
    actions = await admin.fetch("SELECT action FROM audit_logs WHERE resource_id = $1 ORDER BY id", made.id)
    assert [row["action"] for row in actions] == ["credentials.create", "credentials.delete"]
    tables = await admin.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
    )
    for table in tables:
        text = await admin.fetchval(f"SELECT string_agg(t::text, ' ') FROM {table['relname']} t")
        for secret in (OWN, NEXT):
            assert secret not in (text or ""), table
            assert secret.encode().hex() not in (text or ""), table


async def test_a_ciphertext_opens_in_its_own_row_alone(gateway: World, stub: OpenAIStub, admin: Any) -> None:
    ann, other = await gateway.tenant(), await gateway.tenant()
    first = await _bring(gateway, ann, stub)
    second = await _bring(gateway, ann, stub, NEXT, name="second")
    foreign = await _bring(gateway, other, stub, "sk-another-tenants")
    messages = [chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_USER, content="Hello")]
    chat = chat_pb2.ChatRequest(model="stub-fast", messages=messages)
    moved = (
        "UPDATE provider_credentials AS it SET ciphertext = f.ciphertext, nonce = f.nonce FROM provider_credentials f "
        "WHERE it.id = $1 AND f.id = $2"
    )
    assert await _used(gateway, ann, stub) == {NEXT}, "the newest of several"

    for source in (first.id, foreign.id):
        await admin.execute(moved, second.id, source)
        # What was changed behind the server's back is read with the next change before it.
        change = tenant_config_pb2.UpdateTenantConfigRequest(temperature=1.0)
        await gateway.tenants.UpdateTenantConfig(change, metadata=ann.metadata)

        refusal = await refused(gateway.models.Chat(chat, metadata=ann.metadata))
        assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "MODEL_NOT_CONFIGURED")
    assert await _used(gateway, other, stub) == {"sk-another-tenants"}


async def test_own_credentials_are_what_the_tier_gives(gateway: World, stub: OpenAIStub, admin: Any) -> None:
    free = await gateway.tenant(tenant_pb2.Tenant.TIER_FREE)
    pro = await gateway.tenant(tenant_pb2.Tenant.TIER_PRO)
    request = pb.CreateCredentialRequest(provider=CUSTOM, name="own", base_url=stub.base_url, secret=OWN)
    made = await _bring(gateway, pro, stub)

    refusal = await refused(gateway.models.CreateCredential(request, metadata=free.metadata))
    user = await gateway.user(free)
    without = await refused(gateway.models.CreateCredential(request, metadata=user.metadata))
    await admin.execute("UPDATE tenants SET subscription_ends_at = now() WHERE id = $1", pro.tenant_id)
    ended = await refused(
        gateway.models.RotateCredential(pb.RotateCredentialRequest(id=made.id, secret=NEXT), metadata=pro.metadata)
    )
    await gateway.models.DeleteCredential(pb.DeleteCredentialRequest(id=made.id), metadata=pro.metadata)

    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "FEATURE_MISSING")
    assert (without.code, without.reason) == (Code.PERMISSION_DENIED, "PERMISSION_MISSING")
    assert ended.reason == "FEATURE_MISSING"


async def test_a_wrong_key_is_said_to_be_and_logged(gateway: World, stub: OpenAIStub, admin: Any) -> None:
    ann = await gateway.tenant()
    await make_model(gateway, stub.base_url, "stub-status-401")
    await _bring(gateway, ann, stub)
    messages = [chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_USER, content="Hello")]

    refusal = await refused(
        gateway.models.Chat(chat_pb2.ChatRequest(model="stub-status-401", messages=messages), metadata=ann.metadata)
    )

    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "MODEL_CREDENTIAL_REFUSED")
    (log,) = (await gateway.models.ListCallLogs(call_log_pb2.ListCallLogsRequest(), metadata=ann.metadata)).call_logs
    assert log.status == call_log_pb2.CallLog.STATUS_ERROR


async def test_fifty_at_once_make_one_data_key(gateway: World, stub: OpenAIStub, admin: Any) -> None:
    ann = await gateway.tenant()

    await asyncio.gather(
        *(_bring(gateway, ann, stub, f"sk-number-{number}", name=f"n{number}") for number in range(50))
    )

    assert await admin.fetchval("SELECT count(*) FROM tenant_keys") == 1
    (used,) = await _used(gateway, ann, stub)
    assert used.startswith("sk-number-")


async def test_the_master_key_is_replaced_while_servers_run(gateway: World, scratch: Scratch, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    await _bring(gateway, ann, stub)
    old = scratch.settings().master_key
    assert old is not None
    changed = {"master_key": OTHER_MASTER_KEY, "other_master_keys": (old,)}
    async with (
        _gateway(scratch, stub, other_master_keys=(OTHER_MASTER_KEY,)) as knowing,
        _gateway(scratch, stub, **changed) as new,
    ):
        settings = environment(scratch) | {
            "ATRIUM_MASTER_KEY": OTHER_MASTER_KEY.get_secret_value(),
            "ATRIUM_OTHER_MASTER_KEYS": f'["{old.get_secret_value()}"]',
        }
        over = asyncio.Event()

        async def call_again_and_again() -> None:
            """Before, meanwhile and afterwards."""
            last = False
            while not last:
                last = over.is_set()
                for world in (knowing, new):
                    assert await _used(world, ann, stub) == {OWN}
                    await world.sign_in(ann.tenant, "admin")

        calling = asyncio.create_task(call_again_and_again())
        async with atrium(settings, "master-key", "rewrap") as process:
            assert await process.end() == 0, process.errors
        over.set()
        await calling
    async with _gateway(scratch, stub, master_key=OTHER_MASTER_KEY) as alone:
        assert await _used(alone, ann, stub) == {OWN}


async def test_of_several_for_one_address_the_newest_is_used_however_each_is_written(
    gateway: World, stub: OpenAIStub
) -> None:
    ann = await gateway.tenant()
    for name, slash in (("one", "/"), ("two", ""), ("three", "/")):
        await _bring(gateway, ann, stub, f"sk-{name}-1234", name=name, base_url=stub.base_url + slash)

    assert await _used(gateway, ann, stub) == {"sk-three-1234"}
