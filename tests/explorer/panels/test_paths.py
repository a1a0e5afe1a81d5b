"""Bars of the gradient by the number of branches crossed, beside the number of paths."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from engine.paths import PathParts
from explorer import theme
from explorer.panels import PathsPanel


def made(block: str, rows: Sequence[Sequence[float]], counts: tuple[int, ...]) -> PathParts:
    return PathParts.of((f"{block}/in", 0), block, np.array(rows, float), counts)


ONE = made("stage1", [[1.0, 0.0], [2.0, 1.0], [-0.5, 0.0]], (1, 2, 1))
TWO = made("stage2", [[3.0, 0.0], [1.0, 0.0]], (1, 1))


@pytest.fixture
def panel(qtbot: QtBot) -> PathsPanel:
    theme.set_mode("light")
    panel = PathsPanel()
    qtbot.addWidget(panel)
    panel.resize(380, 420)
    panel.show()
    return panel


def test_without_parts_the_note_says_why(panel: PathsPanel) -> None:
    panel.set_parts((), "This network has no skip.")
    assert panel.empty.isVisible() and panel.empty.text() == "This network has no skip."
    assert not panel.block.isVisible() and not panel.area.isVisible()


def test_bars_are_as_long_as_their_numbers(panel: PathsPanel) -> None:
    panel.set_parts((ONE, TWO))
    bars = panel.bars
    shares = ONE.shares
    assert sum(shares) == pytest.approx(1.0) and shares[2] < 0
    widths = [bars.share_rect(k).width() for k in range(3)]
    assert widths[1] / widths[0] == pytest.approx(shares[1] / shares[0])
    assert bars.share_rect(2).right() == pytest.approx(bars.share_rect(0).left())  # below zero
    assert bars.count_rect(1).width() == pytest.approx(2 * bars.count_rect(0).width())
    assert "1 branches: 2 paths, share " in bars.text() and "share −" in bars.text()
    assert "crossed 1 of 2 branches" in panel.sentence.text()


def test_pixels_skips_are_striped_and_branches_plain(panel: PathsPanel) -> None:
    panel.set_parts((TWO,))
    QApplication.processEvents()
    image = panel.bars.grab().toImage()

    def colours(k: int) -> list[QColor]:
        rect = panel.bars.share_rect(k).toAlignedRect().adjusted(3, 3, -3, -3)
        return [
            image.pixelColor(QPoint(x, y))
            for x in range(rect.left(), rect.right())
            for y in range(rect.top(), rect.bottom())
        ]

    skip, branch = colours(0), colours(1)
    assert len({c.rgb() for c in skip}) > 1 and len({c.rgb() for c in branch}) == 1
    assert branch[0].red() > branch[0].green()  # the colour of the branch
    assert min(c.green() for c in skip) > min(c.red() for c in skip)  # that of the skip


def test_the_block_is_chosen_here_or_by_a_selection(panel: PathsPanel) -> None:
    asked: list[object] = []
    panel.select_requested.connect(asked.append)
    panel.set_parts((ONE, TWO))
    panel.set_selection(frozenset({"stage2/conv1"}))
    assert panel.shown is TWO and asked == []
    assert "Most of it, 75%, came through skips only" in panel.sentence.text()
    panel.block.setFocus()
    QTest.keyClick(panel.block, Qt.Key.Key_Up)
    assert panel.shown is ONE and asked == [frozenset({"stage1/in"})]
    panel.set_parts((TWO,))
    assert panel.shown is TWO


def test_a_zero_gradient_has_no_shares(panel: PathsPanel) -> None:
    panel.set_parts((made("flat", [[0.0], [0.0]], (1, 1)),))
    assert panel.bars.share_rect(0).width() == 0
    panel.grab()
    panel.set_parts((made("wild", [[np.nan], [1.0]], (1, 1)),))
    assert "NaN" in panel.bars.text()
    panel.grab()


class TestWork:
    def test_an_offer_says_what_it_takes_and_asks(self, panel: PathsPanel) -> None:
        asked: list[str] = []
        panel.begin_requested.connect(lambda: asked.append("begin"))
        panel.cancel_requested.connect(lambda: asked.append("cancel"))
        panel.set_work("54 joins: 16,208 million multiply-adds")
        work = panel.work
        assert work.isVisible() and work.begin.isVisible() and not work.cancel.isVisible()
        assert work.label.text() == "54 joins: 16,208 million multiply-adds"
        assert not panel.empty.isVisible()
        QTest.mouseClick(work.begin, Qt.MouseButton.LeftButton)
        panel.set_work("54 joins", 400)
        assert not work.begin.isVisible() and work.bar.isVisible() and work.bar.value() == 400
        QTest.mouseClick(work.cancel, Qt.MouseButton.LeftButton)
        assert asked == ["begin", "cancel"]

    def test_it_goes_when_the_parts_are_there(self, panel: PathsPanel) -> None:
        panel.set_work("54 joins", 900)
        panel.set_parts((ONE,))
        panel.set_work("")
        assert not panel.work.isVisible() and panel.area.isVisible()
        panel.set_parts((), "no skip")
        assert panel.empty.isVisible()


def test_many_paths_stay_readable(panel: PathsPanel) -> None:
    """1,946,939,425,648,112 ways through 27 of 54 blocks: no bar or number leaves the panel."""
    counts = tuple(math.comb(54, k) for k in range(55))
    panel.set_parts((made("deep", np.full((55, 1), 1 / 55).tolist(), counts),))
    bars = panel.bars
    middle, right = bars.count_rect(27), bars.share_rect(27)
    assert middle.right() + bars.fontMetrics().horizontalAdvance("1.95e15") < right.left()
    assert right.right() < bars.width()
    assert "1,946,939,425,648,112 paths" in bars.text()
