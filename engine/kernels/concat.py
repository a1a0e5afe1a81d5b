"""Concatenation: copies of pixels into one buffer, channels last; backward cuts dy, uncopied."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import ClassVar

import numpy as np

from engine.kernels.base import Site, channels_last, pixels_of
from engine.layers.base import Array, Ctx, Grads, Layer, Result
from engine.layers.concat import Concat


class FastConcat:
    name: ClassVar[str] = "side by side"
    layer: ClassVar[type[Layer]] = Concat
    keeps: ClassVar[tuple[str, ...]] = ()
    passes_on: ClassVar[bool] = True

    def offers(self, site: Site) -> bool:
        return True

    def bind(self, site: Site) -> BoundConcat:
        return BoundConcat(site)


class BoundConcat:
    def __init__(self, site: Site) -> None:
        (out,) = site.outputs
        self.maps = len(out.shape) == 4
        self.y = (
            channels_last(site.value(), out.shape) if self.maps else site.value().reshape(out.shape)
        )
        widths = [spec.shape[1] for spec in site.inputs]
        self.widths = np.array(widths)
        ends = list(accumulate(widths))
        self.cuts = [slice(end - width, end) for width, end in zip(widths, ends, strict=True)]
        self.seen: tuple[Array, ...] = ()
        self.copies: list[tuple[Array, Array]] = []
        self.dy: Array | None = None
        self.dxs: list[Array] = []

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx) -> Result:
        if len(self.seen) != len(xs) or any(a is not b for a, b in zip(xs, self.seen, strict=True)):
            self.seen = xs
            self.copies = [(self.y[:, cut], x) for cut, x in zip(self.cuts, xs, strict=True)]
            if self.maps:
                self.copies = [pixels_of(*pair) for pair in self.copies]
        for place, x in self.copies:
            np.copyto(place, x)
        return Result((self.y,), {"sizes": self.widths})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx,
    ) -> Grads:
        if dys[0] is not self.dy:
            self.dy, self.dxs = dys[0], [dys[0][:, cut] for cut in self.cuts]
        return Grads(
            tuple([dx if wanted else None for dx, wanted in zip(self.dxs, need, strict=True)])
        )

    def describe(self, saved: Mapping[str, Array]) -> Mapping[str, Array | Callable[[], Array]]:
        return saved


KERNEL = FastConcat()
