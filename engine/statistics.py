"""What can be said of an array in a few numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.layers.base import Array

BLOCK = 8192
"""Numbers that are turned into float64 at a time: they stay in the cache, and are too few for BLAS
to wake its threads."""

TAME = (1e-100, 1e100)
"""Largest magnitudes whose squares neither vanish nor overflow in float64."""


def norm(array: Array) -> float:
    """The Euclidean norm in float64; infinite where the squares are."""
    with np.errstate(over="ignore", invalid="ignore"):
        return math.sqrt(_sums(np.asarray(array).ravel("K"), 1.0)[1])


def products(arrays: Sequence[Array]) -> NDArray[np.float64]:
    """Inner products of k arrays of one shape with each other, (k, k), in float64.

    The squares of their norms are on the diagonal. Raises ValueError for different shapes.
    """
    arrays = [np.asarray(array) for array in arrays]
    if len({array.shape for array in arrays}) > 1:
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise ValueError(f"products: expected arrays of one shape, received {shapes}")
    # in the order of memory, which is a fast copy, where it is the same one for all
    alike = len({tuple(np.argsort(array.strides, kind="stable")) for array in arrays}) == 1
    flats = [
        array.ravel("K" if alike and min(array.strides, default=0) >= 0 else "C")
        for array in arrays
    ]
    found = np.zeros((len(arrays), len(arrays)))
    if not arrays:
        return found
    length = max(1, BLOCK // len(arrays))
    block = np.empty((len(arrays), length))
    with np.errstate(over="ignore", invalid="ignore"):
        for at in range(0, flats[0].size, length):
            part = block[:, : min(length, flats[0].size - at)]
            for row, flat in zip(part, flats, strict=True):
                row[...] = flat[at : at + length]
            found += part @ part.T
    return found


def _sums(flat: Array, divisor: float) -> tuple[float, float]:
    """Sum and sum of squares of the numbers (n,) over ``divisor``, in float64."""
    total = squares = 0.0
    for at in range(0, flat.size, BLOCK):
        block = flat[at : at + BLOCK].astype(np.float64)
        if divisor != 1:
            block /= divisor
        total += float(block.sum())
        squares += float(np.dot(block, block))
    return total, squares


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
    flat = values.ravel("K")  # in the order of memory: nothing here depends on the order
    zeros = int(flat.size - np.count_nonzero(flat != 0))
    largest = max(abs(low), abs(high))
    if largest == 0:
        return Statistics(size, low, high, 0.0, 0.0, zeros, nan, infinity, minus)
    unit = 1.0 if TAME[0] < largest < TAME[1] else largest
    total, squares = _sums(flat, unit)
    mean, length = total / flat.size, math.sqrt(squares)
    variance = squares / flat.size - mean * mean
    if variance < 1e-6 * mean * mean:  # the difference of two nearly equal numbers
        varied = flat.astype(np.float64) / unit - mean
        variance = float(np.dot(varied, varied)) / flat.size
    spread = 0.0 if low == high else math.sqrt(variance)
    return Statistics(
        size,
        low,
        high,
        mean * unit,
        length * unit,
        zeros,
        nan,
        infinity,
        minus,
        spread * unit,
    )
