"""Where stepping stops by itself: a list that can be switched, added to and cleared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from engine.trace import PHASES, Phase
from explorer import theme
from explorer.breakpoints import KINDS, Breakpoint, Kind
from explorer.narration import breakpoint_text, phase_name
from explorer.panels.labels import wrapped

START: dict[Kind, str] = {"gradient below": "1e-6", "gradient above": "100", "zeros above": "50"}
"""What stands in the box for a limit before anything is typed; shares are in per cent."""


class _List(QListWidget):
    """A list whose rows can be deleted by the keyboard."""

    delete_pressed = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace) and self.currentItem():
            self.delete_pressed.emit()
            event.accept()
        else:
            super().keyPressEvent(event)


class Breakpoints(QWidget):
    """Shows the breakpoints of the project and asks for another list; changes nothing itself."""

    change_requested = Signal(object)  # tuple of Breakpoint
    select_requested = Signal(object)  # frozenset of ids

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._points: tuple[Breakpoint, ...] = ()
        self._nodes: tuple[str, ...] = ()
        m = theme.metrics()
        self.setAccessibleName(self.tr("Breakpoints"))
        self.list = _List()
        self.list.setAccessibleName(self.tr("Breakpoints"))
        self.list.setFrameShape(QFrame.Shape.NoFrame)
        self.list.setUniformItemSizes(True)
        self.list.itemChanged.connect(self._switched)
        self.list.itemActivated.connect(self._go)
        self.list.delete_pressed.connect(self._remove)
        self.list.currentRowChanged.connect(lambda _: self._enable())
        self.empty = wrapped("muted")
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.empty.setText(
            self.tr(
                "Nothing stops stepping yet. Click the left edge of a card or above a tick of the "
                "timeline, press F9, or add a condition here."
            )
        )
        left = QVBoxLayout()
        left.setContentsMargins(0, 0, 0, 0)
        left.addWidget(self.list, 1)
        left.addWidget(self.empty, 1)

        self.kind = QComboBox()
        for kind in KINDS:
            self.kind.addItem(self._kind_name(kind), kind)
        self.kind.setCurrentIndex(KINDS.index("gradient below"))
        self.kind.setAccessibleName(self.tr("What to stop at"))
        self.where, self.phase = QComboBox(), QComboBox()
        self.where.setAccessibleName(self.tr("Layer"))
        self.where.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.where.setMinimumContentsLength(10)
        self.phase.setAccessibleName(self.tr("Phase"))
        self.limit = QLineEdit()
        self.limit.setAccessibleName(self.tr("Limit"))
        self.limit.setMaximumWidth(3 * m.control_height)
        self.unit = QLabel()
        self.unit.setProperty("role", "muted")
        self.add = QPushButton(theme.icon("add"), self.tr("Add"))
        self.remove, self.clear = QToolButton(), QToolButton()
        for button, icon, text, tip in (
            (self.remove, "remove", self.tr("Remove"), self.tr("Remove the selected one (Delete)")),
            (self.clear, "clear", self.tr("Remove all"), self.tr("Remove all breakpoints")),
        ):
            button.setIcon(theme.icon(icon))
            button.setText(text)
            button.setToolTip(tip)
            button.setIconSize(QSize(m.icon_small, m.icon_small))
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.kind.currentIndexChanged.connect(lambda _: self._choose_kind())
        self.limit.returnPressed.connect(self._add)
        self.limit.textEdited.connect(lambda _: self._mark_limit(True))
        self.add.clicked.connect(self._add)
        self.remove.clicked.connect(self._remove)
        self.clear.clicked.connect(lambda: self.change_requested.emit(()))

        form = QGridLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setHorizontalSpacing(m.space_2)
        form.setVerticalSpacing(m.space_2)
        form.addWidget(self.kind, 0, 0, 1, 2)
        operands = QHBoxLayout()
        operands.setSpacing(m.space_2)
        for widget in (self.limit, self.unit, self.where, self.phase):
            operands.addWidget(widget)
        operands.addStretch(1)
        form.addLayout(operands, 0, 2)
        form.setColumnStretch(2, 1)
        buttons = QHBoxLayout()
        buttons.setSpacing(m.space_2)
        buttons.addWidget(self.add)
        buttons.addWidget(self.remove)
        buttons.addWidget(self.clear)
        buttons.addStretch(1)
        form.addLayout(buttons, 1, 0, 1, 3)
        form.setRowStretch(2, 1)
        side = QWidget()
        side.setLayout(form)
        side.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        row = QHBoxLayout(self)
        row.setContentsMargins(m.space_3, m.space_2, m.space_3, m.space_2)
        row.setSpacing(m.space_4)
        row.addLayout(left, 1)
        row.addWidget(side, 1)
        theme.theme().changed.connect(self._show)
        self._choose_kind()
        self._show()

    # ---- what is shown ---------------------------------------------------------------------

    def set_nodes(self, nodes: Sequence[str]) -> None:
        """The layers and losses that a breakpoint may be about."""
        if tuple(nodes) != self._nodes:
            self._nodes = tuple(nodes)
            self._choose_kind()

    def set_breakpoints(self, points: Sequence[Breakpoint]) -> None:
        """Show another list; an equal one changes nothing."""
        if tuple(points) != self._points:
            self._points = tuple(points)
            self._show()

    @property
    def breakpoints(self) -> tuple[Breakpoint, ...]:
        return self._points

    def _show(self) -> None:
        row = self.list.currentRow()
        self.list.blockSignals(True)
        self.list.clear()
        for point in self._points:
            item = QListWidgetItem(breakpoint_text(point))
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(Qt.CheckState.Checked if point.on else Qt.CheckState.Unchecked)
            if point.node:
                item.setToolTip(self.tr("Enter or double click: select {0}").format(point.node))
            self.list.addItem(item)
        self.list.setCurrentRow(min(row, self.list.count() - 1))
        self.list.blockSignals(False)
        self.list.setVisible(bool(self._points))
        self.empty.setVisible(not self._points)
        self._enable()

    def _enable(self) -> None:
        self.remove.setEnabled(self.list.currentRow() >= 0)
        self.clear.setEnabled(bool(self._points))

    # ---- adding ----------------------------------------------------------------------------

    def _kind_name(self, kind: Kind) -> str:
        return {
            "node": self.tr("Layer"),
            "phase": self.tr("Phase"),
            "gradient below": self.tr("‖gradient‖ below"),
            "gradient above": self.tr("‖gradient‖ above"),
            "not finite": self.tr("NaN or infinity"),
            "zeros above": self.tr("Share of zeros above"),
        }[kind]

    def _choose_kind(self) -> None:
        kind: Kind = self.kind.currentData()
        chosen = self.where.currentText()
        self.where.clear()
        if kind != "node":
            self.where.addItem(self.tr("anywhere"), "")
        for node in self._nodes:
            self.where.addItem(node, node)
        self.where.setCurrentIndex(max(0, self.where.findText(chosen)))
        before = self.phase.currentData()
        self.phase.clear()
        if kind == "node":
            self.phase.addItem(self.tr("every phase"), "")
        for phase in PHASES:
            self.phase.addItem(phase_name(phase)[0], phase)
        self.phase.setCurrentIndex(max(0, self.phase.findData(before)))
        self.where.setVisible(kind != "phase")
        self.phase.setVisible(kind in ("node", "phase"))
        self.limit.setVisible(kind in START)
        self.limit.setText(START.get(kind, ""))
        self._mark_limit(True)
        self.unit.setVisible(kind in START)
        self.unit.setText("%" if kind == "zeros above" else "")
        self.add.setEnabled(kind != "node" or bool(self._nodes))

    def _limit(self) -> float | None:
        """The limit as it stands in the box; None where that is no number in the range."""
        try:
            number = float(self.limit.text().strip().replace(",", ".").replace("−", "-"))
        except ValueError:
            return None
        shares = self.kind.currentData() == "zeros above"
        if not math.isfinite(number) or number < 0 or (shares and number > 100):
            return None
        return number / 100 if shares else number

    def _mark_limit(self, sound: bool) -> None:
        self.limit.setProperty("invalid", not sound)
        self.limit.style().unpolish(self.limit)
        self.limit.style().polish(self.limit)
        self.limit.setToolTip(
            "" if sound else self.tr("Expected a number from 0, such as 1e-6; a share up to 100.")
        )

    def _add(self) -> None:
        kind: Kind = self.kind.currentData()
        limit = 0.0
        if kind in START:
            found = self._limit()
            self._mark_limit(found is not None)
            if found is None:
                return
            limit = found
        node = "" if kind == "phase" else str(self.where.currentData() or "")
        phase: Phase | Literal[""] = self.phase.currentData() if kind in ("node", "phase") else ""
        point = Breakpoint(kind, node, phase, limit)
        if not any(point.same_place(other) for other in self._points):
            self.change_requested.emit((*self._points, point))

    # ---- switching and removing ------------------------------------------------------------

    def _switched(self, item: QListWidgetItem) -> None:
        row = self.list.row(item)
        on = item.checkState() == Qt.CheckState.Checked
        changed = list(self._points)
        changed[row] = replace(changed[row], on=on)
        self.change_requested.emit(tuple(changed))

    def _remove(self) -> None:
        row = self.list.currentRow()
        if row >= 0:
            self.change_requested.emit(self._points[:row] + self._points[row + 1 :])

    def _go(self, item: QListWidgetItem) -> None:
        node = self._points[self.list.row(item)].node
        if node:
            self.select_requested.emit(frozenset((node,)))
