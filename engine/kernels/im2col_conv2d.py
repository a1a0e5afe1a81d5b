"""Convolution as one matrix product of unrolled windows (im2col), channels last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, NamedTuple, cast

import numpy as np
from numpy.lib.stride_tricks import as_strided

from engine.kernels.base import Rows, Site, Use, channels_last, small_part
from engine.layers.base import Array, Ctx, Grads, Layer, Result
from engine.layers.conv2d import Conv2d
from engine.layers.window import Window
from engine.workers import Workers, slices_of, split

CHUNK_BYTES = 1 << 20
"""Windows are unrolled and multiplied in parts of about this size, which stay in cache."""
FEWEST_ROWS = 512
"""But at least so many windows, because every part's share of dW is added to the sum of all."""
MULTIPLY_NS = 0.02
"""Time of a multiply-add, roughly."""
ROWS_FOR_FLIPPING = 6
"""Pixels for each channel from which on the flipped kernel, rearranged in each step, pays."""


class Part(NamedTuple):
    """Windows of some samples and rows of the output; ``place`` of them among its pixels."""

    samples: slice
    rows: slice
    place: slice


class Im2col:
    """Where there is padding, x is copied once into a buffer with zero borders.

    A 1×1 kernel of stride 1 without padding needs no windows: the pixels are the rows already.
    dX: the flipped kernel over dy where the stride is 1 and there are many pixels, else each kernel
    position adds its share to the cells it looked at.
    """

    name: ClassVar[str] = "im2col"
    layer: ClassVar[type[Layer]] = Conv2d
    keeps: ClassVar[tuple[str, ...]] = ("x",)
    passes_on: ClassVar[bool] = False

    def offers(self, site: Site) -> bool:
        return cast(Conv2d, site.layer).groups == 1

    def bind(self, site: Site) -> BoundIm2col:
        return BoundIm2col(site)


