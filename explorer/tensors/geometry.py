"""Where the cells of one tensor are on a widget: maps, layout, zoom and position."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPoint, QPointF, QRectF

from engine.cell import Cell
from engine.fields import Fields
from explorer import theme
from explorer.tensors.mosaic import Arrangement, MosaicLayout, layout_of


@dataclass(frozen=True)
class View:
    """Zoom (pixels per cell) and the position of the first cell; ``fit`` follows the size."""

    zoom: float
    x: float
    y: float
    fit: bool = True


class Geometry:
    """The maps of one tensor, laid out for an area of a widget, as one zooms and pans.

    ``area`` is the part of the widget for the picture. Lengths of the layout are in cells; a point
    or a rectangle "on screen" is in pixels of the widget.
    """

    def __init__(self) -> None:
        self.node, self.port = "", 0
        self.array: NDArray | None = None
        self.maps: NDArray = np.zeros((0, 0, 0), np.float32)
        self.arrangement = Arrangement((0, 0, 0))
        self.layout: MosaicLayout = layout_of(0, 0, 0, 1)
        self.padding = (0, 0, 0, 0)
        self.view = View(1.0, 0.0, 0.0)
        self.area = QRectF()

    def set_array(self, node: str, port: int, array: NDArray | None) -> None:
        """Another tensor; the zoom is kept when its shape is the same."""
        same_shape = (
            array is not None and self.array is not None and array.shape == self.array.shape
        )
        self.node, self.port, self.array = node, port, array
        self.arrangement = Arrangement(() if array is None else tuple(array.shape))
        if array is None:
            self.maps = np.zeros((0, 0, 0), np.float32)
        else:
            self.maps = self.arrangement.view(array)
        if not same_shape:
            self.view = replace(self.view, fit=True)

    def place(self, cell: Cell | None) -> tuple[int, int, int] | None:
        """(channel, row, column) of a cell; None if it is not one of this tensor."""
        if cell is None or self.array is None:
            return None
        if cell.node != self.node or cell.port != self.port:
            return None
        return self.arrangement.place(cell.index)

    def cell_at(self, point: QPointF | QPoint) -> Cell | None:
        """The cell under a point of the widget."""
        zoom = self.view.zoom
        place = self.layout.hit((point.x() - self.view.x) / zoom, (point.y() - self.view.y) / zoom)
        if place is None:
            return None
        return Cell(self.node, self.port, self.arrangement.index(*place))

    def rect_of(self, cell: Cell) -> QRectF | None:
        """Where a cell is drawn, in the widget's coordinates; None if it is not of this tensor."""
        place = self.place(cell)
        return None if place is None else self.on_screen(self.layout.cell_rect(*place))

    def on_screen(self, rect: QRectF) -> QRectF:
        """A rectangle of the layout in pixels of the widget."""
        zoom = self.view.zoom
        return QRectF(
            self.view.x + rect.x() * zoom,
            self.view.y + rect.y() * zoom,
            rect.width() * zoom,
            rect.height() * zoom,
        )

    def field_rects(self, fields: Fields | None) -> list[QRectF]:
        """Where the field of the focused cell is outlined, in the widget's coordinates.

        One for each map; whole maps, and cells of a vector, are outlined together, row by row.
        """
        field = fields.at((self.node, self.port)) if fields is not None else None
        spans = None if field is None else self.arrangement.spans(field.box)
        if spans is None or not self.maps.size:
            return []
        (first, end), (top, bottom), (left, right) = spans
        layout = self.layout
        if (bottom - top, right - left) == self.maps.shape[1:]:
            rows: list[QRectF] = []
            for start in range(first - first % layout.columns, end, layout.columns):
                ends = max(first, start), min(end, start + layout.columns) - 1
                row = layout.channel_rect(ends[0]).united(layout.channel_rect(ends[1]))
                if rows and (rows[-1].left(), rows[-1].width()) == (row.left(), row.width()):
                    rows[-1] = rows[-1].united(row)
                else:
                    rows.append(row)
            return [self.on_screen(row) for row in rows]
        corners = (layout.channel_rect(channel).topLeft() for channel in range(first, end))
        return [
            self.on_screen(QRectF(corner.x() + left, corner.y() + top, right - left, bottom - top))
            for corner in corners
        ]

    def arrange(self, area: QRectF) -> bool:
        """Choose the columns for an area, and fit the picture if it is to be fitted.

        True when the maps now lie otherwise to each other, so that images of them are void.
        """
        self.area = area
        C, H, W = self.maps.shape
        top, left, bottom, right = self.padding
        gap = 0 if self.arrangement.is_vector else max(1, round(max(H, W) / 32))
        gap += max(top + bottom, left + right)
        layout = layout_of(
            C, H, W, area.width(), area.height(), gap=gap, columns=self.arrangement.columns
        )
        moved = layout != self.layout
        self.layout = layout
        if self.view.fit:
            zoom = self.fit_zoom()
            width, height = layout.size
            self.view = View(
                zoom,
                round(area.center().x() - (width + right - left) * zoom / 2),
                round(area.center().y() - (height + bottom - top) * zoom / 2),
                True,
            )
        return moved

    def fit_zoom(self) -> float:
        """The zoom at which all of the tensor is in sight."""
        area = self.area
        top, left, bottom, right = self.padding
        width, height = self.layout.size
        if not width or not height:
            return 1.0
        zoom = min(area.width() / (width + left + right), area.height() / (height + top + bottom))
        # A whole number of pixels to a cell keeps cells of equal size where they are small.
        zoom = min(float(theme.metrics().cell_max), max(zoom, 0.01))
        return float(int(zoom)) if zoom >= 2 else zoom

    def zoom_by(self, factor: float, at: QPointF) -> None:
        """Zoom around a point of the widget, within what can be told apart."""
        before = self.view
        smallest = min(0.05, self.fit_zoom())
        zoom = min(float(theme.metrics().cell_max), max(smallest, before.zoom * factor))
        ratio = zoom / before.zoom
        self.view = View(
            zoom, at.x() - (at.x() - before.x) * ratio, at.y() - (at.y() - before.y) * ratio, False
        )

    def move_to(self, x: float, y: float) -> None:
        """Pan until the first cell is at a point of the widget."""
        self.view = View(self.view.zoom, x, y, False)

    def neighbour(self, cell: Cell | None, down: int, right: int, by_channel: bool) -> Cell | None:
        """The cell beside another, or at the same place of a map beside its own.

        Without a cell of this tensor the first one; None at the edge.
        """
        C, H, W = self.maps.shape
        place = self.place(cell)
        if place is None:
            return Cell(self.node, self.port, self.arrangement.index(0, 0, 0))
        channel, row, column = place
        if by_channel or self.arrangement.is_vector:
            channel = channel + right + down * self.layout.columns
            if not 0 <= channel < C:
                return None
        else:
            row, column = row + down, column + right
            if not (0 <= row < H and 0 <= column < W):
                return None
        return Cell(self.node, self.port, self.arrangement.index(channel, row, column))

    def visible_channels(self, visible: QRectF) -> list[int]:
        """The maps that a part of the widget shows."""
        layout = self.layout
        view = self.view
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

    def channels_around(self, visible: QRectF) -> list[int]:
        """Those and their neighbours, whose padding, windows and labels reach into the part."""
        right, down = self.layout.pitch_x * self.view.zoom, self.layout.pitch_y * self.view.zoom
        return self.visible_channels(visible.adjusted(-right, -down, right, down))

    def cells_in(self, channel: int, visible: QRectF) -> tuple[range, range]:
        """Rows and columns of a map that are visible."""
        rect = self.on_screen(self.layout.channel_rect(channel))
        zoom = self.view.zoom
        part = rect.intersected(visible)
        if part.isEmpty():
            return range(0), range(0)
        rows = range(
            max(0, int((part.top() - rect.top()) / zoom)),
            min(self.layout.height, int((part.bottom() - rect.top()) / zoom) + 1),
        )
        columns = range(
            max(0, int((part.left() - rect.left()) / zoom)),
            min(self.layout.width, int((part.right() - rect.left()) / zoom) + 1),
        )
        return rows, columns
