"""A connection: one path, with its shape or, in the backward pass, its gradient's size."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QGraphicsItem, QStyleOptionGraphicsItem, QWidget

from explorer import theme
from explorer.canvas import geometry, ink
from explorer.canvas.facts import EdgeFacts
from explorer.canvas.node_item import TWO_LINES, Mark
from explorer.tensors.scales import WidthScale, edge_width, format_number

_PLAIN_LABELS_FROM = 0.42
_THIN_UNTIL = 0.1
"""Zoom from which on a line without a norm keeps a width on the screen."""
_WHOLE = 2 * theme.METRICS.hairline
"""This wide a line covers at least one pixel wholly, wherever it lies, and has its contrast."""
_NORM = "‖g‖ "
_AND = " · "
"""Between a norm and its share; further out there is room for the share alone, in larger type."""
_SHARE_HEIGHT = float(geometry.ROW_GAP) - 2
_LABEL_WIDTH = 10.0 * theme.METRICS.space_4
_LABEL_HEIGHT = float(theme.METRICS.text_title)


def _larger(rect: QRectF, start: float, zoom: float) -> tuple[QRectF, int]:
    """The whole height of the gap for a label that begins below ``start``, or ends above a card."""
    pixels = ink.legible(zoom, theme.METRICS.text_small, int(_SHARE_HEIGHT * 0.86))
    begins = abs(rect.top() - start) < geometry.ROW_GAP / 2
    top = start + 1 if begins else rect.bottom() + 3 - _SHARE_HEIGHT
    return QRectF(rect.left(), top, rect.width(), _SHARE_HEIGHT), pixels


def _percent(share: float) -> str:
    return f"{share * 100:.0f}%".replace("-", "−")


class EdgeItem(QGraphicsItem):
    """From an output port to an input slot."""

    def __init__(self, facts: EdgeFacts, route: geometry.Route) -> None:
        super().__init__()
        self.facts = facts
        self._take(route)
        self.norm: float | None = None
        self.share: float | None = None
        self.fork_share: float | None = None
        self.widths = WidthScale(1e-6, 1e2)
        self.phase = ""
        self.mark: Mark = ""
        self.label_here = True
        self.label_below = False
        self.main = True
        self.dimmed = True
        # Skip paths run behind the labels of the others.
        self.setZValue(-1 if facts.skip else 0)

    def set_route(self, route: geometry.Route) -> None:
        self.prepareGeometryChange()
        self._take(route)

    def _take(self, route: geometry.Route) -> None:
        self.route = route
        # Room for every label that may come, so that a new norm changes no geometry.
        margin = _LABEL_WIDTH + 2 * theme.METRICS.space_2
        self._bounds = route.box.adjusted(-margin, -margin, margin, margin)
        # Every route leaves and arrives vertically. Backward the arrow points at the tensor whose
        # gradient this is.
        clear = QPointF(0, geometry.PORT_RADIUS + 1)
        self._forward_tip = route.end - clear, QPointF(0, 1)
        self._backward_tip = route.start + clear, QPointF(0, -1)

    @property
    def line_width(self) -> float:
        """Width of the line in scene units."""
        now = theme.metrics()
        if self.norm is not None:
            return edge_width(self.norm, self.widths) or now.hairline
        return now.line

    def boundingRect(self) -> QRectF:
        return self._bounds

    def dirty_rects(self) -> list[QRectF]:
        """What a change of this edge repaints: slices along the path, and the labels."""
        margin = theme.METRICS.edge_thickest + geometry.ARROW
        higher = _SHARE_HEIGHT - _LABEL_HEIGHT
        labels = [rect.adjusted(0, -higher, 0, higher) for rect, _ in self.labels()]
        return self.route.rects(margin) + labels

    def labels(self) -> list[tuple[QRectF, str]]:
        """Text and where it stands: the shape, or the gradient's norm and share."""
        if self.norm is None:
            shape = self.facts.shape if self.label_here else ""
            return [(self._at_start(False), shape)] if shape else []
        if self.facts.crowded and self.facts.skip:
            return []
        size = _NORM + format_number(self.norm)
        found = []
        if self.facts.joins:
            text = size if self.share is None else f"{size}{_AND}{self.share * 100:.0f}%"
            found.append((self._at_end(), text))
        # Where a fork's gradients meet, each says its share; a short edge has room for one label.
        if self.facts.forks and not (self.facts.joins and self.route.direct):
            text = size if self.fork_share is None else f"{size}{_AND}{_percent(self.fork_share)}"
            found.append((self._at_start(self.facts.skip), text))
        elif not self.facts.joins:
            found.append((self._at_start(False), size))
        return found

    def _at_start(self, right: bool) -> QRectF:
        """Left of the line where it leaves; a skip's is right of it, along its way to the lane."""
        m = theme.METRICS
        start = self.route.start
        if not right:
            left = start.x() - m.space_2 - _LABEL_WIDTH
            return QRectF(left, start.y() + m.space_2, _LABEL_WIDTH, _LABEL_HEIGHT)
        down = geometry.BEND + m.space_2 if self.label_below else m.space_1
        return QRectF(start.x() + m.space_2, start.y() + down, _LABEL_WIDTH, _LABEL_HEIGHT)

    def _at_end(self) -> QRectF:
        """Left of the middle port, right of the others."""
        m = theme.METRICS
        end = self.route.end
        top = end.y() - _LABEL_HEIGHT - m.space_1
        if self.main:
            return QRectF(end.x() - m.space_2 - _LABEL_WIDTH, top, _LABEL_WIDTH, _LABEL_HEIGHT)
        return QRectF(end.x() + m.space_2, top, _LABEL_WIDTH, _LABEL_HEIGHT)

    def paint(
        self,
        painter: QPainter,
        option: QStyleOptionGraphicsItem,
        widget: QWidget | None = None,
    ) -> None:
        tokens, now, m = theme.current(), theme.metrics(), theme.METRICS
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        colour, width, dash = self.style(tokens)
        if self.phase:
            halo = QColor(tokens.phase(self.phase))
            halo.setAlphaF(0.28)
            painter.setPen(ink.pen(halo.name(QColor.NameFormat.HexArgb), width + 2 * m.space_1))
            painter.drawPath(self.route.path)
        if self.mark:
            mark = {"illegal": tokens.error, "warning": tokens.warning}.get(
                self.mark, tokens.success
            )
            # One that would take a drop is lit; the one under the mouse stands out among them.
            colour = mark
            width = max(width, now.line_strong + (self.mark != "legal"))
            dash = (2.0, 2.0) if self.mark == "illegal" else ()
        zoom = option.levelOfDetailFromTransform(painter.worldTransform())
        if self.norm is None and not dash:
            # Far out too it can be seen what leads where; with a norm the width says its size.
            width = max(width, _WHOLE / max(zoom, _THIN_UNTIL))
        painter.setPen(ink.pen(colour, width, dash))
        painter.drawPath(self.route.path)
        self._paint_arrow(painter, colour, width)
        most = m.text_title if self.facts.joins or self.facts.forks else m.text_heading
        pixels = ink.legible(zoom, m.text_small, most)
        painter.setFont(ink.font("small", pixels))
        painter.setPen(QColor(tokens.backward if self.norm is not None else tokens.text_muted))
        meets = self.norm is not None and (self.facts.joins or self.facts.forks)
        if zoom < _PLAIN_LABELS_FROM and not meets:
            return  # too small to read; the shares where paths meet stay
        ground = tokens.colour("background", 0.85)
        for rect, text in self.labels():
            if zoom < TWO_LINES:
                text = text.removeprefix(_NORM)  # the colour and the arrow say it too
            if zoom < _PLAIN_LABELS_FROM and _AND in text:
                text = text.rpartition(_AND)[2]
                rect, pixels = _larger(rect, self.route.start.y(), zoom)
                painter.setFont(ink.font("strong", pixels))
            left = rect.right() <= self.route.start.x() or rect.right() <= self.route.end.x()
            left = left and rect.left() != self.route.start.x() + m.space_2
            # Another line may pass behind: the text stands on the canvas's own colour.
            wide = min(rect.width(), ink.metrics("small", pixels).horizontalAdvance(text))
            start = rect.right() - wide if left else rect.left()
            painter.fillRect(QRectF(start, rect.top(), wide, rect.height()), ground)
            flag = Qt.AlignmentFlag.AlignRight if left else Qt.AlignmentFlag.AlignLeft
            flags = flag | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(rect, int(flags) | int(Qt.TextFlag.TextDontClip), text)

    def style(self, tokens: theme.Tokens) -> tuple[str, float, tuple[float, ...]]:
        """Colour, width and dash of the line; dashes in widths of the pen."""
        m, now = theme.METRICS, theme.metrics()
        dash = m.dash_skip
        if self.norm is not None:
            colour = tokens.skip if self.facts.skip else tokens.backward
            if self.norm == 0:
                return colour, now.hairline, tuple(d for d in m.dash_zero)
            width = self.line_width
            if self.facts.skip:
                # Long enough to be seen as dashes on a wide line too.
                return colour, width, (max(dash[0] / width, 1.6), max(dash[1] / width, 0.8))
            return colour, width, ()
        if self.facts.skip:
            return tokens.skip, now.line, tuple(d / now.line for d in dash)
        if self.phase:
            return tokens.phase(self.phase), now.line_strong, ()
        return tokens.border_strong if self.dimmed else tokens.text_muted, now.line, ()

    def _paint_arrow(self, painter: QPainter, colour: str, width: float) -> None:
        size = geometry.ARROW + width / 2
        tip, way = self._forward_tip if self.norm is None else self._backward_tip
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colour))
        painter.drawPolygon(ink.arrow(tip, way, size))
        painter.setBrush(Qt.BrushStyle.NoBrush)
