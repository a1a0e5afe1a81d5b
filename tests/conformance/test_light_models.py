"""The full-size networks that onnx itself ships, with recorded outputs and with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from engine.graph import Loss
from engine.layers.base import Array
from engine.onnx import Imported, read
from engine.plan import Batch, compile, exhaust
from engine.score import Score

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
MODELS = sorted(path.stem for path in LIGHT.glob("*.onnx"))
QUICK = ("light_squeezenet", "light_shufflenet", "light_inception_v1")
"""Those that are also run with random weights; each takes a second."""


def opened(name: str) -> Imported:
    return read(LIGHT / f"{name}.onnx")


@pytest.mark.parametrize("name", MODELS)
def test_it_opens_whole_with_the_samples_free(name: str) -> None:
    imported = opened(name)
    assert imported.problems == () and imported.samples_free
    assert not imported.graph.infer(3).errors
    specs = imported.graph.infer(3).specs
    (_, ref) = imported.graph.outputs[0]
    assert specs[ref].shape[:2] == (3, 1000)


def run(imported: Imported, parameters: dict[Any, Array], x: Array) -> Array:
    plan = compile(imported.graph, parameters, batch=len(x), mode="eval", backward=False)
    exhaust(plan.run(Batch(imported.feed({next(iter(imported.inputs.values())): x}))))
    return plan.output().copy()


@pytest.mark.parametrize("name", MODELS)
def test_it_computes_the_recorded_output(name: str) -> None:
    imported = opened(name)
    tensor = onnx.TensorProto()
    tensor.ParseFromString((LIGHT / f"{name}_output_0.pb").read_bytes())
    recorded = numpy_helper.to_array(tensor)
    # as onnx's own runner makes the input
    shape = imported.graph.inputs[0].shape
    size = int(np.prod(shape))
    x = (np.arange(size).reshape(1, *shape) / size).astype("float32")
    np.testing.assert_allclose(
        run(imported, dict(imported.parameters), x), recorded, rtol=2e-3, atol=1e-6
    )


@pytest.mark.parametrize("name", QUICK)
def test_with_random_weights_it_agrees_with_onnxruntime(name: str) -> None:
    """The file's own weights are all alike, which hides much."""
    model = reseeded(onnx.load(LIGHT / f"{name}.onnx"), 5)
    imported = read(model)
    parameters = dict(imported.parameters)
    shape = imported.graph.inputs[0].shape
    x = np.random.default_rng(1).random((3, *shape), np.float32)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    entry = next(i for i in session.get_inputs() if i.name in imported.inputs.values())
    # the file is for one sample at a time
    theirs = np.concatenate([session.run(None, {entry.name: x[i : i + 1]})[0] for i in range(3)])
    one = run(imported, parameters, x[:1])
    assert float(np.abs(one - theirs[:1]).max()) <= 1e-4 * float(np.abs(theirs).max())
    ours = run(imported, parameters, x)
    assert np.ptp(theirs) > 1e-6
    assert float(np.abs(ours - theirs).max()) <= 1e-4 * float(np.abs(theirs).max())


def reseeded(model: onnx.ModelProto, seed: int) -> onnx.ModelProto:
    """The model with random numbers for its constants of floats, scaled so that they last."""
    rng = np.random.default_rng(seed)
    made = {}
    for node in list(model.graph.node):
        if node.op_type != "ConstantOfShape":
            continue
        shape_name = node.input[0]
        shape = next(
            numpy_helper.to_array(t) for t in model.graph.initializer if t.name == shape_name
        ).astype(int)
        made[node.output[0]] = shape
        model.graph.node.remove(node)
    variances = {n.input[4] for n in model.graph.node if n.op_type == "BatchNormalization"}
    for name, shape in made.items():
        fan_in = int(np.prod(shape[1:])) or 1
        values = rng.standard_normal(shape) * np.sqrt(2 / fan_in)
        if name in variances:
            values = rng.uniform(0.5, 2, shape)
        elif len(shape) == 1:
            values = 0.1 * rng.standard_normal(shape) + 0.5
        model.graph.initializer.append(numpy_helper.from_array(values.astype("float32"), name))
    return model


def test_the_gradient_of_a_logit_is_the_slope_along_a_direction() -> None:
    model = reseeded(onnx.load(LIGHT / "light_squeezenet.onnx"), 6)
    imported = read(model)
    graph = imported.graph
    last = [n for n in graph.order if type(n.layer).__name__ == "GlobalAvgPool"][-1]
    scored = graph.__class__(
        graph.inputs, graph.nodes, graph.outputs, (Loss("score", Score((7,)), (last.id, 0)),)
    )
    x = np.random.default_rng(2).random((1, *graph.inputs[0].shape))
    parameters = {k: v.astype("float64") for k, v in imported.parameters.items()}
    plan = compile(scored, parameters, batch=1, mode="eval", dtype="float64")
    name = graph.inputs[0].id
    feed = {"score": np.zeros(1, int)}
    exhaust(plan.run(Batch({name: x}, feed)))
    gradient = plan.gradient((name, 0))
    assert gradient is not None and np.abs(gradient).max() > 0
    direction = np.random.default_rng(3).standard_normal(x.shape)
    claimed = float((gradient * direction).sum())

    def score(moved: Array) -> float:
        exhaust(plan.run(Batch({name: moved}, feed), backward=False))
        return float(plan.value((last.id, 0))[0, 7].sum())

    step = 1e-7
    measured = (score(x + step * direction) - score(x - step * direction)) / (2 * step)
    assert abs(measured - claimed) <= 1e-5 * max(abs(measured), abs(claimed))
