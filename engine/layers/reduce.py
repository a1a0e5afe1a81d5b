"""Many numbers into one, along chosen axes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.extent import Extent, Matched, Slide
from engine.layers.base import (
    Array,
    Ctx,
    Fix,
    Grads,
    Layer,
    OnnxOp,
    Record,
    Result,
    ShapeError,
    Spec,
    Term,
    Terms,
    hyper,
)

OPERATORS = {
    "mean": "ReduceMean",
    "sum": "ReduceSum",
    "max": "ReduceMax",
    "min": "ReduceMin",
    "product": "ReduceProd",
    "sum of squares": "ReduceSumSquare",
    "l1": "ReduceL1",
    "l2": "ReduceL2",
    "log of sum": "ReduceLogSum",
    "log of sum of exp": "ReduceLogSumExp",
}
"""ONNX operator by operation."""

_FORMULAS = {
    "min": "the smallest",
    "product": "Π x",
    "sum of squares": "Σ x²",
    "l1": "Σ |x|",
    "l2": "√Σ x²",
    "log of sum": "log Σ x",
    "log of sum of exp": "log Σ exp(x)",
}


@dataclass(frozen=True)
class Reduce(Layer):
    """Makes one number of all cells along some axes: their mean, sum, largest, and so on.

    y = Σ x / n, Σ x, max x, min x, Π x, Σ x², Σ |x|, √Σ x², log Σ x or log Σ exp(x)

    Gradient: each cell gets dy times its share: 1 / n of a mean, 1 of a sum, 2 x, sign x, x / y,
    1 / Σ x, and exp(x − y). Of the largest and the smallest all of dy goes to the first cell that
    has it, in the order of memory. Of a product each cell gets the product of the others.

    Source: ONNX operators ReduceMean, ReduceSum, ReduceMax, ReduceMin, ReduceProd,
    ReduceSumSquare, ReduceL1, ReduceL2, ReduceLogSum and ReduceLogSumExp.
    """

    title: ClassVar[str] = "Reduce"
    category: ClassVar[str] = "Arithmetic"
    slug: ClassVar[str] = "reduce"

    operation: str = hyper("mean", "What is made of the numbers.", choices=tuple(OPERATORS))
    axes: tuple[int, ...] = hyper(
        (2, 3), "The axes along which they lie, from 1 (the channels).", low=1, high=16
    )
    keep: bool = hyper(True, "Keep these axes, with size 1.")

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        shape = specs[0].shape
        if max(self.axes, default=0) >= len(shape) or len(set(self.axes)) < len(self.axes):
            raise ShapeError(
                f"different axes from 1 to {len(shape) - 1} for Reduce",
                f"{', '.join(map(str, self.axes))}",
                "Choose axes that the input has.",
                (Fix("Use axis 1", "set", (1,), "axes"),) if len(shape) > 1 else (),
            )
        sample = [
            1 if i in self.axes else size
            for i, size in enumerate(shape)
            if i and (self.keep or i not in self.axes)
        ]
        return (Spec((shape[0], *sample), specs[0].dtype),)

    def _kept(self, y: Array, shape: tuple[int, ...]) -> Array:
        """y with the axes that were reduced, of size 1."""
        return y.reshape([1 if i in self.axes else size for i, size in enumerate(shape)])

    def _reduce(self, x: Array) -> Array:
        axes, keep = self.axes, self.keep
        if self.operation in ("mean", "sum", "max", "min"):
            function = getattr(np, self.operation)
            return function(x, axis=axes, keepdims=keep)
        if self.operation == "product":
            return np.prod(x, axis=axes, keepdims=keep)
        if self.operation == "sum of squares":
            return np.square(x).sum(axes, keepdims=keep)
        if self.operation == "l1":
            return np.abs(x).sum(axes, keepdims=keep)
        if self.operation == "l2":
            return np.sqrt(np.square(x).sum(axes, keepdims=keep))
        if self.operation == "log of sum":
            return np.log(x.sum(axes, keepdims=keep))
        # without the largest exp would overflow
        largest = x.max(axes, keepdims=True)
        y = np.log(np.exp(x - largest).sum(axes, keepdims=True)) + largest
        return y if keep else y.squeeze(axes)

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            y = np.asarray(self._reduce(xs[0]))
        return Result((y,), {"x": xs[0], "y": y})

    def _first(self, x: Array, y: Array) -> Array:
        """1 at the first cell, in the order of memory, that has the value that was taken."""
        rest = [i for i in range(x.ndim) if i not in self.axes]
        order = (*rest, *sorted(self.axes))
        rows = (x == y).transpose(order)
        shape = rows.shape
        rows = rows.reshape(*shape[: len(rest)], -1)
        first = np.zeros(rows.shape, x.dtype)
        np.put_along_axis(first, rows.argmax(-1)[..., None], 1, -1)
        return first.reshape(shape).transpose(np.argsort(order))

    def _slope(self, x: Array, y: Array) -> Array:
        """∂y/∂x, y with its axes kept."""
        if self.operation == "mean":
            return np.full_like(x, y.size / x.size)
        if self.operation == "sum":
            return np.ones_like(x)
        if self.operation in ("max", "min"):
            return self._first(x, y)
        if self.operation == "product":
            return self._others(x)
        if self.operation == "sum of squares":
            return 2 * x
        if self.operation == "l1":
            return np.sign(x)
        if self.operation == "l2":
            return x / np.where(y == 0, 1, y)
        if self.operation == "log of sum":
            return np.broadcast_to(np.exp(-y), x.shape)
        return np.exp(x - y)

    def _others(self, x: Array) -> Array:
        """The product of the other cells, right also where some are 0."""
        zero = x == 0
        count = zero.sum(self.axes, keepdims=True)
        rest = np.where(zero, 1, x).prod(self.axes, keepdims=True)
        return np.where(
            count == 0, rest / np.where(zero, 1, x), np.where(zero & (count == 1), rest, 0)
        )

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
        x = saved["x"]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            slope = self._slope(x, self._kept(saved["y"], x.shape))
        return Grads(((self._kept(dys[0], x.shape) * slope).astype(x.dtype),))

    def _cells(self, cell: tuple[int, ...], shape: tuple[int, ...]) -> list[tuple[int, ...]]:
        """The cells of the input that an output cell was made of."""
        if self.keep:
            fixed = list(cell)
        else:
            left = list(cell)
            fixed = [0 if i + 1 in self.axes else left.pop(0) for i in range(len(shape))]
        spread = [size if i + 1 in self.axes else 1 for i, size in enumerate(shape)]
        return [
            tuple(offset[i] if i + 1 in self.axes else f for i, f in enumerate(fixed))
            for offset in np.ndindex(*spread)
        ]

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        x = rec.xs[0]
        places = self._cells(cell, x.shape)
        factor = 1 / len(places) if self.operation == "mean" else 1.0
        terms = tuple(Term(("input", 0, place), float(x[place]), factor) for place in places)
        values = [t.value for t in terms]
        if self.operation in ("mean", "sum"):
            return Terms(terms, "sum", "Σ x / n" if self.operation == "mean" else "Σ x")
        if self.operation == "max":
            return Terms(terms, "max", "the largest", values.index(max(values)))
        chosen = values.index(min(values)) if self.operation == "min" else 0
        return Terms(terms, "formula", _FORMULAS[self.operation], chosen)

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        dy, x, y = rec.dys[0], rec.xs[0], rec.ys[0]
        if dy is None:
            return Terms((), "sum")
        place = tuple(
            0 if i + 1 in self.axes else c
            for i, c in enumerate(cell)
            if self.keep or i + 1 not in self.axes
        )
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            slope = self._slope(x[None], self._kept(y[None], (1, *x.shape)))[(0, *cell)]
        term = Term(("output_grad", 0, place), float(dy[place]), float(slope), "slope")
        return Terms((term,), "sum", "dy · ∂y/∂x")

    def kinks(self, p: Mapping[str, Array], *xs: Array) -> float:
        (x,) = xs
        if self.operation in ("l1", "l2", "log of sum"):
            return float(np.min(np.abs(x)))
        if self.operation not in ("max", "min"):
            return math.inf
        rest = [i for i in range(x.ndim) if i not in self.axes]
        rows = x.transpose(*rest, *self.axes).reshape(-1, math.prod(x.shape[i] for i in self.axes))
        if rows.shape[1] < 2:
            return math.inf
        ordered = np.sort(rows if self.operation == "max" else -rows, axis=1)
        return float(np.min(ordered[:, -1] - ordered[:, -2])) / 2

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        shape, out = specs[0].shape[1:], self.outputs(*specs)[0].shape[1:]
        left = [i for i in range(len(shape)) if i + 1 not in self.axes]
        made = left if self.keep else range(len(left))
        pairs = ((i, o, Slide(shape[i], shape[i])) for i, o in zip(left, made, strict=True))
        return Matched(shape, out, tuple(pairs))

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Reduce", {"keepdims": int(self.keep)})
