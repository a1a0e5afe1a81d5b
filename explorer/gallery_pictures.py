"""Pictures of the gallery's networks: each drawn from its graph when it is first looked at.

All of it goes on in a thread, which touches no widget: the graph is built and laid out, and its
layers and edges are painted into an image. What was drawn is kept until the theme changes.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QPainter

from engine.architectures import ARCHITECTURES, Size
from engine.graph import Graph
from explorer import theme
from explorer.background import Background
from explorer.canvas import geometry, ink
from explorer.canvas.placement import edges_of, main_path, place, ranks

MOST = 400
"""Pictures that are kept."""
KINDS = (
    ("Convolution", 1),
    ("Normalisation", 0),
    ("Pooling", 2),
    ("Combine", 3),
    ("Fully connected", 4),
)
"""Categories with a colour of their own, and which of the theme's it is; the others are grey."""
NAMES_FROM = 17
"""A card of at least so many pixels in height has its name."""
SOLID_BELOW = 9
"""A card of fewer pixels is filled, so that its colour is seen."""


@dataclass(frozen=True)
class Drawn:
    """A network of the gallery in a picture, and how large it is."""

    picture: QImage
    size: Size
    layers: int


class GalleryPictures(QObject):
    """``ready`` says that the picture of an id is there."""

    ready = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._made: dict[tuple[str, int, int], Drawn] = {}
        self._wanted: OrderedDict[tuple[str, int, int], float] = OrderedDict()
        self._builder = Background(self)
        theme.theme().changed.connect(self._forget)

    def find(self, name: str, area: QSize, ratio: float) -> Drawn | None:
        """The network of an id in a picture of ``area``, of ``ratio`` pixels each; None: later.

        What was asked for last is made first: it is what is in sight.
        """
        key = (name, round(area.width() * ratio), round(area.height() * ratio))
        made = self._made.get(key)
        if made is None:
            self._wanted[key] = ratio
            self._wanted.move_to_end(key)
            self._next()
        return made

    def close(self) -> None:
        """No thread outlives this."""
        self._wanted.clear()
        self._builder.close()

    def _forget(self) -> None:
        self._made.clear()
        self._wanted.clear()

    def _next(self) -> None:
        if self._builder.busy or not self._wanted:
            return
        key, ratio = self._wanted.popitem()
        name, width, height = key
        tokens = theme.current()

        def make() -> Drawn:
            graph = ARCHITECTURES[name].build()
            picture = drawn(graph, width, height, ratio, tokens)
            return Drawn(picture, Size.of(graph), len(graph.nodes))

        def done(made: Any) -> None:
            if isinstance(made, Drawn) and tokens is theme.current():
                if len(self._made) >= MOST:
                    del self._made[next(iter(self._made))]
                self._made[key] = made
                self.ready.emit(name)
            self._next()

        self._builder.run(make, done)


def colour_of(category: str, tokens: theme.Tokens) -> QColor:
    """The colour of a layer of that category; one that only passes numbers on has a quiet one."""
    place = dict(KINDS).get(category)
    return QColor(tokens.border_strong if place is None else tokens.windows[place])


def drawn(graph: Graph, width: int, height: int, ratio: float, tokens: theme.Tokens) -> QImage:
    """The network with all its layers in a picture of so many pixels, ``ratio`` of them to a unit.

    Cards, places and the course of edges are those of the canvas; a card has the colour of its
    category, an edge that passes layers that of a skip.
    """
    made = QImage(width, height, QImage.Format.Format_RGB32)
    made.fill(QColor(tokens.background))
    places = place(graph, aspect=width / height)
    if not places:
        return made
    cards = {name: geometry.CARD.translated(*spot) for name, spot in places.items()}
    routes = _routes(graph, cards)
    area = QRectF()
    for rect in [*cards.values(), *(route.box for route, _ in routes)]:
        area = area.united(rect)
    margin = float(geometry.ROW_GAP)
    area.adjust(-margin, -margin, margin, margin)
    scale = min(width / area.width(), height / area.height(), ratio)
    painter = QPainter(made)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.translate(width / 2, height / 2)
    painter.scale(scale, scale)
    painter.translate(-area.center())
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for route, skip in routes:
        line = max(1.0, 1.2 * ratio) if skip else max(0.8, ratio)
        painter.setPen(ink.pen(tokens.skip if skip else tokens.text_muted, line, (), True))
        painter.drawPath(route.path)
    for name, rect in cards.items():
        _paint_card(painter, graph, name, rect, scale, ratio, tokens)
    painter.end()
    made.setDevicePixelRatio(ratio)
    return made


def _paint_card(
    painter: QPainter,
    graph: Graph,
    name: str,
    rect: QRectF,
    scale: float,
    ratio: float,
    tokens: theme.Tokens,
) -> None:
    node = graph.by_id.get(name)
    colour = colour_of(node.layer.category if node is not None else "", tokens)
    pixels = rect.height() * scale / ratio
    if pixels < SOLID_BELOW:
        painter.fillRect(rect, colour)
        return
    painter.setPen(ink.pen(colour.name(), 1.2 * ratio, (), True))
    painter.setBrush(QColor(tokens.surface))
    radius = theme.METRICS.radius_large
    painter.drawRoundedRect(rect, radius, radius)
    tint = QColor(colour)
    tint.setAlphaF(0.22)
    painter.setBrush(tint)
    painter.drawRoundedRect(rect, radius, radius)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    if pixels >= NAMES_FROM:
        letters = round(min(rect.height() * 0.5, 10 * ratio / scale))
        painter.setFont(ink.font("small", letters))
        painter.setPen(QColor(tokens.text))
        shown = name.rpartition("/")[2]
        wide = round(rect.width() * 0.92)
        text = ink.elided(shown, "small", letters, wide)
        painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, text)


def _routes(graph: Graph, cards: dict[str, QRectF]) -> list[tuple[geometry.Route, bool]]:
    """The course of every edge, and whether it passes layers that lie between its ends."""
    rank, edges = ranks(graph), edges_of(graph)
    main = main_path(graph, rank, edges)
    obstacles = geometry.Obstacles(cards)
    slots: dict[str, list[str]] = {}
    for source, reader, _ in edges:
        slots.setdefault(reader, []).append(source)

    def ends(source: str, reader: str, slot: int) -> tuple[QPointF, QPointF]:
        sources = slots[reader]
        primary = next((i for i, name in enumerate(sources) if name in main), 0)
        start = cards[source].topLeft() + geometry.output_point(0, 1)
        return start, cards[reader].topLeft() + geometry.input_point(slot, len(sources), primary)

    found = []
    placed = [(*ends(*edge), edge) for edge in edges]
    for start, end, (source, reader, _) in sorted(
        placed, key=lambda entry: abs(entry[1].y() - entry[0].y())
    ):
        skip = len(slots[reader]) > 1 and rank[reader] - rank[source] > 1
        lift = geometry.LANE_GAP / 3 if skip else -geometry.LANE_GAP / 6
        found.append((geometry.route(start, end, obstacles, source, reader, lift), skip))
    return sorted(found, key=lambda entry: entry[1])
