"""ReLU into a buffer of the input's memory order."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np

from engine.kernels.base import PASS_NS, WIDE, Site, like, memory
from engine.layers.base import Array, Ctx, Grads, Layer, Result
from engine.layers.relu import ReLU
from engine.workers import slices_of


class FastReLU:
    """max(x, 0) with the zero as an array, which NumPy vectorises; a mask of bools for backward."""

    name: ClassVar[str] = "relu"
    layer: ClassVar[type[Layer]] = ReLU
    keeps: ClassVar[tuple[str, ...]] = ("y",)
    passes_on: ClassVar[bool] = False

    def offers(self, site: Site) -> bool:
        return True

    def bind(self, site: Site) -> BoundReLU:
        return BoundReLU(site)


class BoundReLU:
    """The order of memory follows x at the first run."""

    def __init__(self, site: Site) -> None:
        (spec,) = site.inputs
        size = math.prod(spec.shape)
        self.strides: tuple[int, ...] | None = None
        self.x: Array | None = None
        self.y_vector = site.value()
        self.none = np.zeros((), spec.dtype)
        # against an array of zeros maximum is several times faster than against a number, while
        # greater is fastest against a number
        self.zeros = np.zeros(min(WIDE, size), spec.dtype)
        self.workers = workers = site.workers.worth(PASS_NS * size)
        self.samples = slices_of(spec.shape[0], workers)
        self.backward_wanted = site.backward and site.need[0]
        if self.backward_wanted:
            self.dx_vector = site.gradient()
            self.mask_vector = site.take("backward", (size,), bool)

    def _see(self, x: Array) -> None:
        """Views of x and, in its order of memory, of the buffers."""
        if x.strides != self.strides:
            self.strides = x.strides
            self.y = like(self.y_vector, x)
            self.result = Result((self.y,), {"y": self.y})
            if self.backward_wanted:
                self.dx, self.mask = like(self.dx_vector, x), like(self.mask_vector, x)
        self.x, flat = x, memory(x)
        if flat is None:
            self.pieces = [(x, np.zeros_like(x[0]), self.y)]
            return
        wide = self.zeros.size
        whole = flat.size // wide * wide
        rows = flat[:whole].reshape(-1, wide), self.zeros, self.y_vector[:whole].reshape(-1, wide)
        rest = flat[whole:], self.zeros[: flat.size - whole], self.y_vector[whole:]
        cuts = slices_of(len(rows[0]), self.workers)
        self.pieces = [(rows[0][cut], self.zeros, rows[2][cut]) for cut in cuts]
        if rest[0].size:
            self.pieces.append(rest)

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx) -> Result:
        if xs[0] is not self.x:
            self._see(xs[0])
        self.workers.each(_maximum, self.pieces)
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
        self.workers.each(lambda some: self._pass_on(dys[0][some], some), self.samples)
        return Grads((self.dx,))

    def _pass_on(self, dy: Array, some: slice) -> None:
        mask, dx = self.mask[some], self.dx[some]
        np.greater(self.y[some], self.none, out=mask)
        if dy.strides != dx.strides:  # bools are converted fast only where all lies alike
            np.copyto(dx, dy)
            dy = dx
        np.multiply(dy, mask, out=dx)

    def describe(self, saved: Mapping[str, Array]) -> Mapping[str, Array | Callable[[], Array]]:
        return saved


def _maximum(piece: tuple[Array, Array, Array]) -> None:
    x, zeros, y = piece
    np.maximum(x, zeros, out=y)


KERNEL = FastReLU()
