"""A call that cannot be planned leaves everything as it was."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest

from server.kernel.principal import Call, Principal, begin_call
from server.llm.port import Message, Tool
from server.model.breakers import Breakers
from server.model.catalogue import Catalogues
from server.model.chat import ChatCall
from server.model.service.planning import Planner
from server.model.service.reach import Reach

TENANT, ROUTE, MODEL = uuid4(), uuid4(), uuid4()


class _Catalogues:
    """One route to one model."""

    async def of(self, _: Any) -> Any:
        target = SimpleNamespace(model="model", priority=0, weight=1)
        route = SimpleNamespace(
            id=ROUTE,
            alias="route",
            targets=[target],
            fallbacks={},
            retry=None,
            cooldown_seconds=10.0,
            cooldown_after=1,
            cache_ttl_seconds=60,
        )
        model = SimpleNamespace(id=MODEL, name="model", revision=1, supports_function_calling=True)
        settings = SimpleNamespace(default_model=None, temperature=0, max_tokens_per_request=10)
        return SimpleNamespace(
            tenant_id=TENANT, settings=settings, limits={}, route=lambda _: route, model=lambda *_: model
        )


async def test_a_call_that_fails_before_any_model_is_asked_is_nobodys_trial() -> None:
    moment = [0.0]
    breakers = Breakers(lambda: moment[0])
    breakers.failed(ROUTE, MODEL, "outage", after=1, cooldown=10)
    moment[0] = 10.0
    reach = SimpleNamespace(chat=lambda *_: None)
    planner = Planner(cast("Catalogues", _Catalogues()), cast("Reach", reach), breakers)
    call = Call("/test", "request-1", "ab" * 16, "cd" * 8)
    call.principal = Principal(TENANT, uuid4(), uuid4(), frozenset())
    begin_call(call)
    asked = ChatCall("route", [Message("user", "Hi")], tools=[Tool("t", "", {"no": {"JSON"}})])

    with pytest.raises(TypeError):
        await planner.chat(asked)

    assert breakers.allows(ROUTE, MODEL)
