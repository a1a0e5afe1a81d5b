"""Inside of an operation: the window on what it reads, the kernel, and the tensor filling up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import (
    QButtonGroup,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from engine.cell import Cell
from engine.inside import LEVELS, Inside, Level, Sheet, Side, sides_of
from engine.layers.base import Array
from explorer import theme
from explorer.panels.labels import wrapped
from explorer.tensors.grid import TensorGrid
from explorer.tensors.legend import ScaleLegend
from explorer.tensors.marks import Window
from explorer.tensors.scales import Kind, Scale, format_number, scale_for


class _Part(QWidget):
    """A title, a grid and its scale."""

    def __init__(self) -> None:
        super().__init__()
        m = theme.metrics()
        self.title = wrapped("small")
        self.grid = TensorGrid()
        self.legend = ScaleLegend()
        self._array: Array | None = None
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(m.space_1)
        box.addWidget(self.title)
        box.addWidget(self.grid, 1)
        box.addWidget(self.legend)

    def show_array(
        self, title: str, ref: tuple[str, int], array: Array, kind: Kind, scale: Scale | None = None
    ) -> None:
        """Show an array; the same one keeps its zoom and costs nothing."""
        self.title.setText(title)
        self.grid.setAccessibleName(title)
        if array is self._array:
            return
        self._array = array
        scale = scale or scale_for(array, kind)
        self.grid.set_tensor(*ref, array, scale, name=title)
        self.legend.set_scale(scale)


class InsidePanel(QWidget):
    """Shows a place inside of an operation and asks for others; computes nothing."""

    level_requested = Signal(str)
    side_requested = Signal(str)
    cell_requested = Signal(object)  # index: stand at this cell
    focus_requested = Signal(object)  # Cell of what is read
    inside_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._sheet: Sheet | None = None
        self._at: Inside | None = None
        self._kernel_key: tuple[Side, int] | None = None
        m = theme.metrics()
        self.setAccessibleName(self.tr("Inside"))
        self.levels: dict[Level, QToolButton] = {}
        self.sides: dict[Side, QToolButton] = {}
        tips = {
            "channel": self.tr("A step completes a channel"),
            "row": self.tr("A step completes a row"),
            "cell": self.tr("A step completes a cell"),
            "term": self.tr("A step adds one term of a cell"),
        }
        names = {
            "channel": self.tr("Channel"),
            "row": self.tr("Row"),
            "cell": self.tr("Cell"),
            "term": self.tr("Term"),
        }
        level_row, side_row = QHBoxLayout(), QHBoxLayout()
        for row in (level_row, side_row):
            row.setSpacing(m.space_1)
        self._group, self._side_group = QButtonGroup(self), QButtonGroup(self)
        level_row.addWidget(QLabel(self.tr("Step by")))
        for level in LEVELS:
            button = self._choice(names[level], tips[level])
            button.clicked.connect(lambda _=False, level=level: self.level_requested.emit(level))
            self._group.addButton(button)
            level_row.addWidget(button)
            self.levels[level] = button
        level_row.addStretch(1)
        sides: tuple[tuple[Side, str], ...] = (
            ("input", self.tr("Gradient of the input")),
            ("weight", self.tr("Gradient of the weights")),
        )
        for side, text in sides:
            button = self._choice(text, "")
            button.clicked.connect(lambda _=False, side=side: self.side_requested.emit(side))
            self._side_group.addButton(button)
            side_row.addWidget(button)
            self.sides[side] = button
        side_row.addStretch(1)
        self.value = QLabel()
        self.value.setProperty("role", "title")
        self.value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.place = wrapped("muted")
        self.source, self.kernel, self.target = _Part(), _Part(), _Part()
        self.target.grid.selected.connect(lambda cell: self.cell_requested.emit(cell.index))
        self.source.grid.selected.connect(self.focus_requested)
        self.empty = wrapped("muted")
        self.empty.setText(
            self.tr(
                "Press F11 (Look inside) to go into the operation that was carried out last: its "
                "window slides over what it reads, and its tensor fills up, channel by channel, "
                "row by row, cell by cell."
            )
        )
        self.empty.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.enter = QToolButton()
        self.enter.setIcon(theme.icon("inside"))
        self.enter.setText(self.tr("Look inside"))
        self.enter.setIconSize(QSize(m.icon_small, m.icon_small))
        self.enter.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.enter.clicked.connect(self.inside_requested)
        self.body = QWidget()
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(m.space_2)
        grid.addWidget(self.source, 0, 0)
        grid.addWidget(self.kernel, 0, 1)
        grid.addWidget(self.target, 1, 0, 1, 2)
        grid.setColumnStretch(0, 3)
        grid.setColumnStretch(1, 2)
        grid.setRowStretch(0, 1)
        grid.setRowStretch(1, 1)
        head = QHBoxLayout()
        head.setSpacing(m.space_2)
        head.addWidget(self.place, 1)
        head.addWidget(self.value)
        column = QVBoxLayout(self.body)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(m.space_1)
        column.addLayout(side_row)
        column.addLayout(level_row)
        column.addLayout(head)
        column.addLayout(grid, 1)
        box = QVBoxLayout(self)
        box.setContentsMargins(m.space_3, m.space_2, m.space_3, m.space_2)
        box.addWidget(self.body, 1)
        box.addWidget(self.empty)
        box.addWidget(self.enter, 0, Qt.AlignmentFlag.AlignLeft)
        box.addStretch(0)
        theme.theme().changed.connect(self._restyle)
        self.set_inside(None, None)

    def _choice(self, text: str, tip: str) -> QToolButton:
        button = QToolButton()
        button.setText(text)
        button.setToolTip(tip)
        button.setCheckable(True)
        return button

    def _restyle(self) -> None:
        for part in (self.source, self.kernel, self.target):
            part.legend.update()

    # ---- what is shown ---------------------------------------------------------------------

    def set_inside(self, sheet: Sheet | None, at: Inside | None) -> None:
        """Show a place inside of the operation that a sheet is of; None: outside of all."""
        if (sheet, at) == (self._sheet, self._at) and sheet is not None:
            return
        if sheet is not self._sheet:
            self._kernel_key = None
        self._sheet, self._at = sheet, at
        inside = sheet is not None and at is not None
        self.body.setVisible(inside)
        self.empty.setVisible(not inside)
        self.enter.setVisible(not inside)
        if sheet is None or at is None:
            return
        there = sides_of(sheet.graph, sheet.step)
        for side, button in self.sides.items():
            button.setVisible(len(there) > 1 and side in there)
            button.setChecked(side == sheet.side)
        for level, button in self.levels.items():
            button.setVisible(level in sheet.levels)
            button.setChecked(level == at.level)
        self._show_source(sheet, at)
        if sheet.side == "weight":
            self._show_weights(sheet, at)
        else:
            self._show_target(sheet, at)
        self._show_number(sheet, at)

    def _show_source(self, sheet: Sheet, at: Inside) -> None:
        ref, number = sheet.source_ref, sheet.here(at)
        name = ref[0] if not ref[1] else f"{ref[0]}:{ref[1]}"
        kind: Kind = "diverging" if sheet.side == "input" else "sequential"
        if sheet.side != "input" and ref[0] in sheet.graph.input_ids:
            kind = "grey"
        title = self.tr("Gradient of {0}") if sheet.side == "input" else self.tr("Reads {0}")
        self.source.show_array(title.format(name), ref, sheet.source, kind)
        area = sheet.area(number)
        windows: tuple[Window, ...] = ()
        if area is not None:
            place = (area.top, area.left, area.height, area.width)
            windows = (Window(*place, channels=sheet.channels(number)),)
        self.source.grid.set_windows(windows, _padding(sheet))
        self.source.grid.set_highlights(self._read_cells(sheet, at))

    def _read_cells(self, sheet: Sheet, at: Inside) -> Sequence[Cell]:
        """The cell of the term added last; of a layer without a window all that a cell reads."""
        if sheet.side == "weight":
            return ()
        terms = sheet.terms(sheet.here(at)).terms
        chosen = terms[at.terms - 1 : at.terms] if at.terms else ()
        if not at.terms and sheet.area(sheet.here(at)) is None and len(terms) <= 64:
            chosen = terms
        wanted = ("output_grad", "input")[sheet.side == "output"]
        ref = sheet.source_ref
        slots = (0,) if sheet.side == "output" else (ref[1],)
        return tuple(
            Cell(ref[0], ref[1], t.source[2])
            for t in chosen
            if t.source[0] == wanted and t.source[1] in slots
        )

    def _show_target(self, sheet: Sheet, at: Inside) -> None:
        number = sheet.here(at)
        kernel = sheet.kernel(number)
        self.kernel.setVisible(kernel is not None)
        if kernel is not None:
            index = sheet.index(number)
            text = self.tr("Kernel {0}").format(index[0])
            if sheet.side == "input":
                text = self.tr("Weights of channel {0}, rotated").format(index[0])
            if kernel.ndim == 1:
                text = self.tr("Its weights")
            key = (sheet.side, index[0])
            if key != self._kernel_key:
                self._kernel_key = key
                self.kernel.show_array(text, ("", 0), kernel, "diverging")
            self.kernel.title.setText(text)
            self.kernel.grid.set_known(None)
            self.kernel.grid.set_highlights(self._weight_cells(sheet, at, kernel))
        ref = sheet.ref
        if sheet.side == "output":
            title, kind = self.tr("Makes its output"), "sequential"
        else:
            title, kind = self.tr("Makes the gradient of {0}").format(ref[0]), "diverging"
        whole: Kind = "sequential" if kind == "sequential" else "diverging"
        self.target.show_array(title, ref, sheet.array, whole)
        self.target.grid.set_known(at.cells)
        self.target.grid.set_focus(sheet.cell(number))

    def _weight_cells(self, sheet: Sheet, at: Inside, kernel: Array) -> Sequence[Cell]:
        """The weight of the term added last, where the terms come in the kernel's order."""
        if sheet.side != "output" or not 0 < at.terms <= kernel.size:
            return ()
        index = np.unravel_index(at.terms - 1, kernel.shape)
        return (Cell("", 0, tuple(int(i) for i in index)),)

    def _show_weights(self, sheet: Sheet, at: Inside) -> None:
        channel = sheet.weight_channel(at)
        recorded = np.asarray(sheet.array[channel])
        self._kernel_key = None
        self.kernel.setVisible(True)
        nothing = not at.cells
        share = np.zeros(recorded.shape) if nothing else sheet.share(at)
        self.kernel.show_array(
            self.tr("This position adds"),
            ("", 0),
            share,
            "diverging",
            scale_for(share, "diverging"),
        )
        self.kernel.grid.set_known(0 if nothing else None)
        self.kernel.grid.set_highlights(())
        so_far = np.zeros(recorded.shape) if nothing else sheet.weights(at)
        self.target.show_array(
            (
                self.tr("Gradient of the weights of number {0}")
                if recorded.ndim == 1
                else self.tr("Gradient of kernel {0} so far")
            ).format(channel),
            ("", 0),
            so_far,
            "diverging",
            scale_for(recorded, "diverging"),
        )
        self.target.grid.set_known(0 if nothing else None)
        self.target.grid.set_focus(None)

    def _show_number(self, sheet: Sheet, at: Inside) -> None:
        number = sheet.here(at)
        begun = bool(at.cells or at.terms)
        running = sheet.running(at) if sheet.side != "weight" else sheet.value(number)
        self.value.setText(format_number(running) if begun and running is not None else "")
        self.value.setToolTip(format_number(running, 9) if running is not None else "")
        place = self.tr("{0} of {1} cells")
        if sheet.side == "weight":
            place = self.tr("{0} of {1} positions")
        text = place.format(f"{at.cells:,}", f"{sheet.total:,}")
        if at.terms:
            text += self.tr(" · {0} of {1} terms").format(at.terms, len(sheet.terms(number).terms))
        self.place.setText(text)


def _padding(sheet: Sheet) -> tuple[int, int, int, int]:
    """How far the windows of the first and the last cell reach beyond the map.

    In backward the rotated kernel reaches far beyond it: hatching that would hide the maps.
    """
    if sheet.side == "input":
        return (0, 0, 0, 0)
    first, last = sheet.area(0), sheet.area(sheet.total - 1)
    if first is None or last is None:
        return (0, 0, 0, 0)
    height, width = sheet.source.shape[-2:]
    return (
        max(0, -first.top),
        max(0, -first.left),
        max(0, last.top + last.height - height),
        max(0, last.left + last.width - width),
    )
