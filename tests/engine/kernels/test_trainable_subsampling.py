"""Sub-sampling: by hand, for two channels with numbers of their own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.kernels.base import Site
from engine.kernels.trainable_subsampling import KERNEL
from engine.layers.base import Ctx
from engine.layers.trainable_subsampling import TrainableSubsampling


def test_sums_times_a_number_of_each_channel(site_of: Callable[..., Site]) -> None:
    """The fifth column fills no window: it counts nowhere and receives nothing."""
    site = site_of(TrainableSubsampling(2), ((1, 2, 2, 5),), "float64", True)
    fast = KERNEL.bind(site)
    x = np.arange(20.0).reshape(1, 2, 2, 5)
    p = {"weight": np.array([2.0, -1.0]), "bias": np.array([0.5, 1.0])}
    result = fast.forward(p, x, ctx=Ctx())
    np.testing.assert_array_equal(result.ys[0][0, :, 0], [[24.5, 40.5], [-51.0, -59.0]])
    dy = np.array([[[[1.0, 10.0]], [[2.0, 0.0]]]])
    (dx,) = fast.backward(p, result.saved, (dy,), (True,), Ctx()).dxs
    assert dx is not None
    np.testing.assert_array_equal(dx[0, 0], [[2, 2, 20, 20, 0]] * 2)
    np.testing.assert_array_equal(dx[0, 1], [[-2, -2, 0, 0, 0]] * 2)
    np.testing.assert_array_equal(site.dparams["weight"], [12 + 200, 104])
    np.testing.assert_array_equal(site.dparams["bias"], [11, 2])
