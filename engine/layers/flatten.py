"""Maps to one vector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.extent import Extent, Refold
from engine.layers.base import (
    Array,
    Ctx,
    Grads,
    Layer,
    OnnxOp,
    Record,
    Result,
    Spec,
    Term,
    Terms,
)


@dataclass(frozen=True)
class Flatten(Layer):
    """Writes all maps of a sample into one long row of numbers; nothing is computed.

    y[n, (k·H + r)·W + c] = x[n, k, r, c]

    Gradient: dy, put back into the shape of x.

    Source: ONNX operator Flatten with axis 1.
    """

    title: ClassVar[str] = "Flatten"
    category: ClassVar[str] = "Shape"
    slug: ClassVar[str] = "flatten"

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        (spec,) = specs
        return (Spec((spec.shape[0], int(np.prod(spec.shape[1:]))), spec.dtype),)

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        (x,) = xs
        return Result((x.reshape(len(x), -1),), {"x": x})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx = Ctx(),
    ) -> Grads:
        return Grads((dys[0].reshape(saved["x"].shape) if need[0] else None,))

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        x = rec.xs[0]
        index = tuple(int(i) for i in np.unravel_index(cell[0], x.shape))
        return Terms((Term(("input", 0, index), float(x[index]), 1.0),), "sum", "x")

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        dy = rec.dys[0]
        if dy is None:
            return Terms((), "sum")
        index = (int(np.ravel_multi_index(cell, rec.xs[0].shape)),)
        return Terms((Term(("output_grad", 0, index), float(dy[index]), 1.0),), "sum")

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        return Refold(specs[0].shape[1:], self.outputs(*specs)[0].shape[1:])

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Flatten", {"axis": 1})
