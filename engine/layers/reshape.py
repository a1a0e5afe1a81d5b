"""Another shape for the same numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.extent import Extent, Refold
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
    hyper,
)


@dataclass(frozen=True)
class Reshape(Layer):
    """Reads the same numbers as maps of another size; none of them changes.

    y = x, cut anew into (channels, rows, columns) in the order channel, row, column. With
    ``channels`` 0 there are as many as fill the size.

    Gradient: dx = dy in x's shape.

    Source: ONNX operator Reshape.
    """

    title: ClassVar[str] = "Reshape"
    category: ClassVar[str] = "Shape"
    slug: ClassVar[str] = "reshape"

    channels: int = hyper(0, "Maps that come out; 0 for as many as fit.", low=0, high=1_000_000)
    rows: int = hyper(1, "Rows of each map.", low=1, high=65536)
    columns: int = hyper(1, "Columns of each map.", low=1, high=65536)

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        n, *sizes = specs[0].shape
        count, area = int(np.prod(sizes)), self.rows * self.columns
        channels = self.channels or count // area
        if channels * area != count:
            fits = count % area == 0
            raise ShapeError(
                f"{self.channels or 'a multiple of'} × {self.rows} × {self.columns} numbers"
                if self.channels
                else f"a multiple of {self.rows} × {self.columns} numbers",
                f"{count} ({specs[0]})",
                "Choose sizes whose product is the number of numbers.",
                (Fix("Set channels to 0", "set", 0, "channels"),) if fits else (),
            )
        return (Spec((n, channels, self.rows, self.columns), specs[0].dtype),)

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        y = xs[0].reshape(len(xs[0]), self.channels or -1, self.rows, self.columns)
        return Result((y,), {"x": xs[0]})

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

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Reshape")


def _same_place(
    cell: tuple[int, ...], shape: tuple[int, ...], other: tuple[int, ...]
) -> tuple[int, ...]:
    """The index in ``other`` of the number at ``cell`` in ``shape``."""
    flat = np.ravel_multi_index(cell, shape)
    return tuple(int(i) for i in np.unravel_index(flat, other))
