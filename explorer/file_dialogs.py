"""Files that the user chooses: what is opened, saved and exported, and what is dropped."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QUrl
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QFileDialog, QWidget

from engine import recording
from engine.project_file import SUFFIX
from explorer import onnx_import, session
from explorer.background import Background
from explorer.canvas import Canvas, picture
from explorer.controller import Controller
from explorer.document import Document
from explorer.export_dialog import ExportDialog
from explorer.export_session import ExportSession
from explorer.notices import Say
from explorer.panels import SampleBar
from explorer.plate import Plate, encoded
from explorer.run_files import RunFiles
from explorer.settings import Settings

PICTURE_SCALE = 2.0
"""Pixels for each unit of the canvas in a picture of the network."""
_PHOTOS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
PICTURE_SUFFIXES = (*_PHOTOS, ".pgm", ".ppm", ".npy")
NETWORK_SUFFIXES = (SUFFIX, onnx_import.SUFFIX, recording.SUFFIX)


class FileDialogs(QObject):
    """Asks for a file and has it read or written; the last folder is remembered."""

    def __init__(
        self,
        window: QWidget,
        *,
        document: Document,
        controller: Controller,
        settings: Settings,
        canvas: Canvas,
        sample_bar: SampleBar,
        run_files: RunFiles,
        export: ExportSession,
        say: Say,
        unsay: Callable[[], None],
        closed: Callable[[], None],
    ) -> None:
        """``unsay`` takes back what was said of another file; ``closed`` is called when a dialog
        was closed, for the keyboard.
        """
        super().__init__(window)
        self._window, self._document, self._settings = window, document, settings
        self._projects, self._pictures = controller.projects, controller.pictures
        self._canvas, self._sample_bar, self._run_files = canvas, sample_bar, run_files
        self._export, self._say, self._unsay, self._closed = export, say, unsay, closed
        self._export_dialog: ExportDialog | None = None
        self._writer = Background(self)

    def close(self) -> None:
        """Wait for a picture that is being written."""
        self._writer.close()

    # ---- projects --------------------------------------------------------------------------

    def open(self) -> None:
        """Let the user choose a project or an ONNX file to open."""
        pattern = self.tr("Networks and runs (*{0} *.onnx *{1})").format(SUFFIX, recording.SUFFIX)
        self._sample_bar.close_pad()  # it would stand over the dialog
        if path := self._ask(self.tr("Open a project"), pattern, saving=False):
            self._unsay()
            self._projects.open(path)

    def save(self) -> None:
        """Save where the project is from, or ask."""
        if self._document.path is None:
            self.save_as()
        else:
            self._projects.save(self._document.path)

    def save_as(self) -> None:
        """Let the user choose where to save."""
        pattern = self.tr("Projects (*{0})").format(SUFFIX)
        name = session.file_name(self._document.title, SUFFIX)
        if path := self._ask(self.tr("Save the project"), pattern, saving=True, name=name):
            self._projects.save(path)

    def export(self) -> None:
        """Let the user choose what is exported, and where to."""
        if self._export_dialog is None:
            self._export_dialog = ExportDialog(self._window)
            self._export.attach(self._export_dialog)
            self._export_dialog.finished.connect(self._closed)
        self._export_dialog.show()
        self._export_dialog.raise_()
        self._export_dialog.activateWindow()
        self._export_dialog.form.setFocus()

    def save_run(self) -> None:
        """Let the user choose where the run goes, and by the name as what."""
        kinds = {
            recording.SUFFIX: self.tr("Run, to be opened again (*{0})").format(recording.SUFFIX),
            ".txt": self.tr("Table of its steps (*.txt)"),
            ".gif": self.tr("Animated GIF (*.gif)"),
        }
        title, patterns = self.tr("Save the run"), ";;".join(kinds.values())
        name = session.file_name(self._document.title, "")
        path, kind = self._chosen(title, patterns, saving=True, name=name)
        if path is None:
            return
        if path.suffix.lower() not in kinds:  # a name without one is of the kind that was chosen
            suffix = next((s for s, text in kinds.items() if text == kind), recording.SUFFIX)
            path = path.with_name(path.name + suffix)
            if path.exists():
                text = self.tr("{0} exists already. Choose it by its full name to replace it.")
                self._say("warning", text.format(path.name))
                return
        self._run_files.save(path, 1 / max(0.1, self._settings["play_speed"]))

    # ---- pictures --------------------------------------------------------------------------

    def open_picture(self) -> None:
        """Let the user choose a picture for the network."""
        kinds = " ".join(f"*{s}" for s in PICTURE_SUFFIXES)
        pattern = self.tr("Pictures ({0})").format(kinds)
        if path := self._ask(self.tr("Open a picture"), pattern, saving=False):
            self._unsay()
            self._pictures.open(path)

    def save_network_picture(self) -> None:
        """Let the user choose where a picture of the network goes."""
        name = session.file_name(self._document.title, ".png")
        kinds = self.tr("Pictures (*.png *.svg)")
        title = self.tr("Save picture of the network")
        if path := self._ask(title, kinds, saving=True, name=name):
            self.write_network_picture(path if path.suffix else path.with_suffix(".png"))

    def write_network_picture(self, path: Path) -> None:
        """Draw the network and write it beside the window's work; says so, or why not."""
        try:
            write = picture.writer(self._canvas.network, path, self._document.title, PICTURE_SCALE)
        except picture.PictureError as error:
            self._say("error", str(error))
            return
        self._writer.run(write, self._written)

    def save_window_picture(self) -> None:
        """Let the user choose where a picture of the window goes."""
        made = self._window.grab().toImage()  # as it is now, without a dialog over it
        self.save_picture(made, self._document.title)

    def save_picture(self, made: object, name: str) -> None:
        """Let the user choose where a picture that is drawn already goes."""
        title, kinds = self.tr("Save picture"), self.tr("Pictures (*.png)")
        path = self._ask(title, kinds, saving=True, name=session.file_name(name, ".png"))
        if path is not None and isinstance(made, QImage):
            path = path if path.suffix else path.with_suffix(".png")
            self._writer.run(lambda: picture.write_png(made, path), self._written)

    def save_plate(self, plate: object) -> None:
        """Let the user choose where a plot goes, and by the name as what; see ``write_plate``."""
        if not isinstance(plate, Plate):
            return
        kinds = {
            ".png": self.tr("Picture (*.png)"),
            ".svg": self.tr("Picture of lines and text (*.svg)"),
            ".csv": self.tr("Table of its numbers (*.csv)"),
        }
        name = session.file_name(plate.name, ".png")
        path, kind = self._chosen(
            self.tr("Save the plot"), ";;".join(kinds.values()), saving=True, name=name
        )
        if path is None:
            return
        chosen = next((s for s, text in kinds.items() if text == kind), ".png")
        self.write_plate(plate, path if path.suffix else path.with_suffix(chosen))

    def write_plate(self, plate: Plate, path: Path) -> None:
        """Draw a plot and write it beside the window's work; says so, or why not."""
        try:
            data = encoded(plate, path.suffix.lower())
        except ValueError as error:
            self._say("error", f"{path.name}: {error}")
            return
        self._writer.run(lambda: picture.write_bytes(data, path), self._written)

    def _written(self, result: Any) -> None:
        if isinstance(result, Path):
            self._say("success", self.tr("Saved {0}.").format(result.name))
        else:
            self._say("error", str(result) or type(result).__name__)

    # ---- dropping, asking ------------------------------------------------------------------

    def drop(self, urls: list[QUrl]) -> None:
        """Open the first file that was dropped: a picture for the network, or a network."""
        for url in urls[:1]:
            path = Path(url.toLocalFile())
            self._unsay()
            if path.suffix.lower() in PICTURE_SUFFIXES:
                self._pictures.open(path)
            elif path.suffix.lower() in NETWORK_SUFFIXES or zipfile.is_zipfile(path):
                self._projects.open(path)
            else:
                self._say(
                    "error",
                    self.tr(
                        "{0} is no file that can be opened here. Expected a network ({1}), a run "
                        "({2}) or a picture ({3})."
                    ).format(
                        path.name or url.toDisplayString(),
                        f"{SUFFIX}, {onnx_import.SUFFIX}",
                        recording.SUFFIX,
                        ", ".join(PICTURE_SUFFIXES),
                    ),
                )

    def _ask(self, title: str, patterns: str, *, saving: bool, name: str = "") -> Path | None:
        return self._chosen(title, patterns, saving=saving, name=name)[0]

    def _chosen(
        self, title: str, patterns: str, *, saving: bool, name: str
    ) -> tuple[Path | None, str]:
        """The file that was chosen, and by which of the patterns."""
        start = str(Path(self._settings["last_folder"] or Path.home()) / name)
        ask = QFileDialog.getSaveFileName if saving else QFileDialog.getOpenFileName
        chosen, pattern = ask(self._window, title, start, patterns)
        self._closed()
        if not chosen:
            return None, pattern
        self._settings.set("last_folder", str(Path(chosen).parent))
        return Path(chosen), pattern
