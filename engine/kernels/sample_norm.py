"""Normalisations within a sample: group, instance and layer normalisation, channels last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, cast

import numpy as np

from engine.kernels.base import RUN, Site, channels_last, repeats_of, runs_of
from engine.layers.base import Array, Ctx, Grads, Layer, Result
from engine.layers.group_norm import GroupNorm
from engine.layers.instance_norm import InstanceNorm
from engine.layers.layer_norm import LayerNorm
from engine.layers.sample_norm import SampleNorm


class FastSampleNorm:
    """Variance by two passes, as the plain form; sums over pixels as products with ones."""

    name: ClassVar[str]
    layer: ClassVar[type[Layer]]
    keeps: ClassVar[tuple[str, ...]] = ()
    passes_on: ClassVar[bool] = False

    def offers(self, site: Site) -> bool:
        return len(site.inputs[0].shape) in (2, 4)

    def bind(self, site: Site) -> BoundSampleNorm:
        return BoundSampleNorm(site)


class BoundSampleNorm:
    """Everything is seen as (N, pixels, C), and with longer rows.

    The trained vectors have a number for each channel, or (layer normalisation) for each cell.
    """

    def __init__(self, site: Site) -> None:
        self.layer = layer = cast(SampleNorm, site.layer)
        (spec,) = site.inputs
        n, c, *size = spec.shape
        area = int(np.prod(size))
        self.groups, self.dparams = layer.groups_of(c), site.dparams
        self.by_cell = isinstance(layer, LayerNorm)
        self.size, self.n, self.area, self.c = size, n, area, c
        repeats = repeats_of(c, area, RUN)
        self.wide = (n, area // repeats, repeats * c)
        self.real = np.dtype(spec.dtype).type
        self.count = area * c // self.groups  # numbers that are normalised together
        self.y, self.xhat = self._maps(site.value()), self._maps(site.take("saved", spec.shape))
        self.ones, self.ones_across = np.ones((1, area), spec.dtype), np.ones(n, spec.dtype)
        self.sums = np.empty((n, 1, self.c), spec.dtype)
        # vectors along long rows: some of each sample, two for all samples
        self.tiles = [np.empty((n, repeats, self.c), spec.dtype) for _ in range(3)]
        row = (1, 1, area * c) if self.by_cell else (1, repeats, c)
        self.common = [np.empty(row, spec.dtype) for _ in range(2)]
        self.trained = (n, 1, area * c) if self.by_cell else self.wide
        if site.backward:
            self.dy = self._maps(site.take("backward", spec.shape))
            wanted = site.gradient() if site.need[0] else site.take("backward", spec.shape)
            self.dx = self._maps(wanted)

    def _maps(self, memory: Array) -> Array:
        """Memory as an array of x's shape, channels last."""
        shape = (self.n, self.c, *self.size)
        return channels_last(memory, shape) if self.size else memory.reshape(shape)

    def _rows(self, maps: Array, shape: tuple[int, int, int]) -> Array:
        return (maps.transpose(0, 2, 3, 1) if self.size else maps).reshape(shape)

    def _by_sample(self, maps: Array) -> Array:
        """Sums over the pixels: (N, C), the next call writes to them."""
        np.matmul(self.ones, self._rows(maps, (self.n, self.area, self.c)), out=self.sums)
        return self.sums[:, 0]

    def _mean(self, sums: Array) -> Array:
        """Means of the groups from sums of their channels, each for all its channels: (N, C)."""
        means = sums.reshape(self.n, self.groups, -1).sum(2, np.float64) / self.count
        return self._spread(means.astype(sums.dtype))

    def _spread(self, values: Array) -> Array:
        """A number for each group (N, groups) as one for each channel."""
        return values.repeat(self.c // self.groups, 1)

    def _parameter(self, parameter: Array) -> Array:
        """A trained vector in the order of the channels here: (1, C)."""
        if self.by_cell and self.size:
            parameter = parameter.transpose(1, 2, 0)
        return parameter.reshape(1, -1)

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx) -> Result:
        xhat, y = self._rows(self.xhat, self.wide), self._rows(self.y, self.wide)
        np.copyto(self.xhat, xs[0])
        np.subtract(xhat, _along(self.tiles[0], self._mean(self._by_sample(self.xhat))), out=xhat)
        np.multiply(xhat, xhat, out=y)
        squares = self._by_sample(self.y).reshape(self.n, self.groups, -1)
        var = (squares.sum(2, np.float64) / self.count).astype(xhat.dtype)
        inv_std = 1 / np.sqrt(var + self.real(self.layer.eps))
        np.multiply(xhat, _along(self.tiles[0], self._spread(inv_std)), out=xhat)
        if self.layer.affine:
            xhat, y = self._rows(self.xhat, self.trained), self._rows(self.y, self.trained)
            np.multiply(xhat, _along(self.common[0], self._parameter(p["weight"])), out=y)
            np.add(y, _along(self.common[1], self._parameter(p["bias"])), out=y)
        else:
            np.copyto(y, xhat)
        return Result((self.y,), {"xhat": self.xhat, "inv_std": inv_std})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx,
    ) -> Grads:
        np.copyto(self.dy, dys[0])
        xhat, dy, dx = (self._rows(maps, self.wide) for maps in (self.xhat, self.dy, self.dx))
        if self.by_cell:
            self._backward_by_cell(p)
        np.multiply(dy, xhat, out=dx)
        slopes = self._by_sample(self.dx).copy()
        offsets = self._by_sample(self.dy)
        if self.dparams and not self.by_cell:
            for name, sums in (("weight", slopes), ("bias", offsets)):
                np.copyto(self.dparams[name], sums.sum(0, np.float64), casting="same_kind")
        if not need[0]:
            return Grads((None,), self.dparams)
        # dx = (w · dy − mean(w · dy) − x̂ · mean(w · dy · x̂)) / √(σ² + ε)
        inv_std = self._spread(saved["inv_std"])
        scale = inv_std
        if self.layer.affine and not self.by_cell:
            weight = self._parameter(p["weight"])
            scale, slopes, offsets = scale * weight, slopes * weight, offsets * weight
        np.multiply(xhat, _along(self.tiles[0], self._mean(slopes) * inv_std), out=dx)
        np.multiply(dy, _along(self.tiles[1], scale), out=dy)
        np.subtract(dy, dx, out=dx)
        np.subtract(dx, _along(self.tiles[2], self._mean(offsets) * inv_std), out=dx)
        return Grads((self.dx,), self.dparams)

    def _backward_by_cell(self, p: Mapping[str, Array]) -> None:
        """The parameters' gradients where each cell has its own; then dy becomes w · dy."""
        xhat, dy, space = (self._rows(m, self.trained)[:, 0] for m in (self.xhat, self.dy, self.dx))
        np.multiply(dy, xhat, out=space)
        for name, values in (("weight", space), ("bias", dy)):
            if name in self.dparams:
                total = self.ones_across @ values
                if self.size:
                    total = total.reshape(*self.size, self.c).transpose(2, 0, 1)
                np.copyto(self.dparams[name], total)
        if self.layer.affine:
            np.multiply(dy, _along(self.common[0], self._parameter(p["weight"]))[:, 0], out=dy)

    def describe(self, saved: Mapping[str, Array]) -> Mapping[str, Array | Callable[[], Array]]:
        return saved


def _along(tile: Array, vectors: Array) -> Array:
    """Vectors (N, C) repeated in a tile (N, repeats, C), as long rows (N, 1, …)."""
    np.copyto(*runs_of(tile, vectors[:, None]))
    return tile.reshape(len(tile), 1, -1)


class FastGroupNorm(FastSampleNorm):
    name: ClassVar[str] = "group rows"
    layer: ClassVar[type[Layer]] = GroupNorm


class FastInstanceNorm(FastSampleNorm):
    name: ClassVar[str] = "instance rows"
    layer: ClassVar[type[Layer]] = InstanceNorm


class FastLayerNorm(FastSampleNorm):
    name: ClassVar[str] = "layer rows"
    layer: ClassVar[type[Layer]] = LayerNorm


KERNELS = (FastGroupNorm(), FastInstanceNorm(), FastLayerNorm())
