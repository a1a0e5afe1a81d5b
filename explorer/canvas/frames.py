"""Frames around the layers of open blocks, with their names and a way to fold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QGraphicsItem, QStyleOptionGraphicsItem, QWidget

from explorer import folding, theme
from explorer.canvas import ink
from explorer.folding import View

_M = theme.METRICS
MARGIN = float(_M.space_2)
STEP = float(_M.space_1 + 2)
"""So much further out is the frame around a frame."""
HEADING = float(_M.text_body + _M.space_2)
GLYPH = float(_M.text_body)
# Below this zoom headings would be too small to read: only the outermost blocks are named.
HEADINGS_FROM = 0.4
LANDMARKS = 24
"""So many are named at most; with more the names would cover the network."""
LEGIBLE_FROM = 0.85
LARGEST = 1.5


def growth(zoom: float) -> float:
    """By how much a heading is larger than at 100%."""
    return min(LARGEST, max(1.0, LEGIBLE_FROM / zoom))


@dataclass(frozen=True)
class Frame:
    """A piece of an open block: all of it, or what of it stands in one column.

    ``level`` counts the frames within it. ``indent`` leaves room for the headings of the frames
    around it, where these begin as well; ``width`` is that of its own, 0 for a piece after the
    first, which has none.
    """

    path: str
    rect: QRectF
    level: int
    indent: float = 0.0
    width: float = 0.0

    def heading(self, zoom: float) -> QRectF:
        """Where the name stands: larger when zoomed out, as far as there is room above the card."""
        by = growth(zoom)
        left = self.rect.left() + _M.space_2 + self.indent * by
        high = HEADING * by
        bottom = self.rect.top() + HEADING / 2
        return QRectF(left, bottom - high, self.width * by, high) if self.width else QRectF()

    def far_heading(self, zoom: float) -> QRectF:
        """Where the name stands far out: between two cards, above the first one of the block."""
        pixels = round(_M.text_small / zoom)
        wide = ink.metrics("strong", pixels).horizontalAdvance(self.name) + 2 * _M.space_1 / zoom
        first = self.rect.top() + MARGIN + STEP * min(self.level, 2)
        return QRectF(self.rect.left(), first - pixels, wide, pixels)

    def glyph(self, zoom: float) -> QRectF:
        """Where a click folds the block."""
        box = self.heading(zoom)
        return QRectF(box.left(), box.top(), box.height(), box.height())

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


def frames(view: View, names: Sequence[str], boxes: NDArray[np.float64]) -> list[Frame]:
    """A frame for each group that is shown open, the outer ones first.

    ``boxes`` has left, top, right and bottom of the cards of these names. Where another card
    stands among its own, a group is framed column by column; a piece for which even that does not
    hold has no frame, so that none seems to hold what it does not.
    """
    place = {name: i for i, name in enumerate(names)}
    members: dict[str, list[int]] = {}
    for node in view.graph.nodes:
        at = place.get(node.id)
        if at is not None and "/" in node.id:
            for path in folding.parents(node.id.removesuffix("/")):
                members.setdefault(path, []).append(at)
    members = {p: ids for p, ids in members.items() if len(ids) >= folding.FEWEST}
    if not members:
        return []
    level = dict.fromkeys(members, 0)
    for path in sorted(members, key=lambda p: -p.count("/")):
        above = path.rpartition("/")[0]
        if above in level:
            level[above] = max(level[above], level[path] + 1)
    paths = sorted(members, key=lambda p: p.count("/"))
    pieces = _pieces(boxes, [members[p] for p in paths])
    found: list[Frame] = []
    headings: list[Frame] = []
    for path, rects in zip(paths, pieces, strict=True):
        margin = MARGIN + STEP * min(level[path], 2)
        for number, (left, top, right, bottom) in enumerate(rects):
            rect = QRectF(QPointF(left, top), QPointF(right, bottom))
            rect = rect.adjusted(-margin, -margin, margin, margin)
            indent = wide = 0.0
            if number == 0:
                outer = folding.parents(path)
                for other in headings:
                    near = abs(other.rect.top() - rect.top()) < 2 * HEADING
                    if near and other.path in outer and other.rect.intersects(rect):
                        indent = max(indent, other.indent + other.width + _M.space_1)
                wide = HEADING + _advance(path.rpartition("/")[2]) + _M.space_2
            found.append(Frame(path, rect, level[path], indent, wide))
            if number == 0 and level[path]:
                headings.append(found[-1])
    return found


@lru_cache(maxsize=1024)
def _advance(name: str) -> float:
    return ink.metrics("body", _M.text_body).horizontalAdvance(name)


def _pieces(
    boxes: NDArray[np.float64], groups: Sequence[Sequence[int]]
) -> list[list[NDArray[np.float64]]]:
    """For each group rectangles around its cards that hold no other card."""
    found: list[list[NDArray[np.float64]]] = [[] for _ in groups]
    columns: list[tuple[int, list[int]]] = []
    around, alone = _around(boxes, groups)
    for i, own in enumerate(groups):
        if alone[i]:
            found[i].append(around[i])
        else:
            columns += [(i, column) for column in _columns(boxes, own)]
    if columns:
        around, alone = _around(boxes, [column for _, column in columns])
        for (i, _), rect, good in zip(columns, around, alone, strict=True):
            if good:
                found[i].append(rect)
    return found


def _columns(boxes: NDArray[np.float64], own: Sequence[int]) -> list[list[int]]:
    """A group's cards by the columns that they stand in, in the order of computation."""
    order = sorted(own, key=lambda i: boxes[i, 0])
    columns: list[list[int]] = []
    right = -np.inf
    for i in order:
        if boxes[i, 0] > right:
            columns.append([])
        columns[-1].append(i)
        right = max(right, boxes[i, 2])
    return sorted(columns, key=min)


