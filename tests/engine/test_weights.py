"""One flat array of trained weights, and when it may be written to."""

import numpy as np
import pytest

from engine.layers.base import ParamSpec
from engine.optimizers import SGD, Adam
from engine.parameters import ParameterError
from engine.weights import Weights

SPECS = {
    ("conv", "weight"): ParamSpec((2, 3)),
    ("norm", "running_mean"): ParamSpec((4,), kind="statistic"),
    ("fc", "bias"): ParamSpec((5,), decay=False),
}


def made() -> Weights:
    rng = np.random.default_rng(0)
    return Weights(SPECS, {k: rng.random(s.shape) for k, s in SPECS.items()}, "float64")


def test_trained_weights_are_parts_of_the_flat_array_in_order() -> None:
    weights = made()
    assert weights.flat.shape == (11,)
    weights.flat[:] = np.arange(11)
    np.testing.assert_array_equal(weights["conv", "weight"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(weights.by_owner["fc"]["bias"], np.arange(6, 11))
    assert ("norm", "running_mean") not in weights.slices


def test_gradient_views_have_the_parameters_shapes() -> None:
    views = made().gradient_views(np.arange(11.0))
    assert {k: v.shape for k, v in views.items()} == {
        ("conv", "weight"): (2, 3),
        ("fc", "bias"): (5,),
    }


def test_an_update_moves_in_place_unless_held() -> None:
    weights, gradient = made(), np.ones(11)
    first = weights.flat
    weights.move(SGD(0.5, 0.0), gradient, 1)
    assert weights.flat is first
    weights.hold()
    before = first.copy()
    weights.move(SGD(0.5, 0.0), gradient, 2)
    assert weights.flat is not first
    np.testing.assert_array_equal(first, before)
    np.testing.assert_allclose(weights.flat, before - 0.5)
    np.testing.assert_array_equal(weights.by_owner["fc"]["bias"], weights.flat[6:])
    second = weights.flat
    weights.move(SGD(0.5, 0.0), gradient, 3)
    assert weights.flat is second


def test_momentum_is_kept_between_updates_and_not_between_rules() -> None:
    weights, gradient = made(), np.ones(11)
    start = weights.flat.copy()
    for step in (1, 2):
        weights.move(SGD(1.0, 0.5), gradient, step)
    np.testing.assert_allclose(weights.flat, start - 1 - 1.5)
    weights.move(Adam(), gradient, 1)
    assert np.isfinite(weights.flat).all()
    before = weights.flat.copy()
    weights.move(SGD(1.0, 0.5), gradient, 1)
    np.testing.assert_allclose(weights.flat, before - 1)


def test_copies_are_copies() -> None:
    weights = made()
    copies = weights.copy()
    weights.flat[:] = -1
    weights.set_statistics({("norm", "running_mean"): np.full(4, -1.0)})
    assert min(a.min() for a in copies.values()) >= 0
    assert weights.by_owner["norm"]["running_mean"].max() == -1


def test_weight_decay_leaves_biases_alone_when_asked() -> None:
    weights, zero = made(), np.zeros(11)
    before = weights.flat.copy()
    weights.move(SGD(1.0, 0.0, 0.5, decay_biases=False), zero, 1)
    np.testing.assert_allclose(weights.flat[:6], before[:6] / 2)
    np.testing.assert_array_equal(weights.flat[6:], before[6:])
    weights.move(SGD(1.0, 0.0, 0.5), zero, 2)
    np.testing.assert_allclose(weights.flat[6:], before[6:] / 2)


def test_vectors_of_another_optimizer_or_network_are_refused() -> None:
    weights, whole = made(), np.zeros(11)
    weights.set_optimizer_state(Adam(), [whole, whole])
    for state in ([whole], [whole, whole[1:]], [whole] * 3):
        with pytest.raises(ParameterError, match="expected 2 vectors of 11"):
            weights.set_optimizer_state(Adam(), state)


def test_a_long_gradient_moves_no_further_than_its_bound() -> None:
    weights, gradient = made(), np.full(11, 7.0)
    before = weights.flat.copy()
    weights.move(SGD(1.0, 0.0, clip_norm=0.5), gradient, 1)
    assert np.linalg.norm(weights.flat - before) == pytest.approx(0.5)
    assert (gradient == 7).all()


def test_kernels_lie_as_the_matrix_that_windows_are_multiplied_with() -> None:
    spec = {("conv", "weight"): ParamSpec((2, 3, 4, 5))}
    w = np.random.default_rng(0).random((2, 3, 4, 5))
    weights = Weights(spec, {("conv", "weight"): w}, "float64")
    np.testing.assert_array_equal(weights["conv", "weight"], w)
    np.testing.assert_array_equal(weights.flat, w.transpose(2, 3, 1, 0).ravel())
    (gradient,) = weights.gradient_views(weights.flat).values()
    np.testing.assert_array_equal(gradient, w)
    assert weights.copy()["conv", "weight"].flags.c_contiguous
