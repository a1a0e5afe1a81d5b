"""Softplus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.layers.base import Array, OnnxOp
from engine.layers.elementwise import Elementwise, logistic


@dataclass(frozen=True)
class Softplus(Elementwise):
    """A smooth ReLU: near zero for negative numbers, near x for positive ones.

    y = log(1 + exp(x))

    Gradient: dx = dy / (1 + exp(−x)): the sigmoid is its slope.

    Source: Dugas et al. 2001; ONNX operator Softplus.
    """

    title: ClassVar[str] = "Softplus"
    slug: ClassVar[str] = "softplus"
    formula: ClassVar[str] = "log(1 + exp(x))"

    def value(self, x: Array) -> Array:
        return np.logaddexp(x, x.dtype.type(0))

    def slope(self, x: Array, y: Array) -> Array:
        return logistic(x)

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Softplus")
