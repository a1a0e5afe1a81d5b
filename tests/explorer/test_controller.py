"""Requests in, changes out: edits and their undo, runs, pictures, projects, and what goes wrong."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QCoreApplication, QEvent
from pytestqt.qtbot import QtBot

from engine.architectures import ARCHITECTURES
from engine.cell import Cell
from engine.data.strokes import Drawing, Stroke
from engine.graph import Graph, Input, Loss, Node
from engine.layers.add import Add
from engine.layers.base import Fix
from engine.layers.conv2d import Conv2d
from engine.layers.flatten import Flatten
from engine.layers.linear import Linear
from engine.layers.relu import ReLU
from engine.losses import CrossEntropy
from engine.parameters import initial_parameters
from engine.project_file import Project, load, save
from explorer.canvas.placement import place
from explorer.controller import SMALL_FILE, Controller, Notice
from explorer.document import Document
from explorer.settings import Settings


def network(channels: int = 2, shape: tuple[int, ...] = (1, 8, 8), classes: int = 10) -> Graph:
    return Graph(
        inputs=(Input("image", shape),),
        nodes=(
            Node("conv1", Conv2d(channels, kernel_size=3, padding=1), (("image", 0),)),
            Node("relu1", ReLU(), (("conv1", 0),)),
            Node("flatten1", Flatten(), (("relu1", 0),)),
            Node("linear1", Linear(out_features=classes), (("flatten1", 0),)),
        ),
        outputs=(("logits", ("linear1", 0)),),
        losses=(Loss("loss", CrossEntropy(), ("linear1", 0)),),
        name="tiny",
    )


class Bench:
    """A controller with its document, and every notice that it gave."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.document = Document()
        self.controller = Controller(self.document, Settings(folder / "settings.json"))
        self.notices: list[Notice] = []
        self.controller.notice.connect(self.notices.append)

    def open(self, graph: Graph, name: str = "tiny.gflow", **more: Any) -> Path:
        path = self.folder / name
        document = Document()
        document.load(Project(graph, **more), {}, None)
        save(document.project(), path)
        assert self.controller.open(path)
        self.notices.clear()
        return path


