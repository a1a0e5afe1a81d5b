"""Numbers of an array: against NumPy, and where NumPy's own sums would overflow."""

import numpy as np
import pytest

from engine.statistics import norm, products, statistics_of


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_statistics_are_numpys(dtype: str) -> None:
    x = np.random.default_rng(0).normal(3.0, 2.0, (4, 5, 6)).astype(dtype)
    x[0, 0] = 0
    found = statistics_of(x)
    exact = x.astype(np.float64)
    assert (found.size, found.zeros) == (120, 6)
    assert (found.low, found.high) == (x.min(), x.max())
    assert found.mean == pytest.approx(exact.mean(), rel=1e-6)
    assert found.spread == pytest.approx(exact.std(), rel=1e-6)
    assert found.norm == pytest.approx(np.linalg.norm(exact), rel=1e-6)
    assert norm(x) == pytest.approx(np.linalg.norm(exact))
    assert found.zero_share == 0.05
    assert found.finite


def test_what_is_not_finite_is_counted_and_left_out() -> None:
    found = statistics_of(np.array([1.0, -1.0, np.nan, np.inf, -np.inf, -np.inf]))
    assert found.special == (1, 1, 2)
    assert not found.finite
    assert (found.low, found.high, found.mean, found.spread) == (-1, 1, 0, 1)
    assert norm(np.array([1.0, np.nan])) != norm(np.array([1.0, np.nan]))  # NaN is not hidden


def test_large_and_small_numbers_neither_overflow_nor_vanish() -> None:
    for size in (1e300, 1e-300):
        found = statistics_of(np.array([size, -size]))
        assert found.norm == pytest.approx(2**0.5 * size)
        assert found.spread == pytest.approx(size)


def test_integers_and_empty_arrays() -> None:
    assert statistics_of(np.array([[1, 2], [3, 0]])).mean == 1.5
    assert statistics_of(np.zeros((0, 3))).zero_share == 0.0
    assert statistics_of(np.zeros(5)).zero_share == 1.0


@pytest.mark.parametrize("count", [1, 3, 40])
def test_products_are_those_of_the_flat_arrays(count: int) -> None:
    rng = np.random.default_rng(count)
    plain = [rng.normal(size=(5, 31, 67)).astype(np.float32) for _ in range(count)]
    padded = []
    for array in plain:  # channels last, within a larger buffer, as a plan has them
        room = np.zeros((32, 68, 5), np.float32)
        view = room[:31, :67].transpose(2, 0, 1)
        view[...] = array
        padded.append(view)
    flat = np.stack([array.astype(np.float64).ravel() for array in plain])
    for arrays in (plain, padded, [*plain[:-1], padded[-1]]):
        np.testing.assert_allclose(products(arrays), flat @ flat.T, rtol=1e-10, atol=1e-9)
        assert products(arrays)[0, 0] == pytest.approx(norm(plain[0]) ** 2)


def test_products_of_other_shapes_are_refused_and_what_is_not_finite_stays() -> None:
    with pytest.raises(ValueError, match="expected arrays of one shape"):
        products([np.zeros(3), np.zeros(4)])
    found = products([np.array([1.0, np.inf]), np.array([2.0, 1.0])])
    assert found[0, 0] == np.inf and found[1, 1] == 5 and found[0, 1] == np.inf
    assert products([]).shape == (0, 0)
    assert products([np.zeros((0, 3))]).tolist() == [[0.0]]
