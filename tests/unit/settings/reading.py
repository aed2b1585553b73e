"""Settings read from variables that are named without their prefix."""

from __future__ import annotations

import base64

import pytest

from server.settings import Settings, SettingsError, load_settings

KEY = base64.b64encode(bytes(range(32))).decode()
URL = "postgresql://atrium_app@db.example/atrium"


def load(environment: pytest.MonkeyPatch, **variables: str) -> Settings:
    """What is read of them."""
    for name, value in variables.items():
        environment.setenv(f"ATRIUM_{name}", value)
    return load_settings()


def complaints_of(environment: pytest.MonkeyPatch, **variables: str) -> dict[str, str]:
    """What is said of each variable."""
    with pytest.raises(SettingsError) as refused:
        load(environment, **variables)
    lines = [line.split(": ", 1) for line in str(refused.value).splitlines()]
    assert len({name for name, _ in lines}) == len(lines)
    return {name.removeprefix("ATRIUM_"): text for name, text in lines}
