"""Softmax."""

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
class Softmax(Layer):
    """Turns scores into shares that are positive and add up to 1.

    y_i = exp(x_i) / Σ_j exp(x_j), over axis 1 (the classes or channels)

    Gradient: dx_i = y_i · (dy_i − Σ_j y_j dy_j): every output takes part in every input's
    gradient, because raising one share lowers the others.

    Source: Bridle 1990.
    """

    title: ClassVar[str] = "Softmax"
    category: ClassVar[str] = "Activation"
    slug: ClassVar[str] = "softmax"

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        return (specs[0],)

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        e = np.exp(xs[0] - xs[0].max(1, keepdims=True))
        y = e / e.sum(1, keepdims=True)
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
        y, (dy,) = saved["y"], dys
        return Grads((y * (dy - (y * dy).sum(1, keepdims=True)),))

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        x = rec.xs[0]
        terms = tuple(
            Term(("input", 0, (j, *cell[1:])), float(x[(j, *cell[1:])]), 1.0) for j in range(len(x))
        )
        return Terms(terms, "formula", "exp(x_i) / Σ_j exp(x_j)", cell[0])

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        dy, y = rec.dys[0], rec.ys[0]
        if dy is None:
            return Terms((), "sum")
        here = float(y[cell])
        terms = []
        for j in range(len(y)):
            index = (j, *cell[1:])
            slope = here * (float(j == cell[0]) - float(y[index]))
            terms.append(Term(("output_grad", 0, index), float(dy[index]), slope, "∂y_j/∂x_i"))
        return Terms(tuple(terms), "sum", "Σ_j dy_j · y_i (δ_ij − y_j)")

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        channels, *sizes = specs[0].shape[1:]
        return Axes((Groups(channels, channels), *(Slide(size, size) for size in sizes)))

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Softmax", {"axis": 1})
