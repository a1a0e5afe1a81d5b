"""Grouped convolution: what random shapes do not reach."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine.kernels.base import Site
from engine.kernels.grouped_conv2d import KERNEL
from engine.layers.base import Ctx
from engine.layers.conv2d import Conv2d


@pytest.mark.parametrize(
    ("layer", "shape", "form"),
    [
        (Conv2d(12, 5, padding=2, groups=2), (3, 6, 14, 14), "Banded"),
        (Conv2d(32, 3, padding=1, groups=2), (3, 32, 28, 28), "Copyless"),
        (Conv2d(64, 3, padding=1, groups=2), (2, 64, 6, 6), "Im2col"),
    ],
)
def test_every_form_of_a_group(
    layer: Conv2d,
    shape: tuple[int, ...],
    form: str,
    compare: Callable[..., None],
    site_of: Callable[..., Site],
) -> None:
    """Few channels, some, and many."""
    bound: Any = KERNEL.bind(site_of(layer, (shape,), "float64", True))
    assert {type(group).__name__ for group in bound.groups} == {f"Bound{form}"}
    compare(KERNEL, layer, (shape,), "float64", np.random.default_rng(0), True)


def test_other_weights_and_other_maps_are_noticed(site_of: Callable[..., Site]) -> None:
    """The views of the groups' parts are kept from run to run, but not those of other arrays."""
    layer, rng = Conv2d(4, 1, groups=2, bias=False), np.random.default_rng(0)
    fast = KERNEL.bind(site_of(layer, ((2, 4, 3, 3),), "float64", True))
    for _ in range(3):
        p = {"weight": rng.standard_normal((4, 2, 1, 1))}
        x = rng.standard_normal((2, 4, 3, 3))
        (y,) = fast.forward(p, x, ctx=Ctx()).ys
        np.testing.assert_allclose(y, layer.forward(p, x).ys[0], atol=1e-13)
    assert not KERNEL.offers(site_of(Conv2d(4, 1), ((2, 4, 3, 3),), "float64", True))
