"""Cells repeated along axes of size 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.extent import Extent, served_places
from engine.layers.base import Array, Fix, OnnxOp, ShapeError, Spec, hyper
from engine.layers.rearrangement import Rearrangement, moved_spec


@dataclass(frozen=True)
class Expand(Rearrangement):
    """Repeats a sample along its axes of size 1 until it has the size that is asked for.

    y[n, i, j, …] = x[n, …] where an axis of size 1 serves all its places; sizes are aligned at
    the last axis, and an axis that is missing is made.

    Gradient: each input cell receives the sum of dy over the cells that repeat it.

    Source: ONNX operator Expand.
    """

    title: ClassVar[str] = "Expand"
    slug: ClassVar[str] = "expand"

    shape: tuple[int, ...] = hyper(
        (1,), "Sizes of a sample; 1 keeps the size.", low=1, high=1 << 30
    )

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        sample = specs[0].shape[1:]
        try:
            shape = np.broadcast_shapes(sample, self.shape)
        except ValueError:
            raise ShapeError(
                f"sizes that are 1 or those of {specs[0]} for Expand",
                f"{'×'.join(map(str, self.shape))}",
                "Only an axis of size 1 can be repeated.",
                (Fix("Keep the size", "set", (1,), "shape"),),
            ) from None
        return moved_spec(specs[0], shape)

    def move(self, x: Array, fill: float) -> Array:
        (out,) = self.outputs(Spec(x.shape))
        missing = (1,) * (len(out.shape) - x.ndim)
        return np.broadcast_to(x.reshape(len(x), *missing, *x.shape[1:]), out.shape).copy()

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        shape, out = specs[slot].shape[1:], self.outputs(*specs)[0].shape[1:]
        return served_places(shape, out)

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Expand")
