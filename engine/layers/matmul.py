"""Matrix product."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.extent import Extent, Matched, served_places
from engine.layers.base import (
    Array,
    Cost,
    Ctx,
    Grads,
    Layer,
    OnnxOp,
    ParamSpec,
    Record,
    Result,
    ShapeError,
    Spec,
    Term,
    Terms,
    hyper,
)
from engine.layers.broadcasting import aligned, served, serving, sum_to


@dataclass(frozen=True)
class MatMul(Layer):
    """Multiplies rows by columns: of two tensors, or of one with a trained matrix.

    y[…, r, c] = Σ_k a[…, r, k] · b[…, k, c] over the last two axes; the axes before them serve
    where they are 1. With one input b is the trained matrix "weight" (numbers of the last axis,
    ``out_features``), the same for all rows: a fully connected layer for each of them.

    Gradient: da = dy · bᵀ and db = aᵀ · dy, added up over the matrices that one of them served.

    Source: ONNX operator MatMul; Vaswani et al. 2017, equation 1.
    """

    title: ClassVar[str] = "Matrix product"
    category: ClassVar[str] = "Fully connected"
    slug: ClassVar[str] = "matmul"
    arity: ClassVar[tuple[int, int | None]] = (1, 2)

    out_features: int = hyper(
        8, "Columns of the trained matrix, where there is one input.", low=1, high=1_000_000
    )

    def _shape(self, a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
        if len(a) < 2 or len(b) < 2 or a[-1] != b[-2]:
            raise ShapeError(
                "matrices for MatMul, the second with as many rows as the first has columns",
                f"{'×'.join(map(str, a)) or 'a number'} and {'×'.join(map(str, b)) or 'a number'}",
                "Change one of them, or put a Permute axes before it.",
            )
        try:
            front = np.broadcast_shapes(a[:-2], b[:-2])
        except ValueError:
            raise ShapeError(
                "as many matrices in both inputs of MatMul, or one",
                f"{'×'.join(map(str, a))} and {'×'.join(map(str, b))}",
                "Give both the same sizes before the last two axes.",
            ) from None
        return (*front, a[-2], b[-1])

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        a = specs[0].shape[1:]
        if len(specs) == 1:
            if not a:
                raise ShapeError("a row of numbers for MatMul", "one number", "Put a View before.")
            return (Spec((specs[0].shape[0], *a[:-1], self.out_features), specs[0].dtype),)
        return (Spec((specs[0].shape[0], *self._shape(a, specs[1].shape[1:])), specs[0].dtype),)

    def parameters(self, *specs: Spec) -> dict[str, ParamSpec]:
        if len(specs) > 1:
            return {}
        features = specs[0].shape[-1]
        return {"weight": ParamSpec((features, self.out_features), "he", features)}

    def cost(self, *specs: Spec) -> Cost:
        out = math.prod(self.outputs(*specs)[0].shape[1:])
        return Cost(super().cost(*specs).parameters, out * specs[0].shape[-1])

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        saved = {f"x{i}": x for i, x in enumerate(xs)}
        if len(xs) == 1:
            return Result((xs[0] @ p["weight"],), saved)
        rank = max(x.ndim for x in xs) - 1
        return Result((aligned(xs[0], rank) @ aligned(xs[1], rank),), saved)

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx = Ctx(),
    ) -> Grads:
        (dy,), a = dys, saved["x0"]
        if len(need) == 1:
            w = p["weight"]
            # the same matrix served all rows of all samples
            dw = a.reshape(-1, a.shape[-1]).T @ dy.reshape(-1, dy.shape[-1])
            return Grads((dy @ w.T if need[0] else None,), {"weight": dw})
        b = saved["x1"]
        rank = dy.ndim - 1
        da = sum_to(dy @ np.swapaxes(aligned(b, rank), -1, -2), a.shape) if need[0] else None
        db = sum_to(np.swapaxes(aligned(a, rank), -1, -2) @ dy, b.shape) if need[1] else None
        return Grads((da, db))

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        *front, c = cell
        a = rec.xs[0]
        terms = []
        if len(rec.xs) == 1:
            w = rec.params["weight"]
            for k in range(a.shape[-1]):
                place = (*front, k)
                terms.append(
                    Term(("input", 0, place), float(a[place]), float(w[k, c]), f"W[{k},{c}]")
                )
            return Terms(tuple(terms), "sum", "Σ x · W")
        b, r = rec.xs[1], front[-1]
        for k in range(a.shape[-1]):
            place = (*served(tuple(front[:-1]), a.shape[:-2]), r, k)
            other = (*served(tuple(front[:-1]), b.shape[:-2]), k, c)
            terms.append(Term(("input", 0, place), float(a[place]), float(b[other]), "b"))
        return Terms(tuple(terms), "sum", "Σ a · b")

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        dy = rec.dys[0]
        if dy is None:
            return Terms((), "sum")
        *front, last = cell
        if len(rec.xs) == 1:
            w = rec.params["weight"]
            terms = [
                Term(("output_grad", 0, (*front, c)), float(dy[(*front, c)]), float(w[last, c]))
                for c in range(w.shape[1])
            ]
            return Terms(tuple(terms), "sum", "Σ dy · W")
        own, other = rec.xs[slot].shape[:-2], rec.xs[1 - slot]
        terms = []
        for place in serving(cell[:-2], own, dy.shape[:-2]):
            there = served(place, other.shape[:-2])
            if slot == 0:
                for c in range(dy.shape[-1]):
                    where = (*place, cell[-2], c)
                    factor = float(other[(*there, last, c)])
                    terms.append(Term(("output_grad", 0, where), float(dy[where]), factor))
            else:
                for r in range(dy.shape[-2]):
                    where = (*place, r, last)
                    factor = float(other[(*there, r, cell[-2])])
                    terms.append(Term(("output_grad", 0, where), float(dy[where]), factor))
        return Terms(tuple(terms), "sum", "Σ dy · the other matrix")

    def gathers(self, name: str, index: tuple[int, ...], rec: Record) -> Terms:
        dy, a = rec.dys[0], rec.xs[0]
        if dy is None:
            return Terms((), "sum")
        k, c = index
        terms = tuple(
            Term(("output_grad", 0, (*row, c)), float(dy[(*row, c)]), float(a[(*row, k)]), "x")
            for row in np.ndindex(*dy.shape[:-1])
        )
        return Terms(terms, "sum", "Σ dy · x over the rows")

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        shape, out = specs[slot].shape[1:], self.outputs(*specs)[0].shape[1:]
        served_alone = served_places(shape, out)
        summed = len(shape) - 1 - slot  # the last axis of a, the last but one of b
        pairs = tuple(pair for pair in served_alone.pairs if pair[0] != summed)
        return Matched(shape, out, pairs)

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("MatMul", {}, ("weight",))
