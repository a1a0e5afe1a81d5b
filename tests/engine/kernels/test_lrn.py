"""Local response normalisation: neighbourhoods end at a pixel's first and last channel."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from engine.kernels.base import Site
from engine.kernels.lrn import KERNEL
from engine.layers.base import Ctx
from engine.layers.lrn import LRN


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["x", "dy"])
def test_what_is_not_finite_reaches_its_neighbourhood_alone(
    where: str, odd: float, site_of: Callable[..., Site]
) -> None:
    layer, shape, rng = LRN(5), (2, 4, 3, 3), np.random.default_rng(0)
    fast, ctx = KERNEL.bind(site_of(layer, (shape,), "float64", True)), Ctx()
    x, dy = rng.standard_normal(shape), rng.standard_normal(shape)
    {"x": x, "dy": dy}[where][0, 3, 1, 1] = odd
    with np.errstate(invalid="ignore"):
        result, expected = fast.forward({}, x, ctx=ctx), layer.forward({}, x, ctx=ctx)
        grads = fast.backward({}, result.saved, (dy,), (True,), ctx)
        wanted = layer.backward({}, expected.saved, (dy,), (True,), ctx)
    np.testing.assert_allclose(result.ys[0], expected.ys[0], atol=1e-13)
    np.testing.assert_allclose(grads.dxs[0], wanted.dxs[0], atol=1e-13)
    assert (where == "x") == (not np.isfinite(result.ys[0]).all())
    assert not np.isfinite(wanted.dxs[0]).all()


@pytest.mark.parametrize("chunk", [1, 100])
def test_chunks_do_not_show_in_the_result(
    chunk: int, compare: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.kernels.lrn.CHUNK", chunk)
    compare(KERNEL, LRN(3), ((5, 7, 3, 3),), "float64", np.random.default_rng(1), True)


def test_a_neighbourhood_wider_than_the_channels(compare: Callable[..., None]) -> None:
    compare(KERNEL, LRN(9), ((3, 2, 4, 4),), "float64", np.random.default_rng(2), True)
