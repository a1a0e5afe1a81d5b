"""What can be said of an array in a few numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engine.layers.base import Array


def norm(array: Array) -> float:
    """The Euclidean norm in float64; infinite where the squares are."""
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.sqrt(np.square(array, dtype=np.float64).sum()))


@dataclass(frozen=True)
class Statistics:
    """Of the finite values: range, mean, spread (standard deviation) and Euclidean norm.

    Beside them how many values are zero or not finite.
    """

    size: int
    low: float
    high: float
    mean: float
    norm: float
    zeros: int
    nan: int
    infinity: int
    minus_infinity: int
    spread: float = 0.0

    @property
    def special(self) -> tuple[int, int, int]:
        """How many are NaN, +∞ and −∞."""
        return self.nan, self.infinity, self.minus_infinity

    @property
    def finite(self) -> bool:
        """Whether every value is a finite number."""
        return not any(self.special)

    @property
    def zero_share(self) -> float:
        """Which share of all values is exactly zero; 0 for an empty array."""
        return self.zeros / self.size if self.size else 0.0


def statistics_of(array: Array) -> Statistics:
    """Statistics of an array of any shape and real dtype, computed in float64."""
    values = np.asarray(array)
    if values.dtype not in (np.float32, np.float64):
        values = values.astype(np.float64)
    size = values.size
    nan = infinity = minus = 0
    low = high = 0.0
    if size:
        low, high = float(values.min()), float(values.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            nan = int(np.isnan(values).sum())
            infinity = int((values == np.inf).sum())
            minus = int((values == -np.inf).sum())
            values = values[np.isfinite(values)]
            low = float(values.min()) if values.size else 0.0
            high = float(values.max()) if values.size else 0.0
    if not values.size:
        return Statistics(size, 0.0, 0.0, 0.0, 0.0, 0, nan, infinity, minus)
    zeros = int(values.size - np.count_nonzero(values))
    # Divided by the largest magnitude, the squares neither overflow nor vanish.
    largest = max(abs(low), abs(high))
    if largest == 0:
        return Statistics(size, low, high, 0.0, 0.0, zeros, nan, infinity, minus)
    scaled = values.reshape(-1) / np.asarray(largest, values.dtype)
    mean = float(scaled.mean(dtype=np.float64))
    length = math.sqrt(float(np.square(scaled, dtype=np.float64).sum()))
    spread = math.sqrt(float(np.square(scaled - mean, dtype=np.float64).mean()))
    return Statistics(
        size,
        low,
        high,
        mean * largest,
        length * largest,
        zeros,
        nan,
        infinity,
        minus,
        spread * largest,
    )
