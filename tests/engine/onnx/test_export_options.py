"""What can be chosen when a network is exported, and the report on what was written."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from engine.architectures import ARCHITECTURES
from engine.graph import Graph, Input, Loss, Node
from engine.layers.arithmetic import Arithmetic
from engine.layers.base import Array
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.conv2d import Conv2d
from engine.layers.conv_transpose2d import ConvTranspose2d
from engine.layers.flatten import Flatten
from engine.layers.linear import Linear
from engine.layers.lrn import LRN
from engine.layers.relu import ReLU
from engine.layers.softmax import Softmax
from engine.losses import CrossEntropy
from engine.onnx import ExportError, OnnxError, export_onnx, read, writer
from engine.onnx.merging import merge_batch_norms
from engine.onnx.report import expected, report
from engine.parameters import initial_parameters
from engine.plan import Batch, compile, exhaust

IMAGE = ("image", 0)
Arrays = dict[tuple[str, str], Array]


def parameters_of(graph: Graph, seed: int) -> Arrays:
    """Random ones; running statistics too, so that nothing is right because it is 0 or 1."""
    rng = np.random.default_rng(seed)
    found = {}
    for key, array in initial_parameters(graph, seed).items():
        if key[1] == "running_var":
            array = rng.uniform(0.5, 2, array.shape)
        elif array.ndim == 1:
            array = array + rng.normal(0, 0.3, array.shape)
        found[key] = array.astype("float32")
    return found


def output(graph: Graph, parameters: Arrays, x: Array) -> Array:
    plan = compile(graph, parameters, batch=len(x), mode="eval", backward=False)
    exhaust(plan.run(Batch({"image": x})))
    return plan.value(graph.outputs[0][1]).copy()


def row(*layers: Any, shape: tuple[int, ...] = (4, 7, 6)) -> Graph:
    nodes: list[Node] = []
    for i, layer in enumerate(layers):
        nodes.append(Node(f"n{i}", layer, ((nodes[-1].id if nodes else "image", 0),)))
    return Graph((Input("image", shape),), tuple(nodes), (("y", (nodes[-1].id, 0)),))


# ---- batch normalisation merged into the convolution before it --------------------------------


@pytest.mark.parametrize(
    "layer",
    [
        Conv2d(6, 3, padding=1),
        Conv2d(6, 3, bias=False),
        Conv2d(8, (3, 2), 2, groups=4),
        ConvTranspose2d(6, 3, 2),
        ConvTranspose2d(6, 2, 2, groups=2, bias=False),
    ],
    ids=lambda layer: str(layer)[:60],
)
def test_a_merged_norm_computes_the_same(layer: Any) -> None:
    graph = row(layer, BatchNorm2d(eps=1e-3), ReLU())
    parameters = parameters_of(graph, 1)
    merged, arrays = merge_batch_norms(graph, parameters)
    assert [n.id for n in merged.nodes] == ["n0", "n2"]
    assert set(arrays) == {("n0", "weight"), ("n0", "bias")}
    x = np.random.default_rng(2).standard_normal((3, 4, 7, 6)).astype("float32")
    before, after = output(graph, parameters, x), output(merged, arrays, x)
    assert np.abs(before - after).max() < 1e-5 * np.abs(before).max()
    model = export_onnx(graph, parameters, merge_norms=True)
    assert "BatchNormalization" not in {n.op_type for n in model.graph.node}
    assert report(model, graph, parameters).agrees
    assert report(model, graph, parameters).rows[0].share < 1e-5
    wrong = {**parameters, ("n1", "running_mean"): parameters["n1", "running_mean"] + 1}
    assert not report(model, graph, wrong).agrees


def test_a_norm_that_stands_elsewhere_stays() -> None:
    conv, norm = Conv2d(4, 3, padding=1), BatchNorm2d()
    read_twice = Graph(
        (Input("image", (4, 5, 5)),),
        (
            Node("a", conv, (IMAGE,)),
            Node("b", norm, (("a", 0),)),
            Node("c", ReLU(), (("a", 0),)),
        ),
        (("y", ("b", 0)), ("z", ("c", 0))),
    )
    shared = Graph(
        (Input("image", (4, 5, 5)),),
        (
            Node("a", conv, (IMAGE,)),
            Node("b", norm, (("a", 0),)),
            Node("c", conv, (("b", 0),), "a"),
        ),
        (("y", ("c", 0)),),
    )
    shown = replace(row(conv, norm), outputs=(("y", ("n0", 0)), ("z", ("n1", 0))))
    for graph in (read_twice, shared, shown, row(norm, conv), row(conv, ReLU(), norm)):
        parameters = parameters_of(graph, 0)
        assert merge_batch_norms(graph, parameters)[0] == graph
        model = export_onnx(graph, parameters, merge_norms=True)
        assert [n.op_type for n in model.graph.node].count("BatchNormalization") == 1
        assert report(model, graph, parameters).agrees


@pytest.mark.parametrize("name", ["resnet-digits", "densenet-digits", "mobilenet-digits"])
def test_a_network_with_merged_norms_computes_the_same(name: str) -> None:
    graph = ARCHITECTURES[name].build()
    parameters = parameters_of(graph, 4)
    model = export_onnx(graph, parameters, merge_norms=True)
    norms = [n.op_type for n in model.graph.node].count("BatchNormalization")
    all_norms = sum(isinstance(n.layer, BatchNorm2d) for n in graph.nodes)
    # in a dense network a norm comes before its convolution
    assert norms < all_norms if name == "densenet-digits" else norms == 0
    assert report(model, graph, parameters).rows[0].share < 1e-5
    assert report(model, graph, parameters, reference=True, samples=2).rows[0].share < 1e-5


# ---- the end of the network ----------------------------------------------------------------


def classifier(softmax: bool) -> Graph:
    nodes: tuple[Node, ...] = (
        Node("flat", Flatten(), (IMAGE,)),
        Node("fc", Linear(3), (("flat", 0),)),
    )
    end = ("fc", 0)
    if softmax:
        nodes, end = (*nodes, Node("shares", Softmax(), (end,))), ("shares", 0)
    return Graph(
        (Input("image", (4, 2, 2)),),
        nodes,
        (("probabilities" if softmax else "logits", end),),
        (Loss("loss", CrossEntropy(), ("fc", 0)),),
    )


def test_a_softmax_is_added_kept_or_removed() -> None:
    parameters = parameters_of(classifier(False), 0)
    for softmax in (False, True):
        graph = classifier(softmax)
        ends = {"keep": softmax, "remove": False, "add": True}
        for choice, ends_with in ends.items():
            if choice == "remove" and not softmax:
                with pytest.raises(ExportError, match="expected a softmax at the end"):
                    export_onnx(graph, parameters, softmax="remove")
                continue
            if choice == "add" and softmax:  # the scores are no output of this one
                continue
            model = export_onnx(graph, parameters, softmax=choice)  # type: ignore[arg-type]
            kinds = [n.op_type for n in model.graph.node]
            assert kinds.count("Softmax") == ends_with
            name = "probabilities" if ends_with else "logits"
            assert [o.name for o in model.graph.output] == [name]
            found = report(model, graph, parameters, softmax=choice)  # type: ignore[arg-type]
            assert found.agrees and found.rows[0].name == name


def test_metadata_says_what_the_network_is() -> None:
    graph = ARCHITECTURES["lenet5"].build()
    model = export_onnx(graph, parameters_of(graph, 0), metadata={"accuracy": 0.99})
    found = {p.key: p.value for p in model.metadata_props}
    assert found["accuracy"] == "0.99" and found["name"] == graph.name
    assert found["program"].startswith("Gradient Flow Explorer ")


def test_a_mask_of_infinities_is_exported_but_no_weight_that_overflowed() -> None:
    graph = row(Arithmetic(operation="minimum", operand=(4, 1, 1)), ReLU())
    mask = np.array([np.inf, 0.5, -np.inf, 1.0], "float32").reshape(4, 1, 1)
    parameters: Arrays = {("n0", "operand"): mask}
    found = report(export_onnx(graph, parameters), graph, parameters)
    assert found.agrees and found.rows[0].largest > 1
    for wrong in (np.nan, 1e300):
        other: Arrays = {("n0", "operand"): np.full((4, 1, 1), wrong)}
        with pytest.raises(ExportError, match="operand of n0: expected finite"):
            export_onnx(graph, other)


# ---- weights beside the model -------------------------------------------------------------


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file holds two kilobytes of weights."""
    monkeypatch.setattr(writer, "INLINE_LIMIT", 2000)


