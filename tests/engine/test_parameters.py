"""Starting values, and parameters that do not fit."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.architectures import ARCHITECTURES
from engine.architectures.base import Builder
from engine.graph import Loss
from engine.layers.base import INITIALISERS, ParamSpec, Spec
from engine.layers.conv2d import Conv2d
from engine.layers.conv_transpose2d import ConvTranspose2d
from engine.layers.flatten import Flatten
from engine.layers.linear import Linear
from engine.layers.relu import ReLU
from engine.losses import CrossEntropy
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


@pytest.mark.parametrize(
    ("init", "spread", "largest"),
    [
        ("he", (2 / 50) ** 0.5, None),
        ("lecun", (1 / 50) ** 0.5, None),
        ("glorot", (2 / 200) ** 0.5, (6 / 200) ** 0.5),
        ("uniform_fan_in", (1 / 150) ** 0.5, (1 / 50) ** 0.5),
        ("signs", 1.0, 1.0),
    ],
)
def test_initialisers_have_the_spread_of_their_papers(
    init: str, spread: float, largest: float | None
) -> None:
    spec = ParamSpec((150, 5, 10), init, 50, fan_out=150)
    value = spec.initial(np.random.default_rng(1), "float64")
    assert value.shape == spec.shape and abs(value.mean()) < 0.05 * spread
    assert value.std() == pytest.approx(spread, rel=0.03)
    if largest is not None:
        assert 0.99 * largest < np.abs(value).max() <= largest
    assert spec.initial(np.random.default_rng(1)).dtype == np.float32


@pytest.mark.parametrize("shape", [(4, 2, 3), (6, 3), (5, 5)])
def test_orthogonal_rows_or_columns_stand_at_right_angles(shape: tuple[int, ...]) -> None:
    value = ParamSpec(shape, "orthogonal").initial(np.random.default_rng(2), "float64")
    rows = value.reshape(shape[0], -1)
    product = rows @ rows.T if rows.shape[0] <= rows.shape[1] else rows.T @ rows
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-14)


def test_constant_and_unknown_initialisers() -> None:
    rng = np.random.default_rng(0)
    assert ParamSpec((2,), "constant", value=0.25).initial(rng).tolist() == [0.25, 0.25]
    for init in INITIALISERS:
        assert ParamSpec((3, 4), init).initial(rng).shape == (3, 4)
    with pytest.raises(ValueError, match="initialiser automatic, he, .* or constant, received"):
        ParamSpec((2,), "magic").initial(rng)


def test_automatic_weights_are_hes_and_small_where_a_loss_reads_them() -> None:
    build = Builder((1, 8, 8))
    x = build.chain(
        build.input,
        ("flatten", Flatten()),
        ("hidden", Linear(50)),
        ("relu", ReLU()),
        ("fc", Linear(10)),
        ("told", Linear(10, initialiser="glorot")),
    )
    graph = build.classifier(x, "two", tuple("0123456789"))
    specs = graph.parameter_specs(graph.infer().specs)
    inits = {key[0]: spec.init for key, spec in specs.items() if key[1] == "weight"}
    assert inits == {"hidden": "automatic", "fc": "automatic", "told": "glorot"}
    graph = replace(graph, losses=(*graph.losses, Loss("other", CrossEntropy(), ("fc", 0), 0.3)))
    found = initial_parameters(graph, 0, "float64")
    assert found["hidden", "weight"].var() == pytest.approx(2 / 64, rel=0.1)
    assert found["fc", "weight"].var() == pytest.approx(0.1 / 50, rel=0.2)
    assert found["told", "weight"].std() == pytest.approx(np.sqrt(2 / 20), rel=0.2)


@pytest.mark.parametrize("layer", [Conv2d(12, 3), ConvTranspose2d(12, 3, 1), Linear(12)], ids=str)
def test_weights_start_as_they_are_told(layer: Any) -> None:
    spec = Spec((1, 16) if isinstance(layer, Linear) else (1, 16, 5, 5))
    n = 16 if isinstance(layer, Linear) else 144
    out = 12 if isinstance(layer, Linear) else 108
    if isinstance(layer, ConvTranspose2d):
        assert layer.parameters(spec)["weight"].fan_in == n
    wanted = {
        "he": 2 / n,
        "lecun": 1 / n,
        "glorot": 2 / (n + out),
        "uniform_fan_in": 1 / (3 * n),
        "small": 0.1 / n,
        "constant": 0,
        "zeros": 0,
    }
    for initialiser, variance in wanted.items():
        described = replace(layer, initialiser=initialiser).parameters(spec)["weight"]
        draws = [described.initial(np.random.default_rng(seed), "float64") for seed in range(40)]
        assert np.var(draws) == pytest.approx(variance, rel=0.1, abs=1e-18), initialiser
        middle = 1 / n if initialiser == "constant" else 0
        assert np.mean(draws) == pytest.approx(middle, abs=0.02 * np.sqrt(1 / n) + 1e-12)
    right = replace(layer, initialiser="orthogonal").parameters(spec)["weight"]
    rows = right.initial(np.random.default_rng(0), "float64").reshape(right.shape[0], -1)
    product = rows @ rows.T if len(rows) <= rows.shape[1] else rows.T @ rows
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-12)
