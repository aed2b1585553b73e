"""The pauses between tries, in tests that do not wait for them."""

from __future__ import annotations

import pytest

from server.kernel.tasks import Pauses


def noted_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long each pause from now on would have been, in seconds; none is made."""
    noted: list[float] = []
    after = Pauses.after

    def note(pauses: Pauses, seconds: float = 0.0) -> float:
        noted.append(after(pauses, seconds))
        return 0

    monkeypatch.setattr(Pauses, "after", note)
    return noted
