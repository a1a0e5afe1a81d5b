"""Export as the window sees it: a worker, its dialog, and what came of it in words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QUrl
from PySide6.QtGui import QDesktopServices

from engine.export import Exported, ExportOptions
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.log_softmax import LogSoftmax
from engine.layers.softmax import Softmax
from explorer.controller import Controller
from explorer.document import Document
from explorer.export_dialog import ExportState, Offer
from explorer.notices import Notice
from explorer.tensors.scales import format_number
from explorer.worker import Worker
from explorer.worker_child import ExportTask

if TYPE_CHECKING:
    from explorer.export_dialog import ExportDialog


class ExportSession(QObject):
    """Starts and stops an export; tells its dialog, and with a notice when that is closed."""

    def __init__(
        self, document: Document, controller: Controller, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.document, self.controller = document, controller
        self.worker = Worker(self)
        self.state = ExportState()
        self._dialog: ExportDialog | None = None
        self._path = Path()
        self.worker.reported.connect(self._reported)
        self.worker.finished.connect(self._finished)
        self.worker.failed.connect(self._failed)
        document.network_changed.connect(self._show_network)
        document.identity_changed.connect(self._show_network)

    def attach(self, dialog: ExportDialog) -> None:
        """Connect the dialog, when it is first shown."""
        self._dialog = dialog
        settings = self.controller.settings
        dialog.set_options(ExportOptions.from_dict(settings["export"]))
        dialog.export_requested.connect(self.start)
        dialog.stop_requested.connect(self.worker.stop)
        dialog.folder_requested.connect(self.show_folder)
        self._show_network()
        dialog.set_state(self.state)

    def _show_network(self) -> None:
        if self._dialog is None:
            return
        graph, document = self.document.graph, self.document
        ends = [graph.by_id[ref[0]].layer for _, ref in graph.outputs if ref[0] in graph.by_id]
        results = {ref for _, ref in graph.outputs}
        self._dialog.set_offer(
            Offer(
                document.title,
                Path(self.controller.settings["last_folder"] or Path.home()),
                adds=any(loss.input in results for loss in graph.losses),
                removes=any(isinstance(layer, Softmax | LogSoftmax) for layer in ends),
                merges=any(isinstance(node.layer, BatchNorm2d) for node in graph.nodes),
                problem=self.problem(),
            )
        )

    def problem(self) -> str:
        """Why the network cannot be exported as it stands; empty where it can."""
        document = self.document
        if not document.graph.nodes:
            return self.tr("The network is empty: add a layer first.")
        for node_id, error in document.inference.errors.items():
            text = str(error)
            named = text if node_id in text else f"{node_id}: {text}"
            return self.tr("Mend the network before exporting. {0}").format(named)
        return document.structure_text() if document.structure_only else ""

    def start(self, path: Path, options: ExportOptions) -> None:
        """Write the network to ``path``, beside the window's work; says why not where it cannot."""
        if self.worker.busy:
            self.controller.notice.emit(Notice("info", self.tr("An export is under way.")))
            return
        if problem := self.problem():
            self._set_state(ExportState("failed", message=problem))
            return
        settings, document = self.controller.settings, self.document
        settings.set("export", options.as_dict())
        settings.set("last_folder", str(path.parent))
        self._path = path
        self._set_state(ExportState("writing"))
        self.worker.start(
            ExportTask(
                document.graph,
                dict(document.parameters),
                path,
                document.preprocessing,
                document.metadata,
                options,
            )
        )

    def close(self) -> None:
        """The window closes: no process outlives it; what was half written is removed."""
        self.worker.close()

    def show_folder(self) -> None:
        """Open the folder of what was written in the system's file manager."""
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._path.parent)))

    # ---- what the worker says ----------------------------------------------------------------

    def _reported(self, report: tuple[str, float]) -> None:
        stage, share = report
        self._set_state(ExportState("comparing" if stage == "compare" else "writing", share))

    def _finished(self, found: object) -> None:
        if isinstance(found, Exported):
            agrees = found.check is None or found.check.agrees
            text = self.words(found)
            self._end(ExportState("done" if agrees else "differs", 1.0, text), "success")
        elif self.state.stage == "comparing":
            text = self.tr("Wrote {0}; it was not compared.").format(self._path.name)
            self._end(ExportState("done", 1.0, text), "info")
        else:
            text = self.tr("The export was stopped; nothing was written.")
            self._end(ExportState("stopped", 0.0, text), "info")

    def _failed(self, text: str) -> None:
        self._end(ExportState("failed", message=text), "error")

    def _end(self, state: ExportState, level: str) -> None:
        self._set_state(state)
        if state.stage == "differs":
            level = "error"
        if self._dialog is None or not self._dialog.isVisible():
            self.controller.notice.emit(Notice(level, state.message))  # type: ignore[arg-type]

    def _set_state(self, state: ExportState) -> None:
        self.state = state
        if self._dialog is not None:
            self._dialog.set_state(state)

    def words(self, found: Exported) -> str:
        """What was written, and how far the other engine's numbers are from ours."""
        sizes = [self.tr("{0} ({1})").format(p.name, _size(p)) for p in found.files]
        parts = [self.tr("Wrote {0}.").format(self.tr(" and ").join(sizes))]
        if found.unchecked:
            parts.append(self.tr("It was not compared: {0}").format(found.unchecked))
        check = found.check
        if check is not None:
            told = (
                self.tr("On {1} random samples {0} computes the same: {2}.")
                if check.agrees
                else self.tr("On {1} random samples {0} computes something else: {2}.")
            )
            numbers = self.tr(
                "the largest difference is {0}, where numbers reach {1}; relative {2}"
            ).format(
                format_number(check.difference),
                format_number(check.largest),
                format_number(check.relative),
            )
            parts.append(told.format(check.engine, check.samples, numbers))
        return " ".join(parts)


def _size(path: Path) -> str:
    """The size of a file as people say it."""
    try:
        size = float(path.stat().st_size)
    except OSError:
        return "?"
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" or size >= 10 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
