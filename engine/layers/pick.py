"""Cells of one tensor at places that another tensor says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.extent import Axes, Extent, Groups, Slide
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
    expect_axis,
    hyper,
)


@dataclass(frozen=True)
class Pick(Layer):
    """Takes cells of its first input, at places along an axis that its second input says.

    y[i, j] = x[i, I[i, j]] along the axis; of the other axes each place serves itself

    A place below 0 counts from the end; one outside the axis, or that is no number, gives 0.
    Places are rounded.

    Gradient: each cell of x receives the sum of dy over the places where it was picked, an exact
    zero where it was not. The places are whole numbers: their gradient is exactly zero.

    Source: ONNX operator GatherElements.
    """

    title: ClassVar[str] = "Pick by places"
    category: ClassVar[str] = "Combine"
    slug: ClassVar[str] = "pick"
    arity: ClassVar[tuple[int, int | None]] = (2, 2)

    axis: int = hyper(1, "The axis that the places count, from 1 (the channels).", low=1, high=16)

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        x, places = specs
        expect_axis(x, self.axis, "Pick")
        if not _fits(x, places, self.axis):
            others = [axis for axis in range(1, len(x.shape)) if _fits(x, places, axis)]
            raise ShapeError(
                f"places no larger than {x} in all axes but axis {self.axis} for Pick",
                f"{places}",
                "Bring them to the same number of axes, or choose another axis.",
                tuple(Fix(f"Set axis to {axis}", "set", axis, "axis") for axis in others[:1]),
            )
        return (Spec(places.shape, x.dtype),)

    def _index(self, x: Array, places: Array) -> Array:
        """int64 places from 0 along the axis; −1 where one lies outside."""
        size = x.shape[self.axis]
        whole = np.rint(places)
        inside = (whole >= -size) & (whole < size)  # not so for NaN
        index = np.where(inside, whole, 0).astype(np.int64)
        return np.where(inside, np.where(index < 0, index + size, index), -1)

    def _served(self, x: Array, shape: tuple[int, ...]) -> Array:
        """The part of x that has a place."""
        return x[tuple(slice(None) if i == self.axis else slice(n) for i, n in enumerate(shape))]

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        """``saved["index"]``: int64, the places from 0, −1 where one lies outside."""
        x, places = xs
        index = self._index(x, places)
        y = np.take_along_axis(self._served(x, places.shape), np.maximum(index, 0), self.axis)
        y = np.where(index >= 0, y, x.dtype.type(0))
        return Result((y,), {"index": index, "shape": np.array(x.shape)})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx = Ctx(),
    ) -> Grads:
        (dy,), index = dys, saved["index"]
        dx = None
        if need[0]:
            dx = np.zeros(tuple(int(n) for n in saved["shape"]), dy.dtype)
            cells: list[Array] = list(np.indices(index.shape, sparse=True))
            cells[self.axis] = np.maximum(index, 0)
            np.add.at(dx, tuple(cells), np.where(index >= 0, dy, dy.dtype.type(0)))
        return Grads((dx, np.zeros(index.shape, dy.dtype) if need[1] else None))

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        index = int(rec.saved["index"][(rec.sample, *cell)])
        if index < 0:
            return Terms((), "sum", "0, its place lies outside")
        place = (*cell[: self.axis - 1], index, *cell[self.axis :])
        term = Term(("input", 0, place), float(rec.xs[0][place]), 1.0, "its place")
        return Terms((term,), "sum", "x at its place")

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        dy = rec.dys[0]
        if dy is None or slot:
            return Terms((), "sum")
        at, terms = self.axis - 1, []
        if all(c < n for i, (c, n) in enumerate(zip(cell, dy.shape, strict=True)) if i != at):
            for k in range(dy.shape[at]):
                place = (*cell[:at], k, *cell[at + 1 :])
                if int(rec.saved["index"][(rec.sample, *place)]) == cell[at]:
                    terms.append(Term(("output_grad", 0, place), float(dy[place]), 1.0))
        return Terms(tuple(terms), "sum", "Σ dy where this one was picked")

    def kinks(self, p: Mapping[str, Array], *xs: Array) -> float:
        return float(np.min(np.abs(np.abs(xs[1] - np.floor(xs[1])) - 0.5)))

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        given, made = specs[slot].shape[1:], specs[1].shape[1:]
        axes = [Slide(a, b, frame=False) for a, b in zip(given, made, strict=True)]
        if slot == 0:
            whole = Groups(given[self.axis - 1], made[self.axis - 1])
            return Axes((*axes[: self.axis - 1], whole, *axes[self.axis :]))
        return Axes(tuple(axes))

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("GatherElements", {"axis": self.axis})


def _fits(x: Spec, places: Spec, axis: int) -> bool:
    """Whether there are no more places than cells in all axes but this one."""
    if len(x.shape) != len(places.shape):
        return False
    sizes = zip(x.shape, places.shape, strict=True)
    return all(here <= there for i, (there, here) in enumerate(sizes) if i != axis)
