"""Training and export as the window sees them: weights that come, notices, and no process left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from engine.data.digits import digits
from engine.graph import Graph, Input, Loss, Node
from engine.layers.flatten import Flatten
from engine.layers.linear import Linear
from engine.layers.relu import ReLU
from engine.losses import CrossEntropy
from engine.optimizers import SGD
from engine.project_file import Project, save
from engine.train import Report, TrainSettings, evaluate
from explorer.controller import Controller, Notice
from explorer.document import Document
from explorer.settings import Settings
from explorer.training_session import TrainingSession, thinned

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
    bench.controller.append_layer(ReLU())
    bench.controller.change_layer("linear1", Linear(out_features=12))
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
    bench.controller.delete(["flatten1"])
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


def test_an_export_is_written_beside_the_window(bench: Bench, qtbot: QtBot) -> None:
    path = bench.folder / "net.onnx"
    with qtbot.waitSignal(bench.training.exporter.finished, timeout=20_000):
        bench.training.export(path)
        bench.training.export(path)
        assert "under way" in bench.notices[-1].text
    assert path.stat().st_size > 64 * 10 * 4
    assert bench.notices[-1] == Notice("success", "Exported net.onnx.")


def test_an_export_that_cannot_be_is_said(bench: Bench, qtbot: QtBot) -> None:
    with qtbot.waitSignal(bench.training.exporter.failed, timeout=20_000):
        bench.training.export(bench.folder / "no" / "net.onnx")
    assert bench.notices[-1].level == "error" and "net.onnx" in bench.notices[-1].text
    bench.controller.delete(["flatten1"])
    bench.training.export(bench.folder / "net.onnx")
    assert "Mend the network before exporting" in bench.notices[-1].text


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
