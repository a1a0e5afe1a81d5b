"""Resizing by repetition: each cell fills a window of the output, and collects from it again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, cast

import numpy as np

from engine.kernels.avg_pool2d import WindowSums
from engine.kernels.base import Site, channels_last
from engine.layers.base import Array, Ctx, Grads, Layer, Result, pair
from engine.layers.resize import Resize
from engine.layers.window import Window


class Repeated:
    """Average pooling without the division, the other way round."""

    name: ClassVar[str] = "repeated"
    layer: ClassVar[type[Layer]] = Resize
    keeps: ClassVar[tuple[str, ...]] = ()
    passes_on: ClassVar[bool] = False

    def offers(self, site: Site) -> bool:
        return cast(Resize, site.layer).mode == "nearest"

    def bind(self, site: Site) -> BoundRepeated:
        return BoundRepeated(site)


class BoundRepeated:
    def __init__(self, site: Site) -> None:
        scale = pair(cast(Resize, site.layer).scale)
        (spec,) = site.inputs
        n, c, h, w = spec.shape
        self.rows = (n, h, w * c)
        # memory of its own: what is a gradient there is a value here
        turned = Site(site.layer, site.outputs, site.inputs, (True,), {}, True)
        self.windows = WindowSums(turned, Window(scale, scale))
        self.x = channels_last(site.take("forward", spec.shape), spec.shape)
        if site.backward and site.need[0]:
            self.dx = channels_last(site.gradient(), spec.shape)

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx) -> Result:
        np.copyto(self.x, xs[0])
        y = self.windows.give_back(self.x.transpose(0, 2, 3, 1).reshape(self.rows))
        return Result((y,), {"x": xs[0]})

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
        self.windows.add(dys[0], self.dx.transpose(0, 2, 3, 1).reshape(self.rows))
        return Grads((self.dx,))

    def describe(self, saved: Mapping[str, Array]) -> Mapping[str, Array | Callable[[], Array]]:
        return saved


KERNEL = Repeated()
