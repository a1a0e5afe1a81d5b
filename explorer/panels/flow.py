"""How large the gradient is at every tensor of the network, on a logarithmic scale."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QLineF, QPoint, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFocusEvent,
    QFontMetricsF,
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import (
    QAbstractScrollArea,
    QFrame,
    QSizePolicy,
    QToolTip,
    QWidget,
)

from engine.graph import Graph, Ref
from engine.trace import Key, Trace
from explorer import theme
from explorer.narration import norm
from explorer.tensors.scales import format_number

# A gradient this many times smaller than the largest one is called vanishing.
VANISHING = 1e-4


@dataclass(frozen=True)
class Bar:
    """One tensor: its gradient's norm, None where it is not computed yet."""

    ref: Ref
    norm: float | None
    forked: bool = False

    @property
    def name(self) -> str:
        return f"{self.ref[0]}:{self.ref[1]}" if self.ref[1] else self.ref[0]


def bars_of(graph: Graph, norms: dict[Ref, float | None]) -> tuple[Bar, ...]:
    """A bar for each tensor, from the input to the output."""
    refs: list[Ref] = [(entry.id, 0) for entry in graph.inputs]
    refs += [(node.id, 0) for node in graph.order]
    refs += sorted(ref for ref in norms if ref[1] > 0)
    return tuple(Bar(ref, norms.get(ref), len(graph.readers.get(ref, ())) > 1) for ref in refs)


