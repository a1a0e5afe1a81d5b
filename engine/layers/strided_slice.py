"""Every so many cells of an axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.extent import Extent, Picks, along
from engine.layers.base import Array, Fix, OnnxOp, ShapeError, Spec, expect_axis, hyper
from engine.layers.rearrangement import Rearrangement, moved_spec


@dataclass(frozen=True)
class StridedSlice(Rearrangement):
    """Keeps every so many cells along one axis, forward or backward.

    y = x[start], x[start + step], … along the axis, ``count`` of them; a negative step runs
    backward and so mirrors the axis.

    Gradient: dy where a cell was kept; what was left out gets an exact zero.

    Source: ONNX operator Slice.
    """

    title: ClassVar[str] = "Strided slice"
    slug: ClassVar[str] = "stridedslice"

    axis: int = hyper(1, "The axis that is cut, from 1 (the channels).", low=1, high=16)
    start: int = hyper(0, "The first cell that is kept, from 0.", low=0, high=1 << 30)
    step: int = hyper(1, "Cells from one to the next.", low=-(1 << 30), high=1 << 30)
    count: int = hyper(1, "How many are kept.", low=1, high=1 << 30)

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        shape = specs[0].shape
        expect_axis(specs[0], self.axis, "StridedSlice")
        last = self.start + (self.count - 1) * self.step
        size = shape[self.axis]
        if not (self.start < size and 0 <= last < size):
            raise ShapeError(
                f"cells from 0 to {size - 1} for StridedSlice",
                f"{self.start} to {last}",
                "Start elsewhere, keep fewer or take smaller steps.",
                (Fix("Keep one", "set", 1, "count"),) if self.start < size else (),
            )
        sample = list(shape[1:])
        sample[self.axis - 1] = self.count
        return moved_spec(specs[0], tuple(sample))

    def move(self, x: Array, fill: float) -> Array:
        places = self.start + self.step * np.arange(self.count)
        return x.take(places, self.axis)

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        picks = Picks(self.start + self.step * np.arange(self.count))
        return along(specs[0].shape[1:], self.axis - 1, picks)

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("StridedSlice")
