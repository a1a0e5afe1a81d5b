"""What is exported computes the same in another runtime, and says what it is."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import resources
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper, shape_inference

from engine.architectures import ARCHITECTURES
from engine.data.digits import digits
from engine.data.preprocessing import Preprocessing
from engine.graph import Graph, Input, Loss, Node
from engine.layers import (
    REGISTRY,
    Add,
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    MaxPool2d,
    Pick,
    ReLU,
    Softmax,
    TopK,
)
from engine.layers.base import HyperparameterError, Layer, OnnxOp, ShapeError, Spec
from engine.losses import CrossEntropy
from engine.onnx import DEFAULT_OPSET, ExportError, export_onnx
from engine.parameters import initial_parameters
from engine.plan import Batch, compile, exhaust
from engine.project_file import load_bytes

Arrays = dict[tuple[str, str], np.ndarray]


def newest_opset() -> int:
    """The newest opset that both onnx and the installed onnxruntime know."""
    graph = chain(ReLU())
    for opset in range(onnx.defs.onnx_opset_version(), DEFAULT_OPSET, -1):
        try:
            session(export_onnx(graph, {}, opset=opset))
        except Exception as error:  # onnxruntime's own types
            assert "pset" in str(error) or "IR version" in str(error)
        else:
            return opset
    raise AssertionError("no opset above the default runs")


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


def chain(*layers: Layer, shape: tuple[int, ...] = (3, 9, 10)) -> Graph:
    """The layers one behind the other, each input beyond the first from the network's own."""
    inputs = [Input("image", shape)]
    nodes: list[Node] = []
    for i, layer in enumerate(layers):
        before = (nodes[-1].id if nodes else "image", 0)
        others = []
        for slot in range(1, layer.arity[0]):
            inputs.append(Input(f"other{i}_{slot}", shape))
            others.append((f"other{i}_{slot}", 0))
        nodes.append(Node(f"part{i}/{layer.slug or 'layer'}", layer, (before, *others)))
    return Graph(tuple(inputs), tuple(nodes), (("y", (nodes[-1].id, 0)),))


def parameters_of(graph: Graph, seed: int) -> Arrays:
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


