"""Unary calls: WhoAmI and CheckPermission against bare echoes, and GetUser against a bare handler that runs the same
SELECT."""

from __future__ import annotations

import asyncio

import grpc
from sqlalchemy import select

from atrium.identity.v1 import identity_service_pb2 as identity
from atrium.identity.v1 import identity_service_pb2_grpc
from bench import bare
from bench.figures import Figure, Side, alternate
from bench.stage import Stage, process, staged
from server.db.statements import Statement
from server.identity.store import users

_SLICES = 12
_SECONDS = 1.0
_CALLERS = 32


def run() -> list[Figure]:
    """About a minute."""
    read = Statement(select(*users.COLUMNS).where(users.THIS, users.LIVE))
    with staged() as stage, process(bare.unary, stage.settings.admin_database_url, read.sql) as (port, pid):
        return asyncio.run(_measure(stage, port, pid))


async def _measure(stage: Stage, port: int, pid: int) -> list[Figure]:
    async with (
        grpc.aio.insecure_channel(f"127.0.0.1:{stage.port}") as channel,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as bare_channel,
    ):
        stub = identity_service_pb2_grpc.IdentityServiceStub(channel)
        user, metadata = await stage.sign_in(channel)
        me = await stub.WhoAmI(identity.WhoAmIRequest(), metadata=metadata)
        get = identity.GetUserRequest(id=user.id)
        echo = bare_channel.unary_unary(
            bare.path("Echo"), identity.WhoAmIResponse.SerializeToString, identity.WhoAmIResponse.FromString
        )
        check = identity.CheckPermissionRequest(permissions=["users:read"])
        checked = await stub.CheckPermission(check, metadata=metadata)
        echo_check = bare_channel.unary_unary(
            bare.path("EchoCheck"),
            identity.CheckPermissionResponse.SerializeToString,
            identity.CheckPermissionResponse.FromString,
        )
        bare_get = bare_channel.unary_unary(
            bare.path("GetUser"), identity.GetUserRequest.SerializeToString, identity.GetUserResponse.FromString
        )

        async def who_am_i() -> int:
            await stub.WhoAmI(identity.WhoAmIRequest(), metadata=metadata)
            return 1

        async def bare_echo() -> int:
            await echo(me)
            return 1

        async def check_permission() -> int:
            await stub.CheckPermission(check, metadata=metadata)
            return 1

        async def bare_echo_check() -> int:
            await echo_check(checked)
            return 1

        async def get_user() -> int:
            await stub.GetUser(get, metadata=metadata)
            return 1

        async def bare_get_user() -> int:
            await bare_get(get)
            return 1

        figures: list[Figure] = []
        for name, goal, ours, theirs in (
            ("WhoAmI", 0.75, who_am_i, bare_echo),
            ("CheckPermission", 0.7, check_permission, bare_echo_check),
            ("GetUser", 0.7, get_user, bare_get_user),
        ):
            mine, other = Side(ours, stage.pid), Side(theirs, pid)
            ratio = await alternate(mine, other, slices=_SLICES, seconds=_SECONDS, callers=_CALLERS)
            figures += [
                Figure(f"{name} / bare", ratio, "of its throughput", goal),
                Figure(f"{name}", mine.rate, "calls/s"),
                Figure(f"{name}, bare", other.rate, "calls/s"),
                Figure(f"{name}, the server's CPU", mine.cpu_microseconds, "µs a call"),
                Figure(f"{name}, bare, the server's CPU", other.cpu_microseconds, "µs a call"),
            ]
        return figures
