"""Pictures of the whole network as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from PySide6.QtGui import QImage

from explorer import theme
from explorer.canvas import picture
from explorer.canvas.picture import PictureError


def test_every_card_is_in_the_image_as_on_the_screen(stage: Any) -> None:
    network = stage.canvas.network
    made = picture.image(network, 2.0)
    area = network.content().adjusted(-16, -16, 16, 16)
    assert made.width() == pytest.approx(area.width() * 2, abs=1)
    background = made.pixelColor(0, 0).name()
    assert background == theme.current().background
    for item in network.items_by_id.values():
        at = (item.scene_rect().center() - area.topLeft()) * 2
        assert made.pixelColor(at.toPoint()).name() != background, item.facts.id


def test_a_picture_does_not_depend_on_the_zoom(stage: Any) -> None:
    near = picture.image(stage.canvas.network)
    stage.canvas.set_zoom(0.05)
    assert stage.canvas.network.far
    far = picture.image(stage.canvas.network)
    assert stage.canvas.network.far
    assert far == near


def test_memory_bounds_the_scale(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "MOST_PIXELS", 10_000)
    made = picture.image(stage.canvas.network, 4.0)
    assert 5_000 < made.width() * made.height() <= 11_000


def test_files(stage: Any, tmp_path: Path) -> None:
    network = stage.canvas.network
    path = picture.writer(network, tmp_path / "net.png", "LeNet", 1.0)()
    read = QImage(str(path))
    assert read.text("Title") == "LeNet"
    assert read.size() == picture.image(network, 1.0).size()
    path = picture.writer(network, tmp_path / "net.svg", "LeNet", 1.0)()
    root = ET.parse(path).getroot()
    space = {"s": "http://www.w3.org/2000/svg"}
    assert root.findtext("s:title", namespaces=space) == "LeNet"
    words = "".join(text.text or "" for text in root.iter("{http://www.w3.org/2000/svg}text"))
    assert all(name in words for name in network.graph.by_id)


def test_what_cannot_be_written_is_said(stage: Any, tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"\.png or \.svg"):
        picture.writer(stage.canvas.network, tmp_path / "net.doc", "", 1.0)
    write = picture.writer(stage.canvas.network, tmp_path / "missing" / "net.png", "", 1.0)
    with pytest.raises(PictureError, match=r"net\.png: expected the folder"):
        write()
