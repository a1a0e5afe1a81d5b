"""Partial convolution as a whole one, with zeros for the connections that do not exist."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ClassVar, cast

import numpy as np

from engine.kernels.base import BoundPlain, Site, looks_finite, memory
from engine.kernels.grouped_conv2d import FORMS
from engine.layers.base import Array, Ctx, Grads, Layer, Result
from engine.layers.conv2d import Conv2d
from engine.layers.partial_conv2d import PartialConv2d


class Whole:
    """LeNet-5's table has 60 of 96 connections, so little is multiplied in vain. ∞ · 0 is NaN, so
    a run that meets what is not finite takes the plain form.
    """

    name: ClassVar[str] = "whole"
    layer: ClassVar[type[Layer]] = PartialConv2d
    keeps: ClassVar[tuple[str, ...]] = ("x",)
    passes_on: ClassVar[bool] = False

    def offers(self, site: Site) -> bool:
        return True

    def bind(self, site: Site) -> BoundWhole:
        return BoundWhole(site)


class BoundWhole:
    def __init__(self, site: Site) -> None:
        layer, self.plain = cast(PartialConv2d, site.layer), BoundPlain(site)
        (spec,), (out,) = site.inputs, site.outputs
        self.dparams = site.dparams
        shape = (out.shape[1], spec.shape[1], *layer.window.kernel_size)
        self.kernels, self.maps = np.array(layer.pairs(shape[1])).T
        # in the order of memory that plans give to weights
        o, c, rows, columns = shape
        self.weight, self.dweight = (
            np.zeros((rows, columns, c, o), spec.dtype).transpose(3, 2, 0, 1) for _ in range(2)
        )
        self.p: dict[str, Array] = {"weight": self.weight}
        dparams = dict(site.dparams)
        if dparams:
            dparams["weight"] = self.dweight
        conv = Conv2d(o, layer.kernel_size, layer.stride, layer.padding)
        inner = replace(site, layer=conv, dparams=dparams)
        self.inner = next(kernel for kernel in FORMS if kernel.offers(inner)).bind(inner)
        self.saved: Mapping[str, Array] | None = None

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx) -> Result:
        self.saved = None
        if not _finite(xs[0]):
            return Result(self.plain.forward(p, xs[0], ctx=ctx).ys, {"x": xs[0]})
        self.weight[self.kernels, self.maps] = p["weight"]
        self.p["bias"] = p["bias"]
        result = self.inner.forward(self.p, xs[0], ctx=ctx)
        self.saved = result.saved
        return Result(result.ys, {"x": xs[0]})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx,
    ) -> Grads:
        if self.saved is None or not _finite(dys[0]):
            return self.plain.backward(p, saved, dys, need, ctx)
        dxs, _ = self.inner.backward(self.p, self.saved, dys, need, ctx)
        if self.dparams:
            np.copyto(self.dparams["weight"], self.dweight[self.kernels, self.maps])
        return Grads(dxs, self.dparams)

    def describe(self, saved: Mapping[str, Array]) -> Mapping[str, Array | Callable[[], Array]]:
        return saved


def _finite(x: Array) -> bool:
    flat = memory(x)
    return bool(np.isfinite(x).all()) if flat is None else looks_finite(flat)


KERNEL = Whole()
