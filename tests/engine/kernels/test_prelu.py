"""PReLU: odd numbers in x, in dy and among the slopes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine.kernels import PLAIN
from engine.kernels.base import Site
from engine.kernels.prelu import KERNEL
from engine.layers.base import Ctx
from engine.layers.prelu import PReLU


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["x", "dy", "weight"])
def test_what_is_not_finite_goes_where_the_plain_form_sends_it(
    where: str, odd: float, site_of: Callable[..., Site]
) -> None:
    shape, rng, ctx = (2, 3, 4, 4), np.random.default_rng(0), Ctx("train")
    site, plain_site = (site_of(PReLU(), (shape,), "float64", True) for _ in range(2))
    fast, plain = KERNEL.bind(site), PLAIN.bind(plain_site)
    arrays = {"x": rng.standard_normal(shape), "dy": rng.standard_normal(shape)}
    arrays["x"][0, :, 0] = np.abs(arrays["x"][0, :, 0])
    p = {"weight": np.array([0.3, -2.0, 0.0])}
    {**arrays, **p}[where].flat[2] = odd
    x, dy = arrays.values()
    with np.errstate(invalid="ignore"):
        result, expected = fast.forward(p, x, ctx=ctx), plain.forward(p, x, ctx=ctx)
        grads = fast.backward(p, result.saved, (dy,), (True,), ctx)
        wanted = plain.backward(p, expected.saved, (dy,), (True,), ctx)
    pairs: list[tuple[Any, Any]] = [(result.ys[0], expected.ys[0]), (grads.dxs[0], wanted.dxs[0])]
    pairs.append((site.dparams["weight"], plain_site.dparams["weight"]))
    for a, b in pairs:
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-13)
    assert any(not np.isfinite(b).all() for _, b in pairs)
