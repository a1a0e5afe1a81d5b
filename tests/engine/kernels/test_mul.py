"""Factors of channels: by hand, and which shapes are served."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.kernels.base import Site
from engine.kernels.mul import KERNEL
from engine.layers.base import Ctx
from engine.layers.mul import Mul


def test_a_factor_collects_over_its_map(site_of: Callable[..., Site]) -> None:
    fast = KERNEL.bind(site_of(Mul(), ((1, 2, 1, 2), (1, 2, 1, 1)), "float64", True))
    x, factor = np.array([[[[1.0, 2]], [[3, 4]]]]), np.array([[[[10.0]], [[np.inf]]]])
    result = fast.forward({}, x, factor, ctx=Ctx())
    np.testing.assert_array_equal(result.ys[0], [[[[10, 20]], [[np.inf, np.inf]]]])
    dy = np.array([[[[1.0, 1]], [[0.5, 2]]]])
    dx, dfactor = fast.backward({}, result.saved, (dy,), (True, True), Ctx()).dxs
    np.testing.assert_array_equal(dx, [[[[10, 10]], [[np.inf, np.inf]]]])
    np.testing.assert_array_equal(dfactor, [[[[3]], [[9.5]]]])


def test_other_shapes_are_left_to_the_plain_form(site_of: Callable[..., Site]) -> None:
    maps, factor, plane = (2, 3, 4, 4), (2, 3, 1, 1), (2, 1, 4, 4)
    for shapes, served in (
        ((maps, factor), True),
        ((factor, maps), True),
        ((maps, maps), False),
        ((maps, plane), False),
        ((plane, factor), False),
        (((2, 3), (2, 1)), False),
    ):
        assert KERNEL.offers(site_of(Mul(), shapes, "float32", True)) == served