class FlowPanel(QAbstractScrollArea):
    """Bars from left (input) to right (output); a click selects the node."""

    select_requested = Signal(object)  # frozenset of ids

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._graph: Graph | None = None
        self._trace: Trace | None = None
        self._bars: tuple[Bar, ...] = ()
        self._norms: dict[Key, float] = {}
        self._selection: frozenset[str] = frozenset()
        self._hover: int | None = None
        self._cursor = 0
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.viewport().setMouseTracking(True)
        self.setAccessibleName(self.tr("Gradient flow"))
        theme.theme().changed.connect(self._theme_changed)
        self._describe()

    # ---- what is shown ---------------------------------------------------------------------

    def set_run(self, graph: Graph, trace: Trace | None, position: int) -> None:
        """The gradients that were there when ``position`` steps had run."""
        if trace is not self._trace:
            self._norms.clear()
        self._graph, self._trace = graph, trace
        norms: dict[Ref, float | None] = {}
        if trace is not None:
            # Each recorded version is measured once: stepping back and forth costs nothing.
            refs: list[Ref] = [(entry.id, 0) for entry in graph.inputs]
            refs += [(node.id, 0) for node in graph.nodes]
            for ref in refs:
                key = trace.latest("grad", ref, position)
                if key is None:
                    continue
                if key not in self._norms:
                    self._norms[key] = norm(trace.at(key))
                norms[ref] = self._norms[key]
        bars = bars_of(graph, norms) if graph.nodes else ()
        if bars != self._bars:
            self._bars = bars
            self._cursor = min(self._cursor, max(0, len(bars) - 1))
            self._describe()
            self._scroll_range()
            self.viewport().update()

    def set_selection(self, ids: frozenset[str]) -> None:
        """Mark these nodes, without asking for it."""
        if ids != self._selection:
            self._selection = ids
            for i, bar in enumerate(self._bars):
                if bar.ref[0] in ids:
                    self._cursor = i
                    break
            self.viewport().update()

    @property
    def bars(self) -> tuple[Bar, ...]:
        return self._bars

    def is_vanishing(self, bar: Bar) -> bool:
        """Whether a gradient is far smaller than the largest one of the network."""
        largest = max((b.norm for b in self._bars if b.norm and math.isfinite(b.norm)), default=0.0)
        return bar.norm is not None and 0 < bar.norm < VANISHING * largest

    def text_of(self, bar: Bar) -> str:
        """A bar in words, as in the tooltip."""
        if bar.norm is None:
            return self.tr("{name}: no gradient yet").format(name=bar.name)
        text = self.tr("{name}: ‖gradient‖ = {norm}").format(
            name=bar.name, norm=format_number(bar.norm, 4)
        )
        if bar.norm == 0:
            text += self.tr(", exactly zero: nothing before it learns from this picture")
        elif self.is_vanishing(bar):
            text += self.tr(", vanishing: less than a ten-thousandth of the largest")
        elif not math.isfinite(bar.norm):
            text += self.tr(", not a finite number")
        if bar.forked:
            text += self.tr("\nSeveral layers read this tensor: their gradients were added here")
        return text

    def rect_of(self, index: int) -> QRectF:
        """The column of a bar, in the viewport's coordinates."""
        plot, pitch = self._plot(), self._pitch()
        left = plot.left() + index * pitch - self.horizontalScrollBar().value()
        return QRectF(left, plot.top(), pitch, plot.height())

    # ---- geometry --------------------------------------------------------------------------

    def _line(self) -> float:
        return QFontMetricsF(theme.font("small")).height()

    def _plot(self) -> QRectF:
        m = theme.metrics()
        metrics = QFontMetricsF(theme.font("small"))
        left = metrics.horizontalAdvance("1e−10") + m.space_4
        height = self.viewport().height()
        top = self._line() + m.space_3
        bottom = height - self._line() - m.space_3
        return QRectF(
            left, top, max(1.0, self.viewport().width() - left - m.space_3), max(8.0, bottom - top)
        )

    def _pitch(self) -> float:
        m = theme.metrics()
        room = self._plot().width() / max(1, len(self._bars))
        return min(2.5 * m.strip_height, max(m.space_3, room))

    def _scroll_range(self) -> None:
        bar = self.horizontalScrollBar()
        plot = self._plot()
        total = self._pitch() * len(self._bars)
        bar.setRange(0, max(0, math.ceil(total - plot.width())))
        bar.setPageStep(int(plot.width()))
        bar.setSingleStep(int(self._pitch()))

    def _decades(self) -> tuple[int, int]:
        values = [b.norm for b in self._bars if b.norm and math.isfinite(b.norm)]
        if not values:
            return -3, 0
        low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        return (low, high) if high - low >= 2 else (high - 2, high)

    def _height_of(self, value: float) -> float:
        low, high = self._decades()
        # The lowest decade's floor has a height too, so that small is told from zero.
        share = (math.log10(value) - low + 0.25) / (high - low + 0.25)
        return max(0.0, min(1.0, share)) * self._plot().height()

    # ---- painting --------------------------------------------------------------------------

    def sizeHint(self) -> QSize:
        m = theme.metrics()
        return QSize(12 * m.strip_height, 4 * m.strip_height)

    def minimumSizeHint(self) -> QSize:
        m = theme.metrics()
        return QSize(4 * m.strip_height, 2 * m.strip_height)

    def paintEvent(self, event: QPaintEvent) -> None:
        tokens, m = theme.current(), theme.metrics()
        painter = QPainter(self.viewport())
        painter.fillRect(self.viewport().rect(), QColor(tokens.surface))
        painter.setFont(theme.font("small"))
        if not any(bar.norm is not None for bar in self._bars):
            painter.setFont(theme.font("body"))
            painter.setPen(QColor(tokens.text_muted))
            text = (
                self.tr("No gradient yet: step into the backward pass to see it flow.")
                if self._bars
                else self.tr("Add layers and step backward to see how the gradient flows.")
            )
            painter.drawText(
                QRectF(self.viewport().rect()),
                int(Qt.AlignmentFlag.AlignCenter) | int(Qt.TextFlag.TextWordWrap),
                text,
            )
        else:
            self._paint_axis(painter, tokens, m)
            self._paint_bars(painter, tokens, m)
        if self.hasFocus():
            painter.setPen(QPen(QColor(tokens.accent), m.line))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            inset = m.line / 2
            painter.drawRect(QRectF(self.viewport().rect()).adjusted(inset, inset, -inset, -inset))
        painter.end()

    def _paint_axis(self, painter: QPainter, tokens: theme.Tokens, m: theme.Metrics) -> None:
        plot = self._plot()
        metrics = QFontMetricsF(painter.font())
        painter.setPen(QColor(tokens.text_muted))
        signs = []
        if any(bar.forked and bar.norm is not None for bar in self._bars):
            signs.append((tokens.phase_accumulate, self.tr("added up here")))
        if any(self.is_vanishing(bar) for bar in self._bars):
            signs.append((tokens.warning, self.tr("vanishing")))
        x = float(self.viewport().width() - m.space_2)
        for colour, text in signs:
            x -= metrics.horizontalAdvance(text)
            painter.drawText(QPointF(x, m.space_1 + metrics.ascent()), text)
            x -= m.space_3
            painter.fillRect(
                QRectF(x, m.space_1 + metrics.height() / 3, m.space_2, m.space_1), QColor(colour)
            )
            x -= m.space_3
        painter.drawText(
            QPointF(m.space_2, m.space_1 + metrics.ascent()),
            metrics.elidedText(
                self.tr("‖gradient‖ of each tensor, logarithmic; from the input to the output"),
                Qt.TextElideMode.ElideRight,
                x - m.space_2,
            ),
        )
        low, high = self._decades()
        step = max(1, math.ceil((high - low) * metrics.height() * 1.5 / plot.height()))
        for decade in range(high, low - 1, -step):
            y = plot.bottom() - self._height_of(10.0**decade)
            painter.setPen(QPen(QColor(tokens.grid), m.hairline))
            painter.drawLine(QLineF(plot.left(), y, plot.right(), y))
            painter.setPen(QColor(tokens.text_muted))
            text = format_number(10.0**decade)
            text = f"1e{decade}".replace("-", "−") if "e" in text else text
            painter.drawText(
                QPointF(
                    plot.left() - m.space_2 - metrics.horizontalAdvance(text),
                    y + metrics.capHeight() / 2,
                ),
                text,
            )

    def _paint_bars(self, painter: QPainter, tokens: theme.Tokens, m: theme.Metrics) -> None:
        plot, pitch = self._plot(), self._pitch()
        metrics = QFontMetricsF(painter.font())
        painter.save()
        painter.setClipRect(
            QRectF(plot.left(), 0, plot.width() + m.space_2, self.viewport().height())
        )
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        gap = min(m.space_2, pitch / 5)
        numbered = pitch >= metrics.horizontalAdvance("0.00e−00")
        labelled = -math.inf
        # The cursor's and the selected names come first where names would overlap.
        for i, bar in enumerate(self._bars):
            column = self.rect_of(i)
            if column.right() < plot.left() or column.left() > plot.right():
                continue
            selected = bar.ref[0] in self._selection
            if selected or i == self._hover:
                painter.fillRect(
                    column.adjusted(0, -m.space_1, 0, self._line() + m.space_2),
                    QColor(tokens.selection if selected else tokens.hover),
                )
            body = column.adjusted(gap, 0, -gap, 0)
            base = plot.bottom()
            if bar.norm is None:
                painter.setPen(QPen(QColor(tokens.border_strong), m.hairline))
                painter.drawLine(QLineF(body.left(), base, body.right(), base))
            elif bar.norm == 0:
                pen = QPen(QColor(tokens.error), m.line)
                pen.setDashPattern(list(m.dash_zero))
                painter.setPen(pen)
                painter.drawLine(QLineF(body.left(), base - 1, body.right(), base - 1))
                painter.setPen(QColor(tokens.error))
                painter.drawText(
                    QRectF(column.left(), base - self._line() - m.space_1, pitch, self._line()),
                    int(Qt.AlignmentFlag.AlignCenter),
                    "0",
                )
            elif not math.isfinite(bar.norm):
                token = "nan" if math.isnan(bar.norm) else "infinity"
                painter.fillRect(body, tokens.colour(token))
            else:
                height = self._height_of(bar.norm)
                rect = QRectF(body.left(), base - height, body.width(), height)
                vanishing = self.is_vanishing(bar)
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(QColor(tokens.warning if vanishing else tokens.backward))
                painter.drawRoundedRect(rect, 2, 2)
                if bar.forked:  # two strokes across the top: gradients were added here
                    painter.fillRect(
                        QRectF(rect.left(), rect.top(), rect.width(), min(height, m.space_1)),
                        QColor(tokens.phase_accumulate),
                    )
                number = format_number(bar.norm, 2)
                sign = f"⚠ {number}" if vanishing else number
                for text in (sign, number) if numbered else ():
                    width = metrics.horizontalAdvance(text)
                    if width <= pitch - 2:
                        painter.setPen(QColor(tokens.warning if vanishing else tokens.text))
                        painter.drawText(
                            QPointF(column.center().x() - width / 2, rect.top() - m.space_1 / 2),
                            text,
                        )
                        break
            name = bar.name.rsplit("/", 1)[-1]
            width = metrics.horizontalAdvance(name)
            start = column.center().x() - width / 2
            if start > labelled + m.space_1 and start >= plot.left() - m.space_1:
                labelled = start + width
                painter.setPen(QColor(tokens.text if selected else tokens.text_muted))
                painter.drawText(QPointF(start, plot.bottom() + m.space_1 + metrics.ascent()), name)
        if self.hasFocus() and self._bars:
            painter.setPen(QPen(QColor(tokens.accent), m.line))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(
                self.rect_of(self._cursor).adjusted(1, 0, -1, 0), m.radius_small, m.radius_small
            )
        painter.restore()

    # ---- events ----------------------------------------------------------------------------

    def index_at(self, point: QPointF | QPoint) -> int | None:
        """The bar under a point of the viewport."""
        plot = self._plot()
        if point.x() < plot.left():
            return None
        index = int((point.x() - plot.left() + self.horizontalScrollBar().value()) // self._pitch())
        return index if 0 <= index < len(self._bars) else None

    def viewportEvent(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            index = self.index_at(event.pos())
            if index is None:
                QToolTip.hideText()
            else:
                QToolTip.showText(
                    event.globalPos(), self.text_of(self._bars[index]), self.viewport()
                )
            return True
        if event.type() == QEvent.Type.Leave and self._hover is not None:
            self._hover = None
            self.viewport().update()
        if event.type() == QEvent.Type.Resize:
            self._scroll_range()
        return super().viewportEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        hover = self.index_at(event.position())
        if hover != self._hover:
            self._hover = hover
            self.viewport().update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        index = self.index_at(event.position())
        if event.button() == Qt.MouseButton.LeftButton and index is not None:
            self._cursor = index
            self._select()
            self.viewport().update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        event.setAccepted(event.button() == Qt.MouseButton.LeftButton)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        moves = {
            Qt.Key.Key_Left: self._cursor - 1,
            Qt.Key.Key_Right: self._cursor + 1,
            Qt.Key.Key_Home: 0,
            Qt.Key.Key_End: len(self._bars) - 1,
        }
        key = event.key()
        if self._bars and key in moves and event.modifiers() == Qt.KeyboardModifier.NoModifier:
            self._cursor = max(0, min(len(self._bars) - 1, moves[Qt.Key(key)]))
            bar, rect = self.horizontalScrollBar(), self.rect_of(self._cursor)
            plot = self._plot()
            if rect.left() < plot.left():
                bar.setValue(int(bar.value() + rect.left() - plot.left()))
            elif rect.right() > plot.right():
                bar.setValue(math.ceil(bar.value() + rect.right() - plot.right()))
            self._select()
            self.viewport().update()
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        self.viewport().update()
        super().focusInEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self.viewport().update()
        super().focusOutEvent(event)

    def _select(self) -> None:
        chosen = frozenset((self._bars[self._cursor].ref[0],))
        if chosen != self._selection:
            self.select_requested.emit(chosen)

    def _describe(self) -> None:
        known = [bar for bar in self._bars if bar.norm is not None]
        self.setAccessibleDescription(
            "; ".join(self.text_of(bar).split("\n")[0] for bar in known)
            if known
            else self.tr("No gradient yet")
        )

    def _theme_changed(self) -> None:
        self._scroll_range()
        self.viewport().update()
