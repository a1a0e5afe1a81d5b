"""Max pooling with windows that overlap: ties, what is not finite, padding, chunks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from engine.kernels.base import Site
from engine.kernels.overlapping_max_pool2d import KERNEL
from engine.layers.base import Ctx
from engine.layers.max_pool2d import MaxPool2d


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["x", "dy"])
@pytest.mark.parametrize("stride", [1, 2])
def test_what_is_not_finite_goes_where_the_plain_form_sends_it(
    stride: int, where: str, odd: float, site_of: Callable[..., Site]
) -> None:
    layer, shape = MaxPool2d(3, stride, padding=1), (2, 3, 6, 7)
    site = site_of(layer, (shape,), "float64", True)
    rng, fast, ctx = np.random.default_rng(3), KERNEL.bind(site), Ctx("train")
    x, dy = rng.standard_normal(shape), rng.standard_normal(site.outputs[0].shape)
    target = {"x": x, "dy": dy}[where]
    target[rng.random(target.shape) < 0.4] = odd
    target[0, 0] = odd
    result, expected = fast.forward({}, x, ctx=ctx), layer.forward({}, x, ctx=ctx)
    np.testing.assert_array_equal(result.ys[0], expected.ys[0])
    argmax = fast.describe(result.saved)["argmax"]
    assert callable(argmax)
    np.testing.assert_array_equal(argmax(), expected.saved["argmax"])
    grads = fast.backward({}, result.saved, (dy,), (True,), ctx)
    wanted = layer.backward({}, expected.saved, (dy,), (True,), ctx)
    np.testing.assert_array_equal(grads.dxs[0], wanted.dxs[0])


def test_ties_go_to_the_first_in_row_major_order(site_of: Callable[..., Site]) -> None:
    """Two windows side by side; the middle column belongs to both."""
    layer = MaxPool2d((2, 3), (2, 2))
    fast = KERNEL.bind(site_of(layer, ((1, 1, 2, 5),), "float32", True))
    for cells, dx in (
        ([[0, 0, 0, 0, 0], [0, 0, 0, 0, 0]], [[2, 0, 3, 0, 0], [0, 0, 0, 0, 0]]),
        ([[0, 0, 1, 0, 0], [1, 0, 1, 0, 1]], [[0, 0, 5, 0, 0], [0, 0, 0, 0, 0]]),
        ([[0, 0, 0, 0, 0], [0, 1, 0, 1, 1]], [[0, 0, 0, 0, 0], [0, 2, 0, 3, 0]]),
    ):
        x = np.array(cells, np.float32).reshape(1, 1, 2, 5)
        result = fast.forward({}, x, ctx=Ctx())
        dy = np.array([2, 3], np.float32).reshape(1, 1, 1, 2)
        (found,) = fast.backward({}, result.saved, (dy,), (True,), Ctx()).dxs
        assert found is not None
        np.testing.assert_array_equal(found[0, 0], dx)


@pytest.mark.parametrize("constant", [-1e30, 0.0])
def test_padding_never_wins(constant: float, site_of: Callable[..., Site]) -> None:
    fast = KERNEL.bind(site_of(MaxPool2d(3, 2, padding=1), ((1, 2, 5, 5),), "float32", True))
    (y,) = fast.forward({}, np.full((1, 2, 5, 5), constant, np.float32), ctx=Ctx()).ys
    np.testing.assert_array_equal(y, np.full((1, 2, 3, 3), constant, np.float32))


def test_a_window_in_padding_alone_is_left_to_the_plain_form(
    site_of: Callable[..., Site],
) -> None:
    shape = ((1, 1, 1, 1),)
    assert not KERNEL.offers(site_of(MaxPool2d(2, 1, 1, dilation=2), shape, "float32", True))
    assert KERNEL.offers(site_of(MaxPool2d(3, 1, 1), shape, "float32", True))


@pytest.mark.parametrize("chunk", [1, 100])
def test_chunks_do_not_show_in_the_result(
    chunk: int, compare: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.kernels.overlapping_max_pool2d.CHUNK", chunk)
    layer = MaxPool2d(3, 2, padding=1)
    compare(KERNEL, layer, ((5, 2, 9, 8),), "float64", np.random.default_rng(1), True)
