"""Softsign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.layers.base import Array, OnnxOp
from engine.layers.elementwise import Elementwise


@dataclass(frozen=True)
class Softsign(Elementwise):
    """Squeezes every number between −1 and 1, more slowly than tanh.

    y = x / (1 + |x|)

    Gradient: dx = dy / (1 + |x|)².

    Source: Turian, Bergstra & Bengio 2009; ONNX operator Softsign.
    """

    title: ClassVar[str] = "Softsign"
    slug: ClassVar[str] = "softsign"
    formula: ClassVar[str] = "x / (1 + |x|)"

    def value(self, x: Array) -> Array:
        return x / (1 + np.abs(x))

    def slope(self, x: Array, y: Array) -> Array:
        return 1 / np.square(1 + np.abs(x))

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Softsign")
