"""How the tests of kernels compare a fast form with the plain form of its layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest

from engine.kernels import PLAIN
from engine.kernels.base import Kernel, Site, Use
from engine.layers.base import Array, Ctx, Layer, Spec

TOLERANCE = {"float64": 1e-13, "float32": 3e-5}


class Spoiled:
    """Memory with nothing but NaN in it, and again when others may have used it meanwhile."""

    def __init__(self) -> None:
        self.taken: list[tuple[Use, Array]] = []

    def take(self, use: Use, index: int, count: int, dtype: np.dtype[np.generic]) -> Array:
        self.taken.append((use, np.empty(count, dtype)))
        self.spoil(use)
        return self.taken[-1][1]

    def spoil(self, *uses: Use) -> None:
        for use, vector in self.taken:
            if use in uses:
                vector.fill(True if vector.dtype == bool else np.nan)


def _site_of(layer: Layer, shapes: tuple[tuple[int, ...], ...], dtype: str, need: bool) -> Site:
    specs = tuple(Spec(shape, dtype) for shape in shapes)
    trained = {k: s for k, s in layer.parameters(*specs).items() if s.kind == "weight"}
    dparams = {name: np.full(s.shape, np.nan, dtype) for name, s in trained.items()}
    return Site(layer, specs, layer.outputs(*specs), (need,) * len(specs), dparams, True, Spoiled())


def _ordered(rng: np.random.Generator, x: Array) -> Array:
    """The same values in a random order of memory, as different producers leave them."""
    if x.ndim != 4:
        return x
    order = [(0, 1, 2, 3), (0, 2, 3, 1), (0, 2, 1, 3)][rng.integers(3)]
    return np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))


def _close(a: Array, b: Array, dtype: str) -> None:
    assert a.shape == b.shape and a.dtype == b.dtype
    scale = max(1.0, float(np.abs(b).max(initial=0)))
    np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE[dtype] * scale)


def _compare(
    kernel: Kernel, layer: Layer, shapes: Any, dtype: str, rng: np.random.Generator, need: bool
) -> None:
    """Two runs of each form on the same numbers; the second reuses the buffers of the first."""
    mode: Any = ("train", "eval")[rng.integers(2)]
    site, plain_site = _site_of(layer, shapes, dtype, need), _site_of(layer, shapes, dtype, need)
    fast, plain, memory = kernel.bind(site), PLAIN.bind(plain_site), cast(Spoiled, site.memory)
    specs = layer.parameters(*site.inputs)
    p = {k: s.initial(rng, dtype) + rng.random(s.shape).astype(dtype) for k, s in specs.items()}
    for _ in range(2):
        memory.spoil("value", "saved", "gradient", "forward", "backward", "call")
        xs = [_ordered(rng, rng.integers(-3, 4, s).astype(dtype)) for s in shapes]
        xs = [x + (rng.random() < 0.5) * rng.standard_normal(x.shape).astype(dtype) for x in xs]
        dys = tuple(_ordered(rng, rng.standard_normal(s.shape).astype(dtype)) for s in site.outputs)
        before = [a.copy() for a in (*xs, *dys, *p.values())]
        ctx, needs = Ctx(mode), site.need
        result, expected = fast.forward(p, *xs, ctx=ctx), plain.forward(p, *xs, ctx=ctx)
        _close(result.ys[0], expected.ys[0], dtype)
        assert result.statistics.keys() == expected.statistics.keys()
        for name, statistic in expected.statistics.items():
            _close(result.statistics[name], statistic, dtype)
        described = fast.describe(result.saved)
        assert described.keys() == expected.saved.keys()
        for name, value in expected.saved.items():
            entry = described[name]
            _close(entry() if callable(entry) else entry, value, dtype)
        memory.spoil("forward", "backward", "call")
        grads = fast.backward(p, result.saved, dys, needs, ctx)
        wanted = plain.backward(p, expected.saved, dys, needs, ctx)
        for dx, dx_expected in zip(grads.dxs, wanted.dxs, strict=True):
            assert (dx is None) == (dx_expected is None) == (not need)
            if dx is not None and dx_expected is not None:
                _close(dx, dx_expected, dtype)
        for name, value in plain_site.dparams.items():
            _close(site.dparams[name], value, dtype)
        for old, array in zip(before, (*xs, *dys, *p.values()), strict=True):
            np.testing.assert_array_equal(old, array)  # no argument was written to


@pytest.fixture
def site_of() -> Callable[..., Site]:
    """A site for a layer, shapes of its inputs, a dtype and whether their gradients are wanted."""
    return _site_of


@pytest.fixture
def compare() -> Callable[..., None]:
    """Asserts that a kernel equals the plain form: (kernel, layer, shapes, dtype, rng, need)."""
    return _compare
