"""A picture of the network from the window: written beside its work, and said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QImage
from PySide6.QtWidgets import QApplication, QFileDialog
from pytestqt.qtbot import QtBot

from explorer import session, theme
from explorer.examples import EXAMPLES
from explorer.settings import Settings
from explorer.window import Window


@pytest.fixture
def window(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> Iterator[Window]:
    theme.apply(qapp)
    window = Window(Settings(tmp_path / "settings.json"))
    qtbot.addWidget(window)
    window.controller.start(None)
    window.show()
    yield window
    window.close()


def drop(window: Window, path: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    action, button = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton
    no_keys = Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(5, 5), action, data, button, no_keys)
    QApplication.sendEvent(window, enter)
    assert enter.isAccepted()
    QApplication.sendEvent(window, QDropEvent(QPointF(5, 5), action, data, button, no_keys))


def test_what_was_said_of_one_file_does_not_stand_over_the_next(
    window: Window, tmp_path: Path
) -> None:
    """Else the second, which opened, seems to have failed too."""
    bad, good = tmp_path / "bad.png", tmp_path / "good.png"
    bad.write_text("no picture")
    picture = QImage(40, 30, QImage.Format.Format_RGB32)
    picture.fill(Qt.GlobalColor.white)
    assert picture.save(str(good))
    drop(window, bad)
    assert "bad.png: not a picture" in window.notices.text
    drop(window, good)
    assert window.document.sample is not None
    assert window.document.sample.origin == "good.png"
    assert window.notices.text == ""


@pytest.mark.parametrize("suffix", [".tif", ".tiff", ".png", ".bmp"])
def test_every_kind_of_picture_that_is_read_can_be_dropped(
    window: Window, tmp_path: Path, suffix: str
) -> None:
    from PIL import Image

    path = tmp_path / f"digit{suffix}"
    Image.new("L", (28, 28), 200).save(path)
    drop(window, path)
    assert window.notices.text == ""
    assert window.document.sample is not None
    assert window.document.sample.origin == path.name


@pytest.mark.parametrize("name", ["notes.txt", "README", "weights.pt", "folder"])
def test_a_file_of_another_kind_is_told_by_its_name_and_what_was_expected(
    window: Window, tmp_path: Path, name: str
) -> None:
    path, graph = tmp_path / name, window.document.graph
    path.mkdir() if name == "folder" else path.write_text("hello")
    drop(window, path)
    assert window.notices.text.startswith(f"{name} is no file that can be opened here.")
    assert ".gflow, .onnx" in window.notices.text and ".png" in window.notices.text
    assert window.document.graph is graph


def test_a_project_under_another_name_is_opened(window: Window, tmp_path: Path) -> None:
    path = tmp_path / "network.zip"
    path.write_bytes(b"")
    assert window.controller.projects.save(path) and window.controller.projects.finish()
    window.controller.projects.new()
    drop(window, path)
    assert window.document.path == path


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Max pooling of one window: 1 3 / 2 4", "Max pooling of one window 1 3 - 2 4.gflow"),
        ("LeNet-5", "LeNet-5.gflow"),
        ("what? <a|b>\\*", "what a b.gflow"),
        ("ends in a dot. ", "ends in a dot.gflow"),
        ("CON", "CON_.gflow"),
        ("///", "network.gflow"),
        ("x" * 300, f"{'x' * 80}.gflow"),
        ("Größe 3×3", "Größe 3×3.gflow"),
    ],
)
def test_a_proposed_name_is_one_on_every_system(title: str, name: str) -> None:
    assert session.file_name(title, ".gflow") == name


def test_a_title_with_a_slash_proposes_a_file_and_no_folder(
    window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    proposed: list[str] = []

    def ask(_parent: object, _title: str, start: str, _patterns: str) -> tuple[str, str]:
        proposed.append(Path(start).name)
        return "", ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", ask)
    window.controller.projects.open_example(next(iter(EXAMPLES)))
    for command in ("file.save_as", "file.picture", "file.window_picture", "file.save_run"):
        window.actions_by_id[command].trigger()
    stem = "Max pooling of one window 1 3 - 2 4"
    assert proposed == [f"{stem}.gflow", f"{stem}.png", f"{stem}.png", stem]


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


def test_what_an_example_shows_goes_with_it(window: Window) -> None:
    """While it is open it stays; over another network it would be wrong."""
    example = next(iter(EXAMPLES.values()))
    window.controller.projects.open_example(example.id)
    window.controller.stepping.to_end()
    assert window.notices.text == example.idea
    window.controller.projects.new()
    assert window.notices.text == ""
