"""Gaussian error linear unit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.layers.base import Array, OnnxOp, hyper
from engine.layers.elementwise import Gated

_erf = np.frompyfunc(math.erf, 1, 1)
_TANH_INNER, _TANH_CUBE = math.sqrt(2 / math.pi), 0.044715


@dataclass(frozen=True)
class GELU(Gated):
    """Multiplies every number by the chance that a random one is smaller, a soft form of ReLU.

    y = x · Φ(x),  Φ(x) = (1 + erf(x / √2)) / 2  (the normal distribution)

    With ``tanh``: Φ(x) ≈ (1 + tanh(√(2/π) · (x + 0.044715 x³))) / 2.

    Gradient: dx = dy · (Φ(x) + x · φ(x)) with φ the normal density (the derivative of the tanh
    form where that is used); it is slightly above 1 for x near 1.4 and slightly below 0 for x
    near −1.4.

    Source: Hendrycks & Gimpel 2016; ONNX operator Gelu.
    """

    title: ClassVar[str] = "GELU"
    slug: ClassVar[str] = "gelu"
    formula: ClassVar[str] = "x · Φ(x)"

    tanh: bool = hyper(False, "Use the approximation by tanh instead of the error function.")

    def gate(self, x: Array) -> Array:
        if self.tanh:
            return (1 + self._inner(x)) / 2
        return np.asarray((1 + _erf(x / math.sqrt(2))) / 2).astype(x.dtype)

    def slope(self, x: Array, y: Array) -> Array:
        if self.tanh:
            t = self._inner(x)
            inner_slope = _TANH_INNER * (1 + 3 * _TANH_CUBE * x * x)
            return (1 + t) / 2 + x * (1 - t * t) * inner_slope / 2
        return self.gate(x) + x * (np.exp(-x * x / 2) / math.sqrt(2 * math.pi))

    def _inner(self, x: Array) -> Array:
        return np.asarray(np.tanh(_TANH_INNER * (x + _TANH_CUBE * x * x * x)))

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Gelu", {"approximate": "tanh" if self.tanh else "none"})
