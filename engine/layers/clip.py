"""Numbers kept between two limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.layers.base import Array, OnnxOp, Record, Term, Terms, hyper
from engine.layers.elementwise import Elementwise


@dataclass(frozen=True)
class Clip(Elementwise):
    """Keeps every number between two limits; from 0 to 6 it is MobileNet's ReLU6.

    y = min(max(x, low), high)

    Gradient: dx = dy where low < x < high, else an exact zero (at the limits too, as PyTorch's
    ReLU6).

    Source: Sandler et al. 2018 (MobileNetV2); ONNX operator Clip.
    """

    title: ClassVar[str] = "Clip"
    slug: ClassVar[str] = "clip"
    formula: ClassVar[str] = "min(max(x, low), high)"

    low: float = hyper(0.0, "The lower limit.", low=-3.4028235e38, high=3.4028235e38)
    high: float = hyper(
        6.0, "The upper limit; it wins over the lower.", low=-3.4028235e38, high=3.4028235e38
    )

    def value(self, x: Array) -> Array:
        return np.minimum(np.maximum(x, x.dtype.type(self.low)), x.dtype.type(self.high))

    def slope(self, x: Array, y: Array) -> Array:
        inside = (x > x.dtype.type(self.low)) & (x < x.dtype.type(self.high))
        return inside.astype(x.dtype)

    def kinks(self, p: Mapping[str, Array], *xs: Array) -> float:
        x = xs[0]
        return float(np.min(np.minimum(np.abs(x - self.low), np.abs(x - self.high))))

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        x = Term(("input", 0, cell), float(rec.xs[0][cell]), 1.0)
        limits = tuple(
            Term(("constant", name), float(rec.ys[0].dtype.type(getattr(self, name))), 1.0, name)
            for name in ("low", "high")
        )
        return Terms((x, *limits), "formula", self.formula, 0)

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Clip")
