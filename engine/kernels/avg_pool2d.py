"""Average pooling by sums along rows, then of rows, channels last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, cast

import numpy as np

from engine.kernels.base import Site, channels_last
from engine.kernels.overlapping_max_pool2d import Lanes, by_row
from engine.layers.avg_pool2d import AvgPool2d
from engine.layers.base import Array, Ctx, Grads, Layer, Result
from engine.layers.window import Window


class SummedAvgPool:
    name: ClassVar[str] = "sums of sums"
    layer: ClassVar[type[Layer]] = AvgPool2d
    keeps: ClassVar[tuple[str, ...]] = ()
    passes_on: ClassVar[bool] = False

    def offers(self, site: Site) -> bool:
        return True

    def bind(self, site: Site) -> BoundSummedAvgPool:
        return BoundSummedAvgPool(site)


class WindowSums:
    """The sum of each window, and the way back: a share of each for all cells of its window.

    x is copied once, between columns of zeros, into lanes, as for max pooling; the way back adds
    shares to rows, then to lanes. Where windows do not overlap they are copied instead.

    ``sums`` and ``shares`` are (N, rows, columns · C).
    """

    def __init__(self, site: Site, window: Window) -> None:
        (spec,), (out,) = site.inputs, site.outputs
        n, c, h, w = spec.shape
        rows, columns = out.shape[2:]
        top, height = window.before[0], window.padded_size(h, w)[0]
        self.lanes = Lanes(site, window, "forward")
        whole = site.take("forward", (n, height, columns * c))
        self.borders = [part for part in (whole[:, :top], whole[:, top + h :]) if part.size]
        self.across, self.across_rows = whole[:, top : top + h], by_row(window, whole, rows)
        self.seen: Array | None = None
        self.take: list[tuple[Array, Array]] = []
        if not (site.backward and site.need[0]):
            return
        self.apart = all(k <= s for k, s in zip(window.kernel_size, window.stride, strict=True))
        self.dwhole = site.take("backward", whole.shape)
        self.dacross = self.dwhole[:, top : top + h]
        self.dacross_rows = by_row(window, self.dwhole, rows)
        # one lane has all of dx
        self.dlanes = Lanes(site, window, "gradient" if window.stride[1] == 1 else "backward")
        if window.stride[1] == 1:
            self.dx, self.give = self.dlanes.maps, []
            return
        self.dx = channels_last(site.gradient(), spec.shape)
        self.give = self.dlanes.pairs(self.dx)

    def add(self, x: Array, sums: Array) -> None:
        """Write the sum of each window of x (N, C, H, W)."""
        if x is not self.seen:
            self.seen, self.take = x, self.lanes.pairs(x)
        self.lanes.pad(0)
        for border in self.borders:
            border.fill(0)
        for place, cells in self.take:
            np.copyto(place, cells)
        for parts, out in ((self.lanes.under, self.across), (self.across_rows, sums)):
            np.copyto(out, parts[0])
            for part in parts[1:]:
                np.add(out, part, out=out)

    def give_back(self, shares: Array) -> Array:
        """Maps of x's shape in which every cell has the shares of its windows."""
        for whole, parts, share in (
            (self.dwhole, self.dacross_rows, shares),
            (self.dlanes.memory, self.dlanes.under, self.dacross),
        ):
            whole.fill(0)
            for part in parts:
                if self.apart:
                    np.copyto(part, share)
                else:
                    np.add(part, share, out=part)
        for place, cells in self.give:
            np.copyto(cells, place)
        return self.dx


class BoundSummedAvgPool:
    def __init__(self, site: Site) -> None:
        layer = cast(AvgPool2d, site.layer)
        (spec,), (out,) = site.inputs, site.outputs
        n, c, rows, columns = out.shape
        divisor = layer.divisor(*spec.shape[2:]).astype(spec.dtype)
        self.divisor = divisor.repeat(c, 1)
        if (divisor == divisor[0, 0]).all():
            self.divisor = divisor[0, 0]
        self.windows = WindowSums(site, layer.window)
        self.y = channels_last(site.value(), out.shape)
        self.y_rows = self.y.transpose(0, 2, 3, 1).reshape(n, rows, columns * c)
        if site.backward and site.need[0]:
            self.dy = channels_last(site.take("backward", out.shape), out.shape)
            self.share = self.dy.transpose(0, 2, 3, 1).reshape(n, rows, columns * c)

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx) -> Result:
        self.windows.add(xs[0], self.y_rows)
        np.divide(self.y_rows, self.divisor, out=self.y_rows)
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
        np.copyto(self.dy, dys[0])
        np.divide(self.share, self.divisor, out=self.share)
        return Grads((self.windows.give_back(self.share),))

    def describe(self, saved: Mapping[str, Array]) -> Mapping[str, Array | Callable[[], Array]]:
        return saved


KERNEL = SummedAvgPool()
