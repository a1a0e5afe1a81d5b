"""What layers share that read the same numbers with other axes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.extent import Extent, Refold
from engine.layers.base import Array, Ctx, Grads, Layer, Record, Result, Spec, Term, Terms


@dataclass(frozen=True)
class Refolding(Layer):
    """y = x, cut anew in the order of memory (the last axis runs fastest).

    A subclass gives ``outputs``.

    Gradient: dx = dy in x's shape.
    """

    abstract: ClassVar[bool] = True
    category: ClassVar[str] = "Shape"

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        (out,) = self.outputs(Spec(xs[0].shape))
        return Result((xs[0].reshape(out.shape),), {"x": xs[0]})

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
        place = _same_place(cell, rec.ys[0].shape, rec.xs[0].shape)
        return Terms((Term(("input", 0, place), float(rec.xs[0][place]), 1.0),), "sum", "x")

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        dy = rec.dys[0]
        if dy is None:
            return Terms((), "sum")
        place = _same_place(cell, rec.xs[0].shape, dy.shape)
        return Terms((Term(("output_grad", 0, place), float(dy[place]), 1.0),), "sum", "dy")

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        return Refold(specs[0].shape[1:], self.outputs(*specs)[0].shape[1:])


def _same_place(
    cell: tuple[int, ...], shape: tuple[int, ...], other: tuple[int, ...]
) -> tuple[int, ...]:
    """The index in ``other`` of the number at ``cell`` in ``shape``."""
    flat = int(np.ravel_multi_index(cell, shape)) if shape else 0
    return tuple(int(i) for i in np.unravel_index(flat, other)) if other else ()
