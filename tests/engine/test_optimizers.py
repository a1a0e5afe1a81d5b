"""Optimizers against twenty recorded steps of PyTorch, on recorded gradients."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.layers.base import Array
from engine.optimizers import OPTIMIZERS

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
        other = OPTIMIZERS[kind](**{**hyper, name: hyper[name] * 0.7 + 1e-3})
        difference = np.abs(trajectory(other, start, gradients) - steps).max()
        assert difference > 1e-6, f"{kind}.{name} has no effect"


def test_every_optimizer_is_recorded() -> None:
    assert {kind for kind, _ in RECORDED} == set(OPTIMIZERS)
