"""The graph as a value: order, shapes with errors, edits, plain data."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from engine.graph import CycleError, Graph, GraphError, Input, Loss, Node, Ref
from engine.layers import REGISTRY
from engine.layers.add import Add
from engine.layers.base import ShapeError
from engine.layers.concat import Concat
from engine.layers.conv2d import Conv2d
from engine.layers.flatten import Flatten
from engine.layers.linear import Linear
from engine.layers.relu import ReLU
from engine.losses import CrossEntropy, MeanSquaredError

IMAGE: Ref = ("image", 0)


def residual() -> Graph:
    """image → conv1 → relu1 → conv2 → add (with relu1) → flatten → fc → loss."""
    return Graph(
        inputs=(Input("image", (2, 4, 4)),),
        nodes=(
            Node("conv1", Conv2d(3, 3, padding=1), (IMAGE,)),
            Node("relu1", ReLU(), (("conv1", 0),)),
            Node("block/conv2", Conv2d(3, 3, padding=1), (("relu1", 0),)),
            Node("block/add", Add(), (("block/conv2", 0), ("relu1", 0))),
            Node("flatten", Flatten(), (("block/add", 0),)),
            Node("fc", Linear(5), (("flatten", 0),)),
        ),
        outputs=(("logits", ("fc", 0)),),
        losses=(Loss("loss", CrossEntropy(), ("fc", 0)),),
        labels=("a", "b", "c", "d", "e"),
    )


def ids(graph: Graph) -> list[str]:
    return [node.id for node in graph.order]


class TestOrder:
    def test_any_order_of_nodes_gives_an_order_of_computation(self) -> None:
        graph = residual()
        backwards = Graph(graph.inputs, graph.nodes[::-1], graph.outputs, graph.losses)
        place = {node_id: i for i, node_id in enumerate(ids(backwards))}
        assert len(place) == 6
        for node in backwards.nodes:
            for ref in node.inputs:
                assert ref == IMAGE or (ref is not None and place[ref[0]] < place[node.id])

    def test_nodes_already_in_order_stay_as_they_are(self) -> None:
        assert ids(residual()) == [node.id for node in residual().nodes]

    def test_a_long_chain_given_backwards_is_put_in_order(self) -> None:
        """As many a file has it: neither deep recursion nor a pass over all for each node."""
        chain = [Node("n0", ReLU(), (IMAGE,))]
        chain += [Node(f"n{i}", ReLU(), ((f"n{i - 1}", 0),)) for i in range(1, 5000)]
        graph = Graph((Input("image", (1, 2, 2)),), tuple(reversed(chain)))
        assert ids(graph) == [node.id for node in chain]

    def test_a_node_put_in_later_comes_before_its_reader_and_no_branch_is_moved(self) -> None:
        graph = residual()
        reader, slot = graph.readers[graph.nodes[0].id, 0][0]
        grown = graph.insert(Node("late", ReLU(), (None,)), reader, slot)
        assert grown.nodes[-1].id == "late"
        expected = [node.id for node in graph.nodes]
        expected.insert(expected.index(reader), "late")
        assert ids(grown) == expected

    def test_a_cycle_is_named_in_the_direction_of_the_data(self) -> None:
        graph = Graph(
            (Input("image", (1, 2, 2)),),
            (
                Node("a", Add(), (IMAGE, ("c", 0))),
                Node("b", ReLU(), (("a", 0),)),
                Node("c", ReLU(), (("b", 0),)),
                Node("behind", ReLU(), (("c", 0),)),
            ),
        )
        with pytest.raises(CycleError, match="Remove one of these connections") as caught:
            _ = graph.order
        nodes = caught.value.nodes
        assert nodes[0] == nodes[-1] and set(nodes) == {"a", "b", "c"}
        for source, reader in pairwise(nodes):
            assert (source, 0) in graph.node(reader).inputs
        assert set(graph.infer().errors) == {"a", "b", "c"}
        # as when it travels between processes
        assert copy.copy(caught.value).nodes == nodes

    def test_readers_are_listed_with_their_slots(self) -> None:
        readers = residual().readers
        assert readers["relu1", 0] == (("block/conv2", 0), ("block/add", 1))
        assert readers["fc", 0] == (("loss", 0),)

    def test_ancestors(self) -> None:
        assert residual().ancestors("block/conv2") == {"image", "conv1", "relu1"}


class TestInference:
    def test_shapes(self) -> None:
        result = residual().infer(batch=7)
        assert result.valid
        assert result.specs["conv1", 0].shape == (7, 3, 4, 4)
        assert result.specs["flatten", 0].shape == (7, 48)
        assert result.specs["fc", 0].shape == (7, 5)

    def test_errors_are_collected_by_node_and_what_depends_on_them_stays_silent(self) -> None:
        graph = residual()
        graph = graph.replace_node("conv1", layer=Conv2d(3, 9))
        graph = graph.add(Node("stray", ReLU(), (None,)))
        graph = graph.add(Node("lost", ReLU(), (("nobody", 0),)))
        graph = graph.add(Node("vector", Linear(3), (IMAGE,)))
        errors = graph.infer().errors
        assert set(errors) == {"conv1", "stray", "lost", "vector"}
        assert isinstance(errors["conv1"], ShapeError)
        assert "received 0" in str(errors["stray"])
        assert "nobody" in str(errors["lost"])
        assert isinstance(errors["vector"], ShapeError) and errors["vector"].fixes

    def test_check_names_the_node(self) -> None:
        with pytest.raises(ShapeError, match="at conv1"):
            residual().replace_node("conv1", layer=Conv2d(3, 9)).check()

    def test_check_refuses_an_open_loss(self) -> None:
        graph = residual()
        with pytest.raises(GraphError, match="loss"):
            Graph(graph.inputs, graph.nodes, (), (Loss("loss", CrossEntropy(), ("", 0)),)).check()

    def test_a_loss_says_what_it_needs(self) -> None:
        graph = residual().connect(("relu1", 0), "loss", 0)
        assert isinstance(graph.infer().errors["loss"], ShapeError)

    def test_shared_parameters_of_different_shape_are_refused(self) -> None:
        graph = residual().replace_node("block/conv2", params="conv1")
        with pytest.raises(GraphError, match="shares weight of conv1"):
            graph.parameter_specs(graph.infer().specs)

    def test_costs_count_shared_parameters_once(self) -> None:
        graph = residual().replace_node("conv1", layer=Conv2d(2, 3, padding=1))
        graph = graph.replace_node("block/conv2", layer=Conv2d(2, 3, padding=1), params="conv1")
        costs = graph.costs(graph.infer().specs)
        assert costs["conv1"].parameters == 2 * 2 * 9 + 2
        assert costs["block/conv2"].parameters == 0
        assert costs["block/conv2"].multiply_adds == 2 * 2 * 9 * 16


class TestEdits:
    def test_no_edit_changes_the_graph_that_it_started_from(self) -> None:
        graph, before = residual(), residual()
        graph.insert(Node("new", ReLU(), ()), "fc", 0)
        graph.remove(["relu1"])
        graph.rename("conv1", "first")
        graph.disconnect("block/add", 1)
        assert graph == before

    def test_insert_puts_a_node_onto_an_edge(self) -> None:
        graph = residual().insert(Node("new", ReLU(), ()), "block/add", 1)
        assert graph.node("new").inputs == (("relu1", 0),)
        assert graph.node("block/add").inputs == (("block/conv2", 0), ("new", 0))
        assert graph.node("block/conv2").inputs == (("relu1", 0),)
        assert graph.infer().valid

    def test_insert_of_a_node_with_two_inputs_leaves_the_second_open(self) -> None:
        graph = residual().insert(Node("sum", Add(), ()), "fc", 0)
        assert graph.node("sum").inputs == (("flatten", 0), None)
        assert set(graph.infer().errors) == {"sum"}

    def test_insert_before_a_loss_moves_the_output_too(self) -> None:
        graph = residual().insert(Node("last", ReLU(), ()), "loss", 0)
        assert graph.losses[0].input == ("last", 0)
        assert dict(graph.outputs)["logits"] == ("last", 0)

    def test_insert_needs_an_edge(self) -> None:
        graph = residual().disconnect("fc", 0)
        with pytest.raises(GraphError, match="no connection"):
            graph.insert(Node("new", ReLU(), ()), "fc", 0)

    def test_remove_heals_the_chain(self) -> None:
        graph = residual().remove(["relu1", "block/conv2"])
        assert graph.node("block/add").inputs == (("conv1", 0), ("conv1", 0))
        assert graph.infer().valid

    def test_remove_of_the_last_node_hands_loss_and_output_on(self) -> None:
        graph = residual().remove(["fc"])
        assert graph.losses[0].input == ("flatten", 0)
        assert dict(graph.outputs)["logits"] == ("flatten", 0)

    def test_remove_of_an_unconnected_source_opens_its_readers(self) -> None:
        graph = residual().disconnect("conv1", 0).remove(["conv1"])
        assert graph.node("relu1").inputs == (None,)
        assert "relu1" in graph.infer().errors

    def test_remove_opens_a_circle_that_a_file_may_hold(self) -> None:
        nodes = (
            Node("a", ReLU(), (("c", 0),)),
            Node("b", ReLU(), (("a", 0),)),
            Node("c", Add(), (("b", 0), IMAGE)),
        )
        circle = Graph(inputs=(Input("image", (2, 4, 4)),), nodes=nodes)
        with pytest.raises(CycleError):
            _ = circle.order
        left = circle.remove(["a", "b"])
        assert left.node("c").inputs == (("c", 0), IMAGE)
        assert circle.remove(["c"]).node("a").inputs == (("b", 0),)
        assert circle.remove(["a", "c"]).infer().errors.keys() == {"b"}

    def test_connect_refuses_a_circle(self) -> None:
        with pytest.raises(CycleError):
            residual().connect(("block/add", 0), "conv1", 0)
        with pytest.raises(CycleError):
            residual().connect(("conv1", 0), "conv1", 0)

    def test_connect_refuses_a_slot_or_a_source_that_does_not_exist(self) -> None:
        with pytest.raises(GraphError, match="received 2"):
            residual().connect(IMAGE, "relu1", 1)
        with pytest.raises(GraphError, match="received -1|received 0"):
            residual().connect(IMAGE, "relu1", -1)
        with pytest.raises(GraphError, match="nobody"):
            residual().connect(("nobody", 0), "relu1", 0)

    def test_connect_grows_a_node_that_takes_any_number(self) -> None:
        graph = residual().connect(("conv1", 0), "block/add", 3)
        assert graph.node("block/add").inputs == (
            ("block/conv2", 0),
            ("relu1", 0),
            None,
            ("conv1", 0),
        )

    def test_disconnect_opens_or_drops_a_slot(self) -> None:
        assert residual().disconnect("relu1", 0).node("relu1").inputs == (None,)
        grown = residual().connect(("conv1", 0), "block/add", 2)
        assert grown.disconnect("block/add", 2) == residual()
        with pytest.raises(GraphError, match="received 3"):
            residual().disconnect("block/add", 2)

    def test_rename_changes_every_mention(self) -> None:
        graph = residual().add(Node("twin", Conv2d(3, 3, padding=1), (IMAGE,), params="conv1"))
        graph = graph.rename("conv1", "stem/first").rename("fc", "head")
        assert graph.node("relu1").inputs == (("stem/first", 0),)
        assert graph.node("twin").params == "stem/first"
        assert graph.losses[0].input == ("head", 0) == dict(graph.outputs)["logits"]
        assert graph.infer().valid

    def test_rename_to_the_same_changes_nothing(self) -> None:
        graph = residual()
        assert graph.rename("fc", "fc") is graph

    @pytest.mark.parametrize("name", ["", "two words", "/a", "a//b", "relu1", "image", "a/"])
    def test_a_bad_or_taken_id_is_refused(self, name: str) -> None:
        with pytest.raises(GraphError):
            residual().rename("conv1", name)
        with pytest.raises(GraphError):
            residual().add(Node(name, ReLU(), (IMAGE,)))

    def test_fresh_id_skips_what_is_taken(self) -> None:
        assert residual().fresh_id("relu") == "relu2"
        assert residual().fresh_id("pool") == "pool1"

    def test_an_unknown_node_is_named_with_those_that_exist(self) -> None:
        with pytest.raises(GraphError, match=r"conv1.*'nope'"):
            residual().node("nope")


class TestLosses:
    def test_added_changed_and_taken_away(self) -> None:
        graph = residual()
        more = graph.add_loss(Loss("aux", CrossEntropy(0.1), ("flatten", 0), 0.3))
        assert [x.id for x in more.losses] == ["loss", "aux"] and more.nodes == graph.nodes
        changed = more.replace_loss("aux", function=MeanSquaredError(), weight=0.5)
        assert changed.losses[1] == Loss("aux", MeanSquaredError(), ("flatten", 0), 0.5)
        assert changed.losses[0] == graph.losses[0]
        assert changed.remove_losses({"aux"}) == graph
        without = graph.remove_losses({"loss"})
        assert without.losses == () and without.outputs == graph.outputs

    @pytest.mark.parametrize("name", ["loss", "fc", "image", "a b"])
    def test_a_name_that_is_taken_or_none_is_refused(self, name: str) -> None:
        with pytest.raises(GraphError, match=name):
            residual().add_loss(Loss(name, CrossEntropy(), ("fc", 0)))

    def test_what_is_not_there_cannot_be_judged_or_changed(self) -> None:
        with pytest.raises(GraphError, match="nothing"):
            residual().add_loss(Loss("aux", CrossEntropy(), ("nothing", 0)))
        with pytest.raises(GraphError, match="fc: expected a loss"):
            residual().replace_loss("fc", weight=2.0)


class TestPlainData:
    def test_the_settings_of_a_loss_come_back(self) -> None:
        smoothed = CrossEntropy(label_smoothing=0.1, class_weights=(1.0, 2.0, 0.5, 1.0, 1.0))
        graph = residual()
        changed = replace(graph, losses=(replace(graph.losses[0], function=smoothed),))
        assert Graph.from_dict(json.loads(json.dumps(changed.to_dict()))) == changed
        assert "settings" not in graph.to_dict()["losses"][0]
        wrong = changed.to_dict()
        wrong["losses"][0]["settings"]["label_smoothing"] = "much"
        with pytest.raises(GraphError, match="expected"):
            Graph.from_dict(wrong)

    def test_round_trip(self) -> None:
        graph = residual().add(Node("twin", Conv2d(3, 3, padding=1), (IMAGE,), params="conv1"))
        graph = graph.add(Node("open", Concat(), (None, IMAGE)))
        assert Graph.from_dict(graph.to_dict()) == graph

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda d: d.pop("nodes"),
            lambda d: d.update(nodes=3),
            lambda d: d.update(inputs=[{"id": "image"}]),
            lambda d: d.update(inputs=[{"id": "image", "shape": [1, 0, 4]}]),
            lambda d: d.update(inputs=[{"id": "image", "shape": "big"}]),
            lambda d: d["nodes"][0].pop("layer"),
            lambda d: d["nodes"][0].update(layer={"kind": "Teleport"}),
            lambda d: d["nodes"][0]["layer"].update(kernel_size=-1),
            lambda d: d["nodes"][0]["layer"].update(flavour=1),
            lambda d: d["nodes"][0].update(inputs=[["image"]]),
            lambda d: d["nodes"][0].update(inputs=[["image", "first"]]),
            lambda d: d["nodes"][1].update(id="conv1"),
            lambda d: d["nodes"][1].update(id="two words"),
            lambda d: d["losses"][0].update(kind="Magic"),
            lambda d: d["outputs"][0].pop("ref"),
        ],
    )
    def test_malformed_data_gives_one_error_that_says_what(self, spoil: Any) -> None:
        data = residual().to_dict()
        spoil(data)
        with pytest.raises(GraphError, match="expected|taken"):
            Graph.from_dict(data)

    @pytest.mark.parametrize("data", [None, 3, [], "graph", {}])
    def test_something_else_altogether(self, data: Any) -> None:
        with pytest.raises(GraphError):
            Graph.from_dict(data)


def test_a_loss_and_a_layer_of_one_name_do_not_run() -> None:
    graph = residual()
    name = graph.nodes[0].id
    assert graph.check().valid
    for both in (
        replace(graph, losses=(Loss(name, CrossEntropy(), ("fc", 0)),)),
        replace(graph, inputs=(*graph.inputs, Input(name, (1, 2, 2)))),
    ):
        with pytest.raises(GraphError, match=f"{name}: expected one input, layer or loss"):
            both.check()


def test_a_gradient_comes_back_only_from_readers_that_lead_to_a_loss() -> None:
    graph = residual()
    source = graph.losses[0].input
    assert graph.senders == graph.readers
    assert graph.add(Node("dead", ReLU(), (source,))).senders == graph.readers
    assert replace(graph, losses=()).senders == {}
    pool = Node("pool", REGISTRY["MaxPool2d"](2, return_indices=True), (("image", 0),))
    back = Node("back", REGISTRY["MaxUnpool2d"](2), (("pool", 0), ("pool", 1)))
    maps = Graph(
        (Input("image", (1, 4, 4)),),
        (pool, back),
        losses=(Loss("loss", MeanSquaredError(), ("back", 0)),),
    )
    assert maps.check().valid
    assert maps.readers["pool", 1] == (("back", 1),)
    assert set(maps.senders) == {("image", 0), ("pool", 0), ("back", 0)}
