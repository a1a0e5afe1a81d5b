"""What a fast form of a layer must offer. Kernels are never seen outside the plan.

A kernel is bound once, for given shapes: it asks its site for memory then, in the same order every
time (a plan binds twice, see engine/arena.py), and allocates nothing large afterwards. Views of an
argument are made when it is first seen and kept while the same array comes again. Each is tested
against the layer's plain form over random shapes that it accepts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import DTypeLike

from engine.layers.base import Array, Ctx, Grads, Layer, Result, Spec
from engine.workers import ALONE, Workers

WIDE = 1 << 13
"""Per-channel vectors are repeated to about this length: against shorter ones, even of a thousand
numbers, the same arithmetic takes twice as long."""
RUN = 512
"""The same for vectors that are one sample's, which are repeated anew for each of many."""
PASS_NS = 0.03
"""Time of a pass for a number, understated: short calls wait too long for Python's lock."""

Use = Literal["value", "saved", "gradient", "forward", "backward", "call"]
"""What memory of a kernel is for, and so how long it stays as it is.

value     an output: until its last reader has read it
saved     what forward leaves for backward
gradient  of an input: from backward until it has been read
forward, backward, call   work space within a call of forward, of backward, of either
"""


class Memory(Protocol):
    """Where a kernel's arrays come from."""

    def take(self, use: Use, index: int, count: int, dtype: np.dtype[np.generic]) -> Array:
        """A vector of ``count`` numbers; ``index`` is the port or the input's position."""
        ...


class Private:
    """Memory that is shared with nobody."""

    def take(self, use: Use, index: int, count: int, dtype: np.dtype[np.generic]) -> Array:
        return np.empty(count, dtype)


PRIVATE = Private()


@dataclass(frozen=True)
class Site:
    """The place that a kernel is bound to.

    ``inputs`` and ``outputs`` are the specs; ``need`` says which inputs want a gradient;
    ``dparams`` are the arrays into which backward writes the parameters' gradients; ``memory``
    gives the kernel its arrays, whose contents are undefined, and ``workers`` the threads that may
    share its work.
    """

    layer: Layer
    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]
    need: tuple[bool, ...]
    dparams: Mapping[str, Array]
    backward: bool
    memory: Memory = PRIVATE
    workers: Workers = ALONE

    def take(self, use: Use, shape: tuple[int, ...], dtype: DTypeLike | None = None) -> Array:
        """Memory that is "saved" or work space; of the first input's dtype, unless given."""
        kind = np.dtype(dtype or self.inputs[0].dtype)
        return self.memory.take(use, 0, math.prod(shape), kind).reshape(shape)

    def value(self, port: int = 0) -> Array:
        """A vector for an output."""
        spec = self.outputs[port]
        return self.memory.take("value", port, math.prod(spec.shape), np.dtype(spec.dtype))

    def gradient(self, position: int = 0) -> Array:
        """A vector for the gradient of an input."""
        spec = self.inputs[position]
        return self.memory.take("gradient", position, math.prod(spec.shape), np.dtype(spec.dtype))

    def channels_last(self, spec: Spec, zeros: bool = False) -> Array:
        """A new (N, C, H, W) array whose memory is (N, H, W, C)."""
        n, c, h, w = spec.shape
        allocate = np.zeros if zeros else np.empty
        return allocate((n, h, w, c), spec.dtype).transpose(0, 3, 1, 2)


def memory_order(x: Array) -> list[int]:
    """The axes from the one whose steps are longest in memory to the one of neighbours."""
    return sorted(range(x.ndim), key=lambda axis: (-x.strides[axis], -x.shape[axis]))


def memory(x: Array) -> Array | None:
    """The elements of a dense array as a vector in the order of memory, a view; else None."""
    if x.flags.c_contiguous:
        return x.reshape(-1)
    ordered = x.transpose(memory_order(x))
    return ordered.reshape(-1) if ordered.flags.c_contiguous else None


def like(vector: Array, x: Array) -> Array:
    """A vector as an array of x's shape, in x's order of memory."""
    order = memory_order(x)
    return vector.reshape([x.shape[axis] for axis in order]).transpose(np.argsort(order))


def channels_last(vector: Array, shape: tuple[int, ...]) -> Array:
    """A vector as maps (N, C, H, W) whose memory is (N, H, W, C)."""
    n, c, h, w = shape
    return vector.reshape(n, h, w, c).transpose(0, 3, 1, 2)


def pixels(x: Array) -> Array | None:
    """Maps as (pixels, channels), a view, where their memory is channels last; else None."""
    last = x.transpose(0, 2, 3, 1)
    return last.reshape(-1, x.shape[1]) if last.flags.c_contiguous else None


class Rows:
    """Maps as (pixels, channels): a view where memory is channels last, else a copy."""

    def __init__(self, buffer: Array) -> None:
        self.buffer = buffer
        self.rows = buffer.transpose(0, 2, 3, 1).reshape(-1, buffer.shape[1])
        self.seen: Array | None = None
        self.view: Array | None = None

    def of(self, x: Array) -> Array:
        """The pixels of x."""
        if x is not self.seen:
            self.seen, self.view = x, pixels(x)
        if self.view is not None:
            return self.view
        np.copyto(self.buffer, x)
        return self.rows


def repeats_of(length: int, rows: int, wide: int = WIDE) -> int:
    """How many of so many rows to take as one, so that inner loops are about ``wide`` long."""
    repeats = max(1, wide // length)
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
    """A fast form: ``offers`` says whether it serves a site, ``bind`` allocates.

    What it does not state is taken for the worst, by which no memory is shared too early:
    ``keeps`` has "x" where backward reads the inputs again, "y" where it reads the outputs;
    ``passes_on`` says that forward may return an input, or backward an upstream gradient, or a
    view of one.
    """

    name: ClassVar[str]
    layer: ClassVar[type[Layer]]

    def offers(self, site: Site) -> bool: ...

    def bind(self, site: Site) -> Bound: ...


def keeps(kernel: object) -> frozenset[str]:
    """What a kernel's backward reads again: "x", "y", both or neither."""
    return frozenset(getattr(kernel, "keeps", ("x", "y")))


def passes_on(kernel: object) -> bool:
    """Whether a kernel may return (a view of) what it was given."""
    return bool(getattr(kernel, "passes_on", True))


class Plain:
    """The layer's textbook form, which serves every site."""

    name: ClassVar[str] = "plain"

    def bind(self, site: Site) -> Bound:
        return BoundPlain(site)


class BoundPlain:
    """Runs the plain form and copies the parameters' gradients to where the plan wants them.

    Fast forms hand a run over to it that meets numbers which they cannot serve.
    """

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
        for name, array in self.dparams.items():
            np.copyto(array, grads.dparams[name])
        return Grads(grads.dxs, self.dparams)

    def describe(self, saved: Mapping[str, Array]) -> Mapping[str, Array | Callable[[], Array]]:
        return saved
