"""Local response normalisation, channels last: sums over neighbouring channels on long vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, cast

import numpy as np

from engine.kernels.base import Rows, Site, channels_last
from engine.layers.base import Array, Ctx, Grads, Layer, Result
from engine.layers.lrn import LRN

CHUNK = 1 << 15
"""Numbers of an array to work on at a time, so that all that they need stays in cache."""


class FastLRN:
    """Between the channels of two pixels stand as many zeros as the neighbourhood reaches far, so
    the sum over it is a sum of shifted vectors. What weakens x, d^(−β), is kept for backward.
    """

    name: ClassVar[str] = "shifted sums"
    layer: ClassVar[type[Layer]] = LRN
    keeps: ClassVar[tuple[str, ...]] = ("x",)
    passes_on: ClassVar[bool] = False

    def offers(self, site: Site) -> bool:
        return True

    def bind(self, site: Site) -> BoundLRN:
        return BoundLRN(site)


class Neighbours:
    """Sums over the neighbourhood of each channel of some pixels.

    ``cells`` (pixels, C) are to be filled, ``sums`` (pixels, C) are what ``add`` makes of them.
    """

    def __init__(self, count: int, channels: int, size: int, dtype: np.dtype[np.floating]) -> None:
        reach = size // 2
        row = channels + reach
        padded = np.zeros(count * row + 2 * reach, dtype)
        inside = slice(reach, reach + count * row)
        self.cells = padded[inside].reshape(count, row)[:, :channels]
        self.shifted = [padded[k : k + count * row] for k in range(size)]
        self.total = np.empty(count * row, dtype)
        self.sums = self.total.reshape(count, row)[:, :channels]
        self.space = np.empty((count, channels), dtype)

    def add(self) -> None:
        """Write the sums."""
        np.copyto(self.total, self.shifted[0])
        for values in self.shifted[1:]:
            np.add(self.total, values, out=self.total)


class BoundLRN:
    """All arrays are (pixels, C), of which a chunk has its own Neighbours."""

    def __init__(self, site: Site) -> None:
        layer = cast(LRN, site.layer)
        (spec,) = site.inputs
        n, c, h, w = spec.shape
        dtype, count = np.dtype(spec.dtype), n * h * w
        self.factor, self.k = dtype.type(layer.factor), dtype.type(layer.k)
        self.slope = dtype.type(-2 * layer.factor * layer.beta)
        step = min(count, max(1, CHUNK // c))
        starts = range(0, count, step)
        common = Neighbours(step, c, layer.size, dtype)
        rest = count - starts[-1]
        last = common if rest == step else Neighbours(rest, c, layer.size, dtype)
        self.chunks = [(slice(a, a + step), common) for a in starts[:-1]]
        self.chunks.append((slice(starts[-1], count), last))
        # to a power from an array takes half as long as to one number
        self.exponents = np.full((step, c), -layer.beta, dtype)
        self.y = channels_last(site.value(), spec.shape)
        self.y_rows = _rows(self.y)
        self.divisor = channels_last(site.take("saved", spec.shape), spec.shape)
        self.divisor_rows = _rows(self.divisor)
        self.scale = site.take("saved" if site.backward else "forward", (count, c))
        self.x = Rows(channels_last(site.take("call", spec.shape), spec.shape))
        if site.backward and site.need[0]:
            self.dy = Rows(channels_last(site.take("backward", spec.shape), spec.shape))
            self.dx = channels_last(site.gradient(), spec.shape)
            self.dx_rows = _rows(self.dx)

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx) -> Result:
        x_rows = self.x.of(xs[0])
        for chunk, neighbours in self.chunks:
            x, divisor, scale = x_rows[chunk], self.divisor_rows[chunk], self.scale[chunk]
            np.multiply(x, x, out=neighbours.cells)
            neighbours.add()
            np.multiply(neighbours.sums, self.factor, out=divisor)
            np.add(divisor, self.k, out=divisor)
            np.power(divisor, self.exponents[: len(scale)], out=scale)
            np.multiply(x, scale, out=self.y_rows[chunk])
        return Result((self.y,), {"x": xs[0], "divisor": self.divisor})

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
        x_rows, dy_rows = self.x.of(saved["x"]), self.dy.of(dys[0])
        for chunk, neighbours in self.chunks:
            x, dy, scale, dx = x_rows[chunk], dy_rows[chunk], self.scale[chunk], self.dx_rows[chunk]
            # dx = dy · scale − 2aβ x · Σ dy · x · scale / d
            np.multiply(dy, scale, out=dx)
            np.multiply(dx, x, out=neighbours.space)
            np.divide(neighbours.space, self.divisor_rows[chunk], out=neighbours.cells)
            neighbours.add()
            np.multiply(neighbours.sums, x, out=neighbours.space)
            np.multiply(neighbours.space, self.slope, out=neighbours.space)
            np.add(dx, neighbours.space, out=dx)
        return Grads((self.dx,))

    def describe(self, saved: Mapping[str, Array]) -> Mapping[str, Array | Callable[[], Array]]:
        return saved


def _rows(maps: Array) -> Array:
    """Maps whose memory is channels last as (pixels, C)."""
    return maps.transpose(0, 2, 3, 1).reshape(-1, maps.shape[1])


KERNEL = FastLRN()
