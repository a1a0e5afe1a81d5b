"""Continuously differentiable exponential linear unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.layers.base import Array, OnnxOp, Record, Term, Terms, hyper
from engine.layers.elementwise import Elementwise


@dataclass(frozen=True)
class CELU(Elementwise):
    """An ELU without a kink, however far it bends.

    y = x where x > 0, else α (exp(x / α) − 1)

    Gradient: dx = dy where x > 0, else dy · exp(x / α).

    Source: Barron 2017; ONNX operator Celu.
    """

    title: ClassVar[str] = "CELU"
    slug: ClassVar[str] = "celu"
    formula: ClassVar[str] = "α · (exp(x / α) − 1)"

    alpha: float = hyper(1.0, "Where large negative numbers end, below zero.", low=1e-3, high=10.0)

    def value(self, x: Array) -> Array:
        a = x.dtype.type(self.alpha)
        return np.where(x > 0, x, a * np.expm1(np.minimum(x, 0) / a))

    def slope(self, x: Array, y: Array) -> Array:
        return np.where(x > 0, 1, np.exp(np.minimum(x, 0) / x.dtype.type(self.alpha)))

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        x = float(rec.xs[0][cell])
        if x > 0:
            return Terms((Term(("input", 0, cell), x, 1.0, "x > 0"),), "sum", "x")
        alpha = Term(("constant", "alpha"), float(self.alpha), 1.0, "α")
        return Terms((Term(("input", 0, cell), x, 1.0), alpha), "formula", self.formula, 0)

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Celu", {"alpha": float(self.alpha)})
