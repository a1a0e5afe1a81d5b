"""All channels of one tensor as a grid that zooms and pans; only what is visible is painted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QContextMenuEvent,
    QFocusEvent,
    QHelpEvent,
    QImage,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QApplication, QMenu, QSizePolicy, QToolTip, QWidget

from engine.cell import Cell
from engine.fields import Fields
from explorer import theme
from explorer.tensors.bands import Bands
from explorer.tensors.cell_numbers import CellNumbers
from explorer.tensors.geometry import Geometry, View
from explorer.tensors.marks import (
    MARKS_FROM,
    WINDOWS_FROM,
    Marks,
    MarkTable,
    Window,
    paint_marks,
    paint_windows,
)
from explorer.tensors.painting import (
    LINES_FROM,
    Sight,
    label_chip,
    paint_channel_labels,
    paint_empty,
    paint_field,
    paint_focus,
    paint_highlights,
    paint_hover,
    paint_keyboard,
    paint_lines,
    paint_padding,
    paint_unknown,
    ring_around,
)
from explorer.tensors.scales import Scale, format_number, scale_for
from explorer.tensors.tensor_menu import copy_text, tensor_menu
from explorer.tensors.value_drag import ValueDrag, nudged, rounded


class TensorGrid(QWidget):
    """Draws one tensor; asks for cells to be selected, and changes nothing itself."""

    selected = Signal(object)  # Cell: the user asks to make it the focus
    hovered = Signal(object)  # Cell under the pointer, or None
    view_changed = Signal(object)  # View, after a zoom or a pan by the user
    picture_requested = Signal(object, str)  # QImage of what is in sight, and a name for it
    value_requested = Signal(object, float)  # Cell, and the number that it should have

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._at = Geometry()
        self._bands, self._numbers = Bands(), CellNumbers()
        self._scale = Scale("sequential", 0.0, 0.0)
        self._unit = ""
        self._empty = self.tr("Nothing to show yet: step forward to compute this tensor.")
        self._focus: Cell | None = None
        self._hover: Cell | None = None
        self._highlights: tuple[Cell, ...] = ()
        self._marks: MarkTable | None = None
        self._known: int | None = None
        self._editable = False
        self._edit: ValueDrag | None = None
        self._windows: tuple[Window, ...] = ()
        self._fields: Fields | None = None
        self._labels = False
        self._press: QPointF | None = None
        self._panning = False
        self._pan_from = QPointF()
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName(self.tr("Tensor"))
        theme.theme().changed.connect(self._theme_changed)

    # What is shown.

    def set_tensor(
        self,
        node: str,
        port: int,
        array: NDArray | None,
        scale: Scale | None = None,
        *,
        name: str = "",
        unit: str = "",
        empty: str | None = None,
    ) -> None:
        """Show an array without its batch axis, of any rank, or an empty state for None.

        The array is not copied; it must not change while it is shown. The zoom is kept when the
        shape stays the same.
        """
        self._at.set_array(node, port, array)
        self._unit = unit
        if empty is not None:
            self._empty = empty
        self._scale = scale or scale_for(array, "sequential")
        self.setAccessibleName(name or self.tr("Tensor {node}").format(node=node))
        self._bands.forget()
        self._numbers.forget()
        self._arrange()
        self._describe()
        self.update()

    def set_scale(self, scale: Scale) -> None:
        """Colour the same tensor by another scale."""
        if scale != self._scale:
            self._scale = scale
            self._bands.forget()
            self.update()

    def set_focus(self, cell: Cell | None) -> None:
        """Draw the ring around this cell, if it is one of this tensor; scroll it into sight."""
        if cell == self._focus:
            return
        before, self._focus = self._focus, cell
        self._describe()
        rect = self.rect_of(cell) if cell is not None else None
        if rect is not None and not self._at.view.fit and not QRectF(self.rect()).contains(rect):
            centre = QRectF(self.rect()).center() - rect.center()
            self._at.move_to(self._at.view.x + centre.x(), self._at.view.y + centre.y())
            self.update()
        self._update_around(before, cell)

    def set_hover(self, cell: Cell | None) -> None:
        """Outline the cell that the pointer is on in a linked grid, without emitting."""
        if cell != self._hover:
            before, self._hover = self._hover, cell
            self._update_around(before, cell)

    def set_highlights(self, cells: Iterable[Cell]) -> None:
        """Outline further cells: the sources of what the pointer is on elsewhere."""
        found = tuple(cells)
        if found != self._highlights:
            self._highlights = found
            self.update()

    def set_marks(self, marks: Marks | None) -> None:
        """Dots in the colours of their windows; a cell chosen by several shows how many."""
        self._marks = MarkTable.of(marks) if marks is not None and len(marks.windows) else None
        self.update()

    def set_windows(
        self, windows: Sequence[Window], padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    ) -> None:
        """Outline windows on their maps; ``padding`` (top, left, bottom, right) is hatched."""
        self._windows = tuple(windows)
        if padding != self._at.padding:
            self._at.padding = padding
            self._bands.forget()
            self._arrange()
        self.update()

    def set_fields(self, fields: Fields | None) -> None:
        """Outline what the focused cell sees of this tensor, or changes in it; None: nothing."""
        if fields != self._fields:
            self._fields = fields
            self.update()

    def set_editable(self, on: bool) -> None:
        """Let the number of the focused cell be dragged up and down, or moved by Ctrl+arrows."""
        self._editable = on

    def set_known(self, cells: int | None) -> None:
        """Cover all but the first cells, rows before channels; None shows every cell."""
        if cells != self._known:
            self._known = cells
            self._describe()
            self.update()

    def is_known(self, cell: Cell) -> bool:
        """Whether a cell of this tensor is shown, not covered."""
        place = self._at.place(cell)
        if place is None:
            return False
        number = int(np.ravel_multi_index(place, self._at.maps.shape))
        return self._known is None or number < self._known

    def set_labels(self, on: bool) -> None:
        """Number every channel that is large enough, not only the one under the pointer."""
        if on != self._labels:
            self._labels = on
            self.update()

    def set_view(self, view: View) -> None:
        """Take over zoom and position, without emitting ``view_changed``."""
        if view != self._at.view:
            self._at.view = view
            if view.fit:
                self._arrange()
            self.update()

    def fit(self) -> None:
        """Show the whole tensor, and emit ``view_changed`` if that changed the view."""
        before = self._at.view
        self._at.view = replace(before, fit=True)
        self._arrange()
        self._view_was_changed(before)

    def zoom_by(self, factor: float, at: QPointF | None = None) -> None:
        """Zoom around a point of the widget, its middle by default."""
        at = QRectF(self.rect()).center() if at is None else at
        before = self._at.view
        self._at.zoom_by(factor, at)
        self._view_was_changed(before)

    # What others may ask.

    @property
    def view(self) -> View:
        return self._at.view

    @property
    def scale(self) -> Scale:
        return self._scale

    @property
    def node(self) -> str:
        """The node whose tensor is shown."""
        return self._at.node

    @property
    def is_vector(self) -> bool:
        """Whether the cells are in no map."""
        return self._at.arrangement.is_vector

    @property
    def maps(self) -> NDArray:
        """The tensor as (channels, rows, columns); empty when nothing is shown."""
        return self._at.maps

    def channel_of(self, cell: Cell) -> int:
        """Which map a cell of this tensor is on; ValueError for another tensor's cell."""
        place = self._at.place(cell)
        if place is None:
            shown = f"{self._at.node}:{self._at.port}"
            raise ValueError(f"cell {cell} is not of the tensor shown, {shown}")
        return place[0]

    @property
    def focus(self) -> Cell | None:
        return self._focus

    def value(self, cell: Cell) -> float | None:
        """The value of a cell of this tensor, None for another tensor's."""
        place = self._at.place(cell)
        return None if place is None else float(self._at.maps[place])

    def rect_of(self, cell: Cell) -> QRectF | None:
        """Where a cell is drawn, in the widget's coordinates; None if it is not of this tensor."""
        return self._at.rect_of(cell)

    def field_rects(self) -> list[QRectF]:
        """Where the field of the focused cell is outlined, in the widget's coordinates.

        One for each map; whole maps, and cells of a vector, are outlined together, row by row.
        """
        return self._at.field_rects(self._fields)

    def cell_at(self, point: QPointF | QPoint) -> Cell | None:
        """The cell under a point of the widget."""
        return self._at.cell_at(point)

    def describe(self, cell: Cell) -> str:
        """Where a cell is and its value with its unit, as in the tooltip."""
        value = self.value(cell)
        if value is None:
            return ""
        number = format_number(value, 6) + (f" {self._unit}" if self._unit else "")
        if not self.is_known(cell):
            number = self.tr("not computed yet")
        index = cell.index
        if len(index) == 3:
            where = self.tr("channel {0}, row {1}, column {2}").format(*index)
        elif len(index) == 1:
            where = self.tr("feature {0}").format(*index)
        elif len(index) == 2:
            where = self.tr("row {0}, column {1}").format(*index)
        elif len(index) == 4:
            where = self.tr("output {0}, input {1}, row {2}, column {3}").format(*index)
        else:
            where = self.tr("index {0}").format(", ".join(map(str, index)))
        text = f"{cell.node} · {where}: {number}"
        if self._editable and cell == self._focus:
            text += "\n" + self.tr("What if it were another: drag it up or down.")
        return text

    def text_of(self, channel: int | None = None, separator: str = "\t") -> str:
        """One map, or all with a blank line between them, as text that reads back exactly."""
        if self._at.array is None:
            return ""
        digits = 17 if self._at.maps.dtype == np.float64 else 9
        if self._at.arrangement.is_vector:
            return separator.join(f"{value:.{digits}g}" for value in self._at.maps.reshape(-1))
        maps = self._at.maps if channel is None else self._at.maps[channel : channel + 1]
        return "\n\n".join(
            "\n".join(separator.join(f"{value:.{digits}g}" for value in row) for row in one)
            for one in maps
        )

    def picture(self, scale: float = 2.0) -> QImage:
        """What is in sight, with ``scale`` pixels for each of the screen."""
        made = QImage(self.size() * scale, QImage.Format.Format_RGB32)
        made.setDevicePixelRatio(scale)
        made.fill(QColor(theme.current().surface))
        self.render(made, QPoint())
        made.setDevicePixelRatio(1.0)
        return made

    def copy(self) -> None:
        """Copy the channel in focus, or the whole tensor if none is, as text and as CSV."""
        if self._at.array is None:
            return
        place = self._at.place(self._focus)
        copy_text(self.text_of(None if place is None else place[0]))

    def sizeHint(self) -> QSize:
        side = theme.metrics().pad_size
        return QSize(side, side)

    def minimumSizeHint(self) -> QSize:
        side = theme.metrics().control_height * 3
        return QSize(side, side)

    # Events.

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            cell = self.cell_at(event.pos())
            if cell is None:
                QToolTip.hideText()
                event.ignore()
            else:
                rect = self.rect_of(cell)
                area = rect.toAlignedRect() if rect is not None else self.rect()
                QToolTip.showText(event.globalPos(), self.describe(cell), self, area)
            return True
        # Copy means this tensor while it has the keyboard.
        if (
            event.type() == QEvent.Type.ShortcutOverride
            and isinstance(event, QKeyEvent)
            and event.matches(QKeySequence.StandardKey.Copy)
            and self._at.array is not None
        ):
            event.accept()
            return True
        return super().event(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        if self._at.view.fit:
            self._arrange()
        else:
            self._at.area = self._area()
        super().resizeEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        self.update()
        super().focusInEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self.update()
        super().focusOutEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        steps = event.angleDelta().y() / 120
        if self._at.array is None or steps == 0:
            event.ignore()
            return
        self.zoom_by(1.25**steps, event.position())
        event.accept()

    def _ask_value(self, cell: Cell, value: float) -> None:
        """Ask for another number, rounded to what can be told apart on the screen."""
        value = rounded(value, self._scale)
        if value != self.value(cell):
            self.value_requested.emit(cell, value)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        cell = self.cell_at(event.position())
        if (
            self._editable
            and event.button() == Qt.MouseButton.LeftButton
            and cell is not None
            and cell == self._focus
        ):
            self._edit = ValueDrag(cell, event.position().y(), self.value(cell) or 0.0, self._scale)
            self.setCursor(Qt.CursorShape.SizeVerCursor)
            return
        if event.button() in (Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton):
            self._press = event.position()
            self._pan_from = QPointF(self._at.view.x, self._at.view.y)
            self._panning = event.button() == Qt.MouseButton.MiddleButton
        else:
            super().mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._edit is not None:
            self._ask_value(self._edit.cell, self._edit.at(event.position().y()))
            return
        if self._press is not None:
            moved = event.position() - self._press
            if not self._panning:
                self._panning = moved.manhattanLength() >= QApplication.startDragDistance()
            if self._panning and self._at.array is not None:
                self.setCursor(Qt.CursorShape.ClosedHandCursor)
                before = self._at.view
                corner = self._pan_from + moved
                self._at.move_to(corner.x(), corner.y())
                self._view_was_changed(before)
            return
        self._hover_at(self.cell_at(event.position()))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._edit is not None:
            self._edit = None
            self.unsetCursor()
            return
        press, self._press = self._press, None
        panned, self._panning = self._panning, False
        self.unsetCursor()
        if press is None:
            super().mouseReleaseEvent(event)
        elif not panned and event.button() == Qt.MouseButton.LeftButton:
            cell = self.cell_at(press)
            if cell is not None:
                self._request(cell)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if self.cell_at(event.position()) is None:
            self.fit()
        else:
            self.mousePressEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        self._hover_at(None)
        super().leaveEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = event.key()
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy()
            return
        nudges = {Qt.Key.Key_Up: 1, Qt.Key.Key_Down: -1}
        if (
            self._editable
            and event.modifiers() == Qt.KeyboardModifier.ControlModifier
            and key in nudges
            and self._focus is not None
            and (value := self.value(self._focus)) is not None
        ):
            self._ask_value(self._focus, nudged(value, nudges[Qt.Key(key)], self._scale))
            return
        if event.modifiers() & (
            Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier
        ):
            super().keyPressEvent(event)
            return
        arrows = {
            Qt.Key.Key_Left: (0, -1),
            Qt.Key.Key_Right: (0, 1),
            Qt.Key.Key_Up: (-1, 0),
            Qt.Key.Key_Down: (1, 0),
        }
        if self._at.array is not None and self._at.array.size and key in arrows:
            by_channel = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            cell = self._at.neighbour(self._focus, *arrows[Qt.Key(key)], by_channel)
            if cell is not None:
                self._request(cell)
        elif self._at.array is not None and key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            self.zoom_by(1.25)
        elif self._at.array is not None and key == Qt.Key.Key_Minus:
            self.zoom_by(0.8)
        elif self._at.array is not None and key == Qt.Key.Key_0:
            self.fit()
        else:
            super().keyPressEvent(event)  # Space and the rest belong to whoever is above

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        if self._at.array is None:
            event.ignore()
            return
        menu = self.context_menu(self.cell_at(event.pos()) or self._focus)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(event.globalPos())

    def context_menu(self, cell: Cell | None) -> QMenu:
        """What can be copied of this tensor, for the cell under the pointer."""
        return tensor_menu(self, cell)

    # Inside.

    def _request(self, cell: Cell) -> None:
        if cell != self._focus:
            self.selected.emit(cell)

    def _hover_at(self, cell: Cell | None) -> None:
        if cell != self._hover:
            before, self._hover = self._hover, cell
            self.hovered.emit(cell)
            self._update_around(before, cell)

    def _update_around(self, *cells: Cell | None) -> None:
        """Repaint the rings of cells, and the number of the map that each is on."""
        m, at = theme.metrics(), self._at
        for cell in cells:
            rect, place = at.rect_of(cell) if cell is not None else None, at.place(cell)
            if rect is None or place is None:
                continue
            edge = m.focus_width + m.halo_width
            self.update(ring_around(rect).adjusted(-edge, -edge, edge, edge).toAlignedRect())
            if not at.arrangement.is_vector and at.layout.channels > 1:
                self.update(label_chip(at, place[0]).adjusted(-1, -1, 1, 1).toAlignedRect())

    def _view_was_changed(self, before: View) -> None:
        if self._at.view != before:
            self.view_changed.emit(self._at.view)
            self.update()

    def _describe(self) -> None:
        text = self._empty if self._at.array is None else ""
        if self._focus is not None and self._at.place(self._focus) is not None:
            text = self.describe(self._focus)
        elif self._at.array is not None:
            shape = " × ".join(map(str, self._at.array.shape)) or self.tr("one value")
            text = self.tr("{shape} values; arrow keys choose a cell").format(shape=shape)
        self.setAccessibleDescription(text)

    def _theme_changed(self) -> None:
        self._bands.forget()
        if self._at.view.fit:
            self._arrange()
        self.update()

    def _arrange(self) -> None:
        """Lay the maps out for the present size."""
        if self._at.arrange(self._area()):
            self._bands.forget()

    def _area(self) -> QRectF:
        """The area for the picture, inside the outline of the keyboard focus."""
        edge = theme.metrics().space_1
        return QRectF(self.rect()).adjusted(edge, edge, -edge, -edge)

    def paintEvent(self, event: QPaintEvent) -> None:
        at, m, whole = self._at, theme.metrics(), QRectF(self.rect())
        painter = QPainter(self)
        painter.fillRect(event.rect(), QColor(theme.current().surface))
        if at.array is None or at.array.size == 0:
            paint_empty(painter, whole, self._nothing())
        else:
            visible = QRectF(event.rect())
            self._bands.paint(painter, at, self._scale, visible, self.devicePixelRatioF())
            sight = Sight(painter, at, visible, at.channels_around(visible))
            if any(at.padding):
                paint_padding(sight)
            if at.view.zoom >= LINES_FROM:
                paint_lines(sight)
            if at.view.zoom >= m.numbers_from:
                self._numbers.paint(sight, self._scale, whole)
            if self._fields is not None:
                paint_field(sight, self._fields)
            if self._known is not None:
                paint_unknown(sight, self._known)
            if len(self._windows) == 1 or (self._windows and at.view.zoom >= WINDOWS_FROM):
                paint_windows(sight, self._windows)
            if self._marks is not None and at.view.zoom >= MARKS_FROM:
                paint_marks(sight, self._marks, self._scale.kind)
            paint_channel_labels(sight, (self._hover, self._focus), self._labels)
            paint_highlights(sight, self._highlights)
            if self._hover != self._focus:
                paint_hover(sight, self._hover)
            paint_focus(sight, self._focus)
        if self.hasFocus():
            paint_keyboard(painter, whole)
        painter.end()

    def _nothing(self) -> str:
        """Why there are no cells."""
        if self._at.array is None:
            return self._empty
        shape = " × ".join(map(str, self._at.array.shape))
        return self.tr("This tensor holds no values: its shape is {shape}.").format(shape=shape)
