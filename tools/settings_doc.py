"""Makes docs/settings.md from `server.settings.Settings`; `--check` only says whether it is fresh."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from server.settings import Settings

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"

_HEAD = """# Settings

Every setting is an environment variable, read once at start. A wrong value, and a variable that begins with `ATRIUM_`
and is not among these, is named in one message, and the server does not start.

| variable | default | what it decides |
|---|---|---|
"""


def page() -> str:
    """The page as the settings make it now."""
    return _HEAD + "".join(_row(name, field) for name, field in Settings.model_fields.items())


def _row(name: str, field: Any) -> str:
    default = field.get_default(call_default_factory=True)
    shown = "" if default in (None, {}) else f"`{default}`"
    return f"| `ATRIUM_{name.upper()}` | {shown} | {field.description} |\n"


def main() -> None:
    if "--check" in sys.argv:
        sys.exit(0 if PAGE.read_text() == page() else "docs/settings.md is stale: run `make docs`")
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
