"""Element-wise product, with which one path weighs another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.extent import Axes, Extent, Groups, Slide
from engine.layers.base import (
    Array,
    Ctx,
    Grads,
    Layer,
    OnnxOp,
    Record,
    Result,
    ShapeError,
    Spec,
    Term,
    Terms,
)


@dataclass(frozen=True)
class Mul(Layer):
    """Multiplies its two inputs cell by cell: one path says how much of the other counts.

    y = x₁ · x₂. An axis of size 1 (other than the batch) serves all cells of the other input's
    axis: factors C×1×1 weigh whole channels, as in squeeze-and-excite.

    Gradient: dx₁ = dy · x₂ and dx₂ = dy · x₁, added up over the cells that one factor served.

    Source: Hu, Shen & Sun 2018 (squeeze-and-excite), equation 4; ONNX operator Mul.
    """

    title: ClassVar[str] = "Multiply"
    category: ClassVar[str] = "Combine"
    slug: ClassVar[str] = "mul"
    arity: ClassVar[tuple[int, int | None]] = (2, 2)

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        a, b = specs
        fits = len(a.shape) == len(b.shape) and all(
            m == n or 1 in (m, n) for m, n in zip(a.shape[1:], b.shape[1:], strict=True)
        )
        if not fits:
            raise ShapeError(
                f"inputs whose sizes are equal or 1 for Mul, {a} as the first",
                f"{b} at input 2",
                "Give both the same size, or one of them one number per channel (C×1×1).",
            )
        sizes = (max(m, n) for m, n in zip(a.shape[1:], b.shape[1:], strict=True))
        return (Spec((a.shape[0], *sizes), a.dtype),)

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        a, b = xs
        return Result((a * b,), {"a": a, "b": b})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx = Ctx(),
    ) -> Grads:
        (dy,), a, b = dys, saved["a"], saved["b"]
        return Grads(
            (
                _sum_to(dy * b, a.shape) if need[0] else None,
                _sum_to(dy * a, b.shape) if need[1] else None,
            )
        )

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        terms = []
        for slot, x in enumerate(rec.xs):
            index = _served(cell, x.shape)
            terms.append(Term(("input", slot, index), float(x[index]), 1.0))
        return Terms(tuple(terms), "formula", "x₁ · x₂", 0)

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        dy, other = rec.dys[0], rec.xs[1 - slot]
        if dy is None:
            return Terms((), "sum")
        own = rec.xs[slot].shape
        terms = []
        for offset in np.ndindex(*(n if m == 1 else 1 for m, n in zip(own, dy.shape, strict=True))):
            place = tuple(c + o for c, o in zip(cell, offset, strict=True))
            factor = float(other[_served(place, other.shape)])
            note = f"input {2 - slot}"
            terms.append(Term(("output_grad", 0, place), float(dy[place]), factor, note))
        return Terms(tuple(terms), "sum", "Σ dy · the other input")

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        out = self.outputs(*specs)[0].shape[1:]
        sizes = zip(specs[slot].shape[1:], out, strict=True)
        return Axes(tuple(Slide(n, n) if n == m else Groups(n, m) for n, m in sizes))

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Mul")


def _served(cell: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The cell of an input of that shape that an output cell reads."""
    return tuple(0 if size == 1 else i for i, size in zip(cell, shape, strict=True))


def _sum_to(gradient: Array, shape: tuple[int, ...]) -> Array:
    """Added up over the axes in which the input has size 1."""
    axes = tuple(i for i, size in enumerate(shape) if size == 1 != gradient.shape[i])
    return gradient.sum(axes, keepdims=True) if axes else gradient
