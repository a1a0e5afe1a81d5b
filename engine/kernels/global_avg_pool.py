"""Global average pooling: a product with ones for each sample, channels last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np

from engine.kernels.base import Rows, Site, channels_last, runs_of
from engine.layers.base import Array, Ctx, Grads, Layer, Result
from engine.layers.global_avg_pool import GlobalAvgPool


class FastGlobalAvgPool:
    name: ClassVar[str] = "global average"
    layer: ClassVar[type[Layer]] = GlobalAvgPool
    keeps: ClassVar[tuple[str, ...]] = ()
    passes_on: ClassVar[bool] = False

    def offers(self, site: Site) -> bool:
        return True

    def bind(self, site: Site) -> BoundGlobalAvgPool:
        return BoundGlobalAvgPool(site)


class BoundGlobalAvgPool:
    def __init__(self, site: Site) -> None:
        (spec,), (out,) = site.inputs, site.outputs
        n, c, h, w = spec.shape
        self.shape, self.area = (n, h * w, c), np.dtype(spec.dtype).type(h * w)
        self.ones = np.ones((1, h * w), spec.dtype)
        self.x = Rows(channels_last(site.take("forward", spec.shape), spec.shape))
        self.y = channels_last(site.value(), out.shape)
        self.y_rows = self.y.reshape(n, 1, c)
        if site.backward and site.need[0]:
            self.share = site.take("backward", (n, c))
            self.dx = channels_last(site.gradient(), spec.shape)
            pixels = self.dx.transpose(0, 2, 3, 1).reshape(self.shape)
            self.give = runs_of(pixels, self.share[:, None])

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx) -> Result:
        np.matmul(self.ones, self.x.of(xs[0]).reshape(self.shape), out=self.y_rows)
        np.divide(self.y_rows, self.area, out=self.y_rows)
        return Result((self.y,), {"x": xs[0]})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx,
    ) -> Grads:
        if not need[0]:
            return Grads((None,))
        np.divide(dys[0][:, :, 0, 0], self.area, out=self.share)
        np.copyto(*self.give)
        return Grads((self.dx,))

    def describe(self, saved: Mapping[str, Array]) -> Mapping[str, Array | Callable[[], Array]]:
        return saved


KERNEL = FastGlobalAvgPool()
