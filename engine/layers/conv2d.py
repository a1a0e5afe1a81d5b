"""Two-dimensional convolution."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.extent import Extent, Groups
from engine.layers.base import (
    Array,
    Cost,
    Ctx,
    Grads,
    OnnxOp,
    ParamSpec,
    Record,
    Result,
    Spec,
    Term,
    Terms,
    expect_rank,
    gathered,
    pair,
)
from engine.layers.convolution import Convolution
from engine.layers.window import Window


@dataclass(frozen=True)
class Conv2d(Convolution):
    """Slides the same small kernel over the whole image and writes down how well it fits.

    y[n, o, r, c] = b[o] + Σ_{i, j, k} W[o, k, i, j] · x[n, k, r·s + i·d − p, c·s + j·d − p]

    (a cross-correlation: the kernel is not flipped; padding is zeros; each of ``groups`` sees only
    its own share of the channels).

    Gradient: dW is the correlation of x with dy, a sum over all positions, because one kernel
    serves them all; dx is the full correlation of dy (spread out by the stride) with the kernel
    rotated by 180°, so each input cell collects from every window that looked at it; db = Σ dy.
    A stride larger than the kernel leaves input cells whose gradient is exactly zero.

    Source: LeCun et al. 1998, section II.A; Dumoulin & Visin 2016, sections 2 and 4.
    """

    title: ClassVar[str] = "Convolution"
    slug: ClassVar[str] = "conv"

    @property
    def window(self) -> Window:
        """The geometry of the sliding kernel."""
        return self.sliding

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        expect_rank(specs, 4, "Conv2d", "A convolution needs maps: put it before the Flatten.")
        n, channels = specs[0].shape[:2]
        self.check_groups(channels)
        height, width = self.window.checked_output_size(specs[0], self)
        return (Spec((n, self.out_channels, height, width), specs[0].dtype),)

    def parameters(self, *specs: Spec) -> dict[str, ParamSpec]:
        channels = specs[0].shape[1] // self.groups
        shape = (self.out_channels, channels, *pair(self.kernel_size))
        fan_out = math.prod((self.out_channels // self.groups, *shape[2:]))
        return self.kernels(shape, math.prod(shape[1:]), fan_out)

    def cost(self, *specs: Spec) -> Cost:
        (out,) = self.outputs(*specs)
        return Cost(super().cost(*specs).parameters, self.multiply_adds(out, *specs))

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        (x,) = xs
        n, out = len(x), self.window.output_size(*x.shape[2:])
        # for each group: (windows, cells of a window) · (cells of a kernel, kernels)
        y = self._windows(x, out) @ self._kernels(p["weight"]).transpose(0, 2, 1)
        y = y.reshape(self.groups, n, *out, -1).transpose(1, 0, 4, 2, 3)
        y = y.reshape(n, self.out_channels, *out)
        if self.bias:
            y = y + p["bias"][:, None, None]
        return Result((y,), {"x": x})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx = Ctx(),
    ) -> Grads:
        x, (dy,), w, g = saved["x"], dys, p["weight"], self.groups
        n, c, *size = x.shape
        out = (dy.shape[2], dy.shape[3])
        rows = (
            dy.reshape(n, g, -1, *out).transpose(1, 0, 3, 4, 2).reshape(g, n * out[0] * out[1], -1)
        )
        # a sum over samples and positions, because one kernel serves them all
        dw = rows.transpose(0, 2, 1) @ self._windows(x, out)
        dparams = {"weight": dw.reshape(w.shape)}
        if self.bias:
            dparams["bias"] = dy.sum((0, 2, 3))
        if not need[0]:
            return Grads((None,), dparams)
        shares = (rows @ self._kernels(w)).reshape(g, n, *out, -1, *w.shape[2:])
        shares = shares.transpose(1, 0, 4, 2, 3, 5, 6).reshape(n, c, *out, *w.shape[2:])
        padded = np.zeros((n, c, *self.window.padded_size(*size)), x.dtype)
        for i in range(w.shape[2]):
            for j in range(w.shape[3]):
                # every kernel position sends its share back to the cells that it looked at
                tap = self.window.tap(padded, i, j, out)
                tap += shares[..., i, j]
        return Grads((self.window.body(padded, *size),), dparams)

    def _windows(self, x: Array, out: tuple[int, int]) -> Array:
        """Every window as a row (im2col): (groups, N·H_out·W_out, C / groups · i · j)."""
        n, c, g = x.shape[0], x.shape[1], self.groups
        windows = self.window.view(self.window.pad(x), out)  # (N, C, H_out, W_out, i, j)
        windows = windows.reshape(n, g, c // g, *windows.shape[2:])
        return windows.transpose(1, 0, 3, 4, 2, 5, 6).reshape(g, n * out[0] * out[1], -1)

    def _kernels(self, w: Array) -> Array:
        """Every kernel as a row: (groups, out_channels / groups, C / groups · i · j)."""
        return w.reshape(self.groups, self.out_channels // self.groups, -1)

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        o, row, column = cell
        x, w = rec.xs[0], rec.params["weight"]
        first = o // (self.out_channels // self.groups) * w.shape[1]
        terms = []
        for k in range(w.shape[1]):
            for i in range(w.shape[2]):
                for j in range(w.shape[3]):
                    r, c = self.window.source(row, column, i, j)
                    inside = 0 <= r < x.shape[1] and 0 <= c < x.shape[2]
                    value = float(x[first + k, r, c]) if inside else 0.0
                    source = ("input", 0, (first + k, r, c)) if inside else ("constant", "padding")
                    terms.append(Term(source, value, float(w[o, k, i, j]), f"W[{o},{k},{i},{j}]"))
        if self.bias:
            terms.append(Term(("param", "bias", (o,)), float(rec.params["bias"][o]), 1.0, "bias"))
        return Terms(tuple(terms), "sum", "Σ W·x + b")

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        k, row, column = cell
        dy, w = rec.dys[0], rec.params["weight"]
        if dy is None:
            return Terms((), "sum")
        group, local = divmod(k, w.shape[1])
        per_group = self.out_channels // self.groups
        terms = [
            Term(
                ("output_grad", 0, (o, r, c)),
                float(dy[o, r, c]),
                float(w[o, local, i, j]),
                f"W[{o},{local},{i},{j}]",
            )
            for o in range(group * per_group, (group + 1) * per_group)
            for r, c, i, j in self.window.readers(row, column, (dy.shape[1], dy.shape[2]))
        ]
        return Terms(tuple(terms), "sum", "Σ W·dy over the windows that looked here")

    def gathers(self, name: str, index: tuple[int, ...], rec: Record) -> Terms:
        dy, x, o = rec.dys[0], rec.xs[0], index[0]
        if dy is None:
            return Terms((), "sum")
        if name == "bias":
            return gathered(dy, ((o, *place) for place in np.ndindex(*dy.shape[1:])))
        _, k, i, j = index
        k += o // (self.out_channels // self.groups) * rec.params["weight"].shape[1]
        terms = self.window.gathers(dy[o], x[k], o, k, i, j)
        return Terms(terms, "sum", "Σ dy·x over the places where the kernel lay")

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        channels, height, width = specs[0].shape[1:]
        maps = Groups(channels, self.out_channels, self.groups)
        return self.window.reach(height, width, self.window.output_size(height, width), maps)

    @property
    def onnx(self) -> OnnxOp:
        return self.bind("Conv")
