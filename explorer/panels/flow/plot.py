"""Bars of every tensor on one axis: activations beside gradients, and how fast weights move."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

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
    QPolygonF,
)
from PySide6.QtWidgets import QAbstractScrollArea, QFrame, QSizePolicy, QToolTip, QWidget

from engine.flow import Flow
from engine.graph import Ref
from explorer import theme
from explorer.panels.flow.words import Measure, amount, numbers_of, text_of
from explorer.tensors.scales import format_number


class FlowPlot(QAbstractScrollArea):
    """Columns from left to right in the order given; a click selects the node."""

    select_requested = Signal(object)  # frozenset of ids

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._flows: tuple[Flow, ...] = ()
        self._measure: Measure = "norm"
        self._anything = self._weightless = False
        self._range = (-3, 0)
        self._kept: Mapping[Ref, Flow] = {}
        self._selection: frozenset[str] = frozenset()
        self._hover: int | None = None
        self._cursor = 0
        self._ground: QSize | None = None  # while the whole is drawn elsewhere
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.viewport().setMouseTracking(True)
        self.setAccessibleName(self.tr("Activations and gradients of each layer"))
        theme.theme().changed.connect(self._theme_changed)
        self._describe()

    # ---- what is shown ---------------------------------------------------------------------

    def set_flows(self, flows: tuple[Flow, ...], measure: Measure, anything: bool) -> None:
        """Show these tensors by this measure; ``anything``: whether there is a network at all."""
        if (flows, measure, anything) == (self._flows, self._measure, self._anything):
            return
        self._flows, self._measure, self._anything = flows, measure, anything
        self._range = self._decades()
        self._cursor = min(self._cursor, max(0, len(flows) - 1))
        self._describe()
        self._scroll_range()
        self.viewport().update()

    def set_kept(self, flows: Sequence[Flow]) -> None:
        """Draw these too, as lines across the bars of the same tensors; none: nothing."""
        self._kept = {flow.ref: flow for flow in flows}
        self._range = self._decades()
        self._describe()
        self.viewport().update()

    @property
    def kept(self) -> tuple[Flow, ...]:
        """What is compared with."""
        return tuple(self._kept.values())

    def set_selection(self, ids: frozenset[str]) -> None:
        """Mark these nodes, without asking for it."""
        if ids != self._selection:
            self._selection = ids
            for i, flow in enumerate(self._flows):
                if flow.ref[0] in ids:
                    self._cursor = i
                    break
            self.viewport().update()

    @property
    def flows(self) -> tuple[Flow, ...]:
        """The tensors from left to right."""
        return self._flows

    def rect_of(self, index: int) -> QRectF:
        """The column of a tensor, in the viewport's coordinates."""
        plot, pitch = self._plot(), self._pitch()
        left = plot.left() + index * pitch - self._scrolled()
        return QRectF(left, plot.top(), pitch, plot.height())

    def bars_of(self, index: int) -> tuple[QRectF | None, QRectF | None]:
        """The bars of activation and gradient, as tall as they are; None where there is none."""
        flow = self._flows[index]
        left, right = self._halves(self.rect_of(index))
        return (
            self._bar(left, amount(flow.value, self._measure)),
            self._bar(right, amount(flow.gradient, self._measure)),
        )

    def lines_of(self, index: int) -> tuple[QLineF | None, QLineF | None]:
        """The lines of the kept activation and gradient of a column; None where there is none."""
        kept = self._kept.get(self._flows[index].ref)
        if kept is None:
            return None, None
        places = self._halves(self.rect_of(index))
        bars = (
            self._bar(place, amount(found, self._measure))
            for place, found in zip(places, (kept.value, kept.gradient), strict=True)
        )
        left, right = (
            None if bar is None else QLineF(bar.topLeft(), bar.topRight()) for bar in bars
        )
        return left, right

    # ---- geometry --------------------------------------------------------------------------

    def _line(self) -> float:
        return QFontMetricsF(theme.font("small")).height()

    def _size(self) -> QSize:
        return self._ground or self.viewport().size()

    def _scrolled(self) -> int:
        return 0 if self._ground else self.horizontalScrollBar().value()

    def _left(self) -> float:
        metrics = QFontMetricsF(theme.font("small"))
        return metrics.horizontalAdvance("1e−10") + theme.metrics().space_4

    def _plot(self) -> QRectF:
        m, size, left = theme.metrics(), self._size(), self._left()
        top = self._line() + m.space_1
        bottom = size.height() - self._name_lines() * self._line() - m.space_2
        width = size.width() - left - m.space_3
        return QRectF(left, top, max(1.0, width), max(8.0, bottom - top))

    def _name(self, flow: Flow) -> str:
        name = flow.name.rsplit("/", 1)[-1]
        return f"⚠ {name}" if flow.flags else name

    @property
    def names(self) -> tuple[str, ...]:
        """What stands under the columns."""
        return tuple(self._shown_name(i) for i in range(len(self._flows)))

    def _shown_name(self, index: int) -> str:
        """A name, shortened where it has no room beside those on its line."""
        metrics = QFontMetricsF(theme.font("small"))
        room = self._name_lines() * self._pitch() - theme.metrics().space_1
        name = self._name(self._flows[index])
        return metrics.elidedText(name, Qt.TextElideMode.ElideMiddle, room)

    def _name_lines(self) -> int:
        """On how many lines the names take turns, so that each has room beside its neighbours."""
        metrics, pitch = QFontMetricsF(theme.font("small")), self._pitch()
        widest = max((metrics.horizontalAdvance(self._name(f)) for f in self._flows), default=0.0)
        most = 3 if self._size().height() > 9 * metrics.height() else 2
        lines = math.ceil((widest + theme.metrics().space_1) / pitch)
        return max(1, min(most, lines, len(self._flows)))

    def _pitch(self) -> float:
        m = theme.metrics()
        width = max(1.0, self._size().width() - self._left() - m.space_3)
        room = width / max(1, len(self._flows))
        return min(2.5 * m.strip_height, max(m.space_4, room))

    def _halves(self, column: QRectF) -> tuple[QRectF, QRectF]:
        """The places of the two bars in a column."""
        gap = min(theme.metrics().space_2, column.width() / 6)
        body = column.adjusted(gap, 0, -gap, 0)
        half = body.width() / 2
        return body.adjusted(0, 0, -half - 0.5, 0), body.adjusted(half + 0.5, 0, 0, 0)

    def _bar(self, place: QRectF, value: float | None) -> QRectF | None:
        if value is None:
            return None
        if not math.isfinite(value):
            return place
        height = self._height_of(value) if value > 0 else 0.0
        return QRectF(place.left(), place.bottom() - height, place.width(), height)

    def _scroll_range(self) -> None:
        bar = self.horizontalScrollBar()
        plot = self._plot()
        total = self._pitch() * len(self._flows)
        bar.setRange(0, max(0, round(total - plot.width())))
        bar.setPageStep(int(plot.width()))
        bar.setSingleStep(int(self._pitch()))

    @property
    def _linear(self) -> bool:
        """Shares lie between 0 and 1; everything else spans decades."""
        return self._measure == "zeros"

    def _values(self) -> Iterator[float]:
        """Everything positive that has a place on the axis."""
        for flow in (*self._flows, *self._kept.values()):
            shown = [amount(flow.value, self._measure), amount(flow.gradient, self._measure)]
            if not self._linear:
                shown.append(flow.weight_ratio)
            yield from (v for v in shown if v and math.isfinite(v))

    def _decades(self) -> tuple[int, int]:
        """The powers of ten between which everything lies; two at least."""
        values = list(self._values())
        if not values:
            return -3, 0
        low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        return (low, high) if high - low >= 2 else (high - 2, high)

    def _height_of(self, value: float) -> float:
        if self._linear:
            return value * self._plot().height()
        low, high = self._range
        # The lowest decade's floor has a height too, so that small is told from zero.
        share = (math.log10(value) - low + 0.25) / (high - low + 0.25)
        return max(0.0, min(1.0, share)) * self._plot().height()

    # ---- painting --------------------------------------------------------------------------

    def sizeHint(self) -> QSize:
        m = theme.metrics()
        return QSize(12 * m.strip_height, 4 * m.strip_height)

    def set_weightless(self, on: bool) -> None:
        """Whether nothing can be computed because the network has no weights."""
        if on != self._weightless:
            self._weightless = on
            self.viewport().update()

    def minimumSizeHint(self) -> QSize:
        m = theme.metrics()
        return QSize(4 * m.strip_height, 2 * m.strip_height)

    def paintEvent(self, event: QPaintEvent) -> None:
        tokens, m = theme.current(), theme.metrics()
        painter = QPainter(self.viewport())
        painter.fillRect(self.viewport().rect(), QColor(tokens.surface))
        if not any(flow.value or flow.gradient for flow in self._flows):
            painter.setFont(theme.font("body"))
            painter.setPen(QColor(tokens.text_muted))
            text = self.tr("Add layers and step through them to see what flows.")
            if self._weightless:
                text = self.tr("Nothing has been computed yet: the network has no weights.")
            elif self._anything:
                text = self.tr("Nothing has been computed yet: step forward to see what flows.")
            painter.drawText(
                QRectF(self.viewport().rect()),
                int(Qt.AlignmentFlag.AlignCenter) | int(Qt.TextFlag.TextWordWrap),
                text,
            )
        else:
            painter.setFont(theme.font("small"))
            self._paint_axis(painter, tokens, m)
            self._paint_columns(painter, tokens, m)
        if self.hasFocus():
            painter.setPen(QPen(QColor(tokens.accent), m.line))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            inset = m.line / 2
            painter.drawRect(QRectF(self.viewport().rect()).adjusted(inset, inset, -inset, -inset))
        painter.end()

    def whole_size(self) -> QSize:
        """A ground on which every column has room."""
        m = theme.metrics()
        width = self._left() + m.space_3 + len(self._flows) * m.strip_height
        return QSize(max(self.viewport().width(), round(width)), max(self.viewport().height(), 320))

    def paint_whole(self, painter: QPainter) -> None:
        """Draw all columns, on a ground of ``whole_size``."""
        tokens, m = theme.current(), theme.metrics()
        self._ground = self.whole_size()
        try:
            painter.setFont(theme.font("small"))
            self._paint_axis(painter, tokens, m)
            self._paint_columns(painter, tokens, m)
        finally:
            self._ground = None

    def _ticks(self, metrics: QFontMetricsF) -> Iterator[tuple[float, str]]:
        """Values of the axis and their texts."""
        height = self._plot().height()
        if self._linear:
            parts = 4 if height > 6 * metrics.height() else 2
            for i in range(parts + 1):
                yield i / parts, f"{100 * i // parts}%"
            return
        low, high = self._range
        step = max(1, math.ceil((high - low) * metrics.height() * 1.5 / height))
        for decade in range(high, low - 1, -step):
            text = format_number(10.0**decade)
            yield 10.0**decade, f"1e{decade}".replace("-", "−") if "e" in text else text

    def _paint_axis(self, painter: QPainter, tokens: theme.Tokens, m: theme.Metrics) -> None:
        plot = self._plot()
        metrics = QFontMetricsF(painter.font())
        for value, text in self._ticks(metrics):
            y = plot.bottom() - (self._height_of(value) if value else 0.0)
            painter.setPen(QPen(QColor(tokens.grid), m.hairline))
            painter.drawLine(QLineF(plot.left(), y, plot.right(), y))
            painter.setPen(QColor(tokens.text_muted))
            x = plot.left() - m.space_2 - metrics.horizontalAdvance(text)
            painter.drawText(QPointF(x, y + metrics.capHeight() / 2), text)

    def _paint_columns(self, painter: QPainter, tokens: theme.Tokens, m: theme.Metrics) -> None:
        plot = self._plot()
        painter.save()
        # the first name may reach under the axis
        left = plot.left() if self._scrolled() else 0.0
        painter.setClipRect(QRectF(left, 0, plot.right() + m.space_3 - left, self._size().height()))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for i, flow in enumerate(self._flows):
            column = self.rect_of(i)
            if column.right() < plot.left() or column.left() > plot.right():
                continue
            selected = flow.ref[0] in self._selection
            if selected or (i == self._hover and not self._ground):
                painter.fillRect(
                    column.adjusted(
                        0, -m.space_1, 0, self._name_lines() * self._line() + m.space_1
                    ),
                    QColor(tokens.selection if selected else tokens.hover),
                )
            self._paint_column(painter, tokens, m, i, flow)
            self._paint_name(painter, tokens, i, flow, selected)
        if self.hasFocus() and self._flows and not self._ground:
            painter.setPen(QPen(QColor(tokens.accent), m.line))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(
                self.rect_of(self._cursor).adjusted(1, 0, -1, 0), m.radius_small, m.radius_small
            )
        painter.restore()

    def _paint_column(
        self, painter: QPainter, tokens: theme.Tokens, m: theme.Metrics, index: int, flow: Flow
    ) -> None:
        blamed = not {"no gradient", "vanishing", "exploding"}.isdisjoint(flow.flags)
        places = self._halves(self.rect_of(index))
        values = (amount(flow.value, self._measure), amount(flow.gradient, self._measure))
        colours = (
            tokens.warning if "dead" in flow.flags else tokens.forward,
            tokens.warning if blamed else tokens.backward,
        )
        for bar, place, value, colour in zip(
            self.bars_of(index), places, values, colours, strict=True
        ):
            if bar is None or value is None:
                painter.setPen(QPen(QColor(tokens.border_strong), m.hairline))
                painter.drawLine(QLineF(place.bottomLeft(), place.bottomRight()))
            elif value == 0:
                pen = QPen(QColor(colour), m.line)
                pen.setDashPattern(list(m.dash_zero))
                painter.setPen(pen)
                y = place.bottom() - 1
                painter.drawLine(QLineF(place.left(), y, place.right(), y))
            elif not math.isfinite(value):
                painter.fillRect(bar, tokens.colour("nan" if math.isnan(value) else "infinity"))
            else:
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(QColor(colour))
                painter.drawRoundedRect(bar, m.line, m.line)
            if value is not None and not self._kept:  # a kept line would strike the number out
                self._paint_number(painter, tokens, m, index, place is places[1], value)
        for line in self.lines_of(index):
            if line is not None:  # with a halo, so that it stands out from bar and ground
                for colour, width in ((tokens.surface, 2 * m.line), (tokens.text, m.line)):
                    painter.setPen(QPen(QColor(colour), width))
                    painter.drawLine(line)
        _, gradient = self.bars_of(index)
        if flow.forked and gradient is not None:  # gradients were added here
            height = min(gradient.height(), m.space_1)
            painter.fillRect(
                QRectF(gradient.left(), gradient.top(), gradient.width(), height),
                QColor(tokens.phase_accumulate),
            )
        if flow.weight_ratio and math.isfinite(flow.weight_ratio) and not self._linear:
            self._paint_ratio(painter, tokens, m, self.rect_of(index), flow.weight_ratio)

    def _paint_number(
        self,
        painter: QPainter,
        tokens: theme.Tokens,
        m: theme.Metrics,
        index: int,
        right: bool,
        value: float,
    ) -> None:
        """The number over a bar, away from its neighbour, where there is room for numbers."""
        metrics = QFontMetricsF(painter.font())
        column, bar = self.rect_of(index), self.bars_of(index)[right]
        diamond = m.space_1 + 1 if self._flows[index].weight_ratio and not self._linear else 0
        room = column.width() / 2 - diamond
        if bar is None or column.width() / 2 < metrics.horizontalAdvance("0.000"):
            return
        texts = [format_number(value, digits) for digits in (2, 1)]
        if self._linear:
            texts = [f"{100 * value:.0f}%"]
        text = next((t for t in texts if metrics.horizontalAdvance(t) <= room), "")
        width = metrics.horizontalAdvance(text)
        x = column.center().x() + diamond + 1 if right else bar.center().x() - width / 2
        painter.setPen(QColor(tokens.text))
        painter.drawText(QPointF(x, bar.top() - m.space_1 / 2), text)

    def _paint_ratio(
        self,
        painter: QPainter,
        tokens: theme.Tokens,
        m: theme.Metrics,
        column: QRectF,
        ratio: float,
    ) -> None:
        """A diamond between the bars, as high as the weights' gradient is beside the weights."""
        x, y = column.center().x(), column.bottom() - self._height_of(ratio)
        size = float(m.space_1)
        diamond = QPolygonF(
            [QPointF(x, y - size), QPointF(x + size, y), QPointF(x, y + size), QPointF(x - size, y)]
        )
        painter.setPen(QPen(QColor(tokens.surface), m.hairline))
        painter.setBrush(QColor(tokens.phase_update))
        painter.drawPolygon(diamond)

    def _paint_name(
        self, painter: QPainter, tokens: theme.Tokens, index: int, flow: Flow, selected: bool
    ) -> None:
        """The name under a column, on its line."""
        m, metrics, plot = theme.metrics(), QFontMetricsF(painter.font()), self._plot()
        lines, column = self._name_lines(), self.rect_of(index)
        turn = index % lines
        name = self._shown_name(index)
        width = metrics.horizontalAdvance(name)
        end = max(plot.right(), plot.left() + len(self._flows) * column.width())
        x = min(column.center().x() - width / 2, end - self._scrolled() + m.space_2 - width)
        top = plot.bottom() + m.space_1 / 2 + turn * metrics.height()
        if turn:
            painter.setPen(QPen(QColor(tokens.border_strong), m.hairline))
            at = column.center().x()
            painter.drawLine(QLineF(at, plot.bottom() + 1, at, top + m.hairline))
        colour = tokens.warning if flow.flags else tokens.text if selected else tokens.text_muted
        painter.setPen(QColor(colour))
        painter.drawText(QPointF(x, top + metrics.ascent()), name)

    # ---- events ----------------------------------------------------------------------------

    def index_at(self, point: QPointF | QPoint) -> int | None:
        """The bar under a point of the viewport."""
        plot = self._plot()
        if point.x() < plot.left():
            return None
        index = int((point.x() - plot.left() + self._scrolled()) // self._pitch())
        return index if 0 <= index < len(self._flows) else None

    def viewportEvent(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            index = self.index_at(event.pos())
            if index is None:
                QToolTip.hideText()
            else:
                QToolTip.showText(event.globalPos(), self._words(index), self.viewport())
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
            Qt.Key.Key_End: len(self._flows) - 1,
        }
        key = event.key()
        if self._flows and key in moves and event.modifiers() == Qt.KeyboardModifier.NoModifier:
            self._cursor = max(0, min(len(self._flows) - 1, moves[Qt.Key(key)]))
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
        chosen = frozenset((self._flows[self._cursor].ref[0],))
        if chosen != self._selection:
            self.select_requested.emit(chosen)

    def _words(self, index: int) -> str:
        """A column in words, with what is kept of it."""
        flow = self._flows[index]
        kept = self._kept.get(flow.ref)
        if kept is None:
            return text_of(flow)
        return "\n".join((text_of(flow), self.tr("Kept for comparison:"), numbers_of(kept)))

    def _describe(self) -> None:
        known = [flow for flow in self._flows if flow.value is not None]
        self.setAccessibleDescription(
            "; ".join(
                self._words(i).replace("\n", ", ")
                for i, flow in enumerate(self._flows)
                if flow.value is not None
            )
            if known
            else self.tr("Nothing has been computed yet")
        )

    def _theme_changed(self) -> None:
        self._scroll_range()
        self.viewport().update()
