"""Mish."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.layers.base import Array, OnnxOp
from engine.layers.elementwise import Gated, logistic


@dataclass(frozen=True)
class Mish(Gated):
    """Multiplies every number by a smooth gate that closes for large negative ones.

    y = x · tanh(log(1 + exp(x)))

    Gradient: dx = dy · (g + x · (1 − g²) · σ(x)) with the gate g and the sigmoid σ.

    Source: Misra 2019; ONNX operator Mish.
    """

    title: ClassVar[str] = "Mish"
    slug: ClassVar[str] = "mish"
    formula: ClassVar[str] = "x · tanh(log(1 + exp(x)))"

    def gate(self, x: Array) -> Array:
        return np.tanh(np.logaddexp(x, x.dtype.type(0)))

    def slope(self, x: Array, y: Array) -> Array:
        g = self.gate(x)
        return g + x * (1 - g * g) * logistic(x)

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Mish")
