"""Grouped convolution: each group is a convolution of its own, of some channels of x and y."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ClassVar, cast

import numpy as np

from engine.kernels.banded_conv2d import KERNEL as BANDED
from engine.kernels.base import Bound, Kernel, Site, channels_last
from engine.kernels.copyless_conv2d import KERNEL as COPYLESS
from engine.kernels.im2col_conv2d import KERNEL as IM2COL
from engine.layers.base import Array, Ctx, Grads, Layer, Result
from engine.layers.conv2d import Conv2d

FORMS: tuple[Kernel, ...] = (BANDED, COPYLESS, IM2COL)
"""For one group, the first that serves it, as the plan would choose."""


class Grouped:
    """AlexNet's two towers, and as many groups as there are."""

    name: ClassVar[str] = "by group"
    layer: ClassVar[type[Layer]] = Conv2d
    keeps: ClassVar[tuple[str, ...]] = ("x",)
    passes_on: ClassVar[bool] = False

    def offers(self, site: Site) -> bool:
        return cast(Conv2d, site.layer).groups > 1

    def bind(self, site: Site) -> BoundGrouped:
        return BoundGrouped(site)


class BoundGrouped:
    def __init__(self, site: Site) -> None:
        layer = cast(Conv2d, site.layer)
        (spec,), (out,) = site.inputs, site.outputs
        self.dparams = site.dparams
        ins, outs = (s.shape[1] // layer.groups for s in (spec, out))
        self.channels = [
            (slice(g * ins, (g + 1) * ins), slice(g * outs, (g + 1) * outs))
            for g in range(layer.groups)
        ]
        one = replace(layer, out_channels=outs, groups=1)
        n, _, *size = spec.shape
        part = replace(spec, shape=(n, ins, *size))
        self.groups: list[Bound] = []
        for _, own in self.channels:
            dparams = {name: array[own] for name, array in site.dparams.items()}
            inner = Site(one, (part,), one.outputs(part), site.need, dparams, site.backward)
            form = next(kernel for kernel in FORMS if kernel.offers(inner))
            self.groups.append(form.bind(inner))
        self.y = channels_last(site.value(), out.shape)
        self.y_parts = [self.y[:, own] for _, own in self.channels]
        self.x: Array | None = None
        self.weight: Array | None = None
        self.saved: list[Mapping[str, Array]] = []
        if site.backward and site.need[0]:
            self.dx = channels_last(site.gradient(), spec.shape)
            self.dx_parts = [self.dx[:, channels] for channels, _ in self.channels]

    def _see(self, p: Mapping[str, Array], x: Array) -> None:
        """Views of the groups' parts: the same arrays as long as the whole is the same."""
        if x is not self.x:
            self.x, self.x_parts = x, [x[:, channels] for channels, _ in self.channels]
        if p["weight"] is not self.weight:
            self.weight = p["weight"]
            self.p_parts = [{name: a[own] for name, a in p.items()} for _, own in self.channels]

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx) -> Result:
        self._see(p, xs[0])
        self.saved = []
        for group, own, x, y in zip(
            self.groups, self.p_parts, self.x_parts, self.y_parts, strict=True
        ):
            result = group.forward(own, x, ctx=ctx)
            self.saved.append(result.saved)
            np.copyto(y, result.ys[0])
        return Result((self.y,), {"x": xs[0]})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx,
    ) -> Grads:
        for g, (group, (_, own)) in enumerate(zip(self.groups, self.channels, strict=True)):
            dxs, _ = group.backward(self.p_parts[g], self.saved[g], (dys[0][:, own],), need, ctx)
            if dxs[0] is not None:
                np.copyto(self.dx_parts[g], dxs[0])
        return Grads((self.dx if need[0] else None,), self.dparams)

    def describe(self, saved: Mapping[str, Array]) -> Mapping[str, Array | Callable[[], Array]]:
        return saved


KERNEL = Grouped()
