"""Depthwise convolution: what random shapes do not reach."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine.kernels import PLAIN
from engine.kernels.base import Site
from engine.kernels.depthwise_conv2d import KERNEL, Meeting, meetings
from engine.layers.base import Ctx
from engine.layers.conv2d import Conv2d


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["x", "dy", "weight"])
@pytest.mark.parametrize("stride", [1, 2])
def test_what_is_not_finite_goes_where_the_plain_form_sends_it(
    stride: int, where: str, odd: float, site_of: Callable[..., Site]
) -> None:
    layer, shape = Conv2d(4, 3, stride, padding=1, groups=4), (2, 4, 7, 6)
    site, plain_site = (site_of(layer, (shape,), "float64", True) for _ in range(2))
    rng, ctx = np.random.default_rng(5), Ctx("train")
    p = {k: rng.standard_normal(s.shape) for k, s in layer.parameters(*site.inputs).items()}
    x, dy = rng.standard_normal(shape), rng.standard_normal(site.outputs[0].shape)
    target = {"x": x, "dy": dy, "weight": p["weight"]}[where]
    target[1, 0, 0, 2] = odd
    fast, plain = KERNEL.bind(site), PLAIN.bind(plain_site)
    with np.errstate(invalid="ignore"):
        result, expected = fast.forward(p, x, ctx=ctx), plain.forward(p, x, ctx=ctx)
        grads = fast.backward(p, result.saved, (dy,), (True,), ctx)
        wanted = plain.backward(p, expected.saved, (dy,), (True,), ctx)
    pairs: list[tuple[Any, Any]] = [(result.ys[0], expected.ys[0]), (grads.dxs[0], wanted.dxs[0])]
    pairs += [(site.dparams[k], plain_site.dparams[k]) for k in p]
    assert any(not np.isfinite(b).all() for _, b in pairs)
    for a, b in pairs:
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-11)


def test_one_kernel_per_channel_only(site_of: Callable[..., Site]) -> None:
    shape = ((2, 4, 8, 8),)
    assert KERNEL.offers(site_of(Conv2d(4, 3, groups=4), shape, "float32", True))
    for layer in (Conv2d(8, 3, groups=4), Conv2d(4, 3, groups=2), Conv2d(4, 3)):
        assert not KERNEL.offers(site_of(layer, shape, "float32", True))


def test_rows_longer_than_the_limit_are_cut_into_tiles(
    compare: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.kernels.depthwise_conv2d.WIDE", 20)
    layer = Conv2d(5, 3, padding=1, groups=5)
    compare(KERNEL, layer, ((2, 5, 6, 12),), "float64", np.random.default_rng(1), True)


def test_which_places_of_the_kernel_meet_which_cells() -> None:
    """3 places, stride 2, one cell of padding: odd cells see places 2 and 0, even ones place 1."""
    assert meetings(6, before=1, kernel=3, stride=2, dilation=1) == [
        Meeting(0, 3, range(1, 0, -1), 0, 1),
        Meeting(1, 3, range(2, -1, -2), 0, 1),
    ]
    # a stride of 3 passes over every third cell that a kernel of one place would meet
    assert [m.first for m in meetings(9, before=0, kernel=1, stride=3, dilation=1)] == [0]
