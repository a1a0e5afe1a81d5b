"""The panel: choosers of measure and order, the legend, the plot and the rules that were met."""

from __future__ import annotations

import time

from PySide6.QtCore import QEvent, Qt, QTimer, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from engine.flow import Flow, Meter
from engine.graph import Graph
from engine.trace import Trace
from explorer import theme
from explorer.panels.flow.plot import FlowPlot
from explorer.panels.flow.words import (
    MEASURES,
    ORDERS,
    measure_name,
    order_name,
    ordered,
    rules_of,
)
from explorer.panels.labels import wrapped

SLICE = 0.008
"""Seconds for which tensors are measured at a time; the rest waits for the next turn."""


class FlowPanel(QWidget):
    """Follows the cursor: what flowed forward and came back when ``position`` steps had run."""

    select_requested = Signal(object)  # frozenset of ids

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._graph = Graph()
        self._trace: Trace | None = None
        self._position = 0
        self._meter: Meter | None = None
        self._flows: tuple[Flow, ...] = ()
        self._stale = False
        m = theme.metrics()
        self.setAccessibleName(self.tr("Gradient flow"))
        self.measure, self.order = QComboBox(), QComboBox()
        for measure in MEASURES:
            self.measure.addItem(measure_name(measure), measure)
        for order in ORDERS:
            self.order.addItem(order_name(order), order)
        self.measure.setAccessibleName(self.tr("What is measured"))
        self.order.setAccessibleName(self.tr("Order of the layers"))
        self.keep = QToolButton()
        self.keep.setCheckable(True)
        self.keep.setText(self.tr("Compare"))
        self.keep.setToolTip(
            self.tr("Keep these numbers as lines across the bars, to compare with what comes next")
        )
        self.keep.toggled.connect(self._keep)
        self.legend = QLabel()
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.legend.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.legend.setMinimumWidth(1)
        self.rules = wrapped("warning", selectable=True)
        self.rules.setAccessibleName(self.tr("What is wrong, and by which rule"))
        self.plot = FlowPlot()
        self.setFocusProxy(self.plot)
        head = QHBoxLayout()
        head.setContentsMargins(m.space_2, m.space_1, m.space_2, 0)
        head.setSpacing(m.space_2)
        head.addWidget(self.measure)
        head.addWidget(self.order)
        head.addWidget(self.keep)
        head.addWidget(self.legend, 1)
        foot = QHBoxLayout()
        foot.setContentsMargins(m.space_2, 0, m.space_2, m.space_1)
        foot.addWidget(self.rules)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(head)
        column.addWidget(self.plot, 1)
        column.addLayout(foot)
        self.measure.currentIndexChanged.connect(self._show)
        self.order.currentIndexChanged.connect(self._show)
        self.plot.select_requested.connect(self.select_requested)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self._measure)
        theme.theme().changed.connect(self._restyle)
        self._restyle()
        self._show()

    # ---- what is shown ---------------------------------------------------------------------

    def set_run(self, graph: Graph, trace: Trace | None, position: int) -> None:
        """What was there when ``position`` steps had run; large tensors follow in slices."""
        if trace is not self._trace or graph is not self._graph:
            self._meter = Meter(graph, trace) if trace is not None else None
        self._graph, self._trace, self._position = graph, trace, position
        self._stale = True
        if self.isVisible():
            self._measure()

    def set_selection(self, ids: frozenset[str]) -> None:
        """Mark these nodes, without asking for it."""
        self.plot.set_selection(ids)

    @property
    def flows(self) -> tuple[Flow, ...]:
        """The tensors as they are shown, in the chosen order."""
        return self.plot.flows

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._stale:
            self._measure()

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
        rules = rules_of(self._flows)
        self.rules.setText(rules)
        self.rules.setVisible(bool(rules))
        self._show_legend()

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
        self.rules.setFont(theme.font("small"))
        self._show_legend()
