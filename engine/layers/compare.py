"""Comparisons, cell by cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.layers.base import Array, OnnxOp, Record, Terms, hyper
from engine.layers.broadcasting import Broadcasting

OPERATORS = {
    "greater": "Greater",
    "greater_equal": "GreaterOrEqual",
    "less": "Less",
    "less_equal": "LessOrEqual",
    "equal": "Equal",
    "logical_and": "And",
    "logical_or": "Or",
    "logical_xor": "Xor",
}
"""ONNX operator by comparison."""


@dataclass(frozen=True)
class Compare(Broadcasting):
    """Says for each cell whether something is true: 1 where it is, else 0.

    y = 1 where a > b (≥, <, ≤, =, and, or, either-or), else 0; a number counts as true unless 0.

    Gradient: exactly zero: a small change of the input does not change the answer.

    Source: ONNX operators Greater, GreaterOrEqual, Less, LessOrEqual, Equal, And, Or, Xor.
    """

    title: ClassVar[str] = "Compare"
    slug: ClassVar[str] = "compare"

    comparison: str = hyper("greater", "What is asked.", choices=tuple(OPERATORS))

    def combine(self, a: Array, b: Array) -> Array:
        return np.asarray(getattr(np, self.comparison)(a, b)).astype(a.dtype)

    def slopes(self, a: Array, b: Array, y: Array) -> tuple[Array, Array]:
        zero = np.zeros((1,) * a.ndim, a.dtype)
        return zero, zero

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        return Terms(self._terms(cell, rec), "formula", f"x₁ {self.comparison} x₂", 0)

    def kinks(self, p: Mapping[str, Array], *xs: Array) -> float:
        a, b = self._pair(p, xs)
        if self.comparison.startswith("logical"):
            return float(min(np.min(np.abs(a)), np.min(np.abs(b))))
        return float(np.min(np.abs(a - b))) / 2

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Compare", {}, ("operand",) if self.operand else ())
