"""Convolution as one matrix product of unrolled windows (im2col), channels last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, cast

import numpy as np
from numpy.lib.stride_tricks import as_strided

from engine.kernels.base import Site, small_part
from engine.layers.base import Array, Ctx, Grads, Layer, Result
from engine.layers.conv2d import Conv2d
from engine.layers.window import Window

CHUNK_BYTES = 1 << 20
"""Unrolled windows of more samples than fit here are made in parts, again in backward."""

Part = tuple[Array, Array, Array, slice]
"""Some samples: their windows, the rows to copy them to, these as windows, rows of the output."""


class Im2col:
    """x is copied once, channels last, into a buffer with zero borders; windows are copied from it.

    A 1×1 kernel of stride 1 without padding needs neither: the pixels are the rows already.
    dX: the flipped kernel over dy where the stride is 1, else each kernel position adds its share
    to the cells it looked at.
    """

    name: ClassVar[str] = "im2col"
    layer: ClassVar[type[Layer]] = Conv2d

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
        self.dparams, self.shape = site.dparams, (o, c, kh, kw)
        self.direct = (kh, kw) == (1, 1) and window.stride == (1, 1) and (rows, columns) == (h, w)
        self.y = site.channels_last(out)
        self.y_rows = self.y.transpose(0, 2, 3, 1).reshape(-1, o)
        self.w = np.empty((kh, kw, c, o), dtype)
        self.w2 = self.w.reshape(-1, o)
        # ---- x with borders, and its windows
        height, width = (h, w) if self.direct else window.padded_size(h, w)
        self.padded = np.zeros((n, height, width, c), dtype)
        self.body = window.body(self.padded.transpose(0, 3, 1, 2), h, w)
        depth, area = kh * kw * c, rows * columns
        if self.direct:
            self.col = self.padded.reshape(-1, c)
        else:
            self.col, self.parts = _parts(window, self.padded, (rows, columns))
        self.seen: Array | None = None
        self.seen_rows: Array | None = None
        if not site.backward:
            return
        # ---- gradients
        self.dy = site.channels_last(out)
        self.dw = np.empty((depth, o), dtype)
        self.dw_part = np.empty_like(self.dw)
        self.dw_view = self.dw.reshape(kh, kw, c, o).transpose(3, 2, 0, 1)
        self.ones = np.ones(n * area, dtype)
        if not site.need[0]:
            return
        if self.direct:
            self.dx = site.channels_last(spec)
            self.dx_rows = self.dx.transpose(0, 2, 3, 1).reshape(-1, c)
            return
        # the flipped kernel over dy saves the sums, but dy's windows must not be much larger
        gaps = [e - 1 - b for e, b in zip(window.extent, window.before, strict=True)]
        tight = all(a < e for a, e in zip(window.after, window.extent, strict=True))
        self.over_dy = window.stride == (1, 1) and tight and min(gaps) >= 0 and o <= 2 * c
        if self.over_dy:
            size = (h + window.extent[0] - 1, w + window.extent[1] - 1)
            dy_padded = np.zeros((n, *size, o), dtype)
            self.dy_body = dy_padded.transpose(0, 3, 1, 2)[
                :, :, gaps[0] : gaps[0] + rows, gaps[1] : gaps[1] + columns
            ]
            _, self.dy_parts = _parts(window, dy_padded, (h, w))
            self.flipped = np.empty((kh, kw, o, c), dtype)
            self.flipped2 = self.flipped.reshape(-1, c)
            self.dx = site.channels_last(spec)
            self.dx_rows = self.dx.transpose(0, 2, 3, 1).reshape(-1, c)
            return
        part = len(self.col) // area
        self.dpadded = np.zeros((n, height, width, c), dtype)
        cells = self.dpadded.transpose(0, 3, 1, 2)
        self.dx = window.body(cells, h, w)
        # (shares of a kernel position, the cells it adds them to), part by part
        self.dcol = np.empty_like(self.col)
        self.scatter = []
        for start in range(0, n, part):
            stop = min(n, start + part)
            dcol = self.dcol[: (stop - start) * area]
            shares = dcol.reshape(stop - start, rows, columns, kh, kw, c)
            taps = [
                (
                    window.tap(cells[start:stop], i, j, (rows, columns)),
                    shares[:, :, :, i, j].transpose(0, 3, 1, 2),
                )
                for i in range(kh)
                for j in range(kw)
            ]
            self.scatter.append((dcol, slice(start * area, stop * area), taps))

    def _unroll(self, part: Part) -> Array:
        windows, col, shaped, _ = part
        np.copyto(shaped, windows)
        return col

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx) -> Result:
        x = xs[0]
        np.copyto(self.w, p["weight"].transpose(2, 3, 1, 0))
        if self.direct:
            np.matmul(self._pixels(x), self.w2, out=self.y_rows)
        else:
            np.copyto(self.body, x)
            for part in self.parts:
                _times(self._unroll(part), self.w2, self.y_rows[part[3]])
        if "bias" in p:
            np.add(self.y_rows, p["bias"], out=self.y_rows)
        return Result((self.y,), {"x": x})

    def _pixels(self, x: Array) -> Array:
        """x as (pixels, channels): a view where memory is channels last, else a copy."""
        if x is not self.seen:
            last = x.transpose(0, 2, 3, 1)
            self.seen = x
            self.seen_rows = last.reshape(-1, last.shape[3]) if last.flags.c_contiguous else None
        if self.seen_rows is not None:
            return self.seen_rows
        np.copyto(self.body, x)
        return self.col

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx,
    ) -> Grads:
        dy_last = dys[0].transpose(0, 2, 3, 1)
        if not dy_last.flags.c_contiguous:
            np.copyto(self.dy, dys[0])
            dy_last = self.dy.transpose(0, 2, 3, 1)
        dy = dy_last.reshape(-1, self.shape[0])
        if self.dparams:
            self._weight_gradient(dy, saved["x"])
        if not need[0]:
            return Grads((None,), self.dparams)
        if self.direct:
            np.matmul(dy, self.w2.T, out=self.dx_rows)
        elif self.over_dy:
            np.copyto(self.dy_body, dys[0])
            np.copyto(self.flipped, p["weight"][:, :, ::-1, ::-1].transpose(2, 3, 0, 1))
            for part in self.dy_parts:
                _times(self._unroll(part), self.flipped2, self.dx_rows[part[3]])
        else:
            self.dpadded.fill(0)
            for dcol, rows, taps in self.scatter:
                np.matmul(dy[rows], self.w2.T, out=dcol)
                for cells, shares in taps:
                    np.add(cells, shares, out=cells)
        return Grads((self.dx,), self.dparams)

    def _weight_gradient(self, dy: Array, x: Array) -> None:
        if self.direct:
            np.matmul(self._pixels(x).T, dy, out=self.dw)
        elif len(self.parts) == 1:  # the windows are still there from forward
            np.matmul(self.col.T, dy, out=self.dw)
        else:
            self.dw.fill(0)
            for part in self.parts:
                np.matmul(self._unroll(part).T, dy[part[3]], out=self.dw_part)
                np.add(self.dw, self.dw_part, out=self.dw)
        np.copyto(self.dparams["weight"], self.dw_view)
        if "bias" in self.dparams:
            np.matmul(self.ones, dy, out=self.dparams["bias"])

    def describe(self, saved: Mapping[str, Array]) -> Mapping[str, Array | Callable[[], Array]]:
        return saved


def _parts(window: Window, padded: Array, out: tuple[int, int]) -> tuple[Array, list[Part]]:
    """A buffer for unrolled windows of ``padded`` (N, H, W, C), and the parts it serves in turn.

    The stride is the window's along the rows and columns of an output of size ``out``.
    """
    n, (kh, kw), c = len(padded), window.kernel_size, padded.shape[3]
    sn, sh, sw, sc = padded.strides
    strides = (
        sn,
        sh * window.stride[0],
        sw * window.stride[1],
        sh * window.dilation[0],
        sw * window.dilation[1],
        sc,
    )
    windows = as_strided(padded, (n, *out, kh, kw, c), strides)
    area, depth = out[0] * out[1], kh * kw * c
    step = min(n, max(1, CHUNK_BYTES // (area * depth * padded.itemsize)))
    rows = np.empty((step * area, depth), padded.dtype)
    parts = []
    for start in range(0, n, step):
        some = windows[start : start + step]
        own = rows[: len(some) * area]
        place = slice(start * area, start * area + len(own))
        parts.append((some, own, own.reshape(some.shape), place))
    return rows, parts


def _times(rows: Array, matrix: Array, out: Array) -> None:
    """rows @ matrix, in small products where these are faster."""
    count, depth = rows.shape
    part = small_part(count, matrix.size)
    np.matmul(rows.reshape(-1, part, depth), matrix, out=out.reshape(-1, part, out.shape[1]))


KERNEL = Im2col()
