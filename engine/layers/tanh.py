"""Hyperbolic tangent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.layers.base import Array, OnnxOp, Record, Term, Terms, hyper
from engine.layers.elementwise import Elementwise


@dataclass(frozen=True)
class Tanh(Elementwise):
    """Squeezes every number into the range from −1 to 1 and leaves 0 where it is.

    y = tanh(x) = (exp(x) − exp(−x)) / (exp(x) + exp(−x)); with an amplitude A and a steepness S
    y = A · tanh(S · x), between −A and A.

    Gradient: dx = dy · (1 − y²): all of dy at 0, next to nothing where y is near −1 or 1; with A
    and S dx = dy · S · (A − y² / A).

    LeNet-5 has A = 1.7159 and S = 2/3, which make 1 of 1 and −1 of −1, where the bend is strongest.

    Source: LeCun et al. 1998, equation 6 and appendix A; ONNX operator Tanh.
    """

    title: ClassVar[str] = "Tanh"
    slug: ClassVar[str] = "tanh"
    formula: ClassVar[str] = "tanh(x)"

    amplitude: float = hyper(
        1.0, "Where large numbers end: ± this.", low=1e-6, high=1000.0, later=True
    )
    steepness: float = hyper(
        1.0, "What each number is multiplied by first.", low=1e-6, high=1000.0, later=True
    )

    @property
    def _plain(self) -> bool:
        return self.amplitude == 1 and self.steepness == 1

    def value(self, x: Array) -> Array:
        if self._plain:
            return np.asarray(np.tanh(x))
        real = x.dtype.type
        return np.asarray(real(self.amplitude) * np.tanh(real(self.steepness) * x))

    def slope(self, x: Array, y: Array) -> Array:
        if self._plain:
            return 1 - y * y
        real = y.dtype.type
        return real(self.steepness) * (real(self.amplitude) - y * y / real(self.amplitude))

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        if self._plain:
            return super().reads(cell, rec, port)
        x = Term(("input", 0, cell), float(rec.xs[0][cell]), float(self.steepness), "S")
        amplitude = Term(("constant", "amplitude"), float(self.amplitude), 1.0, "A")
        return Terms((x, amplitude), "formula", "A · tanh(S · x)", 0)

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Tanh")
