"""The box that runs every command by its name, driven by keys and clicks."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from engine.layers.conv2d import Conv2d
from engine.layers.linear import Linear
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.relu import ReLU
from explorer import theme
from explorer.command_box import CommandBox
from explorer.commands import COMMANDS, Actions

Key = Qt.Key


@pytest.fixture
def ran() -> list[str]:
    return []


@pytest.fixture
def host(qtbot: QtBot) -> QWidget:
    host = QWidget()
    qtbot.addWidget(host)
    host.resize(900, 600)
    host.show()
    return host


@pytest.fixture
def actions(host: QWidget, ran: list[str]) -> Actions:
    return Actions(host, {c.id: partial(ran.append, c.id) for c in COMMANDS})


@pytest.fixture
def box(host: QWidget, actions: Actions, qtbot: QtBot) -> CommandBox:
    box = CommandBox(actions, host)
    box.open_over(host)
    qtbot.waitUntil(box.isVisible, timeout=1000)
    return box


def ids(box: CommandBox) -> list[str]:
    return [box.list.item(i).data(Qt.ItemDataRole.UserRole) for i in range(box.list.count())]


def test_it_lists_every_command_at_first(box: CommandBox) -> None:
    assert sorted(ids(box)) == sorted(c.id for c in COMMANDS)
    assert box.list.currentRow() == 0


def test_typing_leaves_the_commands_with_all_words(box: CommandBox, ran: list[str]) -> None:
    QTest.keyClicks(box.line, "picture open")
    assert ids(box) == ["sample.open"]
    QTest.keyClick(box.line, Key.Key_Return)
    assert ran == ["sample.open"]
    assert not box.isVisible()


def test_a_command_that_begins_with_the_text_comes_first(box: CommandBox) -> None:
    QTest.keyClicks(box.line, "STEP")
    assert ids(box)[0] == "view.step"
    QTest.keyClick(box.line, Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    QTest.keyClicks(box.line, "open")
    found = ids(box)
    names = [next(c.text for c in COMMANDS if c.id == i) for i in found]
    first_without = next(i for i, n in enumerate([*names, ""]) if not n.lower().startswith("open"))
    assert first_without >= 3
    assert all(not n.lower().startswith("open") for n in names[first_without:])


def test_up_and_down_choose_and_stay_in_the_list(box: CommandBox, ran: list[str]) -> None:
    QTest.keyClicks(box.line, "zoom")
    assert len(ids(box)) == 2
    QTest.keyClick(box.line, Key.Key_Up)
    assert box.list.currentRow() == 0
    for _ in range(3):
        QTest.keyClick(box.line, Key.Key_Down)
    assert box.list.currentRow() == 1
    wanted = ids(box)[1]
    QTest.keyClick(box.line, Key.Key_Return)
    assert ran == [wanted]


def test_a_click_runs_a_command(box: CommandBox, ran: list[str]) -> None:
    QTest.keyClicks(box.line, "fit")
    rect = box.list.visualItemRect(box.list.item(0))
    wanted = ids(box)[0]
    QTest.mouseClick(box.list.viewport(), Qt.MouseButton.LeftButton, pos=rect.center())
    assert ran == [wanted] and not box.isVisible()


def test_what_cannot_be_done_now_is_not_listed(host: QWidget, actions: Actions) -> None:
    actions["edit.undo"].setEnabled(False)
    box = CommandBox(actions, host)
    assert "edit.undo" not in ids(box) and "edit.redo" in ids(box)


def test_nothing_found_runs_nothing(box: CommandBox, ran: list[str]) -> None:
    QTest.keyClicks(box.line, "no such command")
    assert ids(box) == []
    QTest.keyClick(box.line, Key.Key_Down)
    QTest.keyClick(box.line, Key.Key_Return)
    assert ran == [] and box.isVisible()


def test_escape_closes_it(box: CommandBox, ran: list[str]) -> None:
    QTest.keyClick(box.line, Key.Key_Escape)
    assert not box.isVisible() and ran == []


def test_a_command_shows_its_key(box: CommandBox) -> None:
    QTest.keyClicks(box.line, "select all")
    assert box.list.item(0).text().endswith("Ctrl+A")


def test_it_stands_over_the_middle_of_the_canvas(box: CommandBox, host: QWidget) -> None:
    centre = host.mapFromGlobal(box.geometry().center())
    assert abs(centre.x() - host.width() // 2) <= 1
    assert host.rect().contains(host.mapFromGlobal(box.geometry().topLeft()))


class TestLayersAndPlaces:
    """What is typed besides commands."""

    @pytest.fixture
    def asked(self, host: QWidget, actions: Actions, qtbot: QtBot) -> tuple[CommandBox, list[Any]]:
        box = CommandBox(actions, host, ("conv1", "fc1"))
        found: list[Any] = []
        box.layer_requested.connect(found.append)
        box.node_requested.connect(found.append)
        box.open_over(host)
        qtbot.waitUntil(box.isVisible, timeout=1000)
        return box, found

    def test_a_network_is_typed_line_by_line(self, asked: tuple[CommandBox, list[Any]]) -> None:
        box, found = asked
        for line in ("conv 6 5x5 same", "relu", "pool", "fc 10"):
            QTest.keyClicks(box.line, line)
            QTest.keyClick(box.line, Key.Key_Return)
            assert box.isVisible() and box.line.text() == ""
        assert found == [
            Conv2d(6, 5, padding=2),
            ReLU(),
            MaxPool2d(),
            Linear(10),
        ]

    def test_goto_closes_the_box(self, asked: tuple[CommandBox, list[Any]]) -> None:
        box, found = asked
        QTest.keyClicks(box.line, "goto fc")
        QTest.keyClick(box.line, Key.Key_Return)
        assert found == ["fc1"] and not box.isVisible()

    def test_what_cannot_be_read_is_shown_and_does_nothing(
        self, asked: tuple[CommandBox, list[Any]], ran: list[str]
    ) -> None:
        box, found = asked
        QTest.keyClicks(box.line, "conv blue")
        assert "'blue'" in box.list.item(0).text()
        QTest.keyClick(box.line, Key.Key_Return)
        assert box.isVisible() and not found and not ran

    def test_a_command_is_stronger_than_the_beginning_of_a_layer(
        self, asked: tuple[CommandBox, list[Any]], ran: list[str]
    ) -> None:
        box, found = asked
        QTest.keyClicks(box.line, "train")
        QTest.keyClick(box.line, Key.Key_Return)
        assert len(ran) == 1 and ran[0] in ("view.train", "train.start") and not found


def test_tab_completes_and_an_own_block_is_added(
    host: QWidget, actions: Actions, qtbot: QtBot
) -> None:
    box = CommandBox(actions, host, (), {"my stem": 16})
    box.open_over(host)
    asked: list[tuple[str, float]] = []
    box.own_block_requested.connect(lambda name, factor: asked.append((name, factor)))
    QTest.keyClicks(box.line, "my")
    QTest.keyClick(box.line, Key.Key_Tab)
    assert box.line.text() == "my stem " and box.line.hasFocus()
    QTest.keyClicks(box.line, "32")
    assert box.list.item(0).text() == "Add your block my stem, channels 32"
    QTest.keyClick(box.line, Key.Key_Return)
    assert asked == [("my stem", 2.0)] and box.isVisible() and box.line.text() == ""
    QTest.keyClicks(box.line, "bottlen")
    QTest.keyClick(box.line, Key.Key_Tab)
    assert box.line.text() == "bottleneck block "
    box.line.clear()
    QTest.keyClicks(box.line, "fit")
    QTest.keyClick(box.line, Key.Key_Tab)
    assert box.line.text().lower().startswith("fit")
    box.close()


def test_rows_have_one_height_and_keys_end_at_the_right(
    box: CommandBox, qapp: QApplication
) -> None:
    """Also rows without an icon: their names begin below those of the others."""
    theme.apply(qapp)
    QTest.keyClicks(box.line, "o")
    rows = [box.list.visualItemRect(box.list.item(i)) for i in range(box.list.count())]
    assert {row.height() for row in rows} == {theme.metrics().control_height}
    box.list.setCurrentRow(-1)
    image = box.list.viewport().grab().toImage()

    def ink(i: int) -> list[int]:
        """Columns of a row that are not its background."""
        row = rows[i]
        plain = image.pixel(row.right() - 1, row.top() + 3)
        ys = range(row.top() + 3, row.bottom() - 2)
        return [x for x in range(image.width()) if any(image.pixel(x, y) != plain for y in ys)]

    seen = [i for i, row in enumerate(rows) if row.bottom() < image.height()]
    bare = [i for i in seen if box.list.item(i).icon().isNull()]
    drawn = [i for i in seen if i not in bare]
    keyed = [i for i in seen if "\t" in box.list.item(i).text()]
    assert bare and drawn and len(keyed) > 1
    gap = 2 * theme.metrics().space_1
    names = min(ink(i)[0] for i in bare)
    assert names > theme.metrics().icon_small, "names stand where icons do"
    for i in drawn:
        assert any(names - 3 <= x <= names + 3 for x in ink(i)) and ink(i)[0] < names - gap
    for i in keyed:
        assert rows[i].right() - gap - 4 <= ink(i)[-1] <= rows[i].right() - gap + 1
