"""Max pooling by maxima of strided views."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, cast

import numpy as np

from engine.kernels.base import Site, all_finite, memory
from engine.layers.base import Array, Ctx, Grads, Layer, Result
from engine.layers.max_pool2d import MaxPool2d


class TiledMaxPool:
    """Windows that neither overlap nor touch padding: maxima of rows, then of columns.

    Backward sends dy to the first cell that equals the maximum: dy · (x = y) goes to a position and
    is taken off what is left for those behind it, which is exact, since the factor is 0 or 1.
    NaN equals nothing and ∞ · 0 is NaN, so a run that meets one takes the plain form.
    """

    name: ClassVar[str] = "tiled maxima"
    layer: ClassVar[type[Layer]] = MaxPool2d

    def offers(self, site: Site) -> bool:
        window = cast(MaxPool2d, site.layer).window
        return (
            window.kernel_size == window.stride
            and window.dilation == (1, 1)
            and max(*window.before, *window.after) == 0
            and site.outputs[0].shape[2] * window.stride[0] <= site.inputs[0].shape[2]
            and site.outputs[0].shape[3] * window.stride[1] <= site.inputs[0].shape[3]
        )

    def bind(self, site: Site) -> BoundTiledMaxPool:
        return BoundTiledMaxPool(site)


class BoundTiledMaxPool:
    """Buffers are made at the first run, when the memory order of x is known."""

    def __init__(self, site: Site) -> None:
        self.layer = cast(MaxPool2d, site.layer)
        self.height, self.width = site.outputs[0].shape[2:]
        self.backward_wanted = site.backward
        self.x: Array | None = None
        self.strides: tuple[int, ...] | None = None

    def _see(self, x: Array) -> None:
        """Buffers for the memory order of x, and views of x."""
        (rows, columns), height, width = self.layer.window.kernel_size, self.height, self.width
        within = x[:, :, : height * rows, : width * columns]
        if x.strides != self.strides:
            self.strides = x.strides
            self.rows = np.empty_like(within[:, :, ::rows])
            self.row_columns = [self.rows[..., j::columns] for j in range(columns)]
            self.y = np.empty_like(self.row_columns[0])
            self.flat = cast(Array, memory(self.y))
            self.ones = np.ones(self.y.size, x.dtype)
            if self.backward_wanted:
                self.dx = np.zeros_like(x)  # cells beyond the last window keep their zero
                self.rest, self.mask = np.empty_like(self.y), np.empty_like(self.y, bool)
                self.dx_taps = [
                    self.dx[:, :, i : height * rows : rows, j : width * columns : columns]
                    for i in range(rows)
                    for j in range(columns)
                ]
        self.x_rows = [within[:, :, i::rows] for i in range(rows)]
        self.x_taps = [
            within[:, :, i::rows, j::columns] for i in range(rows) for j in range(columns)
        ]
        self.x = x

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx) -> Result:
        if xs[0] is not self.x:
            self._see(xs[0])
        _maximum(self.x_rows, self.rows)
        _maximum(self.row_columns, self.y)
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
        y, rest, mask = self.y, self.rest, self.mask
        np.copyto(rest, dys[0])
        if not (
            all_finite(self.flat, self.ones) and all_finite(cast(Array, memory(rest)), self.ones)
        ):
            x = saved["x"]
            plain = self.layer.backward(p, self.layer.forward(p, x, ctx=ctx).saved, dys, need, ctx)
            np.copyto(self.dx, cast(Array, plain.dxs[0]))
            return Grads((self.dx,))
        for x_tap, dx_tap in zip(self.x_taps[:-1], self.dx_taps[:-1], strict=True):
            np.equal(x_tap, y, out=mask)
            np.multiply(rest, mask, out=dx_tap)
            np.subtract(rest, dx_tap, out=rest)
        np.copyto(self.dx_taps[-1], rest)
        return Grads((self.dx,))

    def describe(self, saved: Mapping[str, Array]) -> Mapping[str, Array | Callable[[], Array]]:
        x, layer = saved["x"], self.layer
        return {"x": x, "argmax": lambda: layer.forward({}, x).saved["argmax"]}


def _maximum(parts: list[Array], out: Array) -> None:
    """Element-wise maximum of one or more arrays; NaN wins."""
    if len(parts) == 1:
        np.copyto(out, parts[0])
        return
    np.maximum(parts[0], parts[1], out=out)
    for part in parts[2:]:
        np.maximum(out, part, out=out)


KERNEL = TiledMaxPool()
