"""Convolution of few channels: whole rows times a band matrix.

A row of windows is kernel_size rows of the input, one behind the other, and all its outputs at once
are their product with a matrix in which the kernel stands once for each output column, each time
shifted by the stride. That is several times more arithmetic than needed, but the copy is whole
rows, the product is large, and dX adds one slab for each row of the kernel. Memory is (N, rows,
channels, columns) on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, cast

import numpy as np
from numpy.lib.stride_tricks import as_strided

from engine.kernels.base import Site, memory
from engine.layers.base import Array, Ctx, Grads, Layer, Result
from engine.layers.conv2d import Conv2d

BAND_LIMIT = 1 << 18
"""Most elements of a band matrix: beyond, filling it costs more than it saves."""
WASTE_LIMIT = 8.0
"""Most multiply-adds for one that is needed."""
CHANNEL_LIMIT = 24
"""From about this many channels on, im2col's own products are large enough."""


class Banded:
    name: ClassVar[str] = "banded"
    layer: ClassVar[type[Layer]] = Conv2d

    def offers(self, site: Site) -> bool:
        layer = cast(Conv2d, site.layer)
        c, o = site.inputs[0].shape[1], layer.out_channels
        rows, columns = layer.window.kernel_size
        width = layer.window.padded_size(*site.inputs[0].shape[2:])[1]
        return (
            layer.groups == 1
            and columns > 1
            and max(c, o) <= CHANNEL_LIMIT
            and width <= WASTE_LIMIT * columns
            and rows * c * width * o * site.outputs[0].shape[3] <= BAND_LIMIT
        )

    def bind(self, site: Site) -> BoundBanded:
        return BoundBanded(site)


class BoundBanded:
    def __init__(self, site: Site) -> None:
        layer = cast(Conv2d, site.layer)
        (spec,), (out,) = site.inputs, site.outputs
        n, c, h, w = spec.shape
        o, rows, columns = out.shape[1:]
        window, dtype = layer.window, np.dtype(spec.dtype)
        kh, kw = window.kernel_size
        height, width = window.padded_size(h, w)
        self.dparams = site.dparams
        deep, wide, size = kh * c * width, o * columns, dtype.itemsize

        def kernels_in(band: Array) -> Array:
            """View (i, c, j, o, output column) of all places where a weight stands."""
            return as_strided(
                band,
                (kh, c, kw, o, columns),
                (
                    c * width * wide * size,
                    width * wide * size,
                    window.dilation[1] * wide * size,
                    columns * size,
                    (window.stride[1] * wide + 1) * size,
                ),
            )

        def slabs(buffer: Array, i: int) -> Array:
            """View (N, rows, C·width) of the rows under row i of the kernel."""
            top, step = i * window.dilation[0], window.stride[0]
            flat = buffer.reshape(n, height, c * width)
            return flat[:, top : top + (rows - 1) * step + 1 : step]

        self.band = np.zeros((deep, wide), dtype)
        self.places = kernels_in(self.band)
        self.padded = np.zeros((n, height, c, width), dtype)
        self.body = window.body(self.padded.transpose(0, 2, 1, 3), h, w)
        self.col = np.empty((n * rows, deep), dtype)
        windows = as_strided(
            self.padded,
            (n, rows, kh, c * width),
            (
                self.padded.strides[0],
                self.padded.strides[1] * window.stride[0],
                self.padded.strides[1] * window.dilation[0],
                size,
            ),
        )
        self.unroll = (self.col.reshape(windows.shape), windows)
        memory_y = np.empty((n, rows, o, columns), dtype)
        self.y, self.y_rows = memory_y.transpose(0, 2, 1, 3), memory_y.reshape(n * rows, wide)
        self.bias = np.empty((o, columns), dtype)
        self.bias_row = self.bias.reshape(-1)
        if not site.backward:
            return
        memory_dy = np.empty((n, rows, o, columns), dtype)
        self.dy, self.dy_rows = memory_dy.transpose(0, 2, 1, 3), memory_dy.reshape(n * rows, wide)
        self.dband = np.empty((deep, wide), dtype)
        self.dplaces = kernels_in(self.dband)
        self.dw = np.empty((kh, c, kw, o), dtype)
        self.dw_view = self.dw.transpose(3, 1, 0, 2)
        self.ones, self.ones_across = np.ones(n * rows, dtype), np.ones(columns, dtype)
        self.column_sums = np.empty(wide, dtype)
        if not site.need[0]:
            return
        self.dcol = np.empty((n * rows, deep), dtype)
        self.dpadded = np.zeros((n, height, c, width), dtype)
        self.dx = window.body(self.dpadded.transpose(0, 2, 1, 3), h, w)
        shares = self.dcol.reshape(n, rows, kh, c * width)
        self.scatter = [(slabs(self.dpadded, i), shares[:, :, i]) for i in range(kh)]

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx) -> Result:
        np.copyto(self.places, p["weight"].transpose(2, 1, 3, 0)[..., None])
        np.copyto(self.body, xs[0])
        np.copyto(*self.unroll)
        np.matmul(self.col, self.band, out=self.y_rows)
        if "bias" in p:
            np.copyto(self.bias, p["bias"][:, None])
            np.add(self.y_rows, self.bias_row, out=self.y_rows)
        return Result((self.y,), {"x": xs[0]})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx,
    ) -> Grads:
        dy = self._rows(dys[0])
        if self.dparams:
            np.matmul(self.col.T, dy, out=self.dband)
            np.add.reduce(self.dplaces, -1, out=self.dw)
            np.copyto(self.dparams["weight"], self.dw_view)
            if "bias" in self.dparams:
                np.matmul(self.ones, dy, out=self.column_sums)
                sums = self.column_sums.reshape(self.bias.shape)
                np.matmul(sums, self.ones_across, out=self.dparams["bias"])
        if not need[0]:
            return Grads((None,), self.dparams)
        np.matmul(dy, self.band.T, out=self.dcol)
        self.dpadded.fill(0)
        for cells, shares in self.scatter:
            np.add(cells, shares, out=cells)
        return Grads((self.dx,), self.dparams)

    def _rows(self, dy: Array) -> Array:
        """dy as (N · rows, O · columns): a view where its memory is in that order, else a copy."""
        if dy.strides == self.y.strides:
            return cast(Array, memory(dy)).reshape(self.y_rows.shape)
        np.copyto(self.dy, dy)
        return self.dy_rows

    def describe(self, saved: Mapping[str, Array]) -> Mapping[str, Array | Callable[[], Array]]:
        return saved


KERNEL = Banded()
