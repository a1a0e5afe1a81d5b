"""The lines in which a number is worked out: a loss from its scores, an update of one weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QSize,
    Qt,
)
from PySide6.QtGui import QColor, QGuiApplication, QKeyEvent, QKeySequence, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QSizePolicy,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from engine.stages import Stage
from explorer import theme
from explorer.tensors.scales import format_number

Index = QModelIndex | QPersistentModelIndex
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
MOST_ROWS = 12
"""Rows of a table that are in sight without scrolling, where there is room."""


class _Model(QAbstractTableModel):
    """Some of the lines; ``done`` counts all of them, those of the other table too."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.stages: tuple[tuple[int, Stage], ...] = ()
        self.labels: tuple[str, ...] = ()
        self.done = 0

    def set_stages(self, stages: Sequence[tuple[int, Stage]], labels: Sequence[str]) -> None:
        self.beginResetModel()
        self.stages, self.labels = tuple(stages), tuple(labels)
        self.endResetModel()

    def set_done(self, done: int) -> None:
        self.done = done
        if self.rowCount() and self.columnCount():
            corner = self.index(self.rowCount() - 1, self.columnCount() - 1)
            self.dataChanged.emit(self.index(0, 0), corner)
            for side, count in (
                (Qt.Orientation.Horizontal, self.columnCount()),
                (Qt.Orientation.Vertical, self.rowCount()),
            ):
                self.headerDataChanged.emit(side, 0, count - 1)

    def flags(self, index: Index) -> Qt.ItemFlag:
        return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable

    def named(self, place: int, role: int, across: bool) -> Any:
        """The header of a line: in accent where it was done last, muted before it is done."""
        number, stage = self.stages[place]
        if role == Qt.ItemDataRole.DisplayRole:
            return stage.name
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{stage.name}: {stage.formula}"
        if role == Qt.ItemDataRole.FontRole:
            return theme.font("small" if across else "body")
        if role == Qt.ItemDataRole.ForegroundRole:
            tokens = theme.current()
            if number == self.done - 1:
                return QColor(tokens.accent)
            return QColor(tokens.text if number < self.done else tokens.text_muted)
        return None

    def shown(self, place: int, role: int) -> Any:
        """What all cells of a line have."""
        number, stage = self.stages[place]
        if role == Qt.ItemDataRole.BackgroundRole and number == self.done - 1:
            return QColor(theme.current().selection)
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleDescriptionRole):
            return f"{stage.name}: {stage.formula}" if stage.formula else stage.name
        if role == Qt.ItemDataRole.ForegroundRole and number >= self.done:
            return QColor(theme.current().text_muted)
        return None


class _Classes(_Model):
    """A row for each class, a column for each line that has a number for each."""

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        if parent.isValid():
            return 0
        return max((s.values.size for _, s in self.stages), default=0)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.stages)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _RIGHT
        if orientation == Qt.Orientation.Horizontal:
            return self.named(section, role, True)
        if role == Qt.ItemDataRole.DisplayRole:
            return self.labels[section] if section < len(self.labels) else str(section)
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        row, column = index.row(), index.column()
        stage = self.stages[column][1]
        if role == Qt.ItemDataRole.DisplayRole:
            return self.text(row, column)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _RIGHT
        if role == Qt.ItemDataRole.FontRole:
            return theme.font("strong" if stage.picked == row else "small")
        return self.shown(column, role)

    def text(self, row: int, column: int) -> str:
        """What stands in a cell; nothing before its line is done."""
        number, stage = self.stages[column]
        if number >= self.done or row >= stage.values.size:
            return ""
        return format_number(float(stage.values[row]))


class _Numbers(_Model):
    """A row for each line of one number: the number, and how it came about."""

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.stages)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else 2

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        across = orientation == Qt.Orientation.Horizontal
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _RIGHT if across and not section else _LEFT
        if not across:
            return self.named(section, role, False)
        if role == Qt.ItemDataRole.DisplayRole:
            return (self.tr("Number"), self.tr("How"))[section]
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self.text(index.row(), index.column())
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _LEFT if index.column() else _RIGHT
        if role == Qt.ItemDataRole.FontRole:
            return theme.font("small" if index.column() else "number")
        return self.shown(index.row(), role)

    def text(self, row: int, column: int) -> str:
        """What stands in a cell: the number only once its line is done."""
        number, stage = self.stages[row]
        if column:
            return stage.formula
        return format_number(float(stage.values[0])) if number < self.done else ""


