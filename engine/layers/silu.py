"""Sigmoid linear unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engine.layers.base import Array, OnnxOp
from engine.layers.elementwise import Gated, logistic


@dataclass(frozen=True)
class SiLU(Gated):
    """Multiplies every number by its own sigmoid, a soft form of ReLU (also called Swish).

    y = x · σ(x),  σ(x) = 1 / (1 + exp(−x))

    Gradient: dx = dy · σ(x) · (1 + x · (1 − σ(x))): smooth everywhere, slightly negative for x
    below about −1.28.

    Source: Elfwing, Uchibe & Doya 2018; Ramachandran, Zoph & Le 2017.
    """

    title: ClassVar[str] = "SiLU"
    slug: ClassVar[str] = "silu"
    formula: ClassVar[str] = "x · σ(x)"

    def gate(self, x: Array) -> Array:
        return logistic(x)

    def slope(self, x: Array, y: Array) -> Array:
        gate = logistic(x)
        return gate * (1 + x * (1 - gate))

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Swish")
