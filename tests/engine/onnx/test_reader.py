"""What was exported comes back: the same network, the same numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.architectures import ARCHITECTURES
from engine.graph import Graph
from engine.layers.base import Array
from engine.onnx import Imported, export_onnx, read
from engine.parameters import initial_parameters
from engine.plan import Batch, compile, exhaust

CLASSROOM = sorted(a.id for a in ARCHITECTURES.values() if a.scale == "classroom")
FULL = sorted(a.id for a in ARCHITECTURES.values() if a.scale == "full")


def parameters_of(graph: Graph, seed: int) -> dict[tuple[str, str], Array]:
    """Starting values, with biases and running statistics that are not 0 and 1."""
    rng = np.random.default_rng(seed)
    return {
        key: (array + rng.uniform(0.1, 0.4, array.shape)).astype("float32")
        if array.ndim == 1
        else array
        for key, array in initial_parameters(graph, seed).items()
    }


def outputs(graph: Graph, parameters: dict, feed: dict[str, Array]) -> list[Array]:
    count = len(next(iter(feed.values())))
    plan = compile(graph, parameters, batch=count, mode="eval", backward=False)
    exhaust(plan.run(Batch(feed)))
    return [plan.value(ref).copy() for _, ref in graph.outputs]


def difference(a: Array, b: Array) -> float:
    """As a share of the largest number."""
    assert a.shape == b.shape
    return float(np.abs(a - b).max() / np.abs(a).max())


def again(graph: Graph, parameters: dict) -> Imported:
    return read(export_onnx(graph, parameters).SerializeToString())


@pytest.mark.parametrize("name", CLASSROOM)
def test_a_network_comes_back_and_computes_the_same(name: str) -> None:
    graph = ARCHITECTURES[name].build()
    parameters = parameters_of(graph, 3)
    imported = again(graph, parameters)
    assert imported.problems == () and imported.notes == () and imported.samples_free
    assert [n for n, _ in imported.graph.outputs] == [n for n, _ in graph.outputs]
    assert [i.shape for i in imported.graph.inputs] == [i.shape for i in graph.inputs]
    assert len(imported.graph.losses) == 1 and imported.graph.labels == graph.labels
    for count in (1, 3):
        x = np.random.default_rng(count).normal(size=(count, *graph.inputs[0].shape))
        feed = {graph.inputs[0].id: x.astype("float32")}
        ours = outputs(graph, parameters, feed)
        theirs = outputs(imported.graph, dict(imported.parameters), imported.feed(feed))
        for a, b in zip(ours, theirs, strict=True):
            assert difference(a, b) < 1e-5


@pytest.mark.parametrize("name", FULL)
def test_a_full_size_network_keeps_its_structure(name: str) -> None:
    graph = ARCHITECTURES[name].build()
    needed = {ref[0] for _, ref in graph.outputs}
    needed = needed.union(*(graph.ancestors(ref[0]) for _, ref in graph.outputs))
    # zeros seen everywhere take no memory
    specs = graph.parameter_specs(graph.infer().specs)
    size = sum(spec.size for spec in specs.values())
    if size > 30_000_000:
        pytest.skip("its file would take seconds to write")
    zeros = {k: np.zeros(s.shape, "float32") for k, s in specs.items()}
    imported = again(graph, zeros)
    assert imported.problems == ()
    kept = {key: spec for key, spec in specs.items() if key[0] in needed}
    found = imported.graph.parameter_specs(imported.graph.infer().specs)
    assert sorted(s.shape for s in found.values()) == sorted(s.shape for s in kept.values())
    assert len(imported.graph.nodes) == len([n for n in graph.nodes if n.id in needed])


def test_shared_weights_stay_shared(tmp_path: Path) -> None:
    from engine.graph import Input, Node
    from engine.layers.conv2d import Conv2d

    layer = Conv2d(2, 3, padding=1)
    graph = Graph(
        (Input("image", (2, 5, 5)),),
        (
            Node("one", layer, (("image", 0),)),
            Node("two", layer, (("one", 0),), "one"),
        ),
        (("y", ("two", 0)),),
    )
    parameters = parameters_of(graph, 0)
    path = tmp_path / "shared.onnx"
    export_onnx(graph, parameters, path)
    imported = read(path)
    assert {n.owner for n in imported.graph.nodes} == {imported.graph.nodes[0].id}
    x = {"image": np.random.default_rng(0).normal(size=(2, 2, 5, 5)).astype("float32")}
    (ours,), (theirs,) = (
        outputs(graph, parameters, x),
        outputs(imported.graph, dict(imported.parameters), imported.feed(x)),
    )
    assert np.array_equal(ours, theirs)
