"""Folded groups: what is shown of a network, when it can be, and new names for many layers."""

from __future__ import annotations

import pytest

from engine.architectures import ARCHITECTURES
from engine.architectures.resnet import resnet_digits
from engine.graph import Graph, GraphError, Input, Loss, Node
from engine.layers.add import Add
from engine.layers.conv2d import Conv2d
from engine.layers.relu import ReLU
from engine.losses import CrossEntropy
from explorer import folding
from explorer.folding import view


def chain(*ids: str) -> Graph:
    """ReLUs one after the other."""
    sources = ("image", *ids)
    nodes = tuple(Node(name, ReLU(), ((sources[i], 0),)) for i, name in enumerate(ids))
    return Graph((Input("image", (1, 8, 8)),), nodes, (("out", (ids[-1], 0)),))


def everything(graph: Graph) -> frozenset[str]:
    return frozenset(folding.groups(graph))


def test_nothing_folded_is_the_network_itself() -> None:
    graph = resnet_digits()
    shown = view(graph, ())
    assert shown.graph is graph and shown.key == frozenset() and shown.card("fc") == "fc"


def test_resnet50_is_shown_as_its_stages() -> None:
    graph = ARCHITECTURES["resnet50"].build()
    shown = view(graph, folding.opening(graph))
    ids = [node.id for node in shown.graph.order]
    assert ids == ["stem/", "stage1/", "stage2/", "stage3/", "stage4/", "gap", "flatten", "fc"]
    block = shown.blocks["stage1/"]
    # The first block's convolution and its shortcut read what the stem gives: one edge for both.
    assert block.inputs == (("stem/pool", 0),)
    assert block.entering == ((("stage1/block1/conv1", 0), ("stage1/block1/shortcut/conv", 0)),)
    assert len(block.members) == 32 and shown.card("stage1/block2/conv3") == "stage1/"
    assert shown.source(("stage1/", 0)) == block.outputs[0] == ("stage1/block3/relu3", 0)
    assert shown.ids({"stage1/", "gap"}) == {*block.members, "gap"}


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_every_group_of_the_gallery_folds(name: str) -> None:
    graph = ARCHITECTURES[name].build()
    paths = {p for p, ids in folding.groups(graph).items() if len(ids) >= folding.FEWEST}
    shown = view(graph, everything(graph))
    assert shown.key == {p for p in paths if not paths & set(folding.parents(p))}
    assert len(shown.graph.order) == len(shown.graph.nodes)  # no circle
    assert shown.ids(n.id for n in shown.graph.nodes) == graph.by_id.keys()
    assert bool(folding.opening(graph)) == (len(graph.nodes) > folding.OPENS_FOLDED_FROM)


def test_unfolding_a_stage_leaves_its_blocks_folded() -> None:
    graph = ARCHITECTURES["resnet50"].build()
    shown = view(graph, everything(graph) - {"stage3"})
    assert {"stage3/block1/", "stage3/block6/"} <= shown.blocks.keys()
    assert "stage3/" not in shown.blocks


def test_a_group_that_another_layer_lies_between_stays_open() -> None:
    graph = chain("a/x", "b", "a/y", "c/x", "c/y")
    assert folding.between(graph, ["a/x", "a/y"]) == "b"
    assert folding.between(graph, ["c/x", "c/y"]) is None
    assert view(graph, {"a", "c"}).key == {"c"}


def test_two_groups_that_feed_each_other_are_not_folded_together() -> None:
    nodes = (
        Node("a/1", ReLU(), (("image", 0),)),
        Node("b/1", ReLU(), (("a/1", 0),)),
        Node("b/2", ReLU(), (("image", 0),)),
        Node("b/3", ReLU(), (("image", 0),)),
        Node("a/2", ReLU(), (("b/2", 0),)),
    )
    graph = Graph((Input("image", (1, 8, 8)),), nodes)
    assert view(graph, {"a"}).key == {"a"} and view(graph, {"b"}).key == {"b"}
    shown = view(graph, {"a", "b"})
    assert shown.key == {"b"} and len(shown.graph.order) == 3