def _around(
    boxes: NDArray[np.float64], groups: Sequence[Sequence[int]]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The rectangle around each group of cards, and whether no other card reaches into it."""
    counts = np.array([len(own) for own in groups])
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    flat = boxes[np.concatenate([np.asarray(own) for own in groups])]
    low = np.minimum.reduceat(flat[:, :2], starts)
    high = np.maximum.reduceat(flat[:, 2:], starts)
    b = boxes.T[:, None]
    hit = (b[0] < high[:, :1]) & (b[2] > low[:, :1]) & (b[1] < high[:, 1:]) & (b[3] > low[:, 1:])
    return np.hstack([low, high]), hit.sum(1) == counts


class FramesItem(QGraphicsItem):
    """All frames, behind everything else."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[Frame] = []
        self.hovered = ""
        self.headings = HeadingsItem(self)
        self._landmarks: list[Frame] = []
        self._bounds = QRectF()
        self.setZValue(-5)
        self.setFlag(QGraphicsItem.GraphicsItemFlag.ItemUsesExtendedStyleOption, True)

    def set_frames(self, found: list[Frame]) -> None:
        if found == self.frames:
            return
        self.prepareGeometryChange()
        self.headings.changed()
        self.frames = found
        outermost = [frame for frame in found if "/" not in frame.path]
        high: dict[str, float] = {}
        for frame in outermost:
            high[frame.path] = high.get(frame.path, 0.0) + frame.rect.height()
        self._landmarks = sorted(
            (frame for frame in outermost if frame.width), key=lambda f: -high[f.path]
        )[:LANDMARKS]
        self._bounds = QRectF()
        for frame in found:
            self._bounds = self._bounds.united(frame.rect).united(frame.heading(HEADINGS_FROM))
        self.update()
        self.headings.update()

    def at(self, point: QPointF, zoom: float) -> Frame | None:
        """The frame whose heading is at a scene point."""
        if zoom < HEADINGS_FROM:
            return None
        return next((f for f in reversed(self.frames) if f.heading(zoom).contains(point)), None)

    def hover(self, path: str) -> None:
        """Show which block a click would fold; "" for none."""
        if path != self.hovered:
            self.hovered = path
            self.update()
            self.headings.update()

    def boundingRect(self) -> QRectF:
        return self._bounds.adjusted(-HEADING, -HEADING, HEADING, HEADING)

    def paint(
        self,
        painter: QPainter,
        option: QStyleOptionGraphicsItem,
        widget: QWidget | None = None,
    ) -> None:
        zoom = option.levelOfDetailFromTransform(painter.worldTransform())
        tokens, now = theme.current(), theme.metrics()
        exposed: QRectF = option.exposedRect
        near = zoom >= HEADINGS_FROM
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, near)
        seen = [f for f in self.frames if exposed.intersects(f.rect)]
        if not near:  # the inner ones would only be a haze of lines
            seen = [f for f in seen if "/" not in f.path]
        painter.setBrush(tokens.colour("surface_raised", 0.45 if near else 1.0))
        if not near:
            painter.setPen(ink.pen(tokens.border, now.hairline, (), True))
            painter.drawRects([frame.rect for frame in seen])
        for frame in seen if near else ():
            lit = frame.path == self.hovered
            painter.setPen(ink.pen(tokens.accent if lit else tokens.border, now.hairline))
            painter.drawRoundedRect(frame.rect, _M.radius_large, _M.radius_large)
        # The painter's state is not saved between items: what follows draws lines, not areas.
        painter.setBrush(Qt.BrushStyle.NoBrush)

    def paint_far_names(self, painter: QPainter, zoom: float, exposed: QRectF) -> None:
        """The names of the largest outermost blocks, of one size on the screen at any zoom."""
        if zoom >= HEADINGS_FROM:
            return
        tokens = theme.current()
        pixels = round(_M.text_small / zoom)
        painter.setFont(ink.font("strong", pixels))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        for frame in self._landmarks:
            if not exposed.intersects(frame.rect):
                continue
            box = frame.far_heading(zoom)
            painter.fillRect(box, tokens.colour("background", 0.9))
            painter.setPen(QColor(tokens.text))
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, frame.name)


