"""What activations of one number share: each output cell depends on the input cell at its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.layers.base import Array, Ctx, Grads, Layer, Record, Result, Spec, Term, Terms


@dataclass(frozen=True)
class Elementwise(Layer):
    """y = f(x) cell by cell; a subclass gives f as ``value`` and f′ as ``slope``.

    Gradient: dx = dy · f′(x).
    """

    abstract: ClassVar[bool] = True
    category: ClassVar[str] = "Activation"
    formula: ClassVar[str] = ""

    def value(self, x: Array) -> Array:
        """f(x), of the shape and dtype of x."""
        raise NotImplementedError

    def slope(self, x: Array, y: Array) -> Array:
        """f′(x), of the shape and dtype of x; y is f(x)."""
        raise NotImplementedError

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        return (specs[0],)

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        y = self.value(xs[0])
        return Result((y,), {"x": xs[0], "y": y})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx = Ctx(),
    ) -> Grads:
        if not need[0]:
            return Grads((None,))
        return Grads((dys[0] * self.slope(saved["x"], saved["y"]),))

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        term = Term(("input", 0, cell), float(rec.xs[0][cell]), 1.0)
        return Terms((term,), "formula", self.formula, 0)

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        dy = rec.dys[0]
        if dy is None:
            return Terms((), "sum")
        slope = self.slope(np.asarray(rec.xs[0][cell]), np.asarray(rec.ys[0][cell]))
        term = Term(("output_grad", 0, cell), float(dy[cell]), float(slope), "slope at x")
        return Terms((term,), "sum", "dy · f′(x)")


@dataclass(frozen=True)
class Gated(Elementwise):
    """y = x · g(x): the number times a gate that depends on it; a subclass gives g as ``gate``."""

    abstract: ClassVar[bool] = True

    def gate(self, x: Array) -> Array:
        """g(x), of the shape and dtype of x."""
        raise NotImplementedError

    def value(self, x: Array) -> Array:
        return x * self.gate(x)

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        gate = float(self.gate(np.asarray(rec.xs[0][cell])))
        term = Term(("input", 0, cell), float(rec.xs[0][cell]), gate, "the gate at x")
        return Terms((term,), "sum", self.formula)


def logistic(x: Array) -> Array:
    """1 / (1 + exp(−x)) without overflow, precise for small values too."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)
