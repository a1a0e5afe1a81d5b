"""What if an input of an Add counted otherwise: sliders and mutes ask for factors."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from explorer.panels.gains import GainsBox


@pytest.fixture
def asked() -> list[tuple[str, int, float]]:
    return []


@pytest.fixture
def box(qtbot: QtBot, ran: Any, asked: list[Any]) -> GainsBox:
    box = GainsBox()
    qtbot.addWidget(box)
    box.resize(360, 120)
    gains: dict[tuple[str, int], float] = {}

    def answer(node: str, slot: int, gain: float) -> None:
        asked.append((node, slot, gain))
        gains[node, slot] = gain
        box.set_join(ran.graph, node, gains)

    box.gain_requested.connect(answer)
    box.set_join(ran.graph, "block/add", gains)
    return box


def test_only_a_join_has_them(box: GainsBox, ran: Any) -> None:
    assert box.isVisible() and set(box.sliders) == {0, 1}
    assert [box.labels[i].text() for i in (0, 1)] == ["× 1", "× 1"]
    assert "branch" in box.sliders[0].accessibleName()
    assert "skip" in box.sliders[1].accessibleName()
    for other in ("fc", "image", "loss", ""):
        box.set_join(ran.graph, other, {})
        assert not box.isVisible()


def test_a_slider_asks_for_its_factor(box: GainsBox, asked: list[Any]) -> None:
    slider = box.sliders[1]
    slider.setFocus()
    QTest.keyClick(slider, Qt.Key.Key_PageDown)
    QTest.keyClick(slider, Qt.Key.Key_PageDown)
    assert asked == [("block/add", 1, 0.75), ("block/add", 1, 0.5)]
    assert box.labels[1].text() == "× 0.5" and not box.mutes[1].isChecked()
    QTest.keyClick(slider, Qt.Key.Key_End)
    assert asked[-1][2] == 2.0


def test_a_mute_comes_back_to_what_was(box: GainsBox, asked: list[Any]) -> None:
    box.sliders[0].setValue(30)
    QTest.mouseClick(box.mutes[0], Qt.MouseButton.LeftButton)
    assert asked[-1] == ("block/add", 0, 0.0) and box.mutes[0].isChecked()
    QTest.mouseClick(box.mutes[0], Qt.MouseButton.LeftButton)
    assert asked[-1] == ("block/add", 0, 1.5) and not box.mutes[0].isChecked()
    box.sliders[1].setValue(0)
    assert box.mutes[1].isChecked()  # however it became nothing
    QTest.mouseClick(box.mutes[1], Qt.MouseButton.LeftButton)
    assert asked[-1] == ("block/add", 1, 1.0)
