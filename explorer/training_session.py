"""Training and export as the window sees them: a worker, its panel, and the document."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject

from engine.data import catalogue
from engine.train import Report, TrainSettings
from explorer.controller import Controller
from explorer.document import Document
from explorer.notices import Notice
from explorer.worker import Worker
from explorer.worker_child import ExportTask, TrainTask

if TYPE_CHECKING:
    from explorer.panels.training import TrainingPanel

ADOPT_SECONDS = 0.5
"""How often the picture on the canvas is run again with the newest weights."""
SHOW_SECONDS = 0.2
"""How often the curves are drawn anew: they cost more than all else that a report brings."""
MOST_REPORTS = 2_000
"""Beyond this every other report of the curves is left out; those with a validation stay."""


class TrainingSession(QObject):
    """Starts, pauses and stops training; brings its weights into the document."""

    def __init__(
        self, document: Document, controller: Controller, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.document, self.controller = document, controller
        self.worker = Worker(self)
        self.exporter = Worker(self)
        self.reports: list[Report] = []
        self.last_settings = TrainSettings()
        self.last_dataset = "digits"
        self._panel: TrainingPanel | None = None
        self._adopted = self._shown = 0.0
        self._outcome = ("idle", "")
        self._seen: Any = None
        self.worker.reported.connect(self._reported)
        self.worker.finished.connect(self._finished)
        self.worker.failed.connect(self._failed)
        self.worker.state_changed.connect(self._show_state)
        self.exporter.finished.connect(self._exported)
        self.exporter.failed.connect(lambda text: controller.notice.emit(Notice("error", text)))
        controller.project_replaced.connect(self._abandon)
        document.identity_changed.connect(self._read_settings)

    def attach(self, panel: TrainingPanel) -> None:
        """Connect the panel, when it is first shown."""
        self._panel = panel
        panel.set_datasets(tuple(catalogue.SHIPPED))
        panel.set_settings(self.last_settings)
        panel.start_requested.connect(self.start)
        panel.pause_requested.connect(self.worker.pause)
        panel.resume_requested.connect(self.worker.resume)
        panel.stop_requested.connect(self.stop)
        panel.restore_requested.connect(self.controller.restore_weights)
        panel.set_reports(tuple(self.reports))
        self._show_state(self.worker.state)

    def _abandon(self) -> None:
        """Another project comes: training of this one ends, and its weights go nowhere else."""
        self.worker.close()
        self.reports = []
        self._outcome = ("idle", "")
        if self._panel is not None:
            self._panel.set_reports(())
            self._panel.set_restorable(False)
            self._show_state("idle")
        self._seen = None

    def _read_settings(self) -> None:
        """Take over the training settings of a project that was opened."""
        stored = self.document.settings.get("training")
        if self.worker.busy or not stored or stored == self._seen:
            return
        self._seen = stored
        try:
            self.last_settings = TrainSettings.from_dict(stored)
        except ValueError:
            return  # written by another program: the last ones serve
        dataset = self.document.settings.get("dataset")
        if isinstance(dataset, str):
            self.last_dataset = dataset
        if self._panel is not None:
            self._panel.set_settings(self.last_settings)

    def start(self, settings: TrainSettings, dataset: str) -> None:
        """Train the network of the document; says why not when it cannot."""
        document = self.document
        if self.worker.busy:
            self.controller.notice.emit(
                Notice("info", self.tr("Training is under way: stop it first."))
            )
            return
        if document.structure_only:
            self._fail(document.structure_text())
            return
        if not document.inference.valid or document.preprocessing is None:
            text = self._problem() or self.tr("The network has no picture input.")
            self._fail(self.tr("Training needs a network without errors. {0}").format(text))
            return
        self.last_settings, self.last_dataset = settings, dataset
        self._seen = settings.as_dict()
        document.set_settings(training=self._seen, dataset=dataset)
        self.reports = []
        self._outcome = ("idle", "")
        self.controller.before_training()
        if self._panel is not None:
            self._panel.set_reports(())
        self.worker.start(
            TrainTask(
                document.graph,
                dict(document.parameters),
                dataset,
                document.preprocessing,
                settings,
            )
        )

    def start_with_last_settings(self) -> None:
        """Start as the panel says, or as the last time."""
        if self._panel is not None:
            self._panel.start.click()
        else:
            self.start(self.last_settings, self.last_dataset)

    def toggle_pause(self) -> None:
        """Hold or go on."""
        if self.worker.state == "paused":
            self.worker.resume()
        else:
            self.worker.pause()

    def stop(self) -> None:
        """End after the current step; the weights reached are kept."""
        self.worker.stop()

    def close(self) -> None:
        """The window closes: no process outlives it. What was reached is kept."""
        training = self.worker.busy
        self.worker.close()
        if training:
            self._adopt()
        self.exporter.close()

    def _adopt(self) -> None:
        parameters = self.worker.parameters()
        # weights of a network that was edited meanwhile are taken where they still fit
        if parameters is not None:
            self.controller.adopt(parameters)
            self._adopted = time.monotonic()

    def _reported(self, report: Report) -> None:
        self.reports.append(report)
        if len(self.reports) > MOST_REPORTS:
            self.reports = thinned(self.reports)
        now = time.monotonic()
        # one or the other, so that a key pressed now does not wait for both
        if now - self._adopted > ADOPT_SECONDS:
            self._adopt()
        elif now - self._shown > SHOW_SECONDS:
            self._show_reports()

    def _show_reports(self) -> None:
        self._shown = time.monotonic()
        if self._panel is not None:
            self._panel.set_reports(tuple(self.reports))

    def _finished(self, how: object) -> None:
        self._adopt()
        self._show_reports()
        self._outcome = ("stopped" if how == "stopped" else "finished", "")
        self._show_state("idle")
        if self.reports:
            last = self.reports[-1]
            share = last.validation_accuracy
            text = (
                self.tr(
                    "Training ended after {0} steps; {1:.1%} of the held-out pictures right."
                ).format(last.step, share)
                if share is not None
                else self.tr("Training ended after {0} steps.").format(last.step)
            )
            self.controller.notice.emit(Notice("success", text))

    def _failed(self, text: str) -> None:
        self._adopt()
        self._show_reports()
        self._fail(text)

    def _fail(self, text: str) -> None:
        self._outcome = ("failed", text)
        self._show_state("idle")
        self.controller.notice.emit(Notice("error", text))

    def _show_state(self, state: str) -> None:
        if self._panel is None:
            return
        if state == "idle":
            self._panel.set_state(*self._outcome)
        elif state == "stopping":
            self._panel.set_state("running", self.tr("Stopping after this step."))
        else:
            self._panel.set_state(state, "")

    def _problem(self) -> str:
        """The first error of the network, with the layer that has it."""
        for node_id, error in self.document.inference.errors.items():
            text = str(error)
            return text if node_id in text else f"{node_id}: {text}"
        return ""

    def export(self, path: Path) -> None:
        """Write the network as ONNX, beside the window's work."""
        document = self.document
        if self.exporter.busy:
            self.controller.notice.emit(Notice("info", self.tr("An export is under way.")))
            return
        if not document.inference.valid:
            text = self._problem()
            self.controller.notice.emit(
                Notice("error", self.tr("Mend the network before exporting. {0}").format(text))
            )
            return
        if document.structure_only:
            self.controller.notice.emit(Notice("info", document.structure_text()))
            return
        self.exporter.start(
            ExportTask(
                document.graph,
                dict(document.parameters),
                path,
                document.preprocessing,
                document.metadata,
            )
        )

    def _exported(self, path: Path) -> None:
        self.controller.notice.emit(
            Notice("success", self.tr("Exported {0}.").format(Path(path).name))
        )


def thinned(reports: list[Report]) -> list[Report]:
    """Every other report, and those that brought a new validation, and the last."""
    kept = []
    for i, report in enumerate(reports):
        new = i > 0 and report.validation_loss != reports[i - 1].validation_loss
        if i % 2 == 0 or new or i == len(reports) - 1:
            kept.append(report)
    return kept
