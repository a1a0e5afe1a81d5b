"""Hard sigmoid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.layers.base import Array, OnnxOp, Record, Term, Terms, hyper
from engine.layers.elementwise import Elementwise


@dataclass(frozen=True)
class HardSigmoid(Elementwise):
    """A sigmoid made of three straight lines.

    y = min(max(α x + β, 0), 1)

    Gradient: dx = α dy where 0 < α x + β < 1, else an exact zero (at the kinks too).

    Source: Courbariaux, Bengio & David 2015; ONNX operator HardSigmoid.
    """

    title: ClassVar[str] = "Hard sigmoid"
    slug: ClassVar[str] = "hardsigmoid"
    formula: ClassVar[str] = "min(max(α · x + β, 0), 1)"

    alpha: float = hyper(0.2, "Slope in the middle, α.", low=-10.0, high=10.0)
    beta: float = hyper(0.5, "Value at 0, β.", low=-10.0, high=10.0)

    def _line(self, x: Array) -> Array:
        return x.dtype.type(self.alpha) * x + x.dtype.type(self.beta)

    def value(self, x: Array) -> Array:
        return np.clip(self._line(x), 0, 1)

    def slope(self, x: Array, y: Array) -> Array:
        line = self._line(x)
        return np.where((line > 0) & (line < 1), x.dtype.type(self.alpha), x.dtype.type(0))

    def kinks(self, p: Mapping[str, Array], *xs: Array) -> float:
        line = self._line(xs[0])
        nearest = float(np.min(np.minimum(np.abs(line), np.abs(line - 1))))
        return nearest / abs(self.alpha) if self.alpha else float("inf")

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        x = Term(("input", 0, cell), float(rec.xs[0][cell]), 1.0)
        line = (
            Term(("constant", "alpha"), float(self.alpha), 1.0, "α"),
            Term(("constant", "beta"), float(self.beta), 1.0, "β"),
        )
        return Terms((x, *line), "formula", self.formula, 0)

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("HardSigmoid", {"alpha": float(self.alpha), "beta": float(self.beta)})
