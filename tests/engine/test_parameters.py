"""Starting values, and parameters that do not fit."""

from typing import Any

import numpy as np
import pytest

from engine.architectures import ARCHITECTURES
from engine.layers.conv2d import Conv2d
from engine.parameters import ParameterError, check_parameters, initial_parameters

GRAPH = ARCHITECTURES["lenet5"].build()
SPECS = GRAPH.parameter_specs(GRAPH.infer().specs)


def test_the_same_seed_gives_the_same_values_and_another_seed_others() -> None:
    a, b, c = (initial_parameters(GRAPH, seed) for seed in (1, 1, 2))
    assert list(a) == list(SPECS)
    for key, array in a.items():
        assert array.dtype == np.float32 and array.shape == SPECS[key].shape
        np.testing.assert_array_equal(array, b[key])
    assert np.abs(a["fc1", "weight"] - c["fc1", "weight"]).max() > 0.01


def test_he_scale_and_zero_biases() -> None:
    found = initial_parameters(GRAPH, 0)
    assert found["fc1", "weight"].std() == pytest.approx((2 / 400) ** 0.5, rel=0.02)
    assert not found["fc1", "bias"].any()


def test_a_value_depends_on_its_name_alone() -> None:
    smaller = GRAPH.replace_node("conv1", layer=Conv2d(6, 3, padding=1))
    a, b = initial_parameters(GRAPH, 0), initial_parameters(smaller, 0)
    np.testing.assert_array_equal(a["conv2", "weight"], b["conv2", "weight"])


def test_what_still_fits_is_kept() -> None:
    old = initial_parameters(GRAPH, 0)
    smaller = GRAPH.replace_node("conv1", layer=Conv2d(6, 3, padding=1))
    kept = initial_parameters(smaller, 1, keep=old)
    assert kept["fc1", "weight"] is old["fc1", "weight"]
    assert kept["conv1", "weight"].shape == (6, 1, 3, 3)
    doubled = initial_parameters(GRAPH, 1, "float64", keep=old)
    np.testing.assert_array_equal(doubled["fc1", "weight"], old["fc1", "weight"])
    assert doubled["fc1", "weight"].dtype == np.float64


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (None, "received none"),
        (np.zeros((6, 1, 5, 4), np.float32), r"expected shape \(6, 1, 5, 5\)"),
        (np.zeros((6, 1, 5, 5), int), "expected real numbers"),
    ],
)
def test_parameters_that_do_not_fit_are_named(array: Any, words: str) -> None:
    parameters: dict[tuple[str, str], Any] = dict(initial_parameters(GRAPH, 0))
    del parameters["conv1", "weight"]
    if array is not None:
        parameters["conv1", "weight"] = array
    with pytest.raises(ParameterError, match=f"weight of conv1.*{words}"):
        check_parameters(SPECS, parameters)
