"""What the program is, and whose work it shows."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QLabel, QVBoxLayout, QWidget

from engine.data.digits import digits
from explorer import theme
from explorer.document import Document


def program_version() -> str:
    """The installed version, or "development" for a checkout that was never installed."""
    try:
        return version("gradient-flow-explorer")
    except PackageNotFoundError:
        return "development"


class About(QDialog):
    """Version, the open network's own note, and the credits of the data."""

    def __init__(self, document: Document, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setModal(False)
        self.setWindowTitle(self.tr("About Gradient Flow Explorer"))
        m = theme.metrics()
        column = QVBoxLayout(self)
        column.setContentsMargins(m.space_4, m.space_4, m.space_4, m.space_4)
        column.setSpacing(m.space_3)
        title = QLabel(self.tr("Gradient Flow Explorer {0}").format(program_version()), self)
        title.setFont(theme.font("title"))
        texts = [
            self.tr("A debugger for backpropagation. Every number on screen was computed."),
            digits()[0].credit,
            self.tr(
                "The shipped LeNet-5 was trained on MNIST (Y. LeCun, C. Cortes, C. Burges; "
                "CC BY-SA 3.0), which is not part of the program."
            ),
        ]
        texts += [f"{k}: {v}" for k, v in document.metadata.items() if isinstance(v, str)]
        column.addWidget(title)
        for text in texts:
            label = QLabel(text, self)
            label.setWordWrap(True)
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            column.addWidget(label)
        self.resize(520, self.sizeHint().height())
