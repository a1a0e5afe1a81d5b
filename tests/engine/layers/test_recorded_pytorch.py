"""Every layer against recorded PyTorch outputs, gradients and running statistics."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.layers import REGISTRY
from engine.layers.base import Array, Ctx, layer_from_dict

FILE = Path(__file__).parents[1] / "recorded" / "layers.npz"


@cache
def recorded() -> dict[str, Array]:
    with np.load(FILE) as file:
        return {name: file[name] for name in file.files}


RANDOM = {"Dropout", "SpatialDropout", "StochasticDepth"}
DESCRIBED: list[dict[str, Any]] = json.loads(str(np.load(FILE)["cases"]))


def title(number: int) -> str:
    case = DESCRIBED[number]
    parts = [f"{k}={v}" for k, v in case["hyper"].items()] + [case["special"], case["mode"]]
    return f"{number}-{case['kind']}({', '.join(p for p in parts if p)})"


NUMBERS = pytest.mark.parametrize("number", range(len(DESCRIBED)), ids=title)


def given(number: int) -> dict[str, Array]:
    prefix = f"{number}/"
    return {k.removeprefix(prefix): v for k, v in recorded().items() if k.startswith(prefix)}


def compute(number: int, dtype: str, disturb: str = "") -> dict[str, Array]:
    """Outputs, gradients and statistics by the names of the recording.

    ``disturb`` names what is first made a thousandth larger: "weight" (where there is one, else
    the last input that has a gradient), "x" or "dy".
    """
    case, arrays = DESCRIBED[number], given(number)
    layer = layer_from_dict({"kind": case["kind"], **case["hyper"]})
    xs = [arrays[f"x{i}"].astype(dtype) for i in range(len(case["shapes"]))]
    names = ("weight", "bias", "running_mean", "running_var", "operand")
    p = {name: arrays[name].astype(dtype) for name in names if name in arrays}
    dy = arrays["dy"].astype(dtype)
    if disturb:
        last = max((i for i in range(len(xs)) if f"dx{i}" in arrays), default=0)
        target = {"weight": p.get("weight", xs[last]), "x": xs[0], "dy": dy}[disturb]
        target *= target.dtype.type(1.001)
        if case["kind"] == "ArgMax" and disturb != "dy":
            xs[0][...] = np.flip(xs[0]).copy()  # a factor changes no place
    ctx = Ctx(case["mode"])
    with np.errstate(invalid="ignore"):
        result = layer.forward(p, *xs, ctx=ctx)
        dys = (dy, *map(np.zeros_like, result.ys[1:]))
        grads = layer.backward(p, result.saved, dys, (True,) * len(xs), ctx)
    found = {"y": result.ys[0]}
    found |= {f"y{i}": y for i, y in enumerate(result.ys) if i}
    found |= {f"dx{i}": dx for i, dx in enumerate(grads.dxs)}
    found |= {f"d_{name}": value for name, value in grads.dparams.items()}
    if "running_mean" in p:
        found |= {f"new_{name}": result.statistics.get(name, p[name]) for name in names[2:4]}
    return found


def references(number: int) -> dict[str, Array]:
    arrays = given(number)
    return {k: v for k, v in arrays.items() if f"{k}.float32_error" in arrays}


def agree(ours: Array, reference: Array) -> bool:
    """Within 1e-10 of the largest number; NaN and infinities at the same places."""
    size = np.max(np.abs(reference[np.isfinite(reference)]))
    return bool(np.allclose(ours, reference, rtol=0, atol=1e-10 * size, equal_nan=True))


def test_every_deterministic_layer_is_recorded() -> None:
    assert {case["kind"] for case in DESCRIBED} == set(REGISTRY) - RANDOM


@NUMBERS
def test_float64_agrees(number: int) -> None:
    ours, reference = compute(number, "float64"), references(number)
    assert set(reference) <= set(ours)
    for name in set(ours) - set(reference):
        # PyTorch has no gradient there, or one of zeros
        assert name.startswith("dx") and not ours[name].any(), name
    for name, value in reference.items():
        finite = value[np.isfinite(value)]
        if finite.size > 1:
            assert np.ptp(finite) > 1e-3 * np.max(np.abs(finite)), f"{name} is constant"
        assert ours[name].shape == value.shape
        assert agree(ours[name], value), name


@NUMBERS
def test_float32_is_as_exact_as_pytorch(number: int) -> None:
    ours, arrays = compute(number, "float32"), given(number)
    for name, reference in references(number).items():
        assert ours[name].dtype == np.float32
        same = np.isnan(ours[name]) == np.isnan(reference)
        assert same.all(), name
        finite = np.isfinite(reference)
        assert np.array_equal(ours[name][~finite], reference[~finite], equal_nan=True)
        error = np.linalg.norm(ours[name][finite] - reference[finite])
        allowed = max(2e-6, 4 * float(arrays[f"{name}.float32_error"]))
        assert error <= allowed * np.linalg.norm(reference[finite]), name


@NUMBERS
def test_the_comparison_notices_what_is_changed(number: int) -> None:
    """The output a weight, every gradient the one that comes in, the statistics the input."""
    reference = references(number)
    notices = {"weight": {"y"}, "dy": {n for n in reference if n.startswith("d")}}
    moved = {n for n in reference if n.startswith("new_")}
    if DESCRIBED[number]["mode"] == "train" and not DESCRIBED[number]["hyper"].get("frozen"):
        notices["x"] = moved
    for what, names in notices.items():
        ours = compute(number, "float64", disturb=what)
        for name in names:
            assert not agree(ours[name], reference[name]), f"{name} does not depend on {what}"


def test_the_tie_cases_have_ties() -> None:
    kinds = []
    for number, case in enumerate(DESCRIBED):
        if case["special"] != "ties":
            continue
        kinds.append(case["kind"])
        x, y = given(number)["x0"], given(number)["y"]
        if not case["kind"].endswith("Pool2d"):
            assert np.count_nonzero(x == 0) > 5
            continue
        window = layer_from_dict({"kind": case["kind"], **case["hyper"]}).window
        windows = window.view(window.pad(x, -np.inf), y.shape[2:])
        winners = (windows == y[..., None, None]).sum((4, 5))
        assert np.count_nonzero(winners > 1) > 5
    assert set(kinds) == {
        "MaxPool2d",
        "ReLU",
        "LeakyReLU",
        "Compare",
        "Where",
        "Clip",
        "ThresholdedReLU",
    }
