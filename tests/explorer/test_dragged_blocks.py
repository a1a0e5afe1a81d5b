"""Blocks that are dropped: onto an edge, in place of layers, on nothing; tried, made, undone."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtCore import QMimeData

from engine.building_blocks import KINDS, Block
from engine.graph import Graph, GraphError, Input, Loss, Node
from engine.layers.add import Add
from engine.layers.conv2d import Conv2d
from engine.layers.flatten import Flatten
from engine.layers.linear import Linear
from engine.layers.relu import ReLU
from engine.losses import CrossEntropy
from explorer import dragged_blocks
from explorer.clipping import Clipping
from explorer.dragged_blocks import OwnBlock, block_of, inserted, instead, loose, mime_of
from explorer.own_blocks import BlockError


@pytest.fixture
def forked() -> Graph:
    """image → conv1 → relu1 → {conv2, add}, whose sum goes on to a loss; conv2 halves nothing."""
    return Graph(
        (Input("image", (3, 16, 16)),),
        (
            Node("conv1", Conv2d(8, 3, padding=1), (("image", 0),)),
            Node("relu1", ReLU(), (("conv1", 0),)),
            Node("conv2", Conv2d(8, 3, padding=1), (("relu1", 0),)),
            Node("add", Add(), (("relu1", 0), ("conv2", 0))),
            Node("down", Conv2d(12, 3, stride=2, padding=1), (("add", 0),)),
            Node("flat", Flatten(), (("down", 0),)),
            Node("fc", Linear(10), (("flat", 0),)),
        ),
        outputs=(("logits", ("fc", 0)),),
        losses=(Loss("loss", CrossEntropy(), ("fc", 0)),),
    )


MINE = OwnBlock(
    "my block",
    Clipping(
        (
            Node("g/conv", Conv2d(8, 3, padding=1), (None,)),
            Node("g/relu", ReLU(), (("g/conv", 0),)),
        ),
        {"g/conv": (0.0, 0.0), "g/relu": (0.0, 90.0)},
        {},
    ),
    0.5,
)


@pytest.mark.parametrize("block", [*map(Block, KINDS), Block("residual", 32, 2), MINE])
def test_a_drag_carries_what_was_dragged(block: Any) -> None:
    assert block_of(mime_of(block)) == block


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[1]", b'{"kind": "no", "width": 1, "stride": 1}', b'{"layers": "x"}']
)
def test_nothing_else_is_a_block(data: bytes) -> None:
    mime = QMimeData()
    mime.setData(dragged_blocks.BLOCK_MIME, data)
    with pytest.raises(BlockError, match="Expected a block"):
        block_of(mime)


@pytest.mark.parametrize("kind", KINDS)
def test_every_block_stands_on_one_edge_and_leaves_the_others(kind: str, forked: Graph) -> None:
    after, path = inserted(forked, forked.infer(), Block(kind), (("conv2", 0),))
    new = [n for n in after.nodes if n.id.startswith(f"{path}/")]
    assert len(after.nodes) == len(forked.nodes) + len(new) and len(new) > 1
    assert after.by_id["add"].inputs[0] == ("relu1", 0)  # the skip is another edge
    assert after.by_id["conv2"].inputs[0] != ("relu1", 0)
    assert after.infer().valid


@pytest.mark.parametrize("kind", KINDS)
def test_every_block_takes_the_place_width_and_stride_of_a_layer(kind: str, forked: Graph) -> None:
    before = forked.infer()
    after, path = instead(forked, before, Block(kind), {"down"})
    assert "down" not in after.by_id and after.infer().valid
    end = after.by_id["flat"].inputs[0]
    assert end is not None and end[0].startswith(f"{path}/")
    shape = after.infer().specs[end].shape
    if KINDS[kind].width == "channels":
        assert shape[1] == 12
    if KINDS[kind].strides:
        assert shape == before.specs["down", 0].shape


def test_what_cannot_be_replaced_says_why(forked: Graph) -> None:
    inference = forked.infer()
    with pytest.raises(GraphError, match="add: expected one tensor in and one out, received 2"):
        instead(forked, inference, Block("residual"), {"add"})
    with pytest.raises(GraphError, match=r"Residual block: expected maps \(C, H, W\)"):
        instead(forked, inference, Block("residual"), {"fc"})
    shared = Graph(
        forked.inputs, (*forked.nodes, Node("twin", Conv2d(8, 3), (("conv1", 0),), "conv2"))
    )
    with pytest.raises(GraphError, match="twin uses the weights of conv2"):
        instead(shared, shared.infer(), Block("residual"), {"conv2"})


def test_several_layers_become_one_block(forked: Graph) -> None:
    after, path = instead(forked, forked.infer(), Block("residual"), {"conv2", "add"})
    assert {"conv2", "add"}.isdisjoint(after.by_id) and after.infer().valid
    assert after.by_id[f"{path}/add"].inputs[1] == ("relu1", 0)


def test_a_loose_block_reads_nothing(forked: Graph) -> None:
    after, path = loose(forked, Block("residual"))
    assert after.by_id[f"{path}/conv1"].inputs == (None,)
    joined = after.connect(("relu1", 0), f"{path}/conv1", 0).connect(("conv2", 0), f"{path}/add", 1)
    assert isinstance(joined.by_id[f"{path}/conv1"].layer, Conv2d)
    own, path = loose(forked, MINE)
    assert own.by_id[f"{path}/conv"] == Node(f"{path}/conv", Conv2d(4, 3, padding=1), (None,))


def test_an_own_block_has_its_widths(forked: Graph) -> None:
    after, path = inserted(forked, forked.infer(), MINE, (("down", 0),))
    assert path == "my_block_1"
    assert after.by_id["my_block_1/conv"].layer == Conv2d(4, 3, padding=1)
    assert after.by_id["down"].inputs == (("my_block_1/relu", 0),)


def test_a_block_within_a_block_gets_its_name_there(forked: Graph) -> None:
    names = {"conv2": "stage/conv2", "relu1": "stage/relu1"}
    graph = forked.renamed(names)
    _, path = inserted(graph, graph.infer(), Block("residual"), (("stage/conv2", 0),))
    assert path == "stage/block1"
    graph, _ = inserted(graph, graph.infer(), Block("residual"), (("stage/conv2", 0),))
    _, path = inserted(graph, graph.infer(), Block("dense"), (("stage/conv2", 0),))
    assert path == "stage/dense1"
    _, path = inserted(graph, graph.infer(), Block("residual"), (("stage/conv2", 0),))
    assert path == "stage/block2"


class TestEdits:
    """The same as edits: one undo entry each, selected, and back to the last byte."""

    def test_inserted(self, bench: Any) -> None:
        c, d = bench.controller, bench.document
        before = d.content
        c.blocks.insert(Block("residual"), (("relu1", 0),))
        assert c.undo_stack.undoText() == "Insert Residual block"
        assert d.inference.valid and d.selection
        assert all(name.startswith("block1/") for name in d.selection)
        assert len(set(d.layout.values())) == len(d.layout)
        c.undo()
        assert d.content == before

    def test_in_place_of_a_layer(self, bench: Any) -> None:
        c, d = bench.controller, bench.document
        before, weights = d.content, d.parameters["conv1", "weight"]
        c.blocks.put_instead(Block("bottleneck"), {"conv1"})
        assert c.undo_stack.undoText() == "Replace conv1 by Bottleneck block"
        assert "conv1" not in d.graph.by_id and d.inference.valid
        c.undo()
        assert d.content == before and d.parameters["conv1", "weight"] is weights

    def test_loose(self, bench: Any) -> None:
        c, d = bench.controller, bench.document
        c.blocks.add(Block("residual"), 2000.0, 80.0)
        places = [d.layout[name] for name in d.selection]
        assert min(x for x, _ in places) == 2000 and min(y for _, y in places) == 80
        assert d.inference.errors and set(d.inference.errors) <= d.selection
        # One more at the same place covers nothing.
        c.blocks.add(Block("residual"), 2000.0, 80.0)
        again = {d.layout[name] for name in d.selection}
        assert again.isdisjoint(places) and len(again) == len(places)

    def test_refused_with_a_reason(self, bench: Any) -> None:
        c, d = bench.controller, bench.document
        before = d.content
        c.blocks.insert(Block("residual"), (("linear1", 0),))
        assert d.content == before and "expected maps" in bench.notices[-1].text
