"""How far a piece of work is that goes on beside the window, with a way to give it up."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QWidget

from explorer import theme


class Progress(QWidget):
    """Hidden until there is something to tell."""

    cancel_requested = Signal()

    def __init__(
        self, text: str, parent: QWidget | None = None, *, cancel: str | None = None
    ) -> None:
        """``cancel`` is what its button says, where that is not "Cancel"."""
        super().__init__(parent)
        m = theme.metrics()
        self.label = QLabel(text)
        self.bar = QProgressBar()
        self.bar.setAccessibleName(text)
        self.bar.setFixedWidth(3 * m.strip_height)
        self.bar.setFixedHeight(m.space_3)
        self.bar.setTextVisible(False)
        self.cancel = QPushButton(cancel or self.tr("Cancel"))
        self.cancel.clicked.connect(self.cancel_requested)
        box = QHBoxLayout(self)
        box.setContentsMargins(m.space_2, 0, m.space_2, 0)
        box.setSpacing(m.space_2)
        for widget in (self.label, self.bar, self.cancel):
            box.addWidget(widget)
        self._text = text
        self.hide()

    def set_progress(self, done: int, count: int) -> None:
        """So many of ``count`` parts are done."""
        self.bar.setRange(0, max(1, count))
        self.bar.setValue(done)
        self.label.setText(self.tr("{0}: {1} of {2}").format(self._text, done, count))
        self.show()
