"""Every test here reads one contract, and those about a method run for each of them."""

from __future__ import annotations

import pytest

from tests.contract.contract import CONTRACT, Contract


@pytest.fixture(scope="session")
def contract() -> Contract:
    return CONTRACT


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for a `method` runs once for every RPC."""
    if "method" in metafunc.fixturenames:
        metafunc.parametrize("method", CONTRACT.methods, ids=str)
