"""All channels of one tensor as a grid that zooms and pans; only what is visible is painted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QLineF, QPoint, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QAction,
    QBrush,
    QColor,
    QContextMenuEvent,
    QFocusEvent,
    QFontMetricsF,
    QGuiApplication,
    QHelpEvent,
    QImage,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QApplication, QMenu, QSizePolicy, QToolTip, QWidget

from engine.cell import Cell
from engine.fields import Fields
from explorer import theme
from explorer.tensors.mosaic import Arrangement, MosaicLayout, layout_of, mosaic
from explorer.tensors.scales import Scale, channel_scale, colourise, format_number, lut, scale_for

# A band of the mosaic has about this many values, so that composing one takes a millisecond.
BAND_VALUES = 1 << 17
# From these sizes of a cell in pixels on, the detail can be told apart.
LINES_FROM = 8.0
MARKS_FROM = 4.0
WINDOWS_FROM = 3.0
SMALLEST_NUMBER = 7  # pixels: what is smaller cannot be read


@dataclass(frozen=True)
class View:
    """Zoom (pixels per cell) and the position of the first cell; ``fit`` follows the size."""

    zoom: float
    x: float
    y: float
    fit: bool = True


@dataclass(frozen=True, eq=False)
class Marks:
    """Cells that were chosen, such as the argmax of each pooling window.

    ``places`` (n, 3) holds channel, row and column; ``windows`` (n,) which window chose it;
    ``tied`` (n,) whether a rule had to decide between equal values.
    """

    places: NDArray[np.integer]
    windows: NDArray[np.integer]
    tied: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        n = len(self.windows)
        if self.places.shape != (n, 3):
            raise ValueError(
                f"marks: expected places of shape ({n}, 3) for {n} windows, got {self.places.shape}"
            )
        if self.tied is not None and self.tied.shape != (n,):
            raise ValueError(f"marks: expected {n} flags for ties, got {self.tied.shape}")


@dataclass(frozen=True)
class Window:
    """A window on maps, in cells; it may reach into the padding, below zero.

    ``channels`` are the maps that it lies on, None for all.
    """

    top: int
    left: int
    height: int
    width: int
    number: int = 0
    channels: tuple[int, ...] | None = None


class TensorGrid(QWidget):
    """Draws one tensor; asks for cells to be selected, and changes nothing itself."""

    selected = Signal(object)  # Cell: the user asks to make it the focus
    hovered = Signal(object)  # Cell under the pointer, or None
    view_changed = Signal(object)  # View, after a zoom or a pan by the user
    picture_requested = Signal(object, str)  # QImage of what is in sight, and a name for it
    value_requested = Signal(object, float)  # Cell, and the number that it should have

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._node, self._port = "", 0
        self._array: NDArray | None = None
        self._maps: NDArray = np.zeros((0, 0, 0), np.float32)
        self._arrangement = Arrangement((0, 0, 0))
        self._layout = layout_of(0, 0, 0, 1)
        self._scale = Scale("sequential", 0.0, 0.0)
        self._unit = ""
        self._empty = self.tr("Nothing to show yet: step forward to compute this tensor.")
        self._focus: Cell | None = None
        self._hover: Cell | None = None
        self._highlights: tuple[Cell, ...] = ()
        self._marks: Marks | None = None
        self._mark_table: tuple[NDArray, NDArray, NDArray, NDArray] | None = None
        self._known: int | None = None
        self._editable = False
        self._edit: tuple[Cell, float, float, float] | None = None
        self._windows: tuple[Window, ...] = ()
        self._fields: Fields | None = None
        self._padding = (0, 0, 0, 0)
        self._labels = False
        self._view = View(1.0, 0.0, 0.0)
        self._short_forms: tuple[str, ...] | None = None
        self._bands: dict[int, QImage] = {}
        self._scaled: dict[int, tuple[float, QImage]] = {}
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
        shape = None if self._array is None else self._array.shape
        same_shape = array is not None and array.shape == shape
        self._node, self._port, self._array, self._unit = node, port, array, unit
        if empty is not None:
            self._empty = empty
        self._arrangement = Arrangement(() if array is None else tuple(array.shape))
        if array is None:
            self._maps = np.zeros((0, 0, 0), np.float32)
        else:
            self._maps = self._arrangement.view(array)
        self._short_forms = None
        self._scale = scale or scale_for(array, "sequential")
        self.setAccessibleName(name or self.tr("Tensor {node}").format(node=node))
        self._forget_images()
        if not same_shape:
            self._view = View(self._view.zoom, self._view.x, self._view.y, True)
        self._arrange()
        self._describe()
        self.update()

    def set_scale(self, scale: Scale) -> None:
        """Colour the same tensor by another scale."""
        if scale != self._scale:
            self._scale = scale
            self._forget_images()
            self.update()

    def set_focus(self, cell: Cell | None) -> None:
        """Draw the ring around this cell, if it is one of this tensor; scroll it into sight."""
        if cell == self._focus:
            return
        self._focus = cell
        self._describe()
        rect = self.rect_of(cell) if cell is not None else None
        if rect is not None and not self._view.fit and not QRectF(self.rect()).contains(rect):
            centre = QRectF(self.rect()).center() - rect.center()
            self._view = View(
                self._view.zoom, self._view.x + centre.x(), self._view.y + centre.y(), False
            )
        self.update()

    def set_hover(self, cell: Cell | None) -> None:
        """Outline the cell that the pointer is on in a linked grid, without emitting."""
        if cell != self._hover:
            self._hover = cell
            self.update()

    def set_highlights(self, cells: Iterable[Cell]) -> None:
        """Outline further cells: the sources of what the pointer is on elsewhere."""
        found = tuple(cells)
        if found != self._highlights:
            self._highlights = found
            self.update()

    def set_marks(self, marks: Marks | None) -> None:
        """Dots in the colours of their windows; a cell chosen by several shows how many."""
        self._marks = marks
        self._mark_table = None
        if marks is not None and len(marks.windows):
            places, first, inverse, counts = np.unique(
                marks.places, axis=0, return_index=True, return_inverse=True, return_counts=True
            )
            tied = np.zeros(len(places), bool)
            if marks.tied is not None:
                np.logical_or.at(tied, inverse.reshape(-1), marks.tied)
            self._mark_table = (places, marks.windows[first], counts, tied)
        self.update()

    def set_windows(
        self, windows: Sequence[Window], padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    ) -> None:
        """Outline windows on their maps; ``padding`` (top, left, bottom, right) is hatched."""
        self._windows = tuple(windows)
        if padding != self._padding:
            self._padding = padding
            self._forget_images()
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
        place = self._place(cell)
        if place is None:
            return False
        number = int(np.ravel_multi_index(place, self._maps.shape))
        return self._known is None or number < self._known

    def set_labels(self, on: bool) -> None:
        """Number every channel that is large enough, not only the one under the pointer."""
        if on != self._labels:
            self._labels = on
            self.update()

    def set_view(self, view: View) -> None:
        """Take over zoom and position, without emitting ``view_changed``."""
        if view != self._view:
            self._view = view
            if view.fit:
                self._arrange()
            self.update()

    def fit(self) -> None:
        """Show the whole tensor, and emit ``view_changed`` if that changed the view."""
        before = self._view
        self._view = View(before.zoom, before.x, before.y, True)
        self._arrange()
        self._view_was_changed(before)

    def zoom_by(self, factor: float, at: QPointF | None = None) -> None:
        """Zoom around a point of the widget, its middle by default."""
        at = QRectF(self.rect()).center() if at is None else at
        before = self._view
        smallest = min(0.05, self._fit_zoom())
        zoom = min(float(theme.metrics().cell_max), max(smallest, before.zoom * factor))
        ratio = zoom / before.zoom
        self._view = View(
            zoom, at.x() - (at.x() - before.x) * ratio, at.y() - (at.y() - before.y) * ratio, False
        )
        self._view_was_changed(before)

    # What others may ask.

    @property
    def view(self) -> View:
        return self._view

    @property
    def scale(self) -> Scale:
        return self._scale

    @property
    def maps(self) -> NDArray:
        """The tensor as (channels, rows, columns); empty when nothing is shown."""
        return self._maps

    def channel_of(self, cell: Cell) -> int:
        """Which map a cell of this tensor is on; ValueError for another tensor's cell."""
        place = self._place(cell)
        if place is None:
            raise ValueError(f"cell {cell} is not of the tensor shown, {self._node}:{self._port}")
        return place[0]

    @property
    def focus(self) -> Cell | None:
        return self._focus

    def value(self, cell: Cell) -> float | None:
        """The value of a cell of this tensor, None for another tensor's."""
        place = self._place(cell)
        return None if place is None else float(self._maps[place])

    def rect_of(self, cell: Cell) -> QRectF | None:
        """Where a cell is drawn, in the widget's coordinates; None if it is not of this tensor."""
        place = self._place(cell)
        return None if place is None else self._on_screen(self._layout.cell_rect(*place))

    def field_rects(self) -> list[QRectF]:
        """Where the field of the focused cell is outlined, in the widget's coordinates.

        One for each map; whole maps, and cells of a vector, are outlined together, row by row.
        """
        field = self._fields.at((self._node, self._port)) if self._fields is not None else None
        spans = None if field is None else self._arrangement.spans(field.box)
        if spans is None or not self._maps.size:
            return []
        (first, end), (top, bottom), (left, right) = spans
        layout = self._layout
        if (bottom - top, right - left) == self._maps.shape[1:]:
            rows: list[QRectF] = []
            for start in range(first - first % layout.columns, end, layout.columns):
                ends = max(first, start), min(end, start + layout.columns) - 1
                row = layout.channel_rect(ends[0]).united(layout.channel_rect(ends[1]))
                if rows and (rows[-1].left(), rows[-1].width()) == (row.left(), row.width()):
                    rows[-1] = rows[-1].united(row)
                else:
                    rows.append(row)
            return [self._on_screen(row) for row in rows]
        corners = (layout.channel_rect(channel).topLeft() for channel in range(first, end))
        return [
            self._on_screen(QRectF(corner.x() + left, corner.y() + top, right - left, bottom - top))
            for corner in corners
        ]

    def cell_at(self, point: QPointF | QPoint) -> Cell | None:
        """The cell under a point of the widget."""
        zoom = self._view.zoom
        place = self._layout.hit(
            (point.x() - self._view.x) / zoom, (point.y() - self._view.y) / zoom
        )
        if place is None:
            return None
        return Cell(self._node, self._port, self._arrangement.index(*place))

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
        if self._array is None:
            return ""
        digits = 17 if self._maps.dtype == np.float64 else 9
        if self._arrangement.is_vector:
            return separator.join(f"{value:.{digits}g}" for value in self._maps.reshape(-1))
        maps = self._maps if channel is None else self._maps[channel : channel + 1]
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
        if self._array is None:
            return
        place = self._place(self._focus) if self._focus is not None else None
        self._copy_channel(None if place is None else place[0])

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
            and self._array is not None
        ):
            event.accept()
            return True
        return super().event(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        if self._view.fit:
            self._arrange()
        super().resizeEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        self.update()
        super().focusInEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self.update()
        super().focusOutEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        steps = event.angleDelta().y() / 120
        if self._array is None or steps == 0:
            event.ignore()
            return
        self.zoom_by(1.25**steps, event.position())
        event.accept()

    def _span(self) -> float:
        """How much a number moves over the height of a hand: all of the scale."""
        return (self._scale.high - self._scale.low) or 1.0

    def _ask_value(self, cell: Cell, value: float) -> None:
        """Ask for another number, rounded to what can be told apart on the screen."""
        step = self._span() / 200
        value = round(value / step) * step
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
            self._edit = (cell, event.position().y(), self.value(cell) or 0.0, self._span())
            self.setCursor(Qt.CursorShape.SizeVerCursor)
            return
        if event.button() in (Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton):
            self._press = event.position()
            self._pan_from = QPointF(self._view.x, self._view.y)
            self._panning = event.button() == Qt.MouseButton.MiddleButton
        else:
            super().mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._edit is not None:
            cell, start, value, span = self._edit
            by = (start - event.position().y()) / (4 * theme.metrics().strip_height)
            self._ask_value(cell, value + by * span)
            return
        if self._press is not None:
            moved = event.position() - self._press
            if not self._panning:
                self._panning = moved.manhattanLength() >= QApplication.startDragDistance()
            if self._panning and self._array is not None:
                self.setCursor(Qt.CursorShape.ClosedHandCursor)
                before = self._view
                corner = self._pan_from + moved
                self._view = View(before.zoom, corner.x(), corner.y(), False)
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
            self._ask_value(self._focus, value + nudges[Qt.Key(key)] * self._span() / 20)
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
        if self._array is not None and self._array.size and key in arrows:
            by_channel = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            cell = self._neighbour(*arrows[Qt.Key(key)], by_channel)
            if cell is not None:
                self._request(cell)
        elif self._array is not None and key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            self.zoom_by(1.25)
        elif self._array is not None and key == Qt.Key.Key_Minus:
            self.zoom_by(0.8)
        elif self._array is not None and key == Qt.Key.Key_0:
            self.fit()
        else:
            super().keyPressEvent(event)  # Space and the rest belong to whoever is above

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        if self._array is None:
            event.ignore()
            return
        menu = self.context_menu(self.cell_at(event.pos()) or self._focus)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(event.globalPos())

    def context_menu(self, cell: Cell | None) -> QMenu:
        """What can be copied of this tensor, for the cell under the pointer."""
        menu = QMenu(self)
        place = self._place(cell) if cell is not None else None
        if place is not None:
            value = float(self._maps[place])
            action = QAction(self.tr("Copy value"), menu)
            action.triggered.connect(lambda: QGuiApplication.clipboard().setText(repr(value)))
            menu.addAction(action)
            if not self._arrangement.is_vector:
                channel = place[0]
                action = QAction(self.tr("Copy channel as table"), menu)
                action.triggered.connect(lambda: self._copy_channel(channel))
                menu.addAction(action)
        action = QAction(self.tr("Copy tensor as table"), menu)
        action.triggered.connect(lambda: self._copy_channel(None))
        menu.addAction(action)
        action = QAction(self.tr("Copy tensor as CSV"), menu)
        action.triggered.connect(lambda: self._copy_channel(None, ","))
        menu.addAction(action)
        action = QAction(self.tr("Copy picture"), menu)
        action.triggered.connect(
            lambda: QGuiApplication.clipboard().setImage(self.grab().toImage())
        )
        menu.addAction(action)
        action = QAction(self.tr("Save picture…"), menu)
        action.triggered.connect(lambda: self.picture_requested.emit(self.picture(), self._node))
        menu.addAction(action)
        menu.addSeparator()
        action = QAction(theme.icon("fit"), self.tr("Show all"), menu)
        action.triggered.connect(self.fit)
        menu.addAction(action)
        return menu

    # Inside.

    def _place(self, cell: Cell | None) -> tuple[int, int, int] | None:
        if cell is None or self._array is None:
            return None
        if cell.node != self._node or cell.port != self._port:
            return None
        return self._arrangement.place(cell.index)

    def _request(self, cell: Cell) -> None:
        if cell != self._focus:
            self.selected.emit(cell)

    def _hover_at(self, cell: Cell | None) -> None:
        if cell != self._hover:
            self._hover = cell
            self.hovered.emit(cell)
            self.update()

    def _view_was_changed(self, before: View) -> None:
        if self._view != before:
            self.view_changed.emit(self._view)
            self.update()

    def _neighbour(self, down: int, right: int, by_channel: bool) -> Cell | None:
        C, H, W = self._maps.shape
        place = self._place(self._focus)
        if place is None:
            return Cell(self._node, self._port, self._arrangement.index(0, 0, 0))
        channel, row, column = place
        if by_channel or self._arrangement.is_vector:
            channel = channel + right + down * self._layout.columns
            if not 0 <= channel < C:
                return None
        else:
            row, column = row + down, column + right
            if not (0 <= row < H and 0 <= column < W):
                return None
        return Cell(self._node, self._port, self._arrangement.index(channel, row, column))

    def _copy_channel(self, channel: int | None, separator: str = "\t") -> None:
        # as text: a QMimeData made here would outlive Python in the clipboard and crash at exit
        QGuiApplication.clipboard().setText(self.text_of(channel, separator))

    def _describe(self) -> None:
        text = self._empty if self._array is None else ""
        if self._focus is not None and self._place(self._focus) is not None:
            text = self.describe(self._focus)
        elif self._array is not None:
            shape = " × ".join(map(str, self._array.shape)) or self.tr("one value")
            text = self.tr("{shape} values; arrow keys choose a cell").format(shape=shape)
        self.setAccessibleDescription(text)

    def _theme_changed(self) -> None:
        self._forget_images()
        if self._view.fit:
            self._arrange()
        self.update()

    def _forget_images(self) -> None:
        self._bands.clear()
        self._scaled.clear()

    def _margins(self) -> QRectF:
        """The area for the picture, inside the outline of the keyboard focus."""
        edge = theme.metrics().space_1
        return QRectF(self.rect()).adjusted(edge, edge, -edge, -edge)

    def _fit_zoom(self) -> float:
        area = self._margins()
        top, left, bottom, right = self._padding
        width, height = self._layout.size
        if not width or not height:
            return 1.0
        zoom = min(area.width() / (width + left + right), area.height() / (height + top + bottom))
        # A whole number of pixels to a cell keeps cells of equal size where they are small.
        zoom = min(float(theme.metrics().cell_max), max(zoom, 0.01))
        return float(int(zoom)) if zoom >= 2 else zoom

    def _arrange(self) -> None:
        """Choose the columns for the present size, and fit the picture if it is to be fitted."""
        C, H, W = self._maps.shape
        area = self._margins()
        top, left, bottom, right = self._padding
        gap = 0 if self._arrangement.is_vector else max(1, round(max(H, W) / 32))
        gap += max(top + bottom, left + right)
        layout = layout_of(
            C, H, W, area.width(), area.height(), gap=gap, columns=self._arrangement.columns
        )
        if layout != self._layout:
            self._layout = layout
            self._forget_images()
        if self._view.fit:
            zoom = self._fit_zoom()
            width, height = layout.size
            self._view = View(
                zoom,
                round(area.center().x() - (width + right - left) * zoom / 2),
                round(area.center().y() - (height + bottom - top) * zoom / 2),
                True,
            )

    def _on_screen(self, rect: QRectF) -> QRectF:
        zoom = self._view.zoom
        return QRectF(
            self._view.x + rect.x() * zoom,
            self._view.y + rect.y() * zoom,
            rect.width() * zoom,
            rect.height() * zoom,
        )

    def _rows_per_band(self) -> int:
        layout = self._layout
        values = max(1, layout.columns * layout.height * layout.width)
        return max(1, BAND_VALUES // values)

    def _band(self, band: int) -> QImage:
        """Some rows of maps as one image, composed when it is first visible."""
        if band not in self._bands:
            size = self._rows_per_band() * self._layout.columns
            part = self._maps[band * size : (band + 1) * size]
            self._bands[band] = mosaic(
                part, self._layout.columns, int(self._layout.gap), self._scale
            )
        return self._bands[band]

    def paintEvent(self, event: QPaintEvent) -> None:
        tokens, m = theme.current(), theme.metrics()
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(tokens.surface))
        if self._array is None or self._array.size == 0:
            self._paint_empty(painter, tokens, m)
        else:
            visible = QRectF(event.rect())
            self._paint_bands(painter, visible)
            channels = self._visible_channels(visible)
            if any(self._padding):
                self._paint_padding(painter, channels, tokens)
            if self._view.zoom >= LINES_FROM:
                self._paint_lines(painter, channels, visible, tokens, m)
            if self._view.zoom >= m.numbers_from:
                self._paint_numbers(painter, channels, visible, tokens)
            if self._fields is not None:
                self._paint_field(painter, visible)
            if self._known is not None:
                self._paint_unknown(painter, channels, self._known, tokens)
            if self._windows and self._view.zoom >= WINDOWS_FROM:
                self._paint_windows(painter, channels, tokens, m)
            if self._mark_table is not None and self._view.zoom >= MARKS_FROM:
                self._paint_marks(painter, channels, tokens, m)
            self._paint_channel_labels(painter, channels, tokens, m)
            self._paint_cells(painter, tokens, m)
        if self.hasFocus():
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(QColor(tokens.accent), m.line))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            inset = m.line / 2
            painter.drawRoundedRect(
                QRectF(self.rect()).adjusted(inset, inset, -inset, -inset),
                m.radius_small,
                m.radius_small,
            )
        painter.end()

    def _paint_empty(self, painter: QPainter, tokens: theme.Tokens, m: theme.Metrics) -> None:
        text = self._empty
        if self._array is not None:
            shape = " × ".join(map(str, self._array.shape))
            text = self.tr("This tensor holds no values: its shape is {shape}.").format(shape=shape)
        painter.setPen(QColor(tokens.text_muted))
        painter.setFont(theme.font("body"))
        area = QRectF(self.rect()).adjusted(m.space_3, m.space_3, -m.space_3, -m.space_3)
        painter.drawText(
            area, int(Qt.AlignmentFlag.AlignCenter) | int(Qt.TextFlag.TextWordWrap), text
        )

    def _visible_channels(self, visible: QRectF) -> list[int]:
        layout: MosaicLayout = self._layout
        view = self._view
        x0 = (visible.left() - view.x) / view.zoom
        x1 = (visible.right() - view.x) / view.zoom
        y0 = (visible.top() - view.y) / view.zoom
        y1 = (visible.bottom() - view.y) / view.zoom
        columns = range(
            max(0, int(x0 // layout.pitch_x)), min(layout.columns, int(x1 // layout.pitch_x) + 1)
        )
        rows = range(
            max(0, int(y0 // layout.pitch_y)), min(layout.rows, int(y1 // layout.pitch_y) + 1)
        )
        return [
            row * layout.columns + column
            for row in rows
            for column in columns
            if row * layout.columns + column < layout.channels
        ]

    def _paint_bands(self, painter: QPainter, visible: QRectF) -> None:
        layout, view = self._layout, self._view
        step = self._rows_per_band()
        bands = -(-layout.rows // step)
        height = step * layout.pitch_y
        first = max(0, int((visible.top() - view.y) / view.zoom // height))
        last = min(bands - 1, int((visible.bottom() - view.y) / view.zoom // height))
        for band in range(first, last + 1):
            image = self._band(band)
            target = self._on_screen(
                QRectF(0, band * height, float(image.width()), float(image.height()))
            )
            if not target.intersects(visible):
                continue
            if view.zoom < 1:
                painter.drawImage(target.topLeft(), self._smaller(band, image))
                continue
            part = target.intersected(visible)
            source = QRectF(
                (part.x() - target.x()) / view.zoom,
                (part.y() - target.y()) / view.zoom,
                part.width() / view.zoom,
                part.height() / view.zoom,
            )
            painter.drawImage(part, image, source)

    def _smaller(self, band: int, image: QImage) -> QImage:
        """A band reduced by averaging, so that no row of cells is skipped."""
        ratio = self.devicePixelRatioF()
        factor = self._view.zoom * ratio
        kept = self._scaled.get(band)
        if kept is None or kept[0] != factor:
            small = image.scaled(
                max(1, round(image.width() * factor)),
                max(1, round(image.height() * factor)),
                Qt.AspectRatioMode.IgnoreAspectRatio,
                Qt.TransformationMode.SmoothTransformation,
            )
            small.setDevicePixelRatio(ratio)
            self._scaled[band] = (factor, small)
            return small
        return kept[1]

    def _paint_padding(self, painter: QPainter, channels: list[int], tokens: theme.Tokens) -> None:
        top, left, bottom, right = self._padding
        brush = QBrush(QColor(tokens.padding), Qt.BrushStyle.BDiagPattern)
        for channel in channels:
            inner = self._layout.channel_rect(channel)
            outer = inner.adjusted(-left, -top, right, bottom)
            for rect in (
                QRectF(outer.left(), outer.top(), outer.width(), top),
                QRectF(outer.left(), inner.bottom(), outer.width(), bottom),
                QRectF(outer.left(), inner.top(), left, inner.height()),
                QRectF(inner.right(), inner.top(), right, inner.height()),
            ):
                if not rect.isEmpty():
                    painter.fillRect(self._on_screen(rect), brush)

    def _cells_in(self, channel: int, visible: QRectF) -> tuple[range, range]:
        """Rows and columns of a map that are visible."""
        rect = self._on_screen(self._layout.channel_rect(channel))
        zoom = self._view.zoom
        part = rect.intersected(visible)
        if part.isEmpty():
            return range(0), range(0)
        rows = range(
            max(0, int((part.top() - rect.top()) / zoom)),
            min(self._layout.height, int((part.bottom() - rect.top()) / zoom) + 1),
        )
        columns = range(
            max(0, int((part.left() - rect.left()) / zoom)),
            min(self._layout.width, int((part.right() - rect.left()) / zoom) + 1),
        )
        return rows, columns

    def _paint_lines(
        self,
        painter: QPainter,
        channels: list[int],
        visible: QRectF,
        tokens: theme.Tokens,
        m: theme.Metrics,
    ) -> None:
        painter.setPen(QPen(tokens.colour("cell_gap"), m.hairline))
        lines: list[QLineF] = []
        zoom = self._view.zoom
        for channel in channels:
            rect = self._on_screen(self._layout.channel_rect(channel))
            if self._arrangement.is_vector:
                lines.append(QLineF(rect.topLeft(), rect.bottomLeft()))
                lines.append(QLineF(rect.topLeft(), rect.topRight()))
                continue
            rows, columns = self._cells_in(channel, visible)
            for row in rows:
                y = rect.top() + row * zoom
                lines.append(QLineF(rect.left(), y, rect.right(), y))
            for column in columns:
                x = rect.left() + column * zoom
                lines.append(QLineF(x, rect.top(), x, rect.bottom()))
        painter.drawLines(lines)

    def _shortest(self, channels: list[int]) -> tuple[str, ...]:
        """The short forms that the numbers of this tensor need; of a large one those in sight."""
        if self._short_forms is not None:
            return self._short_forms
        whole = self._maps.size <= BAND_VALUES
        values = self._maps if whole else self._maps[channels]
        values = values[np.isfinite(values) & (values != 0)].astype(np.float64)
        exponents = np.floor(np.log10(np.abs(values))).astype(np.int64)
        lowest = int(exponents.min(initial=0))
        counts = np.bincount(2 * (exponents - lowest) + (values < 0))
        found = []
        for key in counts.nonzero()[0].tolist():
            exponent, negative = key // 2 + lowest, key % 2
            sign = -1.0 if negative else 1.0
            found.append(format_number(sign * 8.0 * 10.0**exponent, 1))
            if 0 <= exponent < 4:  # 9.7 is written as 10
                found.append("−0"[1 - negative :] + "0" * (exponent + 1))
        forms = tuple(found)
        if whole:
            self._short_forms = forms
        return forms

    def _paint_numbers(
        self, painter: QPainter, channels: list[int], visible: QRectF, tokens: theme.Tokens
    ) -> None:
        zoom = self._view.zoom
        # As large as a usual number allows, two decimals and a sign, and the longest one here.
        font = theme.font("number")
        measured = QFontMetricsF(font)
        longest = ("−0.00", *self._shortest(channels))
        room = max(map(measured.horizontalAdvance, longest)) / font.pixelSize()
        size = min(font.pixelSize(), int((zoom - 3) / room))
        if size < SMALLEST_NUMBER:
            return  # all cells have their number or none: a gap would look like a meaning
        font.setPixelSize(size)
        painter.setFont(font)
        metrics = QFontMetricsF(font)
        table = lut(tokens, self._scale.kind)
        dark, light = QColor(theme.LIGHT.text), QColor(theme.DARK.text)
        for channel in channels:
            rows, columns = self._cells_in(channel, visible)
            if not rows or not columns:
                continue
            part = self._maps[channel, rows.start : rows.stop, columns.start : columns.stop]
            colours = colourise(part, channel_scale(self._maps, self._scale, channel), table)
            # Relative luminance, roughly: which of black and white ink can be read on it.
            luminance = (
                0.2126 * ((colours >> 16) & 255) ** 2.2
                + 0.7152 * ((colours >> 8) & 255) ** 2.2
                + 0.0722 * (colours & 255) ** 2.2
            ) / 255**2.2
            for i, row in enumerate(rows):
                for j, column in enumerate(columns):
                    value = float(part[i, j])
                    texts = (format_number(value, digits) for digits in (3, 2, 1))
                    text = next((t for t in texts if metrics.horizontalAdvance(t) < zoom), "")
                    if not text:
                        continue  # the tooltip has it; a cut number would be a wrong one
                    painter.setPen(dark if luminance[i, j] > 0.18 else light)
                    painter.drawText(
                        self._on_screen(self._layout.cell_rect(channel, row, column)),
                        int(Qt.AlignmentFlag.AlignCenter),
                        text,
                    )

    def _paint_unknown(
        self, painter: QPainter, channels: list[int], known: int, tokens: theme.Tokens
    ) -> None:
        """A plain area where nothing has been computed yet."""
        _, H, W = self._maps.shape
        colour = QColor(tokens.surface_raised)
        for channel in channels:
            done = min(max(0, known - channel * H * W), H * W)
            row, column = divmod(done, W)
            corner = self._layout.channel_rect(channel).topLeft()
            rest = [QRectF(corner.x(), corner.y() + row + 1, W, H - row - 1)]
            rest.append(QRectF(corner.x() + column, corner.y() + row, W - column, 1))
            for rect in rest:
                if row < H and not rect.isEmpty():
                    painter.fillRect(self._on_screen(rect), colour)

    def _paint_windows(
        self, painter: QPainter, channels: list[int], tokens: theme.Tokens, m: theme.Metrics
    ) -> None:
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for channel in channels:
            corner = self._layout.channel_rect(channel).topLeft()
            for window in self._windows:
                if window.channels is not None and channel not in window.channels:
                    continue
                colour = tokens.windows[window.number % len(tokens.windows)]
                painter.setPen(QPen(QColor(colour), m.line))
                rect = self._on_screen(
                    QRectF(
                        corner.x() + window.left,
                        corner.y() + window.top,
                        window.width,
                        window.height,
                    )
                )
                inset = m.line / 2
                painter.drawRect(rect.adjusted(inset, inset, -inset, -inset))

    def _paint_field(self, painter: QPainter, visible: QRectF) -> None:
        assert self._fields is not None
        ref = (self._node, self._port)
        field = self._fields.at(ref)
        if field is None:
            return
        painter.setBrush(Qt.BrushStyle.NoBrush)
        edge = theme.metrics().line
        around = visible.adjusted(-edge, -edge, edge, edge)
        rects = [rect for rect in self.field_rects() if rect.intersects(around)]
        for pen in theme.field_pens(ref in self._fields.changed, field.is_whole):
            painter.setPen(pen)
            painter.drawRects(rects)

    def _paint_marks(
        self, painter: QPainter, channels: list[int], tokens: theme.Tokens, m: theme.Metrics
    ) -> None:
        assert self._mark_table is not None
        places, windows, counts, tied = self._mark_table
        wanted = np.isin(places[:, 0], channels)
        zoom = self._view.zoom
        # on a gradient the cell's own colour is the message: marks go around it
        hollow = self._scale.kind == "diverging" and zoom < m.numbers_from
        size = zoom if hollow else min(zoom * 0.8, max(m.mark, zoom * 0.3))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        numbers = theme.font("small")
        numbers.setPixelSize(max(7, min(numbers.pixelSize(), int(size * 0.9))))
        for place, window, count, tie in zip(
            places[wanted].tolist(),
            windows[wanted].tolist(),
            counts[wanted].tolist(),
            tied[wanted].tolist(),
            strict=True,
        ):
            # With its number in it, a value stays readable beside the mark in the corner.
            rect = self._on_screen(self._layout.cell_rect(*place))
            centre = rect.center()
            if zoom >= m.numbers_from:
                centre = rect.topRight() + QPointF(-size / 2 - 2, size / 2 + 2)
            colour = QColor(tokens.windows[window % len(tokens.windows)])
            painter.setPen(QPen(QColor(tokens.focus_halo), m.hairline))
            painter.setBrush(colour)
            if hollow:
                painter.setPen(QPen(colour, m.line))
                painter.setBrush(Qt.BrushStyle.NoBrush)
            if tie:  # a square says that a rule decided, without relying on colour
                painter.drawRect(QRectF(centre.x() - size / 2, centre.y() - size / 2, size, size))
            else:
                painter.drawEllipse(centre, size / 2, size / 2)
            if count > 1 and size >= 8:
                painter.setFont(numbers)
                painter.setPen(QColor(tokens.focus_halo))
                painter.drawText(
                    QRectF(centre.x() - size, centre.y() - size, 2 * size, 2 * size),
                    int(Qt.AlignmentFlag.AlignCenter),
                    str(count),
                )
            elif count > 1:
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.setPen(QPen(colour, m.hairline))
                painter.drawEllipse(centre, size / 2 + 2, size / 2 + 2)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)

    def _paint_channel_labels(
        self, painter: QPainter, channels: list[int], tokens: theme.Tokens, m: theme.Metrics
    ) -> None:
        if self._arrangement.is_vector or self._layout.channels == 1:
            return
        if self._view.zoom * self._layout.width < 2 * m.text_small:
            return
        chosen = {
            place[0]
            for place in (self._place(self._hover), self._place(self._focus))
            if place is not None
        }
        font = theme.font("small")
        painter.setFont(font)
        metrics = QFontMetricsF(font)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for channel in channels:
            if not self._labels and channel not in chosen:
                continue
            outer = self._arrangement.index(channel, 0, 0)[:-2]
            text = ", ".join(map(str, outer))
            rect = self._on_screen(self._layout.channel_rect(channel))
            chip = QRectF(
                rect.left(),
                rect.top(),
                metrics.horizontalAdvance(text) + 2 * m.space_1,
                metrics.height(),
            )
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(tokens.colour("surface", 0.85))
            painter.drawRoundedRect(chip, m.radius_small, m.radius_small)
            painter.setPen(QColor(tokens.text))
            painter.drawText(chip, int(Qt.AlignmentFlag.AlignCenter), text)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)

    def _paint_cells(self, painter: QPainter, tokens: theme.Tokens, m: theme.Metrics) -> None:
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for cell in self._highlights:
            rect = self.rect_of(cell)
            if rect is not None:
                painter.setPen(QPen(QColor(tokens.accent), m.line))
                painter.drawRect(rect)
        rect = self.rect_of(self._hover) if self._hover is not None else None
        if rect is not None and self._hover != self._focus:
            painter.setPen(QPen(QColor(tokens.text), m.hairline))
            painter.drawRect(rect)
        rect = self.rect_of(self._focus) if self._focus is not None else None
        if rect is not None:
            # A ring around a cell of one pixel would be smaller than its own line.
            least = 3 * m.focus_width
            grow = max(0.0, (least - rect.width()) / 2) + m.focus_width / 2
            ring = rect.adjusted(-grow, -grow, grow, grow)
            for pen in theme.focus_pens():
                painter.setPen(pen)
                painter.drawRect(ring)