@pytest.mark.usefixtures("little")
def test_large_weights_lie_beside_the_model(tmp_path: Path) -> None:
    graph = ARCHITECTURES["lenet5"].build()
    parameters = parameters_of(graph, 0)
    folder = tmp_path / "out"
    folder.mkdir()
    path = folder / "net.onnx"
    told: list[tuple[int, int]] = []
    export_onnx(graph, parameters, path, progress=lambda *at: told.append(at))
    assert sorted(p.name for p in folder.iterdir()) == ["net.onnx", "net.onnx.data"]
    assert path.stat().st_size < 20_000
    size = (folder / "net.onnx.data").stat().st_size
    assert told[-1] == (size, size)
    stored = {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    assert np.array_equal(stored["conv1_bias"], parameters["conv1", "bias"])
    assert np.array_equal(stored["fc3_weight"], parameters["fc3", "weight"])
    onnx.checker.check_model(path, full_check=True)
    assert report(path, graph, parameters).agrees
    assert report(path, graph, parameters, reference=True).agrees
    again = read(path)
    assert again.problems == ()
    x = np.random.default_rng(0).standard_normal((2, 1, 28, 28)).astype("float32")
    ours = output(graph, parameters, x)
    theirs = output(again.graph, dict(again.parameters), x)
    assert np.abs(ours - theirs).max() < 1e-5 * np.abs(ours).max()


@pytest.mark.usefixtures("little")
def test_changed_weights_beside_a_model_are_noticed(tmp_path: Path) -> None:
    graph = ARCHITECTURES["lenet5"].build()
    path = tmp_path / "net.onnx"
    export_onnx(graph, parameters_of(graph, 0), path)
    beside = tmp_path / "net.onnx.data"
    content = bytearray(beside.read_bytes())
    content[100] ^= 1
    beside.write_bytes(content)
    with pytest.raises(OnnxError, match="checksum"):
        read(path)


@pytest.mark.usefixtures("little")
def test_an_export_that_ends_early_leaves_both_old_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = ARCHITECTURES["lenet5"].build()
    folder = tmp_path / "out"
    folder.mkdir()
    path, beside = folder / "net.onnx", folder / "net.onnx.data"
    path.write_bytes(b"old")
    beside.write_bytes(b"old too")

    class EnoughError(Exception):
        pass

    def enough(done: int, total: int) -> None:
        raise EnoughError

    with pytest.raises(EnoughError):
        export_onnx(graph, parameters_of(graph, 0), path, progress=enough)

    def full(source: Any, target: Any) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ExportError, match="room on the disk"):
        export_onnx(graph, parameters_of(graph, 0), path)
    assert path.read_bytes() == b"old" and beside.read_bytes() == b"old too"
    assert len(list(folder.iterdir())) == 2