class BoundIm2col:
    def __init__(self, site: Site) -> None:
        layer = cast(Conv2d, site.layer)
        (spec,), (out,) = site.inputs, site.outputs
        n, c, h, w = spec.shape
        o, rows, columns = out.shape[1:]
        window, dtype = layer.window, np.dtype(spec.dtype)
        kh, kw = window.kernel_size
        self.dparams, self.depth, self.o = site.dparams, kh * kw * c, o
        self.pixels = n * rows * columns
        self.workers = site.workers.worth(MULTIPLY_NS * self.pixels * self.depth * o)
        self.size = (rows, columns)
        unpadded = window.padded_size(h, w) == (h, w) and window.before == (0, 0)
        self.direct = (kh, kw, *window.stride) == (1, 1, 1, 1) and unpadded
        self.y = channels_last(site.value(), out.shape)
        self.y_rows = self.y.transpose(0, 2, 3, 1).reshape(-1, o)
        self.kernel = Matrix(layer.window.kernel_size, c, o, dtype)
        # x as (pixels, C), or its windows
        if self.direct:
            self.x = Rows(channels_last(site.take("call", spec.shape), spec.shape))
            self.cuts = cuts_of(self.pixels, self.depth * o, self.workers)
        else:
            self.unrolled = Unrolled(
                site, self.workers, window, c, (h, w), (rows, columns), unpadded
            )
        if not site.backward:
            return
        # ---- gradients
        self.dy = Rows(channels_last(site.take("backward", out.shape), out.shape))
        self.dw = np.empty((self.depth, o), dtype)
        shares = 1 if self.direct else len(self.unrolled.shares)
        # of each thread a sum, but for the first, and a share that is to be added to it
        self.dw_sums = [site.take("backward", self.dw.shape) for _ in range(shares - 1)]
        self.dw_parts = [site.take("backward", self.dw.shape) for _ in range(shares)]
        self.ones = np.ones(self.pixels, dtype)
        if "weight" in self.dparams:
            place = self.dparams["weight"].transpose(2, 3, 1, 0)
            self.in_place = place.flags.c_contiguous
            if self.in_place:
                self.dw = place.reshape(self.dw.shape)
            self.dw_view = self.dw.reshape(kh, kw, c, o).transpose(3, 2, 0, 1)
        if not site.need[0]:
            return
        # the flipped kernel over dy saves the sums, but dy's windows must not be much larger
        gaps = [e - 1 - b for e, b in zip(window.extent, window.before, strict=True)]
        tight = all(a < e for a, e in zip(window.after, window.extent, strict=True))
        self.over_dy = (
            not self.direct
            and window.stride == (1, 1)
            and tight
            and min(gaps) >= 0
            and o <= 2 * c
            and n * rows * columns >= ROWS_FOR_FLIPPING * c
        )
        if self.direct or self.over_dy:
            self.dx = channels_last(site.gradient(), spec.shape)
            self.dx_rows = self.dx.transpose(0, 2, 3, 1).reshape(-1, c)
        if self.over_dy:
            back = Window(
                window.kernel_size,
                before=(gaps[0], gaps[1]),
                after=(
                    window.extent[0] - 1 - window.after[0],
                    window.extent[1] - 1 - window.after[1],
                ),
                dilation=window.dilation,
            )
            self.dy_unrolled = Unrolled(site, self.workers, back, o, (rows, columns), (h, w), False)
            self.flipped = site.take("backward", (kh, kw, o, c))
        elif not self.direct:
            self._make_scatter(site, window)

    def _make_scatter(self, site: Site, window: Window) -> None:
        """Buffers for shares of dx: (kernel position's shares, cells that it adds them to)."""
        n, c, h, w = site.inputs[0].shape
        height, width = window.padded_size(h, w)
        vector = site.memory.take("gradient", 0, n * height * width * c, np.dtype(self.dw.dtype))
        self.dpadded = vector
        cells = channels_last(vector, (n, c, height, width))
        self.dx = window.body(cells, h, w)
        parts = parts_of(n, self.size, self.depth, self.dw.itemsize, whole_rows=False)
        self.scatter = []
        for part, buffer in buffers_for(parts, self.workers, site, "backward", self.depth):
            dcol = buffer[: part.place.stop - part.place.start]
            some = cells[part.samples]
            by_tap = dcol.reshape(len(some), *self.size, *window.kernel_size, c)
            taps = [
                (window.tap(some, i, j, self.size), by_tap[:, :, :, i, j].transpose(0, 3, 1, 2))
                for i in range(window.kernel_size[0])
                for j in range(window.kernel_size[1])
            ]
            self.scatter.append((dcol, part.place, taps))

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx) -> Result:
        x, kernel, bias = xs[0], self.kernel.of(p["weight"]), p.get("bias")

        def multiply(rows: Array, place: slice) -> None:
            y = self.y_rows[place]
            _times(rows, kernel, y)
            if bias is not None:
                np.add(y, bias, out=y)

        if self.direct:
            rows = self.x.of(x)
            if len(self.cuts) > 1:
                self.workers.each(lambda place: multiply(rows[place], place), self.cuts)
            else:
                self._multiply_whole(rows, kernel, bias, self.y_rows)
        else:
            unrolled = self.unrolled
            unrolled.see(x)
            if len(unrolled.parts) > 1:
                self.workers.each(
                    lambda i: multiply(unrolled.unroll(i), unrolled.parts[i].place),
                    unrolled.numbers,
                )
            else:
                self._multiply_whole(unrolled.unroll(0), kernel, bias, self.y_rows)
        return Result((self.y,), {"x": x})

    def _multiply_whole(self, rows: Array, matrix: Array, bias: Array | None, out: Array) -> None:
        """rows @ matrix (+ bias), each thread some columns of it."""

        def columns(some: slice) -> None:
            _times(rows, matrix[:, some], out[:, some])

        self.workers.each(columns, cuts_of(out.shape[1], 0, self.workers))
        if bias is not None:
            np.add(out, bias, out=out)

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx,
    ) -> Grads:
        dy = self.dy.of(dys[0])
        if self.dparams:
            self._weight_gradient(dy, saved["x"])
        if not need[0]:
            return Grads((None,), self.dparams)
        if self.over_dy:
            np.copyto(self.flipped, p["weight"][:, :, ::-1, ::-1].transpose(2, 3, 0, 1))
            flipped = self.flipped.reshape(-1, self.dx_rows.shape[1])
            unrolled = self.dy_unrolled
            unrolled.see(dys[0])
            if len(unrolled.parts) > 1:
                self.workers.each(
                    lambda i: _times(
                        unrolled.unroll(i), flipped, self.dx_rows[unrolled.parts[i].place]
                    ),
                    unrolled.numbers,
                )
            else:
                self._multiply_whole(unrolled.unroll(0), flipped, None, self.dx_rows)
            return Grads((self.dx,), self.dparams)
        kernel = self.kernel.of(p["weight"]).T
        if self.direct:
            if len(self.cuts) > 1:
                self.workers.each(
                    lambda place: _times(dy[place], kernel, self.dx_rows[place]), self.cuts
                )
            else:
                self._multiply_whole(dy, kernel, None, self.dx_rows)
            return Grads((self.dx,), self.dparams)
        self.dpadded.fill(0)

        def scatter(part: tuple[Array, slice, list[tuple[Array, Array]]]) -> None:
            dcol, place, taps = part
            np.matmul(dy[place], kernel, out=dcol)
            for cells, shares in taps:
                np.add(cells, shares, out=cells)

        if len(self.scatter) > 1:
            self.workers.each(scatter, self.scatter)
        else:
            ((dcol, _, taps),) = self.scatter
            self._multiply_whole(dy, kernel, None, dcol)
            for cells, shares in taps:
                np.add(cells, shares, out=cells)
        return Grads((self.dx,), self.dparams)

    def _weight_gradient(self, dy: Array, x: Array) -> None:
        whole: Array | None = None
        if self.direct:
            whole = self.x.of(x).T
        else:
            self.unrolled.see(x)
            if len(self.unrolled.parts) == 1:
                whole = self.unrolled.unroll(0).T
        if whole is not None:
            rows, dw = whole, self.dw
            some = cuts_of(len(rows), 0, self.workers)
            self.workers.each(lambda cut: np.matmul(rows[cut], dy, out=dw[cut]), some)
        else:
            sums, unrolled = [self.dw, *self.dw_sums], self.unrolled

            def add_up(share: int) -> None:
                for position, i in enumerate(unrolled.shares[share]):
                    out = self.dw_parts[share] if position else sums[share]
                    np.matmul(unrolled.unroll(i).T, dy[unrolled.parts[i].place], out=out)
                    if position:
                        np.add(sums[share], out, out=sums[share])

            self.workers.each(add_up, range(len(sums)))
            for other in self.dw_sums:
                np.add(self.dw, other, out=self.dw)
        if not self.in_place:
            np.copyto(self.dparams["weight"], self.dw_view)
        if "bias" in self.dparams:
            np.matmul(self.ones, dy, out=self.dparams["bias"])

    def describe(self, saved: Mapping[str, Array]) -> Mapping[str, Array | Callable[[], Array]]:
        return saved


