"""A picture of the network from the window: written beside its work, and said."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from explorer import theme
from explorer.settings import Settings
from explorer.window import Window


@pytest.mark.parametrize("name", ["net.png", "net.svg"])
def test_saved_and_said(qtbot: QtBot, qapp: QApplication, tmp_path: Path, name: str) -> None:
    theme.apply(qapp)
    window = Window(Settings(tmp_path / "settings.json"))
    qtbot.addWidget(window)
    window.controller.start(None)
    window.show()
    path = tmp_path / name
    window.files.write_network_picture(path)
    qtbot.waitUntil(path.exists, timeout=10_000)
    qtbot.waitUntil(lambda: f"Saved {name}." in window.notices.text, timeout=10_000)
    if name == "net.png":
        assert QImage(str(path)).width() > 1000
    window.files.write_network_picture(tmp_path / "missing" / name)
    qtbot.waitUntil(lambda: "expected the folder" in window.notices.text, timeout=10_000)
    window.close()
