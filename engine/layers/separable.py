"""What layers share that mix the rows and the columns of each map by a matrix of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.extent import Axes, Extent, Slide, Table
from engine.layers.base import Array, Ctx, Grads, Layer, Record, Result, Spec, Term, Terms


def product(rows: Array, x: Array, columns: Array) -> Array:
    """rows · x · columnsᵀ for each map of x (N, C, H, W), in x's dtype.

    A factor of 0 takes no part: 0 · NaN would spread NaN over the whole map.
    """
    for matrix in (rows, columns):  # each pass multiplies from the left and turns the maps
        y = np.empty((*x.shape[:2], x.shape[3], len(matrix)), x.dtype)
        for i, factors in enumerate(matrix.astype(x.dtype)):
            used = np.flatnonzero(factors)
            y[..., i] = factors[used] @ x[:, :, used]
        x = y
    return x


@dataclass(frozen=True)
class Resampling(Layer):
    """y = R · x · Cᵀ for each map; a subclass gives ``outputs`` and the two ``matrices``.

    Gradient: dx = Rᵀ · dy · C: each cell collects from the cells that it took part in.
    """

    abstract: ClassVar[bool] = True
    category: ClassVar[str] = "Shape"

    def matrices(self, height: int, width: int) -> tuple[Array, Array]:
        """R (rows out, rows in) and C (columns out, columns in), float64."""
        raise NotImplementedError

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
