"""The gallery by onnx's reference evaluator, and what is exported of what was imported."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from engine.architectures import ARCHITECTURES
from engine.graph import Graph
from engine.layers.base import Array
from engine.onnx import export_onnx, read
from engine.onnx.report import expected, report
from engine.parameters import initial_parameters

CLASSROOM = sorted(a.id for a in ARCHITECTURES.values() if a.scale == "classroom")


def parameters_of(graph: Graph, seed: int) -> dict[tuple[str, str], Array]:
    """Starting values, with biases and running statistics that are not 0 and 1."""
    rng = np.random.default_rng(seed)
    found = {}
    for key, array in initial_parameters(graph, seed).items():
        if key[1] == "running_var":
            array = rng.uniform(0.5, 2, array.shape)
        elif array.ndim == 1:
            array = array + rng.normal(0, 0.3, array.shape)
        found[key] = array.astype("float32")
    return found


@pytest.mark.parametrize("name", CLASSROOM)
def test_the_reference_evaluator_computes_the_same(name: str) -> None:
    graph = ARCHITECTURES[name].build()
    parameters = parameters_of(graph, 5)
    found = report(export_onnx(graph, parameters), graph, parameters, reference=True, samples=2)
    assert found.other == "onnx's reference evaluator"
    assert all(row.share < 1e-5 for row in found.rows) and found.rows


@pytest.mark.parametrize("name", CLASSROOM)
@pytest.mark.parametrize("merge", [False, True])
def test_what_was_imported_is_exported_to_the_same(name: str, merge: bool) -> None:
    graph = ARCHITECTURES[name].build()
    parameters = parameters_of(graph, 6)
    first = export_onnx(graph, parameters, merge_norms=merge)
    imported = read(first.SerializeToString())
    again = export_onnx(imported.graph, imported.parameters)
    assert [i.name for i in again.graph.input] == [i.name for i in first.graph.input]
    assert [o.name for o in again.graph.output] == [o.name for o in first.graph.output]
    wanted = expected(first, graph, parameters, samples=3)
    session = onnxruntime.InferenceSession(again.SerializeToString())
    for entry, theirs in zip(again.graph.output, session.run(None, wanted.inputs), strict=True):
        ours = wanted.outputs[entry.name]
        assert np.abs(ours - theirs).max() < 1e-5 * np.abs(ours).max()
