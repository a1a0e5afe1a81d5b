"""Layers by steps of training: one map of colours, and the line of the layer that was chosen.

A second run is drawn beside the first, by the same colours. Where a rule was met a bar lies under
the colours. The pointer reads the numbers; a click chooses layer and step.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QLineF, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFocusEvent,
    QFontMetricsF,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPolygonF,
)
from PySide6.QtWidgets import QAbstractScrollArea, QFrame, QSizePolicy, QWidget

from engine.flow import FAINT
from engine.training_flow import SHARES, Measure, TrainingFlow
from explorer import theme
from explorer.panels.flow.words import step_words, training_measure_sign
from explorer.tensors.scales import Scale, colourise, format_number, lut

Side = Literal[0, 1]
"""The run that is shown, and the one beside it."""
Order = Literal["network", "smallest", "largest", "flags"]
ORDERS: tuple[Order, ...] = ("network", "smallest", "largest", "flags")


@dataclass(frozen=True)
class _Area:
    """Where one run is drawn: the names of its rows, and their colours."""

    names: QRectF
    map: QRectF


@dataclass(frozen=True)
class _Places:
    areas: tuple[_Area, ...]
    legend: QRectF
    line: QRectF | None
    row: float
    scroll: float


class FlowMap(QAbstractScrollArea):
    """Rows are tensors, in the order given; columns the steps that were measured."""

    select_requested = Signal(object)  # frozenset of ids
    read = Signal(str)  # the numbers under the pointer, or at the chosen place, in words

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._runs: tuple[TrainingFlow, ...] = ()
        self._measure: Measure = "gradient"
        self._order: Order = "network"
        self._series: tuple[NDArray[np.float64], ...] = ()
        self._flagged: tuple[NDArray[np.bool_], ...] = ()  # (points, tensors) of each run
        self._rows: tuple[tuple[int, ...], ...] = ()
        self._low, self._high = -4.0, 0.0
        self._chosen: list[tuple[str, int] | None] = [None, None]
        self._step: int | None = None
        self._hover: tuple[Side, int, int] | None = None
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.viewport().setMouseTracking(True)
        self.setAccessibleName(self.tr("Flow through the layers over the steps of training"))
        theme.theme().changed.connect(self._theme_changed)

    # ---- what is shown ---------------------------------------------------------------------

    def set_runs(self, run: TrainingFlow | None, beside: TrainingFlow | None = None) -> None:
        """Show a run, and another one beside it; None: there is none."""
        runs = tuple(r for r in (run, beside) if r is not None and r.steps)
        if len(runs) == len(self._runs) and all(
            a is b for a, b in zip(runs, self._runs, strict=True)
        ):
            return
        if self._runs and runs and runs[0].refs != self._runs[0].refs:
            self._chosen = [None, None]
        if self._runs and runs and runs[0].title != self._runs[0].title:
            self._step = None
        self._runs = runs
        self._work_out()

    def set_measure(self, measure: Measure, order: Order) -> None:
        """Show another measure, and the rows in another order (by the step in sight)."""
        if (measure, order) != (self._measure, self._order):
            self._measure, self._order = measure, order
            self._work_out()

    def set_selection(self, ids: frozenset[str]) -> None:
        """Choose the row of a selected node, without asking for it."""
        for side, run in enumerate(self._runs):
            chosen = self._chosen[side]
            if chosen is None or chosen[0] not in ids:
                found = next((ref for ref in run.refs if ref[0] in ids), None)
                if found is not None:
                    self._chosen[side] = found
        self._tell()
        self.viewport().update()

    @property
    def runs(self) -> tuple[TrainingFlow, ...]:
        """The runs that are drawn."""
        return self._runs

    @property
    def step(self) -> int | None:
        """The step in sight: the chosen one, or the last."""
        if not self._runs:
            return None
        return self._runs[0].steps[-1] if self._step is None else self._step

    @property
    def chosen(self) -> tuple[tuple[str, int] | None, ...]:
        """The tensor whose line is drawn, for each run."""
        return tuple(self._chosen[: len(self._runs)])

    def rows(self, side: Side = 0) -> tuple[str, ...]:
        """The names of the rows from the top, of a run."""
        return tuple(self._runs[side].names[row] for row in self._rows[side])

    @property
    def scale(self) -> tuple[float, float]:
        """The values of the darkest and the lightest colour."""
        if self._measure in SHARES:
            return self._low, self._high
        return 10.0**self._low, 10.0**self._high

    def place_of(self, side: Side, name: str, step: int) -> QPointF:
        """The middle of a cell, in the viewport's coordinates."""
        places = self._places()
        row = self.rows(side).index(name)
        area = places.areas[side].map
        y = area.top() + (row + 0.5) * places.row - places.scroll
        return QPointF(self._x_of(area, step), y)

    def line_of(self, side: Side = 0) -> tuple[tuple[int, float], ...]:
        """(step, value) of the line that is drawn of a run."""
        chosen = self._chosen[side] if side < len(self._runs) else None
        if chosen is None or chosen not in self._runs[side].refs:
            return ()
        values = self._series[side][self._runs[side].refs.index(chosen)]
        return tuple(
            (step, float(value))
            for step, value in zip(self._runs[side].steps, values, strict=True)
            if not math.isnan(value)
        )

    def _work_out(self) -> None:
        self._series = tuple(run.series(self._measure) for run in self._runs)
        self._flagged = tuple(
            np.array([[bool(flags) for flags in point] for point in run.flags])
            for run in self._runs
        )
        self._rows = tuple(self._sorted(side) for side in range(len(self._runs)))
        whole = [s[np.isfinite(s) & (s > 0)] for s in self._series]
        found = np.concatenate(whole) if whole else np.empty(0)
        if self._measure in SHARES:
            self._low, self._high = 0.0, 1.0
        elif found.size:
            low, high = math.floor(math.log10(found.min())), math.ceil(math.log10(found.max()))
            if self._measure == "share of start":  # the rule's bound is always in sight
                low = min(low, math.floor(math.log10(FAINT)))
            self._low, self._high = float(min(low, high - 2)), float(high)
        else:
            self._low, self._high = -4.0, 0.0
        self._hover = None
        self._scroll_range()
        self._describe()
        self._tell()
        self.viewport().update()

    def _sorted(self, side: int) -> tuple[int, ...]:
        """Rows with numbers of this measure, in the order chosen."""
        run, series = self._runs[side], self._series[side]
        rows = [i for i in range(len(run.refs)) if not np.isnan(series[i]).all()]
        at = self._point(side)
        values = series[:, at]
        if self._order == "flags":
            rows.sort(key=lambda i: -len(run.flags[at][i]))
        elif self._order != "network":
            sign = 1 if self._order == "smallest" else -1
            rows.sort(key=lambda i: math.inf if math.isnan(values[i]) else sign * values[i])
        return tuple(rows)

    def _point(self, side: int) -> int:
        """The measured point of a run that is nearest to the step in sight."""
        step = self.step
        steps = np.array(self._runs[side].steps)
        return int(np.abs(steps - (step or 0)).argmin())

    # ---- geometry --------------------------------------------------------------------------

    def _line_height(self) -> float:
        return QFontMetricsF(theme.font("small")).height()

    def _least_row(self) -> float:
        return float(theme.metrics().space_1) / 2

    def _places(self, size: QSize | None = None) -> _Places:
        """Where everything is, in the viewport or on a ground of another size."""
        m, metrics = theme.metrics(), QFontMetricsF(theme.font("small"))
        whole = size or self.viewport().size()
        width, height = float(whole.width()), float(whole.height())
        line = metrics.height()
        top = m.space_1 + (line + m.space_1 if len(self._runs) > 1 else 0.0)
        bottom = height - line - m.space_2
        legend = m.scale_bar_height + m.space_1 + metrics.horizontalAdvance("1e−10") + m.space_2
        room = width - legend - 2 * m.space_2
        plotted = any(self.line_of(0 if side == 0 else 1) for side in range(len(self._runs)))
        share = 0.38 if len(self._runs) < 2 else 0.28
        line_width = room * share if plotted and room > 14 * m.strip_height else 0.0
        each = (room - line_width) / max(1, len(self._runs))
        areas = []
        count = max((len(rows) for rows in self._rows), default=1)
        row = max(self._least_row(), (bottom - top) / max(1, count))
        x = float(m.space_2)
        for side in range(len(self._runs)):
            widest = max((metrics.horizontalAdvance(n) for n in self._labels(side)), default=0.0)
            names = min(widest, each / 3) + m.space_1
            area = QRectF(
                x + names, top, max(8.0, each - names - m.space_2), max(8.0, bottom - top)
            )
            areas.append(_Area(QRectF(x, top, names - m.space_1, area.height()), area))
            x += each
        bar = QRectF(x, top, m.scale_bar_height, max(8.0, bottom - top))
        plot = None
        if line_width:
            gutter = metrics.horizontalAdvance("1e−10") + m.space_2
            left = x + legend + gutter
            plot = QRectF(left, top, max(8.0, width - left - m.space_2), max(8.0, bottom - top))
        scroll = 0.0 if size else float(self.verticalScrollBar().value())
        return _Places(tuple(areas), bar, plot, row, scroll)

    def _labels(self, side: int) -> tuple[str, ...]:
        """Short names of the rows, marked where a rule is met at the step in sight."""
        run, at = self._runs[side], self._point(side)
        marks = run.flags[at]
        names = [run.names[row] for row in self._rows[side]]
        short = [name.rsplit("/", 1)[-1] for name in names]
        alone = Counter(short)
        return tuple(
            ("⚠ " if marks[row] else "") + (last if alone[last] == 1 else name)
            for row, name, last in zip(self._rows[side], names, short, strict=True)
        )

    def _ends(self) -> tuple[int, int]:
        """The first and the last step of all runs."""
        return (
            min(run.steps[0] for run in self._runs),
            max(run.steps[-1] for run in self._runs),
        )

    def _x_of(self, area: QRectF, step: float) -> float:
        first, last = self._ends()
        return area.left() + area.width() * (
            (step - first) / (last - first) if last > first else 0.5
        )

    def _steps_of(self, side: int, area: QRectF, xs: NDArray[np.float64]) -> NDArray[np.intp]:
        """The point of a run that is drawn at each x; −1 beyond the run's end."""
        first, last = self._ends()
        steps = np.array(self._runs[side].steps, np.float64)
        wanted = first + (xs - area.left()) / area.width() * (last - first)
        middles = (steps[:-1] + steps[1:]) / 2
        found = np.searchsorted(middles, wanted)
        gap = (steps[-1] - steps[-2]) / 2 if len(steps) > 1 else 0.0
        beyond = (wanted > steps[-1] + gap) & (steps[-1] < last)
        return np.where(beyond, -1, found)

    def _scroll_range(self) -> None:
        places = self._places()
        count = max((len(rows) for rows in self._rows), default=0)
        seen = places.areas[0].map.height() if places.areas else 0.0
        bar = self.verticalScrollBar()
        bar.setRange(0, max(0, math.ceil(count * places.row - seen - 0.5)))
        bar.setPageStep(max(1, int(seen)))
        bar.setSingleStep(max(1, int(3 * places.row)))

    def _value_place(self, value: float) -> float | None:
        """Where a value lies on the scale, from 0 to 1; None where it has no place."""
        if self._measure not in SHARES:
            if not value > 0 or not math.isfinite(value):
                return None
            value = math.log10(value)
        return (value - self._low) / (self._high - self._low)

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
        if self._runs:
            self._paint(painter, self._places(), on_screen=True)
        if self.hasFocus():
            painter.setPen(QPen(QColor(tokens.accent), m.line))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            inset = m.line / 2
            painter.drawRect(QRectF(self.viewport().rect()).adjusted(inset, inset, -inset, -inset))
        painter.end()

    def whole_size(self) -> QSize:
        """A ground on which every row can be read."""
        line = self._line_height()
        rows = max((len(rows) for rows in self._rows), default=1)
        return QSize(
            max(self.viewport().width(), 900),
            max(self.viewport().height(), round((rows + 4) * line)),
        )

    def paint_whole(self, painter: QPainter) -> None:
        """Draw all rows, on a ground of ``whole_size``."""
        if self._runs:
            self._paint(painter, self._places(self.whole_size()), on_screen=False)

    def _paint(self, painter: QPainter, places: _Places, *, on_screen: bool) -> None:
        painter.setFont(theme.font("small"))
        for side, area in enumerate(places.areas):
            self._paint_map(painter, side, area, places)
            self._paint_names(painter, side, area, places)
            self._paint_steps(painter, area.map, side)
            if len(self._runs) > 1:
                self._paint_title(painter, side, area)
            if on_screen:
                self._paint_hover(painter, side, area, places)
        self._paint_legend(painter, places.legend)
        if places.line is not None:
            self._paint_line(painter, places.line)

    def _paint_map(self, painter: QPainter, side: int, area: _Area, places: _Places) -> None:
        tokens, m = theme.current(), theme.metrics()
        run, rows, box = self._runs[side], self._rows[side], area.map
        scale = Scale("sequential", self._low, self._high)
        table = lut(tokens, "sequential")
        values = self._series[side][list(rows)]
        if self._measure not in SHARES:
            with np.errstate(divide="ignore"):
                values = np.log10(values)  # an exact zero becomes −∞, which has its own colour
        colours = colourise(values, scale, table)
        colours[np.isnan(values)] = QColor(tokens.surface).rgb()
        across = max(1, round(box.width()))
        xs = box.left() + (np.arange(across) + 0.5) * box.width() / across
        points = self._steps_of(side, box, xs)
        picture = np.where(points < 0, np.uint32(QColor(tokens.surface).rgb()), colours[:, points])
        picture = np.ascontiguousarray(picture, np.uint32)
        image = QImage(
            picture.tobytes(), across, len(rows), 4 * across, QImage.Format.Format_RGB32
        ).copy()
        painter.save()
        painter.setClipRect(box)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
        top = box.top() - places.scroll
        painter.drawImage(QRectF(box.left(), top, box.width(), len(rows) * places.row), image)
        bar = min(m.line_strong, places.row / 3)
        if places.row >= 2 * m.line:
            for number, row in enumerate(rows):
                y = top + (number + 1) * places.row - bar
                for first, last in _spans(self._flagged[side][points, row] & (points >= 0)):
                    left, right = xs[first] - 0.5, xs[last] + 0.5
                    strip = QRectF(left, y, right - left, bar)
                    painter.fillRect(strip.adjusted(0, -m.hairline, 0, 0), QColor(tokens.surface))
                    painter.fillRect(strip, QColor(tokens.warning))
        chosen = self._chosen[side]
        if chosen in run.refs and run.refs.index(chosen) in rows:
            number = rows.index(run.refs.index(chosen))
            frame = QRectF(box.left(), top + number * places.row, box.width(), places.row)
            for colour, width in ((tokens.focus_halo, 2 * m.line), (tokens.focus_ring, m.line)):
                painter.setPen(QPen(QColor(colour), width))
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.drawRect(frame.adjusted(1, 0, -1, 0))
        if self._step is not None:
            x = self._x_of(box, run.steps[self._point(side)])
            for colour, width in ((tokens.focus_halo, 2 * m.line), (tokens.focus_ring, m.line)):
                painter.setPen(QPen(QColor(colour), width))
                painter.drawLine(QLineF(x, box.top(), x, box.bottom()))
        painter.restore()
        painter.setPen(QPen(QColor(tokens.border_strong), m.hairline))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(box)

    def _paint_names(self, painter: QPainter, side: int, area: _Area, places: _Places) -> None:
        """Names beside the rows; where rows are lower than a line, those that find room.

        The chosen row comes first, then those where a rule is met.
        """
        tokens, metrics = theme.current(), QFontMetricsF(painter.font())
        run, rows, labels = self._runs[side], self._rows[side], self._labels(side)
        marks = run.flags[self._point(side)]
        chosen = self._chosen[side]
        taken: list[float] = []
        close = metrics.capHeight() + 1.5
        painter.save()
        painter.setClipRect(area.names.adjusted(-theme.metrics().space_2, -2, 2, 2))

        def importance(number: int) -> tuple[bool, bool]:
            return run.refs[rows[number]] != chosen, not marks[rows[number]]

        for number in sorted(range(len(rows)), key=importance):
            y = area.map.top() + (number + 0.5) * places.row - places.scroll
            y = min(
                max(y, area.map.top() + metrics.height() / 2),
                area.map.bottom() - metrics.height() / 2,
            )
            inside = 0 <= (number + 0.5) * places.row - places.scroll <= area.map.height()
            if not inside or any(abs(y - other) < close for other in taken):
                continue
            taken.append(y)
            row = rows[number]
            mine = run.refs[row] == chosen
            colour = tokens.warning if marks[row] else tokens.text if mine else tokens.text_muted
            painter.setPen(QColor(colour))
            text = metrics.elidedText(
                labels[number], Qt.TextElideMode.ElideLeft, area.names.width() + 1
            )
            x = area.names.right() - metrics.horizontalAdvance(text)
            painter.drawText(QPointF(x, y + metrics.capHeight() / 2), text)
        painter.restore()

    def _paint_steps(self, painter: QPainter, box: QRectF, side: int) -> None:
        """The first and the last step, and the measured one in sight, under a map or a line."""
        tokens, m, metrics = theme.current(), theme.metrics(), QFontMetricsF(painter.font())
        first, last = self._ends()
        y = box.bottom() + m.space_1 / 2 + metrics.ascent()
        taken: list[tuple[float, float]] = []
        texts = [(last, f"{last:,}"), (first, self.tr("step {0}").format(f"{first:,}"))]
        seen = None if self._step is None else self._runs[side].steps[self._point(side)]
        if seen is not None:
            texts.insert(0, (seen, f"{seen:,}"))
        for step, text in texts:
            width = metrics.horizontalAdvance(text)
            x = self._x_of(box, step) - width / 2
            x = min(max(x, box.left()), max(box.left(), box.right() - width))
            if any(x < b + m.space_2 and x + width + m.space_2 > a for a, b in taken):
                continue
            taken.append((x, x + width))
            painter.setPen(QColor(tokens.focus_ring if step == seen else tokens.text_muted))
            painter.drawText(QPointF(x, y), text)

    def _paint_title(self, painter: QPainter, side: int, area: _Area) -> None:
        tokens, m, metrics = theme.current(), theme.metrics(), QFontMetricsF(painter.font())
        sign = "━ " if side == 0 else "╍ "
        colour = tokens.backward if side == 0 else tokens.forward
        width = area.map.right() - area.names.left() - metrics.horizontalAdvance(sign)
        text = metrics.elidedText(self._runs[side].title, Qt.TextElideMode.ElideMiddle, width)
        y = area.map.top() - m.space_1 - metrics.descent()
        painter.setPen(QColor(colour))
        painter.drawText(QPointF(area.names.left(), y), sign)
        painter.setPen(QColor(tokens.text))
        painter.drawText(QPointF(area.names.left() + metrics.horizontalAdvance(sign), y), text)

    def _paint_hover(self, painter: QPainter, side: int, area: _Area, places: _Places) -> None:
        if self._hover is None or self._hover[0] != side:
            return
        tokens, m = theme.current(), theme.metrics()
        _, number, point = self._hover
        box = area.map
        x = self._x_of(box, self._runs[side].steps[point])
        y = box.top() + number * places.row - places.scroll
        painter.save()
        painter.setClipRect(box)
        for colour, width in ((tokens.focus_halo, 2 * m.line), (tokens.text, m.hairline)):
            painter.setPen(QPen(QColor(colour), width))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawLine(QLineF(x, box.top(), x, box.bottom()))
            painter.drawRect(QRectF(box.left(), y, box.width(), places.row))
        painter.restore()

    def _ticks(self, height: float) -> Iterator[tuple[float, str]]:
        """Places on the scale from 0 to 1, and their numbers."""
        line = self._line_height()
        if self._measure in SHARES:
            parts = 4 if height > 6 * line else 2
            for i in range(parts + 1):
                yield i / parts, f"{100 * i // parts}%"
            return
        low, high = int(self._low), int(self._high)
        every = max(1, math.ceil((high - low) * line * 1.4 / max(1.0, height)))
        for decade in range(high, low - 1, -every):
            text = format_number(10.0**decade)
            yield (
                (decade - low) / (high - low),
                f"1e{decade}".replace("-", "−") if "e" in text else text,
            )

    def _paint_legend(self, painter: QPainter, bar: QRectF) -> None:
        """The colours and their numbers; an exact zero has a colour of its own."""
        tokens, m, metrics = theme.current(), theme.metrics(), QFontMetricsF(painter.font())
        zeros = self._measure not in SHARES and any(bool((s == 0).any()) for s in self._series)
        ramp = bar.adjusted(0, 0, 0, -(metrics.height() + m.space_1)) if zeros else bar
        colours = np.ascontiguousarray(lut(tokens, "sequential").colours[::-1])
        image = QImage(colours.tobytes(), 1, len(colours), 4, QImage.Format.Format_RGB32).copy()
        painter.drawImage(ramp, image)
        painter.setPen(QPen(QColor(tokens.border_strong), m.hairline))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(ramp)
        painter.setPen(QColor(tokens.text))
        x = bar.right() + m.space_1
        for place, text in self._ticks(ramp.height()):
            y = ramp.bottom() - place * ramp.height() + metrics.capHeight() / 2
            y = min(max(y, ramp.top() + metrics.capHeight()), ramp.bottom())
            painter.drawText(QPointF(x, y), text)
        if zeros:
            side = metrics.capHeight()
            box = QRectF(bar.left(), bar.bottom() - side - 1, bar.width(), side)
            painter.fillRect(box, QColor(tokens.minus_infinity))
            painter.drawText(QPointF(x, box.bottom()), "0")

    def _paint_line(self, painter: QPainter, box: QRectF) -> None:
        """The chosen layer over the steps, by the scale of the colours, with the rule's bound."""
        tokens, m, metrics = theme.current(), theme.metrics(), QFontMetricsF(painter.font())
        for place, text in self._ticks(box.height()):
            y = box.bottom() - place * box.height()
            painter.setPen(QPen(QColor(tokens.grid), m.hairline))
            painter.drawLine(QLineF(box.left(), y, box.right(), y))
            painter.setPen(QColor(tokens.text_muted))
            width = metrics.horizontalAdvance(text)
            y = min(max(y + metrics.capHeight() / 2, box.top() + metrics.capHeight()), box.bottom())
            painter.drawText(QPointF(box.left() - m.space_1 - width, y), text)
        painter.setPen(QPen(QColor(tokens.border_strong), m.hairline))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(box)
        painter.save()
        painter.setClipRect(box.adjusted(-1, -1, 1, 1))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        bound = self._bound()
        if bound:
            pen = QPen(QColor(tokens.warning), m.line)
            pen.setDashPattern(list(m.dash_zero))
            self._paint_curve(painter, box, bound, pen)
        for side in reversed(range(len(self._runs))):
            pen = QPen(QColor(tokens.backward if side == 0 else tokens.forward), m.line_strong)
            if side:
                pen.setDashPattern([3, 2])
            self._paint_curve(painter, box, self.line_of(side), pen)  # type: ignore[arg-type]
        if self._step is not None:
            x = self._x_of(box, self._runs[0].steps[self._point(0)])
            painter.setPen(QPen(QColor(tokens.focus_ring), m.line))
            painter.drawLine(QLineF(x, box.top(), x, box.bottom()))
        painter.restore()
        self._paint_steps(painter, box, 0)
        names = dict.fromkeys(c[0] for c in self.chosen if c is not None)
        title = f"{' · '.join(names)}  {training_measure_sign(self._measure)}"
        if len(self._runs) > 1:
            y = box.top() - m.space_1 - metrics.descent()
        else:
            y = box.top() + metrics.ascent() + m.space_1
        text = metrics.elidedText(title, Qt.TextElideMode.ElideMiddle, box.width() - 2 * m.space_1)
        self._haloed(painter, QPointF(box.left() + m.space_1, y), text, tokens.text)
        floor = self._value_place(bound[-1][1]) if bound else None
        if floor is not None and floor >= 0:
            words = self.tr("vanishing below")
            x = box.right() - metrics.horizontalAdvance(words) - m.space_1
            y = box.bottom() - floor * box.height() - m.space_1
            if y - metrics.ascent() > box.top() + metrics.height():
                self._haloed(painter, QPointF(x, y), words, tokens.warning)

    @staticmethod
    def _haloed(painter: QPainter, at: QPointF, text: str, colour: str) -> None:
        """Text that lines may run behind."""
        metrics = QFontMetricsF(painter.font())
        ground = QRectF(
            at.x() - 2,
            at.y() - metrics.ascent(),
            metrics.horizontalAdvance(text) + 4,
            metrics.height(),
        )
        painter.fillRect(ground, theme.current().colour("surface", 0.8))
        painter.setPen(QColor(colour))
        painter.drawText(at, text)

    def _bound(self) -> tuple[tuple[int, float], ...]:
        """(step, value) under which the rule calls a gradient vanishing, in the first run."""
        run = self._runs[0]
        if self._measure == "share of start":
            return tuple((step, FAINT) for step in (run.steps[0], run.steps[-1]))
        if self._measure != "gradient" or not run.starts:
            return ()
        starts = self._series[0][list(run.starts)]
        if np.isnan(starts).all():
            return ()
        largest = np.nanmax(starts, axis=0)
        return tuple((s, float(FAINT * v)) for s, v in zip(run.steps, largest, strict=True))

    def _paint_curve(
        self, painter: QPainter, box: QRectF, line: tuple[tuple[int, float], ...], pen: QPen
    ) -> None:
        """A line that is interrupted where a value has no place on the scale."""
        painter.setPen(pen)
        part: list[QPointF] = []
        for step, value in (*line, (0, math.nan)):
            place = self._value_place(value)
            if place is not None and not math.isnan(place):
                part.append(QPointF(self._x_of(box, step), box.bottom() - place * box.height()))
                continue
            if len(part) == 1:
                painter.drawEllipse(part[0], pen.widthF(), pen.widthF())
            elif part:
                painter.drawPolyline(QPolygonF(part))
            part = []

    # ---- events ----------------------------------------------------------------------------

    def cell_at(self, at: QPointF) -> tuple[Side, int, int] | None:
        """(run, row, point) under a place of the viewport; None beside the maps."""
        places = self._places()
        for side, area in enumerate(places.areas):
            reach = area.map.united(area.names)
            if not reach.contains(at):
                continue
            number = int((at.y() - area.map.top() + places.scroll) // places.row)
            if not 0 <= number < len(self._rows[side]):
                return None
            x = min(max(at.x(), area.map.left()), area.map.right())
            point = int(self._steps_of(side, area.map, np.array([x]))[0])
            if at.x() < area.map.left():  # a name: the step in sight stays
                point = self._point(side)
            return (0 if side == 0 else 1), number, point if point >= 0 else self._last(side)
        return None

    def _last(self, side: int) -> int:
        return len(self._runs[side].steps) - 1

    def viewportEvent(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Leave and self._hover is not None:
            self._hover = None
            self._tell()
            self.viewport().update()
        if event.type() == QEvent.Type.Resize:
            self._scroll_range()
        return super().viewportEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if not self._runs:
            return
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._scrub(event.position())
            return
        hover = self.cell_at(event.position())
        if hover != self._hover:
            self._hover = hover
            self._tell()
            self.viewport().update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() != Qt.MouseButton.LeftButton or not self._runs:
            return
        cell = self.cell_at(event.position())
        if cell is None:
            self._scrub(event.position())
            return
        side, number, point = cell
        self._hover = None
        named = event.position().x() < self._places().areas[side].map.left()
        self._choose(side, self._rows[side][number], None if named else point)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        event.setAccepted(event.button() == Qt.MouseButton.LeftButton)

    def _scrub(self, at: QPointF) -> None:
        """Go to the step under the pointer, in a map or beside the line."""
        places = self._places()
        boxes = [(side, area.map) for side, area in enumerate(places.areas)]
        if places.line is not None:
            boxes.append((0, places.line))
        for side, box in boxes:
            if box.left() <= at.x() <= box.right():
                point = int(self._steps_of(side, box, np.array([at.x()]))[0])
                self._go(self._runs[side].steps[point if point >= 0 else self._last(side)])
                return

    def _go(self, step: int) -> None:
        self._step = step
        if self._order != "network":
            self._rows = tuple(self._sorted(side) for side in range(len(self._runs)))
        self._tell()
        self.viewport().update()

    def _choose(self, side: int, row: int, point: int | None) -> None:
        """Choose a layer of a run, the same one of the other run, and a step."""
        ref = self._runs[side].refs[row]
        self._chosen[side] = ref
        other = 1 - side
        if other < len(self._runs) and (ref in self._runs[other].refs or not self._chosen[other]):
            self._chosen[other] = ref if ref in self._runs[other].refs else None
        self._scroll_range()
        if point is not None:
            self._go(self._runs[side].steps[point])
        self._tell()
        self.viewport().update()
        self.select_requested.emit(frozenset((ref[0],)))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = Qt.Key(event.key())
        plain = event.modifiers() == Qt.KeyboardModifier.NoModifier
        if not self._runs or not plain or not self._move(key):
            super().keyPressEvent(event)

    def _move(self, key: Qt.Key) -> bool:
        """Arrows: to the next step that was measured, or the next layer; whether it was one."""
        run, at = self._runs[0], self._point(0)
        last = len(run.steps) - 1
        steps = {
            Qt.Key.Key_Left: at - 1,
            Qt.Key.Key_Right: at + 1,
            Qt.Key.Key_Home: 0,
            Qt.Key.Key_End: last,
        }
        if key in steps:
            self._go(run.steps[max(0, min(last, steps[key]))])
            return True
        rows = self._rows[0]
        if key not in (Qt.Key.Key_Up, Qt.Key.Key_Down) or not rows:
            return False
        down = key == Qt.Key.Key_Down
        chosen = self._chosen[0]
        if chosen in run.refs and run.refs.index(chosen) in rows:
            number = rows.index(run.refs.index(chosen)) + (1 if down else -1)
        else:
            number = 0 if down else len(rows) - 1
        number = max(0, min(len(rows) - 1, number))
        self._choose(0, rows[number], None)
        places, bar = self._places(), self.verticalScrollBar()
        top, seen = number * places.row, places.areas[0].map.height()
        if top < bar.value():
            bar.setValue(math.floor(top))
        elif top + places.row > bar.value() + seen:
            bar.setValue(math.ceil(top + places.row - seen))
        return True

    def focusInEvent(self, event: QFocusEvent) -> None:
        self.viewport().update()
        super().focusInEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self.viewport().update()
        super().focusOutEvent(event)

    # ---- words -----------------------------------------------------------------------------

    def reading(self) -> str:
        """The numbers under the pointer, else of the chosen layer at the step in sight."""
        if not self._runs:
            return ""
        if self._hover is not None:
            side, number, point = self._hover
            return self._words(side, self._rows[side][number], point)
        found = [
            self._words(side, run.refs.index(chosen), self._point(side))
            for side, run in enumerate(self._runs)
            if (chosen := self._chosen[side]) in run.refs
        ]
        return "\n".join(found) or self.tr(
            "Click a layer to see its line; point at a colour to read its numbers."
        )

    def _words(self, side: int, row: int, point: int) -> str:
        words = step_words(self._runs[side], row, point)
        return f"{'━' if side == 0 else '╍'} {words}" if len(self._runs) > 1 else words

    def _tell(self) -> None:
        self.read.emit(self.reading())

    def _describe(self) -> None:
        """What is drawn in words, for who does not see the colours."""
        if not self._runs:
            self.setAccessibleDescription(self.tr("Nothing has been measured yet"))
            return
        self.setAccessibleDescription(
            "; ".join(
                self.tr("{0}: {1} layers, steps {2} to {3}").format(
                    run.title, len(rows), f"{run.steps[0]:,}", f"{run.steps[-1]:,}"
                )
                for run, rows in zip(self._runs, self._rows, strict=True)
            )
        )

    def _theme_changed(self) -> None:
        self._scroll_range()
        self.viewport().update()


def _spans(marked: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """(first, last) of each run of marks."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], marked.astype(np.int8), [0]))))
    for first, end in edges.reshape(-1, 2):
        yield int(first), int(end) - 1
