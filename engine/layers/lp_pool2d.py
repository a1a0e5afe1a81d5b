"""Pooling by a power mean."""

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
    Record,
    Result,
    Spec,
    Term,
    Terms,
    expect_rank,
    hyper,
    pair,
)
from engine.layers.window import LARGEST, Window, padding_sides


@dataclass(frozen=True)
class LpPool2d(Layer):
    """Makes one number of each window: the p-th root of the sum of its p-th powers.

    y = (Σ |x|^p)^(1/p) over the window; p = 1 is a sum, a large p comes near the largest.

    Gradient: dx = dy · sign(x) · (|x| / y)^(p − 1), so larger numbers get more of it; a window of
    zeros passes nothing back. For p = 1 each cell gets ±dy.

    Source: ONNX operator LpPool; Boureau, Ponce & LeCun 2010.
    """

    title: ClassVar[str] = "Power pooling"
    category: ClassVar[str] = "Pooling"
    slug: ClassVar[str] = "lppool"

    p: int = hyper(2, "The power.", low=1, high=32)
    kernel_size: int | tuple[int, int] = hyper(
        2, "Rows and columns of the window.", low=1, high=LARGEST, unit="cells"
    )
    stride: int | tuple[int, int] = hyper(
        2, "Cells that the window moves each time.", low=1, high=LARGEST, unit="cells"
    )
    padding: int | tuple[int, ...] = hyper(
        0, "Zeros around the input, which add nothing.", low=0, high=LARGEST // 2, unit="cells"
    )
    dilation: int | tuple[int, int] = hyper(
        1, "Distance between neighbouring cells of the window.", low=1, high=LARGEST, unit="cells"
    )
    ceil_mode: bool = hyper(False, "Keep a last window that hangs over the edge.")

    def __post_init__(self) -> None:
        super().__post_init__()
        padding_sides(self.padding)

    @property
    def window(self) -> Window:
        """The geometry of the sliding window."""
        before, after = padding_sides(self.padding)
        return Window(
            pair(self.kernel_size),
            pair(self.stride),
            before,
            after,
            pair(self.dilation),
            self.ceil_mode,
        )

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        expect_rank(specs, 4, "LpPool2d", "Pooling needs maps: put it before the Flatten.")
        height, width = self.window.checked_output_size(specs[0], self)
        return (Spec((*specs[0].shape[:2], height, width), specs[0].dtype),)

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        (x,) = xs
        window = self.window
        out = window.output_size(*x.shape[2:])
        cells = np.abs(window.view(window.pad(x), out))
        # by the largest, so that high powers neither overflow nor vanish
        top = cells.max((4, 5), keepdims=True)
        shares = cells / np.where(top == 0, 1, top)
        y = (shares**self.p).sum((4, 5)) ** x.dtype.type(1 / self.p) * top[..., 0, 0]
        return Result((y,), {"x": x, "y": y})

    def _share(self, x: Array, y: Array) -> Array:
        """∂y/∂x of a cell in a window."""
        if self.p == 1:
            return np.sign(x)
        quotient = np.abs(x) / np.where(y == 0, 1, y)
        return np.sign(x) * quotient ** (self.p - 1)

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
        x, y, (dy,) = saved["x"], saved["y"], dys
        window, size = self.window, (x.shape[2], x.shape[3])
        out = (y.shape[2], y.shape[3])
        padded = window.pad(x)
        gradient = np.zeros(padded.shape, dy.dtype)
        for i in range(window.kernel_size[0]):
            for j in range(window.kernel_size[1]):
                tap = window.tap(gradient, i, j, out)
                tap += dy * self._share(window.tap(padded, i, j, out), y)
        return Grads((window.body(gradient, *size),))

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        k, row, column = cell
        x, terms = rec.xs[0], []
        for i in range(self.window.kernel_size[0]):
            for j in range(self.window.kernel_size[1]):
                r, c = self.window.source(row, column, i, j)
                if 0 <= r < x.shape[1] and 0 <= c < x.shape[2]:
                    terms.append(
                        Term(("input", 0, (k, r, c)), float(x[k, r, c]), 1.0, f"p={self.p}")
                    )
        return Terms(tuple(terms), "formula", "(Σ |x|^p)^(1/p)", 0 if terms else None)

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        k, row, column = cell
        dy, x, y = rec.dys[0], rec.xs[0], rec.ys[0]
        if dy is None:
            return Terms((), "sum")
        terms = []
        for r, c, _, _ in self.window.readers(row, column, (dy.shape[1], dy.shape[2])):
            share = float(self._share(x[cell], y[k, r, c]))
            terms.append(Term(("output_grad", 0, (k, r, c)), float(dy[k, r, c]), share))
        return Terms(tuple(terms), "sum", "Σ dy · sign(x) · (|x| / y)^(p − 1)")

    def kinks(self, p: Mapping[str, Array], *xs: Array) -> float:
        return float(np.min(np.abs(xs[0])))

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        return self.window.reach_in_maps(specs[0])

    @property
    def onnx(self) -> OnnxOp:
        (top, left), (bottom, right) = padding_sides(self.padding)
        return OnnxOp(
            "LpPool",
            {
                "kernel_shape": list(pair(self.kernel_size)),
                "strides": list(pair(self.stride)),
                "pads": [top, left, bottom, right],
                "dilations": list(pair(self.dilation)),
                "ceil_mode": int(self.ceil_mode),
                "p": self.p,
            },
        )
