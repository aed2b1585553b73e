"""Sign-ins: how many a second, what two hundred at once cost the others, and whether a failed one tells anything."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Awaitable, Callable
from ipaddress import ip_network
from time import perf_counter
from typing import Any

import asyncpg
import grpc

from atrium.identity.v1 import identity_service_pb2_grpc, session_pb2, user_pb2
from atrium.tenant.v1 import tenant_pb2, tenant_service_pb2_grpc
from bench.figures import Figure
from bench.stage import Stage, staged

PASSWORD = "the password of a bench"
_PARALLEL = 200
_PEOPLE = 20
_SECONDS = 8.0
_PAUSE_SECONDS = 0.01
_SLICES = 40
WHO = session_pb2.WhoAmIRequest()


def run() -> list[Figure]:
    """About three quarters of a minute."""
    with staged(trusted_proxies=(ip_network("127.0.0.0/8"),)) as stage:
        return asyncio.run(_measure(stage))


async def _measure(stage: Stage) -> list[Figure]:
    address = f"127.0.0.1:{stage.port}"
    async with (
        grpc.aio.insecure_channel(address) as channel,
        grpc.aio.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as other,
    ):
        _, metadata = await stage.sign_in(channel)
        await _found(channel, metadata)
        stub = identity_service_pb2_grpc.IdentityServiceStub(channel)
        calm = await _cheap(identity_service_pb2_grpc.IdentityServiceStub(other), metadata, _sleep(2.0))
        figures = [Figure("WhoAmI beside nothing", _percentile(calm, 99), "ms at the 99th percentile")]
        for addresses in (1, _PARALLEL):
            told: list[bool] = []
            storm = _storm(stub, told, addresses)
            busy = await _cheap(identity_service_pb2_grpc.IdentityServiceStub(other), metadata, storm)
            beside = f"{_PARALLEL} of {addresses} address{'es' if addresses > 1 else ''}"
            figures += [
                Figure(f"sign-ins, {beside}", told.count(True) / _SECONDS, "a second"),
                Figure(f"shed, {beside}", told.count(False) / _SECONDS, "a second"),
                Figure(
                    f"WhoAmI beside {beside}", _percentile(busy, 99), "ms at the 99th percentile", 250, at_most=True
                ),
                Figure(f"WhoAmI beside {beside}", statistics.median(busy), "ms at the median"),
            ]
        medians = await _failures(stage, stub)
        for kind, took in medians.items():
            figures.append(Figure(f"failed: {kind}", took, "ms at the median"))
        apart = max(medians.values()) / min(medians.values()) - 1
        figures.append(Figure("failed: the slowest, beyond the fastest", apart, "of it", 0.1, at_most=True))
        return figures


async def _found(channel: grpc.aio.Channel, metadata: Any) -> None:
    tenants: Any = tenant_service_pb2_grpc.TenantServiceStub(channel)
    administrator = tenant_pb2.CreateTenantRequest.Administrator(
        username="admin", email="a@b.example", password=PASSWORD
    )
    request = tenant_pb2.CreateTenantRequest(
        slug="bench", name="Bench", tier="TIER_ENTERPRISE", administrator=administrator
    )
    await tenants.CreateTenant(request, metadata=metadata)
    users: Any = identity_service_pb2_grpc.IdentityServiceStub(channel)
    token = (await users.Login(_login())).tokens.access_token
    for number in range(_PEOPLE):
        user = user_pb2.CreateUserRequest(username=f"user-{number}", email=f"{number}@b.example", password=PASSWORD)
        await users.CreateUser(user, metadata=(("authorization", f"Bearer {token}"),))


def _login(slug: str = "bench", login: str = "admin", password: str = PASSWORD) -> session_pb2.LoginRequest:
    return session_pb2.LoginRequest(tenant=slug, login=login, password=password)


async def _storm(stub: Any, told: list[bool], addresses: int) -> None:
    """So many callers, of so many addresses, who sign in again and again, and wait as they are told to where they are
    shed: by what one address may have, or by what the process has.
    """
    end = perf_counter() + _SECONDS

    async def sign_in(login: str, address: str) -> None:
        while perf_counter() < end:
            try:
                await stub.Login(_login(login=login), metadata=(("x-forwarded-for", address),))
                told.append(True)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise
                told.append(False)
                await asyncio.sleep(1.0)

    callers = ((f"user-{number % _PEOPLE}", f"192.0.2.{number % addresses}") for number in range(_PARALLEL))
    await asyncio.gather(*(sign_in(*caller) for caller in callers))


async def _cheap(stub: Any, metadata: Any, meanwhile: Awaitable[None]) -> list[float]:
    """How long a cheap call takes, in ms, one after the other while something else goes on."""
    task = asyncio.ensure_future(meanwhile)
    took: list[float] = []
    while not task.done():
        began = perf_counter()
        await stub.WhoAmI(WHO, metadata=metadata)
        took.append((perf_counter() - began) * 1000)
        await asyncio.sleep(_PAUSE_SECONDS)
    await task
    return took


async def _sleep(seconds: float) -> None:
    await asyncio.sleep(seconds)


async def _failures(stage: Stage, stub: Any) -> dict[str, float]:
    """The median time of each kind of failed sign-in, in ms; taken in turn, each as if it were the first."""
    admin: Any = await asyncpg.connect(stage.settings.admin_database_url)
    forget = (
        "DELETE FROM sign_in_throttle; DELETE FROM sign_in_guesses; "
        "UPDATE users SET status = 'active', login_attempts = 0, locked_until = NULL; "
        "UPDATE tenants SET status = 'active' WHERE slug = 'bench'"
    )
    unfamiliar = "; UPDATE sessions SET ip_address = '192.0.2.1'"
    familiar = "; UPDATE sessions SET ip_address = '127.0.0.1'"
    later = "'127.0.0.1', 99, now() + interval '1 hour' FROM"
    blocked = f"; INSERT INTO sign_in_throttle SELECT id, {later} tenants WHERE slug = 'bench'"
    guessed = f"; INSERT INTO sign_in_guesses SELECT tenant_id, id, {later} users WHERE username = 'admin'"
    kinds: dict[str, tuple[str, session_pb2.LoginRequest]] = {
        "wrong password": ("", _login(password="another password")),
        "no such user": ("", _login(login="nobody")),
        "no such tenant": ("", _login(slug="nowhere")),
        "suspended tenant": ("; UPDATE tenants SET status = 'suspended' WHERE slug = 'bench'", _login()),
        "account waits": ("; UPDATE users SET locked_until = now() + interval '1 hour'" + unfamiliar, _login()),
        "account waits, for who is known": (guessed, _login()),
        "address waits": (blocked + unfamiliar, _login()),
        "address waits, for nobody": (blocked, _login(login="nobody")),
        "locked by an administrator": ("; UPDATE users SET status = 'locked' WHERE username = 'admin'", _login()),
        "inactive": ("; UPDATE users SET status = 'inactive' WHERE username = 'admin'", _login()),
    }
    took: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(_SLICES):
        for kind, (arrange, request) in kinds.items():
            await admin.execute(forget + familiar + arrange)
            took[kind].append(await _refused(lambda request=request: stub.Login(request)))
    await admin.close()
    return {kind: statistics.median(times) for kind, times in took.items()}


async def _refused(call: Callable[[], Awaitable[Any]]) -> float:
    began = perf_counter()
    try:
        await call()
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.UNAUTHENTICATED:
            return (perf_counter() - began) * 1000
        raise
    raise AssertionError("the sign-in should have failed")


def _percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]
