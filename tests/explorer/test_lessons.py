"""The lessons: every button does what it says, and every number is that of the run."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from engine.cell import Cell
from engine.losses import softmax
from engine.paths import path_parts
from explorer import theme
from explorer.lessons import LESSONS
from explorer.narration import percent
from explorer.panels import LessonsPanel, PathsPanel
from explorer.settings import Settings
from explorer.tensors.scales import format_number
from explorer.window import Window

IDS = [lesson.id for lesson in LESSONS]


@pytest.fixture(scope="module")
def window(qapp: QApplication, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    """One window for all pages, as for a reader."""
    folder = tmp_path_factory.mktemp("lessons")
    theme.apply(qapp)
    window = Window(Settings(folder / "settings.json"))
    window.resize(1280, 720)
    window.controller.projects.unsaved.path = folder / "unsaved.gflow"
    window.controller.start(None)
    window.show()
    window.use_workspace("learn")
    window.settings.set("predict", "never")
    yield window
    window.close()
    window.deleteLater()


def panel_of(window: Window) -> LessonsPanel:
    panel = window.panel("lessons")
    assert isinstance(panel, LessonsPanel)
    return panel


def turn_to(window: Window, lesson: str) -> LessonsPanel:
    window.lessons.go_to(IDS.index(lesson))
    QApplication.processEvents()
    return panel_of(window)


def press(window: Window, qtbot: QtBot, number: int) -> None:
    """Press a button of the page, and wait until its network is there and has run."""
    panel = panel_of(window)
    panel.area.ensureWidgetVisible(panel.doings[number])
    QTest.mouseClick(panel.doings[number], Qt.MouseButton.LeftButton)
    d = window.document
    qtbot.waitUntil(lambda: window.lessons.here and d.run is not None, timeout=10_000)
    QApplication.processEvents()
    QApplication.processEvents()


class TestTable:
    def test_ids_and_titles_are_their_own(self) -> None:
        assert len(set(IDS)) == len({lesson.title for lesson in LESSONS}) == len(LESSONS)

    def test_a_page_is_short(self) -> None:
        for lesson in LESSONS:
            sentences = sum(text.count(". ") + text.count("? ") + 1 for text in lesson.text)
            assert 2 <= sentences <= 8, lesson.id
            assert lesson.doings, lesson.id


@pytest.mark.parametrize("lesson", IDS)
def test_every_button_works_and_the_page_has_its_numbers(
    window: Window, qtbot: QtBot, lesson: str
) -> None:
    """In turn, as a reader presses them; at the end the page has something to say of the run."""
    notices: list[str] = []
    window.controller.notice.connect(
        lambda n: notices.append(n.text) if n.level in ("error", "warning") else None
    )
    panel = turn_to(window, lesson)
    found = LESSONS[IDS.index(lesson)]
    for number, doing in enumerate(found.doings):
        if doing.args == ("sample.draw",):
            continue
        press(window, qtbot, number)
        if doing.act == "step":
            phase, node = doing.args
            d = window.document
            qtbot.waitUntil(lambda d=d: d.step is not None and not window.lessons.waiting)
            assert d.step is not None and (d.step.phase, d.step.node) == (phase, node)
            assert window.document.selection == {node}
        elif doing.act == "cell":
            qtbot.waitUntil(lambda: not window.lessons.waiting)
            place = window.controller.asking.place
            assert place is not None and place.direction == doing.args[1]
            assert doing.args[0] in (None, place.source)
        elif doing.act == "gain":
            gain = doing.args[2]
            qtbot.waitUntil(lambda a=doing.args, g=gain: window.document.gains.get(a[:2]) == g)
        window.use_workspace("learn")
    qtbot.waitUntil(lambda: panel.fact.text() == window.lessons.page.fact != "", timeout=10_000)
    assert panel.fact_title.text() == "In this run"
    assert notices == []


def test_nothing_from_after_the_cursor_is_told(window: Window, qtbot: QtBot) -> None:
    window.controller.projects.open_shipped("resnet-digits")
    panel = turn_to(window, "routed")
    qtbot.waitUntil(lambda: panel.fact_title.text() == "Another network is open")
    press(window, qtbot, 0)
    qtbot.waitUntil(lambda: "of pool1" in panel.fact.text())
    window.controller.stepping.to_start()
    qtbot.waitUntil(lambda: panel.fact_title.text() == "Its numbers appear here")


def test_which_cell_got_the_gradient_and_how_much(window: Window, qtbot: QtBot) -> None:
    panel = turn_to(window, "routed")
    press(window, qtbot, 0)
    press(window, qtbot, 1)
    trace = window.document.trace
    assert trace is not None
    dy, dx = trace.look("grad", ("pool1", 0)), trace.look("grad", ("relu1", 0))
    assert dy is not None and dx is not None
    focus = window.document.focus
    assert focus is not None and focus.node == "pool1"
    index = focus.index
    assert abs(dy[0][index]) == np.abs(dy[0]).max()
    window_of = dx[0, index[0], 2 * index[1] : 2 * index[1] + 2, 2 * index[2] : 2 * index[2] + 2]
    assert np.count_nonzero(window_of) == 1 and window_of.sum() == dy[0][index]
    row, column = np.argwhere(window_of)[0]
    text = panel.fact.text()
    assert text.startswith(
        f"The gradient {format_number(float(dy[0][index]))} of pool1 {list(index)} went to "
        f"row {2 * index[1] + row}, column {2 * index[2] + column} of relu1"
    )
    x = trace.look("value", ("relu1", 0))
    assert x is not None
    seen = x[0, index[0], 2 * index[1] : 2 * index[1] + 2, 2 * index[2] : 2 * index[2] + 2]
    equal = int((seen == seen.max()).sum())
    winner = f"the first of {equal} equally large ones" if equal > 1 else "the largest of its"
    assert winner in text
    assert f"{int((dx == 0).sum()):,} of {dx.size:,} cells" in text
    assert focus == Cell("pool1", 0, index)


def test_how_much_came_through_the_skips_alone(window: Window, qtbot: QtBot) -> None:
    panel = turn_to(window, "paths")
    press(window, qtbot, 0)
    press(window, qtbot, 1)
    qtbot.waitUntil(lambda: panel.fact.text().startswith("At stage1/block1"), timeout=10_000)
    d = window.document
    parts = path_parts(
        d.graph,
        d.parameters,
        {"image": np.asarray(d.x)[None]},
        {"loss": np.array([d.run.target])},  # type: ignore[union-attr]
    )
    shares = parts[1].shares
    first = f"−{percent(-shares[0])}" if shares[0] < 0 else percent(shares[0])
    assert "there are 8 paths" in panel.fact.text()
    assert f"Through skips only came {first} of the gradient" in panel.fact.text()
    beside = window.panel("paths")
    assert isinstance(beside, PathsPanel) and beside.isVisible()
    assert beside.shown is not None and beside.shown.shares == pytest.approx(shares)
    turn_to(window, "local")
    press(window, qtbot, 3)  # brings another panel: this one goes, so that tabs stay few
    assert window.docks["paths"].isHidden() and not window.docks["field"].isHidden()
    press(window, qtbot, 0)
    assert not window.panel("inspector").visibleRegion().isEmpty()


def test_why_75_percent_are_zero(window: Window, qtbot: QtBot) -> None:
    panel = turn_to(window, "stride")
    press(window, qtbot, 0)
    qtbot.waitUntil(lambda: panel.fact.text().startswith("12 of 16 cells (75%)"))
    gradient = window.document.trace.look("grad", ("image", 0))  # type: ignore[union-attr]
    assert gradient is not None and int((gradient == 0).sum()) == 12


def test_the_articles_windows(window: Window, qtbot: QtBot) -> None:
    for lesson, back in (("max-window", "0 0 / 0 1"), ("average-window", "0.25 0.25 / 0.25 0.25")):
        panel = turn_to(window, lesson)
        press(window, qtbot, 0)
        y = "4" if lesson == "max-window" else "2.5"
        qtbot.waitUntil(lambda p=panel, y=y: p.fact.text() == f"1 3 / 2 4 → {y}.")
        press(window, qtbot, 1)
        qtbot.waitUntil(lambda p=panel, b=back: p.fact.text().endswith(f"came back as {b}."))


def test_a_what_if_is_told_with_what_it_changes(window: Window, qtbot: QtBot) -> None:
    panel = turn_to(window, "muted")
    press(window, qtbot, 2)
    qtbot.waitUntil(lambda: panel.fact.text().startswith("As it is, "))
    before = panel.fact.text()
    press(window, qtbot, 1)
    press(window, qtbot, 2)
    qtbot.waitUntil(lambda: panel.fact.text().startswith("With the branch of stage1/block1 × 0, "))
    d = window.document
    scores = d.trace.look("value", ("fc", 0))  # type: ignore[union-attr]
    share = float(softmax(scores)[0].max())  # type: ignore[arg-type]
    assert (
        percent(share) in panel.fact.text() and before.partition(", ")[2] not in panel.fact.text()
    )


def test_pages_are_turned_and_the_next_start_goes_on(window: Window) -> None:
    window.controller.projects.open_shipped("lenet5")
    panel = turn_to(window, IDS[0])
    assert panel.place.text() == f"1 of {len(LESSONS)}" and not panel.earlier.isEnabled()
    QTest.mouseClick(panel.later, Qt.MouseButton.LeftButton)
    assert panel.chooser.currentIndex() == 1 and panel.earlier.isEnabled()
    panel.chooser.setFocus()
    QTest.keyClick(panel.chooser, Qt.Key.Key_End)
    assert window.lessons.lesson is LESSONS[-1] and not panel.later.isEnabled()
    assert Settings(window.settings.path)["lesson"] == LESSONS[-1].id
    QTest.mouseClick(panel.earlier, Qt.MouseButton.LeftButton)
    assert window.lessons.lesson is LESSONS[-2]
    assert window.document.graph.name == "LeNet-5"  # reading opens nothing


def test_every_text_fits_a_small_window(window: Window) -> None:
    """No button cuts its words, and the numbers stay in sight."""
    for number in range(len(LESSONS)):
        window.lessons.go_to(number)
        for _ in range(3):
            QApplication.processEvents()
        panel = panel_of(window)
        for button in panel.doings:
            assert button.height() >= button.sizeHint().height()
            assert button.width() <= panel.area.viewport().width()
        assert not panel.fact_card.visibleRegion().isEmpty()
        title = panel.chooser.currentText()
        room = panel.chooser.width() - 2 * panel.chooser.height() // 2
        assert panel.chooser.fontMetrics().horizontalAdvance(title) < room, title