class Matrix:
    """A kernel (O, C, rows, columns) as (rows · columns · C, O): a view where it lies so."""

    def __init__(
        self, size: tuple[int, int], channels: int, o: int, dtype: np.dtype[np.floating]
    ) -> None:
        self.shape, self.o, self.dtype = (*size, channels, o), o, dtype
        self.seen: Array | None = None
        self.own: Array | None = None

    def of(self, weight: Array) -> Array:
        """The matrix of a weight."""
        if weight is not self.seen:
            last = weight.transpose(2, 3, 1, 0)
            self.seen = weight
            self.view = last.reshape(-1, self.o) if last.flags.c_contiguous else None
        if self.view is not None:
            return self.view
        if self.own is None:
            self.own = np.empty(self.shape, self.dtype)
        np.copyto(self.own, weight.transpose(2, 3, 1, 0))
        return self.own.reshape(-1, self.o)


class Unrolled:
    """The windows of maps, a row each, made part by part in one buffer."""

    def __init__(
        self,
        site: Site,
        workers: Workers,
        window: Window,
        channels: int,
        size: tuple[int, int],
        out: tuple[int, int],
        unpadded: bool,
    ) -> None:
        n = site.inputs[0].shape[0]
        self.window, self.out, self.channels = window, out, channels
        depth = window.kernel_size[0] * window.kernel_size[1] * channels
        self.parts = parts_of(n, out, depth, np.dtype(site.inputs[0].dtype).itemsize)
        self.numbers = range(len(self.parts))
        self.shares = split(self.numbers, workers.count)
        self.columns = [
            buffer[: part.place.stop - part.place.start]
            for part, buffer in buffers_for(self.parts, workers, site, "call", depth)
        ]
        self.workers = workers
        self.samples = slices_of(n, workers)
        self.seen: Array | None = None
        self.padded: Array | None = None
        if not unpadded:
            height, width = window.padded_size(*size)
            self.padded = site.take("call", (n, height, width, channels))
            maps = self.padded.transpose(0, 3, 1, 2)
            self.body = window.body(maps, *size)
            (top, left), (h, w) = window.before, size
            self.borders = [
                border
                for border in (
                    self.padded[:, :top],
                    self.padded[:, top + h :],
                    self.padded[:, top : top + h, :left],
                    self.padded[:, top : top + h, left + w :],
                )
                if border.size
            ]
            self._look_at(maps)

    def _look_at(self, maps: Array) -> None:
        """Make the views of the windows of (N, C, height, width)."""
        sn, sc, sh, sw = maps.strides
        window, (kh, kw) = self.window, self.window.kernel_size
        windows = as_strided(
            maps,
            (len(maps), *self.out, kh, kw, self.channels),
            (
                sn,
                sh * window.stride[0],
                sw * window.stride[1],
                sh * window.dilation[0],
                sw * window.dilation[1],
                sc,
            ),
        )
        self.copies = []
        for part, columns in zip(self.parts, self.columns, strict=True):
            source = windows[part.samples, part.rows]
            self.copies.append((columns.reshape(source.shape), source))

    def see(self, x: Array) -> None:
        """Take these maps."""
        if self.padded is not None:
            for border in self.borders:  # others used the memory meanwhile
                border.fill(0)
            self.workers.each(lambda some: np.copyto(self.body[some], x[some]), self.samples)
        elif x is not self.seen:
            self.seen = x
            self._look_at(x)

    def unroll(self, part: int) -> Array:
        """The windows of a part, (windows, cells of a window)."""
        np.copyto(*self.copies[part])
        return self.columns[part]