def batch_for(graph: Graph, count: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {i.id: rng.normal(size=(count, *i.shape)).astype("float32") for i in graph.inputs}


def engine_outputs(
    graph: Graph, parameters: Arrays, inputs: Mapping[str, np.ndarray]
) -> list[np.ndarray]:
    count = len(next(iter(inputs.values())))
    plan = compile(graph, parameters, batch=count, mode="eval", backward=False)
    exhaust(plan.run(Batch(inputs)))
    return [plan.value(ref).copy() for _, ref in graph.outputs]


def difference(reference: np.ndarray, received: np.ndarray) -> float:
    """Largest difference as a share of the largest output, of a reference that is not constant."""
    assert reference.shape == received.shape
    largest = float(np.abs(reference).max())
    assert reference.max() - reference.min() > 1e-3 * largest
    return float(np.abs(reference - received).max()) / largest


def check(graph: Graph, seed: int = 0, count: int = 2, **options: Any) -> onnx.ModelProto:
    """Assert that onnxruntime computes what the engine computes."""
    parameters, inputs = parameters_of(graph, seed), batch_for(graph, count, seed + 1)
    model = export_onnx(graph, parameters, **options)
    names = [i.name for i in model.graph.input]
    feed = dict(zip(names, inputs.values(), strict=True))
    ours, theirs = engine_outputs(graph, parameters, inputs), session(model).run(None, feed)
    for (name, ref), a, b in zip(graph.outputs, theirs, ours, strict=True):
        layer = graph.by_id[ref[0]].layer if ref[0] in graph.by_id else None
        assert difference(a, b) < 1e-5, f"{name}: {layer}"
    return model


CLASSROOM = [a for a in ARCHITECTURES.values() if a.scale == "classroom"]

# ---- the shipped networks --------------------------------------------------------------------


@pytest.mark.parametrize("architecture", sorted(a for a, x in ARCHITECTURES.items() if x.file))
def test_a_shipped_network_computes_the_same_in_onnxruntime(
    architecture: str, tmp_path: Path
) -> None:
    name = ARCHITECTURES[architecture].file
    assert name
    project = load_bytes(resources.files("resources").joinpath("networks", name).read_bytes(), name)
    assert project.warnings == () and project.preprocessing is not None
    _, held_out = digits()
    x = np.stack([project.preprocessing.apply(image) for image in held_out.images[:64]])
    path = tmp_path / "network.onnx"
    export_onnx(project.graph, project.parameters, path, preprocessing=project.preprocessing)
    model = onnx.load(path)
    inputs = {project.graph.inputs[0].id: x}
    (ours,) = engine_outputs(project.graph, dict(project.parameters), inputs)
    (theirs,) = session(model).run(None, {model.graph.input[0].name: x})
    assert ours.shape == (64, 10)
    assert difference(theirs, ours) < 1e-5
    assert len(set(ours.argmax(1).tolist())) > 3
    prop = {p.key: p.value for p in model.metadata_props}
    assert Preprocessing.from_dict(json.loads(prop["preprocessing"])) == project.preprocessing


@pytest.mark.parametrize("architecture", sorted(a.id for a in CLASSROOM))
@pytest.mark.parametrize("opset", [13, DEFAULT_OPSET, "newest"])
def test_every_architecture_computes_the_same_in_onnxruntime(
    architecture: str, opset: int | str
) -> None:
    graph = ARCHITECTURES[architecture].build()
    chosen = newest_opset() if opset == "newest" else int(opset)
    parameters, inputs = parameters_of(graph, 3), batch_for(graph, 64, 4)
    model = export_onnx(graph, parameters, opset=chosen)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", chosen)]
    run = session(model)
    (ours,) = engine_outputs(graph, parameters, inputs)
    (theirs,) = run.run(None, inputs)
    assert difference(theirs, ours) < 1e-5
    for count in (1, 7):
        (few,) = run.run(None, {name: x[:count] for name, x in inputs.items()})
        assert difference(few, ours[:count]) < 1e-5


def test_the_comparison_sees_each_perturbed_weight() -> None:
    graph = ARCHITECTURES["resnet-digits"].build()
    parameters, inputs = parameters_of(graph, 3), batch_for(graph, 8, 4)
    run = session(export_onnx(graph, parameters))
    (theirs,) = run.run(None, inputs)
    assert difference(theirs, engine_outputs(graph, parameters, inputs)[0]) < 1e-5
    for key, array in parameters.items():
        (ours,) = engine_outputs(graph, {**parameters, key: array * np.float32(1.01)}, inputs)
        assert difference(theirs, ours) > 1e-5, key
    one = parameters["fc", "weight"].copy()
    one.reshape(-1)[np.abs(one).argmax()] *= 1.01
    (ours,) = engine_outputs(graph, {**parameters, ("fc", "weight"): one}, inputs)
    assert difference(theirs, ours) > 1e-5


def test_a_constant_reference_is_refused() -> None:
    with pytest.raises(AssertionError):
        difference(np.ones((4, 10)), np.ones((4, 10)))


# ---- every layer -----------------------------------------------------------------------------


def fitting(layer: Layer) -> Graph:
    if layer.index_slots:  # what it takes are the indices of a pooling
        nodes = (
            Node("pool", MaxPool2d(2, return_indices=True), (("image", 0),)),
            Node("layer", layer, (("pool", 0), ("pool", 1))),
        )
        both = (("y", ("layer", 0)), ("indices", ("pool", 1)))
        return Graph((Input("image", (3, 8, 10)),), nodes, both)
    if isinstance(layer, Pick):  # places that the axis has
        nodes = (
            Node("best", TopK(2), (("image", 0),)),
            Node("layer", layer, (("image", 0), ("best", 1))),
        )
        return Graph((Input("image", (3, 8, 10)),), nodes, (("y", ("layer", 0)),))
    for shape in ((3, 9, 10), (6, 9, 10), (12,)):
        graph = chain(layer, shape=shape)
        if graph.infer().valid:
            return graph
    raise AssertionError(f"{type(layer).__name__} takes neither maps nor a vector")


@pytest.mark.parametrize("kind", sorted(REGISTRY))
@pytest.mark.parametrize("opset", [13, DEFAULT_OPSET, "newest"])
def test_every_registered_layer_is_exported(kind: str, opset: int | str) -> None:
    chosen = newest_opset() if opset == "newest" else int(opset)
    check(fitting(REGISTRY[kind]()), opset=chosen)


@pytest.mark.parametrize(
    "layer",
    [
        Conv2d(6, (3, 2), (2, 1), (1, 0, 2, 1), (1, 2), groups=3, bias=False),
        Conv2d(3, 3, padding=1, groups=3),
        BatchNorm2d(eps=1e-2, momentum=0.3),
        Softmax(),
        Dropout(0.9),
    ],
    ids=lambda layer: str(layer)[:60],
)
def test_hyperparameters_are_exported(layer: Layer) -> None:
    check(chain(layer))


def test_what_runtimes_make_of_indices_differently_is_refused() -> None:
    for layer in (MaxPool2d(2, ceil_mode=True), MaxPool2d(2, dilation=2)):
        graph = chain(replace(layer, return_indices=True))
        with pytest.raises(ExportError, match="without ceil_mode and dilation"):
            export_onnx(graph, {})


def poolings() -> Iterator[Layer]:
    for kernel, stride, padding, ceil in product(
        (2, 3, (3, 2)), (1, 2, 3), (0, 1, (1, 0, 0, 1)), (False, True)
    ):
        for extra in (False, True):
            try:
                yield AvgPool2d(kernel, stride, padding, ceil, extra)
                yield MaxPool2d(kernel, stride, padding, 1 + extra, ceil)
            except HyperparameterError:
                continue


@pytest.mark.parametrize("opset", [13, DEFAULT_OPSET])
def test_pooling_in_all_its_forms_is_exported(opset: int) -> None:
    """All in one model, because a session costs more than a pooling."""
    nodes = []
    for i, layer in enumerate(poolings()):
        nodes.append(Node(f"pool{i}", layer, (("image", 0),)))
    graph = Graph(
        (Input("image", (2, 9, 10)),), tuple(nodes), tuple((n.id, (n.id, 0)) for n in nodes)
    )
    errors = graph.infer().errors
    assert len(nodes) > 150 and not errors
    model = check(graph, opset=opset)
    assert {n.op_type for n in model.graph.node} == {"AveragePool", "MaxPool", "Mul", "Pad"}
    assert all(a.name != "ceil_mode" for n in model.graph.node for a in n.attribute)


@dataclass(frozen=True)
class Described(Layer):
    """A layer of the tests' own, with an ONNX form that is given."""

    abstract: ClassVar[bool] = True
    title: ClassVar[str] = "Described"
    form: OnnxOp | None = None

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        return (specs[0],)

    @property
    def onnx(self) -> OnnxOp | None:
        return self.form


def test_a_layer_needs_no_rule_when_its_description_suffices() -> None:
    model = export_onnx(chain(Described(OnnxOp("LeakyRelu", {"alpha": 0.5}))), {})
    (y,) = session(model).run(None, {"image": np.full((1, 3, 9, 10), -2, "float32")})
    assert (y == -1).all()


def test_a_layer_without_an_onnx_form_is_named() -> None:
    with pytest.raises(ExportError, match=r"part0/layer: expected a layer with an ONNX form.*Desc"):
        export_onnx(chain(Described()), {})


def test_an_attribute_of_a_later_opset_is_named() -> None:
    graph = chain(
        Described(
            OnnxOp(
                "AveragePool",
                {
                    "kernel_shape": [1, 1],
                    "dilations": [1, 1],
                    "pads": [0, 0, 0, 0],
                    "strides": [1, 1],
                },
            )
        )
    )
    with pytest.raises(ExportError, match=r"part0/layer: .*opset 17.* dilations.*opset 2?[129]"):
        export_onnx(graph, {})
    export_onnx(graph, {}, opset=22)


# ---- structure -------------------------------------------------------------------------------


def diamond(shared: bool = True) -> Graph:
    """A fork, shared weights, a sum of three, a concatenation, two outputs and a loss."""
    owner = "a/conv" if shared else None
    return Graph(
        inputs=(Input("image", (2, 6, 6)),),
        nodes=(
            # Not in order of computation.
            Node("head/fc", Linear(4), (("head/flat", 0),)),
            Node("a/conv", Conv2d(2, 3, padding=1), (("image", 0),)),
            Node("b/conv", Conv2d(2, 3, padding=1), (("a/conv", 0),), owner),
            Node("sum", Add(), (("image", 0), ("a/conv", 0), ("b/conv", 0))),
            Node("two", Add(), (("image", 0), ("image", 0))),
            Node("join", Concat(), (("sum", 0), ("two", 0), ("image", 0))),
            Node("head/flat", Flatten(), (("join", 0),)),
        ),
        outputs=(("logits", ("head/fc", 0)), ("middle", ("sum", 0))),
        losses=(Loss("loss", CrossEntropy(), ("head/fc", 0)),),
        name="Diamond",
        labels=("a", "b", "ç", "d"),
    )


def test_forks_sums_and_shared_weights() -> None:
    model = check(diamond())
    assert [i.name for i in model.graph.input] == ["image"]
    assert [o.name for o in model.graph.output] == ["logits", "middle"]
    assert len(model.graph.initializer) == 4  # the shared kernel is there once
    kinds = [n.op_type for n in model.graph.node]
    assert kinds.count("Sum") == 1 and kinds.count("Add") == 1
    assert len(check(diamond(shared=False)).graph.initializer) == 6


def test_shapes_agree_with_the_engine_at_every_tensor() -> None:
    for graph in (diamond(), *(a.build() for a in CLASSROOM)):
        specs = graph.infer(5).specs
        model = export_onnx(graph, parameters_of(graph, 0))
        inferred = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
        values = {
            v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
            for part in (inferred.graph.input, inferred.graph.value_info, inferred.graph.output)
            for v in part
        }
        by_id = {n.doc_string: n for n in model.graph.node}
        # an auxiliary head helps in training only, and is no part of the file
        ends = {ref[0] for _, ref in graph.outputs}
        wanted = ends.union(*map(graph.ancestors, ends)) - graph.input_ids
        assert set(by_id) == wanted
        for node_id, node in by_id.items():
            assert values[node.output[0]] == ["N", *specs[node_id, 0].shape[1:]]


def test_a_fixed_batch() -> None:
    model = export_onnx(diamond(), parameters_of(diamond(), 0), batch=3)
    for value in (*model.graph.input, *model.graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_value == 3


def test_names_are_identifiers_and_unique() -> None:
    graph = Graph(
        inputs=(Input("image", (2, 6, 6)),),
        nodes=(
            Node("a/b", Conv2d(2, 1), (("image", 0),)),
            Node("a.b", Conv2d(2, 1), (("a/b", 0),)),
            Node("a_b", Conv2d(2, 1), (("a.b", 0),)),
            Node("a-b_weight", AvgPool2d(3, 1, 1, True, True), (("a_b", 0),)),
            Node("1st", ReLU(), (("a-b_weight", 0),)),
            Node("a-b_weight_average", ReLU(), (("1st", 0),)),
        ),
        outputs=(("Ausgang ü", ("a-b_weight_average", 0)), ("a/b", ("a/b", 0))),
        name="9 Netz/1",
    )
    model = check(graph)
    tensors = [t.name for t in (*model.graph.input, *model.graph.initializer)]
    tensors += [name for n in model.graph.node for name in n.output]
    nodes = [n.name for n in model.graph.node]
    assert len(set(tensors)) == len(tensors) and len(set(nodes)) == len(nodes)
    for name in (*tensors, *nodes, model.graph.name):
        assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)


def test_an_output_may_be_an_input_or_be_named_twice() -> None:
    graph = replace(
        diamond(),
        outputs=(("x", ("image", 0)), ("one", ("sum", 0)), ("two", ("sum", 0))),
        losses=(),
    )
    model = check(graph)
    assert [o.name for o in model.graph.output] == ["x", "one", "two"]


def test_several_inputs() -> None:
    model = check(chain(Add(), ReLU(), Concat()))
    assert len(model.graph.input) == 3


def test_what_no_output_needs_is_left_out() -> None:
    graph = diamond()
    loose = replace(
        graph,
        nodes=(*graph.nodes, Node("loose", Conv2d(3, 3), (None,))),
        inputs=(*graph.inputs, Input("unused", (1,))),
        losses=(*graph.losses, Loss("open", CrossEntropy(), ("", 0))),
    )
    parameters = parameters_of(graph, 0)
    assert export_onnx(loose, parameters) == export_onnx(graph, parameters)


def test_with_softmax_the_output_is_shares() -> None:
    graph = ARCHITECTURES["resnet-digits"].build()
    parameters, inputs = parameters_of(graph, 1), batch_for(graph, 6, 2)
    model = export_onnx(graph, parameters, softmax="add")
    assert [o.name for o in model.graph.output] == ["probabilities"]
    (shares,) = session(model).run(None, inputs)
    (scores,) = engine_outputs(graph, parameters, inputs)
    exact = np.exp(scores - scores.max(1, keepdims=True), dtype="float64")
    exact /= exact.sum(1, keepdims=True)
    assert difference(exact, shares) < 1e-5
    assert np.allclose(shares.sum(1), 1, atol=1e-6)


def test_with_softmax_a_network_without_scores_is_refused() -> None:
    with pytest.raises(ExportError, match="outputs as they are"):
        export_onnx(chain(ReLU()), {}, softmax="add")


# ---- what the file says of itself -----------------------------------------------------------


def test_metadata() -> None:
    preprocessing = Preprocessing((6, 6), 1, (0.1307,), (0.3081,), invert=True)
    model = export_onnx(
        diamond(),
        parameters_of(diamond(), 0),
        preprocessing=preprocessing,
        metadata={"title": "Raute", "accuracy": 0.98, "credit": "ich", "classes": [1, 2]},
    )
    props = {p.key: p.value for p in model.metadata_props}
    assert json.loads(props["labels"]) == ["a", "b", "ç", "d"]
    assert Preprocessing.from_dict(json.loads(props["preprocessing"])) == preprocessing
    assert props["accuracy"] == "0.98" and props["credit"] == "ich" and props["classes"] == "[1, 2]"
    assert props["name"] == "Diamond" and model.doc_string == "Raute"
    assert model.producer_name == "Gradient Flow Explorer" and model.producer_version
    other = export_onnx(diamond(), parameters_of(diamond(), 0), labels=("p", "q", "r", "s"))
    assert json.loads({p.key: p.value for p in other.metadata_props}["labels"]) == list("pqrs")


def test_weights_are_float32_whatever_they_were() -> None:
    graph = diamond()
    parameters = parameters_of(graph, 0)
    double: Any = {k: a.astype("float64") for k, a in parameters.items()}
    assert export_onnx(graph, double) == export_onnx(graph, parameters)
    stored = {
        t.name: numpy_helper.to_array(t) for t in export_onnx(graph, double).graph.initializer
    }
    assert np.array_equal(stored["a_conv_weight"], parameters["a/conv", "weight"])
    assert stored["a_conv_weight"].dtype == np.float32


def test_equal_networks_give_equal_files(tmp_path: Path) -> None:
    paths = [tmp_path / "a.onnx", tmp_path / "b.onnx"]
    for path in paths:
        export_onnx(diamond(), parameters_of(diamond(), 0), path, metadata={"b": 1, "a": 2})
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert onnx.load(paths[0]) == export_onnx(
        diamond(), parameters_of(diamond(), 0), metadata={"b": 1, "a": 2}
    )


def test_the_default_is_read_by_runtimes_of_the_last_two_years() -> None:
    """onnxruntime 1.20 of November 2024 reads opsets to 21 and IR versions to 10."""
    model = export_onnx(diamond(), parameters_of(diamond(), 0))
    assert model.opset_import[0].version <= 21 and model.ir_version <= 10


# ---- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("graph", "said"),
    [
        (Graph(), "expected an output, received none"),
        (
            replace(diamond(), outputs=(("logits", ("", 0)),)),
            "Output logits: expected a connection",
        ),
        (diamond().disconnect("sum", 2).disconnect("sum", 1), "sum: expected 2 or more"),
        (diamond().disconnect("a/conv", 0), "a/conv: expected 1 connected input"),
        (diamond().replace_node("a/conv", layer=Conv2d(2, 9)), "at a/conv"),
        (diamond().replace_node("head/fc", inputs=(("gone", 0),)), "head/fc: .*gone"),
        (diamond().replace_node("a/conv", inputs=(("b/conv", 0),)), "without a circle.*a/conv"),
        (diamond().replace_node("head/fc", layer=Linear(7)), "weight of head/fc: expected shape"),
    ],
)
def test_a_network_that_cannot_run_is_named(graph: Graph, said: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=said):
        export_onnx(graph, parameters_of(diamond(), 0), tmp_path / "x.onnx")
    assert not (tmp_path / "x.onnx").exists()


