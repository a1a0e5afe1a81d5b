"""Convolution of stride 1 without unrolling windows, for maps of some channels, channels last.

In a buffer of pixels whose rows are separated by zeros, the window's part in one row of the kernel
is kernel_size pixels one behind the other: a row of a matrix that starts at every pixel. BLAS takes
no matrix whose rows overlap, but every kernel_size-th row taken together makes one that it takes,
so a row of the kernel costs kernel_size products, one for each remainder, and no copy. dX is the
same with the flipped kernel over dy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np
from numpy.lib.stride_tricks import as_strided

from engine.kernels.base import SMALL_PRODUCT, BoundPlain, Site, looks_finite, repeats_of
from engine.layers.base import Array, Ctx, Grads, Layer, Result
from engine.layers.conv2d import Conv2d
from engine.workers import Workers, slices_of, split

CHANNELS = range(8, 33)
"""Below, longer runs (banded) are faster; above, im2col's own products are wide enough."""
FEWEST_PIXELS = 2048
"""Outputs below which the many small products cost more than unrolling."""
WASTE_LIMIT = 1.3
"""Most pixels of the buffer, separating zeros included, for one of the output."""
MULTIPLY_NS = 0.02
"""Time of a multiply-add, roughly."""
CHUNK = 1 << 17
"""Elements of output between which the sums over the rows of the kernel stay in cache."""


class Copyless:
    name: ClassVar[str] = "copyless"
    layer: ClassVar[type[Layer]] = Conv2d
    keeps: ClassVar[tuple[str, ...]] = ("x",)
    passes_on: ClassVar[bool] = False

    def offers(self, site: Site) -> bool:
        layer, (n, c, _, _) = cast(Conv2d, site.layer), site.inputs[0].shape
        window, (o, rows, columns) = layer.window, site.outputs[0].shape[1:]
        if (
            layer.groups != 1
            or window.stride != (1, 1)
            or window.dilation != (1, 1)
            or window.kernel_size[1] == 1
            or not all(b < k for b, k in zip(window.before, window.kernel_size, strict=True))
            or not all(a < k for a, k in zip(window.after, window.kernel_size, strict=True))
        ):
            return False
        grid = Grid.of(site)
        return (
            c in CHANNELS
            and o in CHANNELS
            and n * rows * columns >= FEWEST_PIXELS
            and grid.height * grid.width <= WASTE_LIMIT * rows * columns
        )

    def bind(self, site: Site) -> BoundCopyless:
        return BoundCopyless(site)