@pytest.fixture
def bench(qtbot: QtBot, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    bench.open(network())
    yield bench
    bench.controller.close()
    # runs that were given up are deleted while their owner is still there
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


class TestEdits:
    def test_an_insertion_and_its_layout_are_one_entry(self, bench: Bench) -> None:
        c, d = bench.controller, bench.document
        before = d.content
        c.insert_layer(ReLU(), "flatten1", 0, 0.0, 0.0)
        assert d.graph.node("relu2").inputs == (("relu1", 0),)
        assert d.graph.node("flatten1").inputs == (("relu2", 0),)
        assert d.layout == place(d.graph) and d.selection == {"relu2"}
        assert c.undo_stack.count() == 1 and d.modified
        c.undo()
        assert d.content == before and not d.modified and d.selection == frozenset()
        c.redo()
        assert "relu2" in d.graph.by_id and d.modified

    def test_a_layout_made_by_hand_stays_and_makes_room(self, bench: Bench) -> None:
        c, d = bench.controller, bench.document
        c.move({"image": (-300.0, -200.0)})
        before = dict(d.layout)
        x, y = before["flatten1"]
        c.insert_layer(ReLU(), "flatten1", 0, x, y)
        assert d.layout["relu2"] == (x, y)
        assert {n for n, spot in before.items() if d.layout[n] != spot} <= {
            "flatten1",
            "linear1",
            "loss",
        }
        assert d.layout["flatten1"][1] > y

    def test_append_follows_the_selection_or_precedes_the_loss(self, bench: Bench) -> None:
        c, d = bench.controller, bench.document
        c.append_layer(Linear(out_features=10))
        assert d.graph.losses[0].input == ("fc1", 0)
        assert d.graph.outputs == (("logits", ("fc1", 0)),)
        c.select({"conv1"})
        c.append_layer(ReLU())
        assert d.graph.node("relu2").inputs == (("conv1", 0),)
        assert d.graph.node("relu1").inputs == (("relu2", 0),)
        assert d.inference.valid

    def test_a_whole_network_is_made_from_an_empty_one(self, bench: Bench) -> None:
        c, d = bench.controller, bench.document
        c.new()
        assert "loss" in d.inference.errors and d.run is None
        assert "rank" in str(d.inference.errors["loss"]) or "(N, " in str(
            d.inference.errors["loss"]
        )
        c.next()
        assert bench.notices[-1].level == "info" and "Mend" in bench.notices[-1].text
        c.append_layer(Flatten())
        c.append_layer(Linear(out_features=10))
        assert d.inference.valid and d.run is not None and d.run.error == ""
        c.to_end()
        assert d.position == len(d.operations) and d.step.phase == "update"

    def test_deleting_heals_and_undo_brings_weights_back(self, bench: Bench) -> None:
        c, d = bench.controller, bench.document
        weight = d.parameters["conv1", "weight"]
        c.select({"conv1", "relu1", "image"})
        c.delete(d.selection)
        assert d.graph.node("flatten1").inputs == (("image", 0),)
        assert d.inference.valid and d.selection == {"image"}
        assert c.undo_stack.count() == 1
        c.undo()
        assert d.parameters["conv1", "weight"] is weight

    def test_input_and_loss_stay(self, bench: Bench) -> None:
        before = bench.document.content
        bench.controller.delete({"image", "loss"})
        bench.controller.disconnect_tensor("loss", 0)
        assert bench.document.content == before
        assert [n.level for n in bench.notices] == ["info", "info"]

    def test_a_circle_is_refused_with_one_message(self, bench: Bench) -> None:
        c, d = bench.controller, bench.document
        before = d.content
        c.connect_tensor(("linear1", 0), "conv1", 0)
        assert d.content == before and c.undo_stack.count() == 0
        assert len(bench.notices) == 1 and "without a circle" in bench.notices[0].text

    @pytest.mark.parametrize(
        "request_",
        [
            lambda c: c.connect_tensor(("nobody", 0), "conv1", 0),
            lambda c: c.connect_tensor(("image", 0), "nobody", 0),
            lambda c: c.connect_tensor(("image", 0), "conv1", 5),
            lambda c: c.disconnect_tensor("conv1", 7),
            lambda c: c.insert_layer(ReLU(), "nobody", 0, 0, 0),
            lambda c: c.rename("conv1", "relu1"),
            lambda c: c.rename("conv1", "loss"),
            lambda c: c.rename("conv1", "two words"),
            lambda c: c.rename("loss", "other"),
        ],
    )
    def test_what_cannot_be_is_said_and_changes_nothing(self, bench: Bench, request_: Any) -> None:
        before = bench.document.content
        request_(bench.controller)
        assert bench.document.content == before
        assert bench.controller.undo_stack.count() == 0
        assert [n.level for n in bench.notices] == ["warning"]

    def test_requests_for_nodes_that_are_gone_do_nothing(self, bench: Bench) -> None:
        c, d = bench.controller, bench.document
        before = d.content
        c.change_layer("gone", ReLU())
        c.replace_layer("gone", ReLU())
        c.delete(["gone"])
        c.duplicate(["gone"], 1, 1)
        c.move({"gone": (1, 1)})
        c.select({"gone", "relu1"})
        c.focus(Cell("gone", 0, (0,)))
        c.apply_fix("gone", Fix("", "set", "padding", 1))
        assert d.content == before and d.selection == {"relu1"} and d.focus is None

    def test_a_slider_is_one_entry(self, bench: Bench) -> None:
        c, d = bench.controller, bench.document
        weight = d.parameters["linear1", "weight"]
        for channels in (3, 4, 5):
            c.change_layer("conv1", Conv2d(channels, kernel_size=3, padding=1))
        assert c.undo_stack.count() == 1
        assert d.parameters["linear1", "weight"].shape == (10, 5 * 64)
        c.undo()
        assert d.graph == network() and d.parameters["linear1", "weight"] is weight

    def test_moves_merge_and_back_again_leave_nothing(self, bench: Bench) -> None:
        c, d = bench.controller, bench.document
        home = d.layout["relu1"]
        c.move({"relu1": (1.0, 2.0)})
        c.move({"relu1": (3.0, 4.0)})
        assert c.undo_stack.count() == 1 and d.layout["relu1"] == (3.0, 4.0)
        c.move({"relu1": home})
        assert c.undo_stack.count() == 0 and d.layout["relu1"] == home

    def test_renaming_keeps_weights_place_selection_and_answer(self, bench: Bench) -> None:
        c, d = bench.controller, bench.document
        c.select({"conv1"})
        weight, spot = d.parameters["conv1", "weight"], d.layout["conv1"]
        logits = d.trace.look("value", ("linear1", 0))
        c.rename("conv1", "stage1/stem")
        assert d.parameters["stage1/stem", "weight"] is weight
        assert d.layout["stage1/stem"] == spot and "conv1" not in d.layout
        assert d.selection == {"stage1/stem"}
        assert np.array_equal(d.trace.look("value", ("linear1", 0)), logits)
        c.undo()
        assert d.parameters["conv1", "weight"] is weight and d.selection == {"conv1"}

    def test_duplicates_have_the_weights_of_the_original(self, bench: Bench) -> None:
        c, d = bench.controller, bench.document
        c.duplicate({"conv1", "relu1"}, 300.0, 10.0)
        assert d.selection == {"conv2", "relu2"}
        assert d.graph.node("relu2").inputs == (("conv2", 0),)
        assert np.array_equal(d.parameters["conv2", "weight"], d.parameters["conv1", "weight"])
        x, y = d.layout["conv1"]
        assert d.layout["conv2"] == (x + 300, y + 10)

    def test_a_fix_mends_and_weights_are_back(self, bench: Bench) -> None:
        c, d = bench.controller, bench.document
        weight = d.parameters["linear1", "weight"]
        c.delete(["flatten1"])
        assert "linear1" in d.inference.errors and d.run is None
        (fix,) = (f for f in d.inference.errors["linear1"].fixes if f.action == "insert")
        c.apply_fix("linear1", fix)
        assert d.inference.valid and d.run is not None
        assert d.parameters["linear1", "weight"] is weight

    def test_a_layer_that_waits_for_connections_is_marked(self, bench: Bench) -> None:
        c, d = bench.controller, bench.document
        c.add_layer(Add(), 500.0, 0.0)
        assert set(d.inference.errors) == {"add1"} and d.run is None
        c.connect_tensor(("conv1", 0), "add1", 0)
        c.connect_tensor(("relu1", 0), "add1", 1)
        c.connect_tensor(("add1", 0), "flatten1", 0)
        assert d.inference.valid and d.run.error == ""

    def test_undo_and_saving_agree_on_what_is_modified(self, bench: Bench) -> None:
        c, d = bench.controller, bench.document
        c.move({"relu1": (9.0, 9.0)})
        assert c.save(bench.folder / "other.gflow") and not d.modified
        c.undo()
        assert d.modified
        c.redo()
        assert not d.modified
        c.adopt({k: v + 1 for k, v in d.parameters.items()})
        c.undo()
        c.redo()
        assert d.modified  # the weights are not those of the file


class TestRuns:
    def test_a_step_and_back_and_to_a_node(self, bench: Bench) -> None:
        c, d = bench.controller, bench.document
        start = d.position
        assert start == d.run.forward_length == 4
        c.next()
        assert d.step.phase == "loss"
        c.back()
        c.back()
        assert d.step.node == "flatten1"
        c.run_to("conv1")
        assert d.step.node == "conv1" and d.step.phase == "backward"
        c.to_start()
        assert d.position == 0 and d.step is None
        c.finish_phase()
        assert d.position == 4
        c.to_end()
        assert d.step.phase == "update"

    def test_an_edit_that_keeps_the_operations_keeps_the_position(self, bench: Bench) -> None:
        c, d = bench.controller, bench.document
        c.go_to(6)
        c.adopt({k: v * 2 for k, v in d.parameters.items()})
        assert d.position == 6
        c.next_sample()
        assert d.position == 6

    def test_a_long_run_is_gone_through_as_it_becomes_known(
        self, bench: Bench, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No request computes longer than its share of time; the position follows."""
        monkeypatch.setattr("explorer.controller.FIRST_SECONDS", 0.0)
        c, d = bench.controller, bench.document
        c.next_sample()
        assert d.position == 1  # one operation always
        c.to_end()
        assert d.position < len(d.operations)
        qtbot.waitUntil(lambda: d.position == len(d.operations))
        c.next_sample()
        c.to_end()
        c.go_to(1)  # a later request counts
        qtbot.waitUntil(lambda: d.run.complete)
        assert d.position == 1

    def test_runs_that_were_replaced_are_gone(self, bench: Bench, qtbot: QtBot) -> None:
        from explorer.run import Run

        for _ in range(3):
            bench.controller.delete(["flatten1"])
            bench.controller.undo()
            bench.controller.next_sample()
        qtbot.waitUntil(lambda: len(bench.controller.findChildren(Run)) == 1)

    def test_playing_needs_a_network_that_runs(self, bench: Bench, qtbot: QtBot) -> None:
        c = bench.controller
        c.set_play_speed(20.0)
        c.play(True)
        qtbot.waitUntil(lambda: bench.document.position > 5)
        with qtbot.waitSignal(c.playing_changed) as changed:
            c.delete(["flatten1"])
        assert changed.args == [False]
        bench.notices.clear()
        with qtbot.waitSignal(c.playing_changed) as changed:
            c.play()
        assert changed.args == [False] and "Mend" in bench.notices[0].text

    def test_weights_that_are_not_finite_run(self, bench: Bench) -> None:
        d = bench.document
        bench.controller.adopt({k: np.full_like(v, np.nan) for k, v in d.parameters.items()})
        bench.controller.to_end()
        assert d.position == len(d.operations) and bench.notices == []
        assert np.isnan(d.trace.look("value", ("linear1", 0))).all()

    @pytest.mark.parametrize("rate", ["fast", None, float("nan"), -1, True, [], 0.5])
    def test_a_learning_rate_from_another_program(self, bench: Bench, rate: Any) -> None:
        bench.document.set_settings(lr=rate)
        bench.controller.next_sample()
        bench.controller.to_end()
        d = bench.document
        before, after = (d.trace.look("param", ("linear1", "bias"), p) for p in (0, d.position))
        moved = np.abs(after - before) / np.abs(d.trace.look("param_grad", ("linear1", "bias")))
        np.testing.assert_allclose(moved, 0.5 if rate == 0.5 else 0.05, rtol=1e-3)


class TestPictures:
    def test_next_and_previous_go_round(self, bench: Bench) -> None:
        c, d = bench.controller, bench.document
        first = d.sample
        assert first.label == 7
        c.next_sample()
        assert d.sample is not first
        c.previous_sample()
        assert d.sample is first
        for _ in range(60):
            c.previous_sample()
        assert d.sample is first

    def test_a_drawing_is_shown_and_an_empty_one_is_not(self, bench: Bench) -> None:
        c, d = bench.controller, bench.document
        before = d.sample
        c.draw(Drawing())
        assert d.sample is before
        c.draw(Drawing((Stroke(((0.5, 0.1), (0.5, 0.9))),)))
        assert d.sample.origin == "your drawing" and d.sample.label is None
        assert (
            d.run.assumed_target and d.run.target == d.trace.look("value", ("linear1", 0)).argmax()
        )

    def test_the_right_answer_can_be_chosen_and_unchosen(self, bench: Bench) -> None:
        c, d = bench.controller, bench.document
        c.set_target(2)
        assert d.run.target == 2 and not d.run.assumed_target
        c.set_target(-1)
        assert d.sample.label is None and d.run.assumed_target
        c.set_target(12)  # no class of this network
        assert d.run.error == "" and d.run.assumed_target

    def test_fewer_classes_than_the_label(self, bench: Bench) -> None:
        bench.open(network(classes=4), "four.gflow")
        d = bench.document
        assert d.sample.label == 7 and d.run.assumed_target and d.run.target in range(4)
        bench.controller.to_end()
        assert d.position == len(d.operations)

    @pytest.mark.parametrize("shape", [(3, 9, 7), (2, 6, 6), (1, 28, 28), (1, 1, 1)])
    def test_any_picture_input_runs(self, bench: Bench, shape: tuple[int, ...]) -> None:
        bench.open(network(shape=shape), "other.gflow")
        d = bench.document
        assert d.sample.x.shape == shape and d.run.error == ""
        bench.controller.draw(Drawing((Stroke(((0.5, 0.1), (0.5, 0.9))),)))
        assert d.sample.origin == "your drawing" and d.run.error == ""

    def test_a_vector_input_runs(self, bench: Bench) -> None:
        graph = Graph(
            inputs=(Input("x", (12,)),),
            nodes=(Node("linear1", Linear(out_features=3), (("x", 0),)),),
            outputs=(("y", ("linear1", 0)),),
            losses=(Loss("loss", CrossEntropy(), ("linear1", 0)),),
        )
        bench.open(graph, "vector.gflow")
        assert bench.document.run.error == "" and bench.document.preprocessing is None
        bench.controller.to_end()
        assert bench.document.step.phase == "update"

    @pytest.mark.parametrize(
        "content", [b"", b"this is no picture", b"\x89PNG\r\n\x1a\n then nothing"]
    )
    def test_a_file_that_is_no_picture_changes_nothing(self, bench: Bench, content: bytes) -> None:
        path = bench.folder / "notes.png"
        path.write_bytes(content)
        sample, run = bench.document.sample, bench.document.run
        bench.controller.open_picture(path)
        assert bench.document.sample is sample and bench.document.run is run
        assert len(bench.notices) == 1
        assert bench.notices[0].level == "error" and "notes.png" in bench.notices[0].text

    def test_a_picture_that_is_not_there(self, bench: Bench) -> None:
        bench.controller.open_picture(bench.folder / "gone.png")
        assert "gone.png" in bench.notices[0].text

    def test_a_large_picture_is_read_beside_the_window(self, bench: Bench, qtbot: QtBot) -> None:
        noise = np.random.default_rng(0).integers(0, 255, (300, 300), np.uint8)
        path = bench.folder / "noise.png"
        Image.fromarray(noise).save(path)
        assert path.stat().st_size > SMALL_FILE
        before = bench.document.sample
        bench.controller.open_picture(path)
        assert bench.document.sample is before  # not yet
        qtbot.waitUntil(lambda: bench.document.sample.origin == "noise.png")
        cut = bench.folder / "cut.png"
        cut.write_bytes(path.read_bytes()[: SMALL_FILE + 1])
        bench.controller.open_picture(cut)
        qtbot.waitUntil(lambda: bool(bench.notices))
        assert "cut.png" in bench.notices[0].text and len(bench.notices) == 1
        assert bench.document.sample.origin == "noise.png"
        bench.controller.open_picture(path)
        bench.controller.next_sample()  # chosen later, so it stays
        qtbot.waitUntil(lambda: not bench.controller.pictures.busy)
        assert bench.document.sample.origin != "noise.png"


class TestProjects:
    def test_saved_and_opened_again(self, bench: Bench) -> None:
        c, d = bench.controller, bench.document
        c.insert_layer(ReLU(), "flatten1", 0, 0.0, 0.0)
        c.move({"relu2": (77.0, 88.0)})
        graph, weights = d.graph, dict(d.parameters)
        assert c.save(bench.folder / "mine")
        assert d.path == bench.folder / "mine.gflow" and d.title == "mine" and not d.modified
        c.new()
        assert c.open(bench.folder / "mine.gflow")
        assert d.graph == graph and d.layout["relu2"] == (77.0, 88.0)
        assert all(np.array_equal(d.parameters[k], v) for k, v in weights.items())
        assert c.undo_stack.count() == 0 and not d.modified
        assert c.settings["recent"][0] == str(bench.folder / "mine.gflow")

    @pytest.mark.parametrize("damage", [b"", b"no zip", None])
    def test_a_damaged_project_changes_nothing(self, bench: Bench, damage: bytes | None) -> None:
        d = bench.document
        path = bench.folder / "broken.gflow"
        whole = d.path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
        bench.controller.delete(["relu1"])
        content, run, position = d.content, d.run, d.position
        assert not bench.controller.open(path)
        assert (d.content, d.run, d.position, d.modified) == (content, run, position, True)
        assert len(bench.notices) == 1 and "broken.gflow" in bench.notices[0].text
        bench.controller.undo()
        assert "relu1" in d.graph.by_id

    def test_an_unwritable_place_loses_nothing(self, bench: Bench) -> None:
        c, d = bench.controller, bench.document
        c.delete(["relu1"])
        (bench.folder / "file").write_text("in the way")
        old = d.path
        assert not c.save(bench.folder / "file" / "mine.gflow")
        assert d.modified and d.path == old
        assert bench.notices[-1].level == "error" and "mine.gflow" in bench.notices[-1].text

    def test_a_full_disk_leaves_the_old_file(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        c, d = bench.controller, bench.document
        old = d.path.read_bytes()
        c.delete(["relu1"])

        def full(_handle: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            assert not c.save(d.path)
        assert d.modified and d.path.read_bytes() == old
        assert "room on the disk" in bench.notices[-1].text
        assert [p.name for p in bench.folder.glob("*.part")] == []
        assert c.save(d.path) and not d.modified

    def test_a_name_without_its_suffix_replaces_no_other_file(self, bench: Bench) -> None:
        other = bench.folder / "other.gflow"
        other.write_bytes(b"somebody's work")
        bench.controller.delete(["relu1"])
        assert not bench.controller.save(bench.folder / "other")
        assert other.read_bytes() == b"somebody's work" and bench.document.modified
        assert "exists already" in bench.notices[-1].text
        assert bench.controller.save(other)  # named in full: the dialog has asked

    def test_unsaved_work_comes_back(self, bench: Bench, qtbot: QtBot) -> None:
        bench.controller.delete(["relu1"])
        bench.controller.adopt({k: v + 1 for k, v in bench.document.parameters.items()})
        graph, weights = bench.document.graph, bench.document.parameters
        bench.controller.close()
        again = Bench(bench.folder)
        again.controller.start(None)
        d = again.document
        assert d.graph == graph and d.modified and d.path is None
        assert all(np.array_equal(d.parameters[k], v) for k, v in weights.items())
        assert "not saved" in again.notices[-1].text
        again.controller.move({"conv1": (1.0, 1.0)})
        again.controller.undo()
        assert d.modified
        assert again.controller.save(bench.folder / "kept.gflow")
        again.controller.close()
        third = Bench(bench.folder)
        third.controller.start(None)
        assert third.document.graph.name.startswith("LeNet-5") and not third.document.modified
        third.controller.close()

    def test_a_copy_is_kept_while_working(
        self, tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nothing is lost when the program is killed: the copy is written beside the window."""
        monkeypatch.setattr("explorer.controller.KEEP_MILLISECONDS", 10)
        bench = Bench(tmp_path)
        bench.open(network())
        bench.controller.delete(["relu1"])
        kept = bench.controller.unsaved.path
        qtbot.waitUntil(lambda: kept.exists() and not bench.controller.copies.busy, timeout=10_000)
        assert load(kept).graph == bench.document.graph
        assert bench.controller.save(bench.folder / "mine.gflow")
        assert not kept.exists()
        bench.controller.close()

    def test_work_that_another_project_replaces_is_among_the_recent(self, bench: Bench) -> None:
        c, d = bench.controller, bench.document
        c.delete(["relu1"])
        graph = d.graph
        c.open_shipped("resnet-digits")
        assert "was kept" in bench.notices[-1].text
        aside = Path(c.settings["recent"][0])
        assert load(aside).graph == graph
        assert c.open(aside) and d.graph == graph
        c.close()
        assert load(aside).graph == graph  # closing what is unmodified gives up nothing else

    def test_a_file_named_at_the_start_does_not_cost_unsaved_work(self, bench: Bench) -> None:
        named = bench.document.path
        bench.controller.delete(["relu1"])
        graph = bench.document.graph
        bench.controller.close()
        again = Bench(bench.folder)
        again.controller.start(named)
        assert again.document.path == named
        assert any(load(Path(p)).graph == graph for p in again.controller.settings["recent"])
        again.controller.close()

    def test_a_damaged_file_named_at_the_start_opens_lenet(self, bench: Bench) -> None:
        path = bench.folder / "broken.gflow"
        path.write_bytes(b"no")
        bench.controller.start(path)
        assert bench.document.graph.name.startswith("LeNet-5")
        assert "broken.gflow" in bench.notices[-1].text

    def test_a_network_that_is_not_shipped_is_an_error_in_words(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("explorer.session.SHIPPED", {"lenet5": "gone.gflow"})
        graph = bench.document.graph
        bench.controller.open_shipped("lenet5")
        assert bench.document.graph == graph and "gone.gflow" in bench.notices[-1].text


class TestCheckpoint:
    def test_weights_from_before_training_come_back(self, bench: Bench) -> None:
        c, d = bench.controller, bench.document
        c.restore_weights()
        assert "Nothing was trained" in bench.notices[-1].text
        before = {k: v.copy() for k, v in d.parameters.items()}
        c.before_training()
        c.adopt({k: v + 1 for k, v in d.parameters.items()})
        c.restore_weights()
        assert all(np.array_equal(d.parameters[k], v) for k, v in before.items())

    def test_trained_weights_go_only_where_they_fit(self, bench: Bench) -> None:
        c, d = bench.controller, bench.document
        trained = {k: np.full_like(v, 4) for k, v in d.parameters.items()}
        c.change_layer("conv1", Conv2d(3, kernel_size=3, padding=1))
        mine = {k: v.copy() for k, v in d.parameters.items()}
        c.adopt(trained)
        assert (d.parameters["linear1", "bias"] == 4).all()
        for key in (("conv1", "weight"), ("linear1", "weight")):
            assert np.array_equal(d.parameters[key], mine[key])

    def test_a_checkpoint_belongs_to_its_project(self, bench: Bench) -> None:
        c, d = bench.controller, bench.document
        c.before_training()
        bench.open(network(), "twin.gflow")
        c.adopt({k: v + 1 for k, v in d.parameters.items()})
        now = dict(d.parameters)
        c.restore_weights()
        assert "Nothing was trained" in bench.notices[-1].text
        assert all(d.parameters[k] is v for k, v in now.items())


class TestGallery:
    def open(self, bench: Bench, qtbot: QtBot, name: str) -> None:
        bench.controller.open_architecture(name)
        qtbot.waitUntil(lambda: not bench.controller.builders.busy)

    def test_a_small_network_has_new_weights_and_runs(self, bench: Bench, qtbot: QtBot) -> None:
        c, d = bench.controller, bench.document
        self.open(bench, qtbot, "vgg-digits")
        assert d.graph == ARCHITECTURES["vgg-digits"].build()
        assert d.layout == place(d.graph, aspect=c.aspect())
        assert not d.structure_only and d.run is not None and d.run.complete
        assert bench.notices[-1].text == "VGG for digits has new weights: it has not been trained."
        new = initial_parameters(d.graph, 0)
        assert all(np.array_equal(d.parameters[key], new[key]) for key in new)
        assert d.path is None and not d.modified

    def test_a_trained_one_opens_as_it_ships(self, bench: Bench, qtbot: QtBot) -> None:
        self.open(bench, qtbot, "resnet-digits")
        assert bench.document.metadata["accuracy"] > 0.9
        assert not bench.notices

    def test_a_large_one_is_a_structure(self, bench: Bench, qtbot: QtBot) -> None:
        c, d = bench.controller, bench.document
        self.open(bench, qtbot, "vgg16")
        assert d.structure_only and d.parameters == {} and d.run is None
        assert sum(cost.parameters for cost in d.costs.values()) == 138_357_544
        text = bench.notices[-1].text
        assert "VGG-16 is shown as a structure, without its 138,357,544 weights (553 MB)" in text
        bench.notices.clear()
        c.next()
        c.play()
        assert [notice.text for notice in bench.notices] == [text, text]

    def test_a_structure_is_edited_saved_and_opened_again(self, bench: Bench, qtbot: QtBot) -> None:
        c, d = bench.controller, bench.document
        self.open(bench, qtbot, "vgg16")
        c.rename("fc3", "classes")
        path = bench.folder / "structure.gflow"
        assert c.save(path) and path.stat().st_size < 50_000
        graph = d.graph
        bench.open(network())
        assert not d.structure_only
        assert c.open(path)
        assert d.graph == graph and d.structure_only and d.parameters == {}
        assert "without weights" in bench.notices[-1].text

    def test_one_made_small_enough_gets_weights_and_runs(self, bench: Bench, qtbot: QtBot) -> None:
        c, d = bench.controller, bench.document
        self.open(bench, qtbot, "alexnet-one-tower")
        c.delete(["fc6", "fc7"])
        assert d.structure_only
        c.change_layer("fc8", Linear(out_features=10))
        assert not d.structure_only and d.run is not None
        assert d.parameters["fc8", "weight"].shape == (10, 9216)
        bench.notices.clear()
        c.undo()
        assert d.structure_only and d.parameters == {} and d.run is None
        assert "shown as a structure" in bench.notices[-1].text

    def test_another_project_opened_meanwhile_wins(self, bench: Bench, qtbot: QtBot) -> None:
        c, d = bench.controller, bench.document
        c.open_architecture("resnet152")
        c.new()
        qtbot.waitUntil(lambda: not c.builders.busy)
        assert d.graph.name == "new network"
        c.open_architecture("vgg16")
        c.open_architecture("nin-digits")
        qtbot.waitUntil(lambda: not c.builders.busy)
        assert d.graph.name == "Network in network for digits"

    def test_unsaved_work_is_kept(self, bench: Bench, qtbot: QtBot) -> None:
        bench.controller.rename("conv1", "mine")
        self.open(bench, qtbot, "nin-digits")
        assert "Your unsaved work was kept" in bench.notices[-1].text
        kept = load(Path(bench.controller.settings["recent"][0]))
        assert "mine" in kept.graph.by_id

    def test_what_grows_here_keeps_its_weights(self, bench: Bench) -> None:
        c, d = bench.controller, bench.document
        trained = d.parameters["conv1", "weight"]
        c.change_layer("linear1", Linear(out_features=50_000))
        assert d.parameters["linear1", "weight"].size > 6_000_000
        assert not d.structure_only and d.parameters["conv1", "weight"] is trained
