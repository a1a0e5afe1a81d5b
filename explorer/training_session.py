"""Training as the window sees it: a worker, its panel, and the document."""

from __future__ import annotations

import contextlib
import json
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer, Signal

from engine import checkpoint as checkpoints
from engine.checkpoint import CheckpointError, Standing
from engine.data import catalogue
from engine.graph import Graph
from engine.train import Report, TrainSettings
from explorer.controller import Controller
from explorer.document import Document
from explorer.notices import Notice
from explorer.worker import Worker
from explorer.worker_child import TrainTask

if TYPE_CHECKING:
    from explorer.panels.training import TrainingPanel

ADOPT_SECONDS = 0.5
"""How often the picture on the canvas is run again with the newest weights."""
SHOW_SECONDS = 0.2
"""How often the curves are drawn anew: they cost more than all else that a report brings."""
MOST_REPORTS = 2_000
"""Beyond this every other report of the curves is left out; those with a validation stay."""
LOOK_MILLISECONDS = 300
"""How long after an edit a run of the network is looked for that can be gone on with."""


class TrainingSession(QObject):
    """Starts, pauses and stops training; brings its weights into the document."""

    progressed = Signal(int, int)
    """Steps done, and of how many, a few times a second."""
    state_changed = Signal(str)

    def __init__(
        self, document: Document, controller: Controller, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.document, self.controller = document, controller
        self.worker = Worker(self)
        self.reports: list[Report] = []
        self.last_settings = TrainSettings()
        self.last_dataset = "digits"
        self._panel: TrainingPanel | None = None
        self._adopted = self._shown = 0.0
        self._outcome = ("idle", "")
        self._seen: Any = None
        self._standing: Standing | None = None
        self._look = QTimer(self)
        self._look.setSingleShot(True)
        self._look.setInterval(LOOK_MILLISECONDS)
        self._look.timeout.connect(self._look_for_run)
        self.worker.noted.connect(lambda text: controller.notice.emit(Notice("info", text)))
        self.worker.reported.connect(self._reported)
        self.worker.finished.connect(self._finished)
        self.worker.failed.connect(self._failed)
        self.worker.state_changed.connect(self._show_state)
        self.worker.state_changed.connect(self.state_changed)
        controller.project_replaced.connect(self._abandon)
        document.identity_changed.connect(self._read_settings)
        document.network_changed.connect(self._network_changed)

    def attach(self, panel: TrainingPanel) -> None:
        """Connect the panel, when it is first shown."""
        self._panel = panel
        panel.set_datasets(tuple(catalogue.SHIPPED))
        panel.set_settings(self.last_settings)
        panel.start_requested.connect(self.start)
        panel.go_on_requested.connect(self.go_on)
        panel.pause_requested.connect(self.worker.pause)
        panel.resume_requested.connect(self.worker.resume)
        panel.stop_requested.connect(self.stop)
        panel.restore_requested.connect(self.controller.restore_weights)
        panel.set_reports(tuple(self.reports))
        self._show_state(self.worker.state)
        self._look_for_run()

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

    # ---- starting, and going on ------------------------------------------------------------

    def start(self, settings: TrainSettings, dataset: str) -> None:
        """Train the network of the document; says why not when it cannot."""
        self._begin(settings, dataset, resume=False)

    def go_on(self) -> None:
        """Go on with the run of this network that was stopped, with its settings."""
        self._look_for_run()
        standing = self._standing
        if standing is None:
            self.controller.notice.emit(
                Notice("info", self.tr("No run of this network was stopped: start a new one."))
            )
            return
        if self._panel is not None:
            self._panel.set_settings(standing.settings)
            self._panel.set_dataset(standing.source)
        self._begin(standing.settings, standing.source, resume=True)

    def _begin(self, settings: TrainSettings, dataset: str, *, resume: bool) -> None:
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
        # the curves go on where they ended, if it is they that are shown
        step = self._standing.step if resume and self._standing else 0
        self.reports = [report for report in self.reports if report.step <= step]
        self._outcome = ("idle", "")
        self.controller.before_training()
        self._show_reports()
        self.worker.start(
            TrainTask(
                document.graph,
                dict(document.parameters),
                dataset,
                document.preprocessing,
                settings,
                self.place_of(document.graph),
                resume,
            )
        )

    def place_of(self, graph: Graph) -> Path:
        """The file in which a run of this network is kept."""
        text = json.dumps(graph.to_dict(), sort_keys=True, default=str)
        folder = self.controller.settings.path.parent / "checkpoints"
        return folder / f"{zlib.crc32(text.encode()):08x}.checkpoint"

    def _network_changed(self) -> None:
        """A run belongs to one network: offer it no longer, and look for another in a while."""
        if self._standing is not None and self._standing.graph != self.document.graph:
            self._offer(None)
        self._look.start()

    def _look_for_run(self) -> None:
        """Offer to go on with a run of this network, where one was stopped."""
        if self.worker.busy or not self.document.inference.valid:
            return
        standing = None
        # a file that cannot be read is no offer
        with contextlib.suppress(CheckpointError):
            path = self.place_of(self.document.graph)
            if path.exists():
                standing = checkpoints.standing(path)
        if standing is not None and (
            standing.graph != self.document.graph
            or standing.finished
            or standing.source not in catalogue.SHIPPED
        ):
            standing = None
        self._offer(standing)

    def _offer(self, standing: Standing | None) -> None:
        self._standing = standing
        if self._panel is not None:
            self._panel.set_resumable(None if standing is None else standing.epoch)

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
        if self.reports and self.worker.busy:
            self.progressed.emit(self.reports[-1].step, self.reports[-1].steps_total)
        if self._panel is not None:
            self._panel.set_reports(tuple(self.reports))

    def _finished(self, how: object) -> None:
        self._adopt()
        self._show_reports()
        self._outcome = ("stopped" if how == "stopped" else "finished", "")
        self._look_for_run()
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
        self._look_for_run()
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


def thinned(reports: list[Report]) -> list[Report]:
    """Every other report, and those that brought a new validation, and the last."""
    kept = []
    for i, report in enumerate(reports):
        new = i > 0 and report.validation_loss != reports[i - 1].validation_loss
        if i % 2 == 0 or new or i == len(reports) - 1:
            kept.append(report)
    return kept
