"""The gallery as it is looked at: found, chosen, opened; each picture drawn from its graph."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QColor, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from engine.architectures import ARCHITECTURES
from engine.graph import Graph
from explorer import theme
from explorer.gallery_dialog import PICTURE, GalleryDialog, ordered
from explorer.gallery_pictures import colour_of, drawn


@pytest.fixture
def dialog(qtbot: QtBot, qapp: QApplication) -> Iterator[GalleryDialog]:
    theme.apply(qapp)
    theme.set_mode("light")
    dialog = GalleryDialog()
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
    qtbot.addWidget(dialog)
    dialog.show()
    yield dialog
    dialog.close()
    theme.set_mode("system")


def pixels(picture: QImage, colour: QColor) -> int:
    """How many pixels have exactly that colour."""
    return sum(
        picture.pixelColor(x, y) == colour
        for y in range(picture.height())
        for x in range(picture.width())
    )


def names(dialog: GalleryDialog) -> list[str]:
    model = dialog.view.model()
    return [model.index(row, 0).data() for row in range(model.rowCount())]


def test_every_network_is_there_with_year_idea_and_source(dialog: GalleryDialog) -> None:
    assert sorted(names(dialog)) == sorted(a.title for a in ARCHITECTURES.values())
    for entry in ARCHITECTURES.values():
        dialog.choose(entry.id)
        assert dialog.chosen == entry.id
        told = dialog.about.text()
        assert entry.idea in told and entry.source in told and entry.title in told
        text = dialog.view.currentIndex().data(Qt.ItemDataRole.AccessibleTextRole)
        assert str(entry.year) in text


def test_families_stand_together_and_classroom_networks_first() -> None:
    families = [a.family for a in ordered()]
    assert len(set(families)) == sum(
        a != b for a, b in zip(families, ["", *families], strict=False)
    )
    scales = [a.scale for a in ordered() if a.family == families[0]]
    assert scales == sorted(scales, key=lambda scale: scale != "classroom")


def test_it_is_searched_by_any_word(dialog: GalleryDialog, qtbot: QtBot) -> None:
    QTest.keyClicks(dialog.search, "dense 2017 huang")
    found = names(dialog)
    assert found and all("DenseNet" in name for name in found)
    dialog.scale.setCurrentIndex(dialog.scale.findData("classroom"))
    assert names(dialog) == ["DenseNet for digits"]
    QTest.keyClicks(dialog.search, " zebra")
    assert names(dialog) == [] and dialog.none.isVisible() and not dialog.open_button.isEnabled()


def test_pictures_come_and_sizes_with_them(dialog: GalleryDialog, qtbot: QtBot) -> None:
    dialog.choose("alexnet")
    qtbot.waitUntil(lambda: "parameters" in dialog.about.text(), timeout=10_000)
    assert "61 M parameters" in dialog.about.text()  # test_sizes.py has it to the last one
    made = dialog.pictures.find("alexnet", PICTURE, dialog.view.devicePixelRatioF())
    assert made is not None and made.picture.size() == PICTURE
    ground = QColor(theme.current().background)
    assert 0 < pixels(made.picture, ground) < PICTURE.width() * PICTURE.height() * 0.9
    # Another theme means other pictures.
    theme.set_mode("dark")
    assert dialog.pictures.find("alexnet", PICTURE, dialog.view.devicePixelRatioF()) is None
    qtbot.waitUntil(
        lambda: (
            dialog.pictures.find("alexnet", PICTURE, dialog.view.devicePixelRatioF()) is not None
        ),
        timeout=10_000,
    )


def test_enter_opens_what_is_chosen(dialog: GalleryDialog) -> None:
    asked: list[str] = []
    dialog.open_requested.connect(asked.append)
    QTest.keyClicks(dialog.search, "googlenet for digits")
    QTest.keyClick(dialog.search, Qt.Key.Key_Down)
    assert dialog.focusWidget() is dialog.view
    QTest.keyClick(dialog.view, Qt.Key.Key_Return)
    assert len(asked) == 1 and asked[0].startswith("googlenet-digits")
    assert not dialog.isVisible()


def test_a_picture_has_the_colours_of_its_layers(qapp: QApplication) -> None:
    theme.set_mode("light")
    tokens = theme.current()

    def counts(name: str) -> dict[str, int]:
        made = drawn(ARCHITECTURES[name].build(), 320, 180, 1.0, tokens)
        return {
            kind: pixels(made, colour_of(kind, tokens)) for kind in ("Convolution", "Combine", "")
        }

    residual, plain = counts("cifar-resnet56"), counts("cifar-plain56")
    assert residual["Convolution"] > 200 and plain["Convolution"] > 200
    assert residual["Combine"] > 50 and plain["Combine"] == 0
    empty = drawn(Graph(), 32, 18, 1.0, tokens)
    assert pixels(empty, QColor(tokens.background)) == 32 * 18
    sharp = drawn(ARCHITECTURES["lenet5"].build(), 640, 360, 2.0, tokens)
    assert sharp.deviceIndependentSize().toSize() == QSize(320, 180)
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    theme.set_mode("system")
