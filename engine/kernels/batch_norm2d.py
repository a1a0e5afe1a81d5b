"""Batch normalization on (pixels, channels) rows, with sums as products with ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, cast

import numpy as np

from engine.kernels.base import Site, repeats_of
from engine.layers.base import Array, Ctx, Grads, Layer, Result
from engine.layers.batch_norm2d import BatchNorm2d


class RowsBatchNorm:
    """Variance by two passes, as the plain form: the one-pass form loses precision."""

    name: ClassVar[str] = "rows"
    layer: ClassVar[type[Layer]] = BatchNorm2d

    def offers(self, site: Site) -> bool:
        n, _, h, w = site.inputs[0].shape
        return n * h * w > 1

    def bind(self, site: Site) -> BoundRowsBatchNorm:
        return BoundRowsBatchNorm(site)


class BoundRowsBatchNorm:
    def __init__(self, site: Site) -> None:
        self.layer = cast(BatchNorm2d, site.layer)
        (spec,) = site.inputs
        n, c, h, w = spec.shape
        self.count = n * h * w
        self.dparams = site.dparams
        dtype = np.dtype(spec.dtype)
        repeats = repeats_of(c, self.count)
        self.wide = (self.count // repeats, repeats, c)

        def buffer() -> tuple[Array, Array, Array]:
            """The same memory as (N, C, H, W), as (pixels, C) and as rows of several pixels."""
            maps = site.channels_last(spec)
            rows = maps.transpose(0, 2, 3, 1).reshape(-1, c)
            return maps, rows, rows.reshape(self.wide[0], -1)

        self.y, self.y_rows, self.y_wide = buffer()
        self.xhat, self.xhat_rows, self.xhat_wide = buffer()
        self.ones = np.ones(self.count, dtype)
        self.tile = np.empty(self.wide[1:], dtype)
        self.tile_row = self.tile.reshape(-1)
        self.real = dtype.type
        if site.backward:
            self.dy_copy = buffer()
            self.dx, self.dx_rows, self.dx_wide = buffer()

    def _repeated(self, vector: Array) -> Array:
        np.copyto(self.tile, vector)
        return self.tile_row

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx) -> Result:
        real, xhat = self.real, self.xhat_wide
        np.copyto(self.xhat, xs[0])
        statistics = {}
        if ctx.mode == "train":
            mean = np.matmul(self.ones, self.xhat_rows) / real(self.count)
            np.subtract(xhat, self._repeated(mean), out=xhat)
            np.multiply(xhat, xhat, out=self.y_wide)
            var = np.matmul(self.ones, self.y_rows) / real(self.count)
            m = real(self.layer.momentum)
            unbiased = var * real(self.count / (self.count - 1))
            statistics = {
                "running_mean": (1 - m) * p["running_mean"] + m * mean,
                "running_var": (1 - m) * p["running_var"] + m * unbiased,
            }
        else:
            mean, var = p["running_mean"], p["running_var"]
            np.subtract(xhat, self._repeated(mean), out=xhat)
        inv_std = 1 / np.sqrt(var + real(self.layer.eps))
        np.multiply(xhat, self._repeated(inv_std), out=xhat)
        np.multiply(xhat, self._repeated(p["weight"]), out=self.y_wide)
        np.add(self.y_wide, self._repeated(p["bias"]), out=self.y_wide)
        trained = np.asarray(ctx.mode == "train")
        saved = {"xhat": self.xhat, "inv_std": inv_std, "trained": trained}
        return Result((self.y,), saved, statistics)

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx,
    ) -> Grads:
        dy_last, real = dys[0].transpose(0, 2, 3, 1), self.real
        if dy_last.flags.c_contiguous:
            dy_rows, dy_wide = (
                dy_last.reshape(self.y_rows.shape),
                dy_last.reshape(self.y_wide.shape),
            )
        else:
            np.copyto(self.dy_copy[0], dys[0])
            _, dy_rows, dy_wide = self.dy_copy
        dx = self.dx_wide
        dbias = np.matmul(self.ones, dy_rows)
        np.multiply(dy_wide, self.xhat_wide, out=dx)
        dweight = np.matmul(self.ones, self.dx_rows)
        if self.dparams:
            np.copyto(self.dparams["weight"], dweight)
            np.copyto(self.dparams["bias"], dbias)
        if not need[0]:
            return Grads((None,), self.dparams)
        scale = p["weight"] * saved["inv_std"]
        if not saved["trained"]:
            np.multiply(dy_wide, self._repeated(scale), out=dx)
            return Grads((self.dx,), self.dparams)
        # dx = scale · (dy − x̂ · mean(dy · x̂) − mean dy)
        np.multiply(self.xhat_wide, self._repeated(dweight / real(self.count)), out=dx)
        np.subtract(dy_wide, dx, out=dx)
        np.subtract(dx, self._repeated(dbias / real(self.count)), out=dx)
        np.multiply(dx, self._repeated(scale), out=dx)
        return Grads((self.dx,), self.dparams)

    def describe(self, saved: Mapping[str, Array]) -> Mapping[str, Array | Callable[[], Array]]:
        return saved


KERNEL = RowsBatchNorm()
