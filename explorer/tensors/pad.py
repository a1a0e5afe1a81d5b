"""A square of paper: draw a digit with mouse, pen or arrow keys."""

from __future__ import annotations

import itertools

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFocusEvent,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from engine.data.strokes import Drawing, Stroke
from explorer import theme

# Points closer than this part of the side say nothing new about the line.
SPACING = 0.006
KEY_STEP = 1 / 28
DEFAULT_WIDTH = 0.09


def smooth(points: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Cut the corners of a line twice (Chaikin 1974); its ends stay where they are."""
    for _ in range(2):
        if len(points) < 3:
            break
        result = [points[0]]
        for (x0, y0), (x1, y1) in itertools.pairwise(points):
            result.append((0.75 * x0 + 0.25 * x1, 0.75 * y0 + 0.25 * y1))
            result.append((0.25 * x0 + 0.75 * x1, 0.25 * y0 + 0.75 * y1))
        result.append(points[-1])
        points = result
    return tuple(points)


class DrawPad(QWidget):
    """What is seen is what is emitted: the same lines, with the same width."""

    drawing_changed = Signal(object)  # Drawing, after each stroke, undo, redo or clear
    stroke_moved = Signal(object)  # Drawing including the stroke in progress

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._drawing = Drawing()
        self._undone: list[Drawing] = []
        self._done: list[Drawing] = []
        self._points: list[tuple[float, float]] = []
        self._pen_width = DEFAULT_WIDTH
        self._cursor: tuple[float, float] | None = None
        self._by_key = False
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName(self.tr("Drawing pad"))
        self.setAccessibleDescription(
            self.tr("Draw with the pointer, or with the arrow keys: Space lowers and lifts the pen")
        )
        theme.theme().changed.connect(self.update)

    @property
    def drawing(self) -> Drawing:
        """The finished strokes."""
        return self._drawing

    @property
    def pen_width(self) -> float:
        return self._pen_width

    def set_pen_width(self, width: float) -> None:
        """The width of further strokes as a part of the side, from 0.01 to 0.3."""
        self._pen_width = min(0.3, max(0.01, width))

    def set_drawing(self, drawing: Drawing) -> None:
        """Show a drawing without emitting; its history starts here."""
        if drawing != self._drawing:
            self._drawing = drawing
            self._done.clear()
            self._undone.clear()
            self._points = []
            self.update()

    @property
    def can_undo(self) -> bool:
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        return bool(self._undone)

    def undo(self) -> None:
        """Take back the last stroke or the last clearing; nothing happens at the start."""
        if self._done:
            self._undone.append(self._drawing)
            self._show(self._done.pop())

    def redo(self) -> None:
        """Bring back what was undone last."""
        if self._undone:
            self._done.append(self._drawing)
            self._show(self._undone.pop())

    def clear(self) -> None:
        """An empty sheet; it can be undone."""
        if self._drawing.strokes:
            self._change(Drawing())

    def paper(self) -> QRectF:
        """The largest centred square of the widget: the unit square of the drawing."""
        side = float(min(self.width(), self.height())) - 2 * theme.metrics().space_1
        side = max(1.0, side)
        return QRectF((self.width() - side) / 2, (self.height() - side) / 2, side, side)

    def sizeHint(self) -> QSize:
        side = theme.metrics().pad_size
        return QSize(side, side)

    def minimumSizeHint(self) -> QSize:
        side = theme.metrics().pad_size // 2
        return QSize(side, side)

    def event(self, event: QEvent) -> bool:
        # While the pad has the keyboard and something to undo, undo means a stroke.
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            undo = event.matches(QKeySequence.StandardKey.Undo) and (self._done or self._points)
            redo = event.matches(QKeySequence.StandardKey.Redo) and self._undone
            drawn = event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace)
            if undo or redo or event.key() == Qt.Key.Key_Space or (drawn and self._drawing.strokes):
                event.accept()
                return True
        return super().event(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() != Qt.MouseButton.LeftButton:
            super().mousePressEvent(event)
            return
        self._finish()
        self._by_key = False
        self._cursor = None
        self._points = [self._unit(event.position())]
        self._moved()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._points and not self._by_key and event.buttons() & Qt.MouseButton.LeftButton:
            self._add_point(self._unit(event.position()))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self._points and not self._by_key:
            self._add_point(self._unit(event.position()))
            self._finish()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        steps = {
            Qt.Key.Key_Left: (-KEY_STEP, 0.0),
            Qt.Key.Key_Right: (KEY_STEP, 0.0),
            Qt.Key.Key_Up: (0.0, -KEY_STEP),
            Qt.Key.Key_Down: (0.0, KEY_STEP),
        }
        key = event.key()
        if event.matches(QKeySequence.StandardKey.Undo):
            if self._points:
                self._points = []
                self._moved()
            else:
                self.undo()
        elif event.matches(QKeySequence.StandardKey.Redo):
            self.redo()
        elif key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self._points = []
            self.clear()
            self.update()
        elif key in steps and not event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            x, y = self._cursor or (0.5, 0.5)
            dx, dy = steps[Qt.Key(key)]
            self._cursor = (min(1.0, max(0.0, x + dx)), min(1.0, max(0.0, y + dy)))
            if self._points and self._by_key:
                self._add_point(self._cursor)
            self.update()
        elif key == Qt.Key.Key_Space and not event.isAutoRepeat():
            if self._points:
                self._finish()
            else:
                self._by_key = True
                self._cursor = self._cursor or (0.5, 0.5)
                self._points = [self._cursor]
                self._moved()
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        self.update()
        super().focusInEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        if self._by_key:
            self._finish()  # a stroke in progress is not lost by pressing Tab
        self._cursor = None
        self.update()
        super().focusOutEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        tokens, m = theme.current(), theme.metrics()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        paper = self.paper()
        outline = QPainterPath()
        outline.addRoundedRect(paper, m.radius, m.radius)
        painter.fillPath(outline, QColor(tokens.surface))
        painter.save()
        painter.setClipPath(outline)
        strokes = list(self._drawing.strokes)
        if self._points:
            strokes.append(self._stroke())
        for stroke in strokes:
            pen = QPen(QColor(tokens.text), stroke.width * paper.width())
            pen.setCapStyle(Qt.PenCapStyle.RoundCap)
            pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
            painter.setPen(pen)
            points = [
                QPointF(paper.x() + x * paper.width(), paper.y() + y * paper.height())
                for x, y in stroke.points
            ]
            if len(points) == 1:
                painter.drawPoint(points[0])
            else:
                painter.drawPolyline(points)
        painter.restore()
        if not strokes:
            painter.setPen(QColor(tokens.text_muted))
            painter.setFont(theme.font("body"))
            painter.drawText(
                paper.adjusted(m.space_3, m.space_3, -m.space_3, -m.space_3),
                int(Qt.AlignmentFlag.AlignCenter) | int(Qt.TextFlag.TextWordWrap),
                self.tr("Draw a digit here"),
            )
        focus = self.hasFocus()
        painter.setPen(
            QPen(
                QColor(tokens.accent if focus else tokens.border_strong),
                m.focus_width if focus else m.hairline,
            )
        )
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPath(outline)
        if self._cursor is not None:
            x = paper.x() + self._cursor[0] * paper.width()
            y = paper.y() + self._cursor[1] * paper.height()
            radius = self._pen_width * paper.width() / 2
            for pen in theme.focus_pens():
                painter.setPen(pen)
                painter.drawEllipse(QPointF(x, y), radius, radius)
        painter.end()

    def _unit(self, point: QPointF) -> tuple[float, float]:
        paper = self.paper()
        x = (point.x() - paper.x()) / paper.width()
        y = (point.y() - paper.y()) / paper.height()
        return min(1.0, max(0.0, x)), min(1.0, max(0.0, y))

    def _stroke(self) -> Stroke:
        return Stroke(smooth(self._points), self._pen_width)

    def _add_point(self, point: tuple[float, float]) -> None:
        x, y = self._points[-1]
        if abs(point[0] - x) + abs(point[1] - y) >= SPACING:
            self._points.append(point)
            self._moved()

    def _moved(self) -> None:
        self.update()
        drawing = self._drawing
        self.stroke_moved.emit(drawing.with_stroke(self._stroke()) if self._points else drawing)

    def _finish(self) -> None:
        if self._points:
            stroke, self._points = self._stroke(), []
            # A new stroke makes it another drawing than the labelled one that may have been shown.
            self._change(Drawing((*self._drawing.strokes, stroke)))

    def _change(self, drawing: Drawing) -> None:
        self._done.append(self._drawing)
        self._undone.clear()
        self._show(drawing)

    def _show(self, drawing: Drawing) -> None:
        self._drawing = drawing
        self.update()
        self.drawing_changed.emit(drawing)
