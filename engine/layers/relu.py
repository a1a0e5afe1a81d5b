"""Rectified linear unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

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
class ReLU(Layer):
    """Lets positive numbers through and sets negative ones to zero.

    y = max(x, 0)

    Gradient: dx = dy where x > 0, else an exact zero. At x = 0, where the function has a kink, the
    gradient is 0. NaN stays NaN and lets its gradient through (both as PyTorch).

    Source: Nair & Hinton 2010; Glorot, Bordes & Bengio 2011.
    """

    title: ClassVar[str] = "ReLU"
    category: ClassVar[str] = "Activation"
    slug: ClassVar[str] = "relu"

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        return (specs[0],)

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        y = np.maximum(xs[0], 0)
        return Result((y,), {"y": y})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx = Ctx(),
    ) -> Grads:
        # a choice, not a product: an infinite dy must not turn into NaN where the gate is shut
        return Grads((np.where(saved["y"] <= 0, 0, dys[0]) if need[0] else None,))

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        x = float(rec.xs[0][cell])
        terms = (
            Term(("input", 0, cell), x, 1.0),
            Term(("constant", "zero"), 0.0, 1.0, "the floor"),
        )
        return Terms(terms, "max", "max(x, 0)", 1 if x <= 0 else 0)

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        dy = rec.dys[0]
        if dy is None:
            return Terms((), "sum")
        passes = 0.0 if rec.xs[0][cell] <= 0 else 1.0
        note = "x > 0" if passes else "x ≤ 0"
        return Terms((Term(("output_grad", 0, cell), float(dy[cell]), passes, note),), "sum")

    def kinks(self, p: Mapping[str, Array], *xs: Array) -> float:
        return float(np.min(np.abs(xs[0])))

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Relu")
