"""Activations cell by cell: far out, at kinks, and where nothing is finite."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from engine.kernels.base import Site
from engine.kernels.elementwise import KERNELS, TERMS, FastElementwise, tail_polynomial
from engine.layers.base import Ctx
from engine.layers.gelu import GELU
from engine.layers.leaky_relu import LeakyReLU

PRECISION = {"float32": 3e-7, "float64": 1e-15}
ODD = (np.nan, np.inf, -np.inf, 0.0, -0.0, 100.0, -100.0, 1e-30)


@pytest.mark.parametrize("dtype", PRECISION)
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
def test_a_range_of_numbers_and_odd_ones(
    kernel: FastElementwise, dtype: str, site_of: Callable[..., Site]
) -> None:
    """Equal to rounding, and each NaN and infinity where the plain form has one."""
    x = np.concatenate([ODD, np.linspace(-12, 12, 4001)]).astype(dtype)[None]
    layer, ctx = kernel.layer(), Ctx()
    fast = kernel.bind(site_of(layer, (x.shape,), dtype, True))
    dy = np.ones_like(x)
    with np.errstate(invalid="ignore"):
        result, expected = fast.forward({}, x, ctx=ctx), layer.forward({}, x, ctx=ctx)
        grads = fast.backward({}, result.saved, (dy,), (True,), ctx)
        wanted = layer.backward({}, expected.saved, (dy,), (True,), ctx)
    for a, b in ((result.ys[0], expected.ys[0]), (grads.dxs[0], wanted.dxs[0])):
        assert a is not None and b is not None and np.isfinite(b).sum() > 4000
        np.testing.assert_allclose(a, b, rtol=PRECISION[dtype], atol=PRECISION[dtype])


@pytest.mark.parametrize("terms", TERMS.values())
def test_the_tail_of_the_normal_distribution(terms: int) -> None:
    x = np.linspace(0, 9, 500)
    t = 1 / (1 + 0.3 * x / math.sqrt(2))
    tail = np.polyval(tail_polynomial(terms), 2 * t - 1) * t * np.exp(-x * x / 2)
    exact = [math.erfc(v / math.sqrt(2)) / 2 for v in x]
    np.testing.assert_allclose(tail, exact, rtol=0, atol={12: 2e-9, 24: 4e-16}[terms])


def test_small_values_of_a_sigmoid_stay_precise(site_of: Callable[..., Site]) -> None:
    (kernel,) = (k for k in KERNELS if k.name == "sigmoid")
    fast = kernel.bind(site_of(kernel.layer(), ((1, 2),), "float32", True))
    (y,) = fast.forward({}, np.array([[-30, -80]], np.float32), ctx=Ctx()).ys
    np.testing.assert_allclose(y, [[9.357623e-14, 1.804851e-35]], rtol=1e-6)


def test_pieces_and_views_do_not_show_in_the_result(
    compare: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    site_of: Callable[..., Site],
) -> None:
    monkeypatch.setattr("engine.kernels.elementwise.CHUNK", 13)
    (kernel,) = (k for k in KERNELS if k.name == "gelu")
    compare(kernel, GELU(), ((3, 4, 5, 2),), "float64", np.random.default_rng(0), True)
    fast = kernel.bind(site_of(GELU(), ((2, 3, 4, 4),), "float64", True))
    x = np.random.default_rng(1).standard_normal((2, 3, 6, 6))[:, :, 1:5, 1:5]  # not dense
    result = fast.forward({}, x, ctx=Ctx())
    np.testing.assert_allclose(result.ys[0], GELU().forward({}, x).ys[0], atol=1e-15)


def test_a_leaky_relu_without_a_leak_is_left_to_the_plain_form(
    site_of: Callable[..., Site],
) -> None:
    (kernel,) = (k for k in KERNELS if k.name == "leaky relu")
    assert not kernel.offers(site_of(LeakyReLU(0.0), ((1, 2),), "float32", True))
