"""A part of a tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engine.layers.base import Fix, OnnxOp, ShapeError, Spec, hyper
from engine.layers.cutting import Cut, Cutting

AXES = ("channels", "rows", "columns")


@dataclass(frozen=True)
class Slice(Cutting):
    """Keeps some neighbouring channels, rows or columns and leaves the rest out.

    y = x[start : start + size] along the axis; of a vector the channels are its numbers.

    Gradient: dy where a cell was kept; what was left out gets an exact zero.

    Source: ONNX operator Slice.
    """

    title: ClassVar[str] = "Slice"
    slug: ClassVar[str] = "slice"

    axis: str = hyper("channels", "What is cut.", choices=AXES)
    start: int = hyper(0, "The first one that is kept, counted from 0.", low=0, high=65536)
    size: int = hyper(1, "How many are kept.", low=1, high=65536)

    @property
    def cut(self) -> Cut:
        return Cut(AXES.index(self.axis) + 1, self.start, 1, self.size)

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        shape, axis = specs[0].shape, self.cut.axis
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
        return self._cut_spec(specs[0])

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Slice")
