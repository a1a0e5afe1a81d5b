"""Convolution of few channels: tiles of a row times a band matrix, channels last.

A tile is some neighbouring output columns. All windows that it needs lie in kernel_size runs of the
input, and its outputs are their product with a matrix in which the kernel stands once for each
column, each time shifted by the stride. That is more arithmetic than needed, but longer runs to
copy and a wider product; how wide a tile pays is estimated from the shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, cast

import numpy as np
from numpy.lib.stride_tricks import as_strided

from engine.kernels.base import BoundPlain, Site, looks_finite, repeats_of, runs_of, small_part
from engine.layers.base import Array, Ctx, Grads, Layer, Result, Spec
from engine.layers.conv2d import Conv2d
from engine.workers import slices_of

CHANNEL_LIMIT = 24
"""From about this many channels on, im2col's own products are wide enough."""
VECTOR = 16
"""Columns of a product are computed in groups of about this many."""
MULTIPLY_NS, COPY_NS, ADD_NS = 0.025, 5.0, 25.0
"""Measured times: of a multiply-add in a product, of copying a run, of adding one."""
IMAGE_CHANNELS = 4
RAGGED = 1.1
"""Cost of a last tile that reaches beyond the map: dy must then be copied."""


class Banded:
    name: ClassVar[str] = "banded"
    layer: ClassVar[type[Layer]] = Conv2d
    keeps: ClassVar[tuple[str, ...]] = ("x",)
    passes_on: ClassVar[bool] = False

    def offers(self, site: Site) -> bool:
        layer = cast(Conv2d, site.layer)
        channels = max(site.inputs[0].shape[1], layer.out_channels)
        return layer.groups == 1 and channels <= CHANNEL_LIMIT and tile_width(site) > 1

    def bind(self, site: Site) -> BoundBanded:
        return BoundBanded(site)


