"""Max pooling by maxima of strided views."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, cast

import numpy as np

from engine.kernels.base import Site, all_finite, memory, pixels_of
from engine.layers.base import Array, Ctx, Grads, Layer, Result
from engine.layers.max_pool2d import MaxPool2d


class TiledMaxPool:
    """Windows that neither overlap nor touch padding: maxima of columns, then of rows.

    The columns are copied apart once, so that all arithmetic is on dense arrays. Backward goes the
    other way, rows before columns, which makes the winner the first in row-major order: dy · (x =
    y) goes to a position and is taken off what is left for those behind it, which is exact, since
    the factor is 0 or 1. NaN equals nothing and ∞ · 0 is NaN, so a run that meets one takes the
    plain form.
    """

    name: ClassVar[str] = "tiled maxima"
    layer: ClassVar[type[Layer]] = MaxPool2d
    keeps: ClassVar[tuple[str, ...]] = ("x", "y")
    passes_on: ClassVar[bool] = False

    def offers(self, site: Site) -> bool:
        layer = cast(MaxPool2d, site.layer)
        window = layer.window
        return (
            not layer.return_indices
            and window.kernel_size == window.stride
            and window.dilation == (1, 1)
            and max(*window.before, *window.after) == 0
            and site.outputs[0].shape[2] * window.stride[0] <= site.inputs[0].shape[2]
            and site.outputs[0].shape[3] * window.stride[1] <= site.inputs[0].shape[3]
        )

    def bind(self, site: Site) -> BoundTiledMaxPool:
        return BoundTiledMaxPool(site)


class BoundTiledMaxPool:
    """Buffers are made at the first run, when the memory order of x is known."""

    def __init__(self, site: Site) -> None:
        self.layer = cast(MaxPool2d, site.layer)
        self.height, self.width = site.outputs[0].shape[2:]
        self.backward_wanted = site.backward
        self.x: Array | None = None
        self.strides: tuple[int, ...] | None = None

    def _see(self, x: Array) -> None:
        """Buffers for the memory order of x, and views of x."""
        (rows, columns), height, width = self.layer.window.kernel_size, self.height, self.width
        within = x[:, :, : height * rows, : width * columns]
        if x.strides != self.strides:
            self.strides = x.strides
            # columns of x apart, and the maximum across them
            self.apart = [np.empty_like(within[..., ::columns]) for _ in range(columns)]
            self.across = np.empty_like(self.apart[0])
            self.across_rows = [self.across[:, :, i::rows] for i in range(rows)]
            self.y = np.empty_like(self.across_rows[0])
            self.flat = cast(Array, memory(self.y))
            self.ones = np.ones(self.y.size, x.dtype)
            if self.backward_wanted:
                self.dx = np.zeros_like(x)  # cells beyond the last window keep their zero
                self.rest, self.mask = np.empty_like(self.y), np.empty_like(self.y, bool)
                self.dacross, self.share = np.empty_like(self.across), np.empty_like(self.across)
                self.across_mask = np.empty_like(self.across, bool)
                self.dacross_rows = [self.dacross[:, :, i::rows] for i in range(rows)]
                inside = self.dx[:, :, : height * rows, : width * columns]
                self.give = [pixels_of(inside[..., j::columns], self.share) for j in range(columns)]
        self.take = [
            pixels_of(apart, within[..., j::columns]) for j, apart in enumerate(self.apart)
        ]
        self.x = x

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx) -> Result:
        if xs[0] is not self.x:
            self._see(xs[0])
        for apart, columns in self.take:
            np.copyto(apart, columns)
        _maximum(self.apart, self.across)
        _maximum(self.across_rows, self.y)
        return Result((self.y,), {"x": xs[0]})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx,
    ) -> Grads:
        if not need[0]:
            return Grads((None,))
        rest = self.rest
        np.copyto(rest, dys[0])
        if not (
            all_finite(self.flat, self.ones) and all_finite(cast(Array, memory(rest)), self.ones)
        ):
            x = saved["x"]
            plain = self.layer.backward(p, self.layer.forward(p, x, ctx=ctx).saved, dys, need, ctx)
            np.copyto(self.dx, cast(Array, plain.dxs[0]))
            return Grads((self.dx,))
        for row, share in zip(self.across_rows[:-1], self.dacross_rows[:-1], strict=True):
            np.equal(row, self.y, out=self.mask)
            np.multiply(rest, self.mask, out=share)
            np.subtract(rest, share, out=rest)
        np.copyto(self.dacross_rows[-1], rest)
        for apart, (cells, share) in zip(self.apart[:-1], self.give[:-1], strict=True):
            np.equal(apart, self.across, out=self.across_mask)
            np.multiply(self.dacross, self.across_mask, out=self.share)
            np.subtract(self.dacross, self.share, out=self.dacross)
            np.copyto(cells, share)
        np.copyto(self.share, self.dacross)
        np.copyto(*self.give[-1])
        return Grads((self.dx,))

    def describe(self, saved: Mapping[str, Array]) -> Mapping[str, Array | Callable[[], Array]]:
        x, layer = saved["x"], self.layer
        return {"x": x, "argmax": lambda: layer.forward({}, x).saved["argmax"]}


def _maximum(parts: list[Array], out: Array) -> None:
    """Element-wise maximum of one or more arrays; NaN wins."""
    if len(parts) == 1:
        np.copyto(out, parts[0])
        return
    np.maximum(parts[0], parts[1], out=out)
    for part in parts[2:]:
        np.maximum(out, part, out=out)


KERNEL = TiledMaxPool()
