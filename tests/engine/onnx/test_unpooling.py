"""Max unpooling goes out, comes back as itself, and goes out again."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from engine.graph import Graph, Input, Node
from engine.layers.conv2d import Conv2d
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.max_unpool2d import MaxUnpool2d
from engine.onnx import export_onnx, read
from engine.onnx.comparison import compare, random_inputs
from engine.parameters import initial_parameters


def encoder(size: tuple[int, int], pool: MaxPool2d, unpool: MaxUnpool2d) -> Graph:
    nodes = (
        Node("first", Conv2d(4, 3, padding=1), (("x", 0),)),
        Node("pool", pool, (("first", 0),)),
        Node("middle", Conv2d(4, 3, padding=1), (("pool", 0),)),
        Node("unpool", unpool, (("middle", 0), ("pool", 1))),
        Node("last", Conv2d(2, 3), (("unpool", 0),)),
    )
    return Graph((Input("x", (3, *size)),), nodes, (("y", ("last", 0)),))


@pytest.mark.parametrize(
    ("size", "pool", "unpool"),
    [
        ((6, 8), MaxPool2d(2, return_indices=True), MaxUnpool2d()),
        ((7, 9), MaxPool2d(3, 2, 1, return_indices=True), MaxUnpool2d(3, 2, 1)),
        ((7, 8), MaxPool2d(2, return_indices=True), MaxUnpool2d(output_padding=(1, 0))),
        ((6, 6), MaxPool2d((2, 3), (2, 3), return_indices=True), MaxUnpool2d((2, 3), (2, 3))),
    ],
    ids=repr,
)
def test_it_comes_back_as_itself(
    size: tuple[int, int], pool: MaxPool2d, unpool: MaxUnpool2d
) -> None:
    graph = encoder(size, pool, unpool)
    content = export_onnx(graph, initial_parameters(graph, 3)).SerializeToString()
    for _ in range(2):
        imported = read(content)
        assert imported.problems == () and imported.samples_free
        assert [type(n.layer) for n in imported.graph.nodes] == [type(n.layer) for n in graph.nodes]
        back = next(n for n in imported.graph.nodes if isinstance(n.layer, MaxUnpool2d))
        pooled = next(n for n in imported.graph.nodes if isinstance(n.layer, MaxPool2d))
        assert back.inputs[1] == (pooled.id, 1)
        inputs = random_inputs(imported, 3, 4)
        assert compare(content, imported, inputs).agrees
        again = export_onnx(imported.graph, imported.parameters).SerializeToString()
        first, second = (
            onnxruntime.InferenceSession(c).run(None, inputs)[0] for c in (content, again)
        )
        assert np.array_equal(first, second) and np.ptp(first) > 0.1
        content = again
