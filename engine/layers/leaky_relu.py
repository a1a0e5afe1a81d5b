"""Leaky rectified linear unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.layers.base import Array, OnnxOp, hyper
from engine.layers.elementwise import Gated


@dataclass(frozen=True)
class LeakyReLU(Gated):
    """Lets positive numbers through and keeps a small share of negative ones.

    y = x where x > 0, else α · x

    Gradient: dx = dy where x > 0, else α · dy, so no unit is ever wholly without gradient. At
    x = 0, where the function has a kink, it is α · dy (as PyTorch). NaN stays NaN.

    Source: Maas, Hannun & Ng 2013; ONNX operator LeakyRelu.
    """

    title: ClassVar[str] = "Leaky ReLU"
    slug: ClassVar[str] = "leakyrelu"
    formula: ClassVar[str] = "x, or α · x where x ≤ 0"

    alpha: float = hyper(0.01, "Slope for negative numbers.", low=0.0, high=1.0)

    def gate(self, x: Array) -> Array:
        return np.where(x > 0, x.dtype.type(1), x.dtype.type(self.alpha))

    def slope(self, x: Array, y: Array) -> Array:
        return self.gate(x)

    def kinks(self, p: Mapping[str, Array], *xs: Array) -> float:
        return float(np.min(np.abs(xs[0])))

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("LeakyRelu", {"alpha": float(self.alpha)})
