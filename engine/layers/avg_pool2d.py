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
    HyperparameterError,
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
from engine.layers.window import Window, padding_sides


@dataclass(frozen=True)
class AvgPool2d(Layer):
    """Replaces each window by its average, so the picture shrinks and becomes softer.

    y[n, k, r, c] = (1 / m) Σ_{i, j} x[n, k, r·s + i − p, c·s + j − p]

    Gradient: dy / m to every cell of the window; where windows overlap the shares add.

    The divisor m is the number of cells of the window inside the input; with
    ``count_include_pad`` explicit padding counts too, but what hangs over because of
    ``ceil_mode`` never does.

    Source: LeCun et al. 1998, section II.B; ONNX operator AveragePool; PyTorch AvgPool2d.
    """

    title: ClassVar[str] = "Average pooling"
    category: ClassVar[str] = "Pooling"
    slug: ClassVar[str] = "avgpool"

    kernel_size: int | tuple[int, int] = hyper(
        2, "Rows and columns of the window.", low=1, high=64, unit="cells"
    )
    stride: int | tuple[int, int] = hyper(
        2, "Cells that the window moves each time.", low=1, high=64, unit="cells"
    )
    padding: int | tuple[int, ...] = hyper(
        0, "Zeros around the input.", low=0, high=32, unit="cells"
    )
    ceil_mode: bool = hyper(False, "Keep a last window that hangs over the edge.")
    count_include_pad: bool = hyper(False, "Padding cells count in the divisor.")

    def __post_init__(self) -> None:
        super().__post_init__()
        before, after = padding_sides(self.padding)
        for kernel, sides in zip(
            pair(self.kernel_size), zip(before, after, strict=True), strict=True
        ):
            if max(sides) > kernel // 2:
                raise HyperparameterError(
                    f"AvgPool2d.padding: expected at most half the window ({kernel // 2}), "
                    f"received {max(sides)}."
                )

    @property
    def window(self) -> Window:
        """The geometry of the sliding window."""
        before, after = padding_sides(self.padding)
        return Window(
            pair(self.kernel_size), pair(self.stride), before, after, ceil_mode=self.ceil_mode
        )

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        expect_rank(specs, 4, "AvgPool2d", "Pooling needs maps: put it before the Flatten.")
        out = self.window.checked_output_size(specs[0], self)
        return (Spec((*specs[0].shape[:2], *out), specs[0].dtype),)

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
        (top, left), (bottom, right) = padding_sides(self.padding)
        return OnnxOp(
            "AveragePool",
            {
                "kernel_shape": list(pair(self.kernel_size)),
                "strides": list(pair(self.stride)),
                "pads": [top, left, bottom, right],
                "ceil_mode": int(self.ceil_mode),
                "count_include_pad": int(self.count_include_pad),
            },
        )
