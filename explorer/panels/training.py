"""Training: its settings, its buttons, and how it stands, with live curves."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import (
    QBoxLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from engine.train import Report, TrainSettings
from explorer import theme
from explorer.narration import percent
from explorer.panels.curves import Curves
from explorer.panels.training_form import TrainingForm
from explorer.tensors.scales import format_number

STATES = ("idle", "starting", "running", "paused", "stopped", "finished", "failed")
_BUSY = ("starting", "running", "paused")


class TrainingPanel(QWidget):
    """Asks for training to start, pause, resume and stop; shows what it reports."""

    start_requested = Signal(object, str)  # TrainSettings, name of the data set
    pause_requested = Signal()
    resume_requested = Signal()
    stop_requested = Signal()
    go_on_requested = Signal()  # with the run that was stopped
    restore_requested = Signal()  # back to the weights from before

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = "idle"
        self._reports: Sequence[Report] = ()
        self._can_restore = False
        self._epoch: int | None = None
        m = theme.metrics()
        self.setAccessibleName(self.tr("Training"))
        form = self.form = TrainingForm()
        self.dataset, self.optimizer, self.fields = form.dataset, form.optimizer, form.fields
        buttons = QHBoxLayout()
        buttons.setSpacing(m.space_2)
        self.start = QPushButton(theme.icon("train", "text_on_accent"), self.tr("Start"))
        self.start.setProperty("primary", True)
        self.pause = QPushButton(theme.icon("pause"), self.tr("Pause"))
        self.stop = QPushButton(theme.icon("stop"), self.tr("Stop"))
        for button in (self.start, self.pause, self.stop):
            buttons.addWidget(button)
        self.go_on = QPushButton(theme.icon("play"), "")
        self.go_on.setToolTip(
            self.tr("The run that was stopped goes on as if it had not been: its settings count.")
        )
        self.restore = QPushButton(theme.icon("undo"), self.tr("Restore weights from before"))
        self.message = QLabel()
        self.message.setWordWrap(True)
        # Above what scrolls: Start and Stop are in sight however low the panel is.
        self._strip = QBoxLayout(QBoxLayout.Direction.TopToBottom)
        self._strip.setContentsMargins(m.space_3, m.space_2, m.space_3, 0)
        self._strip.setSpacing(m.space_2)
        self._strip.addLayout(buttons)
        self._strip.addWidget(self.go_on)
        self._strip.addWidget(self.restore)
        self._strip.addWidget(self.message, 1)
        right = QWidget()
        box = QVBoxLayout(right)
        box.setContentsMargins(m.space_3, m.space_3, m.space_3, m.space_3)
        box.setSpacing(m.space_2)
        self.progress = QProgressBar()
        self.progress.setAccessibleName(self.tr("Progress of training"))
        self.numbers = QLabel()
        self.numbers.setFont(theme.font("number"))
        self.numbers.setWordWrap(True)
        self.numbers.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.empty = QLabel(
            self.tr("Choose a data set and press Start: loss and accuracy appear here, live.")
        )
        self.empty.setProperty("role", "muted")
        self.empty.setWordWrap(True)
        self.curves: Curves | None = None
        self._curves_place = box
        box.addWidget(self.progress)
        box.addWidget(self.numbers)
        box.addWidget(self.empty)
        box.addStretch(1)
        content = QWidget()
        self._split = QBoxLayout(QBoxLayout.Direction.TopToBottom, content)
        self._split.setContentsMargins(0, 0, 0, 0)
        self._split.setSpacing(0)
        self._split.addWidget(form, 0)
        self._split.addWidget(right, 1)
        area = QScrollArea()
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidgetResizable(True)
        area.setWidget(content)
        content.setAutoFillBackground(False)
        area.viewport().setAutoFillBackground(False)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addLayout(self._strip)
        whole.addWidget(area, 1)
        form.changed.connect(self._check)
        self.start.clicked.connect(self._start)
        self.pause.clicked.connect(self._pause)
        self.stop.clicked.connect(self.stop_requested)
        self.go_on.clicked.connect(self.go_on_requested)
        self.restore.clicked.connect(self.restore_requested)
        self.set_state("idle", "")
        self.set_datasets(())

    # ---- settings --------------------------------------------------------------------------

    def settings(self) -> TrainSettings | None:
        """The settings as they stand; None after saying at the field what is wrong."""
        return self.form.settings()

    def set_settings(self, settings: TrainSettings) -> None:
        """Show these settings, silently."""
        self.form.set_settings(settings)
        self._check()

    def set_dataset(self, name: str) -> None:
        """Choose a data set, where it is offered."""
        index = self.dataset.findText(name)
        if index >= 0:
            self.dataset.setCurrentIndex(index)

    def _check(self) -> None:
        self.start.setEnabled(
            self.settings() is not None and self._state not in _BUSY and self.dataset.count() > 0
        )

    # ---- what is shown ---------------------------------------------------------------------

    def set_datasets(self, names: Sequence[str]) -> None:
        """The data sets that fit the network; the choice is kept where it still exists."""
        names = list(names)
        shown = [self.dataset.itemText(i) for i in range(self.dataset.count())]
        if names != shown:
            chosen = self.dataset.currentText()
            self.dataset.clear()
            self.dataset.addItems(names)
            self.dataset.setCurrentIndex(max(0, self.dataset.findText(chosen)))
        self.dataset.setEnabled(bool(names) and self._state not in _BUSY)
        self.dataset.setPlaceholderText(self.tr("no data set fits this network"))
        self._check()

    def set_state(self, state: str, message: str = "") -> None:
        """How training stands; ``message`` says why it stopped or failed."""
        if state not in STATES:
            raise ValueError(f"training state {state!r}: expected one of {', '.join(STATES)}")
        self._state = state
        busy = state in _BUSY
        if busy:
            self._can_restore = True
        for widget in (self.dataset, self.optimizer, *self.fields.values()):
            widget.setEnabled(not busy)
        self.pause.setEnabled(state in ("running", "paused"))
        paused = state == "paused"
        self.pause.setText(self.tr("Resume") if paused else self.tr("Pause"))
        self.pause.setIcon(theme.icon("play" if paused else "pause"))
        self.stop.setEnabled(busy)
        self.start.setText(self.tr("Starting …") if state == "starting" else self.tr("Start"))
        self._show_ways_on()
        texts = {
            "paused": self.tr("Paused: the weights of this moment are in the network."),
            "stopped": self.tr("Stopped. The network keeps what it has learnt."),
            "finished": self.tr("Finished. The network keeps what it has learnt."),
        }
        self.message.setText(message or texts.get(state, ""))
        self.message.setProperty("role", "error" if state == "failed" else "muted")
        self.message.style().unpolish(self.message)
        self.message.style().polish(self.message)
        self.message.setVisible(bool(self.message.text()))
        self._check()

    def set_restorable(self, restorable: bool) -> None:
        """Whether there are weights from before a training to go back to."""
        self._can_restore = restorable
        self._show_ways_on()

    def set_resumable(self, epoch: int | None) -> None:
        """The epoch in which a run was stopped that can go on; None where there is none."""
        self._epoch = epoch
        self._show_ways_on()

    def _show_ways_on(self) -> None:
        idle = self._state not in _BUSY
        self.restore.setVisible(self._can_restore and idle)
        self.go_on.setVisible(self._epoch is not None and idle)
        if self._epoch is not None:
            self.go_on.setText(self.tr("Go on from epoch {0}").format(self._epoch))

    def set_reports(self, reports: Sequence[Report]) -> None:
        """All reports of the run so far, oldest first."""
        self._reports = reports
        self._show_reports()

    def _show_reports(self) -> None:
        last = self._reports[-1] if self._reports else None
        self.empty.setVisible(last is None)
        self.progress.setVisible(last is not None)
        self.numbers.setVisible(last is not None)
        if self.curves is not None:
            self.curves.setVisible(last is not None)
            if self.isVisible():
                self.curves.set_reports(self._reports)
        self._place_results()
        if last is None:
            return
        self.progress.setRange(0, last.steps_total)
        self.progress.setValue(last.step)
        self.progress.setFormat(
            self.tr("step {step} of {total}, epoch {epoch}").format(
                step=last.step, total=last.steps_total, epoch=last.epoch
            )
        )
        parts = [
            self.tr("loss {0}").format(format_number(last.loss)),
            self.tr("accuracy {0}").format(percent(last.accuracy)),
        ]
        if last.validation_accuracy is not None:
            parts.append(self.tr("held-out {0}").format(percent(last.validation_accuracy)))
        if last.validation_loss is not None:
            parts.append(self.tr("held-out loss {0}").format(format_number(last.validation_loss)))
        parts.append(self.tr("learning rate {0}").format(format_number(last.learning_rate)))
        parts.append(self.tr("{0:.0f} samples/s").format(last.samples_per_second))
        parts.append(self.tr("{0:.1f} s").format(last.seconds))
        self.numbers.setText(" · ".join(parts))

    # ---- requests and events ---------------------------------------------------------------

    def _start(self) -> None:
        settings = self.settings()
        if settings is not None and self.dataset.currentText():
            self.start_requested.emit(settings, self.dataset.currentText())

    def _pause(self) -> None:
        if self._state == "paused":
            self.resume_requested.emit()
        else:
            self.pause_requested.emit()

    def showEvent(self, event: QShowEvent) -> None:
        # The plotting library is imported here, and not when the window opens.
        if self.curves is None:
            self.curves = Curves()
            self._curves_place.insertWidget(2, self.curves, 100)
        super().showEvent(event)
        self._show_reports()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place_results()

    def _place_results(self) -> None:
        """Beside the settings where there is room, else above them: curves are to be seen live."""
        wide = self.width() > 17 * theme.metrics().strip_height
        direction = QBoxLayout.Direction.LeftToRight if wide else QBoxLayout.Direction.TopToBottom
        below = QBoxLayout.Direction.BottomToTop
        self._split.setDirection(below if self._reports and not wide else direction)
        self._strip.setDirection(direction)
        self.form.setMaximumWidth(9 * theme.metrics().strip_height if wide else 16777215)
