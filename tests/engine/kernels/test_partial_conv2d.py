"""Partial convolution: connections that do not exist pass nothing on, not even ∞ · 0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine.kernels import PLAIN
from engine.kernels.base import Site
from engine.kernels.partial_conv2d import KERNEL
from engine.layers.base import Ctx
from engine.layers.partial_conv2d import PartialConv2d


@pytest.mark.parametrize("odd", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["x", "dy"])
def test_what_is_not_finite_goes_along_connections_alone(
    where: str, odd: float, site_of: Callable[..., Site]
) -> None:
    layer, shape, rng = PartialConv2d(), (2, 6, 7, 7), np.random.default_rng(0)
    site, plain_site = (site_of(layer, (shape,), "float64", True) for _ in range(2))
    fast, plain, ctx = KERNEL.bind(site), PLAIN.bind(plain_site), Ctx()
    p = {k: rng.standard_normal(s.shape) for k, s in layer.parameters(*site.inputs).items()}
    for value in (0.0, odd, 0.0):  # and the run afterwards is a fast one again
        x, dy = rng.standard_normal(shape), rng.standard_normal(site.outputs[0].shape)
        {"x": x, "dy": dy}[where][1, 3, 1, 2] = value
        with np.errstate(invalid="ignore"):
            result, expected = fast.forward(p, x, ctx=ctx), plain.forward(p, x, ctx=ctx)
            grads = fast.backward(p, result.saved, (dy,), (True,), ctx)
            wanted = plain.backward(p, expected.saved, (dy,), (True,), ctx)
        pairs: list[tuple[Any, Any]] = [
            (result.ys[0], expected.ys[0]),
            (grads.dxs[0], wanted.dxs[0]),
        ]
        pairs += [(site.dparams[k], plain_site.dparams[k]) for k in p]
        for a, b in pairs:
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-11)
        assert np.isfinite(np.array([np.abs(b).max() for _, b in pairs])).all() == (value == 0)
