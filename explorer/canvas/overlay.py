"""What floats above the network: the sentence beside the mouse, the legend, the minimap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QLinearGradient, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from explorer import theme
from explorer.canvas import ink
from explorer.tensors.scales import format_number, lut

if TYPE_CHECKING:
    from explorer.canvas.scene import NetworkScene


class Bubble(QWidget):
    """A sentence beside the mouse while something is dragged: what a drop would do, or why not."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.text = ""
        self.mark = ""
        self.hide()

    def say(self, text: str, mark: str, at: QPoint) -> None:
        """Show a sentence near a point of the parent; an empty one hides it."""
        self.text, self.mark = text, mark
        if not text:
            self.hide()
            return
        m = theme.METRICS
        parent = self.parentWidget()
        wide = min(24 * m.space_4, parent.width() - 2 * m.space_2)
        box = ink.metrics("body", m.text_body).boundingRect(
            QRectF(0, 0, wide, parent.height()), int(Qt.TextFlag.TextWordWrap), text
        )
        self.resize(
            int(box.width()) + 2 * m.space_3 + m.space_2, int(box.height()) + 2 * m.space_2 + 1
        )
        x = min(at.x() + m.space_4, parent.width() - self.width() - m.space_1)
        y = at.y() + m.icon_large
        if y + self.height() > parent.height():
            y = at.y() - self.height() - m.space_4
        self.move(max(m.space_1, x), max(m.space_1, y))
        self.show()
        self.raise_()
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        m, tokens = theme.METRICS, theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(tokens.tooltip))
        painter.drawRoundedRect(QRectF(self.rect()), m.radius, m.radius)
        colour = {"illegal": tokens.error, "warning": tokens.warning, "legal": tokens.success}.get(
            self.mark, tokens.accent
        )
        painter.setBrush(QColor(colour))
        painter.drawRoundedRect(QRectF(0, 0, m.space_1, self.height()), 2, 2)
        painter.setPen(QColor(tokens.tooltip_text))
        painter.setFont(ink.font("body", m.text_body))
        painter.drawText(
            self.rect().adjusted(m.space_3 + m.space_1, m.space_2, -m.space_2, -m.space_2),
            int(Qt.TextFlag.TextWordWrap),
            self.text,
        )


