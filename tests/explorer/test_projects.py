"""Opened, saved, kept, shipped and made projects, and what goes wrong."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from engine.architectures import ARCHITECTURES
from engine.graph import Graph
from engine.layers.linear import Linear
from engine.layers.relu import ReLU
from engine.parameters import initial_parameters
from engine.project_file import load
from explorer.canvas.placement import place
from explorer.examples import EXAMPLES


class TestProjects:
    def test_saved_and_opened_again(self, bench: Any) -> None:
        c, d = bench.controller, bench.document
        c.adding.insert_layer(ReLU(), "flatten1", 0, 0.0, 0.0)
        c.arranging.move({"relu2": (77.0, 88.0)})
        graph, weights = d.graph, dict(d.parameters)
        assert c.projects.save(bench.folder / "mine") and c.projects.finish()
        assert d.path == bench.folder / "mine.gflow" and d.title == "mine" and not d.modified
        c.projects.new()
        assert c.projects.open(bench.folder / "mine.gflow")
        assert d.graph == graph and d.layout["relu2"] == (77.0, 88.0)
        assert all(np.array_equal(d.parameters[k], v) for k, v in weights.items())
        assert c.undo_stack.count() == 0 and not d.modified
        assert c.settings["recent"][0] == str(bench.folder / "mine.gflow")

    @pytest.mark.parametrize("damage", [b"", b"no zip", None])
    def test_a_damaged_project_changes_nothing(self, bench: Any, damage: bytes | None) -> None:
        d = bench.document
        path = bench.folder / "broken.gflow"
        whole = d.path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
        bench.controller.layers.delete(["relu1"])
        content, run, position = d.content, d.run, d.position
        assert not bench.controller.projects.open(path)
        assert (d.content, d.run, d.position, d.modified) == (content, run, position, True)
        assert len(bench.notices) == 1 and "broken.gflow" in bench.notices[0].text
        bench.controller.undo()
        assert "relu1" in d.graph.by_id

    def test_an_unwritable_place_loses_nothing(self, bench: Any) -> None:
        c, d = bench.controller, bench.document
        c.layers.delete(["relu1"])
        (bench.folder / "file").write_text("in the way")
        old = d.path
        assert not (c.projects.save(bench.folder / "file" / "mine.gflow") and c.projects.finish())
        assert d.modified and d.path == old
        assert bench.notices[-1].level == "error" and "mine.gflow" in bench.notices[-1].text

    def test_a_full_disk_leaves_the_old_file(
        self, bench: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        c, d = bench.controller, bench.document
        old = d.path.read_bytes()
        c.layers.delete(["relu1"])

        def full(_handle: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            assert not (c.projects.save(d.path) and c.projects.finish())
        assert d.modified and d.path.read_bytes() == old
        assert "room on the disk" in bench.notices[-1].text
        assert [p.name for p in bench.folder.glob("*.part")] == []
        assert c.projects.save(d.path) and c.projects.finish() and not d.modified

    def test_what_is_changed_while_the_disk_writes_is_not_saved(
        self, bench: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        c, d = bench.controller, bench.document
        c.layers.delete(["relu1"])
        written, go, fsync = d.graph, threading.Event(), os.fsync

        def slow(handle: int) -> None:
            assert go.wait(10)
            fsync(handle)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", slow)
            assert c.projects.save(bench.folder / "mine.gflow") and c.projects.saving
            assert d.modified  # until the disk has it
            c.layers.rename("conv1", "later")
            go.set()
            assert c.projects.finish() and not c.projects.saving
        assert load(bench.folder / "mine.gflow").graph == written
        assert d.path == bench.folder / "mine.gflow" and d.modified
        c.undo()
        assert d.graph == written and d.modified  # what is undone could be anything's: be careful
        assert c.projects.save(d.path) and c.projects.finish() and not d.modified

    def test_another_project_opened_while_the_disk_writes_keeps_its_own_name(
        self, bench: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        c, d = bench.controller, bench.document
        c.layers.delete(["relu1"])
        graph, go, fsync = d.graph, threading.Event(), os.fsync

        def slow(handle: int) -> None:
            if threading.current_thread() is not threading.main_thread():
                assert go.wait(10)
            fsync(handle)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", slow)
            assert c.projects.save(bench.folder / "mine.gflow")
            c.projects.new()
            go.set()
            assert c.projects.finish()
        assert d.path is None and d.title == "new network" and not d.modified
        assert load(bench.folder / "mine.gflow").graph == graph

    def test_closing_waits_for_the_disk(self, bench: Any, another: Callable[[], Any]) -> None:
        bench.controller.layers.delete(["relu1"])
        graph = bench.document.graph
        assert bench.controller.projects.save(bench.folder / "mine.gflow")
        bench.controller.close()
        assert load(bench.folder / "mine.gflow").graph == graph
        again = another()
        again.controller.start(None)
        assert again.document.graph.name.startswith("LeNet-5")  # nothing was left unsaved
        again.controller.close()

    def test_a_name_without_its_suffix_replaces_no_other_file(self, bench: Any) -> None:
        other = bench.folder / "other.gflow"
        other.write_bytes(b"somebody's work")
        bench.controller.layers.delete(["relu1"])
        assert not (
            bench.controller.projects.save(bench.folder / "other")
            and bench.controller.projects.finish()
        )
        assert other.read_bytes() == b"somebody's work" and bench.document.modified
        assert "exists already" in bench.notices[-1].text
        assert (
            bench.controller.projects.save(other) and bench.controller.projects.finish()
        )  # named in full: the dialog has asked

    def test_unsaved_work_comes_back(
        self, bench: Any, another: Callable[[], Any], qtbot: QtBot
    ) -> None:
        bench.controller.layers.delete(["relu1"])
        bench.controller.adopt({k: v + 1 for k, v in bench.document.parameters.items()})
        graph, weights = bench.document.graph, bench.document.parameters
        bench.controller.close()
        again = another()
        again.controller.start(None)
        d = again.document
        assert d.graph == graph and d.modified and d.path is None
        assert all(np.array_equal(d.parameters[k], v) for k, v in weights.items())
        assert "not saved" in again.notices[-1].text and again.notices[-1].level == "note"
        again.controller.arranging.move({"conv1": (1.0, 1.0)})
        again.controller.undo()
        assert d.modified
        assert (
            again.controller.projects.save(bench.folder / "kept.gflow")
            and again.controller.projects.finish()
        )
        again.controller.close()
        third = another()
        third.controller.start(None)
        assert third.document.graph.name.startswith("LeNet-5") and not third.document.modified
        third.controller.close()

    def test_a_copy_is_kept_while_working(
        self,
        another: Callable[[], Any],
        network: Callable[..., Graph],
        qtbot: QtBot,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Nothing is lost when the program is killed: the copy is written beside the window."""
        monkeypatch.setattr("explorer.projects.KEEP_MILLISECONDS", 10)
        bench = another()
        bench.open(network())
        bench.controller.layers.delete(["relu1"])
        kept = bench.controller.projects.unsaved.path
        qtbot.waitUntil(
            lambda: kept.exists() and not bench.controller.projects.copies.busy, timeout=10_000
        )
        assert load(kept).graph == bench.document.graph
        assert (
            bench.controller.projects.save(bench.folder / "mine.gflow")
            and bench.controller.projects.finish()
        )
        assert not kept.exists()
        bench.controller.close()

    def test_work_that_another_project_replaces_is_among_the_recent(self, bench: Any) -> None:
        c, d = bench.controller, bench.document
        c.layers.delete(["relu1"])
        graph = d.graph
        c.projects.open_shipped("resnet-digits")
        assert "was kept" in bench.notices[-1].text and bench.notices[-1].level == "note"
        aside = Path(c.settings["recent"][0])
        assert load(aside).graph == graph
        assert c.projects.open(aside) and d.graph == graph
        c.close()
        assert load(aside).graph == graph  # closing what is unmodified gives up nothing else

    def test_a_file_named_at_the_start_does_not_cost_unsaved_work(
        self, bench: Any, another: Callable[[], Any]
    ) -> None:
        named = bench.document.path
        bench.controller.layers.delete(["relu1"])
        graph = bench.document.graph
        bench.controller.close()
        again = another()
        again.controller.start(named)
        assert again.document.path == named
        assert any(load(Path(p)).graph == graph for p in again.controller.settings["recent"])
        again.controller.close()

    def test_a_damaged_file_named_at_the_start_opens_lenet(self, bench: Any) -> None:
        path = bench.folder / "broken.gflow"
        path.write_bytes(b"no")
        bench.controller.start(path)
        assert bench.document.graph.name.startswith("LeNet-5")
        assert "broken.gflow" in bench.notices[-1].text

    def test_a_network_that_is_not_shipped_is_an_error_in_words(
        self, bench: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("explorer.session.SHIPPED", {"lenet5": "gone.gflow"})
        graph = bench.document.graph
        bench.controller.projects.open_shipped("lenet5")
        assert bench.document.graph == graph and "gone.gflow" in bench.notices[-1].text


class TestGallery:
    def open(self, bench: Any, qtbot: QtBot, name: str) -> None:
        bench.controller.projects.open_architecture(name)
        qtbot.waitUntil(lambda: not bench.controller.projects.builders.busy)

    def test_a_small_network_has_new_weights_and_runs(self, bench: Any, qtbot: QtBot) -> None:
        c, d = bench.controller, bench.document
        self.open(bench, qtbot, "vgg-digits")
        assert d.graph == ARCHITECTURES["vgg-digits"].build()
        assert d.layout == place(d.graph, aspect=c.layouts.aspect())
        assert not d.structure_only and d.run is not None
        qtbot.waitUntil(lambda: d.run.complete)
        assert bench.notices[-1].text == "VGG for digits has new weights: it has not been trained."
        new = initial_parameters(d.graph, 0)
        assert all(np.array_equal(d.parameters[key], new[key]) for key in new)
        assert d.path is None and not d.modified

    def test_what_an_example_shows_is_read_in_peace(self, bench: Any) -> None:
        """It is looked up while stepping, long after a message would have gone."""
        for name, example in EXAMPLES.items():
            bench.controller.projects.open_example(name)
            assert bench.notices[-1].text == example.idea
            assert bench.notices[-1].level == "note"

    def test_a_trained_one_opens_as_it_ships(self, bench: Any, qtbot: QtBot) -> None:
        self.open(bench, qtbot, "resnet-digits")
        assert bench.document.metadata["accuracy"] > 0.9
        assert not bench.notices

    def test_a_large_one_is_a_structure(self, bench: Any, qtbot: QtBot) -> None:
        c, d = bench.controller, bench.document
        self.open(bench, qtbot, "vgg16")
        assert d.structure_only and d.parameters == {} and d.run is None
        assert sum(cost.parameters for cost in d.costs.values()) == 138_357_544
        assert not any("structure" in notice.text for notice in bench.notices)  # narrated instead
        text = d.structure_text()
        assert "VGG-16 is shown as a structure, without its 138,357,544 weights (553 MB)" in text
        bench.notices.clear()
        c.stepping.next()
        c.stepping.play()
        assert [notice.text for notice in bench.notices] == [text, text]

    def test_a_structure_is_edited_saved_and_opened_again(
        self, bench: Any, network: Callable[..., Graph], qtbot: QtBot
    ) -> None:
        c, d = bench.controller, bench.document
        self.open(bench, qtbot, "vgg16")
        c.layers.rename("fc3", "classes")
        path = bench.folder / "structure.gflow"
        assert c.projects.save(path) and c.projects.finish() and path.stat().st_size < 50_000
        graph = d.graph
        bench.open(network())
        assert not d.structure_only
        assert c.projects.open(path)
        assert d.graph == graph and d.structure_only and d.parameters == {}
        assert "without weights" in bench.notices[-1].text

    def test_one_made_small_enough_gets_weights_and_runs(self, bench: Any, qtbot: QtBot) -> None:
        c, d = bench.controller, bench.document
        self.open(bench, qtbot, "alexnet-one-tower")
        c.layers.delete(["fc6", "fc7"])
        assert d.structure_only
        c.layers.change_layer("fc8", Linear(out_features=10))
        assert not d.structure_only
        qtbot.waitUntil(lambda: d.run is not None)  # made ready beside the window
        assert d.parameters["fc8", "weight"].shape == (10, 9216)
        bench.notices.clear()
        c.undo()
        assert d.structure_only and d.parameters == {} and d.run is None

    def test_another_project_opened_meanwhile_wins(self, bench: Any, qtbot: QtBot) -> None:
        c, d = bench.controller, bench.document
        c.projects.open_architecture("resnet152")
        c.projects.new()
        qtbot.waitUntil(lambda: not c.projects.builders.busy)
        assert d.graph.name == "new network"
        c.projects.open_architecture("vgg16")
        c.projects.open_architecture("nin-digits")
        qtbot.waitUntil(lambda: not c.projects.builders.busy)
        assert d.graph.name == "Network in network for digits"

    def test_unsaved_work_is_kept(self, bench: Any, qtbot: QtBot) -> None:
        bench.controller.layers.rename("conv1", "mine")
        self.open(bench, qtbot, "nin-digits")
        assert "Your unsaved work was kept" in bench.notices[-1].text
        kept = load(Path(bench.controller.settings["recent"][0]))
        assert "mine" in kept.graph.by_id

    def test_what_grows_here_keeps_its_weights(self, bench: Any) -> None:
        c, d = bench.controller, bench.document
        trained = d.parameters["conv1", "weight"]
        c.layers.change_layer("linear1", Linear(out_features=50_000))
        assert d.parameters["linear1", "weight"].size > 6_000_000
        assert not d.structure_only and d.parameters["conv1", "weight"] is trained


class TestTwoWindows:
    """Of a file that two windows open, only the first writes."""

    def test_the_second_gets_a_copy_and_may_not_replace_the_file(
        self, bench: Any, another: Callable[[], Any]
    ) -> None:
        path, other = bench.document.path, another()
        assert other.controller.projects.open(path)
        assert other.document.graph == bench.document.graph and other.document.path is None
        assert other.notices[-1].level == "warning"
        assert "tiny.gflow is open in another window" in other.notices[-1].text
        before = path.read_bytes()
        other.controller.layers.delete(["relu1"])
        assert not (other.controller.projects.save(path) and other.controller.projects.finish())
        assert "Choose another name" in other.notices[-1].text
        assert path.read_bytes() == before and other.document.modified
        assert (
            other.controller.projects.save(bench.folder / "copy.gflow")
            and other.controller.projects.finish()
        )
        # now the copy is the second window's own
        assert bench.controller.projects.open(bench.folder / "copy.gflow")
        assert bench.document.path is None
        other.controller.close()

    def test_a_file_that_was_left_is_free(self, bench: Any, another: Callable[[], Any]) -> None:
        path, other = bench.document.path, another()
        bench.controller.projects.new()
        assert other.controller.projects.open(path) and other.document.path == path
        other.controller.close()
        assert bench.controller.projects.open(path) and bench.document.path == path

    def test_opening_again_and_saving_under_the_same_name_need_no_other(self, bench: Any) -> None:
        path = bench.document.path
        assert bench.controller.projects.open(path) and bench.document.path == path
        bench.controller.layers.delete(["relu1"])
        assert (
            bench.controller.projects.save(path)
            and bench.controller.projects.finish()
            and not bench.document.modified
        )

    def test_a_save_that_fails_keeps_the_old_file_held(
        self, bench: Any, another: Callable[[], Any]
    ) -> None:
        path, other = bench.document.path, another()
        (bench.folder / "file").write_text("in the way")
        assert not (
            bench.controller.projects.save(bench.folder / "file" / "mine.gflow")
            and bench.controller.projects.finish()
        )
        assert other.controller.projects.open(path) and other.document.path is None
        other.controller.close()
