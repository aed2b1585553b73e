"""OpenMP's runtime (`libgomp.so.1`), which llama.cpp needs: its wheel brings none, and slim systems have none."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

_NAME = b"libgomp.so.1"
_WHEEL = "pykdtree"
"""A small wheel that bundles the runtime, and of which nothing else is used."""


def provide() -> None:
    """Makes sure that a library loaded after this finds the runtime: the system's, or else the one of the wheel."""
    if sys.platform != "linux":
        return
    try:
        ctypes.CDLL(_NAME.decode(), mode=ctypes.RTLD_GLOBAL)
    except OSError:
        with suppress(PackageNotFoundError):
            load_bundled()


def load_bundled() -> None:
    """Loads the wheel's runtime under the name that others ask for.

    Wheels give what they bundle a name of its own (`libgomp-<hash>.so.1.0.0`), inside the library too, so that two of
    them do not meet; the loader goes by that inner name (`DT_SONAME`). A copy in memory has the common one.

    Raises:
        PackageNotFoundError: the wheel is not installed.
    """
    for file in files(_WHEEL) or []:
        if file.name.startswith("libgomp"):
            own = file.name.encode() + b"\0"
            library = Path(str(file.locate())).read_bytes().replace(own, _NAME.ljust(len(own), b"\0"))
            copy = os.memfd_create(_NAME.decode())
            with os.fdopen(copy, "wb") as memory:
                memory.write(library)
                memory.flush()
                ctypes.CDLL(f"/proc/self/fd/{copy}", mode=ctypes.RTLD_GLOBAL)
