"""What layers share that only move numbers: each output cell is an input cell or a constant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.extent import Axis, Picks, Slide
from engine.layers.base import Array, Ctx, Grads, Layer, Record, Result, Spec, Term, Terms


@dataclass(frozen=True)
class Rearrangement(Layer):
    """y = some cells of x, in another order, some of them left out or repeated.

    A subclass gives ``outputs`` and ``move``. Which cell went where is found by moving the cells'
    own numbers, so backward and the terms follow from ``move`` alone.

    Gradient: each input cell receives the sum of dy over the cells that show it.
    """

    abstract: ClassVar[bool] = True
    category: ClassVar[str] = "Shape"

    def move(self, x: Array, fill: float) -> Array:
        """The rearranged x (N, …); cells that show no input get ``fill``. May be a view of x."""
        raise NotImplementedError

    @property
    def filling(self) -> float:
        """What stands in output cells that show no input cell."""
        return 0.0

    def _sources(self, shape: tuple[int, ...]) -> Array:
        """For each output cell of a sample the flat number of the input cell; −1 for none."""
        cells = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(1, *shape)
        return self.move(cells, -1)[0]

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        y = self.move(xs[0], self.filling)
        # a view would let whoever writes to y change x
        return Result((y.copy() if np.shares_memory(y, xs[0]) else y,), {"x": xs[0]})

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
        n, *shape = x.shape
        sources = self._sources(tuple(shape)).ravel()
        rows = dy.reshape(n, -1)
        kept = sources >= 0
        if not kept.all():
            sources, rows = sources[kept], rows[:, kept]
        size = int(np.prod(shape))
        dx = np.zeros((n, size), dy.dtype)
        if np.bincount(sources, minlength=1).max(initial=0) <= 1:
            dx[:, sources] = rows
        else:
            # cell by cell, because several outputs may show one input
            for i in range(n):
                dx[i] = np.bincount(sources, rows[i], minlength=size)
        return Grads((dx.reshape(x.shape),))

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        x = rec.xs[0]
        source = int(self._sources(x.shape)[cell])
        if source < 0:
            term = Term(("constant", "padding"), float(self.filling), 1.0)
            return Terms((term,), "sum", "padding")
        place = tuple(int(i) for i in np.unravel_index(source, x.shape)) if x.ndim else ()
        return Terms((Term(("input", 0, place), float(x[place]), 1.0),), "sum", "x")

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        dy, x = rec.dys[0], rec.xs[0]
        if dy is None:
            return Terms((), "sum")
        here = int(np.ravel_multi_index(cell, x.shape)) if x.ndim else 0
        terms = []
        for place in np.argwhere(self._sources(x.shape) == here):
            index = tuple(int(i) for i in place)
            terms.append(Term(("output_grad", 0, index), float(dy[index]), 1.0))
        return Terms(tuple(terms), "sum", "Σ dy over the cells that show this one")


def moved_spec(spec: Spec, shape: tuple[int, ...]) -> tuple[Spec, ...]:
    """The one output of a sample's shape."""
    return (Spec((spec.shape[0], *shape), spec.dtype),)


def framed(
    x: Array, before: Sequence[int], after: Sequence[int], mode: str, fill: float = 0.0
) -> Array:
    """x (N, …) with cells before and after each axis behind the samples.

    A negative width cuts off. In the frame stands ``fill`` ("constant"), the mirrored inside
    without its edge ("reflect"), the edge again and again ("edge"), or the other end ("wrap").
    """
    # what is cut off goes first: it may not be mirrored
    ends = zip(x.shape[1:], before, after, strict=True)
    x = x[(slice(None), *(slice(max(0, -b), size - max(0, -a)) for size, b, a in ends))]
    widths = [(0, 0), *((max(0, b), max(0, a)) for b, a in zip(before, after, strict=True))]
    if mode == "constant":
        return np.pad(x, widths, constant_values=fill)
    if mode == "reflect":
        return np.pad(x, widths, mode="reflect")
    return np.pad(x, widths, mode="edge" if mode == "edge" else "wrap")


def framed_axis(size: int, before: int, after: int, mode: str) -> Axis:
    """How far the cells of an axis that ``framed`` made reach."""
    if mode == "constant":
        out, frame = before + size + after, max(before, after) > 0
        return Slide(size, out, before=before, frame=frame)
    return Picks(framed(np.arange(size)[None], (before,), (after,), mode)[0])
