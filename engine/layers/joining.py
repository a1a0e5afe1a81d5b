"""What layers share that put their inputs one after another along an axis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.extent import Extent, Slide, along
from engine.layers.base import Array, Ctx, Grads, Layer, OnnxOp, Record, Result, Spec, Term, Terms


@dataclass(frozen=True)
class Joining(Layer):
    """y = [x₁, x₂, …] along an axis; a subclass says which one, and checks the others.

    Gradient: dy is cut at the same places; each input receives its own part of it.
    """

    abstract: ClassVar[bool] = True
    category: ClassVar[str] = "Combine"
    arity: ClassVar[tuple[int, int | None]] = (2, None)

    @property
    def _axis(self) -> int:
        """The axis, from 1 (the channels)."""
        raise NotImplementedError

    def _joined(self, specs: tuple[Spec, ...]) -> tuple[Spec, ...]:
        """The output for inputs that differ in the axis only."""
        (shape, dtype), axis = (specs[0].shape, specs[0].dtype), self._axis
        total = sum(spec.shape[axis] for spec in specs)
        return (Spec((*shape[:axis], total, *shape[axis + 1 :]), dtype),)

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        sizes = np.array([x.shape[self._axis] for x in xs])
        return Result((np.concatenate(xs, self._axis),), {"sizes": sizes})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx = Ctx(),
    ) -> Grads:
        parts = np.split(dys[0], np.cumsum(saved["sizes"])[:-1], self._axis)
        return Grads(tuple(g if n else None for g, n in zip(parts, need, strict=True)))

    def _shifted(self, cell: tuple[int, ...], by: int) -> tuple[int, ...]:
        return tuple(c + by * (i + 1 == self._axis) for i, c in enumerate(cell))

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        before, axis = 0, self._axis - 1
        for slot, x in enumerate(rec.xs):
            if cell[axis] < before + x.shape[axis]:
                index = self._shifted(cell, -before)
                return Terms((Term(("input", slot, index), float(x[index]), 1.0),), "sum", "x")
            before += x.shape[axis]
        what = "channel" if axis == 0 else f"cell of axis {self._axis}"
        raise IndexError(f"{type(self).__name__}: expected a {what} below {before}.")

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        dy = rec.dys[0]
        if dy is None:
            return Terms((), "sum")
        index = self._shifted(cell, sum(x.shape[self._axis - 1] for x in rec.xs[:slot]))
        return Terms((Term(("output_grad", 0, index), float(dy[index]), 1.0),), "sum")

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        sizes = [spec.shape[self._axis] for spec in specs]
        part = Slide(sizes[slot], sum(sizes), before=sum(sizes[:slot]), frame=False)
        return along(specs[slot].shape[1:], self._axis - 1, part)

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Concat", {"axis": self._axis})
