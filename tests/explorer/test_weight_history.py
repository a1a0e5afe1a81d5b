"""Weights from before a training come back, also in a network that was edited since."""

from __future__ import annotations

from typing import Any

import numpy as np
from PySide6.QtGui import QUndoStack
from pytest import MonkeyPatch

from engine.layers.relu import ReLU
from explorer.weight_history import WeightHistory


def trained(bench: Any, by: float) -> None:
    """As a training would: every weight is another array with other numbers."""
    d = bench.document
    bench.controller.adopt({key: array + by for key, array in d.parameters.items()})


def test_a_training_leaves_its_weights_in_the_history(bench: Any) -> None:
    c, d = bench.controller, bench.document
    kept = c.weight_history
    before = {key: np.array(array) for key, array in d.parameters.items()}
    c.before_training()
    trained(bench, 1.0)
    c.adding.append_layer(ReLU())
    c.before_training()
    trained(bench, 1.0)
    first, second = kept.checkpoints
    assert (first.index, second.index) == (0, 1) and "before training" in first.text
    assert c.undo_stack.count() == 1
    c.restore_checkpoint(first.number)
    for key, array in before.items():
        assert np.array_equal(d.parameters[key], array)
    # What had been reached is not lost by looking back.
    third = kept.checkpoints[-1]
    assert "going back" in third.text and third.index == 1
    c.restore_checkpoint(third.number)
    assert np.allclose(d.parameters["conv1", "weight"], before["conv1", "weight"] + 2.0)
    # The command goes to the start of the last training.
    c.restore_weights()
    assert np.allclose(d.parameters["conv1", "weight"], before["conv1", "weight"] + 1.0)


def test_layers_of_another_shape_keep_their_weights_and_it_is_said(bench: Any) -> None:
    c, d = bench.controller, bench.document
    c.before_training()
    (kept,) = c.weight_history.checkpoints
    trained(bench, 1.0)
    wider = d.graph.by_id["conv1"].layer
    c.layers.change_layer("conv1", type(wider)(5, wider.kernel_size, padding=wider.padding))
    weights = d.parameters["conv1", "weight"]
    c.restore_checkpoint(kept.number)
    assert d.parameters["conv1", "weight"] is weights
    assert np.array_equal(d.parameters["linear1", "bias"], kept.weights["linear1", "bias"])
    assert "layers that have another shape now keep their weights" in bench.notices[-1].text


def test_the_same_weights_are_kept_once_and_the_oldest_go(monkeypatch: MonkeyPatch) -> None:
    stack = QUndoStack()
    kept = WeightHistory(stack)
    weights = {("a", "weight"): np.ones(4, np.float32)}
    kept.keep("one", weights)
    kept.keep("again", dict(weights))
    assert [c.text for c in kept.checkpoints] == ["one"]
    weights["a", "weight"][:] = 2  # what was kept is a copy
    assert kept.checkpoints[0].weights["a", "weight"].tolist() == [1] * 4
    monkeypatch.setattr("explorer.weight_history.MOST_BYTES", 40)
    kept.keep("two", weights)
    kept.keep("three", {("a", "weight"): np.zeros(4, np.float32)})
    assert [c.text for c in kept.checkpoints] == ["two", "three"]
    assert kept.find(1) is None and kept.find(3) is not None
    kept.forget()
    assert kept.checkpoints == ()
