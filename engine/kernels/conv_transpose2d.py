"""Transposed convolution by the convolution that it transposes, run the other way round."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, cast

import numpy as np

from engine.kernels.base import Site, channels_last
from engine.kernels.im2col_conv2d import KERNEL as IM2COL
from engine.layers.base import Array, Ctx, Grads, Layer, Result, ShapeError
from engine.layers.conv2d import Conv2d
from engine.layers.conv_transpose2d import ConvTranspose2d


class Turned:
    """y is that convolution's dx for an upstream gradient x; dx is its value for an input dy, and
    dW its own for the two together.
    """

    name: ClassVar[str] = "turned"
    layer: ClassVar[type[Layer]] = ConvTranspose2d
    keeps: ClassVar[tuple[str, ...]] = ("x",)
    passes_on: ClassVar[bool] = False

    def offers(self, site: Site) -> bool:
        """Where there is one group, and that convolution makes maps of just the size of x."""
        layer = cast(ConvTranspose2d, site.layer)
        if layer.groups > 1:
            return False
        try:
            (back,) = _convolution(layer, site).outputs(*site.outputs)
        except ShapeError:
            return False
        return back.shape == site.inputs[0].shape

    def bind(self, site: Site) -> BoundTurned:
        return BoundTurned(site)


class BoundTurned:
    """Two forms of the convolution: one for forward, one for backward, each with its memory."""

    def __init__(self, site: Site) -> None:
        layer = cast(ConvTranspose2d, site.layer)
        convolution = _convolution(layer, site)
        self.dparams = site.dparams
        self.spread = IM2COL.bind(
            Site(convolution, site.outputs, site.inputs, (True,), {}, backward=True)
        )
        if site.backward:
            weight = {k: array for k, array in site.dparams.items() if k == "weight"}
            self.collect = IM2COL.bind(
                Site(convolution, site.outputs, site.inputs, (False,), weight, backward=True)
            )
            (out,) = site.outputs
            self.dy = channels_last(site.take("backward", out.shape), out.shape)
            self.dy_pixels = self.dy.transpose(0, 2, 3, 1).reshape(-1, out.shape[1])
            self.ones = np.ones(len(self.dy_pixels), out.dtype)

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx) -> Result:
        (y,), _ = self.spread.backward(p, {}, xs, (True,), ctx)
        if y is None:
            raise TypeError("Im2col: expected a gradient of its input, received none.")
        if "bias" in p:
            np.add(y, p["bias"][:, None, None], out=y)
        return Result((y,), {"x": xs[0]})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx,
    ) -> Grads:
        np.copyto(self.dy, dys[0])
        weight = {"weight": p["weight"]}
        dx = self.collect.forward(weight, self.dy, ctx=ctx).ys[0] if need[0] else None
        if self.dparams:
            self.collect.backward(weight, {"x": self.dy}, (saved["x"],), (False,), ctx)
            if "bias" in self.dparams:
                np.matmul(self.ones, self.dy_pixels, out=self.dparams["bias"])
        return Grads((dx,), self.dparams)

    def describe(self, saved: Mapping[str, Array]) -> Mapping[str, Array | Callable[[], Array]]:
        return saved


def _convolution(layer: ConvTranspose2d, site: Site) -> Conv2d:
    """From maps like y to maps like x."""
    return Conv2d(
        site.inputs[0].shape[1],
        layer.kernel_size,
        layer.stride,
        layer.padding,
        layer.dilation,
        bias=False,
    )


KERNEL = Turned()
