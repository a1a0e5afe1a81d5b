"""A run as an animated GIF: the network at each of its steps, with the sentence below."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QFontMetricsF, QImage, QPainter

from engine.atomic_file import reason, replacing
from engine.graph import Graph, Inference
from engine.layers.base import Cost
from engine.trace import Trace
from explorer import theme
from explorer.background import Background
from explorer.canvas import picture
from explorer.canvas.scene import NetworkScene
from explorer.narration import Sentence, phase_name, sentence

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_FRAMES = 300
"""A longer run is shown in every second, third … of its steps."""
WIDEST, HIGHEST = 1600, 1200
"""A picture of a large network is made smaller until it fits."""


@dataclass(frozen=True)
class Film:
    """What is recorded: a network as it is shown, and its run of ``count`` steps."""

    graph: Graph
    layout: Mapping[str, tuple[float, float]]
    inference: Inference
    costs: Mapping[str, Cost]
    folded: frozenset[str]
    trace: Trace
    count: int
    assumed: bool = False
    seconds: float = 1.0

    @property
    def positions(self) -> tuple[int, ...]:
        """The positions of the frames: before the first step, and after each that is shown."""
        stride = max(1, math.ceil(self.count / MOST_FRAMES))
        found = list(range(0, self.count + 1, stride))
        return tuple(found if found[-1] == self.count else [*found, self.count])


class Animation(QObject):
    """Draws a frame whenever the window has nothing to do, and packs it beside the window."""

    progressed = Signal(int, int)  # frames done, and all of them
    ended = Signal(object)  # the Path that was written, an Exception, or None when cancelled

    def __init__(self, film: Film, path: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._film, self._path = film, path
        self._frames: list[Image] = []
        self._cancelled = False
        self._network = NetworkScene()
        self._network.set_network(film.graph, film.layout, film.inference, film.costs, film.folded)
        area = self._network.content()
        self._scale = min(1.0, WIDEST / max(1.0, area.width()), HIGHEST / max(1.0, area.height()))
        self._packer = Background(self)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._draw)

    @property
    def busy(self) -> bool:
        """Whether something is packed or written at this moment."""
        return self._packer.busy

    def start(self) -> None:
        """Begin with the first frame."""
        self._timer.start()

    def cancel(self) -> None:
        """Draw no more, and write nothing."""
        if not self._cancelled:
            self._cancelled = True
            self._timer.stop()
            if not self._packer.busy:
                self.ended.emit(None)

    def close(self) -> None:
        """End without a word, when the window closes."""
        self._cancelled = True
        self._timer.stop()
        self._packer.close()

    def _draw(self) -> None:
        positions = self._film.positions
        made = self.frame(positions[len(self._frames)])
        made = made.convertToFormat(QImage.Format.Format_RGB888)
        size, stride = (made.width(), made.height()), made.bytesPerLine()
        data = bytes(made.constBits())

        def pack() -> Image:
            from PIL import Image

            return Image.frombytes("RGB", size, data, "raw", "RGB", stride).quantize(
                256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
            )

        self._packer.run(pack, self._packed)

    def _packed(self, result: Any) -> None:
        if self._cancelled:
            self.ended.emit(None)
            return
        if isinstance(result, Exception):
            self.ended.emit(result)
            return
        self._frames.append(result)
        count = len(self._film.positions)
        self.progressed.emit(len(self._frames), count)
        if len(self._frames) < count:
            self._timer.start()
            return
        frames, path, milliseconds = self._frames, self._path, self._film.seconds * 1000
        self._packer.run(lambda: write(frames, path, milliseconds), self.ended.emit)

    def frame(self, position: int) -> QImage:
        """The picture of a position: the network, and below it what the step did."""
        film, network = self._film, self._network
        network.set_run(film.trace, position)
        network.set_step(film.trace.steps[position - 1] if position else None)
        top = picture.image(network, self._scale)
        told = sentence(film.graph, film.trace, position, film.graph.labels, assumed=film.assumed)
        m, tokens = theme.METRICS, theme.current()
        line = QFontMetricsF(theme.font("heading")).lineSpacing()
        height = round(4 * line + 2 * m.space_3)
        whole = QImage(max(top.width(), 480), top.height() + height, QImage.Format.Format_RGB32)
        whole.fill(QColor(tokens.background))
        painter = QPainter(whole)
        painter.drawImage((whole.width() - top.width()) // 2, 0, top)
        below = QRectF(0, top.height(), whole.width(), height)
        painter.fillRect(below, QColor(tokens.surface))
        self._caption(painter, below, told, position)
        painter.end()
        return whole

    def _caption(self, painter: QPainter, area: QRectF, told: Sentence, position: int) -> None:
        m, tokens = theme.METRICS, theme.current()
        colour = tokens.phase(told.phase) if told.phase else tokens.text_muted
        bar = QRectF(area.left(), area.top(), m.space_1, area.height())
        painter.fillRect(bar, QColor(colour))
        inner = area.adjusted(m.space_4, m.space_3, -m.space_4, -m.space_3)
        plain = phase_name(told.phase)[0] if told.phase else self.tr("Ready")
        painter.setFont(theme.font("strong"))
        painter.setPen(QColor(colour))
        painter.drawText(inner, int(Qt.AlignmentFlag.AlignLeft), plain)
        painter.setPen(QColor(tokens.text_muted))
        where = self.tr("{0} of {1}").format(position, self._film.count)
        painter.drawText(inner, int(Qt.AlignmentFlag.AlignRight), where)
        painter.setFont(theme.font("heading"))
        painter.setPen(QColor(tokens.text))
        words = int(Qt.AlignmentFlag.AlignLeft) | int(Qt.TextFlag.TextWordWrap)
        line = QFontMetricsF(theme.font("strong")).lineSpacing()
        painter.drawText(inner.adjusted(0, line, 0, 0), words, told.text)


def write(frames: list[Image], path: Path, milliseconds: float) -> Path:
    """Write the frames as a GIF that begins anew after its end; raises OSError with words."""
    durations = [round(milliseconds)] * len(frames)
    durations[-1] *= 3  # the end is looked at before it begins anew
    try:
        with replacing(path) as file:
            frames[0].save(
                file,
                "GIF",
                save_all=True,
                append_images=frames[1:],
                duration=durations,
                loop=0,
            )
    except OSError as error:
        raise OSError(f"{os.path.basename(path)}: {reason(error, path)}") from error
    return path
