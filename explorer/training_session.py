"""Training as the window sees it: a worker, its panel, and the document."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import re
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal

from engine import checkpoint as checkpoints
from engine.checkpoint import CheckpointError, Standing
from engine.data import catalogue
from engine.graph import Graph
from engine.packed import packed, unpacked
from engine.train import Report, TrainSettings
from engine.training_flow import FlowPoint, TrainingFlow
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


_FIELDS = tuple(field.name for field in dataclasses.fields(Report))
MOST_RUNS = 4
"""Runs of a project, and of those that were open before it, whose flow is kept."""
KEPT_CURVES, KEPT_FLOWS = "training_curves", "training_flow"
"""Names in the settings of a project."""


class TrainingSession(QObject):
    """Starts, pauses and stops training; brings its weights into the document.

    The curves of the last run, and what flowed through the layers in the last runs, are kept with
    the project. ``flows`` are the latter, the newest last; ``earlier_flows`` those of projects that
    were open before.
    """

    progressed = Signal(int, int)
    """Steps done, and of how many, a few times a second."""
    state_changed = Signal(str)
    flows_changed = Signal()

    def __init__(
        self, document: Document, controller: Controller, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.document, self.controller = document, controller
        self.worker = Worker(self)
        self.reports: list[Report] = []
        self.flows: tuple[TrainingFlow, ...] = ()
        self.earlier_flows: tuple[TrainingFlow, ...] = ()
        self._flow: TrainingFlow | None = None
        """The run under way, while nothing of it is measured; it may go on with the last one."""
        self._goes_on = False
        self._flow_told = QTimer(self)
        self._flow_told.setSingleShot(True)
        self._flow_told.setInterval(round(1000 * SHOW_SECONDS))
        self._flow_told.timeout.connect(self.flows_changed)
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
        self.worker.flow_measured.connect(self._flow_measured)
        self.worker.finished.connect(self._finished)
        self.worker.failed.connect(self._failed)
        self.worker.state_changed.connect(self._show_state)
        self.worker.state_changed.connect(self.state_changed)
        controller.project_replaced.connect(self._abandon)
        document.identity_changed.connect(self._read_settings)
        document.network_changed.connect(self._network_changed)
        document.renamed.connect(self._rename)
        document.loaded.connect(self._read_runs)
        document.keeping.connect(self._keep_runs)

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
        self.earlier_flows = (*self.earlier_flows, *self.flows)[-MOST_RUNS:]
        self.flows, self._flow = (), None
        self.flows_changed.emit()
        self._outcome = ("idle", "")
        if self._panel is not None:
            self._panel.set_reports(())
            self._panel.set_restorable(False)
            self._show_state("idle")
        self._seen = None

    def _keep_runs(self, kept: dict[str, Any]) -> None:
        kept[KEPT_CURVES] = reports_to_plain(self.reports)
        kept[KEPT_FLOWS] = [flow.to_plain() for flow in self.flows]

    def _read_runs(self) -> None:
        """Take over the curves and the flow of a project that was opened."""
        settings = self.document.settings
        self.reports = reports_from_plain(settings.get(KEPT_CURVES))
        stored = settings.get(KEPT_FLOWS)
        entries = stored[-MOST_RUNS:] if isinstance(stored, list) else []
        found = (TrainingFlow.from_plain(entry) for entry in entries)
        self.flows = tuple(flow for flow in found if flow is not None)
        again = {(flow.title, flow.refs, flow.steps) for flow in self.flows}
        self.earlier_flows = tuple(
            flow for flow in self.earlier_flows if (flow.title, flow.refs, flow.steps) not in again
        )
        self.flows_changed.emit()
        if self._panel is not None:
            self._panel.set_reports(tuple(self.reports))

    def _rename(self, old: str, new: str) -> None:
        self.flows = tuple(flow.renamed(old, new) for flow in self.flows)
        if self._flow is not None:
            self._flow = self._flow.renamed(old, new)
        self.flows_changed.emit()

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
            text = self.tr("The network has no weights to be trained: Train → New random weights.")
            self._fail(text)
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
        self._begin_flow(settings, step)
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

    def _begin_flow(self, settings: TrainSettings, step: int) -> None:
        """A series of its own for a run from the start; one that goes on continues the last."""
        optimizer = settings.optimizer
        title = self.tr("{0}, run {1}: {2}, learning rate {3}").format(
            self.document.title,
            1 + max((number_of(flow.title) for flow in self.flows), default=0),
            type(optimizer).__name__,
            f"{optimizer.lr:g}",
        )
        self._flow = TrainingFlow.of(self.document.graph, title)
        self._goes_on = bool(step and self.flows and self.flows[-1].refs == self._flow.refs)
        if self._goes_on:
            self._flow = self.flows[-1].until(step)

    def _flow_measured(self, point: FlowPoint) -> None:
        if self._flow is not None:
            before = self.flows[:-1] if self._goes_on else self.flows
            self.flows, self._flow = (*before, self._flow)[-MOST_RUNS:], None
        self.flows = (*self.flows[:-1], self.flows[-1].with_point(point))
        if not self._flow_told.isActive():
            self._flow_told.start()

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
        self._look.stop()
        self._flow_told.stop()
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


def number_of(title: str) -> int:
    """The number of a run in its title; 0 where there is none."""
    found = re.search(r", run (\d+): ", title)
    return int(found[1]) if found else 0


def reports_to_plain(reports: Sequence[Report]) -> dict[str, Any]:
    """For the project's settings; nothing where there are none."""
    if not reports:
        return {}
    rows = [[math.nan if x is None else x for x in dataclasses.astuple(r)] for r in reports]
    return {"fields": list(_FIELDS), "numbers": packed(np.array(rows, np.float64))}


def reports_from_plain(data: object) -> list[Report]:
    """What ``reports_to_plain`` wrote; nothing for what is no such thing."""
    if not isinstance(data, dict) or data.get("fields") != list(_FIELDS):
        return []
    try:
        rows = unpacked(data.get("numbers")).reshape(-1, len(_FIELDS))
    except ValueError:
        return []
    if len(rows) > 2 * MOST_REPORTS:
        return []
    found = []
    for row in rows.tolist():
        values: dict[str, Any] = dict(zip(_FIELDS, row, strict=True))
        for name in ("step", "steps_total", "epoch"):
            if not values[name] >= 0 or not values[name].is_integer():
                return []
            values[name] = int(values[name])
        for name in ("validation_accuracy", "validation_loss"):
            values[name] = None if math.isnan(values[name]) else values[name]
        found.append(Report(**values))
    return found


def thinned(reports: list[Report]) -> list[Report]:
    """Every other report, and those that brought a new validation, and the last."""
    kept = []
    for i, report in enumerate(reports):
        new = i > 0 and report.validation_loss != reports[i - 1].validation_loss
        if i % 2 == 0 or new or i == len(reports) - 1:
            kept.append(report)
    return kept
