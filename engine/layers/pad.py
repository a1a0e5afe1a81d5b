"""A frame around the maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.extent import Axes, Axis, Extent, Slide, Table
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
    expect_rank,
    hyper,
    pair,
)
from engine.layers.window import padding_sides

MODES = ("zeros", "reflect", "edge")


@dataclass(frozen=True)
class Pad(Layer):
    """Puts a frame around each map: zeros, the mirrored inside, or the edge again and again.

    y[n, k, r, c] = x[n, k, r − top, c − left] inside; in the frame 0 ("zeros"), the cell as far
    inside the edge as this one is outside ("reflect"; the edge itself is not repeated), or the
    nearest cell ("edge").

    ``channels`` puts maps of zeros in front of the others and behind them, as the shortcuts of
    residual networks do whose width grows (option A of He et al. 2016).

    Gradient: each input cell receives the sum of dy over the cells that repeat it, itself among
    them; of a frame of zeros nothing comes back.

    Source: ONNX operator Pad.
    """

    title: ClassVar[str] = "Pad"
    category: ClassVar[str] = "Shape"
    slug: ClassVar[str] = "pad"

    padding: int | tuple[int, ...] = hyper(
        1,
        "Width of the frame: one number, (rows, columns) or (top, left, bottom, right).",
        low=0,
        high=64,
        unit="cells",
    )
    mode: str = hyper("zeros", "What the frame is filled with.", choices=MODES)
    channels: int | tuple[int, int] = hyper(
        0,
        "Maps of zeros in front and behind: one number for both, or (in front, behind).",
        low=0,
        high=65536,
        unit="maps",
        later=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        padding_sides(self.padding)

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        expect_rank(specs, 4, "Pad", "A frame needs maps: put it before the Flatten.")
        (top, left), (bottom, right) = padding_sides(self.padding)
        n, c, h, w = specs[0].shape
        if self.mode == "reflect" and (max(top, bottom) >= h or max(left, right) >= w):
            raise ShapeError(
                f"maps larger than the frame of {max(top, left, bottom, right)} that mirrors them",
                f"{h}×{w}",
                "Use less padding or another mode.",
                (Fix("Set mode to edge", "set", "edge", "mode"),),
            )
        c += sum(pair(self.channels))
        return (Spec((n, c, h + top + bottom, w + left + right), specs[0].dtype),)

    def _sources(self, height: int, width: int) -> tuple[Array, Array]:
        """The input row and column of each output row and column; −1 in a frame of zeros."""
        before, after = padding_sides(self.padding)
        found = []
        for size, first, last in zip((height, width), before, after, strict=True):
            inside = np.arange(size)
            if self.mode == "zeros":
                found.append(np.pad(inside, (first, last), constant_values=-1))
            elif self.mode == "edge":
                found.append(np.pad(inside, (first, last), mode="edge"))
            else:
                found.append(np.pad(inside, (first, last), mode="reflect"))
        return found[0], found[1]

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        (x,) = xs
        rows, columns = self._sources(*x.shape[2:])
        y = x[:, :, rows][..., columns]
        y[:, :, rows < 0] = 0
        y[..., columns < 0] = 0
        front, behind = pair(self.channels)
        if front or behind:
            y = np.pad(y, ((0, 0), (front, behind), (0, 0), (0, 0)))
        return Result((y,), {"x": x})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx = Ctx(),
    ) -> Grads:
        if not need[0]:
            return Grads((None,))
        x, (dy,) = saved["x"], dys
        front, _ = pair(self.channels)
        dy = dy[:, front : front + x.shape[1]]
        if self.mode == "zeros":
            top, left = padding_sides(self.padding)[0]
            height, width = x.shape[2:]
            return Grads((dy[:, :, top : top + height, left : left + width].copy(),))
        rows, columns = self._sources(*x.shape[2:])
        dx = np.zeros(x.shape, dy.dtype)
        for r, row in enumerate(rows):
            for c, column in enumerate(columns):
                dx[:, :, row, column] += dy[:, :, r, c]
        return Grads((dx,))

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        k, row, column = cell
        rows, columns = self._sources(*rec.xs[0].shape[1:])
        k -= pair(self.channels)[0]
        r, c = int(rows[row]), int(columns[column])
        if r < 0 or c < 0 or not 0 <= k < len(rec.xs[0]):
            return Terms((Term(("constant", "padding"), 0.0, 1.0),), "sum", "0")
        return Terms((Term(("input", 0, (k, r, c)), float(rec.xs[0][k, r, c]), 1.0),), "sum", "x")

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        k, row, column = cell
        dy = rec.dys[0]
        if dy is None:
            return Terms((), "sum")
        rows, columns = self._sources(*rec.xs[0].shape[1:])
        k += pair(self.channels)[0]
        terms = tuple(
            Term(("output_grad", 0, (k, int(r), int(c))), float(dy[k, r, c]), 1.0)
            for r in np.flatnonzero(rows == row)
            for c in np.flatnonzero(columns == column)
        )
        return Terms(terms, "sum", "Σ dy over the cells that repeat this one")

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        channels, height, width = specs[0].shape[1:]
        front, behind = pair(self.channels)
        axes: list[Axis] = [Slide(channels, front + channels + behind, before=front)]
        first = padding_sides(self.padding)[0]
        for size, before, sources in zip(
            (height, width), first, self._sources(height, width), strict=True
        ):
            if self.mode == "zeros":
                axes.append(Slide(size, len(sources), before=before))
            else:
                axes.append(Table(sources[:, None] == np.arange(size)))
        return Axes(tuple(axes))

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Pad", {"mode": "constant" if self.mode == "zeros" else self.mode})
