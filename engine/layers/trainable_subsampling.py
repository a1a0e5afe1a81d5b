"""LeNet's subsampling with a trained coefficient and bias for each map."""

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
    Layer,
    OnnxOp,
    ParamSpec,
    Record,
    Result,
    Spec,
    Term,
    Terms,
    expect_rank,
    gathered,
    hyper,
    pair,
)
from engine.layers.window import LARGEST, Window


@dataclass(frozen=True)
class TrainableSubsampling(Layer):
    """Adds up the cells of each window, then scales and shifts the sum by two trained numbers.

    y[n, k, r, c] = w_k · Σ_{i, j} x[n, k, r·m + i, c·m + j] + b_k, with windows of m cells side
    by side (rows and columns that fill no window are left out). LeNet-5 puts a sigmoid behind it;
    S2 has 6 · 2 = 12 and S4 16 · 2 = 32 parameters.

    Gradient: every cell of a window receives w_k · dy; dw_k = Σ dy · (sum of the window),
    db_k = Σ dy.

    The coefficients start at 1 / (cells of a window), as average pooling.

    Source: LeCun et al. 1998, section II.B (layers S2 and S4).
    """

    title: ClassVar[str] = "Trainable subsampling"
    category: ClassVar[str] = "Pooling"
    slug: ClassVar[str] = "subsample"

    kernel_size: int | tuple[int, int] = hyper(
        2,
        "Rows and columns of the window, which moves by as much.",
        low=1,
        high=LARGEST,
        unit="cells",
    )

    @property
    def window(self) -> Window:
        """The geometry of the windows."""
        size = pair(self.kernel_size)
        return Window(size, size)

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        expect_rank(specs, 4, "TrainableSubsampling", "It needs maps: put it before the Flatten.")
        out = self.window.checked_output_size(specs[0], self)
        return (Spec((*specs[0].shape[:2], *out), specs[0].dtype),)

    def parameters(self, *specs: Spec) -> dict[str, ParamSpec]:
        shape, (rows, columns) = (specs[0].shape[1],), pair(self.kernel_size)
        return {
            "weight": ParamSpec(shape, "constant", rows * columns, value=1 / (rows * columns)),
            "bias": ParamSpec(shape, "zeros", rows * columns, decay=False),
        }

    def _sums(self, x: Array) -> Array:
        window = self.window
        return window.view(x, window.output_size(*x.shape[2:])).sum((4, 5))

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        (x,) = xs
        y = self._sums(x) * p["weight"][:, None, None] + p["bias"][:, None, None]
        return Result((y,), {"x": x})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx = Ctx(),
    ) -> Grads:
        x, (dy,) = saved["x"], dys
        dparams = {"weight": (dy * self._sums(x)).sum((0, 2, 3)), "bias": dy.sum((0, 2, 3))}
        if not need[0]:
            return Grads((None,), dparams)
        dx = np.zeros(x.shape, dy.dtype)
        rows, columns = self.window.kernel_size
        shares = (dy * p["weight"][:, None, None]).repeat(rows, 2).repeat(columns, 3)
        dx[:, :, : shares.shape[2], : shares.shape[3]] = shares
        return Grads((dx,), dparams)

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        k, row, column = cell
        x, weight = rec.xs[0], float(rec.params["weight"][k])
        terms = []
        for i, j in np.ndindex(*self.window.kernel_size):
            r, c = self.window.source(row, column, i, j)
            terms.append(Term(("input", 0, (k, r, c)), float(x[k, r, c]), weight, f"w[{k}]"))
        terms.append(Term(("param", "bias", (k,)), float(rec.params["bias"][k]), 1.0, "bias"))
        return Terms(tuple(terms), "sum", "w · Σ x + b")

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        k, row, column = cell
        dy = rec.dys[0]
        if dy is None:
            return Terms((), "sum")
        weight = float(rec.params["weight"][k])
        terms = tuple(
            Term(("output_grad", 0, (k, r, c)), float(dy[k, r, c]), weight, f"w[{k}]")
            for r, c, _, _ in self.window.readers(row, column, (dy.shape[1], dy.shape[2]))
        )
        return Terms(terms, "sum", "w · dy")

    def gathers(self, name: str, index: tuple[int, ...], rec: Record) -> Terms:
        dy, k = rec.dys[0], index[0]
        if dy is None:
            return Terms((), "sum")
        places = [(k, *place) for place in np.ndindex(*dy.shape[1:])]
        if name == "bias":
            return gathered(dy, places)
        sums = self._sums(rec.xs[0][None])[0]
        terms = tuple(
            Term(("output_grad", 0, place), float(dy[place]), float(sums[place]), "Σ x")
            for place in places
        )
        return Terms(terms, "sum", "Σ dy · (sum of the window)")

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        return self.window.reach_in_maps(specs[0])

    @property
    def onnx(self) -> OnnxOp:
        size = list(pair(self.kernel_size))
        return OnnxOp(
            "TrainableSubsampling", {"kernel_shape": size, "strides": size}, ("weight", "bias")
        )
