"""LeNet's sub-sampling: sums of windows as in average pooling, times a number for each channel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, cast

import numpy as np

from engine.kernels.avg_pool2d import WindowSums
from engine.kernels.base import Site, channels_last
from engine.layers.base import Array, Ctx, Grads, Layer, Result
from engine.layers.trainable_subsampling import TrainableSubsampling


class ScaledSums:
    """The sums are kept for backward: their weight's gradient is Σ dy · sum."""

    name: ClassVar[str] = "scaled sums"
    layer: ClassVar[type[Layer]] = TrainableSubsampling
    keeps: ClassVar[tuple[str, ...]] = ()
    passes_on: ClassVar[bool] = False

    def offers(self, site: Site) -> bool:
        return True

    def bind(self, site: Site) -> BoundScaledSums:
        return BoundScaledSums(site)


class BoundScaledSums:
    """Rows are (N, rows, columns · C), pixels (N · rows · columns, C)."""

    def __init__(self, site: Site) -> None:
        layer = cast(TrainableSubsampling, site.layer)
        (out,) = site.outputs
        n, c, rows, columns = out.shape
        shape = (n, rows, columns * c)
        self.dparams = site.dparams
        self.windows = WindowSums(site, layer.window)
        self.sums = site.take("saved" if site.backward else "forward", shape)
        self.y = channels_last(site.value(), out.shape)
        self.y_rows = self.y.transpose(0, 2, 3, 1).reshape(shape)
        # a row of outputs' worth of each parameter
        self.weight, self.bias = (np.empty((columns, c), out.dtype) for _ in range(2))
        if site.backward:
            self.dy = channels_last(site.take("backward", out.shape), out.shape)
            self.dy_rows = self.dy.transpose(0, 2, 3, 1).reshape(shape)
            self.product = np.empty(shape, out.dtype)
            self.ones = np.ones(n * rows * columns, out.dtype)

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx) -> Result:
        np.copyto(self.weight, p["weight"])
        np.copyto(self.bias, p["bias"])
        self.windows.add(xs[0], self.sums)
        np.multiply(self.sums, self.weight.reshape(-1), out=self.y_rows)
        np.add(self.y_rows, self.bias.reshape(-1), out=self.y_rows)
        return Result((self.y,), {"x": xs[0]})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx,
    ) -> Grads:
        np.copyto(self.dy, dys[0])
        if self.dparams:
            np.multiply(self.dy_rows, self.sums, out=self.product)
            for name, values in (("weight", self.product), ("bias", self.dy_rows)):
                pixels = values.reshape(len(self.ones), -1)
                np.matmul(self.ones, pixels, out=self.dparams[name])
        if not need[0]:
            return Grads((None,), self.dparams)
        np.multiply(self.dy_rows, self.weight.reshape(-1), out=self.dy_rows)
        return Grads((self.windows.give_back(self.dy_rows),), self.dparams)

    def describe(self, saved: Mapping[str, Array]) -> Mapping[str, Array | Callable[[], Array]]:
        return saved


KERNEL = ScaledSums()
