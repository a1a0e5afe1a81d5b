"""A part of a form that is folded away until it is asked for."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from explorer import theme


class _Elided(QLabel):
    """One line that ends with … where there is no room; the whole of it is the tooltip."""

    def __init__(self) -> None:
        super().__init__()
        self._whole = ""
        self.setProperty("role", "muted")
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def set_whole(self, text: str) -> None:
        self._whole = text
        self.setToolTip(text)
        self._fit()

    def _fit(self) -> None:
        mode = Qt.TextElideMode.ElideRight
        self.setText(self.fontMetrics().elidedText(self._whole, mode, self.width()))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()


class Fold(QWidget):
    """A heading to press, and under it a grid (``grid``) that shows or hides.

    ``set_summary`` says beside the heading what is set inside, so that a folded part hides nothing
    that counts.
    """

    toggled = Signal(bool)

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        m = theme.metrics()
        self.button = QToolButton()
        self.button.setText(title)
        self.button.setAccessibleName(title)
        self.button.setCheckable(True)
        self.button.setProperty("role", "fold")
        self.button.setAutoRaise(True)
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.button.setIconSize(QSize(m.icon_small, m.icon_small))
        self._summary = _Elided()
        head = QHBoxLayout()
        head.setContentsMargins(0, 0, 0, 0)
        head.setSpacing(m.space_2)
        head.addWidget(self.button)
        head.addWidget(self._summary, 1)
        self.body = QWidget()
        self.grid = QGridLayout(self.body)
        self.grid.setContentsMargins(0, 0, 0, m.space_2)
        self.grid.setHorizontalSpacing(m.space_3)
        self.grid.setVerticalSpacing(m.space_1)
        self.grid.setColumnStretch(1, 1)
        self.body.hide()
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(m.space_1)
        box.addLayout(head)
        box.addWidget(self.body)
        self.button.toggled.connect(self._toggle)
        self._toggle(False)

    def set_open(self, shown: bool) -> None:
        """Show or hide what is inside."""
        self.button.setChecked(shown)

    def set_summary(self, text: str) -> None:
        """What is set inside, in a few words."""
        self._summary.set_whole(text)

    def summary(self) -> str:
        """The words beside the heading, whole."""
        return self._summary.toolTip()

    def _toggle(self, shown: bool) -> None:
        self.button.setIcon(theme.icon("chevron-down" if shown else "chevron-right", "text_muted"))
        self.body.setVisible(shown)
        self.toggled.emit(shown)
