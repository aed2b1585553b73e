"""The language of expressions: CEL, without the command line that comes with it."""

from __future__ import annotations

import sys
from types import ModuleType

# Its package loads it, and with it a toolkit for terminals: most of the time that a process takes to begin.
sys.modules.setdefault("cel.cli", ModuleType("cel.cli"))

from cel import Context, compile  # noqa: A004, E402
from cel.stdlib import add_stdlib_to_context  # noqa: E402

__all__ = ["Context", "add_stdlib_to_context", "compile"]
