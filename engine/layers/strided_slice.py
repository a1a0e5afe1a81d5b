"""Every so many cells of an axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engine.layers.base import Fix, OnnxOp, ShapeError, Spec, expect_axis, hyper
from engine.layers.cutting import Cut, Cutting


@dataclass(frozen=True)
class StridedSlice(Cutting):
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
    step: int = hyper(1, "Cells from one to the next; not 0.", low=-(1 << 30), high=1 << 30)
    count: int = hyper(1, "How many are kept.", low=1, high=1 << 30)

    @property
    def cut(self) -> Cut:
        return Cut(self.axis, self.start, self.step, self.count)

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        shape = specs[0].shape
        expect_axis(specs[0], self.axis, "StridedSlice")
        if not self.step:
            raise ShapeError(
                "a step other than 0 for StridedSlice",
                "0",
                "Take a Gather to repeat a cell.",
                (Fix("Set step to 1", "set", 1, "step"),)
                if self.start + self.count <= shape[self.axis]
                else (),
            )
        last = self.cut.last
        size = shape[self.axis]
        if not (self.start < size and 0 <= last < size):
            raise ShapeError(
                f"cells from 0 to {size - 1} for StridedSlice",
                f"{self.start} to {last}",
                "Start elsewhere, keep fewer or take smaller steps.",
                (Fix("Keep one", "set", 1, "count"),) if self.start < size else (),
            )
        return self._cut_spec(specs[0])

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("StridedSlice")