def tile_width(site: Site) -> int:
    """How many output columns make the tile that is estimated to be the fastest."""
    layer, (spec,), (out,) = cast(Conv2d, site.layer), site.inputs, site.outputs
    c, (o, _, columns), rows = spec.shape[1], out.shape[1:], layer.window.kernel_size[0]
    # whether dx is wanted must not change the other results: take it that of images it is not
    dx = int(c > IMAGE_CHANNELS)

    def nanoseconds(tile: int) -> float:
        """Estimate for one row of outputs."""
        span = (tile - 1) * layer.window.stride[1] + layer.window.extent[1]
        wide = -(-tile * o // VECTOR) * VECTOR
        one = rows * (span * c * wide * (2 + dx) * MULTIPLY_NS + COPY_NS + dx * ADD_NS)
        return -(-columns // tile) * one * (RAGGED if columns % tile else 1)

    return min(range(1, columns + 1), key=nanoseconds)


class BoundBanded:
    def __init__(self, site: Site) -> None:
        layer, self.plain = cast(Conv2d, site.layer), BoundPlain(site)
        (spec,), (out,) = site.inputs, site.outputs
        n, c, h, w = spec.shape
        o, rows, columns = out.shape[1:]
        window, dtype = layer.window, np.dtype(spec.dtype)
        (kh, kw), size = window.kernel_size, dtype.itemsize
        self.dparams = site.dparams
        tile = tile_width(site)
        tiles = -(-columns // tile)
        span = (tile - 1) * window.stride[1] + window.extent[1]
        height, width = window.padded_size(h, w)
        width = max(width, (tiles - 1) * tile * window.stride[1] + span)
        deep, wide = kh * span * c, tile * o

        def kernels_in(band: Array) -> Array:
            """View (i, j, c, column of the tile, o) of all places where a weight stands."""
            return as_strided(
                band,
                (kh, kw, c, tile, o),
                (
                    span * c * wide * size,
                    window.dilation[1] * c * wide * size,
                    wide * size,
                    (window.stride[1] * c * wide + o) * size,
                    size,
                ),
            )

        self.band = np.zeros((deep, wide), dtype)
        self.places = kernels_in(self.band)
        self.padded = np.zeros((n, height, width, c), dtype)
        self.flat = self.padded.reshape(-1)
        self.body = window.body(self.padded.transpose(0, 3, 1, 2), h, w)
        self.col = np.empty((n * rows * tiles, deep), dtype)
        by_row = self.col.reshape(n, rows, tiles, kh, span * c)
        sn, sh, sw, _ = self.padded.strides
        windows = as_strided(
            self.padded,
            by_row.shape,
            (
                sn,
                sh * window.stride[0],
                sw * tile * window.stride[1],
                sh * window.dilation[0],
                size,
            ),
        )
        self.unroll = runs_of(by_row, windows)
        whole = Spec((n, o, rows, tiles * tile), spec.dtype)
        self.exact = tiles * tile == columns
        self.y = site.channels_last(whole)[..., :columns]
        count = self.col.shape[0]
        self.y_rows = _rows_of(self.y, count, wide)
        self.workers = workers = site.workers.worth(MULTIPLY_NS * count * deep * wide)
        self.samples = slices_of(n, workers)
        # the product in parts
        part = small_part(count, deep * wide)
        self.col_parts = self.col.reshape(-1, part, deep)
        self.y_parts = self.y_rows.reshape(-1, part, wide)
        self.parts = slices_of(count // part, workers)
        repeats = repeats_of(wide, count)
        self.y_wide = self.y_rows.reshape(-1, repeats * wide)
        self.wide_rows = slices_of(count // repeats, workers)
        self.bias = np.empty((repeats * tile, o), dtype)
        self.bias_row = self.bias.reshape(-1)
        if not site.backward:
            return
        # columns beyond the map keep their zero
        self.dy = site.channels_last(whole, zeros=True)[..., :columns]
        self.dy_rows = _rows_of(self.dy, count, wide)
        self.dband = np.empty((deep, wide), dtype)
        self.dband_parts = np.empty((count // part, deep, wide), dtype)
        self.dplaces = kernels_in(self.dband)
        self.dw = np.empty((kh, kw, c, o), dtype)
        self.dw_view = self.dw.transpose(3, 2, 0, 1)
        self.ones, self.ones_across = np.ones(count, dtype), np.ones(tile, dtype)
        self.column_sums = np.empty(wide, dtype)
        if not site.need[0]:
            return
        # shares of dx: by kernel row, then summed over these, then over the tiles that share a cell
        part = small_part(count, wide * span * c)
        self.band_rows = np.empty((kh, 1, wide, span * c), dtype)
        self.dx_parts = slices_of(count // part, workers)
        self.dy_split = (1, count // part, part, wide)
        self.shares = np.empty((kh, count // part, part, span * c), dtype)
        shares = self.shares.reshape(kh, n, rows, tiles, span * c)
        self.by_tile = np.empty((n, height, tiles, span * c), dtype)
        self.row_sums = []
        for i in range(kh):
            top = i * window.dilation[0]
            stop = top + (rows - 1) * window.stride[0] + 1
            self.row_sums.append((self.by_tile[:, top : stop : window.stride[0]], shares[i]))
        self.dpadded = np.zeros_like(self.padded)
        self.dx = window.body(self.dpadded.transpose(0, 3, 1, 2), h, w)
        step = tile * window.stride[1]
        apart = -(-span // step)  # tiles this far apart share no cell
        self.tile_sums = [
            (
                as_strided(
                    self.dpadded[:, :, first * step :],
                    (n, height, len(range(first, tiles, apart)), span * c),
                    (sn, sh, sw * apart * step, size),
                ),
                self.by_tile[:, :, first::apart],
            )
            for first in range(min(apart, tiles))
        ]

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx) -> Result:
        each, x = self.workers.each, xs[0]
        each(lambda some: np.copyto(self.body[some], x[some]), self.samples)
        if not looks_finite(self.flat):  # the zeros of the band would spread it
            np.copyto(self.y, self.plain.forward(p, xs[0], ctx=ctx).ys[0])
            return Result((self.y,), {"x": xs[0]})
        np.copyto(self.places, p["weight"].transpose(2, 3, 1, 0)[:, :, :, None])
        to, windows = self.unroll
        each(lambda some: np.copyto(to[some], windows[some]), self.samples)
        each(
            lambda some: np.matmul(self.col_parts[some], self.band, out=self.y_parts[some]),
            self.parts,
        )
        if "bias" in p:
            np.copyto(self.bias, p["bias"])
            y = self.y_wide
            each(lambda some: np.add(y[some], self.bias_row, out=y[some]), self.wide_rows)
        return Result((self.y,), {"x": xs[0]})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx,
    ) -> Grads:
        dy, each = self._rows(dys[0]), self.workers.each
        if not (looks_finite(dy.reshape(-1)) and looks_finite(self.flat)):
            return self.plain.backward(p, saved, dys, need, ctx)
        if self.dparams:
            dy_parts, windows = dy.reshape(self.y_parts.shape), self.col_parts.transpose(0, 2, 1)
            each(
                lambda some: np.matmul(windows[some], dy_parts[some], out=self.dband_parts[some]),
                self.parts,
            )
            np.add.reduce(self.dband_parts, 0, out=self.dband)
            np.add.reduce(self.dplaces, 3, out=self.dw)
            np.copyto(self.dparams["weight"], self.dw_view)
            if "bias" in self.dparams:
                np.matmul(self.ones, dy, out=self.column_sums)
                sums = self.column_sums.reshape(self.ones_across.size, -1)
                np.matmul(self.ones_across, sums, out=self.dparams["bias"])
        if not need[0]:
            return Grads((None,), self.dparams)
        np.copyto(
            self.band_rows[:, 0],
            self.band.reshape(len(self.band_rows), -1, dy.shape[1]).transpose(0, 2, 1),
        )
        dy_split = dy.reshape(self.dy_split)
        each(
            lambda some: np.matmul(dy_split[:, some], self.band_rows, out=self.shares[:, some]),
            self.dx_parts,
        )
        each(self._sum_shares, self.samples)
        return Grads((self.dx,), self.dparams)

    def _sum_shares(self, some: slice) -> None:
        """dx of some samples."""
        self.by_tile[some].fill(0)
        self.dpadded[some].fill(0)
        for cells, shares in (*self.row_sums, *self.tile_sums):
            np.add(cells[some], shares[some], out=cells[some])

    def _rows(self, dy: Array) -> Array:
        """dy as (tiles, columns · O): a view where its memory is in that order, else a copy."""
        last = dy.transpose(0, 2, 3, 1)
        if self.exact and last.flags.c_contiguous:
            return last.reshape(self.y_rows.shape)
        np.copyto(self.dy, dy)
        return self.dy_rows

    def describe(self, saved: Mapping[str, Array]) -> Mapping[str, Array | Callable[[], Array]]:
        return saved


def _rows_of(maps: Array, rows: int, wide: int) -> Array:
    """The whole buffer behind maps as rows of tiles."""
    return cast(Array, maps.base).reshape(rows, wide)


KERNEL = Banded()
