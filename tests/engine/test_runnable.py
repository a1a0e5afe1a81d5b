"""What runs of a network in which something cannot."""

from __future__ import annotations

from engine.graph import Graph, Input, Loss, Node
from engine.layers.base import REGISTRY, layer_from_dict, layer_to_dict
from engine.layers.linear import Linear
from engine.layers.opaque import Opaque
from engine.layers.relu import ReLU
from engine.losses import CrossEntropy
from engine.runnable import runnable, with_refusals


def network(middle: object) -> Graph:
    return Graph(
        (Input("x", (4,)),),
        (
            Node("a", ReLU(), (("x", 0),)),
            Node("b", middle, (("a", 0),)),  # type: ignore[arg-type]
            Node("c", Linear(2), (("b", 0),)),
            Node("d", ReLU(), (("x", 0),)),
        ),
        (("logits", ("c", 0)), ("side", ("d", 0))),
        (Loss("loss", CrossEntropy(), ("c", 0)),),
    )


def test_a_network_that_runs_is_itself() -> None:
    graph = network(ReLU())
    assert runnable(graph) is graph


def test_what_needs_an_opaque_node_is_cut_off_and_the_edge_comes_out() -> None:
    for shapes in ("[null]", "[[4]]"):
        part = runnable(network(Opaque("Riddle", shapes=shapes)))
        assert [n.id for n in part.nodes] == ["a", "d"]
        assert part.outputs == (("side", ("d", 0)), ("a", ("a", 0)))
        assert part.losses == () and part.infer().valid


def test_what_an_opaque_node_holds_up_is_said() -> None:
    whole = network(ReLU())
    found = whole.infer()
    assert with_refusals(whole, found) is found
    for shapes in ("[null]", "[[4]]"):
        graph = network(Opaque("Riddle", shapes=shapes))
        errors = with_refusals(graph, graph.infer()).errors
        assert list(errors) == ["b"]
        assert "received Riddle, which one more layer needs" in str(errors["b"])


def test_an_opaque_layer_is_in_files_but_not_in_the_list() -> None:
    layer = Opaque("Riddle", "example", '{"depth": 3}', "[[2, 3], null]")
    assert "Opaque" not in REGISTRY
    assert layer_from_dict(layer_to_dict(layer)) == layer
    assert layer.sample_shapes() == ((2, 3), None)
    assert Opaque(shapes="no json").sample_shapes() == (None,)
