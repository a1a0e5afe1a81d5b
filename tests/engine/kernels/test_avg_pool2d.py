"""Average pooling: the divisor at the edges, and cells that no window meets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from engine.kernels.avg_pool2d import KERNEL
from engine.kernels.base import Site
from engine.layers.avg_pool2d import AvgPool2d
from engine.layers.base import Ctx


def test_the_overhang_of_ceil_mode_never_counts(site_of: Callable[..., Site]) -> None:
    layer = AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=True)
    fast = KERNEL.bind(site_of(layer, ((1, 1, 4, 4),), "float64", True))
    (y,) = fast.forward({}, np.arange(1.0, 17).reshape(1, 1, 4, 4), ctx=Ctx()).ys
    np.testing.assert_allclose(y[0, 0, 0], [14 / 9, 30 / 9, 2])


@pytest.mark.parametrize("odd", [np.nan, np.inf])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_what_is_not_finite_reaches_its_windows_alone(
    stride: int, odd: float, site_of: Callable[..., Site]
) -> None:
    layer, shape, rng = AvgPool2d(2, stride), (2, 3, 7, 7), np.random.default_rng(0)
    site = site_of(layer, (shape,), "float64", True)
    fast, ctx = KERNEL.bind(site), Ctx()
    x, dy = rng.standard_normal(shape), rng.standard_normal(site.outputs[0].shape)
    x[0, 1, 3, 3] = dy[1, 0, 0, 1] = odd
    result, expected = fast.forward({}, x, ctx=ctx), layer.forward({}, x, ctx=ctx)
    grads = fast.backward({}, result.saved, (dy,), (True,), ctx)
    wanted = layer.backward({}, expected.saved, (dy,), (True,), ctx)
    np.testing.assert_allclose(result.ys[0], expected.ys[0], atol=1e-13)
    np.testing.assert_allclose(grads.dxs[0], wanted.dxs[0], atol=1e-13)
    assert not np.isfinite(wanted.dxs[0]).all()


def test_cells_between_windows_receive_nothing_in_each_run(site_of: Callable[..., Site]) -> None:
    fast = KERNEL.bind(site_of(AvgPool2d(1, 2), ((1, 1, 4, 4),), "float64", True))
    for _ in range(2):
        result = fast.forward({}, np.ones((1, 1, 4, 4)), ctx=Ctx())
        (dx,) = fast.backward({}, result.saved, (np.ones((1, 1, 2, 2)),), (True,), Ctx()).dxs
        assert dx is not None
        np.testing.assert_array_equal(dx[0, 0], np.kron(np.ones((2, 2)), [[1, 0], [0, 0]]))
