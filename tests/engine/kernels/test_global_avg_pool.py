"""Global average pooling: what is not finite stays in its map."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from engine.kernels.base import Site
from engine.kernels.global_avg_pool import KERNEL
from engine.layers.base import Ctx
from engine.layers.global_avg_pool import GlobalAvgPool


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_in_its_map(odd: float, site_of: Callable[..., Site]) -> None:
    fast = KERNEL.bind(site_of(GlobalAvgPool(), ((2, 3, 4, 4),), "float32", True))
    x = np.ones((2, 3, 4, 4), np.float32)
    x[1, 2, 0, 3] = odd
    (y,) = fast.forward({}, x, ctx=Ctx()).ys
    np.testing.assert_array_equal(y[..., 0, 0], [[1, 1, 1], [1, 1, odd]])
    dy = np.array([[1, 2, 3], [4, 5, odd]], np.float32).reshape(2, 3, 1, 1)
    (dx,) = fast.backward({}, {"x": x}, (dy,), (True,), Ctx()).dxs
    np.testing.assert_array_equal(dx, np.broadcast_to(dy / 16, x.shape))