@dataclass(frozen=True)
class Grid:
    """Where pixels lie: sample, row and column follow each other in N · height · width places.

    ``tile`` places of one remainder make a product, ``count`` such tiles (of all remainders) cover
    all places; ``kernel`` is kernel_size.
    """

    samples: int
    height: int
    width: int
    kernel: tuple[int, int]
    tile: int

    @classmethod
    def of(cls, site: Site) -> Grid:
        window = cast(Conv2d, site.layer).window
        (n, c, *size), (_, o, *out) = site.inputs[0].shape, site.outputs[0].shape
        kernel = window.kernel_size
        # zeros for x's windows and, from the other side, for those of dy
        height, width = (
            max(size[i] + max(b, a), out[i] + max(kernel[i] - 1 - b, kernel[i] - 1 - a))
            for i, (b, a) in enumerate(zip(window.before, window.after, strict=True))
        )
        tile = max(64, SMALL_PRODUCT // (kernel[1] * c * o))
        tile = min(1 << (tile.bit_length() - 1), -(-n * height * width // kernel[1]))
        return cls(n, height, width, kernel, tile)

    @property
    def count(self) -> int:
        return -(-self.samples * self.height * self.width // (self.tile * self.kernel[1]))

    @property
    def places(self) -> int:
        return self.count * self.tile * self.kernel[1]

    def buffer(self, channels: int, dtype: np.dtype[np.floating]) -> Array:
        """Zeros for all places, and for what the last windows reach beyond."""
        return np.zeros(
            (self.places + self.kernel[0] * self.width + self.kernel[1], channels), dtype
        )

    def maps(self, buffer: Array, lead: int, height: int, width: int) -> Array:
        """View (N, C, H, W) of the pixels in a buffer of which the first lies at ``lead``."""
        pixels = buffer[lead : lead + self.samples * self.height * self.width]
        shaped = pixels.reshape(self.samples, self.height, self.width, -1)
        return shaped[:, :height, :width].transpose(0, 3, 1, 2)

    def windows(self, buffer: Array, row: int) -> Array:
        """View (tile, remainder, place, kernel · C) of the windows' parts in a kernel row."""
        channels, size = buffer.shape[1], buffer.itemsize
        kw, pixel = self.kernel[1], channels * size
        return as_strided(
            buffer[row * self.width :],
            (self.count, kw, self.tile, kw * channels),
            (self.tile * kw * pixel, pixel, kw * pixel, size),
        )

    def by_remainder(self, buffer: Array) -> Array:
        """View (tile, remainder, place, C) of the places of a buffer."""
        shaped = buffer.reshape(-1, self.tile, self.kernel[1], buffer.shape[1])
        return shaped.transpose(0, 2, 1, 3)


class Correlation:
    """Windows of a buffer times a kernel (rows, columns · C_in, C_out), into ``out``."""

    def __init__(self, grid: Grid, buffer: Array, channels: int, workers: Workers) -> None:
        self.workers = workers
        self.out = np.empty((grid.places, channels), buffer.dtype)
        windows = [grid.windows(buffer, i) for i in range(grid.kernel[0])]
        rows = grid.tile * grid.kernel[1]
        step = max(1, CHUNK // (rows * channels))
        self.chunks = []
        for share in split(range(0, grid.count, step), workers.count):
            part = np.empty((min(step, grid.count) * rows, channels), buffer.dtype)
            for a in share:
                out = self.out[a * rows : (a + step) * rows]
                own = part[: len(out)]
                views = [w[a : a + step] for w in windows]
                tiles = grid.by_remainder(out), grid.by_remainder(own)
                self.chunks.append((views, out, own, *tiles))

    def run(self, kernel: Array) -> None:
        def chunk(views: tuple[list[Array], Array, Array, Array, Array]) -> None:
            (first, *others), out, part, out_tiles, part_tiles = views
            np.matmul(first, kernel[0], out=out_tiles)
            for windows, weights in zip(others, kernel[1:], strict=True):
                np.matmul(windows, weights, out=part_tiles)
                np.add(out, part, out=out)

        self.workers.each(chunk, self.chunks)


class BoundCopyless:
    def __init__(self, site: Site) -> None:
        layer, self.plain = cast(Conv2d, site.layer), BoundPlain(site)
        (spec,), (out,) = site.inputs, site.outputs
        n, c, h, w = spec.shape
        o, rows, columns = out.shape[1:]
        window, dtype, grid = layer.window, np.dtype(spec.dtype), Grid.of(site)
        kh, kw = window.kernel_size
        self.dparams = site.dparams
        self.x = grid.buffer(c, dtype)
        self.body = grid.maps(self.x, window.before[0] * grid.width + window.before[1], h, w)
        work = MULTIPLY_NS * grid.places * kh * kw * c * o
        self.workers = workers = site.workers.worth(work)
        self.samples = slices_of(n, workers)
        self.correlation = Correlation(grid, self.x, o, workers)
        self.y_flat = self.correlation.out
        self.y = grid.maps(self.y_flat, 0, rows, columns)
        repeats = repeats_of(o, grid.places)
        self.y_wide = self.y_flat.reshape(-1, repeats * o)
        self.bias = np.empty((repeats, o), dtype)
        self.bias_row = self.bias.reshape(-1)
        self.w = np.empty((kh, kw * c, o), dtype)
        self.w_view = self.w.reshape(kh, kw, c, o).transpose(3, 2, 0, 1)
        if not site.backward:
            return
        lead = (kh - 1 - window.before[0]) * grid.width + kw - 1 - window.before[1]
        self.dy = grid.buffer(o, dtype)
        self.dy_body = grid.maps(self.dy, lead, rows, columns)
        self.dy_flat = self.dy[lead : lead + grid.places]
        dy_tiles = grid.by_remainder(self.dy_flat)
        self.shares = np.empty((kh, grid.count, kw, kw * c, o), dtype)
        windows = [grid.windows(self.x, i).transpose(0, 1, 3, 2) for i in range(kh)]
        self.dw_products = [
            [(windows[i][tiles], dy_tiles[tiles], self.shares[i][tiles]) for i in range(kh)]
            for tiles in slices_of(grid.count, workers)
        ]
        self.dw = np.empty_like(self.w)
        self.dw_view = self.dw.reshape(kh, kw, c, o).transpose(3, 2, 0, 1)
        self.ones = np.ones(grid.places, dtype)
        if not site.need[0]:
            return
        self.dx_correlation = Correlation(grid, self.dy, c, workers)
        self.dx = grid.maps(self.dx_correlation.out, 0, h, w)
        self.flipped = np.empty((kh, kw * o, c), dtype)
        self.flipped_view = self.flipped.reshape(kh, kw, o, c).transpose(2, 3, 0, 1)

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx) -> Result:
        self._copy(self.body, xs[0])
        np.copyto(self.w_view, p["weight"])
        self.correlation.run(self.w)
        if "bias" in p:
            np.copyto(self.bias, p["bias"])
            np.add(self.y_wide, self.bias_row, out=self.y_wide)
        return Result((self.y,), {"x": xs[0]})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx,
    ) -> Grads:
        if not looks_finite(self.x.reshape(-1)):  # zeros between the rows of dy would spread it
            return self.plain.backward(p, saved, dys, need, ctx)
        self._copy(self.dy_body, dys[0])
        if self.dparams:
            self.workers.each(_multiply_all, self.dw_products)
            np.add.reduce(self.shares, (1, 2), out=self.dw)
            np.copyto(self.dparams["weight"], self.dw_view)
            if "bias" in self.dparams:
                np.matmul(self.ones, self.dy_flat, out=self.dparams["bias"])
        if not need[0]:
            return Grads((None,), self.dparams)
        np.copyto(self.flipped_view, p["weight"][:, :, ::-1, ::-1])
        self.dx_correlation.run(self.flipped)
        return Grads((self.dx,), self.dparams)

    def _copy(self, to: Array, maps: Array) -> None:
        self.workers.each(lambda some: np.copyto(to[some], maps[some]), self.samples)

    def describe(self, saved: Mapping[str, Array]) -> Mapping[str, Array | Callable[[], Array]]:
        return saved


def _multiply_all(products: list[tuple[Array, Array, Array]]) -> None:
    for a, b, out in products:
        np.matmul(a, b, out=out)


KERNEL = Copyless()
