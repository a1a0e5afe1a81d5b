"""Training that goes on in any workspace is seen in the status bar, and stopped there."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog
from pytestqt.qtbot import QtBot

from engine.training_flow import TrainingFlow
from explorer import theme
from explorer.settings import Settings
from explorer.window import Window


def test_it_is_seen_and_stopped_in_the_status_bar(
    qtbot: QtBot, qapp: QApplication, tmp_path: Path
) -> None:
    theme.apply(qapp)
    window = Window(Settings(tmp_path / "settings.json"))
    qtbot.addWidget(window)
    window.resize(1280, 720)
    window.controller.start(None)
    window.controller.projects.open_shipped("resnet-digits")
    window.use_workspace("learn")
    window.show()
    bar = window.status.training
    pause, stop = (window.actions_by_id[f"train.{name}"] for name in ("pause", "stop"))
    assert not bar.isVisible() and not pause.isEnabled() and not stop.isEnabled()
    window.actions_by_id["train.start"].trigger()
    assert stop.isEnabled()
    qtbot.waitUntil(bar.isVisible, timeout=60_000)
    qtbot.waitUntil(lambda: bar.bar.value() > 0, timeout=60_000)
    assert bar.label.text().startswith("Training: ")
    QTest.mouseClick(bar.cancel, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not window.training.worker.busy, timeout=60_000)
    assert not bar.isVisible() and not pause.isEnabled() and not stop.isEnabled()
    window.close()


def test_the_flow_is_drawn_while_it_trains_and_is_there_tomorrow(
    qtbot: QtBot, qapp: QApplication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theme.apply(qapp)
    window = Window(Settings(tmp_path / "settings.json"))
    qtbot.addWidget(window)
    window.resize(1280, 720)
    window.controller.start(None)
    window.controller.projects.open_shipped("resnet-digits")
    window.show()
    window.use_workspace("flow")
    panel = window.panel("flow")
    QTest.mouseClick(panel.training_mode, Qt.MouseButton.LeftButton)
    assert panel.go.isVisible() and panel.map.runs == ()
    QTest.mouseClick(panel.go, Qt.MouseButton.LeftButton)  # Train
    qtbot.waitUntil(lambda: bool(panel.map.runs), timeout=60_000)
    assert window.training.worker.busy and not panel.go.isVisible()
    assert panel.map.runs[0].refs == TrainingFlow.of(window.document.graph, "").refs
    window.actions_by_id["train.stop"].trigger()
    qtbot.waitUntil(lambda: not window.training.worker.busy, timeout=60_000)
    window.controller.select({window.document.graph.nodes[0].id})
    window.answers.watch()
    assert len(window.watches.lines) == 1 and window.document.modified

    path = tmp_path / "plot.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), "Table (*.csv)"))
    qtbot.waitUntil(panel.save.isEnabled)
    QTest.mouseClick(panel.save, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "Saved plot.csv." in window.notices.text, timeout=10_000)
    assert path.read_text().startswith("run,step,tensor,value_norm,")

    run, lines = window.training.flows[-1], dict(window.watches.lines)
    assert window.controller.projects.save(tmp_path / "trained.gflow")
    assert window.controller.projects.finish()
    window.controller.projects.open_shipped("lenet5")
    assert window.watches.lines == {} and panel.map.runs == ()
    assert panel.beside.findText(run.title) >= 0  # to compare with, also from another network
    window.controller.projects.open(tmp_path / "trained.gflow")
    assert [flow.steps for flow in window.training.flows] == [run.steps]
    assert panel.map.runs[0].title == run.title
    assert set(window.watches.lines) == set(lines)
    window.close()
