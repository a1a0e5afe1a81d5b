"""Optimizers against twenty recorded steps of PyTorch, on recorded gradients."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.layers.base import Array
from engine.optimizers import OPTIMIZERS, SGD, clipped

FILE = Path(__file__).parent / "recorded" / "training.npz"
RECORDED: list[tuple[str, dict[str, float]]] = json.loads(str(np.load(FILE)["optimizers"]))


def trajectory(optimizer: Any, start: Array, gradients: Array, dtype: str = "float64") -> Array:
    """Parameters after each step, with fresh output buffers as the plan's double buffer has."""
    p = start.astype(dtype)
    state = [np.zeros_like(p) for _ in range(optimizer.slots)]
    steps = []
    for number, gradient in enumerate(gradients.astype(dtype), 1):
        p.flags.writeable = gradient.flags.writeable = False
        out = np.empty_like(p)
        optimizer.update(p, gradient, state, number, out)
        steps.append(out)
        p = out.copy()
    return np.array(steps)


@pytest.mark.parametrize("number", range(len(RECORDED)))
def test_twenty_steps_agree_with_pytorch(number: int) -> None:
    kind, hyper = RECORDED[number]
    with np.load(FILE) as file:
        start, gradients, steps = (
            file[f"{number}/{name}"] for name in ("start", "gradients", "steps")
        )
    assert len(steps) == 20 and np.ptp(steps) > 1e-3 * np.abs(steps).max()
    assert (np.abs(np.diff(steps, axis=0)).max(0)[:5] > 1e-4).all(), "nothing moved"
    optimizer = OPTIMIZERS[kind](**hyper)
    ours = trajectory(optimizer, start, gradients)
    np.testing.assert_allclose(ours, steps, rtol=0, atol=1e-13)
    single = trajectory(optimizer, start, gradients, "float32")
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, steps, rtol=0, atol=3e-6 * np.abs(steps).max())

    for name in hyper:
        value = hyper[name]
        changed = not value if isinstance(value, bool) else value * 0.7 + 1e-3
        other = OPTIMIZERS[kind](**{**hyper, name: changed})
        difference = np.abs(trajectory(other, start, gradients) - steps).max()
        assert difference > 1e-6, f"{kind}.{name} has no effect"


def test_every_optimizer_is_recorded() -> None:
    assert {kind for kind, _ in RECORDED} == set(OPTIMIZERS)


def test_a_long_gradient_is_shortened_as_pytorch_does() -> None:
    with np.load(FILE) as file:
        g, expected = file["clip/g"], file["clip/clipped"]
    np.testing.assert_allclose(clipped(g, 1.5), expected, rtol=1e-6)  # PyTorch adds 1e-6
    assert np.linalg.norm(clipped(g, 1.5)) == pytest.approx(1.5)
    assert clipped(g, 100.0) is g and clipped(g, 0.0) is g
    wrong = np.array([np.nan, 1.0])
    assert clipped(wrong, 0.5) is wrong


@pytest.mark.parametrize("kind", sorted(OPTIMIZERS))
def test_weight_decay_acts_only_where_it_is_asked(kind: str) -> None:
    p, g, decays = np.ones(3), np.array([0.1, 0.2, 0.3]), np.array([1.0, 0.0, 1.0])
    found = {}
    for decay, mask in ((0.0, None), (0.1, None), (0.1, decays)):
        optimizer = OPTIMIZERS[kind](lr=0.1, weight_decay=decay)
        out = np.empty(3)
        state = [np.zeros(3) for _ in range(optimizer.slots)]
        optimizer.update(p, g, state, 1, out, mask)
        # a first step of Adam has nearly the same length with and without decay in g
        found[decay, mask is not None] = out if kind in ("SGD", "AdamW") else state[0]
    assert found[0.1, True][1] == found[0.0, False][1]
    assert found[0.1, True][[0, 2]].tolist() == found[0.1, False][[0, 2]].tolist()
    assert (found[0.1, False] != found[0.0, False]).all()


def test_bounds_are_given_by_name() -> None:
    assert SGD(0.1, 0.9, 0.01, True, clip_norm=2.0, decay_biases=False).clip_norm == 2
    with pytest.raises(TypeError):
        SGD(0.1, 0.9, 0.01, True, 2.0)  # type: ignore[misc]
