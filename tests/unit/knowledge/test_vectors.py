"""Vectors as bases keep them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from server.knowledge.vectors import unit


@pytest.mark.parametrize("length", [1e-30, 1.0, 1e6, 1e30])
def test_a_vector_keeps_its_direction_however_long_it_is(length: float) -> None:
    made = unit(np.array([3.0, 4.0]) * length)

    assert made is not None
    assert made.to_list() == pytest.approx([0.6, 0.8], abs=1e-3)


@pytest.mark.parametrize("vector", [[0.0, 0.0], [math.nan, 1.0], [math.inf, 1.0]])
def test_what_points_nowhere_is_no_vector(vector: list[float]) -> None:
    assert unit(vector) is None
