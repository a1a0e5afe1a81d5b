"""Maps of any other size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.layers.base import Array, Fix, OnnxOp, ShapeError, Spec, expect_rank, hyper
from engine.layers.separable import Resampling

MODES = ("nearest", "linear", "cubic")
PLACES = ("half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel", "half_pixel_symmetric")
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


@dataclass(frozen=True)
class Interpolate(Resampling):
    """Makes maps of another size, larger or smaller, from cells near each place.

    y = R · x · Cᵀ for each map, with a matrix R for the rows and C for the columns. Output row i
    lies at a place of the input that ``places`` decides (s is the factor): (i + ½) / s − ½, or
    i · (in − 1) / (out − 1) so that corners meet, or i / s. "nearest" takes one row there,
    "linear" mixes two, "cubic" four (a = ``cubic``). ``antialias`` widens the reach when maps
    shrink, so that every cell takes part.

    Gradient: dx = Rᵀ · dy · C: each cell collects from the cells that it took part in.

    Source: ONNX operator Resize; Keys 1981 (cubic).
    """

    title: ClassVar[str] = "Interpolate"
    slug: ClassVar[str] = "interpolate"

    rows: int = hyper(0, "Rows that come out; 0 to use the factor.", low=0, high=65536)
    columns: int = hyper(0, "Columns that come out; 0 to use the factor.", low=0, high=65536)
    row_scale: float = hyper(2.0, "Rows out for each row in; 0 for size / size.", low=0.0, high=1e6)
    column_scale: float = hyper(
        2.0, "Columns out for each column in; 0 for size / size.", low=0.0, high=1e6
    )
    mode: str = hyper("linear", "How cells in between are found.", choices=MODES)
    places: str = hyper("half_pixel", "Where the cells of the output lie.", choices=PLACES)
    rounding: str = hyper("round_prefer_floor", "Which row is nearest.", choices=ROUNDINGS)
    cubic: float = hyper(-0.75, "Bend of the cubic curve, a.", low=-10.0, high=10.0)
    exclude_outside: bool = hyper(False, "Cells beyond the edge do not count, not even the edge's.")
    antialias: bool = hyper(False, "Reach further when maps shrink.")

    def _sizes(self, height: int, width: int) -> tuple[int, int]:
        return (
            self.rows or math.floor(height * self.row_scale),
            self.columns or math.floor(width * self.column_scale),
        )

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        expect_rank(specs, 4, "Interpolate", "It needs maps: put it before the Flatten.")
        n, c, h, w = specs[0].shape
        rows, columns = self._sizes(h, w)
        if min(rows, columns) < 1:
            fix = (
                Fix("Keep the rows", "set", h, "rows")
                if rows < 1
                else Fix("Keep the columns", "set", w, "columns")
            )
            raise ShapeError(
                "at least one row and column to come out of Interpolate",
                f"{rows}×{columns}",
                "Choose larger sizes or factors.",
                (fix,) if max(rows, columns) >= 1 else (),
            )
        return (Spec((n, c, rows, columns), specs[0].dtype),)

    def matrices(self, height: int, width: int) -> tuple[Array, Array]:
        rows, columns = self._sizes(height, width)
        return (
            self._matrix(height, rows, self.row_scale),
            self._matrix(width, columns, self.column_scale),
        )

    def _at(self, size: int, out: int, scale: float) -> Array:
        """The place in the input of each output cell."""
        i = np.arange(out, dtype=np.float64)
        if self.places == "align_corners":
            length = scale * size
            return i * ((size - 1) / (length - 1)) if length > 1 else np.zeros(out)
        if self.places == "asymmetric":
            return i / scale
        if self.places == "pytorch_half_pixel" and out == 1:
            return np.zeros(1)
        at = (i + 0.5) / scale - 0.5
        if self.places == "half_pixel_symmetric":
            # a size that was rounded down is laid in the middle
            at = at + (size / 2) * (1 - out / (scale * size))
        return at

    def _nearest(self, at: Array, size: int) -> Array:
        if self.rounding == "round_prefer_floor":
            rounded = np.ceil(at - 0.5)
        elif self.rounding == "round_prefer_ceil":
            rounded = np.floor(at + 0.5)
        else:
            rounded = np.floor(at) if self.rounding == "floor" else np.ceil(at)
        return np.clip(rounded, 0, size - 1).astype(int)

    def _weight(self, distance: Array) -> Array:
        """How much a cell at that distance counts."""
        d = np.abs(distance)
        if self.mode == "linear":
            return np.maximum(0, 1 - d)
        a = self.cubic
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        return np.where(d <= 1, near, np.where(d < 2, far, 0))

    def _matrix(self, size: int, out: int, scale: float) -> Array:
        scale = scale or out / size
        at = self._at(size, out, scale)
        matrix = np.zeros((out, size))
        if self.mode == "nearest":
            matrix[np.arange(out), self._nearest(at, size)] = 1
            return matrix
        shrink = min(1.0, scale) if self.antialias else 1.0
        reach = math.ceil((1 if self.mode == "linear" else 2) / shrink) + 1
        # for each output cell (axis 0) the cells of the input near its place
        cells = np.floor(at).astype(int)[:, None] + np.arange(1 - reach, reach + 1)
        weights = self._weight((cells - at[:, None]) * shrink)
        if self.exclude_outside:
            weights = np.where((cells >= 0) & (cells < size), weights, 0)
        if self.exclude_outside or self.antialias:
            total = weights.sum(1, keepdims=True)
            # a place beyond the reach of all cells is the edge
            lost, middle = total[:, 0] == 0, np.arange(2 * reach) == reach
            weights = np.where(lost[:, None], middle, weights / np.where(total == 0, 1, total))
        # a cell beyond the edge counts as the edge
        np.add.at(matrix, (np.arange(out)[:, None], np.clip(cells, 0, size - 1)), weights)
        return matrix

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Interpolate")
