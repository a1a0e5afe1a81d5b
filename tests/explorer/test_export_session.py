"""Export as the window sees it: files that are written, words for them, and no process left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from engine.export import Check, Exported, ExportOptions
from explorer.export_dialog import ExportDialog
from explorer.export_session import ExportSession
from explorer.notices import Notice


@pytest.fixture
def session(bench: Any) -> Any:
    session = ExportSession(bench.document, bench.controller, bench.controller)
    yield session
    session.close()


@pytest.fixture
def dialog(session: ExportSession, qtbot: QtBot) -> ExportDialog:
    dialog = ExportDialog()
    qtbot.addWidget(dialog)
    session.attach(dialog)
    dialog.show()
    return dialog


def ended(session: ExportSession, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: not session.worker.busy, timeout=30_000)


def test_an_export_is_written_compared_and_told(
    bench: Any, session: ExportSession, dialog: ExportDialog, qtbot: QtBot
) -> None:
    path = bench.folder / "net.onnx"
    stages: list[str] = []
    session.worker.reported.connect(lambda report: stages.append(report[0]))
    options = ExportOptions(batch=2, softmax="add")
    session.start(path, options)
    session.start(path, options)
    assert "under way" in bench.notices[-1].text
    ended(session, qtbot)
    assert session.state.stage == "done" and stages[-1] in ("write", "compare")
    assert session.state.message.startswith("Wrote net.onnx (")
    assert "On 2 random samples onnxruntime computes the same" in dialog.message.text()
    model = onnx.load(path)
    assert [o.name for o in model.graph.output] == ["probabilities"]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 2
    # the dialog says it; a notice too would say it twice
    assert [n for n in bench.notices if n.level == "success"] == []
    assert bench.controller.settings["export"] == options.as_dict()
    assert bench.controller.settings["last_folder"] == str(bench.folder)


@pytest.mark.parametrize("form", ["pytorch", "keras"])
def test_a_script_is_written_with_its_weights(
    bench: Any, session: ExportSession, qtbot: QtBot, form: Any
) -> None:
    path = bench.folder / "net.py"
    session.start(path, ExportOptions(form))
    ended(session, qtbot)
    assert session.state.message.startswith("Wrote net.py (")
    assert "net.safetensors (" in session.state.message
    assert ("import keras" if form == "keras" else "import torch") in path.read_text()
    # no dialog is open: the window says it
    assert bench.notices[-1] == Notice("success", session.state.message)


def test_what_cannot_be_is_said(
    bench: Any, session: ExportSession, dialog: ExportDialog, qtbot: QtBot
) -> None:
    session.start(bench.folder / "no" / "net.onnx", ExportOptions())
    ended(session, qtbot)
    assert session.state.stage == "failed" and "net.onnx" in dialog.message.text()
    assert dialog.message.property("role") == "error"
    bench.controller.layers.delete(["flatten1"])
    assert not dialog.start.isEnabled()
    assert "Mend the network before exporting" in dialog.message.text()
    session.start(bench.folder / "net.onnx", ExportOptions())
    assert not session.worker.busy and session.state.stage == "failed"
    bench.controller.undo()
    assert dialog.start.isEnabled()


def test_a_stopped_export_leaves_the_old_file(
    bench: Any, session: ExportSession, qtbot: QtBot
) -> None:
    path = bench.folder / "net.onnx"
    path.write_bytes(b"old")
    session.start(path, ExportOptions())
    session.worker.stop()
    ended(session, qtbot)
    if session.state.stage == "stopped":
        assert path.read_bytes() == b"old"
        assert "nothing was written" in session.state.message
    else:  # the file was whole before the word arrived
        assert session.state.stage == "done" and len(path.read_bytes()) > 100
    assert not list(bench.folder.glob("*.part"))


def test_a_comparison_that_is_stopped_leaves_the_new_file(
    bench: Any, session: ExportSession, qtbot: QtBot
) -> None:
    session.start(bench.folder / "net.onnx", ExportOptions())
    ended(session, qtbot)
    session.worker.reported.emit(("compare", 0.0))
    assert session.state.stage == "comparing"
    session.worker.finished.emit("stopped")
    assert session.state.message == "Wrote net.onnx; it was not compared."
    assert bench.notices[-1] == Notice("info", session.state.message)


def test_words_for_every_end(bench: Any, session: ExportSession, tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(b"x" * 12_345)
    check = Check("onnx's reference evaluator", 4, 1, 0.5, 2.0, 0.25, agrees=False)
    text = session.words(Exported((path,), check))
    assert text == (
        "Wrote a.onnx (12 kB). On 4 random samples onnx's reference evaluator computes something "
        "else: the largest difference is 0.5, where numbers reach 2; relative 0.25."
    )
    assert "was not compared: why" in session.words(Exported((path,), None, "why"))


def test_the_folder_is_shown(
    bench: Any, session: ExportSession, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: shown.append(url.toLocalFile()))
    session.start(bench.folder / "net.py", ExportOptions("pytorch"))
    ended(session, qtbot)
    session.show_folder()
    assert shown == [str(bench.folder)]


def test_ctrl_e_opens_the_dialog_in_the_window(qtbot: QtBot, tmp_path: Path) -> None:
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    from explorer.settings import Settings
    from explorer.window import Window

    settings = Settings(tmp_path / "settings.json")
    settings.set("export", ExportOptions("keras", merge_norms=True).as_dict())
    settings.set("last_folder", str(tmp_path))
    window = Window(settings)
    qtbot.addWidget(window)
    window.controller.projects.open_shipped("resnet-digits")
    window.show()
    window.activateWindow()
    QTest.qWaitForWindowActive(window)
    window.canvas.setFocus()
    QTest.keyClick(window.canvas, Qt.Key.Key_E, Qt.KeyboardModifier.ControlModifier)
    found = [w for w in window.findChildren(QWidget) if isinstance(w, ExportDialog)]
    assert len(found) == 1 and found[0].isVisible() and not found[0].isModal()
    dialog = found[0]
    assert dialog.options() == ExportOptions("keras", merge_norms=True)
    path = dialog.path()
    assert path is not None and path.suffix == ".py" and path.parent == tmp_path
    QTest.mouseClick(dialog.start, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "Wrote" in dialog.message.text(), timeout=30_000)
    assert path.exists() and path.with_suffix(".safetensors").exists()
    window.actions_by_id["file.export"].trigger()
    assert len([w for w in window.findChildren(QWidget) if isinstance(w, ExportDialog)]) == 1
    window.close()
