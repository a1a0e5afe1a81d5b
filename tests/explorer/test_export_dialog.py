"""The dialog of an export: what it offers, what it asks for, and what it shows."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog, QWidget
from pytestqt.qtbot import QtBot

from engine.export import NEWEST_OPSET, ExportOptions
from explorer import theme
from explorer.export_dialog import ExportDialog, ExportState, Offer


@pytest.fixture
def dialog(qtbot: QtBot, tmp_path: Path) -> ExportDialog:
    dialog = ExportDialog()
    qtbot.addWidget(dialog)
    dialog.set_offer(Offer("Net", tmp_path, adds=True, merges=True))
    dialog.show()
    return dialog


def click(widget: QWidget) -> None:
    QTest.mouseClick(widget, Qt.MouseButton.LeftButton)


def choose(dialog: ExportDialog, form: str) -> None:
    dialog.form.setFocus()
    QTest.keyClick(dialog.form, Qt.Key.Key_Home)
    for _ in range(("onnx", "pytorch", "keras").index(form)):
        QTest.keyClick(dialog.form, Qt.Key.Key_Down)


def test_what_is_chosen_is_asked_for(dialog: ExportDialog, qtbot: QtBot, tmp_path: Path) -> None:
    asked: list[tuple[Path, ExportOptions]] = []
    dialog.export_requested.connect(lambda *what: asked.append(what))
    click(dialog.start)
    assert asked == [(tmp_path / "Net.onnx", ExportOptions())]
    dialog.samples.setFocus()
    QTest.keyClick(dialog.samples, Qt.Key.Key_Up)
    QTest.keyClick(dialog.opset, Qt.Key.Key_Up)
    QTest.keyClick(dialog.softmax, Qt.Key.Key_Down)
    dialog.merge.setFocus()
    QTest.keyClick(dialog.merge, Qt.Key.Key_Space)
    QTest.keyClick(dialog.compare, Qt.Key.Key_Space)
    dialog.file.selectAll()
    QTest.keyClicks(dialog.file, "other")
    QTest.keyClick(dialog.file, Qt.Key.Key_Return)
    wanted = ExportOptions("onnx", 18, 1, "add", merge_norms=True, compare=False)
    assert asked[1:] == [(tmp_path / "other.onnx", wanted)]
    dialog.set_options(ExportOptions())
    assert dialog.options() == ExportOptions()
    dialog.set_options(wanted)
    assert dialog.options() == wanted


def test_a_format_has_its_suffix_and_options(dialog: ExportDialog, tmp_path: Path) -> None:
    onnx_only = (dialog.opset, dialog.samples, dialog.softmax, dialog.merge, dialog.compare)
    assert all(widget.isVisible() for widget in onnx_only)
    high = dialog.height()
    choose(dialog, "pytorch")
    assert dialog.path() == tmp_path / "Net.py" and dialog.options().form == "pytorch"
    assert not any(widget.isVisible() for widget in onnx_only)
    assert dialog.height() < high and "PyTorch" not in dialog.about.text()
    dialog.file.setFocus()
    dialog.file.selectAll()
    QTest.keyClicks(dialog.file, str(tmp_path / "mine.py"))
    choose(dialog, "onnx")
    assert dialog.path() == tmp_path / "mine.onnx"
    assert dialog.height() == high
    # a name that is typed is kept when the network changes, until it has another title
    dialog.set_offer(Offer("Net", tmp_path, adds=True, merges=False))
    assert dialog.path() == tmp_path / "mine.onnx"
    dialog.set_offer(Offer("A/B", tmp_path))
    assert dialog.path() == tmp_path / "A-B.onnx"


def test_only_what_makes_sense_can_be_chosen(dialog: ExportDialog, tmp_path: Path) -> None:
    def words() -> list[str]:
        return [dialog.softmax.itemData(i) for i in range(dialog.softmax.count())]

    assert words() == ["keep", "add"] and dialog.merge.isEnabled()
    dialog.set_offer(Offer("Net", tmp_path, removes=True))
    assert words() == ["keep", "remove"] and not dialog.merge.isEnabled()
    dialog.set_offer(Offer("Net", tmp_path))
    assert words() == ["keep"] and not dialog.softmax.isEnabled()
    dialog.set_options(ExportOptions(softmax="add"))
    assert dialog.options().softmax == "keep"
    dialog.set_offer(Offer("Net", tmp_path, adds=True))
    assert dialog.options().softmax == "add"  # what was chosen last, now that it fits


def test_the_newest_operator_set_is_one_that_onnx_knows() -> None:
    assert onnx.defs.onnx_opset_version() >= NEWEST_OPSET


def test_mistakes_are_said_beside_the_field(dialog: ExportDialog, tmp_path: Path) -> None:
    (tmp_path / "old.onnx").write_bytes(b"old")
    assert not dialog.note.isVisible()
    dialog.file.setFocus()
    for typed, told in (
        ("", "Name the file"),
        ("old", "will be replaced"),
        ("gone/x.onnx", "There is no folder"),
    ):
        dialog.file.selectAll()
        QTest.keyClick(dialog.file, Qt.Key.Key_Backspace)
        QTest.keyClicks(dialog.file, typed)
        assert told in dialog.note.text() and dialog.note.isVisible()
    asked: list[object] = []
    dialog.export_requested.connect(lambda *what: asked.append(what))
    dialog.file.selectAll()
    QTest.keyClick(dialog.file, Qt.Key.Key_Backspace)
    click(dialog.start)
    assert asked == [] and dialog.isVisible()
    dialog.set_offer(Offer("Net", tmp_path, problem="Mend it."))
    assert not dialog.start.isEnabled()
    assert dialog.message.text() == "Mend it." and dialog.message.property("role") == "error"


def test_the_file_can_be_looked_for(
    dialog: ExportDialog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[object, ...]] = []

    def ask(*words: object) -> tuple[str, str]:
        seen.append(words[2:])
        return str(tmp_path / "found"), ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", ask)
    choose(dialog, "keras")
    click(dialog.browse)
    assert seen == [(str(tmp_path / "Net.py"), "Keras (*.py)")]
    assert dialog.path() == tmp_path / "found.py"


def test_how_it_stands_is_shown(dialog: ExportDialog, qtbot: QtBot) -> None:
    stopped: list[bool] = []
    dialog.stop_requested.connect(lambda: stopped.append(True))
    assert not dialog.stop.isVisible() and not dialog.progress.isVisible()
    dialog.set_state(ExportState("writing", 0.25))
    assert dialog.progress.isVisible() and dialog.progress.value() == 250
    assert not dialog.form.isEnabled() and not dialog.start.isVisible()
    click(dialog.stop)
    assert stopped == [True]
    dialog.set_state(ExportState("comparing"))
    assert dialog.progress.maximum() == 0 and "Comparing" in dialog.message.text()
    dialog.set_state(ExportState("done", 1.0, "Wrote it."))
    assert dialog.message.text() == "Wrote it." and dialog.folder.isVisible()
    assert dialog.form.isEnabled() and not dialog.stop.isVisible()
    with qtbot.waitSignal(dialog.folder_requested):
        click(dialog.folder)
    choose(dialog, "keras")  # what was written was another format
    assert not dialog.message.isVisible() and not dialog.folder.isVisible()
    dialog.set_state(ExportState("failed", message="No room."))
    assert dialog.message.property("role") == "error"
    assert dialog.isVisible() and not dialog.isModal()
    QTest.keyClick(dialog, Qt.Key.Key_Escape)
    assert not dialog.isVisible()


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_no_line_is_squeezed_and_an_error_is_red(
    dialog: ExportDialog, qapp: QApplication, mode: theme.Mode
) -> None:
    theme.apply(qapp)
    theme.set_mode(mode)
    try:
        dialog.set_state(ExportState("differs", 1.0, "On 8 samples it differs. " * 8))
        assert dialog.message.height() >= dialog.message.heightForWidth(dialog.message.width())
        assert dialog.about.height() >= dialog.about.heightForWidth(dialog.about.width())
        low = dialog.start.geometry().bottom()
        assert low + theme.metrics().space_4 <= dialog.height() + 1
        image = dialog.message.grab().toImage()
        red = theme.current().error.lower()
        seen = {
            image.pixelColor(x, y).name()
            for x in range(image.width())
            for y in range(image.height())
        }
        assert red in seen
    finally:
        theme.set_mode("system")
