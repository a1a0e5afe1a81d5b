"""Concatenation: its views follow the arrays that it is given."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.kernels.base import Site
from engine.kernels.concat import KERNEL
from engine.layers.base import Ctx
from engine.layers.concat import Concat


def test_the_parts_of_dy_are_not_copied(site_of: Callable[..., Site]) -> None:
    fast = KERNEL.bind(site_of(Concat(), ((2, 3, 4, 4), (2, 1, 4, 4)), "float32", True))
    rng = np.random.default_rng(0)
    for _ in range(2):
        xs = [rng.random((2, c, 4, 4), np.float32) for c in (3, 1)]
        result = fast.forward({}, *xs, ctx=Ctx())
        np.testing.assert_array_equal(result.ys[0], np.concatenate(xs, 1))
        dy = rng.random((2, 4, 4, 4), np.float32)
        first, second = fast.backward({}, result.saved, (dy,), (True, False), Ctx()).dxs
        assert first is not None and np.shares_memory(first, dy) and second is None
        np.testing.assert_array_equal(first, dy[:, :3])
