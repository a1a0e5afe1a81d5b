"""Transposed convolution."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.extent import Axes, Extent, Groups, Reverse
from engine.layers.base import (
    Array,
    Cost,
    Ctx,
    Fix,
    Grads,
    HyperparameterError,
    OnnxOp,
    ParamSpec,
    Record,
    Result,
    ShapeError,
    Spec,
    Term,
    Terms,
    expect_rank,
    gathered,
    hyper,
    pair,
)
from engine.layers.convolution import Convolution
from engine.layers.window import LARGEST, Window


@dataclass(frozen=True)
class ConvTranspose2d(Convolution):
    """Spreads every number over a window of the output by a kernel, so the picture grows.

    y[n, o, r·s + i·d − p, c·s + j·d − p] += W[k, o, i, j] · x[n, k, r, c]  (and b[o] everywhere);
    what falls into the padding p is cut off, ``output_padding`` adds rows below and columns at
    the right. It is the gradient of a convolution with respect to its input, used forwards.

    Gradient: dx is the convolution of dy with the same kernel; dW[k, o, i, j] = Σ x · dy over
    all positions; db = Σ dy. Output cells that no kernel reaches hold the bias alone.

    Source: Zeiler et al. 2010; Dumoulin & Visin 2016, section 4; ONNX operator ConvTranspose.
    """

    title: ClassVar[str] = "Transposed convolution"
    slug: ClassVar[str] = "convtranspose"

    out_channels: int = hyper(8, "Number of maps that come out.", low=1, high=65536)
    kernel_size: int | tuple[int, int] = hyper(
        2, "Rows and columns of the kernel.", low=1, high=LARGEST, unit="cells"
    )
    stride: int | tuple[int, int] = hyper(
        2, "Cells between the windows of neighbouring inputs.", low=1, high=LARGEST, unit="cells"
    )
    padding: int | tuple[int, ...] = hyper(
        0,
        "Cells cut off: one number, (rows, columns) or (top, left, bottom, right).",
        low=0,
        high=LARGEST,
        unit="cells",
    )
    output_padding: int | tuple[int, int] = hyper(
        0, "Rows added below and columns added at the right.", low=0, high=LARGEST - 1, unit="cells"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for extra, stride, dilation in zip(
            pair(self.output_padding), pair(self.stride), pair(self.dilation), strict=True
        ):
            if extra >= max(stride, dilation):
                raise HyperparameterError(
                    "ConvTranspose2d.output_padding: expected less than stride or dilation "
                    f"({max(stride, dilation)}), received {extra}."
                )

    @property
    def spread(self) -> Window:
        """The window of the convolution that this one transposes: it slides over the output."""
        return self.sliding

    def _output_size(self, height: int, width: int) -> tuple[int, int]:
        spread, extra = self.spread, pair(self.output_padding)
        rows, columns = (
            (size - 1) * spread.stride[i]
            + spread.extent[i]
            + extra[i]
            - spread.before[i]
            - spread.after[i]
            for i, size in enumerate((height, width))
        )
        return rows, columns

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        expect_rank(specs, 4, "ConvTranspose2d", "It needs maps: put it before the Flatten.")
        n, channels, height, width = specs[0].shape
        self.check_groups(channels)
        rows, columns = self._output_size(height, width)
        if min(rows, columns) < 1:
            raise ShapeError(
                "an output of at least 1×1 cells",
                f"{height}×{width} that become {rows}×{columns}",
                "Use less padding: it is cut off.",
                (Fix("Set padding to 0", "set", 0, "padding"),),
            )
        return (Spec((n, self.out_channels, rows, columns), specs[0].dtype),)

    def parameters(self, *specs: Spec) -> dict[str, ParamSpec]:
        channels, size = specs[0].shape[1], pair(self.kernel_size)
        shape = (channels, self.out_channels // self.groups, *size)
        # an output cell collects about as many terms as there are kernel cells per stride
        fan_in = max(1, channels // self.groups * math.prod(size) // math.prod(pair(self.stride)))
        return self.kernels(shape, fan_in, math.prod(shape[1:]))

    def cost(self, *specs: Spec) -> Cost:
        return Cost(super().cost(*specs).parameters, self.multiply_adds(specs[0], *specs))

    def _padded(self, n: int, height: int, width: int, dtype: np.dtype) -> Array:
        """Zeros (N, out_channels, rows, columns) of everything that the kernels reach."""
        spread = self.spread
        rows, columns = (
            max(
                out + spread.before[i] + spread.after[i],
                (size - 1) * spread.stride[i] + spread.extent[i],
            )
            for i, (out, size) in enumerate(
                zip(self._output_size(height, width), (height, width), strict=True)
            )
        )
        return np.zeros((n, self.out_channels, rows, columns), dtype)

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        (x,) = xs
        n, c, h, w = x.shape
        g, weight = self.groups, p["weight"]
        rows = x.reshape(n, g, c // g, h * w)
        kernels = weight.reshape(g, c // g, -1)
        # for each input cell its kernels, times the cell, summed over the channels of the group
        shares = np.einsum("ngkp,gkq->ngqp", rows, kernels, optimize=True)
        shares = shares.reshape(n, self.out_channels, *weight.shape[2:], h, w)
        padded = self._padded(n, h, w, x.dtype)
        for i in range(weight.shape[2]):
            for j in range(weight.shape[3]):
                tap = self.spread.tap(padded, i, j, (h, w))
                tap += shares[:, :, i, j]
        y = self.spread.body(padded, *self._output_size(h, w)).copy()
        if self.bias:
            y += p["bias"][:, None, None]
        return Result((y,), {"x": x})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx = Ctx(),
    ) -> Grads:
        x, (dy,), weight, g = saved["x"], dys, p["weight"], self.groups
        n, c, h, w = x.shape
        padded = self._padded(n, h, w, dy.dtype)
        self.spread.body(padded, *dy.shape[2:])[...] = dy
        windows = self.spread.view(padded, (h, w))  # (N, out_channels, H, W, i, j)
        rows = windows.reshape(n, g, self.out_channels // g, h * w, -1)
        rows = rows.transpose(0, 1, 2, 4, 3).reshape(n, g, -1, h * w)
        cells = x.reshape(n, g, c // g, h * w)
        dw = np.einsum("ngkp,ngqp->gkq", cells, rows, optimize=True)
        dparams = {"weight": dw.reshape(weight.shape)}
        if self.bias:
            dparams["bias"] = dy.sum((0, 2, 3))
        if not need[0]:
            return Grads((None,), dparams)
        dx = np.einsum("ngqp,gkq->ngkp", rows, weight.reshape(g, c // g, -1), optimize=True)
        return Grads((dx.reshape(x.shape),), dparams)

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        o, row, column = cell
        x, w = rec.xs[0], rec.params["weight"]
        group, local = divmod(o, w.shape[1])
        per_group = len(w) // self.groups
        terms = [
            Term(
                ("input", 0, (k, r, c)),
                float(x[k, r, c]),
                float(w[k, local, i, j]),
                f"W[{k},{local},{i},{j}]",
            )
            for k in range(group * per_group, (group + 1) * per_group)
            for r, c, i, j in self.spread.readers(row, column, (x.shape[1], x.shape[2]))
        ]
        if self.bias:
            terms.append(Term(("param", "bias", (o,)), float(rec.params["bias"][o]), 1.0, "bias"))
        return Terms(tuple(terms), "sum", "Σ W·x + b")

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        k, row, column = cell
        dy, w = rec.dys[0], rec.params["weight"]
        if dy is None:
            return Terms((), "sum")
        first = k // (len(w) // self.groups) * w.shape[1]
        terms = []
        for local in range(w.shape[1]):
            o = first + local
            for i in range(w.shape[2]):
                for j in range(w.shape[3]):
                    r, c = self.spread.source(row, column, i, j)
                    if 0 <= r < dy.shape[1] and 0 <= c < dy.shape[2]:
                        factor, note = float(w[k, local, i, j]), f"W[{k},{local},{i},{j}]"
                        source = ("output_grad", 0, (o, r, c))
                        terms.append(Term(source, float(dy[o, r, c]), factor, note))
        return Terms(tuple(terms), "sum", "Σ W·dy over the cells that it was spread to")

    def gathers(self, name: str, index: tuple[int, ...], rec: Record) -> Terms:
        dy, x = rec.dys[0], rec.xs[0]
        if dy is None:
            return Terms((), "sum")
        if name == "bias":
            return gathered(dy, ((index[0], *place) for place in np.ndindex(*dy.shape[1:])))
        k, o, i, j = index
        o += k // (len(x) // self.groups) * rec.params["weight"].shape[1]
        terms = []
        for row, column in np.ndindex(*x.shape[1:]):
            r, c = self.spread.source(row, column, i, j)
            if 0 <= r < dy.shape[1] and 0 <= c < dy.shape[2]:
                factor, note = float(x[k, row, column]), f"x[{k},{row},{column}]"
                terms.append(Term(("output_grad", 0, (o, r, c)), float(dy[o, r, c]), factor, note))
        return Terms(tuple(terms), "sum", "Σ dy·x over the cells that the kernel was laid from")

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        channels, height, width = specs[0].shape[1:]
        rows, columns = self._output_size(height, width)
        maps = Groups(self.out_channels, channels, self.groups)
        over = self.spread.reach(rows, columns, (height, width), maps)
        return Axes(tuple(Reverse(axis) for axis in over.axes))

    @property
    def onnx(self) -> OnnxOp:
        return self.bind("ConvTranspose", output_padding=list(pair(self.output_padding)))
