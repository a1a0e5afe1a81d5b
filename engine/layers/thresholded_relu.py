"""Thresholded rectified linear unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.layers.base import Array, OnnxOp, hyper
from engine.layers.elementwise import Gated


@dataclass(frozen=True)
class ThresholdedReLU(Gated):
    """Lets numbers above a threshold through unchanged and sets all others to zero.

    y = x where x > α, else 0

    Gradient: dx = dy where x > α, else an exact zero; at α the function jumps.

    Source: Konda, Memisevic & Krueger 2015; ONNX operator ThresholdedRelu.
    """

    title: ClassVar[str] = "Thresholded ReLU"
    slug: ClassVar[str] = "thresholdedrelu"
    formula: ClassVar[str] = "x where x > α, else 0"

    alpha: float = hyper(1.0, "The threshold, α.", low=-1e6, high=1e6)

    def gate(self, x: Array) -> Array:
        return (x > x.dtype.type(self.alpha)).astype(x.dtype)

    def slope(self, x: Array, y: Array) -> Array:
        return self.gate(x)

    def kinks(self, p: Mapping[str, Array], *xs: Array) -> float:
        return float(np.min(np.abs(xs[0] - self.alpha)))

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("ThresholdedRelu", {"alpha": float(self.alpha)})
