"""The window of a convolution or pooling: what it saw, its weights, and their products."""

from __future__ import annotations

import math

import numpy as np
from PySide6.QtCore import Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QComboBox, QGridLayout, QLabel, QSizePolicy, QWidget

from engine.cell import Cell
from engine.explain import Explanation
from engine.layers.base import Array
from explorer import theme
from explorer.panels.labels import wrapped
from explorer.tensors.grid import TensorGrid
from explorer.tensors.legend import ScaleLegend
from explorer.tensors.scales import Scale, scale_for

LARGEST = 15  # rows or columns; a larger window is a whole map, which the grids show better


class WindowPicture(QWidget):
    """Three small grids, or one for a maximum; a click asks to go to a cell."""

    followed = Signal(object)  # Place

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._found: Explanation | None = None
        self._shown: tuple[int, ...] = ()
        m = theme.metrics()
        self.channel = QComboBox()
        self.channel.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.channel.setMinimumContentsLength(8)
        self.channel.setAccessibleName(self.tr("Channel of the window"))
        self.channel.currentIndexChanged.connect(lambda _: self._show())
        self.grids = (TensorGrid(), TensorGrid(), TensorGrid())
        self.titles = (wrapped("small"), wrapped("small"), wrapped("small"))
        self.legends = (ScaleLegend(), ScaleLegend(), ScaleLegend())
        self.signs = (QLabel("×"), QLabel("="))
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setHorizontalSpacing(m.space_1)
        layout.setVerticalSpacing(m.space_1)
        layout.addWidget(self.channel, 0, 0, 1, 5)
        for i, (title, grid, legend) in enumerate(
            zip(self.titles, self.grids, self.legends, strict=True)
        ):
            layout.addWidget(title, 1, 2 * i)
            layout.addWidget(grid, 2, 2 * i)
            layout.addWidget(legend, 3, 2 * i)
            layout.setColumnStretch(2 * i, 1)
            grid.selected.connect(self._clicked)
            for part in (grid, legend):
                # a narrow dock makes them smaller, and is not made wider by them
                part.setMinimumWidth(1)
                part.setSizePolicy(QSizePolicy.Policy.Ignored, part.sizePolicy().verticalPolicy())
            for other in self.grids:
                if other is not grid:
                    grid.hovered.connect(other.set_hover)
        for i, sign in enumerate(self.signs):
            layout.addWidget(sign, 2, 2 * i + 1)

    def set_explanation(self, found: Explanation | None) -> None:
        """Show the window with the strongest term, or hide where there is none."""
        self._found = None
        windows = found.windows if found is not None else ()
        self._shown = tuple(
            i for i, w in enumerate(windows) if max(w.terms.shape) <= LARGEST and w.terms.min() >= 0
        )
        self.setVisible(bool(self._shown))
        if found is None or not self._shown:
            return
        self._found = found
        several = len(found.shares) > 1
        self.channel.blockSignals(True)
        self.channel.clear()
        for i in self._shown:
            window = windows[i]
            text = (
                self.tr("all padding")
                if window.channel is None
                else self.tr("channel {0}").format(window.channel)
            )
            name = f"{found.shares[window.share].reader}, {text}" if several else text
            self.channel.addItem(self.tr("Window in {0}").format(name))
        strongest = int(found.order[0]) if found.chosen is None else found.chosen
        front = next((k for k, i in enumerate(self._shown) if strongest in windows[i].terms), 0)
        self.channel.setCurrentIndex(front)
        self.channel.blockSignals(False)
        self.channel.setVisible(len(self._shown) > 1)
        self._show()

    def _show(self) -> None:
        found = self._found
        if found is None:
            return
        window = found.windows[self._shown[max(0, self.channel.currentIndex())]]
        terms = [found.term(int(i)) for i in window.terms.flat]
        shape = window.terms.shape
        values = np.array([t.value for t in terms]).reshape(shape)
        factors = np.array([t.coefficient for t in terms]).reshape(shape)
        products = found.products[window.terms]
        gradient = found.place.direction == "gradient"
        picks = found.combine == "max"
        names = (
            self.tr("gradient after") if gradient else self.tr("input"),
            self._name_of_factors(found, window.share, factors),
            self.tr("products"),
        )
        source = "diverging" if gradient else "sequential"
        for i, (name, array) in enumerate(zip(names, (values, factors, products), strict=True)):
            there = i == 0 or not picks
            for part in (self.titles[i], self.grids[i], self.legends[i]):
                part.setVisible(there)
            if i:
                self.signs[i - 1].setVisible(not picks)
            if not there:
                continue
            scale = self._scale(array, "diverging" if i else source)
            self.titles[i].setText(name)
            self.grids[i].set_tensor("", 0, array, scale, name=name)
            self.legends[i].set_scale(scale)
        chosen = found.chosen
        inside = np.argwhere(window.terms == chosen) if chosen is not None else np.empty((0, 2))
        marked = Cell("", 0, tuple(int(v) for v in inside[0])) if len(inside) else None
        for grid in self.grids:
            grid.set_focus(marked)
        if len(self._shown) == 1 and window.channel is not None:
            text = self.tr("{0}, channel {1}").format(names[0], window.channel)
            self.titles[0].setText(text)
        self._fit()

    def _fit(self) -> None:
        """Square cells in the width that there is, and no empty bands above and below."""
        if self._found is None:
            return
        m = theme.metrics()
        window = self._found.windows[self._shown[max(0, self.channel.currentIndex())]]
        rows, columns = window.terms.shape
        width = (self.width() - 4 * m.space_1 - 2 * m.space_3) // 3
        side = min(width / columns, m.numbers_from * 1.5)
        height = min(round(side * rows) + m.space_2, m.pad_size // 2)
        for grid in self.grids:
            grid.setFixedHeight(max(m.strip_height, height))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _name_of_factors(self, found: Explanation, share: int, factors: Array) -> str:
        formula = found.shares[share].terms.formula
        if len(set(factors.flat)) == 1 or not formula.startswith("Σ W"):
            return self.tr("factors")
        gradient = found.place.direction == "gradient"
        return self.tr("weights, flipped") if gradient else self.tr("weights")

    def _scale(self, array: Array, kind: str) -> Scale:
        return scale_for(array, "diverging" if kind == "diverging" else "sequential")

    def _clicked(self, cell: Cell) -> None:
        found = self._found
        if found is None:
            return
        window = found.windows[self._shown[self.channel.currentIndex()]]
        if len(cell.index) == 2 and math.prod(window.terms.shape):
            place = found.place_of(int(window.terms[cell.index]))
            if place is not None:
                self.followed.emit(place)
