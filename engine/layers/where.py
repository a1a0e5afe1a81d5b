"""One of two tensors, cell by cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.extent import Extent, served_places
from engine.layers.base import (
    Array,
    Ctx,
    Grads,
    Layer,
    OnnxOp,
    Record,
    Result,
    Spec,
    Term,
    Terms,
    hyper,
)
from engine.layers.broadcasting import aligned, common_shape, served, serving, sum_to


@dataclass(frozen=True)
class Where(Layer):
    """Takes each cell from one of two tensors, as a third, the condition, says.

    y = a where the condition is not 0, else b; without a third input b is ``otherwise``. Sizes
    of 1 serve all places of their axis.

    Gradient: dy goes to the one that was taken, an exact zero to the other. The condition's
    gradient is exactly zero: a small change of it changes nothing.

    Source: ONNX operator Where.
    """

    title: ClassVar[str] = "Where"
    category: ClassVar[str] = "Combine"
    slug: ClassVar[str] = "where"
    arity: ClassVar[tuple[int, int | None]] = (2, 3)

    otherwise: float = hyper(0.0, "What stands where the condition is 0.", low=-3.4e38, high=3.4e38)

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        shape = common_shape("Where", *(spec.shape[1:] for spec in specs))
        return (Spec((specs[0].shape[0], *shape), specs[-1].dtype),)

    def _all(self, xs: tuple[Array, ...]) -> list[Array]:
        """Condition, a and b with the batch first, aligned at the last axis."""
        if len(xs) == 2:
            xs = (*xs, np.full((1,), self.otherwise, xs[1].dtype))
        rank = max(x.ndim for x in xs) - 1
        return [aligned(x, rank) for x in xs]

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        condition, a, b = self._all(xs)
        y = np.where(condition != 0, a, b)
        return Result((y,), {f"x{i}": x for i, x in enumerate(xs)})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx = Ctx(),
    ) -> Grads:
        xs = tuple(saved[f"x{i}"] for i in range(len(need)))
        (dy,) = dys
        taken = self._all(xs)[0] != 0
        parts = [np.zeros_like(xs[0]), np.where(taken, dy, 0), np.where(taken, 0, dy)]
        return Grads(
            (
                parts[0] if need[0] else None,
                *(
                    sum_to(part, x.shape) if wanted else None
                    for part, x, wanted in zip(parts[1:], xs[1:], need[1:], strict=False)
                ),
            )
        )

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        condition = float(rec.xs[0][served(cell, rec.xs[0].shape)])
        slot = 1 if condition else 2
        if slot == len(rec.xs):
            number = float(rec.ys[0].dtype.type(self.otherwise))
            return Terms((Term(("constant", "otherwise"), number, 1.0),), "sum", "otherwise")
        index = served(cell, rec.xs[slot].shape)
        term = Term(("input", slot, index), float(rec.xs[slot][index]), 1.0, "taken")
        return Terms((term,), "sum", "a where the condition is not 0, else b")

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        dy, condition = rec.dys[0], rec.xs[0]
        if dy is None or slot == 0:
            return Terms((), "sum")
        terms = []
        for place in serving(cell, rec.xs[slot].shape, dy.shape):
            if bool(condition[served(place, condition.shape)]) == (slot == 1):
                terms.append(Term(("output_grad", 0, place), float(dy[place]), 1.0, "taken"))
        return Terms(tuple(terms), "sum", "Σ dy where this one was taken")

    def kinks(self, p: Mapping[str, Array], *xs: Array) -> float:
        return float(np.min(np.abs(xs[0])))

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        shape, out = specs[slot].shape[1:], self.outputs(*specs)[0].shape[1:]
        return served_places(shape, out)

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Where")
