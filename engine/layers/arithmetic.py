"""Sums, differences, products, quotients and powers, cell by cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.layers.base import Array, OnnxOp, Record, Term, Terms, hyper
from engine.layers.broadcasting import Broadcasting

OPERATORS = {
    "add": "Add",
    "subtract": "Sub",
    "multiply": "Mul",
    "divide": "Div",
    "power": "Pow",
    "minimum": "Min",
    "maximum": "Max",
}
"""ONNX operator by operation."""

_FORMULAS = {
    "multiply": "x₁ · x₂",
    "divide": "x₁ / x₂",
    "power": "x₁ ^ x₂",
    "minimum": "min(x₁, x₂)",
}


@dataclass(frozen=True)
class Arithmetic(Broadcasting):
    """Combines two tensors cell by cell, or one with a number or a trained operand.

    y = a + b, a − b, a · b, a / b, a ^ b, min(a, b) or max(a, b); an axis of size 1, or one that
    is missing at the front, serves all its places.

    Gradient: da = dy · ∂y/∂a and db = dy · ∂y/∂b, each added up over the cells that it served:
    1 and ±1 for sums; b and a for a product; 1 / b and −a / b² for a quotient; b · a^(b − 1) and
    a^b · log a for a power (0 where a ≤ 0, where the logarithm has no value); for minimum and
    maximum all of dy goes to the one that was taken, to the first at a tie.

    Source: ONNX operators Add, Sub, Mul, Div, Pow, Min, Max; NumPy's broadcasting.
    """

    title: ClassVar[str] = "Arithmetic"
    slug: ClassVar[str] = "arithmetic"

    operation: str = hyper("add", "How the two are combined.", choices=tuple(OPERATORS))

    def combine(self, a: Array, b: Array) -> Array:
        ufunc = getattr(np, self.operation)
        return ufunc(a, b)

    def slopes(self, a: Array, b: Array, y: Array) -> tuple[Array, Array]:
        one = np.ones((1,) * a.ndim, a.dtype)
        if self.operation == "add":
            return one, one
        if self.operation == "subtract":
            return one, -one
        if self.operation == "multiply":
            return b, a
        if self.operation == "divide":
            return 1 / b, -y / b
        if self.operation == "power":
            rise = np.where(b == 0, 0, b * np.power(a, b - 1))
            return rise, np.where(a > 0, y * np.log(np.where(a > 0, a, 1)), 0)
        first = a <= b if self.operation == "minimum" else a >= b
        return np.where(first, one, 0 * one), np.where(first, 0 * one, one)

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        a, b = self._terms(cell, rec)
        if self.operation == "add":
            return Terms((a, b), "sum", "x₁ + x₂")
        if self.operation == "subtract":
            return Terms((a, Term(b.source, b.value, -1.0)), "sum", "x₁ − x₂")
        if self.operation == "maximum":
            return Terms((a, b), "max", "max(x₁, x₂)", 0 if a.value >= b.value else 1)
        chosen = 1 if self.operation == "minimum" and b.value < a.value else 0
        return Terms((a, b), "formula", _FORMULAS[self.operation], chosen)

    def kinks(self, p: Mapping[str, Array], *xs: Array) -> float:
        a, b = self._pair(p, xs)
        if self.operation in ("minimum", "maximum"):
            return float(np.min(np.abs(a - b))) / 2
        if self.operation == "divide":
            return float(np.min(np.abs(b)))
        if self.operation == "power":
            # a whole power is smooth everywhere; any other stops at 0
            whole = len(xs) == 1 and not self.swapped and bool(np.all((b == np.rint(b)) & (b >= 0)))
            return float("inf") if whole else float(np.min(np.abs(a)))
        return float("inf")

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Arithmetic", {}, ("operand",) if self.operand else ())
