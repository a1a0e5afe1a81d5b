"""Logistic sigmoid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engine.layers.base import Array, OnnxOp
from engine.layers.elementwise import Elementwise, logistic


@dataclass(frozen=True)
class Sigmoid(Elementwise):
    """Squeezes every number into the range from 0 to 1.

    y = 1 / (1 + exp(−x))

    Gradient: dx = dy · y · (1 − y): at most a quarter of dy, and next to nothing where y is near
    0 or 1. This is how gradients vanish in deep networks of sigmoids.

    Source: Rumelhart, Hinton & Williams 1986; ONNX operator Sigmoid.
    """

    title: ClassVar[str] = "Sigmoid"
    slug: ClassVar[str] = "sigmoid"
    formula: ClassVar[str] = "1 / (1 + exp(−x))"

    def value(self, x: Array) -> Array:
        return logistic(x)

    def slope(self, x: Array, y: Array) -> Array:
        return y * (1 - y)

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Sigmoid")
