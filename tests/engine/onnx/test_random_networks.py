"""Random networks go out to ONNX and come back, and all that run them agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator

from engine.graph import Graph, Input, Node, Ref
from engine.layers.add import Add
from engine.layers.avg_pool2d import AvgPool2d
from engine.layers.base import HyperparameterError, Layer
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.concat import Concat
from engine.layers.conv2d import Conv2d
from engine.layers.conv_transpose2d import ConvTranspose2d
from engine.layers.elu import ELU
from engine.layers.flatten import Flatten
from engine.layers.gelu import GELU
from engine.layers.global_avg_pool import GlobalAvgPool
from engine.layers.group_norm import GroupNorm
from engine.layers.hard_swish import HardSwish
from engine.layers.leaky_relu import LeakyReLU
from engine.layers.linear import Linear
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.mul import Mul
from engine.layers.pad import Pad
from engine.layers.prelu import PReLU
from engine.layers.relu import ReLU
from engine.layers.resize import Resize
from engine.layers.sigmoid import Sigmoid
from engine.layers.silu import SiLU
from engine.onnx import export_onnx, read
from engine.parameters import initial_parameters
from engine.plan import Batch, compile, exhaust

NETWORKS = 200
INTERPRETED = 200
"""How many onnx's reference evaluator runs."""
SAMPLES = 8
"""So many that the largest of a single output is not one whose terms happen to cancel."""

small = st.integers(1, 3)
sides = st.tuples(*[st.integers(0, 2)] * 4)


def conv(draw: st.DrawFn, channels: int) -> Layer:
    groups = draw(st.sampled_from([g for g in (1, 2, channels) if channels % g == 0]))
    return Conv2d(
        groups * draw(st.integers(1, 3)),
        (draw(small), draw(small)),
        stride=(draw(st.integers(1, 2)), draw(st.integers(1, 2))),
        padding=draw(sides),
        dilation=draw(st.integers(1, 2)),
        groups=groups,
        bias=draw(st.booleans()),
    )


def plain(draw: st.DrawFn, channels: int) -> Layer:
    kinds: list[Layer] = [
        ReLU(),
        LeakyReLU(0.1),
        Sigmoid(),
        SiLU(),
        GELU(),
        ELU(0.7),
        HardSwish(),
        PReLU(),
        BatchNorm2d(),
        GroupNorm(groups=channels if draw(st.booleans()) else 1),
        Pad(draw(sides), "edge"),
        Resize((1, 2)),
        MaxPool2d(draw(st.integers(2, 3)), draw(small), draw(st.integers(0, 1))),
        AvgPool2d(
            draw(st.integers(2, 3)),
            draw(small),
            draw(st.integers(0, 1)),
            ceil_mode=draw(st.booleans()),
            count_include_pad=draw(st.booleans()),
        ),
        ConvTranspose2d(draw(small), draw(st.integers(2, 3)), stride=draw(st.integers(1, 2))),
    ]
    return draw(st.sampled_from(kinds))


@st.composite
def networks(draw: st.DrawFn) -> Graph:
    """A few layers, each on a tensor that is there; branches of one size meet."""
    channels = draw(st.integers(1, 4))
    shape = (channels, draw(st.integers(3, 8)), draw(st.integers(3, 8)))
    nodes: list[Node] = []
    known: dict[Ref, tuple[int, ...]] = {("image", 0): shape}
    head = Graph((Input("image", shape),))

    def add(layer: Layer, *refs: Ref) -> None:
        node = Node(f"{layer.slug}{len(nodes)}", layer, refs)
        grown = Graph(head.inputs, (*nodes, node))
        spec = grown.infer().specs.get((node.id, 0))
        if spec is not None and 0 < np.prod(spec.shape) <= 4000:
            nodes.append(node)
            known[node.id, 0] = spec.shape[1:]

    for _ in range(draw(st.integers(2, 8))):
        maps = [ref for ref, size in known.items() if len(size) == 3]
        source = draw(st.sampled_from(maps))
        same = [ref for ref in maps if known[ref] == known[source] and ref != source]
        near = [ref for ref in maps if known[ref][1:] == known[source][1:] and ref != source]
        choice = draw(st.integers(0, 5))
        try:
            if choice == 0 and same:
                add(draw(st.sampled_from([Add(), Mul()])), source, draw(st.sampled_from(same)))
            elif choice == 1 and near:
                add(Concat(), source, draw(st.sampled_from(near)))
            elif choice <= 3:
                add(conv(draw, known[source][0]), source)
            else:
                add(plain(draw, known[source][0]), source)
        except HyperparameterError:
            continue
    end = [ref for ref, size in known.items() if len(size) == 3][-1]
    if draw(st.booleans()):
        if draw(st.booleans()):
            add(GlobalAvgPool(), end)
            end = list(known)[-1]
        add(Flatten(), end)
        add(Linear(draw(st.integers(1, 5))), list(known)[-1])
        end = list(known)[-1]
    if end[0] == "image":
        add(ReLU(), end)
        end = list(known)[-1]
    return Graph(head.inputs, tuple(nodes), (("y", end),), name="random")


def weights(graph: Graph, seed: int) -> dict[tuple[str, str], Any]:
    rng = np.random.default_rng(seed)
    found = {}
    for key, array in initial_parameters(graph, seed).items():
        if key[1] == "running_var":
            array = rng.uniform(0.5, 2, array.shape)
        elif array.ndim == 1:
            array = array + rng.normal(0, 0.3, array.shape)
        found[key] = array.astype("float32")
    return found


def ours(graph: Graph, parameters: Any, x: Any) -> Any:
    plan = compile(graph, parameters, batch=len(x), mode="eval", backward=False)
    exhaust(plan.run(Batch({graph.inputs[0].id: x})))
    return plan.output().copy()


def theirs(content: bytes, x: Any) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(content, options)
    return session.run(None, {"image": x})[0]


def close(a: Any, b: Any) -> bool:
    assert a.shape == b.shape
    return bool(np.abs(a - b).max() <= 1e-5 * max(1e-3, float(np.abs(a).max())))


@settings(max_examples=NETWORKS, deadline=None)
@given(graph=networks(), seed=st.integers(0, 99))
def test_engine_onnxruntime_and_what_comes_back_agree(graph: Graph, seed: int) -> None:
    parameters = weights(graph, seed)
    x = (
        np.random.default_rng(seed)
        .standard_normal((SAMPLES, *graph.inputs[0].shape))
        .astype("float32")
    )
    content = export_onnx(graph, parameters).SerializeToString()
    here = ours(graph, parameters, x)
    assert close(theirs(content, x), here)
    merged = export_onnx(graph, parameters, merge_norms=True).SerializeToString()
    assert close(theirs(merged, x), here)
    imported = read(content)
    assert imported.problems == () and imported.samples_free
    assert close(here, ours(imported.graph, imported.parameters, x))
    again = export_onnx(imported.graph, imported.parameters).SerializeToString()
    assert close(theirs(again, x), here)


@settings(max_examples=INTERPRETED, deadline=None)
@given(graph=networks(), seed=st.integers(0, 99))
def test_the_reference_evaluator_agrees(graph: Graph, seed: int) -> None:
    parameters = weights(graph, seed)
    x = (
        np.random.default_rng(seed)
        .standard_normal((SAMPLES, *graph.inputs[0].shape))
        .astype("float32")
    )
    with np.errstate(all="ignore"):
        (there,) = ReferenceEvaluator(export_onnx(graph, parameters)).run(None, {"image": x})
    assert close(np.asarray(there), ours(graph, parameters, x))
