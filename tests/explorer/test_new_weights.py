"""New random weights: for a structure, for a trained network, and where there is no room."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from engine.graph import Graph
from engine.parameters import initial_parameters
from explorer import new_weights


def make(bench: Any, qtbot: QtBot) -> None:
    bench.controller.new_weights.make()
    qtbot.waitUntil(lambda: not bench.controller.new_weights.busy)


@pytest.fixture
def structure(bench: Any, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A network of the gallery that opens without weights."""
    monkeypatch.setattr("explorer.document.STRUCTURE_WEIGHTS", 10_000)
    monkeypatch.setattr("explorer.gallery.STRUCTURE_WEIGHTS", 10_000)
    bench.controller.projects.open_architecture("vgg-digits")
    qtbot.waitUntil(lambda: not bench.controller.projects.builders.busy)
    assert bench.document.structure_only and bench.document.run is None
    return bench


def test_a_structure_gets_its_weights_and_runs(structure: Any, qtbot: QtBot) -> None:
    d = structure.document
    make(structure, qtbot)
    assert not d.structure_only and d.run is not None
    wanted = initial_parameters(d.graph, 0)
    assert d.parameters.keys() == wanted.keys()
    assert all(np.array_equal(d.parameters[key], wanted[key]) for key in wanted)
    assert "has new weights: it has not been trained" in structure.notices[-1].text
    qtbot.waitUntil(lambda: d.run.complete)
    structure.controller.stepping.to_end()
    assert d.position == len(d.operations) > 0
    # an edit keeps it a network that runs
    structure.controller.layers.rename(d.graph.nodes[0].id, "first")
    assert not d.structure_only and d.parameters


def test_those_of_now_stay_in_the_history(bench: Any, qtbot: QtBot) -> None:
    c, d = bench.controller, bench.document
    c.adopt({key: array + 1 for key, array in d.parameters.items()})
    before = dict(d.parameters)
    make(bench, qtbot)
    first = dict(d.parameters)
    assert all(np.any(first[key] != before[key]) for key in before)
    assert d.modified
    make(bench, qtbot)
    weight = next(key for key in first if key[1] == "weight")
    assert np.any(d.parameters[weight] != first[weight]), "each time others"
    kept = c.weight_history.checkpoints[0]
    assert all(np.array_equal(kept.weights[key], before[key]) for key in before)
    c.restore_checkpoint(kept.number)
    assert all(np.array_equal(d.parameters[key], before[key]) for key in before)


def test_where_memory_is_short_it_says_how_much(
    structure: Any, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 9 kB\nMemAvailable:    100 kB\n")
    monkeypatch.setattr(new_weights, "MEMORY", meminfo)
    make(structure, qtbot)
    assert structure.document.structure_only
    text = structure.notices[-1].text
    assert "of free memory to run it, received 0.0 GB" in text
    meminfo.unlink()  # a system that does not say
    make(structure, qtbot)
    assert not structure.document.structure_only


def test_another_network_meanwhile_keeps_its_own(
    structure: Any, network: Callable[..., Graph], qtbot: QtBot
) -> None:
    structure.controller.new_weights.make()
    structure.open(network())
    d = structure.document
    parameters = d.parameters
    qtbot.waitUntil(lambda: not structure.controller.new_weights.busy)
    assert d.parameters is parameters


def test_an_edit_meanwhile_is_said(structure: Any, qtbot: QtBot) -> None:
    d = structure.document
    structure.controller.new_weights.make()
    structure.controller.layers.rename(d.graph.nodes[0].id, "first")
    qtbot.waitUntil(lambda: not structure.controller.new_weights.busy)
    assert d.structure_only
    assert structure.notices[-1].text.startswith("The network was changed meanwhile")


def test_nothing_to_start_anew_is_said(bench: Any, qtbot: QtBot) -> None:
    bench.controller.layers.delete(set(bench.document.graph.by_id))
    make(bench, qtbot)
    assert bench.notices[-1].text == "This network has no weights."
