"""Resizing by repetition: by hand, and only where cells are repeated."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.kernels.base import Site
from engine.kernels.resize import KERNEL
from engine.layers.base import Ctx
from engine.layers.resize import Resize


def test_a_cell_fills_a_window_and_collects_from_it(site_of: Callable[..., Site]) -> None:
    fast = KERNEL.bind(site_of(Resize((1, 2)), ((1, 1, 1, 3),), "float64", True))
    result = fast.forward({}, np.array([[[[1.0, np.nan, 3]]]]), ctx=Ctx())
    np.testing.assert_array_equal(result.ys[0][0, 0], [[1, 1, np.nan, np.nan, 3, 3]])
    dy = np.array([[[[1.0, 2, 3, 4, np.inf, 6]]]])
    (dx,) = fast.backward({}, result.saved, (dy,), (True,), Ctx()).dxs
    assert dx is not None
    np.testing.assert_array_equal(dx[0, 0], [[3, 7, np.inf]])


def test_lines_between_cells_are_left_to_the_plain_form(site_of: Callable[..., Site]) -> None:
    shape = ((1, 1, 2, 2),)
    assert KERNEL.offers(site_of(Resize(2), shape, "float32", True))
    assert not KERNEL.offers(site_of(Resize(2, "linear"), shape, "float32", True))
