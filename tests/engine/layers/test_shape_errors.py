"""Wrong shapes: what is said, and that every fix that is offered mends."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest

from engine.graph import Graph, Input, Node
from engine.layers.add import Add
from engine.layers.avg_pool2d import AvgPool2d
from engine.layers.base import Layer, ShapeError, Spec, layer_from_dict
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.concat import Concat
from engine.layers.conv2d import Conv2d
from engine.layers.conv_transpose2d import ConvTranspose2d
from engine.layers.global_avg_pool import GlobalAvgPool
from engine.layers.group_norm import GroupNorm
from engine.layers.instance_norm import InstanceNorm
from engine.layers.linear import Linear
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.mul import Mul
from engine.layers.pad import Pad
from engine.layers.partial_conv2d import PartialConv2d
from engine.layers.rbf import RBF
from engine.layers.reshape import Reshape
from engine.layers.slice import Slice
from engine.layers.strided_slice import StridedSlice
from engine.layers.trainable_subsampling import TrainableSubsampling

Shapes = tuple[tuple[int, ...], ...]

MENDABLE: list[tuple[Layer, Shapes, set[str]]] = [
    (Conv2d(4, 5), ((1, 3, 3),), {"padding", "kernel_size"}),
    (Conv2d(4, (2, 7)), ((1, 9, 3),), {"padding", "kernel_size"}),
    (Conv2d(4, 3, dilation=3, padding=(0, 0, 2, 1)), ((1, 3, 3),), {"padding", "kernel_size"}),
    (Conv2d(6, 3, groups=4), ((9, 5, 5),), {"groups"}),
    (Conv2d(6, 3, groups=3), ((6, 2, 2),), {"padding", "kernel_size"}),
    (MaxPool2d(2), ((1, 1, 1),), {"padding", "kernel_size"}),
    (MaxPool2d(5), ((1, 2, 2),), {"padding", "kernel_size"}),
    (MaxPool2d(2, dilation=6), ((1, 3, 3),), {"padding", "kernel_size"}),
    (MaxPool2d(4, padding=(0, 0, 1, 2)), ((1, 1, 1),), {"padding"}),
    (AvgPool2d(3), ((1, 1, 2),), {"padding", "kernel_size"}),
    (AvgPool2d(4, 1, ceil_mode=True), ((2, 3, 3),), {"padding", "kernel_size"}),
    (Linear(10), ((3, 4, 4),), {"insert"}),
    (Add(), ((8, 8, 8), (16, 4, 4)), {"insert"}),
    (Add(), ((16, 4, 4), (8, 8, 8)), {"insert"}),
    (Add(), ((8, 7, 7), (16, 4, 4)), {"insert"}),
    (Add(), ((8, 4, 4), (16, 4, 4)), {"insert"}),
    (Add(), ((8, 4, 8), (16, 8, 4)), set()),
    (Add(), ((8, 4, 4), (8,)), set()),
    (Add(), ((5,), (8,)), set()),
    (Concat(), ((8, 8, 8), (4, 4, 4)), {"insert"}),
    (Concat(), ((4, 4, 4), (8, 12, 12)), {"insert"}),
    (Concat(), ((4, 4, 4), (8,)), {"insert"}),
    (Concat(), ((8,), (4, 4, 4)), {"insert"}),
    (Concat(), ((8, 5, 5), (4, 4, 4)), set()),
    (ConvTranspose2d(6, groups=4), ((9, 5, 5),), {"groups"}),
    (ConvTranspose2d(6, padding=3), ((2, 2, 2),), {"padding"}),
    (Pad(4, "reflect"), ((3, 4, 4),), {"mode"}),
    (PartialConv2d(), ((4, 9, 9),), {"table"}),
    (PartialConv2d(), ((2, 9, 9),), set()),
    (PartialConv2d("neighbours"), ((2, 9, 9),), set()),
    (RBF(), ((3, 4, 4),), {"insert"}),
    (TrainableSubsampling(3), ((1, 2, 5),), {"kernel_size"}),
    (Reshape(5, 2, 2), ((3, 4, 4),), {"channels"}),
    (Reshape(0, 5, 2), ((3, 4, 4),), set()),
    (Slice("rows"), ((7,),), {"axis"}),
    (Slice("rows", 2, 4), ((3, 4, 4),), {"size"}),
    (Slice("rows", 6, 4), ((3, 4, 4),), {"start"}),
    (Slice("rows", 6, 5), ((3, 4, 4),), set()),
    (StridedSlice(2, 1, 0, 3), ((3, 4, 4),), {"step"}),
    (StridedSlice(2, 2, 0, 3), ((3, 4, 4),), set()),
    (StridedSlice(2, 3, -2, 3), ((3, 4, 4),), {"count"}),
    (GroupNorm(groups=4), ((6, 5, 5),), {"groups"}),
    (InstanceNorm(), ((6, 1, 1),), set()),
    (Mul(), ((8, 4, 4), (2, 1, 1)), set()),
    (Mul(), ((8, 4, 4), (8,)), set()),
]


@pytest.mark.parametrize(
    ("layer", "shapes", "offered"),
    MENDABLE,
    # A set is written in an order of its own in each process, which must agree on the names.
    ids=lambda value: " ".join(sorted(value)) if isinstance(value, set) else str(value),
)
def test_every_fix_mends(layer: Layer, shapes: Shapes, offered: set[str]) -> None:
    inputs = tuple(Input(f"in{i}", shape) for i, shape in enumerate(shapes))
    node = Node("here", layer, tuple((i.id, 0) for i in inputs))
    graph = Graph(inputs=inputs, nodes=(node,))
    error = graph.infer(2).errors["here"]
    assert isinstance(error, ShapeError)
    assert {fix.name or fix.action for fix in error.fixes} == offered
    for fix in error.fixes:
        if fix.action == "set":
            mended = graph.replace_node("here", layer=replace(layer, **{fix.name: fix.value}))
        else:
            extra = layer_from_dict(fix.value)
            name = graph.fresh_id(extra.slug)
            mended = graph.insert(Node(name, extra, ()), "here", fix.slot)
        assert mended.infer(2).valid, fix
        assert ("here", 0) in mended.infer(2).specs


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (Conv2d(), (2, 10), r"feature maps for Convolution, received one row of 10 numbers\."),
        (Conv2d(), (2, 3, 4), r"for Convolution, received 3×4, a block of numbers with 2 axes"),
        (MaxPool2d(), (2, 1), r"feature maps for Max pooling, received one row of 1 number\."),
        (AvgPool2d(), (2,), r"feature maps for Average pooling, received a single number\."),
        (BatchNorm2d(), (2, 10), r"feature maps for Batch normalisation"),
        (GlobalAvgPool(), (2, 10), r"feature maps for Global average pooling"),
        (
            Linear(),
            (2, 3, 4, 4),
            r"one row of numbers per picture for Fully connected, received 3 maps of 4×4\.",
        ),
        (MaxPool2d(5), (2, 3, 4, 4), r"as large as the 5×5 window of MaxPool2d, received 4×4"),
        (Conv2d(4, groups=2), (2, 3, 4, 4), r"divisible by groups=2, received 3 input channels"),
    ],
    ids=str,
)
def test_message_names_expected_received_and_remedy(
    layer: Layer, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ShapeError, match=message) as caught:
        layer.outputs(Spec(shape))
    error = caught.value
    assert error.expected and error.received and error.remedy.endswith(".")
    twin = pickle.loads(pickle.dumps(error))  # noqa: TID251  it crosses the worker's pipe
    assert (str(twin), twin.fixes) == (str(error), error.fixes)
