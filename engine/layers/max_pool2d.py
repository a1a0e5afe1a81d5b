"""Max pooling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from engine.extent import Extent
from engine.layers.base import (
    Array,
    Ctx,
    Fix,
    Grads,
    OnnxOp,
    Record,
    Result,
    ShapeError,
    Spec,
    Term,
    Terms,
    hyper,
    pair,
)
from engine.layers.pooling import Pooling
from engine.layers.window import LARGEST, Window

LARGEST_INDEX = 1 << 24
"""Up to here float32 holds every whole number."""


@dataclass(frozen=True)
class MaxPool2d(Pooling):
    """Keeps only the largest number of each window, so the picture shrinks and the peaks stay.

    y[n, k, r, c] = max_{i, j} x[n, k, r·s + i·d − p, c·s + j·d − p]

    Gradient: all of dy goes to the cell that won, every other cell of the window gets an exact
    zero; where windows overlap, a cell collects from each window that it won.

    Ties: the first in row-major order wins (as PyTorch and ONNX), which is one element of the
    subdifferential. Padding never wins, however low the numbers are: it counts as −∞, and of cells
    that are −∞ too the first inside wins; a window that lies only in padding (a dilated one can)
    gives −∞ and sends its gradient nowhere. NaN wins over every number, the first of several
    (PyTorch takes the last). With ``ceil_mode`` a window that would start beyond
    input plus left padding is dropped. With ``dilation`` the cells of a window lie apart: of 1 … 16
    as 4×4, kernel 2, stride 1 and dilation 2 give 11, 12, 15, 16.

    With ``return_indices`` a second output says where each number came from: row · W + column in
    its own map of H × W cells without the padding, as PyTorch (ONNX counts through all maps of the
    batch), as whole numbers in the dtype of x; −1 for a window of padding alone.

    Source: Scherer et al. 2010; ONNX operator MaxPool.
    """

    title: ClassVar[str] = "Max pooling"
    slug: ClassVar[str] = "pool"

    padding: int | tuple[int, ...] = hyper(
        0, "Cells around the input, which never win.", low=0, high=LARGEST // 2, unit="cells"
    )
    dilation: int | tuple[int, int] = hyper(
        1, "Distance between neighbouring window cells.", low=1, high=LARGEST, unit="cells"
    )
    ceil_mode: bool = hyper(False, "Keep a last window that hangs over the edge.")
    return_indices: bool = hyper(
        False, "A second output says which cell won, for max unpooling.", later=True
    )

    @property
    def window(self) -> Window:
        """The geometry of the sliding window."""
        return self.sliding(self.dilation, self.ceil_mode)

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        (y,) = super().outputs(*specs)
        if not self.return_indices:
            return (y,)
        height, width = specs[0].shape[2:]
        if height * width > LARGEST_INDEX:
            raise ShapeError(
                f"maps of at most {LARGEST_INDEX:,} cells, so that float32 can count them",
                f"{height}×{width}",
                "Make the maps smaller, or do without indices.",
                (Fix("Set return_indices to false", "set", False, "return_indices"),),
            )
        return y, replace(y, points_into=(height, width))

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        """``saved["argmax"]``: int64 (N, C, H_out, W_out), index row·W + column of the input.

        It is −1 where a window lies only in padding.
        """
        (x,) = xs
        height, width = x.shape[2:]
        window = self.window
        out = window.output_size(height, width)
        padded = window.pad(x, -np.inf)
        y = window.tap(padded, 0, 0, out).copy()
        winner = np.zeros(y.shape, np.int64)
        rows, columns = window.kernel_size
        for position in range(1, rows * columns):
            candidate = window.tap(padded, *divmod(position, columns), out)
            # a strict comparison keeps the first of equals; NaN wins, and the first NaN stays
            wins = (candidate > y) | (np.isnan(candidate) & ~np.isnan(y))
            y = np.where(wins, candidate, y)
            winner = np.where(wins, position, winner)
        argmax = self.locate(winner, x)
        ys = (y, argmax.astype(x.dtype)) if self.return_indices else (y,)
        return Result(ys, {"argmax": argmax, "x": x})

    def locate(self, winner: Array, x: Array) -> Array:
        """Turn window positions i·K + j (N, C, H_out, W_out) into flat indices of the input.

        A window of −∞ alone may name a padding cell; its first cell inside the input is taken, or
        −1 where it has none.
        """
        window, out = self.window, winner.shape[2:]
        i, j = np.divmod(winner, window.kernel_size[1])
        r = i * window.dilation[0] + (np.arange(out[0]) * window.stride[0])[:, None]
        c = j * window.dilation[1] + np.arange(out[1]) * window.stride[1]
        r, c = r - window.before[0], c - window.before[1]
        if not max(window.before):
            return r * x.shape[3] + c
        r = np.where(r < 0, r % window.dilation[0], r)
        c = np.where(c < 0, c % window.dilation[1], c)
        inside = (r < x.shape[2]) & (c < x.shape[3])
        return np.where(inside, r * x.shape[3] + c, -1)

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
        x, argmax, dy = saved["x"], saved["argmax"], dys[0]  # indices have no slope
        n, c, h, w = x.shape
        cells = np.arange(n * c).reshape(n, c, 1, 1) * (h * w) + argmax
        if max(self.window.before):
            won = argmax >= 0
            cells, dy = cells[won], dy[won]
        # bincount adds where overlapping windows chose the same cell, and works in float64
        dx = np.bincount(cells.ravel(), dy.ravel(), minlength=x.size)
        return Grads((dx.reshape(x.shape).astype(dy.dtype),))

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        k, row, column = cell
        x = rec.xs[0]
        rows, columns = self.window.kernel_size
        winner = int(rec.saved["argmax"][rec.sample, k, row, column])
        if port == 1:
            return self._place(k, winner, x)
        terms: list[Term] = []
        chosen = None
        for i in range(rows):
            for j in range(columns):
                r, c = self.window.source(row, column, i, j)
                if not (0 <= r < x.shape[1] and 0 <= c < x.shape[2]):
                    continue
                if r * x.shape[2] + c == winner:
                    chosen = len(terms)
                terms.append(Term(("input", 0, (k, r, c)), float(x[k, r, c]), 1.0))
        return Terms(tuple(terms), "max", "max of the window", chosen)

    def _place(self, k: int, winner: int, x: Array) -> Terms:
        """The terms of an index in map ``k`` of ``x``, and the cell that it means."""
        if winner < 0:
            return Terms((Term(("constant", "nowhere"), -1.0, 1.0),), "sum", "only padding here")
        row, column = divmod(winner, x.shape[2])
        terms = (
            Term(("constant", "row"), float(row), float(x.shape[2]), "columns of a map"),
            Term(("constant", "column"), float(column), 1.0),
            Term(("input", 0, (k, row, column)), float(x[k, row, column]), 0.0, "the largest"),
        )
        return Terms(terms, "sum", "row · W + column of the largest", 2)

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        k, row, column = cell
        dy, argmax = rec.dys[0], rec.saved["argmax"][rec.sample, k]
        if dy is None:
            return Terms((), "sum")
        here = row * rec.xs[0].shape[2] + column
        terms = tuple(
            Term(
                ("output_grad", 0, (k, r, c)),
                float(dy[k, r, c]),
                float(argmax[r, c] == here),
                "won" if argmax[r, c] == here else "lost",
            )
            for r, c, _, _ in self.window.readers(row, column, (dy.shape[1], dy.shape[2]))
        )
        return Terms(terms, "sum", "Σ dy of the windows that this cell won")

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        return self.window.reach_in_maps(specs[0])

    def kinks(self, p: Mapping[str, Array], *xs: Array) -> float:
        """Half the smallest gap between the largest and the second largest cell of a window."""
        (x,) = xs
        window = self.window
        out = window.output_size(*x.shape[2:])
        cells = window.view(window.pad(x, -np.inf), out).reshape(*x.shape[:2], *out, -1)
        if cells.shape[-1] < 2:
            return float("inf")
        top = np.partition(cells, -2, axis=-1)[..., -2:]
        top = top[np.isfinite(top[..., 0])]  # a window with one cell has no rival to overtake
        return float(np.min(top[..., 1] - top[..., 0], initial=np.inf) / 2)

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("MaxPool", {**self.attributes(), "dilations": list(pair(self.dilation))})
