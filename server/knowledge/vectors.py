"""Vectors as bases keep them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pgvector import HalfVector


def unit(vector: npt.ArrayLike) -> HalfVector | None:
    """Its direction, in halves: cosines know nothing else of it, and a half no number beyond 65,504. None: it has none,
    as it is all zeros, or not of numbers.
    """
    wide = np.asarray(vector, np.float64)
    length = float(np.linalg.norm(wide))
    if not np.isfinite(length) or length == 0:
        return None
    return HalfVector(wide / length)