@pytest.mark.parametrize("opset", [12, 10_000, -1])
def test_an_unknown_opset_is_refused(opset: int) -> None:
    with pytest.raises(ExportError, match=f"Opset: expected 13 to .*received {opset}"):
        export_onnx(chain(ReLU()), {}, opset=opset)


def test_a_batch_of_nothing_is_refused() -> None:
    with pytest.raises(ExportError, match="at least 1 sample"):
        export_onnx(chain(ReLU()), {}, batch=0)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_weights_that_are_not_finite_are_named(value: float) -> None:
    parameters: Any = {k: a.astype("float64") for k, a in parameters_of(diamond(), 0).items()}
    parameters["head/fc", "bias"][1] = value
    with pytest.raises(ExportError, match="bias of head/fc: expected finite"):
        export_onnx(diamond(), parameters)


def test_missing_weights_are_named() -> None:
    parameters = parameters_of(diamond(), 0)
    del parameters["a/conv", "bias"]
    with pytest.raises(ExportError, match="bias of a/conv: expected an array"):
        export_onnx(diamond(), parameters)


def test_what_the_checker_refuses_is_not_written(tmp_path: Path) -> None:
    graph = chain(Described(OnnxOp("Transpose", {"perm": [0, 1, 3, 2]})))
    with pytest.raises(ExportError, match="onnx's checker accepts"):
        export_onnx(graph, {}, tmp_path / "x.onnx")
    assert not (tmp_path / "x.onnx").exists()


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="expected the folder .*gone.*Nothing was changed"):
        export_onnx(chain(ReLU()), {}, tmp_path / "gone" / "x.onnx")


def test_a_failed_export_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    path = folder / "x.onnx"
    path.write_bytes(b"old")

    def fail(*args: Any) -> None:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(ExportError, match="permission"):
        export_onnx(chain(ReLU()), {}, path)
    assert path.read_bytes() == b"old" and [p.name for p in folder.iterdir()] == ["x.onnx"]


def test_shape_errors_keep_their_remedy() -> None:
    with pytest.raises(ExportError, match="smaller kernel_size") as caught:
        export_onnx(chain(Conv2d(2, 20)), {})
    assert isinstance(caught.value.__cause__, ShapeError)
