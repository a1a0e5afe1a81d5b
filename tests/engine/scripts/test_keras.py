"""Keras scripts: parsed everywhere, and run to the same numbers where Keras is installed."""

from __future__ import annotations

import ast
import builtins
import importlib
import importlib.util
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.architectures import ARCHITECTURES
from engine.graph import Graph, Input, Node
from engine.layers.add import Add
from engine.layers.base import REGISTRY, Array, Layer
from engine.layers.compare import Compare
from engine.layers.concat import Concat
from engine.layers.conv2d import Conv2d
from engine.layers.conv_transpose2d import ConvTranspose2d
from engine.layers.feature_norm import FeatureNorm
from engine.layers.frame import Frame
from engine.layers.linear import Linear
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.max_unpool2d import MaxUnpool2d
from engine.layers.mul import Mul
from engine.layers.pad import Pad
from engine.layers.split import Split
from engine.layers.top_k import TopK
from engine.layers.where import Where
from engine.parameters import initial_parameters
from engine.plan import Batch, compile, exhaust
from engine.scripts.base import ScriptError
from engine.scripts.keras import REFUSED, RULES, keras_script, keras_weights

keras: Any = importlib.import_module("keras") if importlib.util.find_spec("keras") else None
needs_keras = pytest.mark.skipif(keras is None, reason="Keras is not installed")
# Keras's PyTorch backend uses what NumPy calls old.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
IMAGE = ("image", 0)
JOINING: dict[str, Layer] = {"Add": Add(), "Concat": Concat(), "Mul": Mul()}


def single(layer: Layer, shape: tuple[int, ...]) -> Graph:
    return Graph(
        (Input("image", shape),),
        (Node("class", layer, (IMAGE,)),),
        (("out", ("class", 0)),),
        name="a layer",
    )


def refused(layer: Layer) -> bool:
    """Whether Keras has no form of it; each is refused by name in a test of its own."""
    return (
        type(layer) in REFUSED
        or bool(getattr(layer, "operand", ()))
        or bool(getattr(layer, "last", False))
        or (isinstance(layer, Pad) and layer.mode == "edge")
        or (isinstance(layer, Frame) and layer.mode in ("edge", "wrap"))
        or (isinstance(layer, FeatureNorm) and not layer.centred)
        or (isinstance(layer, MaxPool2d) and layer.dilation != 1)
        or (isinstance(layer, ConvTranspose2d) and (layer.dilation, layer.groups) != (1, 1))
    )


def weights_of(graph: Graph, seed: int) -> dict[tuple[str, str], Array]:
    rng = np.random.default_rng(seed)
    return {
        key: (array + rng.uniform(0.1, 0.9, array.shape)).astype("float32")
        for key, array in initial_parameters(graph, seed).items()
    }


def ours(graph: Graph, parameters: dict[tuple[str, str], Array], x: Array) -> Array:
    plan = compile(graph, parameters, batch=len(x), mode="eval")
    exhaust(plan.run(Batch.of(graph, x), backward=False))
    return plan.output(graph.outputs[0][0])


def theirs(graph: Graph, parameters: dict[tuple[str, str], Array], x: Array) -> Array:
    space: dict[str, Any] = {"__name__": "script"}
    exec(builtins.compile(keras_script(graph), "script.py", "exec"), space)
    model = space["network"]()
    for name, array in keras_weights(graph, parameters).items():
        layer, _, weight = name.rpartition(".")
        {v.name: v for v in model.get_layer(layer).weights}[weight].assign(array)
    turned = x.transpose(0, 2, 3, 1) if x.ndim == 4 else x
    result = keras.ops.convert_to_numpy(model(turned, training=False))
    return result.transpose(0, 3, 1, 2) if result.ndim == 4 else np.asarray(result)


def test_every_layer_has_a_rule_or_is_named_as_one_without(layer_kinds: set[type[Layer]]) -> None:
    assert layer_kinds | {type(x) for x in JOINING.values()} == (set(RULES) | set(REFUSED)) - {
        MaxUnpool2d,
        Split,
        TopK,
    }
    assert set(REGISTRY.values()) == set(RULES) | set(REFUSED)
    assert not set(RULES) & set(REFUSED)
    assert all("no" in why and why.endswith(".") for why in REFUSED.values())


def test_a_layer_is_written_as_python(layer: Layer, shape: tuple[int, ...]) -> None:
    graph = single(layer, shape)
    if refused(layer):
        with pytest.raises(ScriptError, match="class: .*no (Keras )?form"):
            keras_script(graph)
        return
    ast.parse(keras_script(graph))
    assert len(keras_weights(graph, weights_of(graph, 0))) == len(
        graph.parameter_specs(graph.infer().specs)
    )


@needs_keras
def test_a_layer_computes_the_same(layer: Layer, shape: tuple[int, ...]) -> None:
    if refused(layer):
        return
    graph = single(layer, shape)
    x = np.random.default_rng(1).standard_normal((3, *shape)).astype("float32")
    parameters = weights_of(graph, 2)
    mine = ours(graph, parameters, x)
    assert np.ptp(mine) > 1e-3
    np.testing.assert_allclose(theirs(graph, parameters, x), mine, rtol=1e-4, atol=1e-5)


