"""Every block fits behind maps, leaves the network valid, and has the shape that it promises."""

from __future__ import annotations

import numpy as np
import pytest

from engine.building_blocks import KINDS, Block, appended, free_path
from engine.graph import Graph, GraphError, Input, Loss, Node
from engine.layers.base import Spec
from engine.layers.conv2d import Conv2d
from engine.layers.flatten import Flatten
from engine.layers.linear import Linear
from engine.layers.relu import ReLU
from engine.losses import CrossEntropy
from engine.parameters import initial_parameters
from engine.plan import Batch, compile, exhaust


def network() -> Graph:
    return Graph(
        inputs=(Input("image", (6, 9, 9)),),
        nodes=(
            Node("relu", ReLU(), (("image", 0),)),
            Node("flatten", Flatten(), (("relu", 0),)),
            Node("fc", Linear(3), (("flatten", 0),)),
        ),
        outputs=(("maps", ("relu", 0)), ("logits", ("fc", 0))),
        losses=(Loss("loss", CrossEntropy(), ("fc", 0)),),
    )


def with_block(block: Block) -> tuple[Graph, Spec]:
    graph = network()
    path = free_path(graph, block.description.path)
    made = appended(graph, block, ("relu", 0), graph.infer().specs["relu", 0], path)
    return made, made.infer().specs[made.node("flatten").inputs[0] or ("", 0)]


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("width", [0, 1, 5, 32])
def test_it_is_valid_and_grouped(kind: str, width: int) -> None:
    graph, _ = with_block(Block(kind, width))
    assert graph.check().valid
    new = [n.id for n in graph.nodes if n.id not in network().by_id]
    assert len(new) > 2 and len({name.split("/")[0] for name in new}) == 1
    assert dict(graph.outputs)["maps"] == graph.node("flatten").inputs[0] != ("relu", 0)


@pytest.mark.parametrize(
    ("block", "shape"),
    [
        (Block("conv-bn-relu", 16, 2), (1, 16, 5, 5)),
        (Block("residual", 32, 2), (1, 32, 5, 5)),
        (Block("residual"), (1, 6, 9, 9)),
        (Block("bottleneck", 32, 2), (1, 32, 5, 5)),
        (Block("inception", 64), (1, 64, 9, 9)),
        (Block("squeeze-excite", 2), (1, 6, 9, 9)),
        (Block("dense", 4), (1, 18, 9, 9)),
        (Block("separable", 10, 3), (1, 10, 3, 3)),
    ],
)
def test_its_output_has_the_promised_shape(block: Block, shape: tuple[int, ...]) -> None:
    assert with_block(block)[1].shape == shape


def test_a_skip_is_projected_only_where_it_must_be() -> None:
    same, wider = with_block(Block("residual", 6))[0], with_block(Block("residual", 8))[0]
    assert same.node("block1/add").inputs[1] == ("relu", 0)
    assert wider.node("block1/add").inputs[1] == ("block1/shortcut/bn", 0)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_it_trains(kind: str) -> None:
    graph, _ = with_block(Block(kind, 4))
    plan = compile(graph, initial_parameters(graph, 0), batch=2)
    x = np.random.default_rng(1).standard_normal((2, 6, 9, 9)).astype("float32")
    exhaust(plan.run(Batch.of(graph, x, np.array([0, 2]))))
    found = plan.parameter_gradients()
    assert all(np.isfinite(array).all() for array in found.values())
    assert any(array.any() for array in found.values())


def test_only_maps_are_stood_behind_and_paths_are_free() -> None:
    graph = network()
    with pytest.raises(GraphError, match="Residual block: expected maps .* received 3 from fc"):
        appended(graph, Block("residual"), ("fc", 0), Spec((1, 3)), "block1")
    with pytest.raises(GraphError, match="received nothing"):
        appended(graph, Block("residual"), ("fc", 0), None, "block1")
    taken = graph.add(Node("block1/conv", ReLU(), (("image", 0),)))
    assert free_path(taken, "block") == "block2"


def test_the_channels_inside_are_those_of_the_papers() -> None:
    def channels(block: Block) -> list[int]:
        convs = (n.layer for n in with_block(block)[0].nodes if isinstance(n.layer, Conv2d))
        return [conv.out_channels for conv in convs]

    assert channels(Block("bottleneck", 32)) == [8, 8, 32, 32]
    assert channels(Block("inception", 256)) == [64, 96, 128, 16, 32, 32]
    assert channels(Block("squeeze-excite", 2)) == [3, 6]
    assert channels(Block("dense", 4)) == [4, 4, 4]
    assert channels(Block("separable", 10)) == [6, 10]
