"""Axes in another order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.extent import Extent, Matched, Slide
from engine.layers.base import Array, Fix, OnnxOp, ShapeError, Spec, hyper
from engine.layers.rearrangement import Rearrangement, moved_spec


@dataclass(frozen=True)
class Permute(Rearrangement):
    """Puts the axes of a sample in another order, as from (C, H, W) to (H, W, C).

    y[n, i_{order 1}, i_{order 2}, …] = x[n, i₁, i₂, …]

    Gradient: dy with its axes put back.

    Source: ONNX operator Transpose.
    """

    title: ClassVar[str] = "Permute axes"
    slug: ClassVar[str] = "permute"

    order: tuple[int, ...] = hyper(
        (2, 3, 1), "For each axis that comes out the one of the input, from 1.", low=1, high=16
    )

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        shape = specs[0].shape
        if sorted(self.order) != list(range(1, len(shape))):
            order = tuple(range(1, len(shape)))
            raise ShapeError(
                f"each of the axes {', '.join(map(str, order))} once for Permute",
                f"{', '.join(map(str, self.order)) or 'none'}",
                "Name every axis of the input once; the samples stay first.",
                (Fix("Keep the order", "set", order, "order"),),
            )
        return moved_spec(specs[0], tuple(shape[axis] for axis in self.order))

    def move(self, x: Array, fill: float) -> Array:
        return np.ascontiguousarray(x.transpose(0, *self.order))

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        shape, out = specs[0].shape[1:], self.outputs(*specs)[0].shape[1:]
        pairs = ((axis - 1, i, Slide(out[i], out[i])) for i, axis in enumerate(self.order))
        return Matched(shape, out, tuple(pairs))

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Transpose", {"perm": [0, *self.order]})
