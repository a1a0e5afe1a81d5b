"""The other kind of pooling: the same windows, one winner beside an even split."""

import numpy as np
import pytest

from engine.layers import REGISTRY
from engine.other_pooling import has_other, other_kind, pooled_otherwise

MAX, AVG = REGISTRY["MaxPool2d"], REGISTRY["AvgPool2d"]


@pytest.mark.parametrize(
    "settings",
    [
        {"kernel_size": 2},
        {"kernel_size": 3, "stride": 2, "padding": 1},
        {"kernel_size": (3, 2), "stride": 1, "ceil_mode": True},
        {"kernel_size": 3, "stride": 2, "padding": (1, 0, 1, 1)},
    ],
)
@pytest.mark.parametrize("kind", [MAX, AVG])
def test_the_windows_are_the_same_both_ways(kind, settings):
    layer = kind(**settings)
    other = other_kind(layer)
    assert type(other) is (AVG if kind is MAX else MAX)
    assert other.window == layer.window
    assert other_kind(other).window == layer.window


@pytest.mark.parametrize("kind", [MAX, AVG])
def test_numbers_are_those_of_the_layer(kind):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(3, 7, 6)).astype(np.float32)
    layer = kind(3, stride=2, padding=1)
    other = other_kind(layer)
    result = other.forward({}, x[None])
    dy = rng.normal(size=result.ys[0].shape[1:]).astype(np.float32)
    found = pooled_otherwise(layer, x, dy)
    assert np.array_equal(found.y, result.ys[0][0])
    dx = other.backward({}, result.saved, (dy[None],), (True,)).dxs[0]
    assert np.array_equal(found.dx, dx[0])
    assert found.dx.sum(dtype=np.float64) == pytest.approx(dy.sum(dtype=np.float64), abs=1e-5)
    assert found.share.shape == dy.shape[1:]
    assert found.share[0, 0] == 1 / 4 and found.share[1, 1] == 1 / 9  # a corner has four cells
    assert pooled_otherwise(layer, x, None).dx is None


def test_an_even_split_against_one_winner():
    x = np.arange(16, dtype=np.float32).reshape(1, 4, 4)
    dy = np.array([[[4.0, 8.0], [12.0, 16.0]]], np.float32)
    found = pooled_otherwise(MAX(2), x, dy)
    assert found.y.tolist() == [[[2.5, 4.5], [10.5, 12.5]]]
    assert found.dx.tolist() == [[[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]]
    back = pooled_otherwise(AVG(2), x, dy)
    assert back.y.tolist() == [[[5, 7], [13, 15]]]
    assert back.dx.nonzero()[1].tolist() == [1, 1, 3, 3] and back.dx.sum() == 40


def test_what_is_not_finite_goes_through():
    x = np.ones((1, 4, 4), np.float32)
    x[0, 0, 0], x[0, 3, 3] = np.nan, np.inf
    found = pooled_otherwise(MAX(2), x, None)
    assert np.isnan(found.y[0, 0, 0]) and found.y[0, 1, 1] == np.inf and found.y[0, 0, 1] == 1


def test_refusals_say_why():
    assert not has_other(REGISTRY["ReLU"]())
    with pytest.raises(ValueError, match="expected MaxPool2d or AvgPool2d"):
        other_kind(REGISTRY["ReLU"]())
    if "dilation" not in {f for f in AVG.__dataclass_fields__}:
        with pytest.raises(ValueError, match="no dilation"):
            other_kind(MAX(2, dilation=2))
    else:
        assert other_kind(MAX(2, dilation=2)).window == MAX(2, dilation=2).window
