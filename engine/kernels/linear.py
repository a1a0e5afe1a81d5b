"""Fully connected layer as matrix products into buffers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np

from engine.kernels.base import Site
from engine.layers.base import Array, Ctx, Grads, Layer, Result
from engine.layers.linear import Linear


class FastLinear:
    """Three matrix products; the bias gradient is a product with ones."""

    name: ClassVar[str] = "gemm"
    layer: ClassVar[type[Layer]] = Linear
    keeps: ClassVar[tuple[str, ...]] = ("x",)
    passes_on: ClassVar[bool] = False

    def offers(self, site: Site) -> bool:
        return True

    def bind(self, site: Site) -> BoundLinear:
        return BoundLinear(site)


class BoundLinear:
    def __init__(self, site: Site) -> None:
        (spec,), (out,) = site.inputs, site.outputs
        self.y = site.value().reshape(out.shape)
        if site.backward and site.need[0]:
            self.dx = site.gradient().reshape(spec.shape)
        self.ones = np.ones(spec.shape[0], spec.dtype)
        self.dparams = site.dparams

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx) -> Result:
        np.matmul(xs[0], p["weight"].T, out=self.y)
        if "bias" in p:
            np.add(self.y, p["bias"], out=self.y)
        return Result((self.y,), {"x": xs[0]})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx,
    ) -> Grads:
        dy, dparams = dys[0], self.dparams
        if dparams:
            np.matmul(dy.T, saved["x"], out=dparams["weight"])
            if "bias" in dparams:
                np.matmul(self.ones, dy, out=dparams["bias"])
        if not need[0]:
            return Grads((None,), dparams)
        return Grads((np.matmul(dy, p["weight"], out=self.dx),), dparams)

    def describe(self, saved: Mapping[str, Array]) -> Mapping[str, Array | Callable[[], Array]]:
        return saved


KERNEL = FastLinear()
