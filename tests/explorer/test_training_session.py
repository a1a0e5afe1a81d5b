"""Training as the window sees it: weights that come, notices, and no process left."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from engine import checkpoint as checkpoints
from engine.data.digits import digits
from engine.graph import Graph, Input, Loss, Node
from engine.layers.flatten import Flatten
from engine.layers.linear import Linear
from engine.layers.relu import ReLU
from engine.losses import CrossEntropy
from engine.optimizers import SGD, Adam
from engine.project_file import Project, save
from engine.train import Report, Trainer, TrainSettings, evaluate
from explorer.controller import Controller, Notice
from explorer.document import Document
from explorer.panels import TrainingPanel
from explorer.settings import Settings
from explorer.training_session import (
    TrainingSession,
    reports_from_plain,
    reports_to_plain,
    thinned,
)

LONG = TrainSettings(epochs=10_000, batch_size=256, optimizer=SGD(lr=0.1))
SHORT = TrainSettings(epochs=4, batch_size=64, optimizer=SGD(lr=0.1))


def network(classes: int = 10) -> Graph:
    return Graph(
        inputs=(Input("image", (1, 8, 8)),),
        nodes=(
            Node("flatten1", Flatten(), (("image", 0),)),
            Node("linear1", Linear(out_features=classes), (("flatten1", 0),)),
        ),
        outputs=(("logits", ("linear1", 0)),),
        losses=(Loss("loss", CrossEntropy(), ("linear1", 0)),),
        labels=tuple("0123456789"[:classes]),
    )


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.document = Document()
        self.controller = Controller(self.document, Settings(folder / "settings.json"))
        self.training = TrainingSession(self.document, self.controller)
        self.notices: list[Notice] = []
        self.controller.notice.connect(self.notices.append)

    def open(self, graph: Graph, name: str = "tiny.gflow", **more: Any) -> None:
        document = Document()
        document.load(Project(graph, preprocessing=digits()[0].preprocessing, **more), {}, None)
        save(document.project(), self.folder / name)
        assert self.controller.projects.open(self.folder / name)
        self.notices.clear()


@pytest.fixture
def bench(qtbot: QtBot, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    bench.open(network())
    yield bench
    bench.training.close()
    bench.controller.close()


def test_what_was_learnt_is_in_the_network_and_comes_back_out(bench: Bench, qtbot: QtBot) -> None:
    d, t = bench.document, bench.training
    before = {k: v.copy() for k, v in d.parameters.items()}
    at_first = evaluate(d.graph, d.parameters, digits()[1]).accuracy
    with qtbot.waitSignal(t.worker.finished, timeout=20_000):
        t.start(SHORT, "digits")
    assert t.worker.reporter_id not in (None, os.getpid())
    assert t.reports[-1].step == t.reports[-1].steps_total == 4 * 22
    result = evaluate(d.graph, d.parameters, digits()[1])
    assert result.accuracy == pytest.approx(t.reports[-1].validation_accuracy)
    assert result.accuracy > max(0.8, at_first)
    assert d.modified and d.run.error == ""
    # the picture on the canvas was run with these weights
    x = d.sample.x.reshape(64)
    wanted = d.parameters["linear1", "weight"].reshape(10, 64) @ x + d.parameters["linear1", "bias"]
    np.testing.assert_allclose(d.trace.look("value", ("linear1", 0))[0], wanted, atol=1e-4)
    assert bench.notices[-1].level == "success"
    assert f"{result.accuracy:.1%} of the held-out" in bench.notices[-1].text
    bench.controller.restore_weights()
    assert all(np.array_equal(d.parameters[k], v) for k, v in before.items())


def stopped_after(bench: Bench, qtbot: QtBot, settings: TrainSettings, reports: int = 2) -> int:
    """Train and stop; the step that was reached."""
    t = bench.training
    t.start(settings, "digits")
    qtbot.waitUntil(lambda: len(t.reports) >= reports, timeout=20_000)
    with qtbot.waitSignal(t.worker.finished, timeout=20_000):
        t.stop()
    return checkpoints.standing(t.place_of(bench.document.graph)).step


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(bench: Bench, qtbot: QtBot) -> None:
    d, t = bench.document, bench.training
    panel = TrainingPanel()
    qtbot.addWidget(panel)
    t.attach(panel)
    panel.show()
    assert not panel.go_on.isVisible()
    start = {k: v.copy() for k, v in d.parameters.items()}
    # long enough to be stopped, short enough to be made again here
    settings = TrainSettings(epochs=150, batch_size=64, optimizer=Adam(lr=0.002), seed=5)
    step = stopped_after(bench, qtbot, settings)
    assert 0 < step < 150 * 22
    epoch = step // 22 + 1
    assert panel.go_on.isVisible() and panel.go_on.text() == f"Go on from epoch {epoch}"
    reached = {k: v.copy() for k, v in d.parameters.items()}
    panel.set_settings(SHORT)
    with qtbot.waitSignal(t.worker.finished, timeout=60_000):
        qtbot.mouseClick(panel.go_on, Qt.MouseButton.LeftButton)
        assert not panel.go_on.isVisible() and panel.settings() == settings
    assert t.reports[-1].step == t.reports[-1].steps_total == 150 * 22
    assert any(r.step <= step for r in t.reports)  # the curves of before are still there
    (flow,) = t.flows  # and so is the flow, which goes on as one run
    assert flow.steps[0] == 1 < step < flow.steps[-1] == 150 * 22
    assert any(1 < s <= step for s in flow.steps)
    run = Trainer(d.graph, start, *digits(), settings)
    list(run.reports())
    assert all(np.array_equal(d.parameters[k], v) for k, v in run.parameters().items())
    # finished: there is nothing to go on with, and one click undoes the second part alone
    assert not panel.go_on.isVisible() and not t.place_of(d.graph).exists()
    bench.controller.restore_weights()
    assert all(np.array_equal(d.parameters[k], v) for k, v in reached.items())


def test_the_run_is_offered_again_after_a_restart_but_to_its_network_alone(
    bench: Bench, qtbot: QtBot
) -> None:
    stopped_after(bench, qtbot, LONG)
    again = Bench(bench.folder)
    try:
        again.open(network())
        panel = TrainingPanel()
        qtbot.addWidget(panel)
        again.training.attach(panel)
        panel.show()
        assert panel.go_on.isVisible()
        again.controller.adding.append_layer(ReLU())
        assert not panel.go_on.isVisible()
        again.controller.undo()
        qtbot.waitUntil(panel.go_on.isVisible, timeout=5_000)
        again.open(network(classes=12), "other.gflow")
        assert not panel.go_on.isVisible()
        again.training.go_on()
        assert again.notices[-1].level == "info" and "No run" in again.notices[-1].text
    finally:
        again.training.close()
        again.controller.close()


def test_a_checkpoint_that_is_damaged_is_not_offered(bench: Bench, qtbot: QtBot) -> None:
    stopped_after(bench, qtbot, LONG)
    place = bench.training.place_of(bench.document.graph)
    place.write_bytes(place.read_bytes()[:200])
    bench.training.go_on()
    assert not bench.training.worker.busy and "No run" in bench.notices[-1].text


def test_a_run_that_diverges_names_the_layer_and_cannot_go_on(bench: Bench, qtbot: QtBot) -> None:
    parameters = {k: v.copy() for k, v in bench.document.parameters.items()}
    parameters["linear1", "weight"][...] = 3e38
    bench.open(network(), "steep.gflow", parameters=parameters)
    with qtbot.waitSignal(bench.training.worker.failed, timeout=20_000):
        bench.training.start(SHORT, "digits")
    assert bench.notices[-1].level == "error"
    assert "It appeared first in the output of linear1." in bench.notices[-1].text
    assert not bench.training.place_of(bench.document.graph).exists()


def test_closing_keeps_what_was_reached_and_ends_the_process(bench: Bench, qtbot: QtBot) -> None:
    d, t = bench.document, bench.training
    before = d.parameters["linear1", "weight"].copy()
    t.start(LONG, "digits")
    t.start(LONG, "digits")
    assert bench.notices[-1].level == "info" and "under way" in bench.notices[-1].text
    qtbot.waitUntil(lambda: t.worker.parameters() is not None, timeout=20_000)
    child = t.worker.process_id
    t.close()
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    assert not np.array_equal(d.parameters["linear1", "weight"], before) and d.modified


def test_the_network_may_be_edited_meanwhile(bench: Bench, qtbot: QtBot) -> None:
    d, t = bench.document, bench.training
    t.start(LONG, "digits")
    bench.controller.adding.append_layer(ReLU())
    bench.controller.layers.change_layer("linear1", Linear(out_features=12))
    untouched = d.parameters["linear1", "weight"].copy()
    qtbot.waitUntil(lambda: t.worker.parameters() is not None, timeout=20_000)
    with qtbot.waitSignal(t.worker.finished, timeout=20_000):
        t.stop()
    assert np.array_equal(d.parameters["linear1", "weight"], untouched)
    bench.controller.undo()  # the layer as it was: nothing was lost, nothing mixed up
    assert d.inference.valid and d.run.error == ""


def test_another_project_ends_training_and_takes_nothing(bench: Bench, qtbot: QtBot) -> None:
    d, t = bench.document, bench.training
    t.start(LONG, "digits")
    qtbot.waitUntil(lambda: len(t.reports) > 0, timeout=20_000)
    child = t.worker.process_id
    ones = {k: np.ones_like(v) for k, v in d.parameters.items()}
    bench.open(network(), "twin.gflow", parameters=ones)
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    assert not t.worker.busy and t.reports == []
    assert all((v == 1).all() for v in d.parameters.values()) and not d.modified


def test_settings_stay_with_the_project(bench: Bench) -> None:
    bench.open(network(), "set.gflow", settings={"training": SHORT.as_dict(), "dataset": "shapes"})
    assert bench.training.last_settings == SHORT
    assert bench.training.last_dataset == "shapes"
    bench.open(network(), "odd.gflow", settings={"training": {"epochs": "many"}})
    assert bench.training.last_settings == SHORT


def test_a_network_with_an_error_is_not_trained(bench: Bench) -> None:
    bench.controller.layers.delete(["flatten1"])
    bench.training.start(SHORT, "digits")
    assert not bench.training.worker.busy
    assert bench.notices[-1].level == "error" and "linear1" in bench.notices[-1].text


def test_data_that_does_not_fit_is_an_error_that_changes_nothing(
    bench: Bench, qtbot: QtBot
) -> None:
    bench.open(network(classes=4), "four.gflow")
    parameters = bench.document.parameters
    with qtbot.waitSignal(bench.training.worker.failed, timeout=20_000):
        bench.training.start(SHORT, "digits")
    assert "expected at least 10 outputs" in bench.notices[-1].text
    assert bench.document.parameters is parameters and not bench.document.modified


def test_no_process_outlives_the_window(qtbot: QtBot, tmp_path: Path) -> None:
    from explorer.window import Window

    window = Window(Settings(tmp_path / "settings.json"))
    qtbot.addWidget(window)
    window.setAttribute(Qt.WidgetAttribute.WA_DontShowOnScreen)
    window.controller.projects.open_shipped("resnet-digits")
    window.show()
    window.training.start(LONG, "digits")
    window.use_workspace("train")  # the panel is made while training is under way
    qtbot.waitUntil(lambda: len(window.training.reports) > 1, timeout=20_000)
    child = window.training.worker.process_id
    assert window.training.worker.reporter_id == child != os.getpid()
    window.close()
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_reports_that_are_thinned_keep_each_validation_and_the_last() -> None:
    def report(step: int, validation: float | None) -> Report:
        return Report(step, 99, 1, 0.5, 0.5, validation, validation, 0.1, 10.0, 1.0)

    validations = [None] * 5 + [0.3] * 5 + [0.2] * 4
    reports = [report(i + 1, v) for i, v in enumerate(validations)]
    kept = [r.step for r in thinned(reports)]
    assert kept == [1, 3, 5, 6, 7, 9, 11, 13, 14]


def test_the_flow_of_each_run_is_kept_with_the_project(bench: Bench, qtbot: QtBot) -> None:
    t, d = bench.training, bench.document
    for _ in range(2):
        with qtbot.waitSignal(t.worker.finished, timeout=20_000):
            t.start(SHORT, "digits")
    assert [flow.title for flow in t.flows] == [
        "tiny, run 1: SGD, learning rate 0.1",
        "tiny, run 2: SGD, learning rate 0.1",
    ]
    for flow in t.flows:
        assert flow.names == ("image", "flatten1", "linear1")
        assert flow.steps[0] == 1 and len(flow.steps) > 5
        assert (flow.series("weight ratio")[2] > 0).all()
        # the same seed and weights to begin with are not the same: run 2 goes on with run 1's
    first, second = (flow.series("activation")[2, 0] for flow in t.flows)
    assert second > first
    reports = list(t.reports)
    assert bench.controller.projects.save(bench.folder / "trained.gflow")
    assert bench.controller.projects.finish()
    flows = t.flows
    bench.open(network(5), "other.gflow")
    assert t.flows == () and t.reports == [] and t.earlier_flows == flows
    bench.controller.projects.open(bench.folder / "trained.gflow")
    assert t.reports == reports
    assert [flow.title for flow in t.flows] == [flow.title for flow in flows]
    assert t.earlier_flows == ()  # they are these
    for mine, theirs in zip(flows, t.flows, strict=True):
        assert (mine.steps, mine.refs, mine.flags) == (theirs.steps, theirs.refs, theirs.flags)
        for a, b in zip(mine.numbers, theirs.numbers, strict=True):
            assert np.allclose(a, b, rtol=1e-6, equal_nan=True)
    bench.controller.layers.rename("linear1", "scores")
    assert t.flows[0].names[-1] == "scores"
    assert d.modified


def test_curves_of_another_program_are_left_out() -> None:
    report = Report(3, 9, 1, 0.5, 0.25, None, None, 0.1, 100.0, 1.0)
    other = Report(4, 9, 1, 0.4, 0.5, 0.75, 0.3, 0.1, 100.0, 1.0)
    plain = reports_to_plain([report, other])
    assert reports_from_plain(plain) == [report, other]
    assert reports_to_plain([]) == {}
    nan = reports_to_plain([dataclasses.replace(report, epoch=float("nan"))])
    half = reports_to_plain([dataclasses.replace(report, step=1.5)])
    for wrong in ({}, [], {**plain, "fields": []}, {**plain, "numbers": "AAAA"}, nan, half):
        assert reports_from_plain(wrong) == []
