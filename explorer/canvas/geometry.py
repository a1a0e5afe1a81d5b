"""Where things lie inside a card and how an edge runs; lengths are scene units (pixels at 100%).

Cards keep their size in presentation mode: positions belong to the document, so only lines grow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QPainterPath

from explorer import theme

_M = theme.METRICS
CHANNELS = 8
TILE = float(_M.strip_height)
TILE_GAP = _M.space_1 / 2
PADDING = float(_M.space_3)
STRIP_WIDTH = CHANNELS * TILE + (CHANNELS - 1) * TILE_GAP
STRIP_GAP = float(_M.space_1)
ICON_SIDE = float(_M.icon_large)
HEADER_HEIGHT = float(_M.text_body + _M.text_small + _M.space_3)
HEADER = QRectF(PADDING, _M.space_2, STRIP_WIDTH, HEADER_HEIGHT)
VALUE_STRIP = QRectF(PADDING, HEADER.bottom() + _M.space_1, STRIP_WIDTH, TILE)
GRAD_STRIP = QRectF(PADDING, VALUE_STRIP.bottom() + STRIP_GAP, STRIP_WIDTH, TILE)
WIDTH = STRIP_WIDTH + 2 * PADDING
HEIGHT = GRAD_STRIP.bottom() + _M.space_2
CARD = QRectF(0, 0, WIDTH, HEIGHT)
BODY = VALUE_STRIP.united(GRAD_STRIP)
# A picture, the input's, is as high as both strips together; its gradient stands beside it.
PICTURE = QRectF(PADDING, BODY.top(), BODY.height(), BODY.height())
PICTURE_GRAD = PICTURE.translated(BODY.height() + _M.space_3, 0)
PORT_RADIUS = float(_M.space_1 + 1)
# A breakpoint sits on the card's left edge, beside its name, as in the margin of a listing.
STOP_POINT = QPointF(CARD.left(), HEADER.center().y())
STOP_RADIUS = float(_M.space_1 + 2)
FOLD_GLYPH = QRectF(HEADER.left(), HEADER.center().y() - ICON_SIDE / 2, ICON_SIDE, ICON_SIDE)
"""Where a folded block has its glyph; a click on it opens the block."""
STACK_STEP = float(_M.space_1 + 1)
# A folded block looks like a stack: the cards below it stand out at its right.
STACK = tuple(CARD.adjusted(CARD.width() / 2, by, by, -by) for by in (2.0 * STACK_STEP, STACK_STEP))
PORT_SPACING = WIDTH / 3.6
ROW_GAP = float(_M.space_4 * 2 + _M.space_2)
HEADROOM = float(_M.space_4)
"""So much more is between two cards where a block begins below, for its name."""
COLUMN_GAP = float(_M.space_4 * 4)
LANE_GAP = float(_M.space_3)
BEND = ROW_GAP / 2
BUTTON_HEIGHT = float(_M.control_height - _M.space_1)
# Beyond the card: ring, ports, phase tag.
OVERHANG = float(_M.space_4)
ARROW = float(_M.space_2)


def size_of(kind: str = "node") -> tuple[float, float]:
    """Width and height of a card; all kinds are alike, so that columns line up."""
    return WIDTH, HEIGHT


@lru_cache(maxsize=4096)
def input_point(slot: int, slots: int, primary: int) -> QPointF:
    """Where input ``slot`` of ``slots`` sits on the upper side of a card.

    The slot that the main path enters is in the middle, so that the path is straight; the others
    stand to its right in their order, where skip paths arrive.
    """
    if slot == primary:
        return QPointF(WIDTH / 2, 0)
    place = slot + 1 if slot < primary else slot
    others = max(1, slots - 1)
    spacing = min(PORT_SPACING, (WIDTH / 2 - _M.space_4) / others)
    return QPointF(WIDTH / 2 + place * spacing, 0)


@lru_cache(maxsize=256)
def output_point(port: int, ports: int) -> QPointF:
    """Where output ``port`` of ``ports`` sits on the lower side of a card."""
    return QPointF(WIDTH * (port + 1) / (ports + 1), HEIGHT)


@dataclass(frozen=True, eq=False)
class Route:
    """The course of an edge. ``corners`` are those of a line, or a ``curved`` one's four controls.

    Its path and points are made when they are first asked for: most edges of a large network are
    never seen so near.
    """

    start: QPointF
    end: QPointF
    corners: tuple[tuple[float, float], ...]
    curved: bool = False
    direct: bool = True
    lane: float = 0.0
    lift: float = 0.0

    @cached_property
    def path(self) -> QPainterPath:
        """As it is drawn: with rounded corners."""
        if not self.curved:
            return _rounded(self.corners, BEND)
        path = QPainterPath(self.start)
        path.cubicTo(*(QPointF(x, y) for x, y in self.corners[1:]))
        return path

    @cached_property
    def points(self) -> NDArray[np.float64]:
        """(n, 2) points along the path."""
        return np.array(self.corners) if len(self.corners) == 2 else _sampled(self.path)

    @property
    def coarse(self) -> Iterable[Sequence[float]]:
        """Points for zooms at which rounded corners cannot be seen."""
        return self.points.tolist() if self.curved else self.corners

    @cached_property
    def box(self) -> QRectF:
        """A rectangle around the path."""
        xs, ys = zip(*self.corners, strict=True)
        left, top = min(xs), min(ys)
        return QRectF(left, top, max(xs) - left, max(ys) - top)

    def stays(self, start: QPointF, end: QPointF) -> bool:
        """Whether it goes on as it is between these ends, whatever else has moved."""
        return self.direct and start == self.start and end == self.end and adjacent(start, end)

    def rects(self, margin: float) -> list[QRectF]:
        """Small rectangles that cover the path, so that a repaint touches little else."""
        found = []
        for (x0, y0), (x1, y1) in zip(self.points[:-1], self.points[1:], strict=True):
            found.append(
                QRectF(min(x0, x1), min(y0, y1), abs(x1 - x0), abs(y1 - y0)).adjusted(
                    -margin, -margin, margin, margin
                )
            )
        return found

    def distance(self, x: float, y: float) -> float:
        """Distance of a point to the path."""
        a, b = self.points[:-1], self.points[1:]
        d = b - a
        length = np.maximum((d * d).sum(1), 1e-9)
        t = np.clip(((np.array([x, y]) - a) * d).sum(1) / length, 0, 1)
        gap = a + t[:, None] * d - (x, y)
        return float(np.sqrt((gap * gap).sum(1).min()))


def _rounded(points: Sequence[tuple[float, float]], radius: float) -> QPainterPath:
    path = QPainterPath(QPointF(*points[0]))
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        incoming = math.dist(before, corner)
        outgoing = math.dist(corner, after)
        r = min(radius, incoming / 2, outgoing / 2)
        if r < 0.5:
            path.lineTo(QPointF(*corner))
            continue
        a, b = r / incoming, r / outgoing
        path.lineTo(
            corner[0] + (before[0] - corner[0]) * a, corner[1] + (before[1] - corner[1]) * a
        )
        path.quadTo(
            QPointF(*corner),
            QPointF(corner[0] + (after[0] - corner[0]) * b, corner[1] + (after[1] - corner[1]) * b),
        )
    path.lineTo(QPointF(*points[-1]))
    return path


def _sampled(path: QPainterPath) -> NDArray[np.float64]:
    polygon = path.toSubpathPolygons()[0]
    points = np.array([[p.x(), p.y()] for p in polygon.toList()], np.float64)
    return points if len(points) > 1 else np.vstack([points, points])


def adjacent(start: QPointF, end: QPointF) -> bool:
    """Whether an input is right below an output, so that no card fits between."""
    gap = end.y() - start.y()
    return 0 < gap <= ROW_GAP * 1.2 + HEADROOM and abs(end.x() - start.x()) < 2


def direct_route(start: QPointF, end: QPointF) -> Route:
    """A straight line, or a smooth curve that leaves and arrives vertically."""
    x0, y0, x1, y1 = start.x(), start.y(), end.x(), end.y()
    if abs(x0 - x1) < 1 and y1 > y0:
        return Route(start, end, ((x0, y0), (x1, y1)))
    pull = max(BEND, abs(y1 - y0) / 2)
    return Route(start, end, ((x0, y0), (x0, y0 + pull), (x1, y1 - pull), (x1, y1)), True)


def lane_route(start: QPointF, end: QPointF, lane: float, lift: float = 0.0) -> Route:
    """Out to a lane at ``lane``, along it, and back: around cards, or up to the next column."""
    x0, y0, x1, y1 = start.x(), start.y(), end.x(), end.y()
    out, back = y0 + BEND + lift, y1 - BEND - lift
    corners = ((x0, y0), (x0, out), (lane, out), (lane, back), (x1, back), (x1, y1))
    return Route(start, end, corners, False, False, lane, lift)


class Obstacles:
    """The cards of a scene as arrays, to find free corridors quickly."""

    def __init__(self, rects: dict[str, QRectF]) -> None:
        self.ids = list(rects)
        self._index = {name: i for i, name in enumerate(self.ids)}
        self.boxes = np.array(
            [[r.left(), r.top(), r.right(), r.bottom()] for r in rects.values()], float
        ).reshape(-1, 4)
        self._taken: list[tuple[float, float, float]] = []

    def blocked(self, left: float, top: float, right: float, bottom: float, but: set[str]) -> bool:
        """Whether a card other than those named lies in the rectangle."""
        b = self.boxes
        hit = (b[:, 0] < right) & (b[:, 2] > left) & (b[:, 1] < bottom) & (b[:, 3] > top)
        for name in but:
            i = self._index.get(name)
            if i is not None:
                hit[i] = False
        return bool(hit.any())

    def lane(self, x: float, top: float, bottom: float, towards: int) -> float:
        """The nearest free x, going right (1) or left (−1), for a vertical run; it is taken."""
        b = self.boxes
        margin = LANE_GAP * 1.5
        rows = b[(b[:, 1] < bottom) & (b[:, 3] > top)]
        moved = True
        while moved:
            moved = False
            over = rows[(rows[:, 0] - margin < x) & (rows[:, 2] + margin > x)]
            if len(over):
                x = float(over[:, 2].max() + margin if towards > 0 else over[:, 0].min() - margin)
                x += towards * 0.01
                moved = True
                continue
            for other, high, low in self._taken:
                if abs(other - x) < LANE_GAP * 0.9 and high < bottom and low > top:
                    x = other + towards * LANE_GAP
                    moved = True
                    break
        self._taken.append((x, top, bottom))
        return x


def route(
    start: QPointF,
    end: QPointF,
    obstacles: Obstacles,
    source: str,
    reader: str,
    lift: float = 0.0,
    known: Route | None = None,
) -> Route:
    """The course from an output to an input: direct where nothing is in the way.

    ``known`` is the course so far, which is given back where it stays.
    """
    if adjacent(start, end):
        return direct_route(start, end)
    left, right = min(start.x(), end.x()), max(start.x(), end.x())
    near = right - left < 1.5 * WIDTH
    if (
        near
        and end.y() - start.y() >= BEND
        and not obstacles.blocked(left - 2, start.y() + 1, right + 2, end.y() - 1, {source, reader})
    ):
        return direct_route(start, end)
    top = min(start.y(), end.y() - 2 * BEND)
    bottom = max(start.y() + 2 * BEND, end.y())
    if end.y() > start.y():
        lane = obstacles.lane(right, top + BEND * 1.5, bottom - BEND * 1.5, 1)
    else:
        towards = 1 if end.x() >= start.x() else -1
        lane = obstacles.lane(start.x(), top, bottom, towards)
    same = known is not None and (known.lane, known.lift, known.direct) == (lane, lift, False)
    if known is not None and same and (known.start, known.end) == (start, end):
        return known
    return lane_route(start, end, lane, lift)
