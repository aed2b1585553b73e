"""Anthropic's models where the extra is not installed."""

from __future__ import annotations

import subprocess
import sys

WITHOUT = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "anthropic":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Blocked())
from importlib.util import find_spec

from server.llm.port import ModelNotConfigured
from server.llm.registry import Endpoint, Registry
from server.settings import Settings

try:
    Registry(Settings(), {}, {}).chat(Endpoint("anthropic", "claude", None, "key", False))
except ModelNotConfigured as error:
    print(error)
"""


def test_without_the_extra_the_server_starts_and_says_that_the_model_is_not_set_up() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True)

    assert (
        done.stdout == "The model claude cannot be called: its provider is not set up, or is not where it should be.\n"
    )
