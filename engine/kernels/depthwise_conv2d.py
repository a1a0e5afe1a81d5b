"""Depthwise convolution: one kernel for each channel, channels last, without matrix products.

Each place of the kernel adds (the row of x that it lies over) · (its weights, repeated for the
columns) to a row of outputs. ``einsum`` does that in one pass, while the row of outputs stays in
cache; multiplying and adding apart took 1.6 times as long. With stride 1 what a place lies over is
a view of one padded copy of x; else each column of the kernel has its columns of x copied together.

dX is the same over dy: the cells of x whose position leaves the same remainder, divided by the
stride, are met by the same places of the kernel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import ClassVar, NamedTuple, cast

import numpy as np
from numpy.lib.stride_tricks import as_strided

from engine.kernels.base import (
    WIDE,
    BoundPlain,
    Site,
    channels_last,
    looks_finite,
    pixels_of,
    repeats_of,
    runs_of,
)
from engine.layers.base import Array, Ctx, Grads, Layer, Result
from engine.layers.conv2d import Conv2d
from engine.layers.window import Window


class Depthwise:
    name: ClassVar[str] = "depthwise"
    layer: ClassVar[type[Layer]] = Conv2d
    keeps: ClassVar[tuple[str, ...]] = ("x",)
    passes_on: ClassVar[bool] = False

    def offers(self, site: Site) -> bool:
        layer, channels = cast(Conv2d, site.layer), site.inputs[0].shape[1]
        return layer.groups == channels == layer.out_channels and channels > 1

    def bind(self, site: Site) -> BoundDepthwise:
        return BoundDepthwise(site)


class Windows:
    """Windows over the rows of a buffer (N, rows, …, C), to be multiplied by a kernel into ``out``.

    ``row`` and ``taps`` are strides in bytes, from one row of outputs to the next and from one
    place of the kernel to the next, of which there are ``size``; ``out`` is (N, R, columns, C).
    """

    def __init__(
        self, source: Array, row: int, taps: tuple[int, int], size: tuple[int, int], out: Array
    ) -> None:
        n, rows, columns, c = out.shape
        tile = max(t for t in range(1, columns + 1) if columns % t == 0 and t * c <= max(c, WIDE))
        run = tile * c
        steps = (source.strides[0], row, run * out.itemsize)
        self.windows = as_strided(
            source, (n, rows, columns // tile, *size, run), (*steps, *taps, out.itemsize)
        )
        self.out = out.reshape(n, rows, columns // tile, run)
        self.weights = np.empty((*size, tile, c), out.dtype)
        self.weight_rows = self.weights.reshape(*size, run)

    def times(self, kernel: Array) -> None:
        """Write the products with a kernel (rows, columns, C) to ``out``."""
        np.copyto(*runs_of(self.weights, kernel[:, :, None]))
        np.einsum("nrtijx,ijx->nrtx", self.windows, self.weight_rows, out=self.out)


class Meeting(NamedTuple):
    """What meets some cells of an axis of x: ``first``, ``first + stride``, … (``cells`` of them).

    ``places`` of the kernel, the last one first; ``output`` is the one that has the first of them
    over the first cell, the next place is over it in the output ``gap`` further on.
    """

    first: int
    cells: int
    places: range
    output: int
    gap: int

    @property
    def end(self) -> int:
        """One past the last output that is looked at, were there so many."""
        return self.output + (len(self.places) - 1) * self.gap + self.cells


def meetings(size: int, before: int, kernel: int, stride: int, dilation: int) -> list[Meeting]:
    """One for each remainder; cells that no place of the kernel ever meets are left out."""
    found = []
    common = math.gcd(stride, dilation)
    for first in range(min(stride, size)):
        met = [i for i in range(kernel) if (first + before - i * dilation) % stride == 0]
        if met:
            places = range(met[-1], met[0] - 1, -(stride // common))
            output = (first + before - met[-1] * dilation) // stride
            cells = len(range(first, size, stride))
            found.append(Meeting(first, cells, places, output, dilation // common))
    return found


class BoundDepthwise:
    def __init__(self, site: Site) -> None:
        layer, self.plain = cast(Conv2d, site.layer), BoundPlain(site)
        (spec,), (out,) = site.inputs, site.outputs
        n, c, h, w = spec.shape
        rows, columns = out.shape[2:]
        window, dtype = layer.window, np.dtype(spec.dtype)
        kh, kw = window.kernel_size
        self.dparams = site.dparams
        self.y = channels_last(site.value(), out.shape)
        y_last = self.y.transpose(0, 2, 3, 1)
        # ---- x between zeros: one copy, or one for each column of the kernel
        height, width = window.padded_size(h, w)
        top, left = window.before
        self.together = window.stride[1] == 1
        lanes = (1, width) if self.together else (kw, columns)
        self.x = site.take("call", (n, height, *lanes, c))
        body = self.x[:, top : top + h].transpose(0, 4, 1, 2, 3)
        # (where columns of x go, which of them)
        self.places = [(body[:, :, :, 0, left : left + w], slice(None))]
        borders = [self.x[:, :top], self.x[:, top + h :]]
        if self.together:
            borders += [body[..., :left], body[..., left + w :]]
        else:
            self.places = []
            for j in range(kw):
                lane, taken = _columns_under(j, window, w, columns)
                self.places.append((body[:, :, :, j, lane], taken))
                borders += [body[:, :, :, j, : lane.start], body[:, :, :, j, lane.stop :]]
        self.borders = [border for border in borders if border.size]
        self.seen: Array | None = None
        self.take: list[tuple[Array, Array]] = []
        # ---- y = windows · kernel + bias
        sh, sj, sw = self.x.strides[1:4]
        row = sh * window.stride[0]
        taps = (sh * window.dilation[0], sw * window.dilation[1] if self.together else sj)
        self.windows = Windows(self.x, row, taps, (kh, kw), y_last)
        self.w = np.empty((kh, kw, c), dtype)
        repeats = repeats_of(c, n * rows * columns)
        self.y_wide = y_last.reshape(-1, repeats * c)
        self.bias = np.empty((repeats, c), dtype)
        self.bias_row = self.bias.reshape(-1)
        if not site.backward:
            return
        # ---- dy between zeros, as far as the cells of x look
        axes = [
            meetings(size, before, kernel, stride, dilation)
            for size, before, kernel, stride, dilation in zip(
                (h, w),
                window.before,
                window.kernel_size,
                window.stride,
                window.dilation,
                strict=True,
            )
        ]
        ahead = [max([0, *(-m.output for m in axis)]) for axis in axes]
        ends = [
            max([size, *(m.end for m in axis)])
            for size, axis in zip((rows, columns), axes, strict=True)
        ]
        (a, b), whole = ahead, [ahead[i] + ends[i] for i in range(2)]
        self.dy = site.take("backward", (n, *whole, c))
        self.dy_pixels = self.dy.reshape(-1, c)
        body = self.dy[:, a : a + rows, b : b + columns]
        self.dy_body = body.transpose(0, 3, 1, 2)
        around = (
            self.dy[:, :a],
            self.dy[:, a + rows :],
            self.dy[:, a : a + rows, :b],
            self.dy[:, a : a + rows, b + columns :],
        )
        self.dy_borders = [border for border in around if border.size]
        sn, sh, sw, size = self.dy.strides
        line = columns * c
        self.dy_lines = as_strided(body, (n, rows, line), (sn, sh, size))
        self.x_lines = as_strided(
            self.x, (n, rows, kh, kw, line), (self.x.strides[0], row, *taps, size)
        )
        self.dw_lines = np.empty((kh, kw, line), dtype)
        self.dw_columns = self.dw_lines.reshape(kh, kw, columns, c)
        self.dw = np.empty((kh, kw, c), dtype)
        self.dw_view = self.dw.transpose(2, 0, 1)[:, None]
        self.ones = np.ones(len(self.dy_pixels), dtype)
        if not site.need[0]:
            return
        # ---- dx, remainder by remainder
        if all(sum(m.cells for m in axis) == size for axis, size in zip(axes, (h, w), strict=True)):
            self.dx = channels_last(site.gradient(), spec.shape)
        else:  # cells that no window meets keep their zero
            self.dx = site.channels_last(spec, zeros=True)
        self.remainders: list[tuple[Windows, Array, tuple[Array, Array] | None]] = []
        for down in axes[0]:
            for across in axes[1]:
                cells = self.dx[
                    :, :, down.first :: window.stride[0], across.first :: window.stride[1]
                ]
                last = cells.transpose(0, 2, 3, 1)
                own = last if last.flags.c_contiguous else np.empty(last.shape, dtype)
                source = self.dy[:, ahead[0] + down.output :, ahead[1] + across.output :]
                lengths = (len(down.places), len(across.places))
                windows = Windows(source, sh, (sh * down.gap, sw * across.gap), lengths, own)
                kernel = self.w[_slice(down.places)][:, _slice(across.places)]
                give = None if own is last else pixels_of(cells, own.transpose(0, 3, 1, 2))
                self.remainders.append((windows, kernel, give))

    def _see(self, x: Array) -> None:
        """Copy x to between zeros; others used the memory meanwhile."""
        if x is not self.seen:
            self.seen = x
            self.take = [(place, x[..., cells]) for place, cells in self.places]
            if not self.together:  # else rows are dense as they are
                self.take = [pixels_of(*pair) for pair in self.take]
        for border in self.borders:
            border.fill(0)
        for place, cells in self.take:
            np.copyto(place, cells)

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx) -> Result:
        self._see(xs[0])
        np.copyto(self.w, p["weight"][:, 0].transpose(1, 2, 0))
        self.windows.times(self.w)
        if "bias" in p:
            np.copyto(self.bias, p["bias"])
            np.add(self.y_wide, self.bias_row, out=self.y_wide)
        return Result((self.y,), {"x": xs[0]})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx,
    ) -> Grads:
        if need[0] and not looks_finite(self.w.reshape(-1)):  # the zeros around dy would spread it
            return self.plain.backward(p, saved, dys, need, ctx)
        for border in self.dy_borders:
            border.fill(0)
        np.copyto(self.dy_body, dys[0])
        if self.dparams:
            self._see(saved["x"])
            np.einsum("nrijx,nrx->ijx", self.x_lines, self.dy_lines, out=self.dw_lines)
            np.add.reduce(self.dw_columns, 2, out=self.dw)
            np.copyto(self.dparams["weight"], self.dw_view)
            if "bias" in self.dparams:
                np.matmul(self.ones, self.dy_pixels, out=self.dparams["bias"])
        if not need[0]:
            return Grads((None,), self.dparams)
        for windows, kernel, give in self.remainders:
            windows.times(kernel)
            if give is not None:
                np.copyto(*give)
        return Grads((self.dx,), self.dparams)

    def describe(self, saved: Mapping[str, Array]) -> Mapping[str, Array | Callable[[], Array]]:
        return saved


def _columns_under(place: int, window: Window, width: int, columns: int) -> tuple[slice, slice]:
    """The outputs whose windows have this column of the kernel over x, and those columns of x."""
    over = [
        q * window.stride[1] + place * window.dilation[1] - window.before[1] for q in range(columns)
    ]
    inside = [q for q, column in enumerate(over) if 0 <= column < width]
    if not inside:  # it only ever lies over padding
        return slice(0, 0), slice(0, 0)
    first, last = inside[0], inside[-1]
    return slice(first, last + 1), slice(over[first], over[last] + 1, window.stride[1])


def _slice(places: range) -> slice:
    stop = places.stop if places.stop >= 0 else None
    return slice(places.start, stop, places.step)


KERNEL = Depthwise()
