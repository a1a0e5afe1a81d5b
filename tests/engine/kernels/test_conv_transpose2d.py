"""Transposed convolution: what is not finite, and what is left to the plain form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine.kernels import PLAIN
from engine.kernels.base import Site
from engine.kernels.conv_transpose2d import KERNEL
from engine.layers.base import Ctx
from engine.layers.conv_transpose2d import ConvTranspose2d


@pytest.mark.parametrize("odd", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["x", "dy"])
@pytest.mark.parametrize("stride", [1, 2])
def test_what_is_not_finite_goes_where_the_plain_form_sends_it(
    stride: int, where: str, odd: float, site_of: Callable[..., Site]
) -> None:
    layer, shape = ConvTranspose2d(3, 3, stride, 1), (2, 4, 5, 6)
    site, plain_site = (site_of(layer, (shape,), "float64", True) for _ in range(2))
    fast, plain, ctx = KERNEL.bind(site), PLAIN.bind(plain_site), Ctx("train")
    rng = np.random.default_rng(0)
    p = {k: rng.standard_normal(s.shape) for k, s in layer.parameters(*site.inputs).items()}
    x, dy = rng.standard_normal(shape), rng.standard_normal(site.outputs[0].shape)
    {"x": x, "dy": dy}[where][1, 2, 0, 3] = odd
    with np.errstate(invalid="ignore"):
        result, expected = fast.forward(p, x, ctx=ctx), plain.forward(p, x, ctx=ctx)
        grads = fast.backward(p, result.saved, (dy,), (True,), ctx)
        wanted = plain.backward(p, expected.saved, (dy,), (True,), ctx)
    pairs: list[tuple[Any, Any]] = [(result.ys[0], expected.ys[0]), (grads.dxs[0], wanted.dxs[0])]
    pairs += [(site.dparams[k], plain_site.dparams[k]) for k in p]
    for a, b in pairs:
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-11)
    assert any(not np.isfinite(b).all() for _, b in pairs)


def test_what_is_left_to_the_plain_form(site_of: Callable[..., Site]) -> None:
    """Groups, and an output in which the convolution would find room for one window more."""
    shape = ((1, 4, 3, 3),)
    assert KERNEL.offers(site_of(ConvTranspose2d(4), shape, "float32", True))
    grouped = ConvTranspose2d(4, groups=2)
    longer = ConvTranspose2d(4, 2, 1, dilation=2, output_padding=1)
    for layer in (grouped, longer):
        assert not KERNEL.offers(site_of(layer, shape, "float32", True))
