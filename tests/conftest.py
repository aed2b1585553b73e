"""What every test can ask for, and what each starts from."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Generator, Iterator
from uuid import uuid4

import pytest
import structlog
from hypothesis import HealthCheck, settings

from server.kernel.cores import cores
from server.kernel.ids import PLATFORM_TENANT_ID
from server.kernel.principal import Call, Principal, begin_call
from server.kernel.tasks import Background

pytest_plugins = ["tests.databases", "tests.servers", "tests.upstreams", "tests.gateways"]

_LONG = 60

# An example that a busy machine holds up for a moment is none that fails.
settings.register_profile("patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: many tests wait for a clock, or for a process that starts."""
    return cores() + 1


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected stays until the run ends: nobody need look through it for what is left over, again and again,
    which took a third of the time to collect, and a twentieth of that of a test with a server.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Documents that are made here have the time in them, and workers must agree on what a test is called."""
    return argname if isinstance(val, str | bytes) and len(val) > _LONG else None


@pytest.fixture(autouse=True)
def _no_logging_of_others() -> Iterator[None]:
    """Whatever level a server of an earlier test in this process logged from, and to wherever."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


@pytest.fixture
async def background() -> AsyncIterator[Background]:
    """What owns the tasks of a test that makes its services itself."""
    made = Background()
    yield made
    await made.close(30)


@pytest.fixture
def caller() -> Iterator[Call]:
    """Somebody of the platform's, whose call the test is."""
    call = Call("/test", "request-1", "ab" * 16, "cd" * 8)
    call.principal = Principal(PLATFORM_TENANT_ID, uuid4(), uuid4(), frozenset())
    begun = begin_call(call)
    yield call
    begun.var.reset(begun)  # a fixture that is no coroutine sets it for every test after it
