"""All operations of a run in order, one tick each, in the colour and place of its phase."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QLineF, QPoint, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QContextMenuEvent,
    QFocusEvent,
    QFontMetricsF,
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPolygonF,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QMenu, QPushButton, QSizePolicy, QToolTip, QWidget

from engine.trace import PHASES, Operation
from explorer import theme
from explorer.narration import phase_name

# Above and below the middle line, as shares of half the height: a phase can be told by its place.
PLACES = {
    "forward": (1.0, 0.0),
    "loss": (1.0, 1.0),
    "backward": (0.0, 1.0),
    "accumulate": (0.0, 0.5),
    "update": (0.45, 0.45),
}
# From this many pixels for one operation on, operations are drawn one by one.
APART_FROM = 3.0
WIDEST = 96.0
OWN_KEYS = (
    Qt.Key.Key_Left,
    Qt.Key.Key_Right,
    Qt.Key.Key_Home,
    Qt.Key.Key_End,
    Qt.Key.Key_Space,
)
AHEAD = 0.45  # opacity of what is computed but lies after the position
UNKNOWN = 0.16  # opacity of what has not been computed yet


@dataclass(frozen=True)
class Span:
    """The operations that are in sight, as fractions of operations: first and last."""

    first: float
    last: float

    @property
    def length(self) -> float:
        return self.last - self.first


class Timeline(QWidget):
    """Click or drag to scrub, wheel to zoom; arrows, Home, End and Space step.

    A click above a tick sets a breakpoint there.
    """

    position_requested = Signal(int)
    play_requested = Signal()  # Space is being held
    breakpoint_requested = Signal(int)  # set or remove a breakpoint at this operation
    weights_requested = Signal()  # make weights, without which nothing runs

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._operations: tuple[Operation, ...] = ()
        self._position = 0
        self._computed = 0
        self._breakpoints: frozenset[int] = frozenset()
        self._off: frozenset[int] = frozenset()
        self._touched: Mapping[int, bool] = {}
        self._span = Span(0.0, 1.0)
        self._runs: list[tuple[int, int, str]] = []
        self._hover: int | None = None
        self._hover_gutter: int | None = None
        self._scrubbing = False
        self._asked: int | None = None
        self._pan: tuple[float, Span] | None = None
        self._line = _line_height()
        self._weightless = False
        self.make_weights = QPushButton(self.tr("New random weights"), self)
        self.make_weights.setProperty("primary", True)
        self.make_weights.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.make_weights.hide()
        self.make_weights.clicked.connect(self.weights_requested)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.setAccessibleName(self.tr("Timeline"))
        self._describe()
        theme.theme().changed.connect(self._theme_changed)

    # ---- what is shown ---------------------------------------------------------------------

    def set_operations(self, operations: tuple[Operation, ...]) -> None:
        """The whole run in order, also what has not been computed yet."""
        if operations == self._operations:
            return
        self._operations = operations
        self._touched = {}
        self._hover = self._hover_gutter = None
        self._runs = []
        for index, operation in enumerate(operations):
            if self._runs and self._runs[-1][2] == operation.phase:
                self._runs[-1] = (self._runs[-1][0], index + 1, operation.phase)
            else:
                self._runs.append((index, index + 1, operation.phase))
        self._span = Span(0.0, float(max(1, len(operations))))
        self._position = min(self._position, len(operations))
        self._describe()
        self._offer_weights()
        self.updateGeometry()
        self.update()

    def set_weightless(self, on: bool) -> None:
        """Whether nothing runs because the network has no weights: then they are offered."""
        if on != self._weightless:
            self._weightless = on
            self._describe()
            self._offer_weights()
            self.update()

    def _offer_weights(self) -> None:
        self.make_weights.setVisible(self._weightless and not self._operations)
        self._place_button()

    def _place_button(self) -> None:
        """In the middle, under the words."""
        button, gap = self.make_weights, theme.metrics().space_2
        button.adjustSize()
        top = (self.height() - button.height() - gap - self._words_height()) / 2
        top += self._words_height() + gap
        button.move((self.width() - button.width()) // 2, round(max(0.0, top)))

    def _words_height(self) -> float:
        return QFontMetricsF(theme.font("body")).height()

    @property
    def reason(self) -> str:
        """Why there are no operations; empty where there are some."""
        if self._operations:
            return ""
        if self._weightless:
            return self.tr("Nothing to run yet: the network has no weights.")
        return self.tr("Nothing to run yet: the network needs a picture and no errors.")

    def set_position(self, position: int, computed: int) -> None:
        """How many operations are behind the position, and how many have been computed."""
        position = max(0, min(position, len(self._operations)))
        if (position, computed) == (self._position, self._computed):
            return
        self._position, self._computed = position, computed
        self._keep_in_sight(position)
        self._describe()
        self.update()

    def set_breakpoints(
        self, breakpoints: frozenset[int], off: frozenset[int] = frozenset()
    ) -> None:
        """Operations at which playing stops, and those whose breakpoint is switched off."""
        if (breakpoints, off) != (self._breakpoints, self._off):
            self._breakpoints, self._off = breakpoints, off
            self.update()

    def set_touched(self, operations: Mapping[int, bool]) -> None:
        """Mark the operations that write (True) or only read the number that has the focus."""
        if dict(operations) != self._touched:
            self._touched = dict(operations)
            self._describe()
            self.update()

    @property
    def touched(self) -> Mapping[int, bool]:
        """The operations that write, or only read, the number that has the focus."""
        return self._touched

    @property
    def breakpoints(self) -> frozenset[int]:
        """Operations at which playing stops."""
        return self._breakpoints

    @property
    def span(self) -> Span:
        """The operations in sight."""
        return self._span

    def show_all(self) -> None:
        """Zoom out to the whole run."""
        self._set_span(0.0, float(max(1, len(self._operations))))

    # ---- where things are ------------------------------------------------------------------

    def x_of(self, position: float) -> float:
        """The place of a position in the widget's coordinates."""
        track = self._track()
        return track.left() + (position - self._span.first) / self._span.length * track.width()

    def operation_at(self, point: QPointF | QPoint) -> int | None:
        """The index of the operation under a point, None beside the run."""
        track = self._track()
        if not track.adjusted(0, -track.top(), 0, self.height()).contains(QPointF(point)):
            return None
        index = math.floor(self._at(point.x()))
        return index if 0 <= index < len(self._operations) else None

    def rect_of(self, index: int) -> QRectF:
        """Where an operation is drawn, in the widget's coordinates."""
        return self._rect_on(self._track(), index)

    def _rect_on(self, track: QRectF, index: int) -> QRectF:
        """As ``rect_of``, for many: the track is asked for once."""
        above, below = PLACES[self._operations[index].phase]
        half = track.height() / 2
        middle = track.center().y()
        pitch = track.width() / self._span.length
        left = track.left() + (index - self._span.first) * pitch
        right = left + pitch
        gap = min(1.0, (right - left) / 6) if right - left >= APART_FROM else 0.0
        return QRectF(
            left + gap, middle - above * half, right - left - 2 * gap, (above + below) * half
        )

    def gutter(self) -> QRectF:
        """The strip above the operations where a click sets a breakpoint."""
        track = self._track()
        m = theme.metrics()
        # A click that just misses a tick goes there, as one on it.
        return QRectF(track.left(), track.top() - m.space_3, track.width(), m.space_2)

    def dot_of(self, index: int) -> QPointF:
        """The middle of the dot that marks a breakpoint."""
        return QPointF(self.x_of(index + 0.5), self.gutter().center().y())

    def _in_gutter(self, point: QPointF) -> int | None:
        """The operation that a point of the gutter belongs to."""
        area = self.gutter()
        return self.operation_at(point) if area.top() <= point.y() < area.bottom() else None

    def text_of(self, index: int) -> str:
        """What an operation does, as in the tooltip."""
        operation = self._operations[index]
        plain, word = phase_name(operation.phase)
        reads = ", ".join(_name(o.kind, o.ref) for o in operation.reads)
        writes = ", ".join(_name(o.kind, o.ref) for o in operation.writes)
        text = self.tr(
            "Step {number} of {count}: {plain} ({word}), {node}\n{reads} → {writes}"
        ).format(
            number=index + 1,
            count=len(self._operations),
            plain=plain,
            word=word,
            node=operation.node,
            reads=reads,
            writes=writes,
        )
        if index in self._touched:
            wrote = self._touched[index]
            text += "\n" + (
                self.tr("It wrote the selected number.")
                if wrote
                else self.tr("It read the selected number.")
            )
        return text

    def mark_of(self, index: int) -> QRectF:
        """The ring around a tick that touched the focus: all of it, or its foot where it read."""
        m, track = theme.metrics(), self._track()
        tick = self.rect_of(index)
        width = max(tick.width() + m.space_1, float(m.space_2))
        area = QRectF(tick.center().x() - width / 2, tick.top() - 2, width, tick.height() + 4)
        if not self._touched.get(index, True):
            side = min(width, float(m.space_2))
            area = QRectF(tick.center().x() - side / 2, track.center().y() - side / 2, side, side)
        return area

    def _track(self) -> QRectF:
        m = theme.metrics()
        line = self._line
        top = m.space_1 + line + m.space_1 + m.space_3
        bottom = self.height() - line - m.space_1 - m.space_1
        return QRectF(
            m.space_4, top, max(1.0, self.width() - 2 * m.space_4), max(8.0, bottom - top)
        )

    def _at(self, x: float) -> float:
        track = self._track()
        return self._span.first + (x - track.left()) / track.width() * self._span.length

    def _pitch(self) -> float:
        return self._track().width() / self._span.length

    # ---- changes of the view ---------------------------------------------------------------

    def _set_span(self, first: float, length: float) -> None:
        count = float(max(1, len(self._operations)))
        shortest = min(count, max(1.0, self._track().width() / WIDEST))
        length = min(count, max(shortest, length))
        first = min(max(0.0, first), count - length)
        span = Span(first, first + length)
        if span != self._span:
            self._span = span
            self.update()

    def _keep_in_sight(self, position: int) -> None:
        span = self._span
        if position - 1 < span.first:
            self._set_span(position - 1 - span.length / 4, span.length)
        elif position > span.last:
            self._set_span(position - span.length * 3 / 4, span.length)

    def _ask(self, position: int) -> None:
        position = max(0, min(position, len(self._operations)))
        # While scrubbing, the same place is asked for once, also before the answer is there.
        if position != (self._position if self._asked is None else self._asked):
            self._asked = position if self._scrubbing else None
            self.position_requested.emit(position)

    # ---- events ----------------------------------------------------------------------------

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            index = self.operation_at(event.pos())
            if index is None:
                QToolTip.hideText()
                event.ignore()
            else:
                area = self.rect_of(index).toAlignedRect()
                text = self.text_of(index)
                if self._in_gutter(QPointF(event.pos())) is not None:
                    text = self.tr("Click: stop here, or no longer (F9)") + "\n" + text
                QToolTip.showText(event.globalPos(), text, self, area)
            return True
        if (
            event.type() == QEvent.Type.ShortcutOverride
            and isinstance(event, QKeyEvent)
            and event.modifiers() == Qt.KeyboardModifier.NoModifier
            and event.key() in OWN_KEYS
        ):
            event.accept()  # they step here while the timeline has the keyboard
            return True
        return super().event(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        dotted = self._in_gutter(event.position())
        if event.button() == Qt.MouseButton.LeftButton and dotted is not None:
            self.breakpoint_requested.emit(dotted)
        elif event.button() == Qt.MouseButton.LeftButton and self._operations:
            self._scrubbing = True
            self._asked = None
            self._ask(math.floor(self._at(event.position().x())) + 1)
        elif event.button() == Qt.MouseButton.MiddleButton:
            self._pan = (event.position().x(), self._span)
        else:
            super().mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._scrubbing:
            self._ask(math.floor(self._at(event.position().x())) + 1)
        elif self._pan is not None:
            x, span = self._pan
            moved = (event.position().x() - x) / self._track().width() * span.length
            self._set_span(span.first - moved, span.length)
        hover = self.operation_at(event.position())
        dotted = None if self._scrubbing else self._in_gutter(event.position())
        if (hover, dotted) != (self._hover, self._hover_gutter):
            self._hover, self._hover_gutter = hover, dotted
            if dotted is None:
                self.unsetCursor()
            else:
                self.setCursor(Qt.CursorShape.PointingHandCursor)
            self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._scrubbing, self._asked = False, None
        elif event.button() == Qt.MouseButton.MiddleButton:
            self._pan = None
        super().mouseReleaseEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.mousePressEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        if self._hover is not None:
            self._hover = self._hover_gutter = None
            self.update()
        super().leaveEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        delta = event.angleDelta()
        if not self._operations or delta.isNull():
            event.ignore()
            return
        sideways = delta.x() or (
            delta.y() if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 0
        )
        span = self._span
        if sideways:
            self._set_span(span.first - sideways / 120 * span.length / 8, span.length)
        else:
            at = self._at(event.position().x())
            length = span.length * 0.8 ** (delta.y() / 120)
            count = float(len(self._operations))
            length = min(count, max(1.0, self._track().width() / WIDEST, length))
            share = (at - span.first) / span.length
            self._set_span(at - share * length, length)
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = event.key()
        if event.modifiers() & (
            Qt.KeyboardModifier.ControlModifier
            | Qt.KeyboardModifier.AltModifier
            | Qt.KeyboardModifier.ShiftModifier
        ):
            super().keyPressEvent(event)
        elif key == Qt.Key.Key_Space:
            if event.isAutoRepeat():
                self.play_requested.emit()
            else:
                self._ask(self._position + 1)
        elif key == Qt.Key.Key_Right:
            self._ask(self._position + 1)
        elif key == Qt.Key.Key_Left:
            self._ask(self._position - 1)
        elif key == Qt.Key.Key_Home:
            self._ask(0)
        elif key == Qt.Key.Key_End:
            self._ask(len(self._operations))
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal, Qt.Key.Key_Minus):
            span = self._span
            length = span.length * (1.25 if key == Qt.Key.Key_Minus else 0.8)
            self._set_span(self._position - length / 2, length)
        elif key == Qt.Key.Key_0:
            self.show_all()
        else:
            super().keyPressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        index = self.operation_at(event.pos())
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        if index is not None:
            go = menu.addAction(theme.icon("run-to"), self.tr("Go to this operation"))
            go.triggered.connect(lambda: self._ask(index + 1))
            text = (
                self.tr("Do not stop here")
                if index in self._breakpoints | self._off
                else self.tr("Stop at this operation")
            )
            stop = menu.addAction(theme.icon("breakpoint"), text)
            stop.triggered.connect(lambda: self.breakpoint_requested.emit(index))
        show = menu.addAction(theme.icon("fit"), self.tr("Show the whole run"))
        show.triggered.connect(self.show_all)
        menu.popup(event.globalPos())

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._set_span(self._span.first, self._span.length)
        self._place_button()
        super().resizeEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        self.update()
        super().focusInEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self.update()
        super().focusOutEvent(event)

    def sizeHint(self) -> QSize:
        m = theme.metrics()
        return QSize(12 * m.strip_height, round(2 * self._line) + m.strip_height + 4 * m.space_2)

    def minimumSizeHint(self) -> QSize:
        m = theme.metrics()
        return QSize(5 * m.strip_height, round(2 * self._line) + m.icon + 2 * m.space_3)

    # ---- inside ----------------------------------------------------------------------------

    def _theme_changed(self) -> None:
        self._line = _line_height()
        self._place_button()
        self.updateGeometry()
        self.update()

    def _describe(self) -> None:
        count = len(self._operations)
        if not count:
            text = self.reason
        elif self._position == 0:
            text = self.tr("Before the first of {count} operations").format(count=count)
        else:
            text = self.text_of(self._position - 1)
        if text != self.accessibleDescription():
            self.setAccessibleDescription(text)

    def paintEvent(self, event: QPaintEvent) -> None:
        tokens, m = theme.current(), theme.metrics()
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(tokens.surface))
        painter.setFont(theme.font("small"))
        if not self._operations:
            painter.setPen(QColor(tokens.text_muted))
            painter.setFont(theme.font("body"))
            area = QRectF(self.rect())
            if self._weightless:
                bottom = self.make_weights.y() - m.space_2
                area = QRectF(0, bottom - self._words_height(), self.width(), self._words_height())
            painter.drawText(
                area,
                int(Qt.AlignmentFlag.AlignCenter) | int(Qt.TextFlag.TextWordWrap),
                self.reason,
            )
        else:
            self._paint_legend(painter, tokens, m)
            self._paint_operations(painter, tokens, m)
            self._paint_names(painter, tokens, m)
            self._paint_position(painter, tokens, m)
        if self.hasFocus():
            painter.setPen(QPen(QColor(tokens.accent), m.line))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            inset = m.line / 2
            painter.drawRect(QRectF(self.rect()).adjusted(inset, inset, -inset, -inset))
        painter.end()

    def _current_phase(self) -> str:
        return self._operations[self._position - 1].phase if self._position else ""

    def _paint_legend(self, painter: QPainter, tokens: theme.Tokens, m: theme.Metrics) -> None:
        """The phases with their glyphs, the present one underlined, and where the run stands."""
        metrics = QFontMetricsF(painter.font())
        line, left = metrics.height(), float(m.space_4)
        there = self.tr("{position} of {count}").format(
            position=self._position, count=len(self._operations)
        )
        if len(self._operations) > self._computed:
            there += self.tr(" · {computed} computed").format(computed=self._computed)
        right = self.width() - m.space_4 - metrics.horizontalAdvance(there)
        painter.setPen(QColor(tokens.text))
        painter.drawText(QPointF(right, m.space_1 + metrics.ascent()), there)
        present = [p for p in PHASES if any(p == phase for _, _, phase in self._runs)]
        both = {p: phase_name(p) for p in present}
        glyph = line * 0.6

        def width(words: bool) -> float:
            return sum(
                glyph
                + m.space_1
                + metrics.horizontalAdvance(plain)
                + (m.space_1 + metrics.horizontalAdvance(word) if words else 0)
                + m.space_4
                for plain, word in both.values()
            )

        words = left + width(True) <= right
        only_current = left + width(False) > right
        x = left
        for phase in present:
            plain, word = both[phase]
            if only_current and phase != self._current_phase():
                continue
            above, below = PLACES[phase]
            top, half = m.space_1 + line * 0.15, line * 0.35
            painter.fillRect(
                QRectF(x, top + half * (1 - above), glyph, half * (above + below)),
                QColor(tokens.phase(phase)),
            )
            x += glyph + m.space_1
            start = x
            painter.setPen(QColor(tokens.text))
            painter.drawText(QPointF(x, m.space_1 + metrics.ascent()), plain)
            x += metrics.horizontalAdvance(plain)
            if words:
                painter.setPen(QColor(tokens.text_muted))
                x += m.space_1
                painter.drawText(QPointF(x, m.space_1 + metrics.ascent()), word)
                x += metrics.horizontalAdvance(word)
            if phase == self._current_phase():
                painter.fillRect(
                    QRectF(start, m.space_1 + line, x - start, m.line_strong - 0.5),
                    QColor(tokens.phase(phase)),
                )
            x += m.space_4

    def _paint_operations(self, painter: QPainter, tokens: theme.Tokens, m: theme.Metrics) -> None:
        track = self._track()
        middle, half = track.center().y(), track.height() / 2
        first, last = math.floor(self._span.first), math.ceil(self._span.last)
        apart = self._pitch() >= APART_FROM
        rects: dict[tuple[str, float], list[QRectF]] = {}
        for start, end, phase in self._runs:
            if end <= first or start >= last:
                continue
            for low, high, opacity in (
                (0, self._position, 1.0),
                (self._position, self._computed, AHEAD),
                (max(self._position, self._computed), len(self._operations), UNKNOWN),
            ):
                a, b = max(start, low, first), min(end, high, last)
                if a >= b:
                    continue
                where = rects.setdefault((phase, opacity), [])
                if apart:
                    where += [self._rect_on(track, i) for i in range(a, b)]
                else:
                    above, below = PLACES[phase]
                    left, right = self.x_of(a), self.x_of(b)
                    where.append(
                        QRectF(
                            left,
                            middle - above * half,
                            max(right - left, 0.5),
                            (above + below) * half,
                        )
                    )
        painter.setClipRect(track.adjusted(0, -m.space_1, 0, m.space_1))
        painter.setPen(Qt.PenStyle.NoPen)
        for (phase, opacity), group in rects.items():
            colour = QColor(tokens.phase(phase))
            colour.setAlphaF(opacity)
            painter.setBrush(colour)
            painter.drawRects(group)
        painter.setPen(QPen(QColor(tokens.border), m.hairline))
        painter.drawLine(QLineF(track.left(), middle, track.right(), middle))
        if self._hover is not None and self._hover < len(self._operations):
            painter.setPen(QPen(QColor(tokens.text), m.line))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(self.rect_of(self._hover))
        painter.setClipping(False)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for pen in theme.focus_pens():
            painter.setPen(pen)
            for index, wrote in self._touched.items():
                if first <= index < last:
                    area = self.mark_of(index)
                    painter.drawRect(area) if wrote else painter.drawEllipse(area)
        radius = m.space_1 - 0.5
        painter.setPen(QPen(QColor(tokens.error), m.line))
        for index in (*self._off, *self._breakpoints):
            if first <= index < last:
                on = index in self._breakpoints
                painter.setBrush(QColor(tokens.error) if on else Qt.BrushStyle.NoBrush)
                painter.drawEllipse(self.dot_of(index), radius, radius)
        if self._hover_gutter is not None and self._hover_gutter not in self._breakpoints:
            painter.setPen(QPen(tokens.colour("error", 0.5), m.line))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawEllipse(self.dot_of(self._hover_gutter), radius, radius)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)

    def _paint_names(self, painter: QPainter, tokens: theme.Tokens, m: theme.Metrics) -> None:
        """Names under the ticks: the present one always, others where there is room."""
        track = self._track()
        metrics = QFontMetricsF(painter.font())
        baseline = self.height() - m.space_1 - metrics.descent()
        taken: list[tuple[float, float]] = []
        first = max(0, math.floor(self._span.first))
        last = min(len(self._operations), math.ceil(self._span.last))
        pitch = self._pitch()
        stride = max(1, math.ceil(metrics.averageCharWidth() * 4 / pitch))
        current = self._position - 1
        for index in (current, *range(first, last, stride)):
            if not first <= index < last or (index == current and taken):
                continue
            name = self._operations[index].node
            text = name if index == current else name.rsplit("/", 1)[-1]
            width = metrics.horizontalAdvance(text)
            x = self.x_of(index + 0.5) - width / 2
            x = min(max(track.left(), x), track.right() - width)
            if any(x < b + m.space_2 and x + width + m.space_2 > a for a, b in taken):
                continue
            taken.append((x, x + width))
            painter.setPen(QColor(tokens.text if index == current else tokens.text_muted))
            painter.drawText(QPointF(x, baseline), text)

    def _paint_position(self, painter: QPainter, tokens: theme.Tokens, m: theme.Metrics) -> None:
        track = self._track()
        x = self.x_of(self._position)
        if not track.left() - 1 <= x <= track.right() + 1:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        top, bottom = track.top() - m.space_1, track.bottom() + m.space_1
        painter.setPen(QPen(QColor(tokens.surface), m.line_strong + 2))
        painter.drawLine(QLineF(x, top, x, bottom))
        painter.setPen(QPen(QColor(tokens.text), m.line_strong))
        painter.drawLine(QLineF(x, top, x, bottom))
        painter.setPen(QPen(QColor(tokens.surface), m.hairline))
        painter.setBrush(QColor(tokens.text))
        side = m.space_1 + 1.5
        painter.drawPolygon(
            QPolygonF(
                [
                    QPointF(x - side, top - 1),
                    QPointF(x + side, top - 1),
                    QPointF(x, top + 1.4 * side),
                ]
            )
        )
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)


def _line_height() -> float:
    return QFontMetricsF(theme.font("small")).height()


def _name(kind: str, ref: tuple[str, object]) -> str:
    """A tensor in few signs: ∂ marks a gradient."""
    node, part = ref
    if kind in ("param", "statistic", "saved"):
        return f"{node}.{part}"
    if kind in ("param_grad", "param_part"):
        return f"∂{node}.{part}"
    if kind == "part":
        return f"∂→{node}[{part}]"
    name = f"{node}:{part}" if part else node
    return f"∂{name}" if kind == "grad" else name
