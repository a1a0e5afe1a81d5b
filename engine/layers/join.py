"""Tensors side by side along any axis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.extent import Extent, Slide, along
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


@dataclass(frozen=True)
class Join(Layer):
    """Puts its inputs one after another along any axis, as rows below each other.

    y = [x₁, x₂, …] along the axis

    Gradient: dy is cut at the same places; each input receives its own part of it.

    Source: ONNX operator Concat.
    """

    title: ClassVar[str] = "Join"
    category: ClassVar[str] = "Combine"
    slug: ClassVar[str] = "join"
    arity: ClassVar[tuple[int, int | None]] = (2, None)

    axis: int = hyper(1, "The axis along which they lie, from 1 (the channels).", low=1, high=16)

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        first, axis = specs[0], self.axis
        if axis >= len(first.shape):
            raise ShapeError(
                f"at least {axis} axes for Join",
                f"{first}",
                "Choose an axis that the inputs have.",
                (Fix("Set axis to 1", "set", 1, "axis"),) if len(first.shape) > 1 else (),
            )
        for slot, spec in enumerate(specs[1:], 1):
            same = len(spec.shape) == len(first.shape) and all(
                first.shape[i] == spec.shape[i] for i in range(len(first.shape)) if i != axis
            )
            if not same:
                raise ShapeError(
                    f"inputs for Join that differ in axis {axis} only, {first} as the first",
                    f"{spec} at input {slot + 1}",
                    "Bring all to the same size along the other axes.",
                )
        total = sum(spec.shape[axis] for spec in specs)
        return (Spec((*first.shape[:axis], total, *first.shape[axis + 1 :]), first.dtype),)

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        sizes = np.array([x.shape[self.axis] for x in xs])
        return Result((np.concatenate(xs, self.axis),), {"sizes": sizes})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx = Ctx(),
    ) -> Grads:
        parts = np.split(dys[0], np.cumsum(saved["sizes"])[:-1], self.axis)
        return Grads(tuple(g if n else None for g, n in zip(parts, need, strict=True)))

    def _shifted(self, cell: tuple[int, ...], by: int) -> tuple[int, ...]:
        return tuple(c + by * (i + 1 == self.axis) for i, c in enumerate(cell))

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        before, axis = 0, self.axis - 1
        for slot, x in enumerate(rec.xs):
            if cell[axis] < before + x.shape[axis]:
                index = self._shifted(cell, -before)
                return Terms((Term(("input", slot, index), float(x[index]), 1.0),), "sum", "x")
            before += x.shape[axis]
        raise IndexError(f"Join: expected a cell below {before} along axis {self.axis}.")

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        dy = rec.dys[0]
        if dy is None:
            return Terms((), "sum")
        index = self._shifted(cell, sum(x.shape[self.axis - 1] for x in rec.xs[:slot]))
        return Terms((Term(("output_grad", 0, index), float(dy[index]), 1.0),), "sum")

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        sizes = [spec.shape[self.axis] for spec in specs]
        part = Slide(sizes[slot], sum(sizes), before=sum(sizes[:slot]), frame=False)
        return along(specs[slot].shape[1:], self.axis - 1, part)

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Concat", {"axis": self.axis})
