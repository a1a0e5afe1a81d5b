"""The one hint of the first minute: three things to do, nothing modal."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QAction, QResizeEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QToolButton, QWidget

from explorer import theme


class Hint(QFrame):
    """Says what to do first, as buttons of real commands; ``closed`` when the user has seen it.

    Where there is little room the buttons stand below the words, without their icons: else the
    panels beside could not be as wide as they have to be.
    """

    closed = Signal()

    def __init__(self, actions: tuple[QAction, ...], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("hint")
        m = theme.metrics()
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(m.space_3, m.space_1, m.space_1, m.space_1)
        self._grid.setSpacing(m.space_2)
        self._grid.setColumnStretch(0, 1)
        self.words = QLabel(self.tr("This network has just read the digit. Try:"), self)
        self.words.setWordWrap(True)
        self._offers = QWidget(self)
        self._row = row = QHBoxLayout(self._offers)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(m.space_2)
        self.buttons: list[QToolButton] = []
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
            self.buttons.append(button)
        row.addStretch(1)
        self._close_button = close = QToolButton(self)
        close.setIcon(theme.icon("close"))
        close.setAutoRaise(True)
        close.setToolTip(self.tr("Do not show this again"))
        close.setAccessibleName(self.tr("Close the hint"))
        close.setObjectName("hint.close")
        close.clicked.connect(self._close)
        self._narrow: bool | None = None
        self._arrange(False)

    def _arrange(self, narrow: bool) -> None:
        """All in a row, or the buttons in one of their own."""
        if narrow == self._narrow:
            return
        self._narrow = narrow
        style, grid, m = Qt.ToolButtonStyle, self._grid, theme.metrics()
        self._row.setSpacing(m.space_1 if narrow else m.space_2)
        for button in self.buttons:
            button.setToolButtonStyle(
                style.ToolButtonTextOnly if narrow else style.ToolButtonTextBesideIcon
            )
        for widget in (self.words, self._offers, self._close_button):
            grid.removeWidget(widget)
        grid.addWidget(self.words, 0, 0)
        if narrow:
            grid.addWidget(self._close_button, 0, 1)
            grid.addWidget(self._offers, 1, 0, 1, 2)
        else:
            grid.addWidget(self._offers, 0, 1)
            grid.addWidget(self._close_button, 0, 2)
        self.updateGeometry()

    def _room(self, narrow: bool) -> int:
        """How wide the buttons are, with all that stands beside them but the words."""
        m, margins = theme.metrics(), self._grid.contentsMargins()
        gap = m.space_1 if narrow else m.space_2
        room = margins.left() + margins.right() + gap * (len(self.buttons) - 1)
        icon = m.icon_small + m.space_1
        for button in self.buttons:
            beside = 0 if button.icon().isNull() else icon
            bare = button.sizeHint().width() - (0 if self._narrow else beside)
            room += bare if narrow else bare + beside
        return room if narrow else room + 2 * gap + self._close_button.sizeHint().width()

    def minimumSizeHint(self) -> QSize:
        """That of the narrow form, which it takes when it has to."""
        hint = super().minimumSizeHint()
        return QSize(min(hint.width(), self._room(narrow=True)), hint.height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        words = self.words.fontMetrics().horizontalAdvance(self.words.text())
        # the words may take two lines beside the buttons, not more
        self._arrange(self.width() < self._room(narrow=False) + words * 6 // 10)

    def _close(self) -> None:
        self.closed.emit()
        self.hide()
