"""Scaled exponential linear unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.layers.base import Array, OnnxOp, Record, Term, Terms, hyper
from engine.layers.elementwise import Elementwise


@dataclass(frozen=True)
class SELU(Elementwise):
    """An ELU with a scale that keeps mean 0 and spread 1 from layer to layer.

    y = λ x where x > 0, else λ α (exp(x) − 1)

    Gradient: dx = λ dy where x > 0, else dy · λ α exp(x). At x = 0, a kink unless α = 1, it is
    λ α · dy.

    Source: Klambauer et al. 2017, equation 2; ONNX operator Selu.
    """

    title: ClassVar[str] = "SELU"
    slug: ClassVar[str] = "selu"
    formula: ClassVar[str] = "λ · α · (exp(x) − 1)"

    alpha: float = hyper(
        1.6732631921768188, "Where large negative numbers end, α.", low=0.0, high=10.0
    )
    scale: float = hyper(
        1.0507010221481323, "The slope for positive numbers, λ.", low=0.0, high=10.0
    )

    def _factor(self, x: Array) -> Array:
        return x.dtype.type(self.alpha * self.scale)

    def value(self, x: Array) -> Array:
        # exp sees no positive number, so it cannot overflow
        bent = self._factor(x) * np.expm1(np.minimum(x, 0))
        return np.where(x > 0, x * x.dtype.type(self.scale), bent)

    def slope(self, x: Array, y: Array) -> Array:
        bent = self._factor(x) * np.exp(np.minimum(x, 0))
        return np.where(x > 0, x.dtype.type(self.scale), bent)

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        x = float(rec.xs[0][cell])
        if x > 0:
            return Terms((Term(("input", 0, cell), x, float(self.scale), "λ"),), "sum", "λ · x")
        factor = Term(("constant", "factor"), float(self.alpha * self.scale), 1.0, "λ · α")
        return Terms((Term(("input", 0, cell), x, 1.0), factor), "formula", self.formula, 0)

    def kinks(self, p: Mapping[str, Array], *xs: Array) -> float:
        return float(np.min(np.abs(xs[0])))

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Selu", {"alpha": float(self.alpha), "gamma": float(self.scale)})
