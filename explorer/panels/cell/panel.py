"""Why a cell has its number: the terms that made it, in forward or of its gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape

from PySide6.QtCore import QCoreApplication, QEvent, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QTabBar,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from engine.cell import Cell
from engine.explain import DIRECTIONS, Explanation, Place, origin, written
from engine.fields import Fields
from engine.graph import Graph
from engine.trace import Key, Trace
from explorer import theme
from explorer.panels.cell.picture import WindowPicture
from explorer.panels.cell.terms import BarsLegend, TermsTable
from explorer.panels.cell.words import long_name, numbers_of, reach_of, short_name, sum_of
from explorer.panels.labels import wrapped
from explorer.tensors.scales import format_number

FEW_TERMS = 4  # need no other order
LONGEST_WAY = 5  # places of the way that are written out
LAYOUT_ROUNDS = 3  # heights follow widths, and the picture and the table each other


class CellPanel(QWidget):
    """Shows one place of a run; asks for others, and changes nothing itself."""

    focus_requested = Signal(object)  # Place
    why_requested = Signal()
    back_requested = Signal()
    forward_requested = Signal()
    jump_requested = Signal(int)  # how many places of the way to go back

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._graph = Graph()
        self._trace: Trace | None = None
        self._position = 0
        self._way: tuple[Place, ...] = ()
        self._signature: tuple[object, ...] | None = None
        self._fields: Fields | None = None
        self.explanation: Explanation | None = None
        m = theme.metrics()
        self.setAccessibleName(self.tr("Where from?"))
        self.back, self.forward = QToolButton(), QToolButton()
        for button, icon, text, tip in (
            (
                self.back,
                "chevron-left",
                self.tr("Back"),
                self.tr("Back to the number before (Backspace)"),
            ),
            (
                self.forward,
                "chevron-right",
                self.tr("Forward"),
                self.tr("Forward again (Alt+Right)"),
            ),
        ):
            button.setIcon(theme.icon(icon))
            button.setText(text)
            button.setAccessibleName(text)
            button.setToolTip(tip)
            button.setIconSize(QSize(m.icon_small, m.icon_small))
        self.why = QPushButton(theme.icon("why", "text_on_accent"), self.tr("Why?"))
        self.why.setProperty("primary", True)
        self.why.setToolTip(self.tr("Go to the term that contributed most (W)"))
        self.back.clicked.connect(self.back_requested)
        self.forward.clicked.connect(self.forward_requested)
        self.why.clicked.connect(self.why_requested)
        self.way = QLabel()
        self.way.setTextFormat(Qt.TextFormat.RichText)
        self.way.setWordWrap(True)
        self.way.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.way.setAccessibleName(self.tr("The way that led here"))
        self.way.setTextInteractionFlags(
            Qt.TextInteractionFlag.LinksAccessibleByMouse
            | Qt.TextInteractionFlag.LinksAccessibleByKeyboard
        )
        self.way.linkActivated.connect(lambda link: self.jump_requested.emit(int(link)))
        self.tabs = QTabBar()
        self.tabs.setDrawBase(False)
        self.tabs.setExpanding(False)
        self.tabs.setElideMode(Qt.TextElideMode.ElideRight)
        self.tabs.setUsesScrollButtons(False)
        self.tabs.setAccessibleName(self.tr("Value or gradient"))
        self.tabs.addTab(self.tr("Its value"))
        self.tabs.addTab(self.tr("Its gradient"))
        self.tabs.currentChanged.connect(self._ask_side)
        self.name = wrapped(selectable=True)
        self.value = QLabel()
        self.value.setProperty("role", "title")
        self.value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.formula = wrapped("muted", selectable=True)
        self.numbers = wrapped(selectable=True)
        self.picture = WindowPicture()
        self.order = QToolButton()
        self.order.setCheckable(True)
        self.order.setChecked(True)
        self.order.setText(self.tr("Largest first"))
        self.order.setToolTip(
            self.tr("Terms with the largest products first; off: in the order of the layer")
        )
        self.order.toggled.connect(self._sort)
        self.reach = wrapped("muted", selectable=True)
        self.reach.setAccessibleName(self.tr("What it sees and changes"))
        self.total = wrapped("muted", selectable=True)
        self.table = TermsTable()
        self.bars = BarsLegend()
        self.note = wrapped("muted")
        self.note.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.table.followed.connect(self.focus_requested)
        self.picture.followed.connect(self.focus_requested)

        head = QHBoxLayout()
        head.setContentsMargins(m.space_3, m.space_2, m.space_3, 0)
        head.setSpacing(m.space_1)
        head.addWidget(self.back)
        head.addWidget(self.forward)
        head.addStretch(1)
        head.addWidget(self.why)
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(m.space_3, m.space_2, m.space_3, m.space_3)
        column.setSpacing(m.space_1)
        title = QHBoxLayout()
        title.setSpacing(m.space_2)
        title.addWidget(self.name, 1)
        title.addWidget(self.value)
        column.addLayout(title)
        for widget in (self.reach, self.formula, self.numbers, self.picture):
            column.addWidget(widget)
        line = QHBoxLayout()
        line.setSpacing(m.space_2)
        line.addWidget(self.total, 1)
        line.addWidget(self.order, 0, Qt.AlignmentFlag.AlignTop)
        column.addLayout(line)
        column.addWidget(self.bars)
        column.addWidget(self.table, 1)
        column.addWidget(self.note, 1)
        self.area = QScrollArea()
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setWidgetResizable(True)
        # The picture is lower where it is narrower: a bar that came and went with the height would
        # make room for itself without end, and Qt lays out by recursion.
        self.area.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setWidget(inner)
        self.area.viewport().setAutoFillBackground(False)
        inner.setAutoFillBackground(False)
        way = QHBoxLayout()
        way.setContentsMargins(m.space_3, 0, m.space_3, 0)
        way.addWidget(self.way)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(m.space_1)
        box.addLayout(head)
        box.addLayout(way)
        box.addWidget(self.tabs)
        box.addWidget(self.area, 1)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self._refresh)
        theme.theme().changed.connect(self._restyle)
        self._restyle()
        self._refresh()

    # ---- what is shown ---------------------------------------------------------------------

    def set_run(self, graph: Graph, trace: Trace | None, position: int) -> None:
        """Explain by this run, as it is when ``position`` steps have been carried out."""
        if (graph, trace, position) != (self._graph, self._trace, self._position):
            self._graph, self._trace, self._position = graph, trace, position
            self._refresh_soon()

    def set_way(self, way: Sequence[Place], back: bool = False, forward: bool = False) -> None:
        """Explain the last of these places; the ones before led to it, each by a term."""
        self.back.setEnabled(back)
        self.forward.setEnabled(forward)
        if tuple(way) != self._way:
            self._way = tuple(way)
            self._refresh_soon()

    def set_fields(self, fields: Fields | None) -> None:
        """Say in words what the focused cell sees and changes."""
        if fields != self._fields:
            self._fields = fields
            self._refresh_soon()

    def _show_reach(self) -> None:
        place, fields = self.place, self._fields
        fits = place is not None and fields is not None and place.source == fields.cell
        text = reach_of(self._graph, fields) if fits and fields is not None else ""
        self.reach.setText(text)
        self.reach.setVisible(bool(text))

    @property
    def place(self) -> Place | None:
        """What is asked about."""
        return self._way[-1] if self._way else None

    def _refresh_soon(self) -> None:
        """Not within the click: the ring comes first, and what is not in sight costs nothing."""
        if self.isVisible():
            self._soon.start()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._refresh()

    def _restyle(self) -> None:
        self.numbers.setFont(theme.font("number"))
        self._signature = None
        self._refresh_soon()

    def _key(self) -> Key | None:
        if self._trace is None or self.place is None:
            return None
        return written(self._trace, self._position, self.place)

    def _refresh(self) -> None:
        place = self.place
        key = self._key()
        signature = (self._trace, self._graph, self._way, key)
        if signature == self._signature:
            self._show_reach()
            return
        self._signature = signature
        self._show_way()
        self.tabs.setVisible(place is not None)
        self.why.setEnabled(self._trace is not None)
        found = None
        if place is not None and key is not None and self._trace is not None:
            found = origin(self._graph, self._trace, self._position, place.source, place.direction)
        self.explanation = found
        if place is not None:
            self.tabs.blockSignals(True)
            self.tabs.setCurrentIndex(DIRECTIONS.index(place.direction))
            self.tabs.blockSignals(False)
        self._show(found)
        self._lay_out()

    def _lay_out(self) -> None:
        """Now, from the inside out: else each of the frames that follow shows a part of it."""
        inner = self.area.widget()
        for _ in range(LAYOUT_ROUNDS):
            for widget in (self.picture, inner, self.area.viewport(), self.area, self):
                QCoreApplication.sendPostedEvents(widget, QEvent.Type.LayoutRequest.value)
        self.table.lay_out()

    def _show(self, found: Explanation | None) -> None:
        place = self.place
        several = found is not None and len(found) > 0
        for widget in (self.total, self.table):
            widget.setVisible(several)
        self.order.setVisible(found is not None and len(found) > FEW_TERMS)
        self.name.setVisible(place is not None)
        self.value.setVisible(found is not None)
        formula = found.formula if found is not None else ""
        numbers = numbers_of(found) if found is not None else ""
        self.formula.setText(formula)
        one = found is not None and len(found.shares) == 1
        self.formula.setVisible(one and bool(formula) and formula not in numbers)
        self.numbers.setText(numbers)
        self.numbers.setVisible(bool(numbers))
        if place is not None:
            self.name.setText(long_name(place))
        if found is not None:
            self.value.setText(format_number(found.value, 4))
            self.value.setToolTip(format_number(found.value, 9))
            self.total.setText(sum_of(found))
        self._show_reach()
        self.picture.set_explanation(found)
        self.table.show_terms(found, self.order.isChecked())
        self.bars.show_for(self.table.terms)
        self.note.setText(self._note(found))
        self.note.setVisible(bool(self.note.text()))

    def _note(self, found: Explanation | None) -> str:
        """What to say where there are no terms."""
        place = self.place
        if place is None:
            return self.tr(
                "Click a cell of any map, a number in the sentence, or press W: here you see "
                "what it was made of, down to pixels and weights."
            )
        if found is None:
            if place.direction == "gradient":
                return self.tr("It has no gradient yet: step on into the backward pass.")
            return self.tr("Not computed yet: step on until {0} has run.").format(place.source.node)
        if found.given:
            if not isinstance(place.source, Cell):
                return self.tr("A weight: no layer computed it, training made it.")
            return self.tr("A pixel of the picture: it was given to the network. The way ends.")
        return "" if len(found) else sum_of(found)

    # ---- the way ---------------------------------------------------------------------------

    def _show_way(self) -> None:
        self.way.setVisible(len(self._way) > 1)
        tokens = theme.current()
        parts = []
        if len(self._way) > LONGEST_WAY:
            parts.append(f'<span style="color:{tokens.text_muted}">…</span>')
        shown = self._way[-LONGEST_WAY:]
        for i, place in enumerate(shown):
            text = escape(short_name(place))
            if place.direction == "gradient":
                text = self.tr("∂ {0}").format(text)
            text = text.replace(" ", "&nbsp;")
            steps = len(shown) - 1 - i
            if steps:
                parts.append(f'<a href="{steps}" style="color:{tokens.accent}">{text}</a>')
            else:
                parts.append(f'<span style="color:{tokens.text}">{text}</span>')
        self.way.setText(f' <span style="color:{tokens.text_muted}">→</span> '.join(parts))

    # ---- requests --------------------------------------------------------------------------

    def _ask_side(self, index: int) -> None:
        place = self.place
        if place is not None and 0 <= index < len(DIRECTIONS):
            wanted = DIRECTIONS[index]
            if place.direction != wanted:
                self.focus_requested.emit(replace(place, direction=wanted, followed=True))

    def _sort(self, by_size: bool) -> None:
        self.table.show_terms(self.explanation, by_size)
