"""How the tests are run."""

from __future__ import annotations

import pytest


@pytest.mark.xdist_group("grouped")
def test_what_is_marked_to_run_on_one_worker_is_kept_together(request: pytest.FixtureRequest) -> None:
    """With some versions of pytest the marks change nothing, and each worker makes what a group shares anew."""
    if not getattr(request.config.option, "loadgroup", False):
        pytest.skip("pytest-xdist is not told to keep groups together")

    assert request.node.nodeid.endswith("@grouped")
