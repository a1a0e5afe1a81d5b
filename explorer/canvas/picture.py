"""The whole network as a picture file: PNG at any scale, or SVG."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PySide6.QtCore import QBuffer, QByteArray, QCoreApplication, QIODevice, QRectF, QSize
from PySide6.QtGui import QColor, QImage, QPainter
from PySide6.QtSvg import QSvgGenerator

from engine.atomic_file import reason, replacing
from explorer import theme
from explorer.canvas.scene import NetworkScene

SUFFIXES = (".png", ".svg")
MOST_PIXELS = 100_000_000
"""400 MB of memory: a picture that would have more is made smaller."""


class PictureError(ValueError):
    """A picture of the network cannot be written; says why."""


def _area(network: NetworkScene) -> QRectF:
    margin = float(theme.METRICS.space_4)
    return network.content().adjusted(-margin, -margin, margin, margin)


@contextmanager
def _near(network: NetworkScene) -> Iterator[None]:
    """Cards with all their maps, however far the view is."""
    far = network.far
    network.set_far(False)
    network.begin_frame()
    for item in network.items_by_id.values():
        item.picture("value")
        item.picture("grad")
    try:
        yield
    finally:
        network.set_far(far)


def fitting_scale(network: NetworkScene, scale: float) -> float:
    """``scale`` in pixels for each unit of the scene, or the largest that memory allows."""
    area = _area(network)
    most = (MOST_PIXELS / max(1.0, area.width() * area.height())) ** 0.5
    return min(scale, most, 32_000 / max(1.0, area.width(), area.height()))


def image(network: NetworkScene, scale: float = 2.0) -> QImage:
    """The network as it looks at 100%, with ``scale`` pixels for each unit of the scene."""
    area, scale = _area(network), fitting_scale(network, scale)
    size = QSize(max(1, round(area.width() * scale)), max(1, round(area.height() * scale)))
    result = QImage(size, QImage.Format.Format_RGB32)
    result.fill(QColor(theme.current().background))
    painter = QPainter(result)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    with _near(network):
        network.render(painter, QRectF(0, 0, size.width(), size.height()), area)
    painter.end()
    return result


def svg(network: NetworkScene, title: str) -> bytes:
    """The network as an SVG: text stays text and lines stay sharp; maps are pictures in it."""
    area, buffer = _area(network), QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    generator = QSvgGenerator()
    generator.setOutputDevice(buffer)
    generator.setSize(area.size().toSize())
    generator.setViewBox(QRectF(0, 0, area.width(), area.height()))
    generator.setTitle(title)
    painter = QPainter(generator)
    page = QRectF(0, 0, area.width(), area.height())
    painter.fillRect(page, QColor(theme.current().background))
    with _near(network):
        network.render(painter, page, area)
    painter.end()
    return bytes(buffer.data().data())


def writer(
    network: NetworkScene, path: str | os.PathLike[str], title: str, scale: float
) -> Callable[[], Path]:
    """Draw PNG or SVG, as the suffix says, and return what writes it, for a thread beside.

    That leaves an old file untouched when it fails. Both raise PictureError.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise PictureError(
            QCoreApplication.translate(
                "Picture", "{0}: expected a name that ends in .png or .svg. Choose one of them."
            ).format(path.name)
        )
    if suffix == ".svg":
        drawn = svg(network, title)
        return lambda: _written(path, drawn)
    made = image(network, scale)
    made.setText("Title", title)
    return lambda: _written(path, _encoded(made, path.name))


def write_png(made: QImage, path: Path) -> Path:
    """Write a picture that is drawn already, for a thread beside; raises PictureError."""
    if path.suffix.lower() != ".png":
        raise PictureError(
            QCoreApplication.translate(
                "Picture", "{0}: expected a name that ends in .png. Choose such a name."
            ).format(path.name)
        )
    return _written(path, _encoded(made, path.name))


def write_bytes(data: bytes, path: Path) -> Path:
    """Write a file that is made already, for a thread beside; raises PictureError."""
    return _written(path, data)


def _encoded(made: QImage, name: str) -> bytes:
    holder = QByteArray()
    buffer = QBuffer(holder)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    if not made.save(buffer, "PNG"):  # type: ignore[call-overload]
        raise PictureError(
            QCoreApplication.translate(
                "Picture", "{0}: the picture could not be made. Try SVG instead."
            ).format(name)
        )
    return bytes(holder.data())


def _written(path: Path, data: bytes) -> Path:
    try:
        with replacing(path) as file:
            file.write(data)
    except OSError as error:
        raise PictureError(f"{path.name}: {reason(error, path)}") from error
    return path
