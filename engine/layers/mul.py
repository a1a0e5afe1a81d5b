"""Element-wise product, with which one path weighs another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from engine.extent import Extent, served_places
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
from engine.layers.broadcasting import served, serving, sum_to


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
                sum_to(dy * b, a.shape) if need[0] else None,
                sum_to(dy * a, b.shape) if need[1] else None,
            )
        )

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        terms = []
        for slot, x in enumerate(rec.xs):
            index = served(cell, x.shape)
            terms.append(Term(("input", slot, index), float(x[index]), 1.0))
        return Terms(tuple(terms), "formula", "x₁ · x₂", 0)

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        dy, other = rec.dys[0], rec.xs[1 - slot]
        if dy is None:
            return Terms((), "sum")
        terms = []
        for place in serving(cell, rec.xs[slot].shape, dy.shape):
            factor = float(other[served(place, other.shape)])
            note = f"input {2 - slot}"
            terms.append(Term(("output_grad", 0, place), float(dy[place]), factor, note))
        return Terms(tuple(terms), "sum", "Σ dy · the other input")

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        return served_places(specs[slot].shape[1:], self.outputs(*specs)[0].shape[1:])

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Mul")
