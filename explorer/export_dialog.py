"""Choosing what is exported and where to; then how it goes, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from engine.export import (
    DEFAULT_OPSET,
    FORMS,
    NEWEST_OPSET,
    OLDEST_OPSET,
    ExportOptions,
    Form,
    SoftmaxChoice,
)
from explorer import session, theme

Stage = Literal["idle", "writing", "comparing", "stopped", "failed", "done", "differs"]
_BUSY = ("writing", "comparing")


@dataclass(frozen=True)
class ExportState:
    """How an export stands: ``share`` from 0 to 1 of its stage, ``message`` at its end."""

    stage: Stage = "idle"
    share: float = 0.0
    message: str = ""


@dataclass(frozen=True)
class Offer:
    """What makes sense for a network: its title, a folder, and which choices it has.

    ``adds``, ``removes``: a softmax at the end; ``merges``: batch normalisations. ``problem``
    says why it cannot be exported at all.
    """

    title: str = ""
    folder: Path = Path()
    adds: bool = False
    removes: bool = False
    merges: bool = False
    problem: str = ""


class ExportDialog(QDialog):
    """Format, file and options. It does not block the window, nor end an export by closing."""

    export_requested = Signal(object, object)  # Path, ExportOptions
    stop_requested = Signal()
    folder_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setModal(False)
        self.setWindowTitle(self.tr("Export network"))
        self._offer, self._state = Offer(), ExportState()
        self._options = ExportOptions()
        self._named = False  # the user typed or chose the file
        m = theme.metrics()
        self.form, self.file = QComboBox(), QLineEdit()
        self.browse = QPushButton(self.tr("Browse…"))
        self.browse.setAutoDefault(False)
        self.about, self.note = QLabel(), QLabel()
        self.opset, self.samples = QSpinBox(), QSpinBox()
        self.softmax = QComboBox()
        self.merge = QCheckBox(self.tr("Merge batch normalisations into convolutions"))
        self.merge.setToolTip(
            self.tr("Fewer operators and the same numbers, for a file that is not trained on.")
        )
        self.compare = QCheckBox(self.tr("Compare with another engine"))
        self.compare.setToolTip(
            self.tr(
                "Run the file by onnxruntime, where it is installed, or by onnx's reference "
                "evaluator, and measure how far its numbers are from those of this program."
            )
        )
        for form, (title, _) in FORMS.items():
            self.form.addItem(title, form)
        self.opset.setRange(OLDEST_OPSET, NEWEST_OPSET)
        self.opset.setValue(DEFAULT_OPSET)
        told = self.tr("{0} is read by every program since 2022; newer ones by newer programs.")
        self.opset.setToolTip(told.format(DEFAULT_OPSET))
        self.samples.setRange(0, 65536)
        self.samples.setSpecialValueText(self.tr("any number"))
        self.samples.setToolTip(
            self.tr("Some programs need a fixed number of pictures at a time, most often 1.")
        )
        self._softmax_words: dict[SoftmaxChoice, str] = {
            "keep": self.tr("as in the network"),
            "add": self.tr("added: shares that add up to 1"),
            "remove": self.tr("removed: scores"),
        }
        whole = QVBoxLayout(self)
        whole.setContentsMargins(m.space_4, m.space_4, m.space_4, m.space_4)
        whole.setSpacing(m.space_3)
        grid = QGridLayout()
        grid.setHorizontalSpacing(m.space_3)
        grid.setVerticalSpacing(m.space_2)
        grid.setColumnStretch(1, 1)
        place = QHBoxLayout()
        place.setSpacing(m.space_2)
        place.addWidget(self.file, 1)
        place.addWidget(self.browse)
        self._labels: dict[QWidget, QLabel] = {}
        rows: tuple[tuple[str, QWidget], ...] = (
            (self.tr("Format"), self.form),
            ("", self.about),
            (self.tr("File"), self.file),
            ("", self.note),
            (self.tr("Operator set"), self.opset),
            (self.tr("Samples"), self.samples),
            (self.tr("Softmax"), self.softmax),
            ("", self.merge),
            ("", self.compare),
        )
        for row, (text, widget) in enumerate(rows):
            if text:
                label = QLabel(text)
                label.setBuddy(widget)
                widget.setAccessibleName(text)
                grid.addWidget(label, row, 0)
                self._labels[widget] = label
            if widget is self.file:
                grid.addLayout(place, row, 1)
            else:
                grid.addWidget(widget, row, 1)
        wide = max(label.sizeHint().width() for label in self._labels.values())
        grid.setColumnMinimumWidth(0, wide)  # fields stay where they are when others are hidden
        for label in (self.about, self.note):
            label.setProperty("role", "muted")
            label.setWordWrap(True)
        for box in (self.opset, self.samples):
            box.setFixedSize(4 * m.strip_height, m.control_height)
            box.lineEdit().setTextMargins(m.space_1, 0, 0, 0)
        whole.addLayout(grid)
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(m.scale_bar_height)
        self.progress.setAccessibleName(self.tr("Progress of the export"))
        self.message = QLabel()
        self.message.setWordWrap(True)
        self.message.setTextFormat(Qt.TextFormat.PlainText)
        self.message.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
            | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        whole.addStretch(1)
        whole.addWidget(self.progress)
        whole.addWidget(self.message)
        buttons = QHBoxLayout()
        buttons.setSpacing(m.space_2)
        self.folder = QPushButton(self.tr("Show in folder"))
        self.stop = QPushButton(theme.icon("stop"), self.tr("Stop"))
        self.hide_button = QPushButton(self.tr("Close"))
        self.start = QPushButton(theme.icon("export", "text_on_accent"), self.tr("Export"))
        self.start.setProperty("primary", True)
        self.start.setDefault(True)
        buttons.addWidget(self.folder)
        buttons.addStretch(1)
        for button in (self.hide_button, self.stop, self.start):
            buttons.addWidget(button)
        for button in (self.folder, self.stop, self.hide_button):
            button.setAutoDefault(False)
        whole.addLayout(buttons)
        self._only_onnx = (self.opset, self.samples, self.softmax, self.merge, self.compare)
        self.form.currentIndexChanged.connect(self._form_changed)
        self.file.textEdited.connect(self._typed)
        self.browse.clicked.connect(self._browse)
        self.start.clicked.connect(self._start)
        self.stop.clicked.connect(self.stop_requested)
        self.folder.clicked.connect(self.folder_requested)
        self.hide_button.clicked.connect(self.close)
        self.set_options(ExportOptions())
        self.resize(14 * m.strip_height, self.height())
        self._fit()

    # ---- what is shown -----------------------------------------------------------------------

    def set_options(self, options: ExportOptions) -> None:
        """Show these choices, silently."""
        self._options = options
        self.form.blockSignals(True)
        self.form.setCurrentIndex(self.form.findData(options.form))
        self.form.blockSignals(False)
        self.opset.setValue(options.opset)
        self.samples.setValue(options.batch or 0)
        self.merge.setChecked(options.merge_norms)
        self.compare.setChecked(options.compare)
        self._show_softmax(options.softmax)
        self._show()

    def set_offer(self, offer: Offer) -> None:
        """What the network of now allows; another title gives the file another name."""
        if offer == self._offer:
            return
        renamed = (offer.title, offer.folder) != (self._offer.title, self._offer.folder)
        chosen = cast(SoftmaxChoice, self.softmax.currentData())
        self._offer = offer
        if renamed:
            self._named = False
        self._show_softmax(chosen if chosen != "keep" else self._options.softmax)
        self._show()

    def set_state(self, state: ExportState) -> None:
        """How the export stands."""
        if state == self._state:
            return
        self._state = state
        self._show()

    def _show_softmax(self, chosen: SoftmaxChoice) -> None:
        """Only what the network has room for."""
        self.softmax.clear()
        possible = {"keep": True, "add": self._offer.adds, "remove": self._offer.removes}
        for choice, words in self._softmax_words.items():
            if possible[choice]:
                self.softmax.addItem(words, choice)
        self.softmax.setCurrentIndex(max(0, self.softmax.findData(chosen)))

    def _form(self) -> Form:
        return cast(Form, self.form.currentData())

    def _show(self) -> None:
        form, state, offer = self._form(), self._state, self._offer
        busy = state.stage in _BUSY
        had_keyboard = self.start.hasFocus() or self.stop.hasFocus()
        abouts = {
            "onnx": self.tr("One file for onnxruntime, OpenCV, MATLAB and many others."),
            "pytorch": self.tr("A Python module to read and train on, its weights beside it."),
            "keras": self.tr("A Keras script to read and train on, its weights beside it."),
        }
        self.about.setText(abouts[form])
        if not self._named:
            name = session.file_name(offer.title or self.tr("network"), FORMS[form][1])
            self.file.setText(str(offer.folder / name))
        for widget in (self.form, self.file, self.browse, *self._only_onnx):
            widget.setEnabled(not busy)
        for widget in self._only_onnx:
            widget.setVisible(form == "onnx")
            if widget in self._labels:
                self._labels[widget].setVisible(form == "onnx")
        self.merge.setEnabled(not busy and offer.merges)
        self.softmax.setEnabled(not busy and self.softmax.count() > 1)
        self._show_note()
        self.start.setEnabled(not busy and not offer.problem)
        self.start.setVisible(not busy)
        self.stop.setVisible(busy)
        if had_keyboard:
            (self.stop if busy else self.start).setFocus()
        self.folder.setVisible(state.stage in ("done", "differs"))
        self.progress.setVisible(busy)
        self.progress.setValue(round(1000 * state.share))
        if state.stage == "comparing":
            self.progress.setRange(0, 0)  # nobody knows how long the other engine takes
        else:
            self.progress.setRange(0, 1000)
        texts = {
            "writing": self.tr("Writing the file."),
            "comparing": self.tr("Written. Comparing it with another engine."),
        }
        wrong = bool(offer.problem) and not busy
        text = offer.problem if wrong else state.message or texts.get(state.stage, "")
        self.message.setText(text)
        failed = wrong or state.stage in ("failed", "differs")
        self.message.setProperty("role", "error" if failed else "")
        self.message.style().unpolish(self.message)
        self.message.style().polish(self.message)
        self.message.setVisible(bool(text))
        self._fit()

    def _fit(self) -> None:
        """As high as its lines of text need, no line squeezed and no room left over."""
        layout = self.layout()
        if layout is not None:
            layout.activate()
            high = layout.totalHeightForWidth(self.width())
            self.setMinimumHeight(high)
            self.resize(self.width(), high)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if event.oldSize().width() != event.size().width():
            self._fit()

    def path(self) -> Path | None:
        """The file that is named, with the suffix of the format; None where none is."""
        text = self.file.text().strip()
        if not text:
            return None
        path = Path(text).expanduser()
        path = path if path.is_absolute() else self._offer.folder / path
        suffix = FORMS[self._form()][1]
        other = path.suffix in {known for _, known in FORMS.values()}
        return path.with_suffix(suffix) if other else Path(f"{path}{'' if path.suffix else suffix}")

    def options(self) -> ExportOptions:
        """The choices as they stand; those about ONNX are kept where another format is chosen."""
        return replace(
            self._options,
            form=self._form(),
            opset=self.opset.value(),
            batch=self.samples.value() or None,
            softmax=cast(SoftmaxChoice, self.softmax.currentData()),
            merge_norms=self.merge.isChecked(),
            compare=self.compare.isChecked(),
        )

    def _show_note(self) -> None:
        path = self.path()
        if path is None:
            text = self.tr("Name the file that is to be written.")
        elif not path.parent.is_dir():
            text = self.tr("There is no folder {0}.").format(path.parent)
        elif path.exists() and self._state.stage in ("idle", "failed", "stopped"):
            text = self.tr("The file that is there will be replaced.")
        else:
            text = ""
        self.note.setText(text)
        self.note.setVisible(bool(text))

    # ---- what is asked for -------------------------------------------------------------------

    def _form_changed(self) -> None:
        path = self.path()
        if self._named and path is not None:
            self.file.setText(str(path))
        self._over()

    def _typed(self) -> None:
        self._named = True
        self._over()

    def _over(self) -> None:
        """What an earlier export came to is no longer about what is chosen."""
        if self._state.stage not in _BUSY:
            self._state = ExportState()
        self._show()

    def _browse(self) -> None:
        title, suffix = FORMS[self._form()]
        pattern = self.tr("{0} (*{1})").format(title, suffix)
        start = str(self.path() or self._offer.folder)
        chosen, _ = QFileDialog.getSaveFileName(self, self.tr("Export to"), start, pattern)
        if chosen:
            self.file.setText(chosen)
            self._typed()

    def _start(self) -> None:
        path = self.path()
        if path is None:
            self.file.setFocus()
            return
        self._named = True
        self.file.setText(str(path))
        self.export_requested.emit(path, self.options())
