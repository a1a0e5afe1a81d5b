"""PReLU on long rows, channels last: of max(x, 0) and a · min(x, 0) one is 0."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, cast

import numpy as np

from engine.kernels.base import BoundPlain, Site, channels_last, repeats_of
from engine.layers.base import Array, Ctx, Grads, Layer, Result
from engine.layers.prelu import PReLU


class FastPReLU:
    """A slope that is not finite makes NaN of 0 · ∞, so a run that meets one takes the plain form;
    an infinite dy only for the slopes' gradient.
    """

    name: ClassVar[str] = "prelu"
    layer: ClassVar[type[Layer]] = PReLU
    keeps: ClassVar[tuple[str, ...]] = ("x",)
    passes_on: ClassVar[bool] = False

    def offers(self, site: Site) -> bool:
        return len(site.inputs[0].shape) in (2, 4)

    def bind(self, site: Site) -> BoundPReLU:
        return BoundPReLU(site)


class BoundPReLU:
    """Everything is seen as (long rows, some pixels · C)."""

    def __init__(self, site: Site) -> None:
        self.layer, self.plain = cast(PReLU, site.layer), BoundPlain(site)
        (spec,) = site.inputs
        self.shape, self.dparams = spec.shape, site.dparams
        c, count = spec.shape[1], int(np.prod(spec.shape)) // spec.shape[1]
        repeats = repeats_of(c, count)
        self.rows, self.pixels = (count // repeats, repeats * c), (count, c)
        self.y, self.below = self._maps(site.value()), self._maps(site.take("call", spec.shape))
        self.x = self._maps(site.take("call", spec.shape))
        self.tile = np.empty((repeats, c), spec.dtype)
        self.slope = self.tile.reshape(-1)
        self.ones = np.ones(count, spec.dtype)
        if site.backward:
            self.dy = self._maps(site.take("backward", spec.shape))
            self.mask = self._maps(site.take("backward", spec.shape, bool))
            wanted = site.gradient() if site.need[0] else site.take("backward", spec.shape)
            self.dx = self._maps(wanted)

    def _maps(self, memory: Array) -> Array:
        if len(self.shape) == 4:
            return channels_last(memory.reshape(-1), self.shape)
        return memory.reshape(self.shape)

    def _rows(self, maps: Array, shape: tuple[int, int]) -> Array:
        return (maps.transpose(0, 2, 3, 1) if maps.ndim == 4 else maps).reshape(shape)

    def _below(self, x: Array) -> tuple[Array, Array]:
        """Long rows of x and of min(x, 0)."""
        np.copyto(self.x, x)
        rows, below = self._rows(self.x, self.rows), self._rows(self.below, self.rows)
        np.clip(rows, -np.inf, 0, out=below)
        return rows, below

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx) -> Result:
        if not np.isfinite(p["weight"]).all():
            np.copyto(self.y, self.plain.forward(p, xs[0], ctx=ctx).ys[0])
            return Result((self.y,), {"x": xs[0]})
        np.copyto(self.tile, p["weight"])
        x, below = self._below(xs[0])
        y = self._rows(self.y, self.rows)
        np.multiply(below, self.slope, out=below)
        np.clip(x, 0, np.inf, out=y)
        np.add(y, below, out=y)
        return Result((self.y,), {"x": xs[0]})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx,
    ) -> Grads:
        total = None
        if np.isfinite(p["weight"]).all():
            x, below = self._below(saved["x"])
            np.copyto(self.dy, dys[0])
            dy, gate, dx = (self._rows(maps, self.rows) for maps in (self.dy, self.x, self.dx))
            np.multiply(dy, below, out=dx)
            total = self.ones @ self._rows(self.dx, self.pixels)
        if total is None or not np.isfinite(total).all():
            return self.plain.backward(p, saved, dys, need, ctx)
        if self.dparams:
            slopes = total.sum(keepdims=True) if self.layer.shared else total
            np.copyto(self.dparams["weight"], slopes)
        if not need[0]:
            return Grads((None,), self.dparams)
        # 1 where x > 0, else a
        mask = self._rows(self.mask, self.rows)
        np.greater(x, 0, out=mask)
        np.copyto(gate, mask)
        np.subtract(1, gate, out=below)
        np.multiply(below, self.slope, out=below)
        np.add(gate, below, out=gate)
        np.multiply(dy, gate, out=dx)
        return Grads((self.dx,), self.dparams)

    def describe(self, saved: Mapping[str, Array]) -> Mapping[str, Array | Callable[[], Array]]:
        return saved


KERNEL = FastPReLU()
