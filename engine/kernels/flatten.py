"""Flatten: a view where memory allows it, else one copy into a buffer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np

from engine.kernels.base import Site
from engine.layers.base import Array, Ctx, Grads, Layer, Result
from engine.layers.flatten import Flatten


class FastFlatten:
    """The gradient comes back in the memory order that x had."""

    name: ClassVar[str] = "flatten"
    layer: ClassVar[type[Layer]] = Flatten
    keeps: ClassVar[tuple[str, ...]] = ()
    passes_on: ClassVar[bool] = True

    def offers(self, site: Site) -> bool:
        return True

    def bind(self, site: Site) -> BoundFlatten:
        return BoundFlatten(site)


class BoundFlatten:
    def __init__(self, site: Site) -> None:
        self.y = site.value().reshape(site.outputs[0].shape)
        self.maps = self.y.reshape(site.inputs[0].shape)
        self.strides: tuple[int, ...] | None = None

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx) -> Result:
        x = xs[0]
        if x.strides != self.strides:
            self.strides, self.dx = x.strides, np.empty_like(x)
            self.dx_is_flat = self.dx.flags.c_contiguous
        if x.flags.c_contiguous:
            return Result((x.reshape(self.y.shape),), {"x": x})
        np.copyto(self.maps, x)
        return Result((self.y,), {"x": x})

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
        dx = dys[0].reshape(self.maps.shape)
        if not self.dx_is_flat:
            np.copyto(self.dx, dx)
            dx = self.dx
        return Grads((dx,))

    def describe(self, saved: Mapping[str, Array]) -> Mapping[str, Array | Callable[[], Array]]:
        return saved


KERNEL = FastFlatten()
