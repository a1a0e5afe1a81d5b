"""Enlarging maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.layers.base import Array, OnnxOp, Spec, expect_rank, hyper, pair
from engine.layers.separable import Resampling

MODES = ("nearest", "linear")


@dataclass(frozen=True)
class Resize(Resampling):
    """Enlarges each map by a whole factor, by repeating cells or by drawing lines between them.

    y = R · x · Cᵀ for each map, with a matrix R for the rows and C for the columns. "nearest":
    output row i repeats input row ⌊i / s⌋. "linear": it lies at (i + ½) / s − ½ between two input
    rows, which it mixes by nearness; beyond the first and last row these alone count.

    Gradient: dx = Rᵀ · dy · C: each cell collects from the cells that it took part in.

    Source: ONNX operator Resize (asymmetric with floor; half_pixel); PyTorch's Upsample without
    aligned corners.
    """

    title: ClassVar[str] = "Resize"
    slug: ClassVar[str] = "resize"

    scale: int | tuple[int, int] = hyper(2, "How many times as large.", low=1, high=16)
    mode: str = hyper("nearest", "How cells in between are found.", choices=MODES)

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        expect_rank(specs, 4, "Resize", "It needs maps: put it before the Flatten.")
        n, c, h, w = specs[0].shape
        rows, columns = pair(self.scale)
        return (Spec((n, c, h * rows, w * columns), specs[0].dtype),)

    def matrices(self, height: int, width: int) -> tuple[Array, Array]:
        rows, columns = pair(self.scale)
        return self._matrix(height, rows), self._matrix(width, columns)

    def _matrix(self, size: int, scale: int) -> Array:
        places = np.arange(size * scale)
        matrix = np.zeros((size * scale, size))
        if self.mode == "nearest":
            matrix[places, places // scale] = 1
            return matrix
        at = np.clip((places + 0.5) / scale - 0.5, 0, size - 1)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, size - 1)
        matrix[places, low] += 1 - (at - low)
        matrix[places, high] += at - low
        return matrix

    @property
    def onnx(self) -> OnnxOp:
        linear = self.mode == "linear"
        return OnnxOp(
            "Resize",
            {
                "mode": self.mode,
                "coordinate_transformation_mode": "half_pixel" if linear else "asymmetric",
                **({} if linear else {"nearest_mode": "floor"}),
            },
        )
