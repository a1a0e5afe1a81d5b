"""The gradient at a block by the number of branches that it crossed, beside the number of paths."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QBrush, QColor, QFontMetricsF, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from engine.graph import Graph
from engine.layers.concat import Concat
from engine.paths import PathParts
from engine.trace import Gains
from explorer import theme
from explorer.narration import percent
from explorer.panels.gains import GainsBox
from explorer.panels.labels import wrapped
from explorer.tensors.scales import format_number

MANY_PATHS = 10_000_000
THOUSAND = 1000  # how finely progress is told


class _Work(QWidget):
    """What the work would take, with a button to begin it; or how far it is, and one to end it."""

    begin_requested = Signal()
    cancel_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        m = theme.metrics()
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.label = wrapped("muted")
        self.begin = QPushButton(self.tr("Work them out"))
        self.begin.clicked.connect(self.begin_requested)
        self.cancel = QPushButton(self.tr("Cancel"))
        self.cancel.clicked.connect(self.cancel_requested)
        self.bar = QProgressBar()
        self.bar.setRange(0, THOUSAND)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(m.space_3)
        self.bar.setAccessibleName(self.tr("Working out the paths"))
        row = QHBoxLayout()
        row.setSpacing(m.space_2)
        row.addWidget(self.begin)
        row.addWidget(self.bar, 1000)
        row.addWidget(self.cancel)
        row.addStretch(1)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(m.space_2)
        box.addWidget(self.label)
        box.addLayout(row)
        self.hide()

    def set_work(self, text: str, done: int | None) -> None:
        """Say what is offered, or how far it has come (of ``THOUSAND``); nothing: hide."""
        self.label.setText(text)
        self.begin.setVisible(done is None)
        for widget in (self.bar, self.cancel):
            widget.setVisible(done is not None)
        self.bar.setValue(done or 0)
        self.setVisible(bool(text))


class _Bars(QWidget):
    """A row for each number of branches: how many paths, and their share of the gradient."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._parts: PathParts | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        self.setAccessibleName(self.tr("Shares by branches crossed"))
        theme.theme().changed.connect(self._restyle)

    def _restyle(self) -> None:
        self.updateGeometry()
        self.update()

    def set_parts(self, parts: PathParts | None) -> None:
        self._parts = parts
        self.setAccessibleDescription(self.text())
        self.updateGeometry()
        self.update()

    def text(self) -> str:
        """The rows in words and numbers."""
        parts = self._parts
        if parts is None:
            return ""
        return "; ".join(
            self.tr("{0} branches: {1} paths, share {2}, norm {3}").format(
                k, f"{count:,}", _signed(share), format_number(norm)
            )
            for k, (count, share, norm) in enumerate(
                zip(parts.counts, parts.shares, parts.norms, strict=True)
            )
        )

    # ---- where things are ------------------------------------------------------------------

    def _row(self) -> float:
        m = theme.metrics()
        return float(m.bar_height + m.space_2)

    def _columns(self) -> tuple[float, float, float, float]:
        """Left of the bars of paths and of shares, and their widths."""
        m = theme.metrics()
        metrics = QFontMetricsF(theme.font("number"))
        label = metrics.horizontalAdvance("00") + 2 * m.space_2
        widest = max(("−100.0%", *map(_count, self._counts())), key=len)
        number = metrics.horizontalAdvance(widest) + m.space_2
        room = max(20.0, self.width() - label - 2 * number - m.space_4)
        paths = room * 0.4
        left = label
        right = left + paths + number + m.space_4
        return left, paths, right, room - paths

    def _counts(self) -> tuple[int, ...]:
        return self._parts.counts if self._parts is not None else ()

    def share_rect(self, k: int) -> QRectF:
        """The bar of a share, from the line of zero."""
        assert self._parts is not None
        _, _, left, width = self._columns()
        shares = self._parts.shares
        low = min(0.0, *shares) if all(map(math.isfinite, shares)) else 0.0
        high = max(0.0, *shares) if all(map(math.isfinite, shares)) else 1.0
        scale = width / (high - low) if high > low else 0.0
        zero = left - low * scale
        share = shares[k] if math.isfinite(shares[k]) else 0.0
        x = zero + min(0.0, share * scale)
        return QRectF(x, self._top(k), abs(share) * scale, theme.metrics().bar_height)

    def count_rect(self, k: int) -> QRectF:
        """The bar of a number of paths."""
        assert self._parts is not None
        left, width, _, _ = self._columns()
        most = max(self._parts.counts)
        share = self._parts.counts[k] / most if most else 0.0
        return QRectF(left, self._top(k), width * share, theme.metrics().bar_height)

    def _top(self, k: int) -> float:
        return (
            QFontMetricsF(theme.font("small")).height() + theme.metrics().space_2 + k * self._row()
        )

    def sizeHint(self) -> QSize:
        m = theme.metrics()
        rows = len(self._parts.counts) if self._parts is not None else 0
        return QSize(m.pad_size, math.ceil(self._top(rows)) + m.space_1)

    def minimumSizeHint(self) -> QSize:
        return QSize(theme.metrics().pad_size // 2, self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        parts = self._parts
        if parts is None:
            return
        tokens, m = theme.current(), theme.metrics()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        left, _, right, room = self._columns()
        painter.setFont(theme.font("small"))
        small = QFontMetricsF(theme.font("small"))
        painter.setPen(QColor(tokens.text_muted))
        painter.drawText(QPointF(0, small.ascent()), self.tr("branches"))
        # the second heading begins where the first ends, however narrow the panel
        heading = small.horizontalAdvance(self.tr("branches")) + m.space_3
        painter.drawText(QPointF(max(left, heading), small.ascent()), self.tr("paths"))
        painter.drawText(QPointF(right, small.ascent()), self.tr("share of the gradient"))
        painter.setFont(theme.font("number"))
        metrics = QFontMetricsF(theme.font("number"))
        for k, (count, share) in enumerate(zip(parts.counts, parts.shares, strict=True)):
            base = self._top(k) + m.bar_height / 2 + (metrics.ascent() - metrics.descent()) / 2
            painter.setPen(QColor(tokens.text))
            painter.drawText(QPointF(m.space_1, base), str(k))
            bar = self.count_rect(k)
            painter.fillRect(bar, QColor(tokens.border_strong))
            painter.drawText(QPointF(bar.right() + m.space_1, base), _count(count))
            bar = self.share_rect(k)
            colour = QColor(tokens.skip if k == 0 else tokens.branch)
            fill = QColor(colour)
            fill.setAlphaF(0.3 if share < 0 else 0.85)
            painter.fillRect(bar, fill)
            if k == 0:  # striped as the skip is elsewhere, so that it is told without colour
                stripe = tokens.colour("surface", 0.45)
                painter.fillRect(bar, QBrush(stripe, Qt.BrushStyle.FDiagPattern))
            painter.setPen(QPen(colour, m.hairline))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(bar)
            painter.setPen(QColor(tokens.text))
            x = right + room + m.space_1
            painter.drawText(QPointF(x, base), _signed(share))
        painter.end()


def _count(paths: int) -> str:
    """A number of paths, in full while it is short enough to read."""
    return f"{paths:,}" if paths < MANY_PATHS else format_number(float(paths))


def _signed(share: float) -> str:
    if not math.isfinite(share):
        return format_number(share)
    return f"−{percent(-share)}" if share < 0 else percent(share)


class PathsPanel(QWidget):
    """Shows the parts of the gradient at one block; which one is chosen here or by a selection."""

    select_requested = Signal(object)  # frozenset of ids
    gain_requested = Signal(str, int, float)  # a join, its input, its factor
    begin_requested = Signal()
    cancel_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._parts: tuple[PathParts, ...] = ()
        self._note = ""
        self._graph = Graph()
        self._gains: Gains = {}
        m = theme.metrics()
        self.setAccessibleName(self.tr("Residual paths"))
        self.block = QComboBox()
        self.block.setAccessibleName(self.tr("Block"))
        self.block.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.block.setMinimumContentsLength(8)
        self.block.currentIndexChanged.connect(lambda _: self._show_block())
        self.block.activated.connect(self._chosen)
        self.label = QLabel(self.tr("Gradient at the input of"))
        self.sentence = wrapped(selectable=True)
        self.bars = _Bars()
        self.remark = wrapped("muted")
        self.work = _Work()
        self.work.begin_requested.connect(self.begin_requested)
        self.work.cancel_requested.connect(self.cancel_requested)
        self.empty = wrapped("muted")
        self.empty.setAlignment(Qt.AlignmentFlag.AlignTop)
        head = QHBoxLayout()
        head.setSpacing(m.space_2)
        head.addWidget(self.label)
        head.addWidget(self.block, 1)
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(m.space_2)
        self.gains = GainsBox()
        self.gains.gain_requested.connect(self.gain_requested)
        for widget in (self.sentence, self.bars, self.gains, self.remark):
            column.addWidget(widget)
        column.addStretch(1)
        self.area = QScrollArea()
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setWidgetResizable(True)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setWidget(inner)
        self.area.viewport().setAutoFillBackground(False)
        inner.setAutoFillBackground(False)
        box = QVBoxLayout(self)
        box.setContentsMargins(m.space_3, m.space_2, m.space_3, m.space_2)
        box.setSpacing(m.space_2)
        box.addLayout(head)
        box.addWidget(self.work)
        box.addWidget(self.area, 1)
        box.addWidget(self.empty, 1)
        box.addStretch()
        self._show()

    def set_parts(self, parts: Sequence[PathParts], note: str = "") -> None:
        """Show the parts of a run; without any, the note says why."""
        found = tuple(parts)
        if (
            len(found) == len(self._parts)
            and note == self._note
            and all(a is b for a, b in zip(found, self._parts, strict=True))
        ):
            return
        self._parts, self._note = found, note
        self._show()

    def set_work(self, text: str, done: int | None = None) -> None:
        """Work that is offered (``done`` None), or goes on: so many thousandths; "" for none."""
        self.work.set_work(text, done)
        if not self._parts:
            self.empty.setVisible(not text)

    def set_gains(self, graph: Graph, gains: Gains) -> None:
        """The what-if, of which the factors at the block in sight are shown."""
        self._graph, self._gains = graph, gains
        self.gains.set_join(graph, self.shown.join if self.shown is not None else "", gains)

    def set_selection(self, ids: frozenset[str]) -> None:
        """Show the block that a selected node belongs to."""
        for i, part in enumerate(self._parts):
            if part.ref[0] in ids or any(n.startswith(part.block + "/") for n in ids):
                self.block.setCurrentIndex(i)

    @property
    def shown(self) -> PathParts | None:
        """The block in sight."""
        index = self.block.currentIndex()
        return self._parts[index] if 0 <= index < len(self._parts) else None

    def _show(self) -> None:
        chosen = self.block.currentText()
        self.block.blockSignals(True)
        self.block.clear()
        self.block.addItems([part.block for part in self._parts])
        first = next((i for i, part in enumerate(self._parts) if part.join), 0)
        known = self.block.findText(chosen)
        self.block.setCurrentIndex((known if known >= 0 else first) if self._parts else -1)
        self.block.blockSignals(False)
        there = bool(self._parts)
        for widget in (self.label, self.block, self.area):
            widget.setVisible(there)
        self.empty.setVisible(not there and self.work.isHidden())
        self.empty.setText(self._note or self.tr("The paths are being worked out…"))
        self._show_block()

    def _show_block(self) -> None:
        parts = self.shown
        self.bars.set_parts(parts)
        self.gains.set_join(self._graph, parts.join if parts is not None else "", self._gains)
        if parts is None:
            return
        exact = self.tr(
            "Exact: the gradient is taken apart by the number of branches that it crossed on its "
            "way back. The shares are signed and add up to 100%. Each is of the sum over all paths "
            "of that length, not of single paths."
        )
        join = self._graph.by_id.get(parts.join)
        if join is not None and isinstance(join.layer, Concat):
            exact += " " + self.tr(
                "In a dense block a Concat passes on what was known, which is the skip, and puts "
                "beside it what a layer made of it, which is a branch."
            )
        self.remark.setText(exact)
        blocks = len(parts.counts) - 1
        most = max(range(len(parts.shares)), key=lambda k: parts.shares[k])
        text = self.tr(
            "‖∂‖ = {0}. Through skips only came {1}; most, {2}, crossed {3} of {4} branches."
        )
        if parts.norm == 0:
            text = self.tr("The gradient here is 0: there is nothing to take apart.")
        elif most == 0:
            text = self.tr("‖∂‖ = {0}. Most of it, {1}, came through skips only.")
        self.sentence.setText(
            text.format(
                format_number(parts.norm),
                _signed(parts.shares[0]),
                _signed(parts.shares[most]),
                most,
                blocks,
            )
        )

    def _chosen(self, _index: int) -> None:
        parts = self.shown
        if parts is not None:
            self.select_requested.emit(frozenset((parts.ref[0],)))
