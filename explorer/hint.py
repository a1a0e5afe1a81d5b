"""The one hint of the first minute: three things to do, nothing modal."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QToolButton, QWidget

from explorer import theme


class Hint(QFrame):
    """Says what to do first, as buttons of real commands; ``closed`` when the user has seen it."""

    closed = Signal()

    def __init__(self, actions: tuple[QAction, ...], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("hint")
        m = theme.metrics()
        row = QHBoxLayout(self)
        row.setContentsMargins(m.space_3, m.space_1, m.space_1, m.space_1)
        row.setSpacing(m.space_2)
        words = QLabel(self.tr("This network has just read the digit. Try:"), self)
        words.setWordWrap(True)  # else the canvas could not be narrower, nor the panels wider
        row.addWidget(words, 1)
        for action in actions:
            button = QToolButton(self)
            if action.objectName() == "view.learn":
                button.setText(self.tr("Take a lesson"))  # the workspace's name says less
            else:
                button.setText(action.text())
            button.setIcon(action.icon())
            button.setToolTip(action.toolTip())
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            button.setProperty("role", "offer")
            button.setObjectName(f"hint.{action.objectName()}")
            button.clicked.connect(action.trigger)
            row.addWidget(button)
        close = QToolButton(self)
        close.setIcon(theme.icon("close"))
        close.setAutoRaise(True)
        close.setToolTip(self.tr("Do not show this again"))
        close.setAccessibleName(self.tr("Close the hint"))
        close.setObjectName("hint.close")
        close.clicked.connect(self._close)
        row.addWidget(close)

    def _close(self) -> None:
        self.closed.emit()
        self.hide()
