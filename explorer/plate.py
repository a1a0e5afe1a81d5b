"""A plot that can be saved: as a picture (PNG or SVG), or its numbers as a table (CSV)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QRectF, QSize
from PySide6.QtGui import QColor, QImage, QPainter
from PySide6.QtSvg import QSvgGenerator

from explorer import theme

SUFFIXES = (".png", ".svg", ".csv")
SCALE = 2.0
"""Pixels of a PNG for each unit of the plot."""


@dataclass(frozen=True)
class Plate:
    """``paint`` draws the whole plot on a ground of ``size``; ``table`` has its numbers as CSV."""

    name: str
    size: QSize
    paint: Callable[[QPainter], None]
    table: Callable[[], str]


def image(plate: Plate, scale: float = SCALE) -> QImage:
    """The plot as it looks on the screen, with ``scale`` pixels for each unit."""
    size = QSize(round(plate.size.width() * scale), round(plate.size.height() * scale))
    result = QImage(size, QImage.Format.Format_RGB32)
    result.fill(QColor(theme.current().surface))
    result.setText("Title", plate.name)
    painter = QPainter(result)
    painter.scale(scale, scale)
    plate.paint(painter)
    painter.end()
    return result


def svg(plate: Plate) -> bytes:
    """The plot as an SVG: text stays text and lines stay sharp."""
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    generator = QSvgGenerator()
    generator.setOutputDevice(buffer)
    generator.setSize(plate.size)
    generator.setViewBox(QRectF(0, 0, plate.size.width(), plate.size.height()))
    generator.setTitle(plate.name)
    painter = QPainter(generator)
    painter.fillRect(
        QRectF(0, 0, plate.size.width(), plate.size.height()), QColor(theme.current().surface)
    )
    plate.paint(painter)
    painter.end()
    return bytes(buffer.data().data())


def encoded(plate: Plate, suffix: str) -> bytes:
    """The bytes of a file with that suffix; ValueError for another than ``SUFFIXES``."""
    if suffix == ".csv":
        return plate.table().encode("utf-8")
    if suffix == ".svg":
        return svg(plate)
    if suffix != ".png":
        raise ValueError(f"{suffix!r}: expected {', '.join(SUFFIXES)}. Choose one of them.")
    holder = QByteArray()
    buffer = QBuffer(holder)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image(plate).save(buffer, "PNG")  # type: ignore[call-overload]
    return bytes(holder.data())
