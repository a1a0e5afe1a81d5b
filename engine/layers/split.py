"""One tensor into several parts."""

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
    expect_axis,
    hyper,
)


@dataclass(frozen=True)
class Split(Layer):
    """Cuts a tensor along an axis; each part is an output of its own.

    y₁, y₂, … = x cut into parts of ``sizes``

    Gradient: the parts' gradients side by side; a part that nobody reads brings zeros.

    Source: ONNX operator Split.
    """

    title: ClassVar[str] = "Split"
    category: ClassVar[str] = "Shape"
    slug: ClassVar[str] = "split"

    axis: int = hyper(1, "The axis that is cut, from 1 (the channels).", low=1, high=16)
    sizes: tuple[int, ...] = hyper(
        (-1,), "Size of each part; one may be −1 for what is left.", low=-1, high=1 << 30
    )

    def _sizes(self, total: int) -> list[int]:
        left = total - sum(size for size in self.sizes if size >= 0)
        return [left if size < 0 else size for size in self.sizes]

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        shape, axis = specs[0].shape, self.axis
        expect_axis(specs[0], self.axis, "Split")
        sizes = self._sizes(shape[axis])
        if not sizes or min(sizes) < 1 or sum(sizes) != shape[axis] or self.sizes.count(-1) > 1:
            raise ShapeError(
                f"sizes from 1 that add up to {shape[axis]} for Split",
                f"{', '.join(map(str, self.sizes)) or 'none'}",
                "Change the sizes.",
                (Fix("One part", "set", (-1,), "sizes"),),
            )
        return tuple(
            Spec((*shape[:axis], size, *shape[axis + 1 :]), specs[0].dtype) for size in sizes
        )

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        cuts = np.cumsum(self._sizes(xs[0].shape[self.axis]))[:-1]
        return Result(tuple(part.copy() for part in np.split(xs[0], cuts, self.axis)), {})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx = Ctx(),
    ) -> Grads:
        return Grads((np.concatenate(dys, self.axis) if need[0] else None,))

    def _shifted(self, cell: tuple[int, ...], by: int) -> tuple[int, ...]:
        return tuple(c + by * (i + 1 == self.axis) for i, c in enumerate(cell))

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        x = rec.xs[0]
        place = self._shifted(cell, sum(self._sizes(x.shape[self.axis - 1])[:port]))
        return Terms((Term(("input", 0, place), float(x[place]), 1.0),), "sum", "x")

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        before = 0
        for port, size in enumerate(self._sizes(rec.xs[0].shape[self.axis - 1])):
            if cell[self.axis - 1] < before + size:
                dy = rec.dys[port] if port < len(rec.dys) else None
                if dy is None:
                    return Terms((), "sum")
                place = self._shifted(cell, -before)
                return Terms((Term(("output_grad", port, place), float(dy[place]), 1.0),), "sum")
            before += size
        return Terms((), "sum")

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        size = specs[0].shape[self.axis]
        sizes = self._sizes(size)
        part = Slide(size, sizes[port], before=-sum(sizes[:port]), frame=False)
        return along(specs[0].shape[1:], self.axis - 1, part)

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Split", {"axis": self.axis})
