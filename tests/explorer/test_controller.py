"""Requests in, changes out: edits and their undo, weights from training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine.cell import Cell
from engine.graph import Graph
from engine.layers.add import Add
from engine.layers.base import Fix
from engine.layers.conv2d import Conv2d
from engine.layers.flatten import Flatten
from engine.layers.linear import Linear
from engine.layers.relu import ReLU
from explorer.canvas.placement import place


class TestEdits:
    def test_an_insertion_and_its_layout_are_one_entry(self, bench: Any) -> None:
        c, d = bench.controller, bench.document
        before = d.content
        c.adding.insert_layer(ReLU(), "flatten1", 0, 0.0, 0.0)
        assert d.graph.node("relu2").inputs == (("relu1", 0),)
        assert d.graph.node("flatten1").inputs == (("relu2", 0),)
        assert d.layout == place(d.graph) and d.selection == {"relu2"}
        assert c.undo_stack.count() == 1 and d.modified
        c.undo()
        assert d.content == before and not d.modified and d.selection == frozenset()
        c.redo()
        assert "relu2" in d.graph.by_id and d.modified

    def test_a_layout_made_by_hand_stays_and_makes_room(self, bench: Any) -> None:
        c, d = bench.controller, bench.document
        c.arranging.move({"image": (-300.0, -200.0)})
        before = dict(d.layout)
        x, y = before["flatten1"]
        c.adding.insert_layer(ReLU(), "flatten1", 0, x, y)
        assert d.layout["relu2"] == (x, y)
        assert {n for n, spot in before.items() if d.layout[n] != spot} <= {
            "flatten1",
            "linear1",
            "loss",
        }
        assert d.layout["flatten1"][1] > y

    def test_append_follows_the_selection_or_precedes_the_loss(self, bench: Any) -> None:
        c, d = bench.controller, bench.document
        c.adding.append_layer(Linear(out_features=10))
        assert d.graph.losses[0].input == ("fc1", 0)
        assert d.graph.outputs == (("logits", ("fc1", 0)),)
        c.select({"conv1"})
        c.adding.append_layer(ReLU())
        assert d.graph.node("relu2").inputs == (("conv1", 0),)
        assert d.graph.node("relu1").inputs == (("relu2", 0),)
        assert d.inference.valid

    def test_a_whole_network_is_made_from_an_empty_one(self, bench: Any) -> None:
        c, d = bench.controller, bench.document
        c.projects.new()
        assert "loss" in d.inference.errors and d.run is None
        assert "one row of numbers per picture" in str(d.inference.errors["loss"])
        c.stepping.next()
        assert bench.notices[-1].level == "info" and "Mend" in bench.notices[-1].text
        c.adding.append_layer(Flatten())
        c.adding.append_layer(Linear(out_features=10))
        assert d.inference.valid and d.run is not None and d.run.error == ""
        c.stepping.to_end()
        assert d.position == len(d.operations) and d.step.phase == "update"

    def test_deleting_heals_and_undo_brings_weights_back(self, bench: Any) -> None:
        c, d = bench.controller, bench.document
        weight = d.parameters["conv1", "weight"]
        c.select({"conv1", "relu1", "image"})
        c.layers.delete(d.selection)
        assert d.graph.node("flatten1").inputs == (("image", 0),)
        assert d.inference.valid and d.selection == {"image"}
        assert c.undo_stack.count() == 1
        c.undo()
        assert d.parameters["conv1", "weight"] is weight

    def test_the_input_stays_and_a_loss_keeps_its_input(self, bench: Any) -> None:
        before = bench.document.content
        bench.controller.layers.delete({"image"})
        bench.controller.layers.disconnect_tensor("loss", 0)
        assert bench.document.content == before
        assert [n.level for n in bench.notices] == ["info", "info"]

    def test_a_circle_is_refused_with_one_message(self, bench: Any) -> None:
        c, d = bench.controller, bench.document
        before = d.content
        c.layers.connect_tensor(("linear1", 0), "conv1", 0)
        assert d.content == before and c.undo_stack.count() == 0
        assert len(bench.notices) == 1 and "without a circle" in bench.notices[0].text

    @pytest.mark.parametrize(
        "request_",
        [
            lambda c: c.layers.connect_tensor(("nobody", 0), "conv1", 0),
            lambda c: c.layers.connect_tensor(("image", 0), "nobody", 0),
            lambda c: c.layers.connect_tensor(("image", 0), "conv1", 5),
            lambda c: c.layers.disconnect_tensor("conv1", 7),
            lambda c: c.adding.insert_layer(ReLU(), "nobody", 0, 0, 0),
            lambda c: c.layers.rename("conv1", "relu1"),
            lambda c: c.layers.rename("conv1", "loss"),
            lambda c: c.layers.rename("conv1", "two words"),
            lambda c: c.layers.rename("loss", "other"),
        ],
    )
    def test_what_cannot_be_is_said_and_changes_nothing(self, bench: Any, request_: Any) -> None:
        before = bench.document.content
        request_(bench.controller)
        assert bench.document.content == before
        assert bench.controller.undo_stack.count() == 0
        assert [n.level for n in bench.notices] == ["warning"]

    def test_requests_for_nodes_that_are_gone_do_nothing(self, bench: Any) -> None:
        c, d = bench.controller, bench.document
        before = d.content
        c.layers.change_layer("gone", ReLU())
        c.layers.replace_layer("gone", ReLU())
        c.layers.delete(["gone"])
        c.clipboard.duplicate(["gone"], 1, 1)
        c.arranging.move({"gone": (1, 1)})
        c.select({"gone", "relu1"})
        c.asking.focus(Cell("gone", 0, (0,)))
        c.layers.apply_fix("gone", Fix("", "set", "padding", 1))
        assert d.content == before and d.selection == {"relu1"} and d.focus is None

    def test_a_slider_is_one_entry(self, bench: Any, network: Callable[..., Graph]) -> None:
        c, d = bench.controller, bench.document
        weight = d.parameters["linear1", "weight"]
        for channels in (3, 4, 5):
            c.layers.change_layer("conv1", Conv2d(channels, kernel_size=3, padding=1))
        assert c.undo_stack.count() == 1
        assert d.parameters["linear1", "weight"].shape == (10, 5 * 64)
        c.undo()
        assert d.graph == network() and d.parameters["linear1", "weight"] is weight

    def test_moves_merge_and_back_again_leave_nothing(self, bench: Any) -> None:
        c, d = bench.controller, bench.document
        home = d.layout["relu1"]
        c.arranging.move({"relu1": (1.0, 2.0)})
        c.arranging.move({"relu1": (3.0, 4.0)})
        assert c.undo_stack.count() == 1 and d.layout["relu1"] == (3.0, 4.0)
        c.arranging.move({"relu1": home})
        assert c.undo_stack.count() == 0 and d.layout["relu1"] == home

    def test_renaming_keeps_weights_place_selection_and_answer(self, bench: Any) -> None:
        c, d = bench.controller, bench.document
        c.select({"conv1"})
        weight, spot = d.parameters["conv1", "weight"], d.layout["conv1"]
        logits = d.trace.look("value", ("linear1", 0))
        c.layers.rename("conv1", "stage1/stem")
        assert d.parameters["stage1/stem", "weight"] is weight
        assert d.layout["stage1/stem"] == spot and "conv1" not in d.layout
        assert d.selection == {"stage1/stem"}
        assert np.array_equal(d.trace.look("value", ("linear1", 0)), logits)
        c.undo()
        assert d.parameters["conv1", "weight"] is weight and d.selection == {"conv1"}

    def test_duplicates_have_the_weights_of_the_original(self, bench: Any) -> None:
        c, d = bench.controller, bench.document
        c.clipboard.duplicate({"conv1", "relu1"}, 300.0, 10.0)
        assert d.selection == {"conv2", "relu2"}
        assert d.graph.node("relu2").inputs == (("conv2", 0),)
        assert np.array_equal(d.parameters["conv2", "weight"], d.parameters["conv1", "weight"])
        x, y = d.layout["conv1"]
        assert d.layout["conv2"] == (x + 300, y + 10)

    def test_a_fix_mends_and_weights_are_back(self, bench: Any) -> None:
        c, d = bench.controller, bench.document
        weight = d.parameters["linear1", "weight"]
        c.layers.delete(["flatten1"])
        assert "linear1" in d.inference.errors and d.run is None
        (fix,) = (f for f in d.inference.errors["linear1"].fixes if f.action == "insert")
        c.layers.apply_fix("linear1", fix)
        assert d.inference.valid and d.run is not None
        assert d.parameters["linear1", "weight"] is weight

    def test_a_layer_that_waits_for_connections_is_marked(self, bench: Any) -> None:
        c, d = bench.controller, bench.document
        c.adding.add_layer(Add(), 500.0, 0.0)
        assert set(d.inference.errors) == {"add1"} and d.run is None
        c.layers.connect_tensor(("conv1", 0), "add1", 0)
        c.layers.connect_tensor(("relu1", 0), "add1", 1)
        c.layers.connect_tensor(("add1", 0), "flatten1", 0)
        assert d.inference.valid and d.run.error == ""

    def test_undo_and_saving_agree_on_what_is_modified(self, bench: Any) -> None:
        c, d = bench.controller, bench.document
        c.arranging.move({"relu1": (9.0, 9.0)})
        assert (
            c.projects.save(bench.folder / "other.gflow") and c.projects.finish() and not d.modified
        )
        c.undo()
        assert d.modified
        c.redo()
        assert not d.modified
        c.adopt({k: v + 1 for k, v in d.parameters.items()})
        c.undo()
        c.redo()
        assert d.modified  # the weights are not those of the file


class TestCheckpoint:
    def test_weights_from_before_training_come_back(self, bench: Any) -> None:
        c, d = bench.controller, bench.document
        c.restore_weights()
        assert "Nothing was trained" in bench.notices[-1].text
        before = {k: v.copy() for k, v in d.parameters.items()}
        c.before_training()
        c.adopt({k: v + 1 for k, v in d.parameters.items()})
        c.restore_weights()
        assert all(np.array_equal(d.parameters[k], v) for k, v in before.items())

    def test_trained_weights_go_only_where_they_fit(self, bench: Any) -> None:
        c, d = bench.controller, bench.document
        trained = {k: np.full_like(v, 4) for k, v in d.parameters.items()}
        c.layers.change_layer("conv1", Conv2d(3, kernel_size=3, padding=1))
        mine = {k: v.copy() for k, v in d.parameters.items()}
        c.adopt(trained)
        assert (d.parameters["linear1", "bias"] == 4).all()
        for key in (("conv1", "weight"), ("linear1", "weight")):
            assert np.array_equal(d.parameters[key], mine[key])

    def test_a_checkpoint_belongs_to_its_project(
        self, bench: Any, network: Callable[..., Graph]
    ) -> None:
        c, d = bench.controller, bench.document
        c.before_training()
        bench.open(network(), "twin.gflow")
        c.adopt({k: v + 1 for k, v in d.parameters.items()})
        now = dict(d.parameters)
        c.restore_weights()
        assert "Nothing was trained" in bench.notices[-1].text
        assert all(d.parameters[k] is v for k, v in now.items())
