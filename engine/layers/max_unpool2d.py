"""Max unpooling."""

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
    expect_rank,
    hyper,
    pair,
)
from engine.layers.window import LARGEST, padding_sides


@dataclass(frozen=True)
class MaxUnpool2d(Layer):
    """Puts every number back to the cell that had won its window, and zeros everywhere else.

    y[n, k, I[n, k, r, c]] = x[n, k, r, c], and 0 elsewhere

    The indices I are the second output of a max pooling with ``return_indices``, row · W + column
    in each map of H × W cells. The map has (rows − 1) · stride + kernel_size − padding +
    output_padding rows, and columns likewise, which are those of the pooling's input if the numbers
    are those of the pooling.

    Gradient: dx[n, k, r, c] = dy[n, k, I[n, k, r, c]]; what is zero by itself sends nothing back.
    The indices are whole numbers: a small change of one changes nothing, so their gradient is 0.

    Where windows overlapped and two numbers go to one cell, the last in row-major order stays
    and alone receives the gradient (PyTorch's backward gives it to both). An index outside the map,
    such as the −1 of a window of padding alone, leads nowhere.

    Source: Zeiler & Fergus 2014, section 2.1 (their switches); PyTorch MaxUnpool2d.
    """

    title: ClassVar[str] = "Max unpooling"
    category: ClassVar[str] = "Pooling"
    slug: ClassVar[str] = "unpool"
    arity: ClassVar[tuple[int, int | None]] = (2, 2)
    index_slots: ClassVar[tuple[int, ...]] = (1,)

    kernel_size: int | tuple[int, int] = hyper(
        2, "Rows and columns of the pooling's window.", low=1, high=LARGEST, unit="cells"
    )
    stride: int | tuple[int, int] = hyper(
        2, "Cells that the pooling's window moved each time.", low=1, high=LARGEST, unit="cells"
    )
    padding: int | tuple[int, ...] = hyper(
        0, "The pooling's padding, which is cut off.", low=0, high=LARGEST, unit="cells"
    )
    output_padding: int | tuple[int, int] = hyper(
        0, "Rows below and columns at the right that filled no window.", low=0, high=LARGEST - 1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        padding_sides(self.padding)

    def _size(self, height: int, width: int) -> tuple[int, int]:
        before, after = padding_sides(self.padding)
        kernel, stride, extra = map(pair, (self.kernel_size, self.stride, self.output_padding))
        rows, columns = (
            (size - 1) * stride[i] + kernel[i] - before[i] - after[i] + extra[i]
            for i, size in enumerate((height, width))
        )
        return rows, columns

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        expect_rank(specs, 4, "MaxUnpool2d", "It needs maps: put it before the Flatten.")
        x, indices = specs
        if x.shape != indices.shape:
            raise ShapeError(
                f"an index for each number, {x}",
                f"{indices} indices",
                "Connect the indices of the pooling that made maps of this size.",
            )
        height, width = x.shape[2:]
        size = self._size(height, width)
        wanted = indices.points_into or size
        if size != wanted or min(size) < 1:
            raise ShapeError(
                f"maps of {'×'.join(map(str, wanted))}, which the indices point into",
                f"{height}×{width} that become {size[0]}×{size[1]}",
                "Give it the pooling's kernel_size, stride and padding.",
                self._fixes(size, wanted) if min(wanted) >= 1 else (),
            )
        return (Spec((*x.shape[:2], *size), x.dtype),)

    def _fixes(self, size: tuple[int, int], wanted: tuple[int, ...]) -> tuple[Fix, ...]:
        """Rows and columns are added below and at the right, or cut off there."""
        extra = pair(self.output_padding)
        more = tuple(w - s + e for s, w, e in zip(size, wanted, extra, strict=True))
        if 0 <= min(more) <= max(more) < LARGEST:
            text = f"Set output_padding to {more[0]}×{more[1]}"
            return (Fix(text, "set", more, "output_padding"),)
        before, after = padding_sides(self.padding)
        cut = tuple(a + s - w for a, s, w in zip(after, size, wanted, strict=True))
        if 0 <= min(cut) <= max(cut) <= LARGEST:
            sides = (*before, *cut)
            text = f"Set padding to {', '.join(map(str, sides))} (top, left, bottom, right)"
            return (Fix(text, "set", sides, "padding"),)
        return ()

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        channels, *size = specs[slot].shape[1:]
        out = self._size(size[0], size[1])
        anywhere = (Groups(a, b) for a, b in zip(size, out, strict=True))
        return Axes((Slide(channels, channels), *anywhere))

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        """``saved["index"]``: int64 (N, C, rows, columns), where each number went in its map.

        It is −1 where a number went nowhere or another took its cell.
        """
        x, indices = xs
        rows, columns = self._size(*x.shape[2:])
        area = rows * columns
        whole = np.rint(indices)
        inside = (whole >= 0) & (whole < area)  # not so for NaN
        index = np.where(inside, whole, -1).astype(np.int64)
        maps = np.arange(x.shape[0] * x.shape[1]).reshape(*x.shape[:2], 1, 1)
        cells = np.where(index < 0, -1, maps * area + index).ravel()
        number = np.arange(cells.size)
        last = np.full(maps.size * area + 1, -1)
        np.maximum.at(last, cells, number)  # cell −1 stands behind all maps
        stays = (cells >= 0) & (last[cells] == number)
        y = np.zeros(maps.size * area, x.dtype)
        y[cells[stays]] = x.ravel()[stays]
        index[~stays.reshape(index.shape)] = -1
        return Result((y.reshape(*x.shape[:2], rows, columns),), {"index": index})

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
            flat = dy.reshape(*dy.shape[:2], -1)
            places = np.maximum(index, 0).reshape(*index.shape[:2], -1)
            found = np.take_along_axis(flat, places, 2).reshape(index.shape)
            dx = np.where(index >= 0, found, dy.dtype.type(0))
        return Grads((dx, np.zeros(index.shape, dy.dtype) if need[1] else None))

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        k, row, column = cell
        here = row * rec.ys[0].shape[2] + column
        terms = tuple(
            Term(("input", 0, (k, int(r), int(c))), float(rec.xs[0][k, r, c]), 1.0, "its index")
            for r, c in np.argwhere(rec.saved["index"][rec.sample, k] == here)
        )
        return Terms(terms, "sum", "x whose index is here" if terms else "0, no index is here")

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        dy = rec.dys[0]
        index = int(rec.saved["index"][(rec.sample, *cell)])
        if dy is None or slot or index < 0:
            return Terms((), "sum")
        place = (cell[0], *divmod(index, dy.shape[2]))
        return Terms((Term(("output_grad", 0, place), float(dy[place]), 1.0),), "sum", "dy there")

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("MaxUnpool", {})
