"""Batch normalization on (pixels, channels) rows, with sums as products with ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, NamedTuple, cast

import numpy as np

from engine.kernels.base import Site, channels_last, pixels, repeats_of, runs_of
from engine.layers.base import Array, Ctx, Grads, Layer, Result
from engine.layers.batch_norm2d import BatchNorm2d

CHUNK = 1 << 17
"""Numbers that three arrays can hold in cache together."""


class Forms(NamedTuple):
    """Maps, and their chunks as (pixels, C) and as rows of some pixels."""

    whole: Array
    rows: list[Array]
    wide: list[Array]


class RowsBatchNorm:
    """Variance by two passes, as the plain form: the one-pass form loses precision.

    What it keeps is x − μ. Where no backward pass follows, evaluation is one affine pass over x.
    """

    name: ClassVar[str] = "rows"
    layer: ClassVar[type[Layer]] = BatchNorm2d
    keeps: ClassVar[tuple[str, ...]] = ()
    passes_on: ClassVar[bool] = False

    def offers(self, site: Site) -> bool:
        n, _, h, w = site.inputs[0].shape
        return n * h * w > 1

    def bind(self, site: Site) -> BoundRowsBatchNorm:
        return BoundRowsBatchNorm(site)


class BoundRowsBatchNorm:
    """All passes go by some samples at a time, so that what one writes the next finds in cache.

    Threads do not share them: so short calls wait for Python's lock for longer than they take.
    """

    def __init__(self, site: Site) -> None:
        self.layer = cast(BatchNorm2d, site.layer)
        (spec,) = site.inputs
        n, c, h, w = spec.shape
        self.count = n * h * w
        self.dparams, self.keep = site.dparams, site.backward
        dtype = np.dtype(spec.dtype)
        step = min(n, max(1, CHUNK // (c * h * w)))
        self.repeats = repeats_of(c, h * w if n % step else step * h * w)
        self.samples = [slice(start, min(n, start + step)) for start in range(0, n, step)]
        self.y = self._forms(channels_last(site.value(), spec.shape))
        self.centred = self._forms(channels_last(site.take("saved", spec.shape), spec.shape))
        self.x = Chunks(self, self.centred)
        self.ones = [np.ones(len(rows), dtype) for rows in self.y.rows]
        self.tiles = [np.empty((self.repeats, c), dtype) for _ in range(3)]
        self.tile_rows = [tile.reshape(-1) for tile in self.tiles]
        self.numbers = range(len(self.samples))
        self.sums = np.empty((2, c), dtype)
        self.shares = np.empty((2, len(self.samples), c), dtype)  # of each chunk
        self.real = dtype.type
        if site.backward:
            self.dx = self._forms(channels_last(site.gradient(), spec.shape))
            copy = channels_last(site.take("backward", spec.shape), spec.shape)
            self.dy = Chunks(self, self._forms(copy))

    def _forms(self, maps: Array) -> Forms:
        """Views of maps whose memory is channels last."""
        last = maps.transpose(0, 2, 3, 1)
        channels = last.shape[3]
        return Forms(
            maps,
            [last[chunk].reshape(-1, channels) for chunk in self.samples],
            [last[chunk].reshape(-1, self.repeats * channels) for chunk in self.samples],
        )

    def _repeated(self, *vectors: Array) -> list[Array]:
        """Each vector (C,) repeated along a long row."""
        for tile, vector in zip(self.tiles, vectors, strict=False):
            np.copyto(*runs_of(tile, vector))
        return self.tile_rows

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx) -> Result:
        real, y, centred = self.real, self.y, self.centred
        x = self.x.of(xs[0])
        total, shares = self.sums[0], self.shares[0]
        statistics = {}
        trained = ctx.mode == "train" and not self.layer.frozen
        if trained:
            for i in self.numbers:
                np.matmul(self.ones[i], x.rows[i], out=shares[i])
            mean = np.add.reduce(shares, 0, out=total) / real(self.count)
            tile, *_ = self._repeated(mean)
            for i in self.numbers:
                np.subtract(x.wide[i], tile, out=centred.wide[i])
                np.multiply(centred.wide[i], centred.wide[i], out=y.wide[i])
                np.matmul(self.ones[i], y.rows[i], out=shares[i])
            var = np.add.reduce(shares, 0, out=total) / real(self.count)
            m = real(self.layer.momentum)
            unbiased = var * real(self.count / (self.count - 1))
            statistics = {
                "running_mean": (1 - m) * p["running_mean"] + m * mean,
                "running_var": (1 - m) * p["running_var"] + m * unbiased,
            }
        else:
            mean, var = p["running_mean"], p["running_var"]
        inv_std = 1 / np.sqrt(var + real(self.layer.eps))
        slope = inv_std * p["weight"]
        saved = {"mean": mean, "inv_std": inv_std, "trained": np.asarray(trained)}
        if self.keep or trained:
            saved["centred"] = centred.whole
            source, offset = centred, p["bias"]
        else:
            saved["x"] = xs[0]
            source, offset = x, p["bias"] - mean * slope
        if self.keep and not trained:
            tile, *_ = self._repeated(mean)
            for i in self.numbers:
                np.subtract(x.wide[i], tile, out=centred.wide[i])
        slope, offset, *_ = self._repeated(slope, offset)
        for i in self.numbers:
            np.multiply(source.wide[i], slope, out=y.wide[i])
            np.add(y.wide[i], offset, out=y.wide[i])
        return Result((y.whole,), saved, statistics)

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx,
    ) -> Grads:
        real, centred, dx, inv_std = self.real, self.centred, self.dx, saved["inv_std"]
        dy = self.dy.of(dys[0])
        dbias, dweight = self.sums
        for i in self.numbers:
            np.matmul(self.ones[i], dy.rows[i], out=self.shares[0, i])
            np.multiply(dy.wide[i], centred.wide[i], out=dx.wide[i])
            np.matmul(self.ones[i], dx.rows[i], out=self.shares[1, i])
        np.add.reduce(self.shares, 1, out=self.sums)
        np.multiply(dweight, inv_std, out=dweight)
        if self.dparams:
            np.copyto(self.dparams["weight"], dweight)
            np.copyto(self.dparams["bias"], dbias)
        if not need[0]:
            return Grads((None,), self.dparams)
        scale = p["weight"] * inv_std
        if not saved["trained"]:
            scale, *_ = self._repeated(scale)
            for i in self.numbers:
                np.multiply(dy.wide[i], scale, out=dx.wide[i])
            return Grads((dx.whole,), self.dparams)
        # dx = scale · (dy − x̂ · mean(dy · x̂) − mean dy)
        n = real(self.count)
        scale, slope, offset = self._repeated(scale, dweight * inv_std / n, dbias / n)
        for i in self.numbers:
            out = dx.wide[i]
            np.multiply(centred.wide[i], slope, out=out)
            np.subtract(dy.wide[i], out, out=out)
            np.subtract(out, offset, out=out)
            np.multiply(out, scale, out=out)
        return Grads((dx.whole,), self.dparams)

    def describe(self, saved: Mapping[str, Array]) -> Mapping[str, Array | Callable[[], Array]]:
        inv_std = saved["inv_std"]

        def xhat() -> Array:
            centred = (
                saved["centred"] if "centred" in saved else saved["x"] - _by_map(saved["mean"])
            )
            return centred * _by_map(inv_std)

        return {"xhat": xhat, "inv_std": inv_std, "trained": saved["trained"]}


class Chunks:
    """An argument in chunks: views where its memory is channels last, else of a copy."""

    def __init__(self, norm: BoundRowsBatchNorm, copy: Forms) -> None:
        self.norm, self.copy = norm, copy
        self.seen: Array | None = None
        self.view: Forms | None = None

    def of(self, x: Array) -> Forms:
        """The chunks of x."""
        if x is not self.seen:
            self.seen = x
            self.view = None if pixels(x) is None else self.norm._forms(x)
        if self.view is not None:
            return self.view
        np.copyto(self.copy.whole, x)
        return self.copy


def _by_map(vector: Array) -> Array:
    return vector[:, None, None]


KERNEL = RowsBatchNorm()
