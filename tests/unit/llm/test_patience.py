"""How long a provider may say nothing, beside how long its callers wait."""

from __future__ import annotations

import pytest

from atrium.model.v1 import model_service_pb2
from atrium.options.v1 import options_pb2
from server.llm.http import PATIENCE
from server.settings import Settings

ANOTHERS_ANSWER_SECONDS = 30


def _ceiling(method: str) -> int:
    """The seconds after which the server ends a call of the method."""
    options = model_service_pb2.DESCRIPTOR.services_by_name["ModelService"].methods_by_name[method].GetOptions()
    return int(options.Extensions[options_pb2.rule].ceiling.seconds)


@pytest.mark.parametrize("silence", [PATIENCE.streamed, PATIENCE.whole])
@pytest.mark.parametrize("method", ["Chat", "StreamChat"])
def test_a_silent_model_is_given_up_while_there_is_time_for_anothers_answer(method: str, silence: float) -> None:
    assert silence <= _ceiling(method) - ANOTHERS_ANSWER_SECONDS


def test_silence_where_vectors_are_made_is_an_outage_before_it_is_the_end_of_the_call() -> None:
    assert PATIENCE.vector <= PATIENCE.vectors <= _ceiling("Embed") - 10
    assert PATIENCE.vector <= Settings.model_fields["ceiling_seconds"].default - 5, "a search waits for one"
