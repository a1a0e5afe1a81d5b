"""Runs, the position in them, and playing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from engine.cell import Cell
from engine.explain import Weight
from engine.graph import Graph
from engine.inside import Inside
from engine.optimizers import Adam
from engine.train_settings import TrainSettings
from explorer.breakpoints import Breakpoint


class TestRuns:
    def test_a_step_and_back_and_to_a_node(self, bench: Any) -> None:
        c, d = bench.controller, bench.document
        start = d.position
        assert start == d.run.forward_length == 4
        c.stepping.next()
        assert d.step.phase == "loss"
        c.stepping.back()
        c.stepping.back()
        assert d.step.node == "flatten1"
        c.stepping.run_to("conv1")
        assert d.step.node == "conv1" and d.step.phase == "backward"
        c.stepping.to_start()
        assert d.position == 0 and d.step is None
        c.stepping.finish_phase()
        assert d.position == 4
        c.stepping.to_end()
        assert d.step.phase == "update"

    def test_an_edit_that_keeps_the_operations_keeps_the_position(self, bench: Any) -> None:
        c, d = bench.controller, bench.document
        c.stepping.go_to(6)
        c.adopt({k: v * 2 for k, v in d.parameters.items()})
        assert d.position == 6
        c.pictures.next()
        assert d.position == 6

    def test_a_long_run_is_gone_through_as_it_becomes_known(
        self, bench: Any, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No request computes longer than its share of time; the position follows."""
        monkeypatch.setattr("explorer.stepping.FIRST_SECONDS", 0.0)
        c, d = bench.controller, bench.document
        c.pictures.next()
        assert d.position == 1  # one operation always
        c.stepping.to_end()
        assert d.position < len(d.operations)
        qtbot.waitUntil(lambda: d.position == len(d.operations))
        c.pictures.next()
        c.stepping.to_end()
        c.stepping.go_to(1)  # a later request counts
        qtbot.waitUntil(lambda: d.run.complete)
        assert d.position == 1

    def test_runs_that_were_replaced_are_gone(self, bench: Any, qtbot: QtBot) -> None:
        from explorer.run import Run

        for _ in range(3):
            bench.controller.layers.delete(["flatten1"])
            bench.controller.undo()
            bench.controller.pictures.next()
        qtbot.waitUntil(lambda: len(bench.controller.findChildren(Run)) == 1)

    def test_playing_needs_a_network_that_runs(self, bench: Any, qtbot: QtBot) -> None:
        c = bench.controller
        c.stepping.set_play_speed(20.0)
        c.stepping.play(True)
        qtbot.waitUntil(lambda: bench.document.position > 5)
        with qtbot.waitSignal(c.stepping.playing_changed) as changed:
            c.layers.delete(["flatten1"])
        assert changed.args == [False]
        bench.notices.clear()
        with qtbot.waitSignal(c.stepping.playing_changed) as changed:
            c.stepping.play()
        assert changed.args == [False] and "Mend" in bench.notices[0].text

    def test_weights_that_are_not_finite_run(self, bench: Any) -> None:
        d = bench.document
        bench.controller.adopt({k: np.full_like(v, np.nan) for k, v in d.parameters.items()})
        bench.controller.stepping.to_end()
        assert d.position == len(d.operations) and bench.notices == []
        assert np.isnan(d.trace.look("value", ("linear1", 0))).all()

    @pytest.mark.parametrize("rate", ["fast", None, float("nan"), -1, True, [], 0.5])
    def test_a_learning_rate_from_another_program(self, bench: Any, rate: Any) -> None:
        bench.document.set_settings(lr=rate)
        bench.controller.pictures.next()
        bench.controller.stepping.to_end()
        d = bench.document
        before, after = (d.trace.look("param", ("linear1", "bias"), p) for p in (0, d.position))
        moved = np.abs(after - before) / np.abs(d.trace.look("param_grad", ("linear1", "bias")))
        np.testing.assert_allclose(moved, 0.5 if rate == 0.5 else 0.05, rtol=1e-3)


