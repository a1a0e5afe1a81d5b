"""The line at the bottom: how large the network is, and the work that goes on beside."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtWidgets import QLabel, QStatusBar, QWidget

from engine.graph import Inference
from engine.layers.base import Cost
from explorer import theme
from explorer.progress import Progress
from explorer.run_files import RunFiles
from explorer.training_session import TrainingSession


class Status(QStatusBar):
    """``text`` says how large the network is; ``recording`` and ``training`` how far they are."""

    def __init__(
        self, training: TrainingSession, run_files: RunFiles, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.text = QLabel(self)
        self.text.setContentsMargins(theme.METRICS.space_2, 0, 0, 0)
        self.addWidget(self.text, 1)
        self.recording = Progress(self.tr("Making the animation"), self)
        self.addPermanentWidget(self.recording)
        self.recording.cancel_requested.connect(run_files.cancel)
        run_files.progressed.connect(self.recording.set_progress)
        run_files.ended.connect(self.recording.hide)
        self.training = Progress(self.tr("Training"), self, cancel=self.tr("Stop"))
        self.addPermanentWidget(self.training)
        self.training.cancel_requested.connect(training.stop)
        training.progressed.connect(self.training.set_progress)
        training.state_changed.connect(self._show_training_state)
        self._show_training_state(training.worker.state)
        self.setSizeGripEnabled(False)

    def _show_training_state(self, state: str) -> None:
        if state == "idle":
            self.training.hide()

    def set_network(self, costs: Mapping[str, Cost], inference: Inference) -> None:
        """Say how large the network is, and how many layers have a problem."""
        total = sum(cost.parameters for cost in costs.values())
        work = sum(cost.multiply_adds for cost in costs.values())
        text = self.tr("{0:,} parameters · {1:,} multiply-adds per picture").format(total, work)
        if inference.errors:
            count = len(inference.errors)
            text += (
                self.tr(" · 1 problem")
                if count == 1
                else self.tr(" · {0:,} problems").format(count)
            )
        self.text.setText(text)
