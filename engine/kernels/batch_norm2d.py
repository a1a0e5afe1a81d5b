"""Batch normalization on (pixels, channels) rows, with sums as products with ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, NamedTuple, cast

import numpy as np

from engine.kernels.base import Site, repeats_of, runs_of
from engine.layers.base import Array, Ctx, Grads, Layer, Result
from engine.layers.batch_norm2d import BatchNorm2d

CHUNK = 1 << 17
"""Numbers that three arrays can hold in cache together."""


class Forms(NamedTuple):
    """A buffer (N, C, H, W), and its chunks as maps, as (pixels, C) and as rows of some pixels."""

    whole: Array
    maps: list[Array]
    rows: list[Array]
    wide: list[Array]


class RowsBatchNorm:
    """Variance by two passes, as the plain form: the one-pass form loses precision."""

    name: ClassVar[str] = "rows"
    layer: ClassVar[type[Layer]] = BatchNorm2d

    def offers(self, site: Site) -> bool:
        n, _, h, w = site.inputs[0].shape
        return n * h * w > 1 and not cast(BatchNorm2d, site.layer).frozen

    def bind(self, site: Site) -> BoundRowsBatchNorm:
        return BoundRowsBatchNorm(site)


class BoundRowsBatchNorm:
    """All passes go by some samples at a time, so that what one writes the next finds in cache."""

    def __init__(self, site: Site) -> None:
        self.layer = cast(BatchNorm2d, site.layer)
        (spec,) = site.inputs
        n, c, h, w = spec.shape
        self.count = n * h * w
        self.dparams = site.dparams
        dtype = np.dtype(spec.dtype)
        step = min(n, max(1, CHUNK // (c * h * w)))
        repeats = repeats_of(c, h * w if n % step else step * h * w)
        self.samples = [slice(start, min(n, start + step)) for start in range(0, n, step)]

        def buffer() -> Forms:
            """The same memory as (N, C, H, W), and by chunks as (pixels, C) and as longer rows."""
            maps = site.channels_last(spec)
            last = maps.transpose(0, 2, 3, 1)
            return Forms(
                maps,
                [maps[chunk] for chunk in self.samples],
                [last[chunk].reshape(-1, c) for chunk in self.samples],
                [last[chunk].reshape(-1, repeats * c) for chunk in self.samples],
            )

        self.y, self.xhat = buffer(), buffer()
        self.ones = [np.ones(len(rows), dtype) for rows in self.y.rows]
        self.tiles = [np.empty((repeats, c), dtype) for _ in range(3)]
        self.tile_rows = [tile.reshape(-1) for tile in self.tiles]
        self.sums = np.empty((3, c), dtype)
        self.real = dtype.type
        if site.backward:
            self.dy, self.dx = buffer(), buffer()

    def _repeated(self, *vectors: Array) -> list[Array]:
        """Each vector (C,) repeated along a long row."""
        for tile, vector in zip(self.tiles, vectors, strict=False):
            np.copyto(*runs_of(tile, vector))
        return self.tile_rows

    def _sum_into(self, total: Array, ones: Array, rows: Array) -> None:
        np.matmul(ones, rows, out=self.sums[2])
        np.add(total, self.sums[2], out=total)

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx) -> Result:
        real, y, xhat = self.real, self.y, self.xhat
        statistics = {}
        total = self.sums[0]
        if ctx.mode == "train":
            total.fill(0)
            for chunk, maps, rows, ones in zip(
                self.samples, xhat.maps, xhat.rows, self.ones, strict=True
            ):
                np.copyto(maps, xs[0][chunk])
                self._sum_into(total, ones, rows)
            mean = total / real(self.count)
            tile, *_ = self._repeated(mean)
            total.fill(0)
            for wide, square, rows, ones in zip(xhat.wide, y.wide, y.rows, self.ones, strict=True):
                np.subtract(wide, tile, out=wide)
                np.multiply(wide, wide, out=square)
                self._sum_into(total, ones, rows)
            var = total / real(self.count)
            m = real(self.layer.momentum)
            unbiased = var * real(self.count / (self.count - 1))
            statistics = {
                "running_mean": (1 - m) * p["running_mean"] + m * mean,
                "running_var": (1 - m) * p["running_var"] + m * unbiased,
            }
        else:
            var = p["running_var"]
            tile, *_ = self._repeated(p["running_mean"])
            for chunk, maps, wide in zip(self.samples, xhat.maps, xhat.wide, strict=True):
                np.copyto(maps, xs[0][chunk])
                np.subtract(wide, tile, out=wide)
        inv_std = 1 / np.sqrt(var + real(self.layer.eps))
        scale, weight, bias = self._repeated(inv_std, p["weight"], p["bias"])
        for wide, out in zip(xhat.wide, y.wide, strict=True):
            np.multiply(wide, scale, out=wide)
            np.multiply(wide, weight, out=out)
            np.add(out, bias, out=out)
        trained = np.asarray(ctx.mode == "train")
        saved = {"xhat": xhat.whole, "inv_std": inv_std, "trained": trained}
        return Result((y.whole,), saved, statistics)

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx,
    ) -> Grads:
        real, xhat, dy, dx = self.real, self.xhat, self.dy, self.dx
        dbias, dweight, _ = self.sums
        self.sums.fill(0)
        for i, (chunk, ones) in enumerate(zip(self.samples, self.ones, strict=True)):
            np.copyto(dy.maps[i], dys[0][chunk])
            self._sum_into(dbias, ones, dy.rows[i])
            np.multiply(dy.wide[i], xhat.wide[i], out=dx.wide[i])
            self._sum_into(dweight, ones, dx.rows[i])
        if self.dparams:
            np.copyto(self.dparams["weight"], dweight)
            np.copyto(self.dparams["bias"], dbias)
        if not need[0]:
            return Grads((None,), self.dparams)
        scale = p["weight"] * saved["inv_std"]
        if not saved["trained"]:
            scale, *_ = self._repeated(scale)
            for upstream, out in zip(dy.wide, dx.wide, strict=True):
                np.multiply(upstream, scale, out=out)
            return Grads((dx.whole,), self.dparams)
        # dx = scale · (dy − x̂ · mean(dy · x̂) − mean dy)
        n = real(self.count)
        scale, slope, offset = self._repeated(scale, dweight / n, dbias / n)
        for normalised, upstream, out in zip(xhat.wide, dy.wide, dx.wide, strict=True):
            np.multiply(normalised, slope, out=out)
            np.subtract(upstream, out, out=out)
            np.subtract(out, offset, out=out)
            np.multiply(out, scale, out=out)
        return Grads((dx.whole,), self.dparams)

    def describe(self, saved: Mapping[str, Array]) -> Mapping[str, Array | Callable[[], Array]]:
        return saved


KERNEL = RowsBatchNorm()
