"""ReLU into a buffer of the input's memory order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np

from engine.kernels.base import Site
from engine.layers.base import Array, Ctx, Grads, Layer, Result
from engine.layers.relu import ReLU


class FastReLU:
    """max(x, 0) with the zero as an array, which NumPy vectorises; a mask of bools for backward."""

    name: ClassVar[str] = "relu"
    layer: ClassVar[type[Layer]] = ReLU

    def offers(self, site: Site) -> bool:
        return True

    def bind(self, site: Site) -> BoundReLU:
        return BoundReLU()


class BoundReLU:
    """Buffers are made at the first run, when the memory order of x is known."""

    def __init__(self) -> None:
        self.strides: tuple[int, ...] | None = None

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx) -> Result:
        x = xs[0]
        if x.strides != self.strides:
            # against an array of zeros maximum is several times faster than against a number,
            # while greater is fastest against a number
            self.strides = x.strides
            self.y, self.dx = np.empty_like(x), np.empty_like(x)
            self.zero = np.zeros_like(x[0])
            self.mask, self.none = np.empty_like(x, bool), np.zeros((), x.dtype)
            self.result = Result((self.y,), {"y": self.y})
        np.maximum(x, self.zero, out=self.y)
        return self.result

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
        np.greater(self.y, self.none, out=self.mask)
        dy = dys[0]
        if dy.strides != self.dx.strides:  # bools are converted fast only where all lies alike
            np.copyto(self.dx, dy)
            dy = self.dx
        np.multiply(dy, self.mask, out=self.dx)
        return Grads((self.dx,))

    def describe(self, saved: Mapping[str, Array]) -> Mapping[str, Array | Callable[[], Array]]:
        return saved


KERNEL = FastReLU()
