"""What every test can ask for, and what each starts from."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

from server.kernel.tasks import Background

pytest_plugins = ["tests.databases", "tests.servers", "tests.upstreams", "tests.gateways"]

# An example that a busy machine holds up for a moment is none that fails.
settings.register_profile("patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


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
