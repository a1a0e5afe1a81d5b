"""Hard swish."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.layers.base import Array, OnnxOp
from engine.layers.elementwise import Gated


@dataclass(frozen=True)
class HardSwish(Gated):
    """Multiplies every number by a gate that opens in a straight line between −3 and 3.

    y = x · min(max(x / 6 + 1/2, 0), 1)

    Gradient: dx = 0 where x ≤ −3, dy where x ≥ 3, else dy · (x / 3 + 1/2). The kinks lie at −3
    and 3.

    Source: Howard et al. 2019 (MobileNetV3), section 5.2; ONNX operator HardSwish.
    """

    title: ClassVar[str] = "Hard swish"
    slug: ClassVar[str] = "hardswish"
    formula: ClassVar[str] = "x · min(max(x / 6 + 1/2, 0), 1)"

    def gate(self, x: Array) -> Array:
        return np.clip(x / 6 + 0.5, 0, 1)

    def slope(self, x: Array, y: Array) -> Array:
        return np.where(x <= -3, 0, np.where(x >= 3, 1, x / 3 + 0.5)).astype(x.dtype)

    def kinks(self, p: Mapping[str, Array], *xs: Array) -> float:
        return float(np.min(np.abs(np.abs(xs[0]) - 3)))

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("HardSwish")
