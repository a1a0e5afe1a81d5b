"""The run as a file: reopened for looking and stepping, as a table, as an animated GIF."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog, QMenu
from pytestqt.qtbot import QtBot

from engine import recording
from engine.cell import Cell
from engine.explain import Place
from explorer import animation, theme
from explorer.panels import CellPanel
from explorer.run import Replay
from explorer.settings import Settings
from explorer.window import Window


@pytest.fixture
def window(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> Iterator[Window]:
    theme.apply(qapp)
    window = Window(Settings(tmp_path / "settings.json"))
    qtbot.addWidget(window)
    window.resize(1280, 800)
    window.controller.start(None)
    window.show()
    yield window
    window.close()


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """What the user chooses in the next dialog."""

    def choose(path: Path) -> None:
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a, **k: (str(path), ""))
        monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a, **k: (str(path), ""))

    return choose


def complete(window: Window, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: window.document.run is not None and window.document.run.complete)


def save_run(window: Window, qtbot: QtBot, path: Path) -> None:
    complete(window, qtbot)
    window.actions_by_id["file.save_run"].trigger()
    qtbot.waitUntil(path.exists, timeout=30_000)
    qtbot.waitUntil(lambda: window.notices.text.startswith("Saved"))


def reopened(window: Window, qtbot: QtBot, path: Path) -> None:
    assert window.controller.projects.open(path)
    qtbot.waitUntil(lambda: isinstance(window.document.run, Replay))
    QApplication.processEvents()


def test_a_run_reopens_with_its_numbers_and_is_stepped_through(
    window: Window, qtbot: QtBot, tmp_path: Path, chosen: Callable[[Path], None]
) -> None:
    path = tmp_path / "seven.gftrace"
    chosen(path)
    save_run(window, qtbot, path)
    before = window.document.trace
    assert before is not None
    window.controller.projects.new()
    reopened(window, qtbot, path)
    document = window.document
    assert document.trace is not None and len(document.trace) == len(before)
    for key in tuple(before.keys()):
        assert np.array_equal(document.trace.at(key), before.at(key))
    assert document.sample is not None and document.sample.label == 7
    assert document.graph.by_id["conv1"] and not document.modified
    window.controller.stepping.to_start()
    window.canvas.setFocus()
    for position in range(1, 4):
        QTest.keyClick(window.canvas, Qt.Key.Key_N)
        assert document.position == position
    assert window.canvas.network.items_by_id["pool1"].picture("value") is not None
    assert isinstance(document.run, Replay)


def test_its_numbers_are_explained(window: Window, qtbot: QtBot, tmp_path: Path) -> None:
    path = tmp_path / "run.gftrace"
    complete(window, qtbot)
    window.run_files.save(path)
    qtbot.waitUntil(path.exists)
    window.controller.projects.new()
    reopened(window, qtbot, path)
    window.controller.stepping.to_end()
    window.docks["cell"].show()
    window.docks["cell"].raise_()
    window.controller.asking.focus(Place(Cell("conv2", 0, (3, 4, 5)), "gradient"))
    panel = window.panel("cell")
    assert isinstance(panel, CellPanel)
    qtbot.waitUntil(lambda: panel.explanation is not None)
    found = panel.explanation
    assert found is not None and abs(found.difference or 0.0) < 1e-6


def test_a_change_runs_the_network_anew(window: Window, qtbot: QtBot, tmp_path: Path) -> None:
    path = tmp_path / "run.gftrace"
    complete(window, qtbot)
    window.run_files.save(path)
    qtbot.waitUntil(path.exists)
    first = window.document.trace
    reopened(window, qtbot, path)
    weights = {k: v for k, v in window.document.parameters.items()}
    window.actions_by_id["sample.next"].trigger()
    complete(window, qtbot)
    document = window.document
    assert not isinstance(document.run, Replay) and document.trace is not None
    assert first is not None
    # with the weights that it was run with before
    for name, array in weights.items():
        found = document.trace.latest("param", name, 0)
        assert found is None or np.array_equal(document.trace.at(found), array)


def test_a_damaged_file_leaves_what_is_open(window: Window, qtbot: QtBot, tmp_path: Path) -> None:
    path = tmp_path / "broken.gftrace"
    path.write_bytes(b"no run")
    graph = window.document.graph
    assert window.controller.projects.open(path)
    qtbot.waitUntil(lambda: "expected a saved trace" in window.notices.text)
    assert window.document.graph is graph


def test_a_dropped_run_is_opened(window: Window, qtbot: QtBot, tmp_path: Path) -> None:
    path = tmp_path / "run.gftrace"
    complete(window, qtbot)
    window.run_files.save(path)
    qtbot.waitUntil(path.exists)
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    action, button = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton
    no_keys = Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(5, 5), action, data, button, no_keys)
    QApplication.sendEvent(window, enter)
    assert enter.isAccepted()
    QApplication.sendEvent(window, QDropEvent(QPointF(5, 5), action, data, button, no_keys))
    qtbot.waitUntil(lambda: isinstance(window.document.run, Replay))


def test_the_table_names_every_step(
    window: Window, qtbot: QtBot, tmp_path: Path, chosen: Callable[[Path], None]
) -> None:
    path = tmp_path / "run.txt"
    chosen(path)
    save_run(window, qtbot, path)
    lines = path.read_text("utf-8").splitlines()
    assert lines[0] == "LeNet-5" and window.document.trace is not None
    assert lines[2:-1] or lines[2:] == list(window.document.trace.lines())
    assert [line.split()[1:3] for line in lines[2:4]] == [
        ["forward", "conv1"],
        ["forward", "relu1"],
    ]


def test_the_animation_has_a_frame_for_each_step_and_they_differ(
    window: Window, qtbot: QtBot, tmp_path: Path, chosen: Callable[[Path], None]
) -> None:
    path = tmp_path / "run.gif"
    chosen(path)
    complete(window, qtbot)
    told: list[tuple[int, int]] = []
    window.run_files.progressed.connect(lambda done, count: told.append((done, count)))
    position = window.document.position
    save_run(window, qtbot, path)
    count = len(window.document.operations) + 1
    assert told == [(i, count) for i in range(count + 1)]
    assert window.document.position == position  # the window itself did not move
    assert not window.status.recording.isVisible()
    with Image.open(path) as film:
        assert film.format == "GIF" and film.n_frames == count and film.info["loop"] == 0
        film.seek(0)
        first = film.convert("RGB")
        film.seek(1)
        second = film.convert("RGB")
        box = ImageChops.difference(first, second).getbbox()
        assert box is not None
        assert film.info["duration"] == round(1000 / window.settings["play_speed"])


def test_an_animation_can_be_given_up(window: Window, qtbot: QtBot, tmp_path: Path) -> None:
    path = tmp_path / "run.gif"
    complete(window, qtbot)
    assert window.run_files.save(path)
    qtbot.waitUntil(window.status.recording.isVisible)
    assert not window.run_files.save(tmp_path / "second.gif")
    QTest.mouseClick(window.status.recording.cancel, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not window.run_files.recording)
    assert window.notices.text == "No animation was written."
    assert not window.status.recording.isVisible() and not list(tmp_path.glob("*.gif"))


def test_closing_the_window_ends_an_animation(window: Window, qtbot: QtBot, tmp_path: Path) -> None:
    complete(window, qtbot)
    assert window.run_files.save(tmp_path / "run.gif")
    QApplication.processEvents()
    window.close()
    assert not window.run_files.recording and not list(tmp_path.glob("*.gif"))


@pytest.mark.parametrize("suffix", [".gftrace", ".txt", ".gif"])
def test_a_folder_that_is_not_there_is_said(
    window: Window, qtbot: QtBot, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(animation, "MOST_FRAMES", 2)
    complete(window, qtbot)
    assert window.run_files.save(tmp_path / "nowhere" / f"run{suffix}")
    qtbot.waitUntil(lambda: "expected the folder" in window.notices.text)


def test_another_suffix_is_refused(window: Window, qtbot: QtBot, tmp_path: Path) -> None:
    complete(window, qtbot)
    assert not window.run_files.save(tmp_path / "run.mp4")
    assert f"ends in {recording.SUFFIX}, .txt, .gif" in window.notices.text


def test_a_name_without_a_suffix_is_of_the_kind_that_was_chosen(
    window: Window, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete(window, qtbot)

    def choose(_parent: object, _title: str, _start: str, patterns: str) -> tuple[str, str]:
        return str(tmp_path / "run"), patterns.split(";;")[1]

    monkeypatch.setattr(QFileDialog, "getSaveFileName", choose)
    window.actions_by_id["file.save_run"].trigger()
    qtbot.waitUntil((tmp_path / "run.txt").exists)
    qtbot.waitUntil(lambda: window.notices.text.startswith("Saved"))
    window.actions_by_id["file.save_run"].trigger()
    assert "run.txt exists already" in window.notices.text


def test_a_long_run_has_no_more_frames_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(animation, "MOST_FRAMES", 10)
    film = animation.Film(None, {}, None, {}, frozenset(), None, 25)  # type: ignore[arg-type]
    assert film.positions == (0, 3, 6, 9, 12, 15, 18, 21, 24, 25)


def test_a_grid_is_saved_as_a_picture(
    window: Window, qtbot: QtBot, tmp_path: Path, chosen: Callable[[Path], None]
) -> None:
    path = tmp_path / "maps.png"
    chosen(path)
    window.controller.select({"conv1"})
    QApplication.processEvents()
    grid = window.inspector.output.forward_grid
    menu: QMenu = grid.context_menu(Cell("conv1", 0, (0, 1, 1)))
    action = next(a for a in menu.actions() if a.text() == "Save picture…")
    action.trigger()
    qtbot.waitUntil(path.exists)
    with Image.open(path) as made:
        assert made.size == (2 * grid.width(), 2 * grid.height())
        rect = grid.rect_of(Cell("conv1", 0, (0, 5, 5)))
        assert rect is not None
        at = 2 * rect.center()
        pixel = made.convert("RGB").getpixel((round(at.x()), round(at.y())))
        shown = grid.grab().toImage().pixelColor(rect.center().toPoint())
        assert pixel == (shown.red(), shown.green(), shown.blue())


def test_the_window_is_saved_as_a_picture(
    window: Window, qtbot: QtBot, tmp_path: Path, chosen: Callable[[Path], None]
) -> None:
    path = tmp_path / "window.png"
    chosen(path)
    window.actions_by_id["file.window_picture"].trigger()
    qtbot.waitUntil(path.exists)
    with Image.open(path) as made:
        assert made.size == (window.width(), window.height())
