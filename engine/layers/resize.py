"""Enlarging maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.extent import Axes, Extent, Slide, Table
from engine.layers.base import (
    Array,
    Ctx,
    Grads,
    Layer,
    OnnxOp,
    Record,
    Result,
    Spec,
    Term,
    Terms,
    expect_rank,
    hyper,
    pair,
)
from engine.layers.separable import product

MODES = ("nearest", "linear")


@dataclass(frozen=True)
class Resize(Layer):
    """Enlarges each map by a whole factor, by repeating cells or by drawing lines between them.

    y = R · x · Cᵀ for each map, with a matrix R for the rows and C for the columns. "nearest":
    output row i repeats input row ⌊i / s⌋. "linear": it lies at (i + ½) / s − ½ between two input
    rows, which it mixes by nearness; beyond the first and last row these alone count.

    Gradient: dx = Rᵀ · dy · C: each cell collects from the cells that it took part in.

    Source: ONNX operator Resize (asymmetric with floor; half_pixel); PyTorch's Upsample without
    aligned corners.
    """

    title: ClassVar[str] = "Resize"
    category: ClassVar[str] = "Shape"
    slug: ClassVar[str] = "resize"

    scale: int | tuple[int, int] = hyper(2, "How many times as large.", low=1, high=16)
    mode: str = hyper("nearest", "How cells in between are found.", choices=MODES)

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        expect_rank(specs, 4, "Resize", "It needs maps: put it before the Flatten.")
        n, c, h, w = specs[0].shape
        rows, columns = pair(self.scale)
        return (Spec((n, c, h * rows, w * columns), specs[0].dtype),)

    def matrices(self, height: int, width: int) -> tuple[Array, Array]:
        """R (rows out, rows in) and C (columns out, columns in), float64."""
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

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        (x,) = xs
        r, c = self.matrices(*x.shape[2:])
        return Result((product(r, x, c),), {"x": x})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx = Ctx(),
    ) -> Grads:
        if not need[0]:
            return Grads((None,))
        r, c = self.matrices(*saved["x"].shape[2:])
        return Grads((product(r.T, dys[0], c.T),))

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        k, row, column = cell
        x = rec.xs[0]
        rows, columns = self.matrices(*x.shape[1:])
        terms = tuple(
            Term(
                ("input", 0, (k, int(r), int(c))),
                float(x[k, r, c]),
                float(rows[row, r] * columns[column, c]),
            )
            for r in np.flatnonzero(rows[row])
            for c in np.flatnonzero(columns[column])
        )
        return Terms(terms, "sum", "Σ R · x · C")

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        k, row, column = cell
        dy = rec.dys[0]
        if dy is None:
            return Terms((), "sum")
        rows, columns = self.matrices(*rec.xs[0].shape[1:])
        terms = tuple(
            Term(
                ("output_grad", 0, (k, int(r), int(c))),
                float(dy[k, r, c]),
                float(rows[r, row] * columns[c, column]),
            )
            for r in np.flatnonzero(rows[:, row])
            for c in np.flatnonzero(columns[:, column])
        )
        return Terms(terms, "sum", "Σ R · dy · C")

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        channels, height, width = specs[0].shape[1:]
        tables = (Table(m != 0) for m in self.matrices(height, width))
        return Axes((Slide(channels, channels), *tables))

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
