"""What the property panel says of one thing, of several, and of the whole network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication, QLabel
from pytestqt.qtbot import QtBot

from explorer import theme
from explorer.settings import Settings
from explorer.window import Window


@pytest.fixture
def window(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> Iterator[Window]:
    theme.apply(qapp)
    window = Window(Settings(tmp_path / "settings.json"))
    qtbot.addWidget(window)
    window.resize(1280, 720)
    window.controller.start(None)
    window.show()
    window.use_workspace("build")
    qtbot.waitUntil(window.properties.isVisible)
    yield window
    window.close()


def said(window: Window) -> str:
    labels = window.properties.widget().findChildren(QLabel)
    return "\n".join(label.text() for label in labels)


def row(name: str, value: str) -> str:
    return f">{name}</td><td>{value}</td>"


def test_nothing_selected_says_how_large_the_network_is(window: Window) -> None:
    words = said(window)
    assert "Select a layer to see and change its settings." in words
    for name, value in (
        ("Layers", "12"),
        ("Input", "1×28×28"),
        ("Output", "10"),
        ("Parameters", "61,706"),
        ("Multiply-adds", "416,520"),
        ("Classes", "10"),
    ):
        assert row(name, value) in words
    window.controller.layers.delete({"fc3"})
    assert row("Layers", "11") in said(window)
    assert row("Parameters", "60,856") in said(window)


def test_several_selected_are_counted(window: Window) -> None:
    window.controller.select({"conv1", "relu1", "conv2", "loss"})
    words = said(window)
    assert "4 selected" in words and "one layer at a time" in words
    assert row("Layers", "3") in words and row("Parameters", "2,572") in words
    window.controller.select({"conv1"})
    assert "selected" not in said(window) and window.properties.fields
    window.controller.select(set())
    assert "The network" in said(window)


def test_an_empty_network_asks_for_a_selection(window: Window) -> None:
    window.controller.projects.new()
    assert said(window) == "Select a layer to see and change its settings."
