"""The layers of a painted tensor: padding, lines, fields, covers, labels and the chosen cells."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from PySide6.QtCore import QLineF, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QFontMetricsF, QPainter, QPen

from engine.cell import Cell
from engine.fields import Fields
from explorer import theme
from explorer.tensors.geometry import Geometry

LINES_FROM = 8.0  # pixels to a cell from which lines between cells can be told apart


@dataclass(frozen=True)
class Sight:
    """What one paint has to fill: ``visible`` of the widget, and the ``channels`` around it."""

    painter: QPainter
    at: Geometry
    visible: QRectF
    channels: list[int]


def paint_empty(painter: QPainter, area: QRectF, text: str) -> None:
    """A sentence where there are no cells."""
    tokens, m = theme.current(), theme.metrics()
    painter.setPen(QColor(tokens.text_muted))
    painter.setFont(theme.font("body"))
    area = area.adjusted(m.space_3, m.space_3, -m.space_3, -m.space_3)
    painter.drawText(area, int(Qt.AlignmentFlag.AlignCenter) | int(Qt.TextFlag.TextWordWrap), text)


def paint_padding(sight: Sight) -> None:
    """Hatch what a convolution or pooling adds around the maps."""
    at, painter = sight.at, sight.painter
    tokens = theme.current()
    top, left, bottom, right = at.padding
    brush = QBrush(QColor(tokens.padding), Qt.BrushStyle.BDiagPattern)
    for channel in sight.channels:
        inner = at.layout.channel_rect(channel)
        outer = inner.adjusted(-left, -top, right, bottom)
        for rect in (
            QRectF(outer.left(), outer.top(), outer.width(), top),
            QRectF(outer.left(), inner.bottom(), outer.width(), bottom),
            QRectF(outer.left(), inner.top(), left, inner.height()),
            QRectF(inner.right(), inner.top(), right, inner.height()),
        ):
            if not rect.isEmpty():
                painter.fillRect(at.on_screen(rect), brush)


def paint_lines(sight: Sight) -> None:
    """Lines between cells."""
    at, painter = sight.at, sight.painter
    tokens, m = theme.current(), theme.metrics()
    painter.setPen(QPen(tokens.colour("cell_gap"), m.hairline))
    lines: list[QLineF] = []
    zoom = at.view.zoom
    for channel in sight.channels:
        rect = at.on_screen(at.layout.channel_rect(channel))
        if at.arrangement.is_vector:
            lines.append(QLineF(rect.topLeft(), rect.bottomLeft()))
            lines.append(QLineF(rect.topLeft(), rect.topRight()))
            continue
        rows, columns = at.cells_in(channel, sight.visible)
        for row in rows:
            y = rect.top() + row * zoom
            lines.append(QLineF(rect.left(), y, rect.right(), y))
        for column in columns:
            x = rect.left() + column * zoom
            lines.append(QLineF(x, rect.top(), x, rect.bottom()))
    painter.drawLines(lines)


def paint_unknown(sight: Sight, known: int) -> None:
    """A plain area where nothing has been computed yet."""
    at, painter = sight.at, sight.painter
    tokens = theme.current()
    _, H, W = at.maps.shape
    colour = QColor(tokens.surface_raised)
    for channel in sight.channels:
        done = min(max(0, known - channel * H * W), H * W)
        row, column = divmod(done, W)
        corner = at.layout.channel_rect(channel).topLeft()
        rest = [QRectF(corner.x(), corner.y() + row + 1, W, H - row - 1)]
        rest.append(QRectF(corner.x() + column, corner.y() + row, W - column, 1))
        for rect in rest:
            if row < H and not rect.isEmpty():
                painter.fillRect(at.on_screen(rect), colour)


def paint_field(sight: Sight, fields: Fields) -> None:
    """Outline what the focused cell sees or changes."""
    at, painter = sight.at, sight.painter
    ref = (at.node, at.port)
    field = fields.at(ref)
    if field is None:
        return
    painter.setBrush(Qt.BrushStyle.NoBrush)
    edge = theme.metrics().line
    around = sight.visible.adjusted(-edge, -edge, edge, edge)
    rects = [rect for rect in at.field_rects(fields) if rect.intersects(around)]
    for pen in theme.field_pens(ref in fields.changed, field.is_whole):
        painter.setPen(pen)
        painter.drawRects(rects)


def label_of(at: Geometry, channel: int) -> str:
    """The number of a map; of a weight those of its output and input."""
    return ", ".join(map(str, at.arrangement.index(channel, 0, 0)[:-2]))


def label_chip(at: Geometry, channel: int) -> QRectF:
    """Where the number of a map is painted, on screen."""
    m, metrics = theme.metrics(), QFontMetricsF(theme.font("small"))
    width = metrics.horizontalAdvance(label_of(at, channel)) + 2 * m.space_1
    corner = at.on_screen(at.layout.channel_rect(channel)).topLeft()
    return QRectF(corner.x(), corner.y(), width, metrics.height())


def paint_channel_labels(sight: Sight, cells: Iterable[Cell | None], every: bool) -> None:
    """Number the maps of some cells, or every map, where there is room."""
    at, painter = sight.at, sight.painter
    tokens, m = theme.current(), theme.metrics()
    if at.arrangement.is_vector or at.layout.channels == 1:
        return
    if at.view.zoom * at.layout.width < 2 * m.text_small:
        return
    chosen = {place[0] for place in map(at.place, cells) if place is not None}
    painter.setFont(theme.font("small"))
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    for channel in sight.channels:
        if not every and channel not in chosen:
            continue
        text, chip = label_of(at, channel), label_chip(at, channel)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(tokens.colour("surface", 0.85))
        painter.drawRoundedRect(chip, m.radius_small, m.radius_small)
        painter.setPen(QColor(tokens.text))
        painter.drawText(chip, int(Qt.AlignmentFlag.AlignCenter), text)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)


def paint_highlights(sight: Sight, cells: Iterable[Cell]) -> None:
    """Outline the sources of what the pointer is on elsewhere."""
    painter = sight.painter
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(QColor(theme.current().accent), theme.metrics().line))
    for cell in cells:
        rect = sight.at.rect_of(cell)
        if rect is not None:
            painter.drawRect(rect)


def paint_hover(sight: Sight, cell: Cell | None) -> None:
    """Outline the cell under the pointer."""
    rect = sight.at.rect_of(cell) if cell is not None else None
    if rect is not None:
        sight.painter.setBrush(Qt.BrushStyle.NoBrush)
        sight.painter.setPen(QPen(QColor(theme.current().text), theme.metrics().hairline))
        sight.painter.drawRect(rect)


def ring_around(rect: QRectF) -> QRectF:
    """The ring of the focus: around a cell of one pixel it would be smaller than its own line."""
    m = theme.metrics()
    grow = max(0.0, (3 * m.focus_width - rect.width()) / 2) + m.focus_width / 2
    return rect.adjusted(-grow, -grow, grow, grow)


def paint_focus(sight: Sight, cell: Cell | None) -> None:
    """The ring around the focused cell."""
    rect = sight.at.rect_of(cell) if cell is not None else None
    if rect is not None:
        sight.painter.setBrush(Qt.BrushStyle.NoBrush)
        for pen in theme.focus_pens():
            sight.painter.setPen(pen)
            sight.painter.drawRect(ring_around(rect))


def paint_keyboard(painter: QPainter, area: QRectF) -> None:
    """The outline of the widget that has the keyboard."""
    m = theme.metrics()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(QColor(theme.current().accent), m.line))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    inset = m.line / 2
    painter.drawRoundedRect(
        area.adjusted(inset, inset, -inset, -inset), m.radius_small, m.radius_small
    )
