"""Hyperbolic tangent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.layers.base import Array, OnnxOp
from engine.layers.elementwise import Elementwise


@dataclass(frozen=True)
class Tanh(Elementwise):
    """Squeezes every number into the range from −1 to 1 and leaves 0 where it is.

    y = tanh(x) = (exp(x) − exp(−x)) / (exp(x) + exp(−x))

    Gradient: dx = dy · (1 − y²): all of dy at 0, next to nothing where y is near −1 or 1.

    Source: LeCun et al. 1998, equation 6 (there 1.7159 · tanh(2x/3)); ONNX operator Tanh.
    """

    title: ClassVar[str] = "Tanh"
    slug: ClassVar[str] = "tanh"
    formula: ClassVar[str] = "tanh(x)"

    def value(self, x: Array) -> Array:
        return np.asarray(np.tanh(x))

    def slope(self, x: Array, y: Array) -> Array:
        return 1 - y * y

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Tanh")
