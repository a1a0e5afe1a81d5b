"""What floats above the network: the sentence beside the mouse, the legend, the minimap."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QLinearGradient, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from explorer import theme
from explorer.canvas import ink
from explorer.tensors.scales import LAST, Kind, WidthScale, format_number, lut

if TYPE_CHECKING:
    from explorer.canvas.scene import NetworkScene


class Bubble(QWidget):
    """A sentence beside the mouse while something is dragged: what a drop would do, or why not."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._over = parent
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
        parent = self._over
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


@dataclass(frozen=True)
class _Shown:
    """What is on screen and therefore explained."""

    value: bool = False
    gradient: bool = False
    skip: bool = False
    zero: bool = False
    share: bool = False
    widths: WidthScale | None = None
    seen: bool = False
    changed: bool = False


class Legend(QWidget):
    """The scales of everything that is coloured or has a width, in a row under the network."""

    def __init__(self, parent: QWidget, scene: NetworkScene) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAccessibleName(self.tr("Legend"))
        self._scene = scene
        self._shown = _Shown()
        self.hide()

    def refresh(self) -> bool:
        """Explain what is on screen; hidden while nothing needs it. True when that changed.

        What a click on a cell adds is no such change: the network must not move under the mouse.
        """
        scene = self._scene
        value = scene.trace is not None and any(i.computed for i in scene.items_by_id.values())
        gradient = value and scene.backward_shown
        shown = _Shown(
            value,
            gradient,
            any(e.facts.skip for e in scene.edges.values()),
            gradient and any(e.norm == 0 for e in scene.edges.values()),
            gradient and any(e.facts.joins or e.facts.forks for e in scene.edges.values()),
            scene.widths if gradient else None,
            any(i.field is not None and not i.field_changed for i in scene.items_by_id.values()),
            any(i.field is not None and i.field_changed for i in scene.items_by_id.values()),
        )
        before = self._shown
        if shown == before:
            return False
        self._shown = shown
        self.place()
        self.update()
        return replace(before, seen=shown.seen, changed=shown.changed) != shown

    def entries(self) -> list[tuple[str, str]]:
        """Kind of sample and sentence of each entry, in their order."""
        return self._entries_of(self._shown)

    def _entries_of(self, shown: _Shown) -> list[tuple[str, str]]:
        found = []
        if shown.value:
            found.append(("sequential", self.tr("value, lowest to highest of a layer")))
        if shown.gradient and shown.widths is not None:
            ticks = shown.widths.ticks()
            chosen = (ticks[0], ticks[len(ticks) // 2], ticks[-1])
            found.append(("diverging", self.tr("gradient, − to + with 0 in the middle")))
            sizes = " · ".join(format_number(norm, 1) for norm, _ in chosen)
            words = self.tr("size of the gradient ‖g‖: {sizes}, thicker is larger (log scale)")
            found.append(("width", words.format(sizes=sizes)))
        if shown.zero:
            found.append(("zero", self.tr("gradient exactly 0")))
        if shown.skip:
            found.append(("skip", self.tr("skip path")))
        if shown.share:
            found.append(("share", self.tr("share of the gradients that meet or part there")))
        if shown.seen:
            found.append(("seen", self.tr("what the chosen number sees")))
        if shown.changed:
            found.append(("changed", self.tr("what it changes")))
        return found

    def room(self) -> int:
        """Pixels that it needs at the lower side of the canvas, also after a click on a cell."""
        shown = self._shown
        if not self.entries():
            return 0
        most = replace(shown, seen=shown.value, changed=shown.value)
        return self._height(most) + 2 * theme.metrics().space_2

    def _height(self, shown: _Shown) -> int:
        m = theme.metrics()
        return len(self._rows(shown)) * (m.text_small + m.space_2) + m.space_2

    def _rows(self, shown: _Shown) -> list[list[tuple[float, str, str]]]:
        """Entries with their x, wrapped at the width of the canvas."""
        m = theme.metrics()
        parent = self.parentWidget()
        most = (parent.width() if parent else 0) - 4 * m.space_3
        rows: list[list[tuple[float, str, str]]] = [[]]
        x = 0.0
        for kind, words in self._entries_of(shown):
            wide = float(self._sample_width() + m.space_2)
            wide += ink.metrics("small", m.text_small).horizontalAdvance(words) + m.space_4
            if rows[-1] and x + wide > most:
                rows.append([])
                x = 0.0
            rows[-1].append((x, kind, words))
            x += wide
        return rows

    def _sample_width(self) -> int:
        return 5 * theme.metrics().scale_bar_height

    def place(self) -> None:
        """Take the place at the lower side of the canvas."""
        m = theme.metrics()
        parent = self.parentWidget()
        if parent is None:
            return
        self.setVisible(bool(self.entries()))
        self.resize(parent.width() - 2 * m.space_3, self._height(self._shown))
        self.move(m.space_3, parent.height() - self.height() - m.space_2)

    def paintEvent(self, event: QPaintEvent) -> None:
        m, tokens = theme.metrics(), theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(ink.font("small", m.text_small))
        row = m.text_small + m.space_2
        rows = self._rows(self._shown)
        words_right = 0.0
        for line in rows:
            for x, _, words in line[-1:]:
                advance = ink.metrics("small", m.text_small).horizontalAdvance(words)
                words_right = max(words_right, x + self._sample_width() + m.space_2 + advance)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(tokens.colour("background", 0.9))
        back = QRectF(0, 0, words_right + 2 * m.space_2, self.height())
        painter.drawRoundedRect(back, m.radius, m.radius)
        for i, line in enumerate(rows):
            middle = m.space_1 + row * (i + 0.5)
            for x, kind, words in line:
                self._sample(painter, tokens, kind, m.space_2 + x, middle)
                painter.setPen(QColor(tokens.text_muted))
                left = m.space_2 + x + self._sample_width() + m.space_2
                area = QRectF(left, middle - row / 2, self.width() - left, row)
                painter.drawText(area, Qt.AlignmentFlag.AlignVCenter, words)

    def _sample(
        self, painter: QPainter, tokens: theme.Tokens, kind: str, left: float, middle: float
    ) -> None:
        m, wide = theme.metrics(), self._sample_width()
        high = m.scale_bar_height
        start, end = QPointF(left, middle), QPointF(left + wide, middle)
        if kind == "sequential" or kind == "diverging":
            scale: Kind = "diverging" if kind == "diverging" else "sequential"
            fill = QLinearGradient(start, end)
            for i in range(17):
                colour = lut(tokens, scale).colours[i * LAST[scale] // 16]
                fill.setColorAt(i / 16, QColor.fromRgb(int(colour)))
            painter.setPen(ink.pen(tokens.border, m.hairline))
            painter.setBrush(fill)
            painter.drawRect(QRectF(left, middle - high / 2, wide, high))
        elif kind == "width" and self._shown.widths is not None:
            ticks = self._shown.widths.ticks()
            part = wide / 3
            for i, (_, width) in enumerate((ticks[0], ticks[len(ticks) // 2], ticks[-1])):
                pen = ink.pen(tokens.backward, width, (), False)
                pen = QPen(pen)
                pen.setCapStyle(Qt.PenCapStyle.FlatCap)
                painter.setPen(pen)
                painter.drawLine(
                    start + QPointF(i * part, 0), start + QPointF((i + 0.75) * part, 0)
                )
        elif kind == "zero":
            painter.setPen(ink.pen(tokens.backward, m.hairline, m.dash_zero))
            painter.drawLine(start, end)
        elif kind == "skip":
            dash = tuple(d / m.line_strong for d in m.dash_skip)
            painter.setPen(ink.pen(tokens.skip, m.line_strong, dash))
            painter.drawLine(start, end)
        elif kind == "share":
            painter.setPen(QColor(tokens.text))
            area = QRectF(left, middle - m.text_small, wide, 2 * m.text_small)
            painter.drawText(area, Qt.AlignmentFlag.AlignCenter, "%")
        elif kind in ("seen", "changed"):
            box = QRectF(left, middle - high / 2, wide, high)
            ink.draw_field(painter, [box], kind == "changed", False)


class Minimap(QWidget):
    """The whole network, and what of it is on screen; click or drag to go there."""

    went = Signal(QPointF)

    def __init__(self, parent: QWidget, scene: NetworkScene) -> None:
        super().__init__(parent)
        self._scene = scene
        self._over = parent
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
        parent = self._over
        self.resize(12 * m.space_4, 8 * m.space_4)
        self.move(
            parent.width() - self.width() - m.space_3, parent.height() - self.height() - m.space_3
        )

    def _scale(self) -> tuple[float, QPointF]:
        m = theme.METRICS
        box = self._scene.bounds
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
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._go(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        event.accept()

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