class TestBreakpoints:
    def test_running_stops_there_and_goes_on(self, bench: Any) -> None:
        s, d = bench.controller.stepping, bench.document
        s.to_start()
        s.toggle_node("relu1")
        s.to_end()
        assert (d.step.node, d.step.phase) == ("relu1", "forward")
        assert d.stop.breakpoint == Breakpoint("node", "relu1")
        s.to_end()
        assert (d.step.node, d.step.phase) == ("relu1", "backward")
        s.to_end()
        assert d.position == len(d.operations) and d.stop is None
        s.to_start()
        s.finish_phase()
        assert d.step.node == "relu1"
        s.go_to(d.run.forward_length)  # a click goes where it points
        assert d.position == d.run.forward_length and d.stop is None
        s.back()
        s.back()
        assert d.stop is None and d.step.node == "relu1"  # stepping back stops nowhere
        s.toggle_node("relu1")
        s.to_end()
        assert d.position == len(d.operations) and d.breakpoints == ()

    def test_a_condition_stops_at_the_first_step_that_meets_it(self, bench: Any) -> None:
        s, d = bench.controller.stepping, bench.document
        s.set_breakpoints((Breakpoint("gradient above", "conv1", limit=0.0),))
        s.to_end()
        assert (d.step.node, d.step.phase) == ("conv1", "backward")
        assert d.stop.measured > 0

    def test_playing_stops(self, bench: Any, qtbot: QtBot) -> None:
        s, d = bench.controller.stepping, bench.document
        s.set_play_speed(20.0)
        s.to_start()
        s.toggle_node("flatten1")
        with qtbot.waitSignal(s.playing_changed):
            s.play(True)
        with qtbot.waitSignal(s.playing_changed) as changed:
            pass
        assert changed.args == [False] and d.step.node == "flatten1" and d.stop is not None

    def test_a_long_run_stops_too(
        self, bench: Any, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("explorer.stepping.FIRST_SECONDS", 0.0)
        s, d = bench.controller.stepping, bench.document
        bench.controller.pictures.next()
        s.to_start()
        s.toggle(Breakpoint("node", "conv1", "backward"))
        s.to_end()
        assert d.stop is None
        qtbot.waitUntil(lambda: d.stop is not None)
        assert (d.step.node, d.step.phase) == ("conv1", "backward")
        s.to_end()
        qtbot.waitUntil(lambda: d.position == len(d.operations))

    def test_a_picture_and_what_is_unknown_have_none(self, bench: Any) -> None:
        s, d = bench.controller.stepping, bench.document
        s.toggle_node("image")
        s.toggle_node("gone")
        s.toggle_operation(10_000)
        assert d.breakpoints == () and "given, not computed" in bench.notices[-1].text

    def test_here_is_the_selection_or_the_present_operation(self, bench: Any) -> None:
        s, d = bench.controller.stepping, bench.document
        bench.controller.select({"conv1"})
        s.toggle_here()
        bench.controller.select(())
        s.toggle_here()
        assert d.breakpoints == (
            Breakpoint("node", "conv1"),
            Breakpoint("node", "linear1", "forward"),
        )
        s.toggle_operation(0)  # the one on the whole node goes
        assert d.breakpoints == (Breakpoint("node", "linear1", "forward"),)

    def test_they_belong_to_the_project(self, bench: Any, network: Callable[..., Graph]) -> None:
        c, d = bench.controller, bench.document
        c.stepping.toggle_node("relu1")
        assert d.modified and not c.undo_stack.canUndo()
        c.layers.rename("relu1", "bend")
        assert d.breakpoints == (Breakpoint("node", "bend"),)
        assert c.projects.save(bench.folder / "mine.gflow") and c.projects.finish()
        bench.open(network(), "other.gflow")
        assert d.breakpoints == ()
        assert c.projects.open(bench.folder / "mine.gflow")
        assert d.breakpoints == (Breakpoint("node", "bend"),) and not d.modified
        c.layers.delete({"bend"})
        c.stepping.to_end()
        assert d.position == len(d.operations)
        c.undo()
        c.stepping.to_start()
        c.stepping.to_end()
        assert d.step.node == "bend"


class TestInside:
    def test_in_through_the_levels_and_out_again(self, bench: Any) -> None:
        s, d = bench.controller.stepping, bench.document
        s.to_start()
        s.look_inside()  # at the start: the first operation
        assert d.inside == Inside(0, "output", "channel") and d.position == 0
        assert d.selection == {"conv1"} and d.focus == Cell("conv1", 0, (0, 0, 0))
        s.next()
        assert d.inside.cells == 64 and d.focus == Cell("conv1", 0, (0, 7, 7))
        s.look_inside()
        s.look_inside()
        s.look_inside()
        assert d.inside.level == "term"
        s.next()
        assert (d.inside.cells, d.inside.terms) == (64, 1) and d.position == 0
        s.back()
        s.back()
        assert d.inside.cells == 63 and d.inside.terms > 0
        s.finish()
        assert (d.inside.level, d.inside.cells) == ("cell", 64)
        s.look_inside()
        s.look_inside()
        assert "nothing smaller" in bench.notices[-1].text
        for _ in range(20):
            s.finish()
            if d.inside is None:
                break
        assert d.position == 1 and d.step.node == "conv1"

    def test_it_is_the_operation_that_was_carried_out_last(self, bench: Any) -> None:
        s, d = bench.controller.stepping, bench.document
        s.go_to(2)
        s.look_inside()
        assert d.inside.operation == 1 and d.position == 1 and d.explained == 2
        s.next()
        s.next()
        assert d.inside is None and d.position == 2
        s.look_inside()
        s.back()
        assert d.inside is None and d.position == 1

    def test_a_walk_is_one_place_of_the_way_and_is_explained(self, bench: Any) -> None:
        c, d = bench.controller, bench.document
        c.stepping.go_to(1)
        c.stepping.look_inside()
        for _ in range(3):
            c.stepping.look_inside()
        c.stepping.set_cell((1, 3, 4))
        c.stepping.next()
        assert not c.asking.can_go_back and c.asking.place.source == d.focus == Cell(
            "conv1", 0, (1, 3, 5)
        )
        c.asking.why()
        assert c.asking.place.followed and len(c.asking.way) == 2

    def test_backward_has_two_sides(self, bench: Any) -> None:
        s, d = bench.controller.stepping, bench.document
        s.run_to("conv1")
        s.look_inside()
        assert (d.step.phase, d.inside.side) == ("backward", "input")
        s.set_side("weight")
        assert d.inside == Inside(d.position, "weight", "channel")
        s.next()
        np.testing.assert_array_equal(
            s.sheet.weights(d.inside), d.trace.look("param_grad", ("conv1", "weight"))[0]
        )
        s.set_side("output")  # not one of a backward operation
        assert d.inside.side == "weight"

    def test_levels_can_be_chosen(self, bench: Any) -> None:
        s, d = bench.controller.stepping, bench.document
        s.go_to(1)
        s.look_inside()
        s.set_level("term")
        s.next()
        assert (d.inside.level, d.inside.terms) == ("term", 1)
        s.set_level("row")
        assert (d.inside.level, d.inside.cells, d.inside.terms) == ("row", 8, 0)
        s.set_cell((1, 2, 3))
        assert (d.inside.level, d.inside.cells) == ("cell", 64 + 2 * 8 + 4)
        s.set_cell((9, 9, 9))
        assert d.inside.cells == 64 + 2 * 8 + 4

    def test_the_loss_and_its_gradient_are_worked_out_line_by_line(self, bench: Any) -> None:
        s, d = bench.controller.stepping, bench.document
        s.next()
        assert d.step.phase == "loss"
        s.look_inside()
        assert d.inside == Inside(4, "loss", "term") and d.selection == {"loss"}
        lines = s.sheet.stages(0)
        for line in range(1, len(lines) + 1):
            s.next()
            assert d.inside.terms == line
        loss = float(d.trace.look("value", ("loss", 0)))
        assert lines[-1].number == pytest.approx(loss, rel=1e-6)
        s.back()
        assert d.inside.terms == len(lines) - 1
        s.finish()
        assert d.inside is None and d.position == 5
        s.next()
        s.look_inside()
        assert (d.inside.side, d.inside.level, s.sheet.ref) == ("loss", "cell", ("linear1", 0))
        s.finish()
        assert d.inside is None and d.position == 6 and d.step.phase == "backward"

    def test_an_update_shows_the_projects_own_optimizer(self, bench: Any) -> None:
        s, d = bench.controller.stepping, bench.document
        s.to_end()
        assert d.step.phase == "update"
        s.look_inside()
        assert d.inside.side == "update" and "lr" not in [x.name for x in s.sheet.stages(0)]
        assert [x.name for x in s.sheet.stages(0)] == ["w", "g", "step", "w"]
        before = s.sheet.stages(3)[-1].number
        assert before == pytest.approx(s.sheet.value(3), rel=1e-6)
        trained = TrainSettings(optimizer=Adam(lr=0.02, weight_decay=0.1))
        d.set_settings(training=trained.as_dict())
        s.rerun()
        s.to_end()
        s.look_inside()
        lines = s.sheet.stages(3)
        assert "m′" in [x.name for x in lines]
        assert lines[-1].number == pytest.approx(s.sheet.value(3), rel=1e-6)
        assert lines[-1].number != before
        s.set_side("update", 1)
        assert d.inside.part == 1 and s.sheet.name == "bias"
        assert s.sheet.place(2).source == Weight("linear1", "bias", (2,))

    def test_settings_that_make_no_sense_are_not_taken(self, bench: Any) -> None:
        s, d = bench.controller.stepping, bench.document
        d.set_settings(training={"optimizer": {"kind": "SGD", "lr": -3}})
        s.rerun()
        s.to_end()
        s.look_inside()
        assert [x.name for x in s.sheet.stages(0)] == ["w", "g", "step", "w"]

    def test_playing_goes_through_it_and_stops_at_its_end(self, bench: Any, qtbot: QtBot) -> None:
        s, d = bench.controller.stepping, bench.document
        s.set_play_speed(20.0)
        s.go_to(1)
        s.look_inside()
        s.play(True)
        qtbot.waitUntil(lambda: d.inside is None)
        assert d.position == 1
        qtbot.waitUntil(lambda: d.position == 1)
        with qtbot.assertNotEmitted(s.playing_changed):
            s.play(False)

    def test_breakpoints_are_met_where_a_walk_inside_ends(self, bench: Any) -> None:
        s, d = bench.controller.stepping, bench.document
        s.go_to(1)
        s.look_inside()
        s.set_breakpoints((Breakpoint("node", "conv1"), Breakpoint("node", "relu1")))
        s.next()
        s.back()
        assert d.inside is not None and d.stop is None
        while d.inside is not None:
            s.next()
        assert d.position == 1 and d.stop is not None and d.stop.node == "conv1"
        s.look_inside()
        s.back()
        assert d.inside is None and d.position == 0 and d.stop is None
        s.go_to(1)
        s.look_inside()
        s.to_end()
        assert d.inside is None and d.position == 1 and d.stop.node == "conv1"
        s.look_inside()
        s.run_to("relu1")
        assert d.inside is None and d.stop.node == "conv1"
        s.run_to("relu1")
        assert d.position == 2 and d.stop.node == "relu1"

    def test_going_elsewhere_leaves_it(self, bench: Any) -> None:
        s, d = bench.controller.stepping, bench.document
        s.look_inside()
        s.go_to(5)
        assert d.inside is None and d.position == 5
        s.look_inside()
        bench.controller.pictures.next()
        assert d.inside is None
        s.go_to(2)
        s.look_inside()
        bench.controller.layers.delete({"relu1"})
        assert d.inside is None and s.sheet is None


class TestQuestions:
    def test_it_asks_before_it_shows(self, bench: Any) -> None:
        s, d = bench.controller.stepping, bench.document
        s.set_asks(True)
        s.to_start()
        s.next()
        assert d.position == 0 and s.question.operation == 0
        s.answer(s.question.right)
        assert d.position == 1 and s.question is None
        assert d.answered[0].text.startswith("Right, ")
        s.next()
        assert d.position == 1 and s.question.operation == 1 and d.answered
        s.answer((s.question.right + 1) % len(s.question.choices))
        assert d.position == 2 and d.answered[0].text.startswith("Not ")
        s.next()  # a Flatten: nothing to ask
        assert d.position == 3 and d.answered == ()

    def test_it_is_skipped_by_going_on(self, bench: Any) -> None:
        s, d = bench.controller.stepping, bench.document
        s.set_asks(True)
        s.to_start()
        s.next()
        s.next()
        assert d.position == 1 and not d.answered[0].text.startswith(("Right", "Not"))
        s.next()
        s.back()  # takes the question away, and stays
        assert d.position == 1 and s.question is None
        s.next()
        s.answer(17)
        assert s.question is not None
        s.go_to(4)
        assert s.question is None and d.position == 4
        s.go_to(1)
        s.next()
        bench.controller.pictures.next()
        assert s.question is None

    def test_only_where_it_is_wanted(self, bench: Any) -> None:
        s, d = bench.controller.stepping, bench.document
        s.to_start()
        s.next()
        assert d.position == 1 and s.question is None and not s.asks
        s.settings.set("workspace", "learn")
        assert s.asks
        s.set_asks(False)
        assert not s.asks
        s.next()
        assert d.position == 2

    def test_playing_asks_nothing(self, bench: Any, qtbot: QtBot) -> None:
        s, d = bench.controller.stepping, bench.document
        s.set_asks(True)
        s.set_play_speed(20.0)
        s.to_start()
        s.play(True)
        qtbot.waitUntil(lambda: d.position >= 3)
        s.play(False)
        assert s.question is None


class TestLarge:
    """A large network is compiled beside the window, and its run follows."""

    @pytest.fixture
    def large(self, bench: Any, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot) -> Any:
        monkeypatch.setattr("explorer.run.HEAVY_WORK", 1)
        bench.controller.stepping.to_start()
        return bench

    def test_the_run_follows_and_stands_where_the_one_before_stood(
        self, large: Any, qtbot: QtBot
    ) -> None:
        c, d = large.controller, large.document
        qtbot.waitUntil(lambda: d.run.complete)
        c.stepping.go_to(2)
        before = d.trace.look("value", ("linear1", 0))
        c.adopt({key: array + 1 for key, array in d.parameters.items()})
        assert c.stepping.compiling and d.run is None and d.trace is None
        qtbot.waitUntil(lambda: d.run is not None and d.run.complete)
        assert d.run.heavy and not c.stepping.compiling and d.position == 2
        after = d.trace.look("value", ("linear1", 0))
        assert before is not None and after is not None and np.any(before != after)
        assert large.notices == []

    def test_where_one_goes_meanwhile_is_gone_to_then(self, large: Any, qtbot: QtBot) -> None:
        c, d = large.controller, large.document
        c.adopt({key: array + 1 for key, array in d.parameters.items()})
        c.stepping.go_to(3)
        c.stepping.play()
        c.stepping.look_inside()
        assert d.run is None and d.inside is None and large.notices == []
        qtbot.waitUntil(lambda: d.position == 3)

    def test_of_several_changes_only_the_last_is_run(self, large: Any, qtbot: QtBot) -> None:
        c, d = large.controller, large.document
        shown: list[object] = []
        d.run_changed.connect(lambda: shown.append(d.run) if d.run is not None else None)
        for _ in range(3):
            c.adopt({key: array + 1 for key, array in d.parameters.items()})
        qtbot.waitUntil(lambda: d.run is not None and d.run.complete)
        assert len({id(run) for run in shown}) == 1
        weight = d.trace.look("param", ("conv1", "weight"), 0)
        np.testing.assert_array_equal(weight, d.parameters["conv1", "weight"])

    def test_a_small_one_meanwhile_is_run_at_once(
        self,
        large: Any,
        network: Callable[..., Graph],
        qtbot: QtBot,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        c, d = large.controller, large.document
        c.adopt({key: array + 1 for key, array in d.parameters.items()})
        monkeypatch.setattr("explorer.run.HEAVY_WORK", 10**8)
        large.open(network(), "other.gflow")
        assert d.run is not None and not d.run.heavy and not c.stepping.compiling
        run, last = d.run, []
        # a file is read behind what was made ready, in the same way
        c.projects.builders.run(lambda: None, last.append)
        qtbot.waitUntil(lambda: bool(last))
        assert d.run is run

    def test_closing_meanwhile_waits_for_it(self, large: Any) -> None:
        large.controller.adopt({k: a + 1 for k, a in large.document.parameters.items()})
        large.controller.close()
        assert large.document.run is None
