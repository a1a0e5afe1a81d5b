"""What the program is, and whose work it shows."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import numpy as np
from PySide6.QtCore import Qt, qVersion
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
            self.tr("Free under the MIT licence. Python {0}, Qt {1}, NumPy {2}.").format(
                platform.python_version(), qVersion(), np.__version__
            ),
            digits()[0].credit,
            self.tr(
                "The shipped LeNet-5 was trained on MNIST (Y. LeCun, C. Cortes, C. Burges; "
                "CC BY-SA 3.0), which is not part of the program."
            ),
        ]
        notes = {k: v for k, v in document.metadata.items() if isinstance(v, str) and v}
        notes.pop("title", None)
        texts.append(self.tr("The open network: {0}").format(document.title))
        texts += [f"{k[:1].upper()}{k[1:]}: {v}" for k, v in notes.items()]
        column.addWidget(title)
        for text in texts:
            label = QLabel(text, self)
            label.setWordWrap(True)
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            column.addWidget(label)
        column.addStretch(1)
        self.resize(520, column.totalHeightForWidth(520))
