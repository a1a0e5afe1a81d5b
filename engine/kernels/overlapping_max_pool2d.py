"""Max pooling whose windows overlap or reach over padding: maxima along rows, then of rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import ClassVar, NamedTuple, cast

import numpy as np
from numpy.lib.stride_tricks import as_strided

from engine.kernels.base import Site, Use, all_finite, channels_last, pixels_of
from engine.layers.base import Array, Ctx, Grads, Layer, Result
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.window import Window

CHUNK = 1 << 16
"""Numbers of an array to work on at a time, so that all that they need stays in cache."""


class OverlappingMaxPool:
    """x is copied once, between columns of −∞, into lanes: one for each remainder of a column's
    position by the stride. So the columns that one place of all windows lies over are dense.

    Backward goes rows before columns, which makes the winner the first in row-major order:
    dy · (x = y) goes to a position and is taken off what is left for those behind it, which is
    exact, since the factor is 0 or 1. NaN equals nothing and ∞ · 0 is NaN, so a run that meets one
    takes the plain form.
    """

    name: ClassVar[str] = "overlapping maxima"
    layer: ClassVar[type[Layer]] = MaxPool2d
    keeps: ClassVar[tuple[str, ...]] = ("x", "y")
    passes_on: ClassVar[bool] = False

    def offers(self, site: Site) -> bool:
        """Not where a window lies in padding alone: its −∞ would be taken for one of x."""
        if len(site.outputs) > 1:
            return False
        window = cast(MaxPool2d, site.layer).window
        for axis in range(2):
            size, outputs = site.inputs[0].shape[2 + axis], site.outputs[0].shape[2 + axis]
            places = np.arange(window.kernel_size[axis]) * window.dilation[axis]
            first = np.arange(outputs) * window.stride[axis] - window.before[axis]
            cells = first[:, None] + places
            if not ((cells >= 0) & (cells < size)).any(1).all():
                return False
        return True

    def bind(self, site: Site) -> BoundOverlappingMaxPool:
        return BoundOverlappingMaxPool(site)


class Maxima(NamedTuple):
    """Windows along one axis: ``most`` is the maximum of ``parts``, element by element."""

    parts: list[Array]
    most: Array

    def find(self) -> None:
        """Write the maximum; NaN wins."""
        np.copyto(self.most, self.parts[0])
        for part in self.parts[1:]:
            np.maximum(self.most, part, out=self.most)


class Shares(NamedTuple):
    """The gradients of the same: ``rest`` is that of the maximum, ``mask`` and ``share`` space."""

    maxima: Maxima
    cells: list[Array]
    rest: Array
    mask: Array
    share: Array

    def give(self) -> None:
        """Add ``rest`` to the first part that equals the maximum; what is left of it is 0."""
        (parts, most), cells, rest, mask, share = self
        for part, place in zip(parts[:-1], cells[:-1], strict=True):
            np.equal(part, most, out=mask)
            np.multiply(rest, mask, out=share)
            np.subtract(rest, share, out=rest)
            np.add(place, share, out=place)
        np.add(cells[-1], rest, out=cells[-1])


class Lanes:
    """Maps (N, C, H, W) with columns of padding, apart by the remainder of a column's position by
    the stride: memory (stride, N, H, columns, C).

    ``under`` has for each column of the kernel what it lies over: (N, H, columns · C) of outputs.
    ``use`` says how long the memory stays as it is.
    """

    def __init__(self, site: Site, window: Window, use: Use) -> None:
        (spec,), (out,) = site.inputs, site.outputs
        n, c, h, w = spec.shape
        columns, step, width = out.shape[3], window.stride[1], window.padded_size(h, w)[1]
        shape = (step, n, h, -(-width // step), c)
        vector = site.memory.take(use, 0, math.prod(shape), np.dtype(spec.dtype))
        self.memory = vector.reshape(shape)
        strides = (*self.memory.strides[1:3], self.memory.itemsize)
        self.under = [
            as_strided(
                self.memory[first % step, :, :, first // step :], (n, h, columns * c), strides
            )
            for first in range(0, window.extent[1], window.dilation[1])
        ]
        # (where the cells of x begin in a lane, which columns of x they are)
        self.places: list[tuple[int, slice]] = []
        self.borders: list[Array] = []
        for lane in range(step):
            first = (lane - window.before[1]) % step
            start, count = (first + window.before[1]) // step, len(range(first, w, step))
            self.places.append((start, slice(first, w, step)))
            own = self.memory[lane]
            self.borders += [own[:, :, :start], own[:, :, start + count :]]
        self.borders = [border for border in self.borders if border.size]

    def pad(self, padding: float) -> None:
        """Fill what is not of x; others used the memory meanwhile."""
        for border in self.borders:
            border.fill(padding)

    @property
    def maps(self) -> Array:
        """The cells of x (N, C, H, W) where one lane has them all."""
        (lane,), ((start, columns),) = self.memory, self.places
        return lane[:, :, start : start + columns.stop].transpose(0, 3, 1, 2)

    def pairs(self, maps: Array) -> list[tuple[Array, Array]]:
        """Views of the cells in the lanes and of those of maps (N, C, H, W) that they are."""
        pairs = []
        for lane, (start, columns) in zip(self.memory, self.places, strict=True):
            cells = maps[..., columns]
            place = lane[:, :, start : start + cells.shape[3]].transpose(0, 3, 1, 2)
            # in one lane the rows are dense, else the pixels may be
            pairs.append((place, cells) if len(self.memory) == 1 else pixels_of(place, cells))
        return pairs


def by_row(window: Window, maps: Array, rows: int) -> list[Array]:
    """For each row of the kernel what it lies over in (N, height, columns · C), for all outputs."""
    step = window.stride[0]
    return [
        maps[:, first : first + (rows - 1) * step + 1 : step]
        for first in range(0, window.extent[0], window.dilation[0])
    ]


class BoundOverlappingMaxPool:
    """Everything is seen as (N, rows, columns · C)."""

    def __init__(self, site: Site) -> None:
        self.layer = layer = cast(MaxPool2d, site.layer)
        (spec,), (out,) = site.inputs, site.outputs
        n, c, h, w = spec.shape
        rows, columns = out.shape[2:]
        window, dtype, line = layer.window, np.dtype(spec.dtype), columns * c
        top, height = window.before[0], window.padded_size(h, w)[0]
        kept: Use = "saved" if site.backward else "forward"
        self.lanes = Lanes(site, window, kept)
        across = site.take(kept, (n, height, line))
        self.borders = [part for part in (across[:, :top], across[:, top + h :]) if part.size]
        self.y = channels_last(site.value(), out.shape)
        y = self.y.transpose(0, 2, 3, 1).reshape(n, rows, line)
        stages = [
            (self.lanes.under, across[:, top : top + h]),
            (by_row(window, across, rows), y),
        ]
        self.maxima = [
            Maxima([part[chunk] for part in parts], most[chunk])
            for parts, most in stages
            for chunk in _chunks(most)
        ]
        self.flat, self.ones = y.reshape(-1), np.ones(y.size, dtype)
        self.seen: Array | None = None
        self.take: list[tuple[Array, Array]] = []
        if not (site.backward and site.need[0]):
            return
        self.rest = channels_last(site.take("backward", out.shape), out.shape)
        rest = self.rest.transpose(0, 2, 3, 1).reshape(y.shape)
        self.rest_flat = rest.reshape(-1)
        self.dacross = site.take("backward", across.shape)
        # one lane has all of dx
        self.dlanes = Lanes(site, window, "gradient" if window.stride[1] == 1 else "backward")
        gradients = [
            (self.dlanes.under, self.dacross[:, top : top + h]),
            (by_row(window, self.dacross, rows), rest),
        ]
        mask, share = np.empty(max(CHUNK, line), bool), np.empty(max(CHUNK, line), dtype)
        self.shares = []
        for (parts, most), (cells, upstream) in zip(stages[::-1], gradients[::-1], strict=True):
            for chunk in _chunks(most):
                some = most[chunk]
                self.shares.append(
                    Shares(
                        Maxima([part[chunk] for part in parts], some),
                        [place[chunk] for place in cells],
                        upstream[chunk],
                        mask[: some.size].reshape(some.shape),
                        share[: some.size].reshape(some.shape),
                    )
                )
        if window.stride[1] == 1:
            self.dx, self.give = self.dlanes.maps, []
            return
        self.dx = channels_last(site.gradient(), spec.shape)
        self.give = self.dlanes.pairs(self.dx)

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx) -> Result:
        if xs[0] is not self.seen:
            self.seen, self.take = xs[0], self.lanes.pairs(xs[0])
        self.lanes.pad(-np.inf)
        for border in self.borders:
            border.fill(-np.inf)
        for place, cells in self.take:
            np.copyto(place, cells)
        for maxima in self.maxima:
            maxima.find()
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
        np.copyto(self.rest, dys[0])
        if not (all_finite(self.flat, self.ones) and all_finite(self.rest_flat, self.ones)):
            x = saved["x"]
            plain = self.layer.backward(p, self.layer.forward(p, x, ctx=ctx).saved, dys, need, ctx)
            np.copyto(self.dx, cast(Array, plain.dxs[0]))
            return Grads((self.dx,))
        self.dacross.fill(0)
        self.dlanes.memory.fill(0)
        for shares in self.shares:
            shares.give()
        for place, cells in self.give:
            np.copyto(cells, place)
        return Grads((self.dx,))

    def describe(self, saved: Mapping[str, Array]) -> Mapping[str, Array | Callable[[], Array]]:
        x, layer = saved["x"], self.layer
        return {"x": x, "argmax": lambda: layer.forward({}, x).saved["argmax"]}


def _chunks(maps: Array) -> list[tuple[slice, slice]]:
    """Some samples, or some rows of one, of (N, rows, line): about CHUNK numbers each."""
    n, rows, line = maps.shape
    samples = max(1, CHUNK // (rows * line))
    height = rows if samples > 1 else max(1, CHUNK // line)
    return [
        (slice(a, a + samples), slice(b, b + height))
        for a in range(0, n, samples)
        for b in range(0, rows, height)
    ]


KERNEL = OverlappingMaxPool()
