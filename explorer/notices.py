"""What is said to the user, and the bar that says it above the canvas; never a dialog."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QSizePolicy, QToolButton, QWidget

from explorer import theme

Level = Literal["info", "success", "note", "warning", "error"]
"""note: what is to be read in peace, and stays like warnings and errors."""
Say = Callable[[Level, str], None]


@dataclass(frozen=True)
class Notice:
    """A message to the user that stands beside the work, never in its way."""

    level: Level
    text: str


_ICONS = {
    "info": "info",
    "success": "check",
    "note": "info",
    "warning": "warning",
    "error": "error",
}
_SECONDS = {"info": 8, "success": 5}
"""Notes, warnings and errors stay until they are closed or replaced."""


class NoticeBar(QFrame):
    """One message with its icon and a button that closes it; hidden when there is none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("notice")
        m = theme.metrics()
        row = QHBoxLayout(self)
        row.setContentsMargins(m.space_3, m.space_1, m.space_1, m.space_1)
        row.setSpacing(m.space_2)
        self._icon = QLabel(self)
        self._label = QLabel(self)
        self._label.setWordWrap(True)
        self._label.setTextFormat(Qt.TextFormat.PlainText)
        self._label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        close = QToolButton(self)
        close.setIcon(theme.icon("close"))
        close.setAutoRaise(True)
        close.setToolTip(self.tr("Close this message"))
        close.setAccessibleName(self.tr("Close this message"))
        close.clicked.connect(self.clear)
        row.addWidget(self._icon)
        row.addWidget(self._label, 1)
        row.addWidget(close)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.clear)
        self.hide()

    def show_notice(self, level: str, text: str) -> None:
        """Show a message instead of the one before."""
        colour = {"info": "accent", "note": "accent"}.get(level, level)
        size = theme.metrics().icon_small
        self._icon.setPixmap(theme.icon(_ICONS[level], colour).pixmap(size, size))
        self._label.setText(text)
        self.setAccessibleName(text)
        self.setProperty("level", level)
        self.show()
        if level in _SECONDS:
            self._timer.start(_SECONDS[level] * 1000)
        else:
            self._timer.stop()

    def drop_note(self) -> None:
        """Hide what was to be read about a network that is no longer open."""
        if self.property("level") == "note":
            self.clear()

    @property
    def text(self) -> str:
        """The message that is shown, or an empty text."""
        return self._label.text() if not self.isHidden() else ""

    def clear(self) -> None:
        """Hide the message."""
        self._timer.stop()
        self._label.clear()
        self.hide()
