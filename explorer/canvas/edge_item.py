"""A connection: one path, with its shape or, in the backward pass, its gradient's size."""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QGraphicsItem, QStyleOptionGraphicsItem, QWidget

from explorer import theme
from explorer.canvas import geometry, ink
from explorer.canvas.facts import EdgeFacts
from explorer.canvas.node_item import Mark
from explorer.tensors.scales import WidthScale, edge_width, format_number

_LABEL_WIDTH = 7.5 * theme.METRICS.space_4


class EdgeItem(QGraphicsItem):
    """From an output port to an input slot."""

    def __init__(self, facts: EdgeFacts, route: geometry.Route) -> None:
        super().__init__()
        self.facts = facts
        self.route = route
        self.norm: float | None = None
        self.share: float | None = None
        self.fork_share: float | None = None
        self.widths = WidthScale(1e-6, 1e2)
        self.phase = ""
        self.mark: Mark = ""
        self.label_here = True
        self.dimmed = True
        self.setZValue(0)

    def set_route(self, route: geometry.Route) -> None:
        self.prepareGeometryChange()
        self.route = route

    @property
    def line_width(self) -> float:
        """Width of the line in scene units."""
        now = theme.metrics()
        if self.norm is not None:
            return edge_width(self.norm, self.widths) or now.hairline
        return now.line

    def boundingRect(self) -> QRectF:
        # Room for every label that may come, so that a new norm changes no geometry.
        margin = _LABEL_WIDTH + 2 * theme.METRICS.space_2
        return self.route.path.controlPointRect().adjusted(-margin, -margin, margin, margin)

    def dirty_rects(self) -> list[QRectF]:
        """What a change of this edge repaints: slices along the path, and the labels."""
        margin = theme.METRICS.edge_thickest + geometry.ARROW
        return self.route.rects(margin) + [rect for rect, _ in self.labels()]

    def labels(self) -> list[tuple[QRectF, str]]:
        """Text and where it stands: the shape, or the gradient's norm and share."""
        m = theme.METRICS
        high = m.text_small + m.space_1
        found = []
        if self.norm is not None:
            size = f"‖g‖ {format_number(self.norm)}"
            if self.facts.joins:
                text = size if self.share is None else f"{size} · {self.share * 100:.0f}%"
                end = self.route.end
                found.append(
                    (
                        QRectF(end.x() + m.space_2, end.y() - high - m.space_2, _LABEL_WIDTH, high),
                        text,
                    )
                )
            elif not self.facts.forks:
                found.append((self._beside_start(high), size))
            if self.facts.forks:
                text = size if self.fork_share is None else f"{size} · {self.fork_share * 100:.0f}%"
                if self.route.direct:
                    found.append((self._beside_start(high), text))
                elif not self.facts.joins or self.fork_share is not None:
                    found.append((self._beside_lane(high), text))
        elif self.facts.shape and self.label_here:
            found.append((self._beside_start(high), self.facts.shape))
        return found

    def _beside_start(self, high: float) -> QRectF:
        m = theme.METRICS
        start = self.route.start
        return QRectF(
            start.x() - m.space_2 - _LABEL_WIDTH, start.y() + m.space_2, _LABEL_WIDTH, high
        )

    def _beside_lane(self, high: float) -> QRectF:
        m = theme.METRICS
        at = self.route.label
        return QRectF(at.x() + m.space_2, at.y() - high / 2, _LABEL_WIDTH, high)

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
            colour, width = mark, max(width, now.line_strong + 1)
            dash = (2.0, 2.0) if self.mark == "illegal" else ()
        painter.setPen(ink.pen(colour, width, dash))
        painter.drawPath(self.route.path)
        self._paint_arrow(painter, colour, width)
        painter.setFont(ink.font("small", m.text_small))
        painter.setPen(QColor(tokens.backward if self.norm is not None else tokens.text_muted))
        for rect, text in self.labels():
            left = rect.right() <= self.route.start.x()
            flag = Qt.AlignmentFlag.AlignRight if left else Qt.AlignmentFlag.AlignLeft
            painter.drawText(rect, flag | Qt.AlignmentFlag.AlignVCenter, text)

    def style(self, tokens: theme.Tokens) -> tuple[str, float, tuple[float, ...]]:
        """Colour, width and dash of the line; dashes in widths of the pen."""
        m, now = theme.METRICS, theme.metrics()
        if self.norm is not None:
            colour = tokens.skip if self.facts.skip else tokens.backward
            if self.norm == 0:
                return colour, now.hairline, tuple(d for d in m.dash_zero)
            width = self.line_width
            if self.facts.skip:
                return colour, width, tuple(max(d / width, 0.6) for d in _dash_skip())
            return colour, width, ()
        if self.facts.skip:
            return tokens.skip, now.line, tuple(d / now.line for d in _dash_skip())
        if self.phase:
            return tokens.phase(self.phase), now.line_strong, ()
        return tokens.border_strong if not self.dimmed else tokens.border, now.line, ()

    def _paint_arrow(self, painter: QPainter, colour: str, width: float) -> None:
        size = geometry.ARROW + width / 2
        if self.norm is not None:
            # Backward: the arrow points at the tensor whose gradient this is.
            gap = geometry.PORT_RADIUS + 1
            length = max(1.0, self.route.path.length())
            tip, way = self.route.at(min(0.5, gap / length))
            way = QPointF(-way.x(), -way.y())
        else:
            length = max(1.0, self.route.path.length())
            tip, way = self.route.at(1 - min(0.5, (geometry.PORT_RADIUS + 1) / length))
        if math.isnan(tip.x()):
            return
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colour))
        painter.drawPolygon(ink.arrow(tip, way, size))
        painter.setBrush(Qt.BrushStyle.NoBrush)


def _dash_skip() -> tuple[float, ...]:
    return theme.METRICS.dash_skip
