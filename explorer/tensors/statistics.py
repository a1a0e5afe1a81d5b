"""The few numbers that stand over a tensor."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explorer.tensors.scales import format_number


@dataclass(frozen=True)
class Statistics:
    """Of the finite values: range, mean and Euclidean norm; and how many are zero or not finite."""

    size: int
    low: float
    high: float
    mean: float
    norm: float
    zeros: int
    nan: int
    infinity: int
    minus_infinity: int

    @property
    def special(self) -> tuple[int, int, int]:
        return self.nan, self.infinity, self.minus_infinity

    def text(self, symbol: str = "x") -> str:
        """One line, such as ``min −1 · max 2 · mean 0.5 · ‖x‖ 3``."""
        if not self.size:
            return ""
        parts = [
            f"min {format_number(self.low)}",
            f"max {format_number(self.high)}",
            f"mean {format_number(self.mean)}",
            f"‖{symbol}‖ {format_number(self.norm)}",
        ]
        if self.zeros:
            share = 100 * self.zeros / self.size
            # Rounding must not turn "nearly all" into "all", nor "a few" into "none".
            text = "<1" if share < 1 else ">99" if 99 < share < 100 else f"{share:.0f}"
            parts.append(f"{text}% zero")
        return " · ".join(parts)


def statistics_of(array: NDArray) -> Statistics:
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
    mean = float(scaled.mean(dtype=np.float64)) * largest
    norm = math.sqrt(float(np.square(scaled, dtype=np.float64).sum())) * largest
    return Statistics(size, low, high, mean, norm, zeros, nan, infinity, minus)
