"""The gradient check itself: it must find what is wrong, and step around kinks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from engine.gradient_check import GradientCheckError, central_differences, gradient_check
from engine.layers.base import REGISTRY, Ctx, Grads, Layer, ShapeError
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.conv2d import Conv2d
from engine.layers.linear import Linear
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.relu import ReLU

X = np.random.default_rng(0).standard_normal((2, 2, 4, 4))


@pytest.fixture(autouse=True)
def registry_as_before() -> Iterator[None]:
    """A faulty layer defined in a test must not stay in the registry."""
    before = dict(REGISTRY)
    yield
    REGISTRY.clear()
    REGISTRY.update(before)


def faulty(base: type[Layer], change: Any) -> type[Layer]:
    """The layer with ``change`` applied to what backward returns."""

    def backward(self: Any, *args: Any) -> Grads:
        return change(base.backward(self, *args))

    return dataclasses.dataclass(frozen=True)(type("Faulty", (base,), {"backward": backward}))


def test_report_names_tensors_and_agrees() -> None:
    report = gradient_check(Conv2d(2, 3), [X])
    assert report.passed
    assert [t.name for t in report.tensors] == ["input 0", "weight", "bias"]
    assert [t.compared for t in report.tensors] == [64, 36, 2]
    assert all(0 < t.relative < 1e-9 for t in report.tensors)
    assert "agrees" in str(report) and "weight: largest difference" in str(report)
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.tolerance = 1  # type: ignore[misc]


@pytest.mark.parametrize("share", [1 + 1e-6, -1.0, 0.0])
def test_a_wrong_factor_is_found_in_the_tensor_that_has_it(share: float) -> None:
    def scale_weight(grads: Grads) -> Grads:
        return Grads(grads.dxs, {**grads.dparams, "weight": grads.dparams["weight"] * share})

    report = gradient_check(faulty(Conv2d, scale_weight)(2, 3), [X])
    assert not report.passed and "DISAGREES" in str(report)
    assert [t.relative > 1e-7 for t in report.tensors] == [False, True, False]


def test_one_wrong_number_is_found_and_named() -> None:
    def disturb(grads: Grads) -> Grads:
        dx = grads.dxs[0].copy()
        dx[1, 0, 2, 3] += 1e-5
        return Grads((dx,), grads.dparams)

    report = gradient_check(faulty(BatchNorm2d, disturb)(), [X], ctx=Ctx("train"))
    assert not report.passed
    assert report.tensors[0].worst == (1, 0, 2, 3)
    assert report.tensors[0].claimed - report.tensors[0].measured == pytest.approx(1e-5, rel=1e-3)


def test_nan_never_passes() -> None:
    report = gradient_check(faulty(ReLU, lambda g: Grads((g.dxs[0] * np.nan,)))(), [X])
    assert not report.passed and report.tensors[0].relative == np.inf


def test_numbers_near_a_kink_are_skipped_and_counted() -> None:
    x = np.array([[0.0, 5e-6, 1e-3, -1.0, -0.5]])
    (tensor,) = gradient_check(ReLU(), [x]).tensors
    assert (tensor.compared, tensor.skipped) == (3, 2)
    ties = np.array([[[[1.0, 1.0], [0.0, -1.0]]]])
    report = gradient_check(MaxPool2d(2), [ties])
    assert report.passed
    assert (report.tensors[0].compared, report.tensors[0].skipped) == (2, 2)


def test_a_check_that_compared_nothing_does_not_pass() -> None:
    report = gradient_check(ReLU(), [np.zeros((2, 3))])
    assert report.tensors[0].compared == 0 and not report.passed


def test_missing_and_misshapen_gradients_are_named() -> None:
    with pytest.raises(GradientCheckError, match=r"those of weight, bias, received 1 and weight"):
        layer = faulty(Linear, lambda g: Grads(g.dxs, {"weight": g.dparams["weight"]}))
        gradient_check(layer(3), [X[0, 0]])
    with pytest.raises(GradientCheckError, match=r"shape \(4, 4\) for input 0, received none"):
        gradient_check(faulty(Linear, lambda g: Grads((None,), g.dparams))(3), [X[0, 0]])
    with pytest.raises(GradientCheckError, match=r"for input 0, received shape \(4,\)"):
        gradient_check(faulty(Linear, lambda g: Grads((g.dxs[0][0],), g.dparams))(3), [X[0, 0]])
    with pytest.raises(ShapeError):
        gradient_check(Linear(3), [X])


def test_arguments_stay_as_they_were_and_given_parameters_are_used() -> None:
    x, w = X.copy(), np.zeros((2, 2, 3, 3))
    x.flags.writeable = w.flags.writeable = False
    report = gradient_check(Conv2d(2, 3, bias=False), [x], {"weight": w})
    assert report.tensors[0].scale == 0 and report.tensors[1].scale > 1
    assert np.array_equal(x, X)


def test_central_differences_of_a_cubic() -> None:
    x = np.array([[1.0, -2.0], [0.5, 3.0]])
    dy = np.array([[1.0, 2.0], [-1.0, 0.5]])
    measured = central_differences(lambda: (x**3,), x, [dy])
    np.testing.assert_allclose(measured, 3 * x**2 * dy, rtol=1e-8)
    assert np.array_equal(x, [[1.0, -2.0], [0.5, 3.0]])


def test_a_window_of_padding_alone_is_no_disagreement() -> None:
    """Its maximum stays −∞ however the input moves, and ∞ − ∞ would be NaN."""
    assert gradient_check(MaxPool2d(2, 1, 1, dilation=2), [X[:, :, :1]], seed=1).passed
    report = gradient_check(MaxPool2d(3, 2, 1), [np.zeros((1, 1, 3, 3))])
    assert report.tensors[0].skipped
