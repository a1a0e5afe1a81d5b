"""Max beside average: the same windows of the same input, forward and backward."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QLabel, QSizePolicy, QWidget

from engine.cell import Cell
from engine.graph import Ref
from engine.layers.base import Array
from engine.other_pooling import OtherPooling
from engine.statistics import statistics_of
from explorer import theme
from explorer.panels.inspector.channel_zoom import ChannelZoom
from explorer.panels.inspector.compared import common
from explorer.panels.inspector.mark_legend import Entry, MarkLegend
from explorer.panels.inspector.marks_in_sight import mark_entries
from explorer.tensors.grid import TensorGrid
from explorer.tensors.legend import ScaleLegend
from explorer.tensors.marks import Marks, Window
from explorer.tensors.scales import Kind, Mode, format_number, scale_for
from explorer.tensors.statistics import text_of


@dataclass(frozen=True, eq=False)
class PoolPair:
    """A pooling layer's own arrays at a position, and what the other kind makes of its input.

    ``y`` (C, H_out, W_out) and ``dx`` (C, H, W) are the layer's, ``dy`` the gradient that came;
    None where they are not computed yet. ``other`` is None with ``note`` saying why.
    """

    node: str
    ref: Ref
    names: tuple[str, str]
    y: Array | None
    dx: Array | None
    dy: Array | None
    other: OtherPooling | None
    note: str = ""
    channel: int | None = None
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)


class _Row:
    """Two grids of one shape that move and zoom as one, with one scale."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.mine, self.its = TensorGrid(), TensorGrid()
        self.legend = ScaleLegend()
        self.titles = _label("forward" if kind == "sequential" else "backward"), _label("")
        self.zoom = ChannelZoom(self.mine, self.its)
        self.statistics = _label("small"), _label("small")
        self._mode: Mode = "shared"
        for one, other in ((self.mine, self.its), (self.its, self.mine)):
            one.view_changed.connect(other.set_view)

    def show(
        self,
        tensors: tuple[tuple[str, Array | None], tuple[str, Array | None]],
        port: int,
        names: tuple[str, str],
        caption: str,
        empty: str,
        mode: Mode,
    ) -> None:
        """Both arrays under the names of their tensors, coloured by one scale for both."""
        frozen = self.mine.scale if mode == "frozen" and self._mode == "frozen" else None
        scales = [scale_for(array, self.kind, mode, frozen) for _, array in tensors]
        shared = scales[0]
        if frozen is None and all(array is not None for _, array in tensors):
            shared = common(*scales)
            if mode == "per channel":
                shared = replace(shared, per_channel=True)
        self._mode = mode
        special = [0, 0, 0]
        for grid, line, name, (node, array) in zip(
            (self.mine, self.its), self.statistics, names, tensors, strict=True
        ):
            grid.set_tensor(node, port, array, shared, name=name, empty=empty)
            found = None if array is None else statistics_of(array)
            symbol = "x" if self.kind == "sequential" else "g"
            line.setText("" if found is None else text_of(found, symbol))
            if found is not None:
                special = [a + b for a, b in zip(special, found.special, strict=True)]
        there = any(array is not None for _, array in tensors)
        self.legend.set_scale(
            shared if there else None, caption, (special[0], special[1], special[2])
        )

    @property
    def grids(self) -> tuple[TensorGrid, TensorGrid]:
        return self.mine, self.its


def _label(role: str) -> QLabel:
    label = QLabel()
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    label.setAlignment(Qt.AlignmentFlag.AlignTop)
    if role:
        label.setProperty("role", role)
    return label