def parts_of(
    n: int, out: tuple[int, int], depth: int, itemsize: int, whole_rows: bool = True
) -> list[Part]:
    """Parts of about CHUNK_BYTES: some samples, or (``whole_rows``) some rows of one."""
    area = out[0] * out[1]
    wanted = max(FEWEST_ROWS, CHUNK_BYTES // (depth * itemsize))
    step = min(n, max(1, wanted // area))
    height = out[0]
    if whole_rows and step == 1:
        count = max(1, round(area / wanted))
        height = -(-out[0] // count)
    parts = []
    for start in range(0, n, step):
        stop = min(n, start + step)
        for top in range(0, out[0], height):
            bottom = min(out[0], top + height)
            first = start * area + top * out[1]
            last = (stop - 1) * area + bottom * out[1]
            parts.append(Part(slice(start, stop), slice(top, bottom), slice(first, last)))
    return parts


def buffers_for(
    parts: list[Part], workers: Workers, site: Site, use: Use, depth: int
) -> list[tuple[Part, Array]]:
    """Each part with a buffer of (windows, depth): one for all that a thread gets."""
    found = []
    for share in split(parts, workers.count):
        longest = max(part.place.stop - part.place.start for part in share)
        buffer = site.take(use, (longest, depth))
        found += [(part, buffer) for part in share]
    return found


def cuts_of(count: int, row: int, workers: Workers) -> list[slice]:
    """Rows for each thread, in whole parts of a product; all for one where they are few."""
    step = small_part(count, row) if row else 1
    if count < FEWEST_ROWS and row:
        return [slice(0, count)]
    return [
        slice(share[0] * step, (share[-1] + 1) * step)
        for share in split(range(count // step), workers.count)
    ]


def _times(rows: Array, matrix: Array, out: Array) -> None:
    """rows @ matrix, in small products where these are faster."""
    count, depth = rows.shape
    part = small_part(count, matrix.size) if out.flags.c_contiguous else count
    if part == count:
        np.matmul(rows, matrix, out=out)
        return
    np.matmul(rows.reshape(-1, part, depth), matrix, out=out.reshape(-1, part, out.shape[1]))


KERNEL = Im2col()
