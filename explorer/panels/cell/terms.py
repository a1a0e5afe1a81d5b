"""The terms of a number as a table: only what is in sight is asked for."""

from __future__ import annotations

import math
from typing import Any

from PySide6.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRectF,
    QSignalBlocker,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import (
    QColor,
    QFontMetricsF,
    QGuiApplication,
    QKeyEvent,
    QKeySequence,
    QPainter,
    QPaintEvent,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QSizePolicy,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from engine.explain import Explanation, Place
from explorer import theme
from explorer.panels.cell.words import (
    constant_name,
    index_name,
    long_name,
    short_name,
    tensor_name,
)
from explorer.tensors.scales import format_number

SOURCE, VALUE, FACTOR, PRODUCT = range(4)
Index = QModelIndex | QPersistentModelIndex
_SHARE = int(Qt.ItemDataRole.UserRole)
_BAR_OPACITY = 0.35  # the number over it stays legible
_State = QStyle.StateFlag


class TermsModel(QAbstractTableModel):
    """Rows are terms, by size of their product or in the layer's order."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._found: Explanation | None = None
        self._by_size = True
        self._largest = 0.0
        self._one_tensor = ""
        self.plain = False
        """Whether every factor is 1, so that values are products."""

    @property
    def barred(self) -> bool:
        """Whether any row has a bar."""
        return self._largest > 0

    def set_explanation(self, found: Explanation | None, by_size: bool) -> None:
        """Show the terms of another number, or none."""
        self.beginResetModel()
        self._found, self._by_size = found, by_size
        self._largest = 0.0
        self._one_tensor, self.plain = "", False
        if found is not None and len(found):
            self._one_tensor = self._tensor_of_all(found)
            self.plain = all(t.coefficient == 1 for s in found.shares for t in s.terms.terms)
            top = abs(float(found.products[found.order[0]]))
            self._largest = top if math.isfinite(top) else 0.0
        self.endResetModel()

    def _tensor_of_all(self, found: Explanation) -> str:
        """The tensor that the terms read, where one node read no more than one."""
        slots = {
            t.source[:2]
            for s in found.shares
            for t in s.terms.terms
            if t.source[0] in ("input", "output_grad")
        }
        if len(found.shares) != 1 or len(slots) != 1:
            return ""
        kind = next(iter(slots))[0]
        terms = found.shares[0].terms.terms
        first = next(i for i, t in enumerate(terms) if t.source[0] == kind)
        place = found.place_of(first)
        return tensor_name(place) if place is not None else ""

    def number(self, row: int) -> int:
        """The number of the term in a row."""
        assert self._found is not None
        return int(self._found.order[row]) if self._by_size else row

    def row_of(self, number: int) -> int:
        """The row that shows a term."""
        if self._found is None or not self._by_size:
            return number
        return int((self._found.order == number).argmax())

    def place(self, row: int) -> Place | None:
        """Where the term in a row came from; None for a constant."""
        return None if self._found is None else self._found.place_of(self.number(row))

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() or self._found is None else len(self._found)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else 4

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation == Qt.Orientation.Vertical:
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignLeft if section == SOURCE else Qt.AlignmentFlag.AlignRight
            return side | Qt.AlignmentFlag.AlignVCenter
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        source = self._one_tensor or self.tr("From")
        return (source, self.tr("Value"), self.tr("× factor"), self.tr("= product"))[section]

    def flags(self, index: Index) -> Qt.ItemFlag:
        return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        found = self._found
        if found is None or not index.isValid():
            return None
        number, column = self.number(index.row()), index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self.text(number, column)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignLeft if column == SOURCE else Qt.AlignmentFlag.AlignRight
            return side | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.FontRole:
            return theme.font("strong" if number == found.chosen else "number")
        if role == Qt.ItemDataRole.ForegroundRole and found.place_of(number) is None:
            return QColor(theme.current().text_muted)
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleDescriptionRole):
            return self.describe(number)
        barred = VALUE if self.plain else PRODUCT
        if role == _SHARE and column == barred and self._largest:
            product = float(found.products[number])
            return product / self._largest if math.isfinite(product) else None
        return None

    def text(self, number: int, column: int) -> str:
        """What stands in a column for a term."""
        assert self._found is not None
        term = self._found.term(number)
        if column == SOURCE:
            place = self._found.place_of(number)
            if place is None:
                return constant_name(self._found.constant_of(number))
            if place.direction != self._found.place.direction and term.source[0] == "input":
                return term.note  # a loss's gradient reads what was made of the scores
            same = bool(self._one_tensor) and tensor_name(place) == self._one_tensor
            return index_name(place) if same else short_name(place)
        value = (0.0, term.value, term.coefficient, float(self._found.products[number]))[column]
        return format_number(value)

    def describe(self, number: int) -> str:
        """One term in words, with all its digits."""
        assert self._found is not None
        term, place = self._found.term(number), self._found.place_of(number)
        name = long_name(place) if place else constant_name(self._found.constant_of(number))
        lines = [name]
        if term.note:
            lines.append(term.note)
        product = float(self._found.products[number])
        lines.append(
            f"{format_number(term.value, 6)} × {format_number(term.coefficient, 6)} = "
            f"{format_number(product, 6)}"
        )
        if place is not None:
            lines.append(self.tr("Click to go there."))
        return "\n".join(lines)


def _bar_colour(positive: bool) -> QColor:
    colour = QColor(theme.current().diverging[-2 if positive else 1])
    colour.setAlphaF(_BAR_OPACITY)
    return colour


class _Bars(QStyledItemDelegate):
    """A bar behind the number: its length by the largest, its colour by the sign."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        super().paint(painter, option, index)
        share = index.data(_SHARE)
        if share:
            m, gap = theme.metrics(), theme.metrics().space_1
            area = QRectF(option.rect).adjusted(gap, gap, -gap, -gap)
            width = max(m.line, area.width() * min(1.0, abs(share)))
            bar = QRectF(area.right() - width, area.top(), width, area.height())
            painter.fillRect(bar, _bar_colour(share > 0))
            # once more the number alone, over its bar
            plain = QStyleOptionViewItem(option)
            plain.state &= ~(_State.State_Selected | _State.State_HasFocus | _State.State_MouseOver)
            painter.save()
            painter.setClipRect(bar)
            super().paint(painter, plain, index)
            painter.restore()


class BarsLegend(QWidget):
    """What the bars of a table of terms mean."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._words: tuple[str, str, str] = ("", "", "")
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        theme.theme().changed.connect(self.updateGeometry)

    def show_for(self, terms: TermsModel) -> None:
        """Hidden where there are no bars."""
        self.setVisible(terms.barred)
        self._words = (
            self.tr("Bar: compared with the largest"),
            self.tr("positive"),
            self.tr("negative"),
        )
        self.setAccessibleName(
            self.tr("A bar is as long as its number is large beside the largest of the terms.")
        )
        self.update()

    def sizeHint(self) -> QSize:
        m = theme.metrics()
        return QSize(m.pad_size, m.text_small + m.space_2)

    def paintEvent(self, event: QPaintEvent) -> None:
        m = theme.metrics()
        painter = QPainter(self)
        painter.setFont(theme.font("small"))
        measure = QFontMetricsF(theme.font("small"))
        x, side = 0.0, float(m.text_small)
        for i, words in enumerate(self._words):
            if i:
                swatch = QRectF(x, (self.height() - side) / 2, side, side)
                painter.fillRect(swatch, _bar_colour(i == 1))
                x += side + m.space_1
            painter.setPen(QColor(theme.current().text_muted))
            area = QRectF(x, 0, self.width() - x, self.height())
            painter.drawText(area, Qt.AlignmentFlag.AlignVCenter, words)
            x += measure.horizontalAdvance(words) + m.space_2


class TermsTable(QTableView):
    """Rows of terms; a click or Enter asks to go to where one came from."""

    followed = Signal(object)  # Place

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.terms = TermsModel(self)
        self.setModel(self.terms)
        self._bars = _Bars(self)
        for column in (VALUE, PRODUCT):
            self.setItemDelegateForColumn(column, self._bars)
        self.setAccessibleName(self.tr("Terms"))
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideLeft)  # the index says most
        self.setTabKeyNavigation(False)
        self.setMouseTracking(True)
        self.verticalHeader().hide()
        self.horizontalHeader().setHighlightSections(False)
        self.horizontalHeader().setSectionsClickable(False)
        self.horizontalHeader().setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.clicked.connect(self._follow)
        self.activated.connect(self._follow)
        self._fit()
        theme.theme().changed.connect(self._fit)

    def _fit(self) -> None:
        """Widths from the font: measuring thousands of rows would take longer than a frame."""
        m = theme.metrics()
        self.verticalHeader().setDefaultSectionSize(m.control_height)
        self.verticalHeader().setMinimumSectionSize(m.control_height)
        metrics = QFontMetricsF(theme.font("number"))
        bold = QFontMetricsF(theme.font("strong"))
        header = self.horizontalHeader()
        header.setSectionResizeMode(SOURCE, QHeaderView.ResizeMode.Stretch)
        for column in (VALUE, FACTOR, PRODUCT):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
            title = str(self.terms.headerData(column, Qt.Orientation.Horizontal))
            width = max(bold.horizontalAdvance(title), metrics.horizontalAdvance("−9.99e−5"))
            header.resizeSection(column, round(width) + 2 * m.space_2)
        # a few rows are always in sight
        self.setMinimumHeight(5 * m.control_height)

    def show_terms(self, found: Explanation | None, by_size: bool) -> None:
        """Show other terms, from the top; the strongest is the row to follow with Enter."""
        self.terms.set_explanation(found, by_size)
        self._choose_columns()
        if found is not None and found.strongest is not None:
            row = self.terms.row_of(found.strongest)
            index = self.terms.index(row, SOURCE)
            self.setCurrentIndex(index)
            self.scrollTo(index)

    def lay_out(self) -> None:
        """Place the rows now that the size is known, instead of after the next paint."""
        self.executeDelayedItemsLayout()

    def _choose_columns(self) -> None:
        """Where values are products, and where there is no room, less will do."""
        plain, header = self.terms.plain, self.horizontalHeader()
        m = theme.metrics()
        wide = 3 * header.sectionSize(VALUE) + 2 * m.strip_height
        # not by the viewport, which a scroll bar makes smaller: what is hidden may hide the bar
        room = self.width() - self.verticalScrollBar().sizeHint().width() - 2 * self.frameWidth()
        wanted = {PRODUCT: plain, FACTOR: plain or room < wide}
        changed = [c for c, hidden in wanted.items() if self.isColumnHidden(c) != hidden]
        if not changed:
            return
        # told of the widths, the view would paint all rows once more after the next paint
        with QSignalBlocker(header):
            for column in changed:
                self.setColumnHidden(column, wanted[column])
            self.updateGeometries()
        header.viewport().update()
        self.viewport().update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._choose_columns()

    def _follow(self, index: QModelIndex) -> None:
        place = self.terms.place(index.row())
        if place is not None:
            self.followed.emit(place)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.matches(QKeySequence.StandardKey.Copy):
            rows = range(self.terms.rowCount())
            columns = range(self.terms.columnCount())
            side = Qt.Orientation.Horizontal
            lines = [[str(self.terms.headerData(c, side)) for c in columns]]
            lines += [[self.terms.text(self.terms.number(r), c) for c in columns] for r in rows]
            QGuiApplication.clipboard().setText("\n".join("\t".join(line) for line in lines))
            return
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            if self.currentIndex().isValid():
                self._follow(self.currentIndex())
            return
        if event.text().strip():
            event.ignore()  # letters belong to whoever is above, not to a search in the table
            return
        super().keyPressEvent(event)