@pytest.mark.usefixtures("little")
def test_large_weights_need_a_path_and_are_checked(tmp_path: Path) -> None:
    graph = ARCHITECTURES["lenet5"].build()
    with pytest.raises(ExportError, match="give a path"):
        export_onnx(graph, parameters_of(graph, 0))


# ---- the report ----------------------------------------------------------------------------


def test_the_report_measures_every_output(tmp_path: Path) -> None:
    graph = replace(row(Conv2d(3, 3), ReLU()), outputs=(("a", ("n0", 0)), ("b", ("n1", 0))))
    parameters = parameters_of(graph, 0)
    path = tmp_path / "net.onnx"
    export_onnx(graph, parameters, path)
    found = report(path, graph, parameters, samples=5)
    assert (found.other, found.samples) == ("onnxruntime", 5)
    assert [r.name for r in found.rows] == ["a", "b"] and found.agrees
    session = onnxruntime.InferenceSession(path)
    wanted = expected(onnx.load(path), graph, parameters, samples=5)
    (theirs, _) = session.run(None, wanted.inputs)
    gap = np.abs(theirs.astype("float64") - wanted.outputs["a"])
    assert found.rows[0].difference == gap.max()
    assert found.rows[0].largest == np.abs(theirs).max()
    moved = {**parameters, ("n0", "bias"): parameters["n0", "bias"] + np.float32(0.5)}
    other = report(path, graph, moved, samples=5)
    assert not other.agrees and other.rows[0].difference == pytest.approx(0.5, abs=1e-5)


def test_the_report_keeps_to_a_fixed_batch_and_needs_no_onnxruntime(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph = row(Conv2d(5, 3), LRN(3))
    parameters = parameters_of(graph, 0)
    model = export_onnx(graph, parameters, batch=3)
    assert report(model, graph, parameters).samples == 3
    there = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n, *a: None if n == "onnxruntime" else there(n, *a)
    )
    found = report(model, graph, parameters)
    assert found.other == "onnx's reference evaluator" and found.agrees
