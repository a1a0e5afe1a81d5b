"""One error as a card: what was expected, what came, what to do, and buttons that do it."""

from __future__ import annotations

from typing import Literal

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from engine.layers.base import Fix, ShapeError
from explorer import theme


def text_of(error: Exception) -> str:
    """The error's own message; its type where it says nothing."""
    return str(error) or type(error).__name__


class ErrorCard(QFrame):
    """Shows one error; ``heading`` names the place where that is not clear already.

    ``wide`` puts the buttons beside the heading, in sight in a low panel. With the tone of a
    warning it says what is no error; ``fixes`` are those that the error itself does not bring.
    """

    fix_requested = Signal(object)  # Fix
    clicked = Signal()

    def __init__(
        self,
        error: Exception,
        heading: str = "",
        parent: QWidget | None = None,
        *,
        wide: bool = False,
        tone: Literal["error", "warning"] = "error",
        fixes: tuple[Fix, ...] = (),
    ) -> None:
        super().__init__(parent)
        m = theme.metrics()
        self.setProperty("role", "card")
        self.setAccessibleName(heading or self.tr("Error"))
        self.setAccessibleDescription(text_of(error))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Maximum)
        box = QVBoxLayout(self)
        box.setContentsMargins(m.space_3, m.space_2, m.space_3, m.space_3)
        box.setSpacing(m.space_2)
        top = QHBoxLayout()
        top.setSpacing(m.space_2)
        sign = QLabel()
        sign.setPixmap(theme.icon(tone, tone).pixmap(m.icon_small, m.icon_small))
        title = QLabel(heading or self.tr("This layer cannot run"))
        title.setProperty("role", "error" if tone == "error" else "")
        title.setFont(theme.font("strong"))
        title.setWordWrap(True)
        top.addWidget(sign)
        top.addWidget(title, 1)
        box.addLayout(top)
        if isinstance(error, ShapeError):
            grid = QGridLayout()
            grid.setHorizontalSpacing(m.space_2)
            grid.setVerticalSpacing(m.space_1)
            grid.setColumnStretch(1, 1)
            for row, (name, text) in enumerate(
                (
                    (self.tr("Expected"), error.expected),
                    (self.tr("Received"), error.received),
                    (self.tr("Remedy"), error.remedy),
                )
            ):
                label = QLabel(name)
                label.setProperty("role", "muted")
                grid.addWidget(label, row, 0, Qt.AlignmentFlag.AlignTop)
                grid.addWidget(self._words(text), row, 1)
            box.addLayout(grid)
            fixes = (*error.fixes, *fixes)
        else:
            box.addWidget(self._words(text_of(error)))
        for i, fix in enumerate(fixes):
            button = QPushButton(fix.text)
            button.setProperty("primary", i == 0 and tone == "error")
            button.clicked.connect(lambda _=False, fix=fix: self._fix(fix))
            if wide:
                top.addWidget(button)
            else:
                box.addWidget(button, 0, Qt.AlignmentFlag.AlignLeft)

    def _words(self, text: str) -> QLabel:
        label = QLabel(text)
        label.setWordWrap(True)
        label.setTextFormat(Qt.TextFormat.PlainText)
        return label

    def _fix(self, fix: Fix) -> None:
        self.fix_requested.emit(fix)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        event.setAccepted(event.button() == Qt.MouseButton.LeftButton)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        inside = self.rect().contains(event.position().toPoint())
        if event.button() == Qt.MouseButton.LeftButton and inside:
            self.clicked.emit()
        event.setAccepted(event.button() == Qt.MouseButton.LeftButton)
