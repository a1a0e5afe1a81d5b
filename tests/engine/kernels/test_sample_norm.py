"""Normalisations within a sample: what is not finite stays in its group."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine.kernels import PLAIN
from engine.kernels.base import Site
from engine.kernels.sample_norm import KERNELS
from engine.layers.base import Ctx, Layer
from engine.layers.group_norm import GroupNorm
from engine.layers.instance_norm import InstanceNorm
from engine.layers.layer_norm import LayerNorm


@pytest.mark.parametrize("odd", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["x", "dy"])
@pytest.mark.parametrize("layer", [GroupNorm(groups=2), InstanceNorm(), LayerNorm()], ids=str)
def test_what_is_not_finite_stays_in_its_group(
    layer: Layer, where: str, odd: float, site_of: Callable[..., Site]
) -> None:
    (kernel,) = (k for k in KERNELS if k.layer is type(layer))
    shape, rng, ctx = (3, 4, 3, 5), np.random.default_rng(0), Ctx("train")
    site, plain_site = (site_of(layer, (shape,), "float64", True) for _ in range(2))
    fast, plain = kernel.bind(site), PLAIN.bind(plain_site)
    p = {k: rng.standard_normal(s.shape) for k, s in layer.parameters(*site.inputs).items()}
    x, dy = rng.standard_normal(shape), rng.standard_normal(shape)
    {"x": x, "dy": dy}[where][1, 3, 0, 2] = odd
    with np.errstate(invalid="ignore"):
        result, expected = fast.forward(p, x, ctx=ctx), plain.forward(p, x, ctx=ctx)
        grads = fast.backward(p, result.saved, (dy,), (True,), ctx)
        wanted = plain.backward(p, expected.saved, (dy,), (True,), ctx)
    pairs: list[tuple[Any, Any]] = [(result.ys[0], expected.ys[0]), (grads.dxs[0], wanted.dxs[0])]
    pairs += [(site.dparams[k], plain_site.dparams[k]) for k in p]
    for a, b in pairs:
        np.testing.assert_array_equal(np.isfinite(a), np.isfinite(b))
        np.testing.assert_allclose(a[np.isfinite(a)], b[np.isfinite(b)], atol=1e-12)
    assert not np.isfinite(wanted.dxs[0]).all()


@pytest.mark.parametrize("run", [1, 100])
def test_the_length_of_rows_does_not_show(
    run: int, compare: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.kernels.sample_norm.RUN", run)
    for kernel in KERNELS:
        compare(kernel, kernel.layer(), ((2, 4, 6, 6),), "float64", np.random.default_rng(1), True)


def test_the_mean_of_large_numbers_is_taken_off_before_the_variance(
    site_of: Callable[..., Site],
) -> None:
    """E[x²] − μ² would have no digit left in float32."""
    (kernel,) = (k for k in KERNELS if k.layer is InstanceNorm)
    fast = kernel.bind(site_of(InstanceNorm(affine=False), ((1, 2, 4, 4),), "float32", True))
    x = 1e4 + np.arange(32, dtype=np.float32).reshape(1, 2, 4, 4) % 16
    (y,) = fast.forward({}, x, ctx=Ctx()).ys
    np.testing.assert_allclose(y[0, 0].ravel(), (np.arange(16) - 7.5) / np.sqrt(21.25), rtol=1e-4)
