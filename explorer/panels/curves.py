"""Loss and accuracy over the steps of training; pyqtgraph is imported with the first plot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QColor, QPen
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from engine.train import Report
from explorer import theme


class Curves(QWidget):
    """Two plots one above the other, over the same steps."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        import pyqtgraph as pg  # 0.15 s: after the first picture is on the screen

        self._pg = pg
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        self.plots: list[Any] = []
        self._lines: dict[str, Any] = {}
        self._legends: list[QLabel] = []
        self._shown: tuple[int, Report | None] = (0, None)
        for i in range(2):
            plot = pg.PlotWidget()
            plot.setMenuEnabled(False)
            plot.hideButtons()
            plot.setMouseEnabled(x=False, y=False)
            plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            legend = QLabel()
            legend.setTextFormat(Qt.TextFormat.RichText)
            legend.setProperty("role", "small")
            box.addWidget(legend)
            box.addWidget(plot, 1)
            self._legends.append(legend)
            self.plots.append(plot)
            if i:
                plot.setXLink(self.plots[0])
        loss, accuracy = self.plots
        for plot, key in (
            (loss, "loss"),
            (loss, "validation_loss"),
            (accuracy, "accuracy"),
            (accuracy, "validation_accuracy"),
        ):
            symbol = "o" if key.startswith("validation") else None
            self._lines[key] = plot.plot([], [], symbol=symbol, symbolSize=6)
        loss.setAccessibleName(self.tr("Loss over the steps of training"))
        accuracy.setAccessibleName(self.tr("Accuracy over the steps of training"))
        accuracy.setYRange(0, 100, padding=0.05)
        theme.theme().changed.connect(self._style)
        self._style()

    def sizeHint(self) -> QSize:
        m = theme.metrics()
        return QSize(8 * m.strip_height, 8 * m.strip_height)

    def minimumSizeHint(self) -> QSize:
        m = theme.metrics()
        return QSize(4 * m.strip_height, 5 * m.strip_height)

    def set_reports(self, reports: Sequence[Report]) -> None:
        """Draw all reports; the held-out points stand where an epoch ended."""
        shown = (len(reports), reports[-1] if reports else None)
        if shown == self._shown:
            return
        self._shown = shown
        steps = np.array([r.step for r in reports], float)
        self._lines["loss"].setData(steps, np.array([r.loss for r in reports], float))
        self._lines["accuracy"].setData(steps, np.array([100 * r.accuracy for r in reports], float))
        measured = [
            r
            for before, r in zip((None, *reports), reports, strict=False)
            if r.validation_loss is not None
            and (
                before is None
                or (before.validation_loss, before.validation_accuracy)
                != (r.validation_loss, r.validation_accuracy)
            )
        ]
        at = np.array([r.step for r in measured], float)
        self._lines["validation_loss"].setData(
            at, np.array([r.validation_loss for r in measured], float)
        )
        self._lines["validation_accuracy"].setData(
            at, np.array([100 * (r.validation_accuracy or 0.0) for r in measured], float)
        )

    def data(self, name: str) -> tuple[Any, Any]:
        """(steps, values) of a curve as drawn: a field of Report, accuracies in percent."""
        x, y = self._lines[name].getData()
        return (np.zeros(0), np.zeros(0)) if x is None else (x, y)

    def _style(self) -> None:
        tokens, m = theme.current(), theme.metrics()
        names = (self.tr("loss"), self.tr("% right"))
        texts = (
            (self.tr("loss of each batch"), self.tr("held-out loss after each epoch")),
            (self.tr("accuracy, last 50 batches"), self.tr("held-out accuracy")),
        )
        for plot, name, legend, (live, held) in zip(
            self.plots, names, self._legends, texts, strict=True
        ):
            legend.setText(
                f'<span style="color:{tokens.backward}">━</span>&nbsp;{live} &nbsp; '
                f'<span style="color:{tokens.accent}">╍●╍</span>&nbsp;{held}'
            )
            plot.setBackground(QColor(tokens.surface))
            item = plot.getPlotItem()
            for side in ("left", "bottom"):
                axis = item.getAxis(side)
                axis.setPen(QColor(tokens.border_strong))
                axis.setTextPen(QColor(tokens.text_muted))
                axis.setTickFont(theme.font("small"))
                axis.enableAutoSIPrefix(False)
            item.showGrid(y=True, alpha=0.15)
            style = {"color": tokens.text_muted, "font-size": f"{m.text_small}px"}
            item.setLabel("left", name, **style)
            item.getAxis("left").setWidth(m.strip_height + m.space_3)
            if plot is self.plots[-1]:  # both plots have the same steps
                item.setLabel("bottom", self.tr("step"), **style)
        for key, line in self._lines.items():
            measured = key.startswith("validation")
            colour = QColor(tokens.accent if measured else tokens.backward)
            pen = QPen(colour, m.line)
            pen.setCosmetic(True)
            if measured:
                pen.setDashPattern([4, 3])
                line.setSymbolBrush(colour)
                line.setSymbolPen(colour)
            line.setPen(pen)