def test_a_network_with_a_circle_is_shown() -> None:
    nodes = (Node("a/1", ReLU(), (("a/2", 0),)), Node("a/2", ReLU(), (("a/1", 0),)))
    assert view(Graph((), nodes), {"a"}).key == {"a"}
    nodes = (Node("a", ReLU(), (("b", 0),)), Node("b", ReLU(), (("a", 0),)))
    assert view(Graph((), nodes), {"x"}).graph.nodes == nodes


def test_a_block_sends_what_others_read_and_what_the_network_gives_out() -> None:
    nodes = (
        Node("b/1", Conv2d(2, 3), (("image", 0),)),
        Node("b/2", ReLU(), (("b/1", 0),)),
        Node("b/3", ReLU(), (("b/2", 0),)),
        Node("sum", Add(), (("b/1", 0), ("b/2", 0))),
    )
    graph = Graph(
        (Input("image", (1, 8, 8)),),
        nodes,
        (("out", ("b/3", 0)),),
        (Loss("loss", CrossEntropy(), ("sum", 0)),),
    )
    shown = view(graph, {"b"})
    assert shown.blocks["b/"].outputs == (("b/1", 0), ("b/2", 0), ("b/3", 0))
    assert shown.graph.by_id["sum"].inputs == (("b/", 0), ("b/", 1))
    assert shown.graph.outputs == (("out", ("b/", 2)),)
    lonely = view(Graph((), (Node("b/1", ReLU(), (None,)), Node("b/2", ReLU(), (None,)))), {"b"})
    assert lonely.blocks["b/"].outputs == (("b/2", 0),)


class TestNames:
    def test_a_new_group_stands_where_all_of_its_layers_stood(self) -> None:
        graph = resnet_digits()
        ids = {"stage1/block1/conv1", "stage1/block1/bn1"}
        path, names = folding.grouped(graph, ids)
        assert path == "stage1/block1/block1"
        assert names["stage1/block1/bn1"] == "stage1/block1/block1/bn1"
        after = graph.renamed(names)
        assert folding.groups(after)[path] == [
            names["stage1/block1/conv1"],
            names["stage1/block1/bn1"],
        ]
        assert after.infer().valid
        back = {new: old for old, new in names.items()}
        assert after.renamed(back) == graph

    def test_taken_apart_the_layers_get_names_that_are_free(self) -> None:
        graph = chain("conv", "b/conv", "b/relu")
        assert folding.ungrouped(graph, "b") == {"b/conv": "conv_2", "b/relu": "relu"}
        assert folding.regrouped(graph, "b", "x/y") == {"b/conv": "x/y/conv", "b/relu": "x/y/relu"}

    def test_shared_weights_losses_and_outputs_follow(self) -> None:
        graph = Graph(
            (Input("image", (1, 8, 8)),),
            (
                Node("a", Conv2d(1, 3, padding=1), (("image", 0),)),
                Node("b", Conv2d(1, 3, padding=1), (("a", 0),), "a"),
            ),
            (("out", ("b", 0)),),
            (Loss("loss", CrossEntropy(), ("b", 0)),),
        )
        after = graph.renamed({"a": "x/a", "b": "x/b"})
        assert after.by_id["x/b"].params == "x/a" and after.by_id["x/b"].inputs == (("x/a", 0),)
        assert after.outputs == (("out", ("x/b", 0)),) and after.losses[0].input == ("x/b", 0)

    @pytest.mark.parametrize("new", ["image", "c", "loss", "no good"])
    def test_a_name_that_is_taken_or_malformed_is_refused(self, new: str) -> None:
        graph = Graph(
            (Input("image", (1, 8, 8)),),
            (Node("a", ReLU(), (("image", 0),)), Node("c", ReLU(), (("a", 0),))),
            (),
            (Loss("loss", CrossEntropy(), ("c", 0)),),
        )
        with pytest.raises(GraphError):
            graph.renamed({"a": new})

    def test_folded_groups_follow_their_layers(self) -> None:
        names = {"a/b/c": "x/b/c", "a/b/d": "x/b/d"}
        assert folding.moved_folds({"a/b", "a", "other"}, names) == {"x/b", "x", "other"}
