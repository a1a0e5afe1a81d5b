"""What the program says of itself, and of the network that is open."""

from __future__ import annotations

import itertools

from PySide6.QtWidgets import QApplication, QLabel, QWidget
from pytestqt.qtbot import QtBot

from explorer import theme
from explorer.about import About
from explorer.document import Document


def test_licence_versions_credits_and_the_open_network(qtbot: QtBot, qapp: QApplication) -> None:
    theme.apply(qapp)
    host, document = QWidget(), Document()
    qtbot.addWidget(host)
    document.metadata = {"title": "Mine", "credit": "Drawn by hand", "epochs": 3}
    about = About(document, host)
    about.show()
    labels = about.findChildren(QLabel)
    text = "\n".join(label.text() for label in labels)
    for words in ("MIT licence", "NumPy", "Alpaydin", "MNIST", "The open network: Mine"):
        assert words in text
    assert "Credit: Drawn by hand" in text and "title" not in text
    gaps = [b.y() - a.geometry().bottom() for a, b in itertools.pairwise(labels[1:])]
    assert max(gaps) - min(gaps) <= 1  # no text stands in a hole
    assert all(label.height() >= label.heightForWidth(label.width()) for label in labels[1:])
