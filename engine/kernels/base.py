"""What a fast form of a layer must offer. Kernels are never seen outside the plan.

A kernel is bound once, for given shapes: it allocates its buffers then (those whose memory order
follows an argument's: at the first run), and allocates nothing large afterwards. Views of an
argument are made when it is first seen and kept while the same array comes again. Each is tested
against the layer's plain form over random shapes that it accepts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from engine.layers.base import Array, Ctx, Grads, Layer, Result, Spec

WIDE = 1 << 13
"""Per-channel vectors are repeated to about this length: against shorter ones, even of a thousand
numbers, the same arithmetic takes twice as long."""


@dataclass(frozen=True)
class Site:
    """The place that a kernel is bound to.

    ``inputs`` and ``outputs`` are the specs; ``need`` says which inputs want a gradient;
    ``dparams`` are the arrays into which backward writes the parameters' gradients.
    """

    layer: Layer
    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]
    need: tuple[bool, ...]
    dparams: Mapping[str, Array]
    backward: bool

    def channels_last(self, spec: Spec, zeros: bool = False) -> Array:
        """A new (N, C, H, W) array whose memory is (N, H, W, C)."""
        n, c, h, w = spec.shape
        allocate = np.zeros if zeros else np.empty
        return allocate((n, h, w, c), spec.dtype).transpose(0, 3, 1, 2)


def memory(x: Array) -> Array | None:
    """The elements of a dense array as a vector in the order of memory, a view; else None."""
    if x.flags.c_contiguous:
        return x.reshape(-1)
    order = sorted(range(x.ndim), key=lambda axis: (-x.strides[axis], -x.shape[axis]))
    ordered = x.transpose(order)
    return ordered.reshape(-1) if ordered.flags.c_contiguous else None


def repeats_of(length: int, rows: int) -> int:
    """How many of so many rows to take as one, so that inner loops are about WIDE long."""
    repeats = max(1, WIDE // length)
    while rows % repeats:
        repeats -= 1
    return repeats


def runs_of(to: Array, source: Array) -> tuple[Array, Array]:
    """Both arrays with their last axis, dense in both, as one element.

    To copy a run is one move then, where an inner loop over a few numbers takes twice as long.
    """
    run = f"V{to.itemsize * to.shape[-1]}"
    return to.view(run)[..., 0], source.view(run)[..., 0]


def pixels_of(to: Array, source: Array) -> tuple[Array, Array]:
    """Both (N, C, H, W) with all channels of a pixel as one element, where both are channels last.

    Else both as they are.
    """
    last = (to.transpose(0, 2, 3, 1), source.transpose(0, 2, 3, 1))
    size = to.itemsize * to.shape[1]
    if any(a.strides[3] != a.itemsize or a.strides[2] < size for a in last):
        return to, source
    return runs_of(*last)


SMALL_PRODUCT = 1 << 20
"""Multiply-adds up to which OpenBLAS does not pack its operands, a fifth to a third faster."""


def small_part(rows: int, row: int) -> int:
    """How many of so many rows, ``row`` multiply-adds each, to take for a small product.

    A divisor of ``rows``; all of them where no part is of a useful size.
    """
    part = min(rows, SMALL_PRODUCT // row)
    while part >= 64 and rows % part:
        part -= 1
    return part if part >= 64 else rows


def all_finite(flat: Array, ones: Array) -> bool:
    """Whether a vector has neither NaN nor ∞, by one dot product (an overflow counts as ∞)."""
    return math.isfinite(np.dot(flat, ones))


def looks_finite(flat: Array) -> bool:
    """The same without a vector of ones; numbers whose squares overflow do not pass either."""
    return math.isfinite(np.dot(flat, flat))


class Bound(Protocol):
    """A layer ready to run at a site; the signatures are the layer's own."""

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx) -> Result: ...

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx,
    ) -> Grads: ...

    def describe(self, saved: Mapping[str, Array]) -> Mapping[str, Array | Callable[[], Array]]:
        """``saved`` in the layer's documented form; decoding may wait until it is asked for."""
        ...


class Kernel(Protocol):
    """A fast form: ``offers`` says whether it serves a site, ``bind`` allocates."""

    name: ClassVar[str]
    layer: ClassVar[type[Layer]]

    def offers(self, site: Site) -> bool: ...

    def bind(self, site: Site) -> Bound: ...


class Plain:
    """The layer's textbook form, which serves every site."""

    name: ClassVar[str] = "plain"

    def bind(self, site: Site) -> Bound:
        return BoundPlain(site)


class BoundPlain:
    """Runs the plain form and copies the parameters' gradients to where the plan wants them."""

    def __init__(self, site: Site) -> None:
        self.layer, self.dparams = site.layer, site.dparams

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx) -> Result:
        return self.layer.forward(p, *xs, ctx=ctx)

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx,
    ) -> Grads:
        grads = self.layer.backward(p, saved, dys, need, ctx)
        for name, value in grads.dparams.items():
            np.copyto(self.dparams[name], value)
        return Grads(grads.dxs, self.dparams)

    def describe(self, saved: Mapping[str, Array]) -> Mapping[str, Array | Callable[[], Array]]:
        return saved
