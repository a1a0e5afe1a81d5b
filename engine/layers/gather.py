"""Chosen cells of an axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.extent import Extent, Picks, along
from engine.layers.base import Array, Fix, OnnxOp, ShapeError, Spec, expect_axis, hyper
from engine.layers.rearrangement import Rearrangement, moved_spec


@dataclass(frozen=True)
class Gather(Rearrangement):
    """Picks cells along one axis by their numbers, in any order; one may be picked several times.

    y = x[indices] along the axis

    Gradient: each input cell receives the sum of dy over the places where it was picked; what was
    not picked gets an exact zero.

    Source: ONNX operator Gather.
    """

    title: ClassVar[str] = "Gather"
    slug: ClassVar[str] = "gather"

    axis: int = hyper(1, "The axis along which is picked, from 1 (the channels).", low=1, high=16)
    indices: tuple[int, ...] = hyper((0,), "Numbers of the cells, from 0.", low=0, high=1 << 30)

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        shape = specs[0].shape
        expect_axis(specs[0], self.axis, "Gather")
        if not self.indices or max(self.indices) >= shape[self.axis]:
            raise ShapeError(
                f"numbers of cells from 0 to {shape[self.axis] - 1} for Gather",
                f"{max(self.indices, default='none')}",
                "Pick cells that the axis has.",
                (Fix("Pick the first", "set", (0,), "indices"),),
            )
        sample = list(shape[1:])
        sample[self.axis - 1] = len(self.indices)
        return moved_spec(specs[0], tuple(sample))

    def move(self, x: Array, fill: float) -> Array:
        return x.take(self.indices, self.axis)

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        picks = Picks(np.array(self.indices, np.int64))
        return along(specs[0].shape[1:], self.axis - 1, picks)

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Gather", {"axis": self.axis})
