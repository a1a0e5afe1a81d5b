"""The panel: what is measured and how it is sorted, the plot, its legend, the rules that were met.

It follows the cursor of the run on the canvas, or shows training over its steps.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Sequence
from typing import Literal

from PySide6.QtCore import QEvent, Qt, QTimer, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from engine.flow import Flow, Meter
from engine.graph import Graph
from engine.statistics import Statistics
from engine.trace import Trace
from engine.training_flow import MEASURES as TRAINING_MEASURES
from engine.training_flow import TrainingFlow
from explorer import theme
from explorer.panels.flow.over_training import ORDERS as TRAINING_ORDERS
from explorer.panels.flow.over_training import FlowMap
from explorer.panels.flow.plot import FlowPlot
from explorer.panels.flow.words import (
    MEASURES,
    ORDERS,
    measure_name,
    order_name,
    ordered,
    rules_of,
    rules_over,
    training_measure_name,
    training_order_name,
)
from explorer.panels.labels import wrapped
from explorer.plate import Plate

SLICE = 0.008
"""Seconds for which tensors are measured at a time; the rest waits for the next turn."""

Mode = Literal["cursor", "training"]


class FlowPanel(QWidget):
    """What flowed forward and came back: when ``position`` steps had run, or over training."""

    select_requested = Signal(object)  # frozenset of ids
    backward_requested = Signal()  # run through to the end, so that there are gradients
    train_requested = Signal()
    weights_requested = Signal()  # make weights, without which nothing flows
    save_requested = Signal(object)  # Plate

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._graph = Graph()
        self._trace: Trace | None = None
        self._position = 0
        self._meter: Meter | None = None
        self._flows: tuple[Flow, ...] = ()
        self._runs: tuple[TrainingFlow, ...] = ()
        self._others: tuple[TrainingFlow, ...] = ()
        self._training = False
        self._weightless = False
        self._stale = self._runs_stale = False
        m = theme.metrics()
        self.setAccessibleName(self.tr("Gradient flow"))
        self.cursor_mode, self.training_mode = QToolButton(), QToolButton()
        self._modes = QButtonGroup(self)
        for button, text, tip in (
            (
                self.cursor_mode,
                self.tr("At the cursor"),
                self.tr("What flowed through each layer for the picture, up to the step in sight"),
            ),
            (
                self.training_mode,
                self.tr("Over training"),
                self.tr("What flowed through each layer in the batches of training"),
            ),
        ):
            button.setText(text)
            button.setToolTip(tip)
            button.setCheckable(True)
            button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            self._modes.addButton(button)
        self.cursor_mode.setChecked(True)
        self.measure, self.order = self._box(), self._box()
        for measure in MEASURES:
            self.measure.addItem(measure_name(measure), measure)
        for order in ORDERS:
            self.order.addItem(order_name(order), order)
        self.training_measure, self.training_order = self._box(), self._box()
        for over in TRAINING_MEASURES:
            self.training_measure.addItem(training_measure_name(over), over)
        for rows in TRAINING_ORDERS:
            self.training_order.addItem(training_order_name(rows), rows)
        for box in (self.measure, self.training_measure):
            box.setAccessibleName(self.tr("What is measured"))
        for box in (self.order, self.training_order):
            box.setAccessibleName(self.tr("Order of the layers"))
        self.beside = self._box()
        self.beside.setAccessibleName(self.tr("Run to compare with"))
        self.beside.setToolTip(
            self.tr("Draw another run beside this one: of this network, or of one open before")
        )
        self.keep = QToolButton()
        self.keep.setCheckable(True)
        self.keep.setText(self.tr("Compare"))
        self.keep.setToolTip(
            self.tr("Keep these numbers as lines across the bars, to compare with what comes next")
        )
        self.keep.toggled.connect(self._keep)
        self.save = QToolButton()
        self.save.setIcon(theme.icon("export"))
        self.save.setToolTip(self.tr("Save the plot as a picture, or its numbers as a table"))
        self.save.setAccessibleName(self.tr("Save the plot"))
        self.save.clicked.connect(self._save)
        self.legend = QLabel()
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.legend.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.legend.setMinimumWidth(1)
        self.reading = QLabel()  # one line for each run, so that reading moves nothing
        self.reading.setTextFormat(Qt.TextFormat.PlainText)
        self.reading.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.reading.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.reading.setAccessibleName(self.tr("Numbers of the chosen layer and step"))
        self.rules = wrapped("warning", selectable=True)
        self.rules.setAccessibleName(self.tr("What is wrong, and by which rule"))
        self.hint = QLabel()
        self.hint.setWordWrap(True)
        self.hint.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.go = QPushButton()
        self.go.setProperty("primary", True)
        self.go.clicked.connect(self._go_on)
        self.plot, self.map = FlowPlot(), FlowMap()
        self._stack = QStackedWidget()
        self._stack.addWidget(self.plot)
        self._stack.addWidget(self.map)
        self.setFocusProxy(self._stack)
        self._stack.setFocusProxy(self.plot)
        head = QHBoxLayout()
        head.setContentsMargins(m.space_2, m.space_1, m.space_2, 0)
        head.setSpacing(m.space_2)
        for widget in (self.cursor_mode, self.training_mode):
            head.addWidget(widget)
        for box in (
            self.measure,
            self.training_measure,
            self.order,
            self.training_order,
            self.beside,
        ):
            head.addWidget(box, 1)
        head.addWidget(self.keep)
        head.addWidget(self.save)
        head.addStretch(0)
        texts = QHBoxLayout()
        texts.setContentsMargins(m.space_2, m.space_1, m.space_2, m.space_1)
        texts.setSpacing(m.space_2)
        texts.addWidget(self.legend, 2)
        texts.addWidget(self.reading, 2)
        texts.addWidget(self.go)
        texts.addWidget(self.hint, 3)
        foot = QHBoxLayout()
        foot.setContentsMargins(m.space_2, 0, m.space_2, m.space_1)
        foot.addWidget(self.rules)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(head)
        column.addLayout(texts)
        column.addWidget(self._stack, 1)
        column.addLayout(foot)
        self._modes.buttonClicked.connect(self._switch)
        for box in (self.measure, self.order):
            box.currentIndexChanged.connect(self._show)
        for box in (self.training_measure, self.training_order, self.beside):
            box.currentIndexChanged.connect(self._show_training)
        self.plot.select_requested.connect(self.select_requested)
        self.map.select_requested.connect(self.select_requested)
        self.map.read.connect(self._read)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self._measure)
        theme.theme().changed.connect(self._restyle)
        self._fill_beside()
        self._restyle()
        self._switch()

    @staticmethod
    def _box() -> QComboBox:
        """A chooser that takes less room than its longest entry where there is less."""
        box = QComboBox()
        box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        box.setMinimumContentsLength(8)
        box.setMaximumWidth(6 * theme.METRICS.strip_height)
        return box

    # ---- what is shown ---------------------------------------------------------------------

    def set_run(self, graph: Graph, trace: Trace | None, position: int) -> None:
        """What was there when ``position`` steps had run; large tensors follow in slices."""
        if trace is not self._trace or graph is not self._graph:
            self._meter = Meter(graph, trace) if trace is not None else None
        self._graph, self._trace, self._position = graph, trace, position
        self._stale = True
        if self.isVisible():
            self._measure()

    def set_weightless(self, on: bool) -> None:
        """Whether nothing can flow because the network has no weights: then they are offered."""
        if on != self._weightless:
            self._weightless = on
            self.plot.set_weightless(on)
            self._show_texts()

    def set_training(
        self,
        runs: Sequence[TrainingFlow],
        others: Sequence[TrainingFlow] = (),
        busy: bool = False,
    ) -> None:
        """Runs of this network, the newest last, and of others that were open before.

        ``busy``: one is under way.
        """
        self._runs, self._others, self._training = tuple(runs), tuple(others), busy
        self._runs_stale = True
        if self.isVisible():
            self._take_runs()

    def set_selection(self, ids: frozenset[str]) -> None:
        """Mark these nodes, without asking for it."""
        self.plot.set_selection(ids)
        self.map.set_selection(ids)

    def set_mode(self, mode: Mode) -> None:
        """Follow the cursor, or show training over its steps."""
        (self.training_mode if mode == "training" else self.cursor_mode).setChecked(True)
        self._switch()

    @property
    def mode(self) -> Mode:
        """Which of both is shown."""
        return "training" if self.training_mode.isChecked() else "cursor"

    @property
    def flows(self) -> tuple[Flow, ...]:
        """The tensors as they are shown, in the chosen order."""
        return self.plot.flows

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._stale:
            self._measure()
        if self._runs_stale:
            self._take_runs()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self._restyle()

    def _measure(self) -> None:
        """Measure what is new for a few milliseconds, show it, and go on in the next turn."""
        flows: tuple[Flow, ...] = ()
        self._stale = False
        if self._meter is not None:
            end = time.perf_counter() + SLICE
            started = [False]

            def going_on() -> bool:
                first, started[0] = not started[0], True
                return first or time.perf_counter() < end

            flows = self._meter.at(self._position, going_on)
            if not self._meter.complete:
                self._stale = True
                if self.isVisible():
                    self._soon.start()
        self._flows = flows
        self._show()

    def _show(self) -> None:
        measure, order = self.measure.currentData(), self.order.currentData()
        self.plot.set_flows(ordered(self._flows, order, measure), measure, bool(self._graph.nodes))
        self._show_texts()

    # ---- over training ---------------------------------------------------------------------

    def _take_runs(self) -> None:
        self._runs_stale = False
        self._fill_beside()
        self._show_training()

    def _fill_beside(self) -> None:
        """Offer the other runs; the one that was chosen stays."""
        chosen = self.beside.currentText()
        others = [run for run in (*self._runs[-2::-1], *self._others[::-1]) if run.steps]
        self.beside.blockSignals(True)
        self.beside.clear()
        self.beside.addItem(self.tr("Compare with …"), None)
        for run in others:
            self.beside.addItem(run.title, run)
        self.beside.setCurrentIndex(max(0, self.beside.findText(chosen)))
        self.beside.setEnabled(bool(others))
        self.beside.blockSignals(False)

    def _show_training(self) -> None:
        run = self._runs[-1] if self._runs else None
        self.map.set_measure(self.training_measure.currentData(), self.training_order.currentData())
        self.map.set_runs(run, self.beside.currentData() if run is not None else None)
        self._show_texts()

    def _switch(self) -> None:
        over = self.mode == "training"
        for widget in (self.measure, self.order, self.keep):
            widget.setVisible(not over)
        for widget in (self.training_measure, self.training_order, self.beside):
            widget.setVisible(over)
        shown = self.map if over else self.plot
        self._stack.setCurrentWidget(shown)
        self._stack.setFocusProxy(shown)
        self._show()
        self._show_training()

    # ---- texts -----------------------------------------------------------------------------

    def _read(self, text: str) -> None:
        if self.mode == "training":
            self.reading.setText(text)
            self.reading.setToolTip(text)

    def _show_texts(self) -> None:
        """Legend or reading, the rules that were met, and what to press where nothing is there."""
        over = self.mode == "training"
        run = self._runs[-1] if self._runs and self._runs[-1].steps else None
        rules = rules_of(self._flows)
        if over:
            signs = ("━ ", "╍ ") if len(self.map.runs) > 1 else ("",)
            rules = "\n".join(
                f"{sign}{line}"
                for sign, shown in zip(signs, self.map.runs, strict=False)
                for line in rules_over(shown).splitlines()
            )
            self._read(self.map.reading())
        self.rules.setText(rules)
        self.rules.setVisible(bool(rules))
        self.legend.setVisible(not over)
        self.reading.setVisible(over and run is not None)
        self.save.setEnabled(bool(run if over else self._flows))
        self._show_legend()
        self._show_hint(over, run)

    def _show_hint(self, over: bool, run: TrainingFlow | None) -> None:
        text = button = ""
        trainable = bool(self._graph.losses) and bool(self._graph.nodes)
        if over and run is None and self._training:
            text = self.tr("Training begins: its first step is measured.")
        elif self._weightless:
            button = self.tr("New random weights")
            # at the cursor the empty plot says why
            text = self.tr("The network has no weights to be trained.") if over else ""
        elif over and run is None and trainable:
            button = self.tr("Train")
            text = self.tr(
                "Nothing was trained yet: training draws here, layer by layer and step by step, "
                "how large the gradients are."
            )
        elif over and run is None:
            text = self.tr("Add layers and a loss, then train, to see what flows.")
        elif not over and trainable and self._flows and self._meter is not None:
            known = any(flow.gradient is not None for flow in self._flows)
            if not known and self._meter.complete:
                button = self.tr("Run backward")
                text = self.tr("No gradient yet: run through the loss and the backward pass.")
        self.hint.setText(text)
        self.go.setText(button)
        self.go.setVisible(bool(button))
        self.hint.setVisible(bool(text))

    def _go_on(self) -> None:
        if self._weightless:
            self.weights_requested.emit()
        elif self.mode == "training":
            self.train_requested.emit()
        else:
            self.backward_requested.emit()

    def _keep(self, on: bool) -> None:
        """Another picture, other weights or another position is compared with this one."""
        self.plot.set_kept(self._flows if on else ())
        self._show_legend()

    def _show_legend(self) -> None:
        tokens = theme.current()
        entries = [
            (tokens.forward, "■", self.tr("activations")),
            (tokens.backward, "■", self.tr("gradients")),
        ]
        if any(flow.weight_ratio is not None for flow in self._flows):
            entries.append((tokens.phase_update, "◆", self.tr("weights ‖∂W‖ / ‖W‖")))
        if any(flow.forked and flow.gradient is not None for flow in self._flows):
            entries.append((tokens.phase_accumulate, "▬", self.tr("added up")))
        if self.keep.isChecked():
            entries.append((tokens.text, "―", self.tr("kept")))
        self.legend.setText(
            "&nbsp;&nbsp; ".join(
                f'<span style="color:{colour}">{sign}</span>&nbsp;{text.replace(" ", "&nbsp;")}'
                for colour, sign, text in entries
            )
        )

    def _restyle(self) -> None:
        self.legend.setFont(theme.font("small"))
        self.reading.setFont(theme.font("small"))
        self.rules.setFont(theme.font("body"))
        self.save.setIcon(theme.icon("export"))
        self._show_legend()

    # ---- saving ----------------------------------------------------------------------------

    def _save(self) -> None:
        """Ask for the plot to be written, as it is now."""
        if self.mode == "training" and self.map.runs:
            runs = self.map.runs
            self.save_requested.emit(
                Plate(
                    self.tr("Flow of {0}").format(runs[0].title),
                    self.map.whole_size(),
                    self.map.paint_whole,
                    lambda: table_over(runs),
                )
            )
        elif self.mode == "cursor" and self._flows:
            flows = self.plot.flows
            self.save_requested.emit(
                Plate(
                    self.tr("Flow of {0}").format(self._graph.name),
                    self.plot.whole_size(),
                    self.plot.paint_whole,
                    lambda: table_of(flows),
                )
            )


def table_over(runs: Sequence[TrainingFlow]) -> str:
    """The points of runs as CSV, with the title of the run as the first column."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for number, run in enumerate(runs):
        rows = csv.reader(run.table())
        for line, row in enumerate(rows):
            if line or not number:
                writer.writerow([run.title if line else "run", *row])
    return out.getvalue()


def table_of(flows: Sequence[Flow]) -> str:
    """The tensors of one run as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = ("norm", "mean", "spread", "zero_share")
    heads = [f"{kind}_{name}" for kind in ("value", "gradient") for name in names]
    writer.writerow(["tensor", *heads, "weight_ratio", "dead", "units", "flags"])

    def cells(found: Statistics | None) -> list[str]:
        return ["" if found is None else f"{getattr(found, name):.9g}" for name in names]

    for flow in flows:
        ratio = "" if flow.weight_ratio is None else f"{flow.weight_ratio:.9g}"
        writer.writerow(
            [
                flow.name,
                *cells(flow.value),
                *cells(flow.gradient),
                ratio,
                flow.dead,
                flow.units,
                " / ".join(flow.flags),
            ]
        )
    return out.getvalue()
