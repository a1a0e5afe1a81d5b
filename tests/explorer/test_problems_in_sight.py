"""In a low window the first problem is read without scrolling."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, QRect
from PySide6.QtWidgets import QApplication, QPushButton
from pytestqt.qtbot import QtBot

from engine.layers.base import Layer
from engine.layers.conv2d import Conv2d
from engine.layers.linear import Linear
from explorer import theme
from explorer.panels import Problems
from explorer.settings import Settings
from explorer.window import Window


@pytest.mark.parametrize(("layer", "after"), [(Conv2d(8), ""), (Linear(8), "conv1")], ids=str)
def test_a_whole_card_is_in_sight(
    qtbot: QtBot, qapp: QApplication, tmp_path: Path, layer: Layer, after: str
) -> None:
    theme.apply(qapp)
    window = Window(Settings(tmp_path / "settings.json"))
    qtbot.addWidget(window)
    window.resize(1280, 720)
    window.show()
    window.controller.start(None)
    window.use_workspace("build")
    window.controller.select({after} if after else set())
    window.controller.adding.append_layer(layer)
    panel = window.panel("problems")
    assert isinstance(panel, Problems)
    window.answers.show_panel("problems")
    qtbot.waitUntil(lambda: panel.count > 0)

    def seen() -> bool:
        card = next(iter(panel.cards.values()))
        place = QRect(card.mapTo(panel.viewport(), QPoint()), card.size())
        return panel.viewport().rect().contains(place)

    qtbot.waitUntil(seen, timeout=2000)
    buttons = next(iter(panel.cards.values())).findChildren(QPushButton)
    assert bool(buttons) == bool(after), "of the two cards one has a button"
    window.close()
