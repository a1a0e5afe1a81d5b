"""Activations of one number, cell by cell, some cells at a time so that all stays in cache.

Forward writes the slope beside the value, because they share most of their work; backward is one
multiplication. (Tanh and hard swish are as fast in their plain forms.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np

from engine.kernels.base import Site, like, memory
from engine.layers.base import Array, Ctx, Grads, Layer, Result
from engine.layers.elementwise import Elementwise
from engine.layers.elu import ELU
from engine.layers.gelu import GELU
from engine.layers.leaky_relu import LeakyReLU
from engine.layers.sigmoid import Sigmoid
from engine.layers.silu import SiLU

CHUNK = 1 << 14
"""Numbers to work on at a time. (They are clipped, because the larger of a vector and one number
takes NumPy three times as long.)"""


class Space(NamedTuple):
    """Room for as many numbers as are worked on, and for as many answers."""

    a: Array
    b: Array
    c: Array
    mask: Array
    """Bools."""

    def first(self, count: int) -> Space:
        """The same for fewer numbers."""
        return Space(*(part[:count] for part in self))


class FastElementwise:
    """A subclass writes f(x) to ``y`` and, unless that is None, f′(x) to ``slope``."""

    name: ClassVar[str]
    layer: ClassVar[type[Layer]]
    keeps: ClassVar[tuple[str, ...]] = ()
    passes_on: ClassVar[bool] = False

    def offers(self, site: Site) -> bool:
        return True

    def bind(self, site: Site) -> BoundElementwise:
        return BoundElementwise(site, self)

    def write(self, layer: Any, x: Array, y: Array, slope: Array | None, space: Space) -> None:
        raise NotImplementedError


class BoundElementwise:
    """The order of memory follows x at the first run."""

    def __init__(self, site: Site, kernel: FastElementwise) -> None:
        self.layer, self.kernel = cast(Elementwise, site.layer), kernel
        (spec,) = site.inputs
        size = math.prod(spec.shape)
        self.y_vector = site.value()
        self.x_vector = site.take("forward", (size,))
        self.slope_vector = self.dx_vector = None
        if site.backward and site.need[0]:
            self.slope_vector, self.dx_vector = site.take("saved", (size,)), site.gradient()
        count = min(CHUNK, size)
        a, b, c = (np.empty(count, spec.dtype) for _ in range(3))
        self.space = Space(a, b, c, np.empty(count, bool))
        self.seen: Array | None = None
        self.strides: tuple[int, ...] | None = None

    def _see(self, x: Array) -> None:
        """Views of x and, in its order of memory, of the buffers."""
        self.seen = x
        if x.strides != self.strides:
            self.strides = x.strides
            self.y, self.x_copy = like(self.y_vector, x), like(self.x_vector, x)
            if self.slope_vector is not None and self.dx_vector is not None:
                self.slope, self.dx = like(self.slope_vector, x), like(self.dx_vector, x)
        flat = memory(x)
        self.dense = flat is not None
        flat = self.x_vector if flat is None else flat
        self.pieces = []
        for a in range(0, flat.size, CHUNK):
            piece = slice(a, a + CHUNK)
            slope = None if self.slope_vector is None else self.slope_vector[piece]
            some = flat[piece]
            self.pieces.append((some, self.y_vector[piece], slope, self.space.first(some.size)))

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx) -> Result:
        if xs[0] is not self.seen:
            self._see(xs[0])
        if not self.dense:
            np.copyto(self.x_copy, xs[0])
        for x, y, slope, space in self.pieces:
            self.kernel.write(self.layer, x, y, slope, space)
        return Result((self.y,), {"x": xs[0], "y": self.y})

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
        np.multiply(dys[0], self.slope, out=self.dx)
        return Grads((self.dx,))

    def describe(self, saved: Mapping[str, Array]) -> Mapping[str, Array | Callable[[], Array]]:
        return saved


class FastLeakyReLU(FastElementwise):
    """The larger of x and α · x, since α ≤ 1."""

    name: ClassVar[str] = "leaky relu"
    layer: ClassVar[type[Layer]] = LeakyReLU

    def offers(self, site: Site) -> bool:
        """Not with α = 0, which makes NaN of 0 · ∞."""
        return cast(LeakyReLU, site.layer).alpha > 0

    def write(self, layer: Any, x: Array, y: Array, slope: Array | None, space: Space) -> None:
        np.multiply(x, layer.alpha, out=y)
        np.maximum(x, y, out=y)
        if slope is not None:
            np.greater(x, 0, out=space.mask)
            np.copyto(slope, space.mask)
            np.clip(slope, layer.alpha, 1, out=slope)


class FastELU(FastElementwise):
    """max(x, 0) + α · (exp(min(x, 0)) − 1), of which one is 0."""

    name: ClassVar[str] = "elu"
    layer: ClassVar[type[Layer]] = ELU

    def write(self, layer: Any, x: Array, y: Array, slope: Array | None, space: Space) -> None:
        np.clip(x, -np.inf, 0, out=space.a)
        np.expm1(space.a, out=y)
        if layer.alpha != 1:
            np.multiply(y, layer.alpha, out=y)
        np.clip(x, 0, np.inf, out=space.b)
        np.add(y, space.b, out=y)
        if slope is None:
            return
        np.exp(space.a, out=slope)
        if layer.alpha != 1:  # for x > 0 that is α · 1, and 1 − α is missing
            np.multiply(slope, layer.alpha, out=slope)
            np.greater(x, 0, out=space.mask)
            np.multiply(space.mask, x.dtype.type(1 - layer.alpha), out=space.a)
            np.add(slope, space.a, out=slope)


class FastSigmoid(FastElementwise):
    name: ClassVar[str] = "sigmoid"
    layer: ClassVar[type[Layer]] = Sigmoid

    def write(self, layer: Any, x: Array, y: Array, slope: Array | None, space: Space) -> None:
        logistic(x, y, space)
        if slope is not None:
            np.subtract(1, y, out=slope)
            np.multiply(y, slope, out=slope)


class FastSiLU(FastElementwise):
    name: ClassVar[str] = "silu"
    layer: ClassVar[type[Layer]] = SiLU

    def write(self, layer: Any, x: Array, y: Array, slope: Array | None, space: Space) -> None:
        logistic(x, space.c, space)
        np.multiply(x, space.c, out=y)
        if slope is not None:  # σ · (1 + x · (1 − σ))
            np.subtract(1, space.c, out=slope)
            np.multiply(slope, x, out=slope)
            np.add(slope, 1, out=slope)
            np.multiply(slope, space.c, out=slope)


class FastGELU(FastElementwise):
    """The error function has no form in NumPy; what is missing to 1 is a polynomial times the
    normal density, which the slope needs too.
    """

    name: ClassVar[str] = "gelu"
    layer: ClassVar[type[Layer]] = GELU

    def write(self, layer: Any, x: Array, y: Array, slope: Array | None, space: Space) -> None:
        if layer.tanh:
            self._by_tanh(x, y, slope, space)
            return
        t, gate, density = space.a, space.b, space.c
        np.abs(x, out=t)
        np.multiply(t, BEND / math.sqrt(2), out=t)
        np.add(t, 1, out=t)
        np.divide(1, t, out=t)
        np.multiply(x, x, out=density)
        np.multiply(density, -0.5, out=density)
        np.exp(density, out=density)
        # y holds 2t − 1 meanwhile
        np.multiply(t, 2, out=y)
        np.subtract(y, 1, out=y)
        highest, *others = tail_polynomial(TERMS[x.dtype.name])
        gate.fill(highest)
        for coefficient in others:
            np.multiply(gate, y, out=gate)
            np.add(gate, coefficient, out=gate)
        np.multiply(gate, t, out=gate)
        np.multiply(gate, density, out=gate)
        # the tail beyond |x| becomes Φ(x)
        np.subtract(0.5, gate, out=gate)
        np.copysign(gate, x, out=gate)
        np.add(gate, 0.5, out=gate)
        np.multiply(x, gate, out=y)
        if slope is not None:
            np.multiply(density, 1 / math.sqrt(2 * math.pi), out=density)
            np.multiply(density, x, out=density)
            np.add(gate, density, out=slope)

    def _by_tanh(self, x: Array, y: Array, slope: Array | None, space: Space) -> None:
        inner, cube = math.sqrt(2 / math.pi), 0.044715
        a, gate, t = space.a, space.b, space.c
        np.multiply(x, x, out=a)
        np.multiply(a, cube, out=t)
        np.add(t, 1, out=t)
        np.multiply(t, x, out=t)
        np.multiply(t, inner, out=t)
        np.tanh(t, out=t)
        np.multiply(t, 0.5, out=gate)
        np.add(gate, 0.5, out=gate)
        np.multiply(x, gate, out=y)
        if slope is None:
            return
        # gate + x · (1 − t²) · inner · (1 + 3 cube x²) / 2
        np.multiply(a, 3 * cube, out=a)
        np.add(a, 1, out=a)
        np.multiply(a, inner / 2, out=a)
        np.multiply(a, x, out=a)
        np.multiply(t, t, out=t)
        np.subtract(1, t, out=t)
        np.multiply(a, t, out=a)
        np.add(gate, a, out=slope)


def logistic(x: Array, y: Array, space: Space) -> None:
    """Write 1 / (1 + exp(−x)) to ``y``, as the plain form: no overflow, small values precise."""
    np.abs(x, out=space.a)
    np.negative(space.a, out=space.a)
    np.exp(space.a, out=space.a)
    np.greater_equal(x, 0, out=space.mask)
    np.copyto(y, space.mask)
    np.maximum(y, space.a, out=y)  # 1 where x ≥ 0, else exp(x), which is less
    np.add(space.a, 1, out=space.a)
    np.divide(y, space.a, out=y)


BEND = 0.3
"""t = 1 / (1 + BEND · |x| / √2) is where the polynomial for the tail is taken."""
TERMS = {"float32": 12, "float64": 24}
"""So many leave an error of 1e-9, and of 1e-16."""


@cache
def tail_polynomial(terms: int) -> tuple[float, ...]:
    """Coefficients in 2t − 1, the highest first, of the normal tail beyond |x| / (t exp(−x²/2)).

    The tail is 1 − Φ(|x|) = erfc(z) / 2 with z = |x| / √2, and erfc(z) exp(z²) is smooth in t.
    Interpolated at Chebyshev's points (Press et al. 2007, Numerical Recipes, section 5.8).
    """
    angles = (np.arange(96) + 0.5) * np.pi / 96
    values = []
    for u in np.cos(angles):
        t = (u + 1) / 2
        z = (1 / t - 1) / BEND
        if z < 2:
            scaled = math.erfc(z) * math.exp(z * z)
        else:  # a continued fraction: Abramowitz & Stegun 1964, equation 7.1.14
            rest = 0.0
            for k in range(200, 0, -1):
                rest = k / 2 / (z + rest)
            scaled = 1 / (z + rest) / math.sqrt(math.pi)
        values.append(scaled / (2 * t))
    chebyshev = [
        float(np.mean(values * np.cos(j * angles))) * (2 if j else 1) for j in range(terms)
    ]
    return tuple(float(c) for c in np.polynomial.chebyshev.cheb2poly(chebyshev)[::-1])


KERNELS = (
    FastELU(),
    FastGELU(),
    FastLeakyReLU(),
    FastSigmoid(),
    FastSiLU(),
)