class HeadingsItem(QGraphicsItem):
    """The names of open blocks, above the lines that pass there and below the cards."""

    def __init__(self, frames_item: FramesItem) -> None:
        super().__init__()
        self._of = frames_item
        self.setZValue(0.5)
        self.setFlag(QGraphicsItem.GraphicsItemFlag.ItemUsesExtendedStyleOption, True)

    def boundingRect(self) -> QRectF:
        return self._of.boundingRect()

    def changed(self) -> None:
        """Before the frames are others."""
        self.prepareGeometryChange()

    def paint(
        self,
        painter: QPainter,
        option: QStyleOptionGraphicsItem,
        widget: QWidget | None = None,
    ) -> None:
        zoom = option.levelOfDetailFromTransform(painter.worldTransform())
        if zoom < HEADINGS_FROM:
            return
        tokens, now = theme.current(), theme.metrics()
        exposed: QRectF = option.exposedRect
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        painter.setFont(ink.font("body", round(_M.text_body * growth(zoom))))
        for frame in self._of.frames:
            box = frame.heading(zoom)
            if box.isNull() or not exposed.intersects(box):
                continue
            lit = frame.path == self._of.hovered
            painter.setPen(ink.pen(tokens.accent if lit else tokens.border, now.hairline))
            painter.setBrush(QColor(tokens.background))
            painter.drawRoundedRect(box, _M.radius_small, _M.radius_small)
            ink.draw_fold_glyph(painter, _inset(frame.glyph(zoom)), tokens.text_muted, False)
            painter.setPen(QColor(tokens.text_muted))
            painter.drawText(
                box.adjusted(box.height(), 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, frame.name
            )
        painter.setBrush(Qt.BrushStyle.NoBrush)


def _inset(box: QRectF) -> QRectF:
    gap = box.height() * (1 - GLYPH / HEADING) / 2
    return box.adjusted(gap, gap, -gap, -gap)
