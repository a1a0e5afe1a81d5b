"""Cross-entropy: recorded PyTorch values, finite differences, bad targets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.gradient_check import central_differences
from engine.layers.base import ShapeError, Spec
from engine.losses import CrossEntropy, TargetError

FILE = Path(__file__).parent / "recorded" / "training.npz"


@pytest.mark.parametrize("number", range(3))
def test_cross_entropy_agrees_with_pytorch(number: int) -> None:
    with np.load(FILE) as file:
        x, target, loss, dx = (
            file[f"cross_entropy{number}/{name}"] for name in ("x", "target", "loss", "dx")
        )
    assert np.ptp(dx) > 1e-3 * np.abs(dx).max()
    ours, saved = CrossEntropy().forward(x, target)
    assert ours.shape == () and abs(ours - loss) <= 1e-12 * max(1, loss)
    np.testing.assert_allclose(CrossEntropy().backward(saved), dx, rtol=0, atol=1e-14)
    np.testing.assert_allclose(CrossEntropy().backward(saved, 0.3), 0.3 * dx, rtol=0, atol=1e-14)

    single, saved = CrossEntropy().forward(x.astype(np.float32), target)
    assert single.dtype == np.float32 and single == pytest.approx(float(loss), rel=1e-6)
    gradient = CrossEntropy().backward(saved)
    assert gradient.dtype == np.float32
    np.testing.assert_allclose(gradient, dx, rtol=0, atol=2e-7)

    wrong = (target + 1) % x.shape[1]
    assert abs(CrossEntropy().forward(x, wrong)[0] - loss) > 1e-6


def test_gradient_agrees_with_finite_differences_and_rows_add_up_to_zero() -> None:
    rng = np.random.default_rng(4)
    x, target = rng.standard_normal((5, 7)), rng.integers(0, 7, 5)
    _, saved = CrossEntropy().forward(x, target)
    dx = CrossEntropy().backward(saved)
    measured = central_differences(
        lambda: (CrossEntropy().forward(x, target)[0],), x, [np.array(1.0)]
    )
    assert np.abs(dx - measured).max() <= 1e-7 * np.abs(dx).max()
    np.testing.assert_allclose(dx.sum(1), 0, atol=1e-16)


def test_arguments_are_not_written_to() -> None:
    x, target = np.ones((2, 3)), np.array([0, 2])
    x.flags.writeable = target.flags.writeable = False
    _, saved = CrossEntropy().forward(x, target)
    for array in saved.values():
        array.flags.writeable = False
    assert np.array_equal(CrossEntropy().backward(saved), CrossEntropy().backward(saved))


def test_certainty_neither_overflows_nor_is_infinite() -> None:
    x = np.array([[1e4, 0.0], [0.0, 1e4]])
    loss, saved = CrossEntropy().forward(x, np.array([0, 0]))
    assert loss == 5000
    assert np.array_equal(CrossEntropy().backward(saved), [[0, 0], [-0.5, 0.5]])


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ([0, 1, 2], r"expected 2 whole numbers, received shape \(3,\)"),
        ([[0], [1]], r"received shape \(2, 1\)"),
        ([0.0, 1.0], "of float64"),
        ([0, 4], "expected classes 0 to 3, received 0 to 4"),
        ([-1, 0], "expected classes 0 to 3, received -1 to 0"),
    ],
)
def test_a_target_that_does_not_fit_is_refused(target: list, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        CrossEntropy().forward(np.zeros((2, 4)), np.array(target))


def test_it_needs_at_least_two_classes_in_a_vector() -> None:
    CrossEntropy().check(Spec((1, 2)))
    with pytest.raises(ShapeError, match="at least 2 classes"):
        CrossEntropy().check(Spec((1, 1)))
    with pytest.raises(ShapeError, match="a vector per sample"):
        CrossEntropy().check(Spec((1, 2, 3, 3)))
