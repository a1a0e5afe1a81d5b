"""Training that goes on in any workspace is seen in the status bar, and stopped there."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

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