class Legend(QWidget):
    """The scales of everything that is coloured or has a width."""

    def __init__(self, parent: QWidget, scene: NetworkScene) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._scene = scene
        self._lines: tuple[tuple[str, float], ...] = ()
        self._shown: object = None
        self.hide()

    def refresh(self) -> None:
        """Show what is on screen; hidden while nothing has been computed."""
        scene = self._scene
        trace = scene.trace is not None and scene.position > 0
        backward = trace and scene.backward_shown
        skip = any(e.facts.skip for e in scene.edges.values())
        zero = backward and any(e.norm == 0 for e in scene.edges.values())
        state = (trace, backward, skip, zero, scene.widths if backward else None)
        if state == self._shown:
            return
        self._shown = state
        self.setVisible(bool(trace or skip))
        m = theme.METRICS
        rows = 1 + (2 if backward else 0) + bool(zero) + bool(skip) if trace else 1
        row = m.text_small + m.space_3
        self.resize(15 * m.space_4, rows * row + 2 * m.space_2)
        self.move(m.space_3, self.parentWidget().height() - self.height() - m.space_3)
        self.update()

    def place(self) -> None:
        m = theme.METRICS
        self.move(m.space_3, self.parentWidget().height() - self.height() - m.space_3)

    def sizeHint(self) -> QSize:
        return self.size()

    def paintEvent(self, event: QPaintEvent) -> None:
        m, tokens = theme.METRICS, theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(ink.pen(tokens.border, m.hairline))
        painter.setBrush(tokens.colour("surface", 0.92))
        painter.drawRoundedRect(
            QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), m.radius, m.radius
        )
        painter.setFont(ink.font("small", m.text_small))
        row = m.text_small + m.space_3
        y = float(m.space_2)
        left = float(m.space_3)
        bar = 4.5 * m.space_4
        trace, backward, skip, zero, _ = self._shown or (False,) * 5  # type: ignore[misc]

        def text(words: str) -> None:
            painter.setPen(QColor(tokens.text))
            area = QRectF(left + bar + m.space_2, y, self.width() - left - bar - m.space_3, row)
            painter.drawText(area, Qt.AlignmentFlag.AlignVCenter, words)

        def ramp(kind: str, words: str) -> None:
            colours = lut(tokens, kind).colours  # type: ignore[arg-type]
            last = 254 if kind == "diverging" else 255
            fill = QLinearGradient(QPointF(left, 0), QPointF(left + bar, 0))
            for i in range(17):
                fill.setColorAt(i / 16, QColor.fromRgb(int(colours[i * last // 16])))
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(fill)
            painter.drawRect(QRectF(left, y + row / 2 - m.space_1, bar, m.space_2))
            text(words)

        if trace:
            ramp("sequential", self.tr("value: a layer's lowest … highest"))
            y += row
        if backward:
            ramp("diverging", self.tr("gradient: − largest · 0 · + largest"))
            y += row
            ticks = self._scene.widths.ticks()
            x = left
            for _, width in (ticks[0], ticks[len(ticks) // 2], ticks[-1]):
                painter.setPen(ink.pen(tokens.backward, width))
                painter.drawLine(
                    QPointF(x + width / 2, y + row / 2),
                    QPointF(x + bar / 3 - m.space_2, y + row / 2),
                )
                x += bar / 3
            text(
                "‖g‖ "
                + " · ".join(
                    format_number(n, 1) for n, _ in (ticks[0], ticks[len(ticks) // 2], ticks[-1])
                )
                + " "
                + self.tr("(log)")
            )
            y += row
        if zero:
            painter.setPen(ink.pen(tokens.backward, m.hairline, m.dash_zero))
            painter.drawLine(QPointF(left, y + row / 2), QPointF(left + bar, y + row / 2))
            text(self.tr("gradient exactly zero"))
            y += row
        if skip:
            painter.setPen(
                ink.pen(tokens.skip, m.line_strong, tuple(d / m.line_strong for d in m.dash_skip))
            )
            painter.drawLine(QPointF(left, y + row / 2), QPointF(left + bar, y + row / 2))
            text(self.tr("skip path"))


class Minimap(QWidget):
    """The whole network, and what of it is on screen; click or drag to go there."""

    went = Signal(QPointF)

    def __init__(self, parent: QWidget, scene: NetworkScene) -> None:
        super().__init__(parent)
        self._scene = scene
        self._seen = QRectF()
        self.setAccessibleName(self.tr("Minimap"))
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.hide()

    def show_view(self, seen: QRectF) -> None:
        """Frame the part of the scene that is on screen."""
        if seen != self._seen:
            self._seen = seen
            self.update()

    def place(self) -> None:
        m = theme.METRICS
        parent = self.parentWidget()
        self.resize(12 * m.space_4, 8 * m.space_4)
        self.move(
            parent.width() - self.width() - m.space_3, parent.height() - self.height() - m.space_3
        )

    def _scale(self) -> tuple[float, QPointF]:
        m = theme.METRICS
        box = self._scene.content()
        scale = min(
            (self.width() - 2 * m.space_2) / max(1.0, box.width()),
            (self.height() - 2 * m.space_2) / max(1.0, box.height()),
        )
        corner = QPointF(
            (self.width() - box.width() * scale) / 2, (self.height() - box.height() * scale) / 2
        )
        return scale, corner - box.topLeft() * scale

    def _go(self, event: QMouseEvent) -> None:
        scale, offset = self._scale()
        self.went.emit((event.position() - offset) / scale)
        event.accept()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._go(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._go(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        m, tokens = theme.METRICS, theme.current()
        painter = QPainter(self)
        painter.setPen(ink.pen(tokens.border, m.hairline))
        painter.setBrush(tokens.colour("surface", 0.95))
        painter.drawRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5))
        scale, offset = self._scale()
        painter.setPen(Qt.PenStyle.NoPen)
        groups: dict[str, list[QRectF]] = {}
        for item in self._scene.items_by_id.values():
            r = item.scene_rect()
            colour = tokens.border_strong
            if item.facts.trouble is not None:
                colour = tokens.error
            elif item.phase:
                colour = tokens.phase(item.phase)
            elif item.selected:
                colour = tokens.accent
            groups.setdefault(colour, []).append(
                QRectF(r.topLeft() * scale + offset, r.size() * scale)
            )
        for colour, rects in groups.items():
            painter.setBrush(QColor(colour))
            painter.drawRects(rects)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(ink.pen(tokens.accent, m.line))
        seen = QRectF(self._seen.topLeft() * scale + offset, self._seen.size() * scale)
        painter.drawRect(seen.intersected(QRectF(self.rect()).adjusted(1, 1, -1, -1)))
