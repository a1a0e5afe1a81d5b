"""A frame around any axes, or cells cut off at their ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engine.extent import Axes, Extent
from engine.layers.base import Array, Fix, OnnxOp, ShapeError, Spec, hyper
from engine.layers.rearrangement import Rearrangement, framed, framed_axis, moved_spec

MODES = ("constant", "reflect", "edge", "wrap")


@dataclass(frozen=True)
class Frame(Rearrangement):
    """Puts cells before and after any axes of a sample; a negative width cuts cells off instead.

    In the frame stands ``value`` ("constant"), the cell as far inside the edge as this one is
    outside ("reflect"), the nearest cell ("edge"), or the cells of the other end ("wrap").

    Gradient: each input cell receives the sum of dy over the cells that show it; of a constant
    nothing comes back, and what was cut off gets an exact zero.

    Source: ONNX operator Pad.
    """

    title: ClassVar[str] = "Frame"
    slug: ClassVar[str] = "frame"

    before: tuple[int, ...] = hyper(
        (0, 1, 1), "Cells added before each axis, from the channels on.", low=-65536, high=65536
    )
    after: tuple[int, ...] = hyper(
        (0, 1, 1), "Cells added after each axis, from the channels on.", low=-65536, high=65536
    )
    mode: str = hyper("constant", "What stands in the frame.", choices=MODES)
    value: float = hyper(0.0, "What a constant frame is filled with.", low=-3.4e38, high=3.4e38)

    @property
    def filling(self) -> float:
        return float(self.value)

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        sample = specs[0].shape[1:]
        if not len(self.before) == len(self.after) == len(sample):
            none = (0,) * len(sample)
            raise ShapeError(
                f"{len(sample)} widths before and after for Frame, one for each axis of {specs[0]}",
                f"{len(self.before)} before and {len(self.after)} after",
                "Give one width for each axis.",
                (Fix("No frame before", "set", none, "before"),)
                if len(self.after) == len(sample)
                else (),
            )
        sizes = tuple(
            b + size + a for b, size, a in zip(self.before, sample, self.after, strict=True)
        )
        mirrored = self.mode == "reflect" and any(
            max(b, a) >= size for b, size, a in zip(self.before, sample, self.after, strict=True)
        )
        kept = (
            size + min(0, b) + min(0, a)
            for b, size, a in zip(self.before, sample, self.after, strict=True)
        )
        empty = self.mode != "constant" and min(kept, default=1) < 1
        if min(sizes, default=1) < 1 or mirrored or empty:
            raise ShapeError(
                "a frame that leaves cells, and mirrors no more than there are, for Frame",
                f"{specs[0]} with {self.before} before and {self.after} after",
                "Use smaller widths.",
                (),
            )
        return moved_spec(specs[0], sizes)

    def move(self, x: Array, fill: float) -> Array:
        return framed(x, self.before, self.after, self.mode, fill)

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        sides = zip(specs[0].shape[1:], self.before, self.after, strict=True)
        return Axes(tuple(framed_axis(size, b, a, self.mode) for size, b, a in sides))

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Frame", {"mode": self.mode})
