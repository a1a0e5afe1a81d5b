"""What layers share that keep cells of one axis at even distances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from engine.extent import Extent, Picks, along
from engine.layers.base import Array, Ctx, Grads, Layer, Record, Result, Spec, Term, Terms


class Cut(NamedTuple):
    """``size`` cells of an axis (from 1): start, start + step, …; a step is not 0."""

    axis: int
    start: int
    step: int
    size: int

    @property
    def last(self) -> int:
        return self.start + (self.size - 1) * self.step

    def of(self, x: Array) -> Array:
        """The view of these cells of x (N, …)."""
        end = self.last + (1 if self.step > 0 else -1)
        # counted from the back, an end before the first cell would be another one
        cells = slice(self.start, end if end >= 0 else None, self.step)
        return x[(slice(None),) * self.axis + (cells,)]


@dataclass(frozen=True)
class Cutting(Layer):
    """y = the cells of a ``cut``; a subclass gives that and checks that it fits.

    Gradient: dy where a cell was kept; what was left out gets an exact zero.
    """

    abstract: ClassVar[bool] = True
    category: ClassVar[str] = "Shape"

    @property
    def cut(self) -> Cut:
        """What is kept."""
        raise NotImplementedError

    def _cut_spec(self, spec: Spec) -> tuple[Spec, ...]:
        """The output for an input that the cut fits."""
        axis, _, _, size = self.cut
        return (Spec((*spec.shape[:axis], size, *spec.shape[axis + 1 :]), spec.dtype),)

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        return Result((self.cut.of(xs[0]).copy(),), {"x": xs[0]})

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
        dx = np.zeros(saved["x"].shape, dys[0].dtype)
        self.cut.of(dx)[...] = dys[0]
        return Grads((dx,))

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        axis, start, step, _ = self.cut
        place = (*cell[: axis - 1], start + step * cell[axis - 1], *cell[axis:])
        return Terms((Term(("input", 0, place), float(rec.xs[0][place]), 1.0),), "sum", "x")

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        dy, (axis, start, step, size) = rec.dys[0], self.cut
        number, rest = divmod(cell[axis - 1] - start, step)
        if dy is None or rest or not 0 <= number < size:
            return Terms((), "sum")
        place = (*cell[: axis - 1], number, *cell[axis:])
        return Terms((Term(("output_grad", 0, place), float(dy[place]), 1.0),), "sum", "dy")

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        axis, start, step, size = self.cut
        return along(specs[0].shape[1:], axis - 1, Picks(start + step * np.arange(size)))
