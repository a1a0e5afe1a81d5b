"""A part of a tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.extent import Axes, Extent, Slide
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

AXES = ("channels", "rows", "columns")


@dataclass(frozen=True)
class Slice(Layer):
    """Keeps some neighbouring channels, rows or columns and leaves the rest out.

    y = x[start : start + size] along the axis; of a vector the channels are its numbers.

    Gradient: dy where a cell was kept; what was left out gets an exact zero.

    Source: ONNX operator Slice.
    """

    title: ClassVar[str] = "Slice"
    category: ClassVar[str] = "Shape"
    slug: ClassVar[str] = "slice"

    axis: str = hyper("channels", "What is cut.", choices=AXES)
    start: int = hyper(0, "The first one that is kept, counted from 0.", low=0, high=65536)
    size: int = hyper(1, "How many are kept.", low=1, high=65536)

    @property
    def _axis(self) -> int:
        return AXES.index(self.axis) + 1

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        shape, axis = specs[0].shape, self._axis
        if axis >= len(shape):
            raise ShapeError(
                f"maps, to cut their {self.axis}",
                f"a vector of {specs[0]}",
                "Cut the channels: of a vector these are its numbers.",
                (Fix("Set axis to channels", "set", "channels", "axis"),) * (len(shape) > 1),
            )
        if self.start + self.size > shape[axis]:
            left = shape[axis] - self.start
            fix = (Fix(f"Set size to {left}", "set", left, "size"),) if left > 0 else ()
            raise ShapeError(
                f"at least {self.start + self.size} {self.axis} for Slice",
                f"{shape[axis]}",
                "Start earlier or keep fewer.",
                fix or (Fix("Set start to 0", "set", 0, "start"),) * (self.size <= shape[axis]),
            )
        return (Spec((*shape[:axis], self.size, *shape[axis + 1 :]), specs[0].dtype),)

    def _part(self, x: Array) -> Array:
        return x[(slice(None),) * self._axis + (slice(self.start, self.start + self.size),)]

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        return Result((self._part(xs[0]).copy(),), {"x": xs[0]})

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
        dx = np.zeros(saved["x"].shape, dys[0].dtype)
        self._part(dx)[...] = dys[0]
        return Grads((dx,))

    def _shifted(self, cell: tuple[int, ...], by: int) -> tuple[int, ...]:
        return tuple(c + by * (i + 1 == self._axis) for i, c in enumerate(cell))

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        place = self._shifted(cell, self.start)
        return Terms((Term(("input", 0, place), float(rec.xs[0][place]), 1.0),), "sum", "x")

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        dy = rec.dys[0]
        place = self._shifted(cell, -self.start)
        if dy is None or not 0 <= place[self._axis - 1] < self.size:
            return Terms((), "sum")
        return Terms((Term(("output_grad", 0, place), float(dy[place]), 1.0),), "sum", "dy")

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        shape, out = specs[0].shape[1:], self.outputs(*specs)[0].shape[1:]
        before = [-self.start if i == self._axis - 1 else 0 for i in range(len(shape))]
        sizes = zip(shape, out, before, strict=True)
        return Axes(tuple(Slide(n, m, before=b, frame=False) for n, m, b in sizes))

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Slice")
