"""Cross-entropy: recorded PyTorch values, finite differences, bad targets."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.gradient_check import central_differences
from engine.layers.base import HyperparameterError, ShapeError, Spec
from engine.losses import (
    LOSSES,
    CrossEntropy,
    Hinge,
    LeNetLoss,
    MeanSquaredError,
    TargetError,
    Total,
    suited,
)

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
    wanted = "one row of numbers per picture for cross-entropy, received 2 maps of 3×3"
    with pytest.raises(ShapeError, match=wanted):
        CrossEntropy().check(Spec((1, 2, 3, 3)))


WEIGHTS = (0.5, 2.0, 1.0, 0.25, 3.0)
RECORDED: dict[str, Any] = {
    "smooth": CrossEntropy(0.1),
    "weighted": CrossEntropy(0.0, WEIGHTS),
    "both": CrossEntropy(0.2, WEIGHTS),
    "squared": MeanSquaredError(),
    "hinge": Hinge(0.75),
}


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_other_losses_agree_with_pytorch(name: str) -> None:
    loss = RECORDED[name]
    with np.load(FILE) as file:
        x, target, value, dx = (file[f"{name}/{k}"] for k in ("x", "target", "loss", "dx"))
    assert np.ptp(dx) > 1e-3 * np.abs(dx).max()
    ours, saved = loss.forward(x, target)
    assert abs(ours - value) <= 1e-12
    np.testing.assert_allclose(loss.backward(saved, 0.3), 0.3 * dx, rtol=0, atol=1e-14)
    single, saved = loss.forward(x.astype(np.float32), target)
    assert single.dtype == loss.backward(saved).dtype == np.float32
    np.testing.assert_allclose(loss.backward(saved), dx, rtol=0, atol=2e-7)
    plain = type(loss)(*([0.5] if name == "hinge" else []))
    if name != "squared":
        assert abs(plain.forward(x, target)[0] - value) > 1e-6


ALL = [
    *(*RECORDED.values(), CrossEntropy()),
    *(LeNetLoss(), LeNetLoss(0.1), LeNetLoss(0.1, negative=True)),
    Total(),
]


@pytest.mark.parametrize("loss", ALL, ids=str)
def test_every_loss_is_the_integral_of_its_gradient_and_of_its_terms(loss: Any) -> None:
    rng = np.random.default_rng(3)
    x, target = rng.standard_normal((4, 5)), rng.integers(0, 5, 4)
    _, saved = loss.forward(x, target)
    dx = loss.backward(saved, 0.7)
    measured = 0.7 * central_differences(lambda: (loss.forward(x, target)[0],), x, [np.array(1.0)])
    assert np.abs(dx - measured).max() <= 1e-7 * np.abs(dx).max()
    for sample in range(4):
        read = loss.reads(saved, x[sample], sample)
        assert [t.source for t in read.terms] == [("input", 0, (k,)) for k in range(5)]
        assert [t.value for t in read.terms] == x[sample].tolist()
        sign = -1 if getattr(loss, "negative", False) else 1
        assert {t.coefficient for t in read.terms} == {sign}
        assert read.chosen in (None, target[sample]) and read.formula
        for k in range(5):
            terms = loss.feeds((k,), saved, sample, 0.7)
            made = sum(t.product for t in terms.terms)
            assert made == pytest.approx(dx[sample, k], rel=1e-12, abs=1e-15)


def test_every_registered_loss_is_tested() -> None:
    assert {type(loss).__name__ for loss in ALL} == set(LOSSES)
    for kind in LOSSES.values():
        assert (kind.__doc__ or "").count("Gradient") and "Source: " in (kind.__doc__ or "")


def test_lenets_loss_by_hand_and_without_overflow() -> None:
    loss, saved = LeNetLoss(0.0).forward(np.array([[0.0, 0.0]]), np.array([1]))
    assert loss == pytest.approx(np.log(3))
    np.testing.assert_allclose(LeNetLoss(0.0).backward(saved), [[-1 / 3, 2 / 3]])
    with np.errstate(over="raise", invalid="raise"):
        loss, _ = LeNetLoss().forward(np.array([[1e4, 2e4]]), np.array([0]))
    assert loss == 1e4 - 1


def test_lenets_loss_of_negative_distances_is_that_of_the_distances() -> None:
    x, target = np.random.default_rng(5).random((4, 5)) * 3, np.array([0, 3, 2, 4])
    loss, saved = LeNetLoss(0.5).forward(x, target)
    negative, other = LeNetLoss(0.5, negative=True).forward(-x, target)
    assert negative == loss > 0.1
    dx = LeNetLoss(0.5).backward(saved)
    assert np.array_equal(LeNetLoss(0.5, negative=True).backward(other), -dx) and dx.any()


def test_squared_error_takes_numbers_and_refuses_what_does_not_fit() -> None:
    x = np.ones((2, 3, 1, 1))
    assert MeanSquaredError().forward(x, np.zeros_like(x))[0] == 1
    MeanSquaredError().check(Spec(x.shape))
    with pytest.raises(TargetError, match=r"expected numbers of shape \(2, 3, 1, 1\)"):
        MeanSquaredError().forward(x, np.zeros(2))
    with pytest.raises(TargetError, match="expected classes 0 to 2"):
        MeanSquaredError().forward(np.ones((2, 3)), np.array([0, 3]))


def test_the_sum_of_an_output_starts_every_gradient_at_one() -> None:
    x = np.arange(8.0, dtype=np.float32).reshape(1, 2, 2, 2)
    loss, saved = Total().forward(x, np.zeros(1))
    assert loss == 28 and loss.dtype == np.float32
    assert np.array_equal(Total().backward(saved), np.ones_like(x))
    assert np.array_equal(
        Total().backward(Total().forward(x.repeat(4, 0), [])[1])[0], x[0] * 0 + 0.25
    )


@pytest.mark.parametrize("loss", ALL, ids=str)
def test_an_empty_batch_is_refused(loss: Any) -> None:
    with pytest.raises(TargetError, match="expected at least 1 sample, received none"):
        loss.forward(np.zeros((0, 5)), np.zeros(0, int))


def test_settings_of_losses_out_of_range_are_refused() -> None:
    with pytest.raises(HyperparameterError, match="label_smoothing: expected .* received 1.0"):
        CrossEntropy(1.0)
    with pytest.raises(HyperparameterError, match="class_weights: expected numbers from 0"):
        CrossEntropy(0.0, (1.0, -1.0))
    for loss, name in ((Hinge, "margin"), (LeNetLoss, "j")):
        with pytest.raises(HyperparameterError, match=f"{name}: expected a finite number"):
            loss(float("nan"))
    with pytest.raises(ShapeError, match="3 classes, as many as class_weights, received 4"):
        CrossEntropy(0.0, (1.0, 1.0, 1.0)).check(Spec((1, 4)))


def test_each_setting_of_a_loss_is_described() -> None:
    for kind in LOSSES.values():
        names = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
        assert {field.name for field in kind.hyperparameters()} == names
        assert all(len(field.help) > 20 for field in kind.hyperparameters())


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((4, 3), ["CrossEntropy", "MeanSquaredError", "Hinge", "LeNetLoss", "Total"]),
        ((4, 1), ["Total"]),
        ((4, 3, 8, 8), ["Total"]),
    ],
)
def test_the_losses_that_suit_a_tensor_take_a_class_as_their_target(
    shape: tuple[int, ...], expected: list[str]
) -> None:
    found = suited(Spec(shape))
    assert [type(function).__name__ for function in found] == expected
    x = np.random.default_rng(5).normal(size=shape)
    for function in found:
        value, saved = function.forward(x, np.zeros(4, np.int64))
        assert np.isfinite(value) and np.any(function.backward(saved))
