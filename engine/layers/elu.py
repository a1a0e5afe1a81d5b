"""Exponential linear unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.layers.base import Array, OnnxOp, Record, Term, Terms, hyper
from engine.layers.elementwise import Elementwise


@dataclass(frozen=True)
class ELU(Elementwise):
    """Lets positive numbers through and bends negative ones smoothly towards −α.

    y = x where x > 0, else α · (exp(x) − 1)

    Gradient: dx = dy where x > 0, else dy · α · exp(x). At x = 0 it is α · dy; only with α = 1
    has the function no kink there. NaN stays NaN.

    Source: Clevert, Unterthiner & Hochreiter 2016; ONNX operator Elu.
    """

    title: ClassVar[str] = "ELU"
    slug: ClassVar[str] = "elu"
    formula: ClassVar[str] = "α · (exp(x) − 1)"

    alpha: float = hyper(1.0, "Where large negative numbers end, below zero.", low=0.0, high=10.0)

    def value(self, x: Array) -> Array:
        # exp sees no positive number, so it cannot overflow
        return np.where(x > 0, x, x.dtype.type(self.alpha) * np.expm1(np.minimum(x, 0)))

    def slope(self, x: Array, y: Array) -> Array:
        return np.where(x > 0, 1, x.dtype.type(self.alpha) * np.exp(np.minimum(x, 0)))

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        x = float(rec.xs[0][cell])
        if x > 0:
            return Terms((Term(("input", 0, cell), x, 1.0, "x > 0"),), "sum", "x")
        alpha = Term(("constant", "alpha"), float(self.alpha), 1.0, "α")
        return Terms((Term(("input", 0, cell), x, 1.0), alpha), "formula", self.formula, 0)

    def kinks(self, p: Mapping[str, Array], *xs: Array) -> float:
        return float(np.min(np.abs(xs[0])))

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Elu", {"alpha": float(self.alpha)})
