"""Convolution whose output maps read only some of the input maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.extent import Extent, Table
from engine.layers.base import (
    Array,
    Cost,
    Ctx,
    Fix,
    Grads,
    Layer,
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
    initialiser_hyper,
    pair,
    weights,
)
from engine.layers.convolution import kernel_size_hyper, padding_hyper, stride_hyper
from engine.layers.window import Window, padding_sides

LENET_C3 = "012 123 234 345 045 015 0123 1234 2345 0345 0145 0125 0134 1245 0235 012345"
"""Which maps of S2 each of the 16 maps of C3 reads: LeCun et al. 1998, table I."""


@dataclass(frozen=True)
class PartialConv2d(Layer):
    """A convolution in which each output map reads only some input maps, by a fixed table.

    y[n, o, r, c] = b[o] + Σ_{k in T(o)} Σ_{i, j} W[o, k, i, j] · x[n, k, r·s + i − p, c·s + j − p]

    The weights are stored for the connections that exist, one kernel for each, in the order of
    the table: W[connection, i, j]. LeNet-5's C3 has 60 connections of 6 × 16 and with 5×5
    kernels 60 · 25 + 16 = 1,516 parameters. Table "neighbours" has as many maps as the input,
    each reading itself and the next two (the last ones start again at the first).

    Gradient: as a convolution's; a kernel collects Σ x · dy of its own pair of maps, and an input
    map collects only from the output maps that read it.

    Source: LeCun et al. 1998, section II.B and table I.
    """

    title: ClassVar[str] = "Partial convolution"
    category: ClassVar[str] = "Convolution"
    slug: ClassVar[str] = "partialconv"

    table: str = hyper(
        "lenet-c3", "Which input maps each map reads.", choices=("lenet-c3", "neighbours")
    )
    kernel_size: int | tuple[int, int] = kernel_size_hyper(5)
    stride: int | tuple[int, int] = stride_hyper()
    padding: int | tuple[int, ...] = padding_hyper()
    initialiser: str = initialiser_hyper()

    def __post_init__(self) -> None:
        super().__post_init__()
        padding_sides(self.padding)

    @property
    def window(self) -> Window:
        """The geometry of the sliding kernel."""
        before, after = padding_sides(self.padding)
        return Window(pair(self.kernel_size), pair(self.stride), before, after)

    def connections(self, channels: int) -> tuple[tuple[int, ...], ...]:
        """For each output map the input maps that it reads."""
        if self.table == "lenet-c3":
            return tuple(tuple(map(int, maps)) for maps in LENET_C3.split())
        return tuple(tuple((o + i) % channels for i in range(3)) for o in range(channels))

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        expect_rank(specs, 4, "PartialConv2d", "A convolution needs maps: put it before a Flatten.")
        n, channels = specs[0].shape[:2]
        if self.table == "lenet-c3" and channels != 6:
            fixes = (Fix("Set table to neighbours", "set", "neighbours", "table"),)
            raise ShapeError(
                "6 input maps for the table lenet-c3",
                f"{channels}",
                "Let the layer before make 6 maps, or choose another table.",
                fixes if channels >= 3 else (),
            )
        if channels < 3:
            raise ShapeError(
                "at least 3 input maps for the table neighbours", f"{channels}", "Use Conv2d."
            )
        height, width = self.window.checked_output_size(specs[0], self)
        return (Spec((n, len(self.connections(channels)), height, width), specs[0].dtype),)

    def parameters(self, *specs: Spec) -> dict[str, ParamSpec]:
        channels = specs[0].shape[1]
        table = self.connections(channels)
        count, (rows, columns) = sum(map(len, table)), pair(self.kernel_size)
        fan_in, fan_out = (count * rows * columns // maps for maps in (len(table), channels))
        return {
            "weight": weights(self.initialiser, (count, rows, columns), fan_in, fan_out),
            "bias": ParamSpec((len(table),), "zeros", fan_in, decay=False),
        }

    def cost(self, *specs: Spec) -> Cost:
        height, width = self.outputs(*specs)[0].shape[2:]
        kernels = self.parameters(*specs)["weight"].size
        return Cost(super().cost(*specs).parameters, kernels * height * width)

    def pairs(self, channels: int) -> list[tuple[int, int]]:
        """(output map, input map) of each connection, in the order of the weights."""
        return [(o, k) for o, maps in enumerate(self.connections(channels)) for k in maps]

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        (x,) = xs
        out = self.window.output_size(*x.shape[2:])
        windows = self.window.view(self.window.pad(x), out)
        y = np.zeros((len(x), len(p["bias"]), *out), x.dtype)
        y += p["bias"][:, None, None]
        for kernel, (o, k) in zip(p["weight"], self.pairs(x.shape[1]), strict=True):
            y[:, o] += np.tensordot(windows[:, k], kernel, 2)
        return Result((y,), {"x": x})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx = Ctx(),
    ) -> Grads:
        x, (dy,), w = saved["x"], dys, p["weight"]
        out = (dy.shape[2], dy.shape[3])
        windows = self.window.view(self.window.pad(x), out)
        pairs = self.pairs(x.shape[1])
        dw = np.stack([np.tensordot(dy[:, o], windows[:, k], 3) for o, k in pairs])
        dparams = {"weight": dw, "bias": dy.sum((0, 2, 3))}
        if not need[0]:
            return Grads((None,), dparams)
        size = x.shape[2:]
        padded = np.zeros((*x.shape[:2], *self.window.padded_size(*size)), x.dtype)
        for kernel, (o, k) in zip(w, pairs, strict=True):
            for i, j in np.ndindex(*kernel.shape):
                tap = self.window.tap(padded, i, j, out)
                tap[:, k] += kernel[i, j] * dy[:, o]
        return Grads((self.window.body(padded, *size),), dparams)

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        o, row, column = cell
        x, w = rec.xs[0], rec.params["weight"]
        terms = []
        for number, (output, k) in enumerate(self.pairs(len(x))):
            if output != o:
                continue
            for i, j in np.ndindex(*w.shape[1:]):
                r, c = self.window.source(row, column, i, j)
                inside = 0 <= r < x.shape[1] and 0 <= c < x.shape[2]
                source = ("input", 0, (k, r, c)) if inside else ("constant", "padding")
                value = float(x[k, r, c]) if inside else 0.0
                terms.append(Term(source, value, float(w[number, i, j]), f"W[{o},{k},{i},{j}]"))
        terms.append(Term(("param", "bias", (o,)), float(rec.params["bias"][o]), 1.0, "bias"))
        return Terms(tuple(terms), "sum", "Σ W·x + b over the maps of the table")

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        k, row, column = cell
        dy, w = rec.dys[0], rec.params["weight"]
        if dy is None:
            return Terms((), "sum")
        readers = self.window.readers(row, column, (dy.shape[1], dy.shape[2]))
        terms = [
            Term(
                ("output_grad", 0, (o, r, c)),
                float(dy[o, r, c]),
                float(w[number, i, j]),
                f"W[{o},{k},{i},{j}]",
            )
            for number, (o, source) in enumerate(self.pairs(len(rec.xs[0])))
            if source == k
            for r, c, i, j in readers
        ]
        return Terms(tuple(terms), "sum", "Σ W·dy over the windows that looked here")

    def gathers(self, name: str, index: tuple[int, ...], rec: Record) -> Terms:
        dy, x = rec.dys[0], rec.xs[0]
        if dy is None:
            return Terms((), "sum")
        if name == "bias":
            return gathered(dy, ((index[0], *place) for place in np.ndindex(*dy.shape[1:])))
        number, i, j = index
        o, k = self.pairs(len(x))[number]
        terms = self.window.gathers(dy[o], x[k], o, k, i, j)
        return Terms(terms, "sum", "Σ dy·x over the places where the kernel lay")

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        channels, height, width = specs[0].shape[1:]
        takes = np.zeros((len(self.connections(channels)), channels), bool)
        takes[tuple(zip(*self.pairs(channels), strict=True))] = True
        out = self.window.output_size(height, width)
        return self.window.reach(height, width, out, Table(takes))

    @property
    def onnx(self) -> OnnxOp:
        (top, left), (bottom, right) = padding_sides(self.padding)
        return OnnxOp(
            "PartialConv",
            {
                "kernel_shape": list(pair(self.kernel_size)),
                "strides": list(pair(self.stride)),
                "pads": [top, left, bottom, right],
            },
            ("weight", "bias"),
        )
