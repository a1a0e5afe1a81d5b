"""Products of maps with a factor for each channel, as in squeeze-and-excite."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np

from engine.kernels.base import RUN, Rows, Site, channels_last, repeats_of, runs_of
from engine.layers.base import Array, Ctx, Grads, Layer, Result
from engine.layers.mul import Mul


class FastMul:
    """A factor's gradient is Σ dy · x over its channel: a product with ones for each sample."""

    name: ClassVar[str] = "factors"
    layer: ClassVar[type[Layer]] = Mul
    keeps: ClassVar[tuple[str, ...]] = ("x",)
    passes_on: ClassVar[bool] = False

    def offers(self, site: Site) -> bool:
        """Where both have the same size the plain form is as fast."""
        a, b = (spec.shape for spec in site.inputs)
        return len(a) == 4 and a != b and a[1] == b[1] and (1, 1) in (a[2:], b[2:])

    def bind(self, site: Site) -> BoundMul:
        return BoundMul(site)


class BoundMul:
    """Maps are seen as (N, long rows of some pixels · C), factors repeated along such a row."""

    def __init__(self, site: Site) -> None:
        (out,) = site.outputs
        n, c, h, w = out.shape
        repeats = repeats_of(c, h * w, RUN)
        self.pixels, self.wide = (n, h * w, c), (n, h * w // repeats, repeats * c)
        self.factors = [spec.shape != out.shape for spec in site.inputs]
        self.sides = [
            Rows(channels_last(site.take("call", spec.shape), spec.shape)) for spec in site.inputs
        ]
        self.tile = np.empty((n, repeats, c), out.dtype)
        self.y = channels_last(site.value(), out.shape)
        self.y_rows = self.y.transpose(0, 2, 3, 1).reshape(self.wide)
        if not site.backward:
            return
        self.ones = np.ones((1, h * w), out.dtype)
        self.dy = Rows(channels_last(site.take("backward", out.shape), out.shape))
        self.product = site.take("backward", self.pixels)
        self.dxs = [
            channels_last(site.gradient(slot), spec.shape) if site.need[slot] else None
            for slot, spec in enumerate(site.inputs)
        ]

    def _side(self, slot: int, x: Array) -> Array:
        """An input as what the maps, as long rows, are multiplied by."""
        rows = self.sides[slot].of(x)
        if not self.factors[slot]:
            return rows.reshape(self.wide)
        np.copyto(*runs_of(self.tile, rows[:, None]))
        return self.tile.reshape(len(rows), 1, -1)

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx) -> Result:
        a, b = (self._side(slot, x) for slot, x in enumerate(xs))
        np.multiply(a, b, out=self.y_rows)
        return Result((self.y,), {"a": xs[0], "b": xs[1]})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx,
    ) -> Grads:
        dy = self.dy.of(dys[0]).reshape(self.wide)
        for slot, dx in enumerate(self.dxs):
            if dx is None:
                continue
            other = self._side(1 - slot, saved["ba"[slot]])
            rows = dx.transpose(0, 2, 3, 1)
            if self.factors[slot]:
                np.multiply(dy, other, out=self.product.reshape(self.wide))
                np.matmul(self.ones, self.product, out=rows.reshape(len(rows), 1, -1))
            else:
                np.multiply(dy, other, out=rows.reshape(self.wide))
        return Grads(tuple([dx if n else None for dx, n in zip(self.dxs, need, strict=True)]))

    def describe(self, saved: Mapping[str, Array]) -> Mapping[str, Array | Callable[[], Array]]:
        return saved


KERNEL = FastMul()
