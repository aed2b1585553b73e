"""What tests of prompts without a database start from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import UUID, uuid4

import pytest

from server.kernel.principal import Call, Principal, begin_call


@pytest.fixture
def calls() -> Iterator[Callable[[UUID], None]]:
    """What is done from then on is done for a caller of that tenant."""

    def call_of(tenant_id: UUID) -> None:
        made = Call("/test", "request-1", "ab" * 16, "cd" * 8)
        made.principal = Principal(tenant_id, uuid4(), uuid4(), frozenset())
        begin_call(made)

    begun = begin_call(Call("/test", "request-0", "ab" * 16, "cd" * 8))
    yield call_of
    begun.var.reset(begun)  # a fixture that is no coroutine sets it for every test after it