class _Table(QTableView):
    """A table to look at and to copy."""

    def __init__(self, model: _Model, name: str) -> None:
        super().__init__()
        self.lines = model
        self._looked_at = QModelIndex()
        self.setModel(model)
        self.setAccessibleName(name)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setCornerButtonEnabled(False)
        for header in (self.verticalHeader(), self.horizontalHeader()):
            header.setHighlightSections(False)
            header.setSectionsClickable(False)

    def look_at(self, row: int, column: int) -> None:
        """Scroll to a cell, and stay there when the height changes."""
        self._looked_at = self.lines.index(row, column)
        self.scrollTo(self._looked_at)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self._looked_at.isValid():
            self.scrollTo(self._looked_at)

    def fit(self, least: int) -> None:
        """Heights from the font: all rows in sight, ``least`` where there is little room."""
        m = theme.metrics()
        self.verticalHeader().setMinimumSectionSize(m.control_height)
        self.verticalHeader().setDefaultSectionSize(m.control_height)
        rows = min(self.lines.rowCount(), MOST_ROWS)
        line = m.control_height
        head = self.horizontalHeader().sizeHint().height() + 2 * self.frameWidth()
        self.setMinimumHeight(min(rows, least) * line + head)
        self.setMaximumHeight(rows * line + head)
        self.updateGeometry()

    def sizeHint(self) -> QSize:
        return QSize(super().sizeHint().width(), self.maximumHeight())

    def texts(self) -> tuple[tuple[str, ...], ...]:
        """The rows as they stand on the screen, each behind its name."""
        model, side = self.lines, Qt.Orientation.Vertical
        return tuple(
            (
                str(model.headerData(row, side)),
                *(str(model.index(row, c).data()) for c in range(model.columnCount())),
            )
            for row in range(model.rowCount())
        )

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.matches(QKeySequence.StandardKey.Copy):
            side = Qt.Orientation.Horizontal
            columns = range(self.lines.columnCount())
            head = ("", *(str(self.lines.headerData(c, side)) for c in columns))
            text = "\n".join("\t".join(line) for line in (head, *self.texts()))
            QGuiApplication.clipboard().setText(text)
            return
        if event.text().strip() or event.key() in (Qt.Key.Key_Space, Qt.Key.Key_Backspace):
            event.ignore()  # keys of the canvas, not a search in the table
            return
        super().keyPressEvent(event)


class Working(QWidget):
    """The lines of one number: those for each class beside each other, the others below.

    The one that was done last stands out; what is not done yet has a name and no number.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._stages: tuple[Stage, ...] = ()
        self._labels: tuple[str, ...] = ()
        self.classes = _Table(_Classes(self), self.tr("Lines with a number for each class"))
        self.numbers = _Table(_Numbers(self), self.tr("Lines with one number"))
        self.classes.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.numbers.horizontalHeader().setStretchLastSection(True)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(theme.metrics().space_2)
        box.addWidget(self.classes)
        box.addWidget(self.numbers)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        theme.theme().changed.connect(self._fit)

    def set_lines(self, stages: Sequence[Stage], done: int, labels: Sequence[str] = ()) -> None:
        """Show the lines of which ``done`` are known; ``labels`` names the classes."""
        tables = (self.classes, self.numbers)
        if (tuple(stages), tuple(labels)) != (self._stages, self._labels):
            self._stages, self._labels = tuple(stages), tuple(labels)
            numbered = list(enumerate(stages))
            for table, many in zip(tables, (True, False), strict=True):
                some = [(i, s) for i, s in numbered if (s.values.size > 1) == many]
                table.look_at(-1, -1)  # nowhere: its rows are others now
                table.lines.set_stages(some, labels)
                table.setVisible(bool(some))
            self._fit()
        for table in tables:
            table.lines.set_done(done)
        self._look_at(done - 1)

    def _look_at(self, line: int) -> None:
        """Scroll to the line that was done last, and to the class that it takes."""
        for place, (number, stage) in enumerate(self.classes.lines.stages):
            if number == line and stage.picked is not None:
                self.classes.look_at(stage.picked, place)
        for place, (number, _) in enumerate(self.numbers.lines.stages):
            if number == line:
                self.numbers.look_at(place, 0)

    def _fit(self) -> None:
        self.classes.fit(6)
        # on a projector the type is larger, and maps need room beside the lines
        self.numbers.fit(5 if theme.theme().presentation else 8)
        width = self.numbers.fontMetrics().horizontalAdvance("−9.999e−5")
        self.numbers.setColumnWidth(0, width + 2 * theme.metrics().space_2)