class OtherPoolBox(QWidget):
    """Outputs above, gradients of the input below; what the layer made is on the left."""

    focus_requested = Signal(object)  # Cell of the layer's output or of its input
    side_requested = Signal(object, str)  # the same, and "forward" or "gradient"

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        m = theme.metrics()
        self.setAccessibleName(self.tr("Max beside average pooling"))
        self._pair: PoolPair | None = None
        self._focus: Cell | None = None
        self._mode: Mode = "shared"
        self._marks: Marks | None = None
        self._windows: tuple[Window, ...] = ()
        self.note = _label("muted")
        self.split = _label("")
        self.outputs, self.gradients = _Row("sequential"), _Row("diverging")
        self.mark_legend = MarkLegend()
        grid = QGridLayout(self)
        grid.setContentsMargins(m.space_2, m.space_2, m.space_2, m.space_2)
        grid.setHorizontalSpacing(m.space_4)
        grid.setVerticalSpacing(m.space_1)
        grid.addWidget(self.note, 0, 0, 1, 2)
        line = 1
        for row in (self.outputs, self.gradients):
            for column in (0, 1):
                row.titles[column].setProperty("role", row.titles[0].property("role"))
                grid.addWidget(row.titles[column], line, column)
                grid.addWidget(row.statistics[column], line + 1, column)
                grid.addWidget(row.grids[column], line + 2, column)
                grid.setColumnStretch(column, 1)
            grid.setRowStretch(line + 2, 1)
            grid.addWidget(row.legend, line + 3, 0, 1, 2)
            line += 4
        grid.addWidget(self.mark_legend, line, 0, 1, 2)
        grid.addWidget(self.split, line + 1, 0, 1, 2)
        for row, side in ((self.outputs, "forward"), (self.gradients, "gradient")):
            for one in row.grids:
                one.setFixedHeight(m.pad_size * 2 // 3)  # both rows are to be seen at once
                one.selected.connect(lambda cell, side=side: self._chosen(cell, side))
            row.zoom.changed.connect(self._show_legend)
            row.mine.view_changed.connect(self._show_legend)
            row.mine.hovered.connect(self._hover(row.its))
            row.its.hovered.connect(self._hover(row.mine))

    def set_pair(self, pair: PoolPair, marks: Marks | None, mode: Mode) -> None:
        """Show a layer and its other kind; ``marks`` are the winners of whichever is max."""
        self._pair, self._mode, self._marks = pair, mode, marks
        other = pair.other
        shown = other is not None and pair.y is not None
        for row in (self.outputs, self.gradients):
            for widget in (*row.titles, *row.statistics, *row.grids, row.legend):
                widget.setVisible(shown)
        self.note.setText(pair.note)
        self.note.setVisible(bool(pair.note))
        if other is None or pair.y is None:
            self._show_focus()
            return
        for row, what, arrays, ref in (
            (self.outputs, self.tr("{0}: output"), (pair.y, other.y), (pair.node, 0)),
            (self.gradients, self.tr("{0}: input gradient"), (pair.dx, other.dx), pair.ref),
        ):
            names = tuple(what.format(name) for name in pair.names)
            for title, name in zip(row.titles, names, strict=True):
                title.setText(name)
            row.show(
                ((ref[0], arrays[0]), (self._by_other(ref[0]), arrays[1])),
                ref[1],
                (names[0], names[1]),
                self.tr("one scale for both"),
                self.tr("No gradient yet: step backward through this layer."),
                mode,
            )
        channel = pair.channel
        for row, ref in ((self.outputs, (pair.node, 0)), (self.gradients, pair.ref)):
            cell = None if channel is None else Cell(ref[0], ref[1], (channel, 0, 0))
            row.zoom.set_channel(cell)
        self._show_focus()

    def set_focus(self, cell: Cell | None, windows: Iterable[Window]) -> None:
        """The ring in both kinds, and the window of a focused output cell on both gradients."""
        self._focus, self._windows = cell, tuple(windows)
        self._show_focus()

    def _by_other(self, node: str) -> str:
        """Another name, so that a tooltip never gives the other kind's number to the layer."""
        assert self._pair is not None
        return f"{node} ({self._pair.names[1]})"

    def _own(self, cell: Cell) -> Cell:
        pair = self._pair
        assert pair is not None
        for node in (pair.node, pair.ref[0]):
            if cell.node == self._by_other(node):
                return replace(cell, node=node)
        return cell

    def _chosen(self, cell: Cell, side: str) -> None:
        self.focus_requested.emit(self._own(cell))
        self.side_requested.emit(self._own(cell), side)

    def _hover(self, grid: TensorGrid) -> Callable[[Cell | None], None]:
        """What marks the cell under the pointer in the grid of the other kind."""

        def hover(cell: Cell | None) -> None:
            if cell is None or self._pair is None:
                grid.set_hover(None)
                return
            own = self._own(cell)
            other = replace(own, node=self._by_other(own.node))
            its = grid in (self.outputs.its, self.gradients.its)
            grid.set_hover(other if its else own)

        return hover

    def _show_focus(self) -> None:
        pair, cell = self._pair, self._focus
        self.split.setText("")
        self.split.hide()
        if pair is None or pair.other is None or pair.y is None:
            self.mark_legend.set_entries(())
            return
        for row in (self.outputs, self.gradients):
            row.mine.set_focus(cell)
            other = None if cell is None else replace(cell, node=self._by_other(cell.node))
            row.its.set_focus(other)
        mine, its = self.gradients.grids
        mine_is_max = pair.other.argmax is None
        for grid, is_max in ((mine, mine_is_max), (its, not mine_is_max)):
            grid.set_windows(self._windows, pair.padding)
            grid.set_marks(self._marks if is_max and pair.dx is not None else None)
        if cell is not None and (cell.node, cell.port) == (pair.node, 0) and len(cell.index) == 3:
            self._say_split(pair, pair.other, cell)
        self._show_legend()

    def _say_split(self, pair: PoolPair, other: OtherPooling, cell: Cell) -> None:
        """What each kind does with the gradient of one window."""
        if pair.dy is None or pair.dx is None:
            return
        share = float(other.share[cell.row, cell.column])
        gradient = float(pair.dy[cell.index])
        self.split.setText(
            self.tr(
                "Of the gradient {0} of this window, max pooling sends all to one cell, average "
                "pooling {1} (1/{2}) to each."
            ).format(
                format_number(gradient),
                format_number(float(np.float32(gradient * share))),
                format_number(1 / share),
            )
        )
        self.split.show()

    def _show_legend(self) -> None:
        pair = self._pair
        entries: tuple[Entry, ...] = ()
        if pair is not None and pair.other is not None and pair.dx is not None:
            entries = mark_entries(self.gradients.mine.view.zoom, None, self._marks)
            if self._windows:
                entries += (
                    Entry("window", self.tr("window of the chosen cell"), self._windows[0].number),
                )
            if any(pair.padding):
                entries += (Entry("padding", self.tr("padding")),)
        self.mark_legend.set_entries(entries)
