"""What a server calls: a stubbed provider of models, and the local models, loaded once.

A pytest plugin: the top conftest names it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.fakes.openai_stub import OpenAIStub


@pytest.fixture
async def stub() -> AsyncIterator[OpenAIStub]:
    """A provider of the test's own."""
    async with OpenAIStub() as running:
        yield running
