"""Logarithm of softmax."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.extent import Axes, Extent, Groups, Slide
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
)


@dataclass(frozen=True)
class LogSoftmax(Layer):
    """Turns scores into the logarithms of shares that add up to 1, without losing small ones.

    y_i = x_i − log Σ_j exp(x_j), over axis 1 (the classes or channels)

    Gradient: dx_i = dy_i − exp(y_i) · Σ_j dy_j: each input gives back its share of the whole.

    Source: Bridle 1990; ONNX operator LogSoftmax.
    """

    title: ClassVar[str] = "Log-softmax"
    category: ClassVar[str] = "Activation"
    slug: ClassVar[str] = "logsoftmax"

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        return (specs[0],)

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        shifted = xs[0] - xs[0].max(1, keepdims=True)
        y = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
        return Result((y,), {"y": y})

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
        (dy,) = dys
        return Grads((dy - np.exp(saved["y"]) * dy.sum(1, keepdims=True),))

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        x = rec.xs[0]
        terms = tuple(
            Term(("input", 0, (j, *cell[1:])), float(x[(j, *cell[1:])]), 1.0) for j in range(len(x))
        )
        return Terms(terms, "formula", "x_i − log Σ_j exp(x_j)", cell[0])

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        dy, y = rec.dys[0], rec.ys[0]
        if dy is None:
            return Terms((), "sum")
        share = float(np.exp(y[cell]))
        terms = []
        for j in range(len(y)):
            index = (j, *cell[1:])
            slope = float(j == cell[0]) - share
            terms.append(Term(("output_grad", 0, index), float(dy[index]), slope, "∂y_j/∂x_i"))
        return Terms(tuple(terms), "sum", "Σ_j dy_j · (δ_ij − exp(y_i))")

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        channels, *sizes = specs[0].shape[1:]
        return Axes((Groups(channels, channels), *(Slide(size, size) for size in sizes)))

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("LogSoftmax", {"axis": 1})
