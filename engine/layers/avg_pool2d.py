"""Average pooling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.extent import Extent
from engine.layers.base import (
    Array,
    Ctx,
    Grads,
    OnnxOp,
    Record,
    Result,
    Spec,
    Term,
    Terms,
    hyper,
)
from engine.layers.pooling import Pooling
from engine.layers.window import LARGEST, Window


@dataclass(frozen=True)
class AvgPool2d(Pooling):
    """Replaces each window by its average, so the picture shrinks and becomes softer.

    y[n, k, r, c] = (1 / m) Σ_{i, j} x[n, k, r·s + i − p, c·s + j − p]

    Gradient: dy / m to every cell of the window; where windows overlap the shares add.

    The divisor m is the number of cells of the window inside the input; with
    ``count_include_pad`` explicit padding counts too, but what hangs over because of
    ``ceil_mode`` never does. For 1 … 16 as 4×4, kernel 3, stride 2, padding 1 and ceil_mode the
    first row is 14/9, 30/9, 12/6 with the padding counted and 14/4, 30/6, 12/2 without. NaN and
    infinities reach every window that holds them, and no other.

    Source: LeCun et al. 1998, section II.B; ONNX operator AveragePool; PyTorch AvgPool2d.
    """

    title: ClassVar[str] = "Average pooling"
    slug: ClassVar[str] = "avgpool"

    padding: int | tuple[int, ...] = hyper(
        0, "Zeros around the input.", low=0, high=LARGEST // 2, unit="cells"
    )
    ceil_mode: bool = hyper(False, "Keep a last window that hangs over the edge.")
    count_include_pad: bool = hyper(False, "Padding cells count in the divisor.")

    @property
    def window(self) -> Window:
        """The geometry of the sliding window."""
        return self.sliding(1, self.ceil_mode)

    def divisor(self, height: int, width: int) -> Array:
        """m for each output cell: float64 (H_out, W_out)."""
        window = self.window
        out = window.output_size(height, width)
        sides = []
        for i, size in enumerate((height, width)):
            first = np.arange(out[i]) * window.stride[i] - window.before[i]
            low, high = 0, size
            if self.count_include_pad:
                low, high = -window.before[i], size + window.after[i]
            sides.append(np.minimum(first + window.kernel_size[i], high) - np.maximum(first, low))
        return np.multiply.outer(sides[0], sides[1]).astype(np.float64)

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        (x,) = xs
        window = self.window
        out = window.output_size(*x.shape[2:])
        padded = window.pad(x)
        y = np.zeros((*x.shape[:2], *out), x.dtype)
        for i in range(window.kernel_size[0]):
            for j in range(window.kernel_size[1]):
                y += window.tap(padded, i, j, out)
        y /= self.divisor(*x.shape[2:]).astype(x.dtype)
        return Result((y,), {"x": x})

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
        x, (dy,), window = saved["x"], dys, self.window
        share = dy / self.divisor(*x.shape[2:]).astype(dy.dtype)
        padded = np.zeros((*x.shape[:2], *window.padded_size(*x.shape[2:])), dy.dtype)
        for i in range(window.kernel_size[0]):
            for j in range(window.kernel_size[1]):
                tap = window.tap(padded, i, j, (dy.shape[2], dy.shape[3]))
                tap += share
        return Grads((window.body(padded, *x.shape[2:]),))

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        k, row, column = cell
        x = rec.xs[0]
        share = 1 / float(self.divisor(*x.shape[1:])[row, column])
        terms = []
        for i in range(self.window.kernel_size[0]):
            for j in range(self.window.kernel_size[1]):
                r, c = self.window.source(row, column, i, j)
                if 0 <= r < x.shape[1] and 0 <= c < x.shape[2]:
                    terms.append(Term(("input", 0, (k, r, c)), float(x[k, r, c]), share))
        return Terms(tuple(terms), "sum", "Σ x / m")

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        k, row, column = cell
        dy, x = rec.dys[0], rec.xs[0]
        if dy is None:
            return Terms((), "sum")
        divisor = self.divisor(*x.shape[1:])
        terms = tuple(
            Term(("output_grad", 0, (k, r, c)), float(dy[k, r, c]), 1 / float(divisor[r, c]))
            for r, c, _, _ in self.window.readers(row, column, (dy.shape[1], dy.shape[2]))
        )
        return Terms(terms, "sum", "Σ dy / m")

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        return self.window.reach_in_maps(specs[0])

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp(
            "AveragePool", {**self.attributes(), "count_include_pad": int(self.count_include_pad)}
        )