@needs_keras
@pytest.mark.parametrize("layer", JOINING.values(), ids=list(JOINING))
def test_branches_meet_the_same(layer: Layer) -> None:
    graph = Graph(
        (Input("image", (3, 4, 5)),),
        (
            Node("left", Conv2d(3, 3, padding=1), (IMAGE,)),
            Node("right", Conv2d(3, 1), (IMAGE,)),
            Node("meet", layer, (("left", 0), ("right", 0))),
        ),
        (("out", ("meet", 0)),),
    )
    x = np.random.default_rng(1).standard_normal((3, 3, 4, 5)).astype("float32")
    parameters = weights_of(graph, 2)
    np.testing.assert_allclose(
        theirs(graph, parameters, x), ours(graph, parameters, x), rtol=1e-4, atol=1e-5
    )


@needs_keras
def test_several_inputs_are_combined_the_same(
    layer: Layer, shapes: tuple[tuple[int, ...], ...]
) -> None:
    inputs = tuple(Input(f"x{i}", shape) for i, shape in enumerate(shapes))
    node = Node("class", layer, tuple((i.id, 0) for i in inputs))
    graph = Graph(inputs, (node,), (("out", ("class", 0)),))
    if type(layer) in REFUSED or len({len(shape) for shape in shapes}) > 1:
        with pytest.raises(ScriptError, match="class: .*no Keras form|class: .*no form"):
            keras_script(graph)
        return
    rng = np.random.default_rng(1)
    shift = 0 if isinstance(layer, Compare | Where) else 0.25
    xs = [(rng.integers(-2, 3, (3, *s)) + shift).astype("float32") for s in shapes]
    plan = compile(graph, {}, batch=3, mode="eval", backward=False)
    exhaust(plan.run(Batch(dict(zip([i.id for i in inputs], xs, strict=True)))))
    space: dict[str, Any] = {"__name__": "script"}
    exec(builtins.compile(keras_script(graph), "script.py", "exec"), space)
    turned = [x.transpose(0, 2, 3, 1) if x.ndim == 4 else x for x in xs]
    found = keras.ops.convert_to_numpy(space["network"]()(turned, training=False))
    found = found.transpose(0, 3, 1, 2) if found.ndim == 4 else found
    assert np.ptp(found) > 1e-3
    np.testing.assert_allclose(found, plan.output(), rtol=1e-5, atol=1e-6)


@needs_keras
@pytest.mark.parametrize("shape", [(5, 3, 4), (6,)])
def test_parts_are_cut_the_same(shape: tuple[int, ...]) -> None:
    node = Node("cut", Split(1, (1, 3, -1)), (IMAGE,))
    ends = tuple((f"y{i}", ("cut", i)) for i in range(3))
    graph = Graph((Input("image", shape),), (node,), ends)
    x = np.random.default_rng(1).standard_normal((2, *shape)).astype("float32")
    plan = compile(graph, {}, batch=2, mode="eval", backward=False)
    exhaust(plan.run(Batch({"image": x})))
    space: dict[str, Any] = {"__name__": "script"}
    exec(builtins.compile(keras_script(graph), "script.py", "exec"), space)
    turned = x.transpose(0, 2, 3, 1) if x.ndim == 4 else x
    for i, part in enumerate(space["network"]()(turned, training=False)):
        found = keras.ops.convert_to_numpy(part)
        found = found.transpose(0, 3, 1, 2) if found.ndim == 4 else found
        assert np.array_equal(found, plan.value(("cut", i)))


CLASSROOM = [
    name
    for name in ARCHITECTURES
    if ("digits" in name or name.startswith("lenet5")) and "1998" not in name
]


@pytest.mark.parametrize("name", CLASSROOM)
def test_the_gallery_is_written_as_python(name: str) -> None:
    script = keras_script(ARCHITECTURES[name].build(), weights="w.safetensors")
    ast.parse(script)
    assert max(map(len, script.splitlines())) <= 100
    assert "'" not in script.replace("'s ", "")


@needs_keras
@pytest.mark.parametrize("name", CLASSROOM)
def test_the_gallery_computes_the_same(name: str) -> None:
    graph = ARCHITECTURES[name].build()
    x = np.random.default_rng(3).standard_normal((4, *graph.inputs[0].shape)).astype("float32")
    parameters = initial_parameters(graph, 4)
    np.testing.assert_allclose(
        theirs(graph, parameters, x), ours(graph, parameters, x), rtol=1e-3, atol=1e-4
    )


def test_what_has_no_form_is_refused_by_name() -> None:
    with pytest.raises(ScriptError, match="class: Convolution with stride and dilation"):
        keras_script(single(Conv2d(2, 2, 2, dilation=2), (1, 8, 8)))
    shared = Graph(
        (Input("image", (3,)),),
        (
            Node("one", Linear(3), (IMAGE,)),
            Node("two", Linear(3), (("one", 0),), params="one"),
        ),
        (("out", ("two", 0)),),
    )
    with pytest.raises(ScriptError, match="two: Fully connected"):
        keras_script(shared)
    with pytest.raises(ScriptError, match="Mark one as output"):
        keras_script(replace(shared, outputs=()))
