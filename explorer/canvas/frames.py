"""Frames around the layers of open blocks, with their names and a way to fold them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
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
# Below this zoom headings would be too small to read.
HEADINGS_FROM = 0.4


@dataclass(frozen=True)
class Frame:
    """A piece of an open block: all of it, or what of it stands in one column.

    ``heading`` is empty for the pieces after the first.
    """

    path: str
    rect: QRectF
    heading: QRectF
    level: int

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def glyph(self) -> QRectF:
        """Where a click folds the block."""
        side = self.heading.height()
        return QRectF(self.heading.left(), self.heading.top(), side, side)


def frames(view: View, rects: Mapping[str, QRectF]) -> list[Frame]:
    """A frame for each group that is shown open, the outer ones first.

    Where another card stands among its own, a group is framed column by column; a piece for which
    even that does not hold has no frame, so that none seems to hold what it does not.
    """
    members: dict[str, list[str]] = {}
    for node in view.graph.nodes:
        name = node.id
        for path in folding.parents(name.removesuffix("/")):
            members.setdefault(path, []).append(name)
    members = {p: ids for p, ids in members.items() if len(ids) >= folding.FEWEST}
    if not members:
        return []
    names = list(rects)
    place = {name: i for i, name in enumerate(names)}
    boxes = np.array([[r.left(), r.top(), r.right(), r.bottom()] for r in rects.values()])
    level: dict[str, int] = {}
    for path in sorted(members, key=lambda p: -p.count("/")):
        level.setdefault(path, 0)
        for above in folding.parents(path):
            if above in members:
                level[above] = max(level.get(above, 0), level[path] + 1)
    found: list[Frame] = []
    for path in sorted(members, key=lambda p: p.count("/")):
        own = np.array([place[n] for n in members[path] if n in place], int)
        margin = MARGIN + STEP * min(level[path], 2)
        pieces = [_around(boxes[p], margin) for p in _pieces(boxes, own)]
        for number, rect in enumerate(pieces):
            heading = QRectF()
            if number == 0:
                wide = ink.metrics("body", _M.text_body).horizontalAdvance(path.split("/")[-1])
                size = HEADING + wide + _M.space_2
                left = rect.left() + _M.space_2
                for other in found:
                    near = abs(other.heading.top() - rect.top()) < 3 * HEADING
                    if near and other.rect.intersects(rect) and not other.heading.isNull():
                        left = max(left, other.heading.right() + _M.space_1)
                heading = QRectF(left, rect.top() - HEADING / 2, size, HEADING)
            found.append(Frame(path, rect, heading, level[path]))
    return found


def _pieces(boxes: np.ndarray, own: np.ndarray) -> list[np.ndarray]:
    """The cards of a group in parts whose surrounding rectangles hold no other card."""
    if not len(own):
        return []
    if _alone(boxes, own):
        return [own]
    order = own[np.argsort(boxes[own, 0], kind="stable")]
    columns: list[list[int]] = []
    right = -np.inf
    for i in order:
        if boxes[i, 0] > right:
            columns.append([])
        columns[-1].append(int(i))
        right = max(right, boxes[i, 2])
    parts = [np.array(column) for column in columns]
    # In the order of computation, so that the heading stands where the block begins.
    parts.sort(key=lambda part: int(part.min()))
    return [part for part in parts if _alone(boxes, part)]


def _alone(boxes: np.ndarray, own: np.ndarray) -> bool:
    left, top = boxes[own, :2].min(0)
    right, bottom = boxes[own, 2:].max(0)
    hit = (boxes[:, 0] < right) & (boxes[:, 2] > left) & (boxes[:, 1] < bottom)
    hit &= boxes[:, 3] > top
    hit[own] = False
    return not hit.any()


def _around(boxes: np.ndarray, margin: float) -> QRectF:
    left, top = boxes[:, :2].min(0)
    right, bottom = boxes[:, 2:].max(0)
    return QRectF(QPointF(left, top), QPointF(right, bottom)).adjusted(
        -margin, -margin, margin, margin
    )


class FramesItem(QGraphicsItem):
    """All frames, behind everything else."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[Frame] = []
        self.hovered = ""
        self._bounds = QRectF()
        self.setZValue(-5)
        self.setFlag(QGraphicsItem.GraphicsItemFlag.ItemUsesExtendedStyleOption, True)

    def set_frames(self, found: list[Frame]) -> None:
        if found == self.frames:
            return
        self.prepareGeometryChange()
        self.frames = found
        self._bounds = QRectF()
        for frame in found:
            self._bounds = self._bounds.united(frame.rect).united(frame.heading)
        self.update()

    def at(self, point: QPointF, zoom: float) -> Frame | None:
        """The frame whose heading is at a scene point."""
        if zoom < HEADINGS_FROM:
            return None
        return next((f for f in reversed(self.frames) if f.heading.contains(point)), None)

    def hover(self, path: str) -> None:
        """Show which block a click would fold; "" for none."""
        if path != self.hovered:
            self.hovered = path
            self.update()

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
        seen = [f for f in self.frames if exposed.intersects(f.rect.united(f.heading))]
        ground = tokens.colour("surface_raised", 0.45)
        for frame in seen:
            lit = frame.path == self.hovered
            pen = ink.pen(tokens.accent if lit else tokens.border, now.hairline, (), not near)
            painter.setPen(pen)
            painter.setBrush(ground)
            if near:
                painter.drawRoundedRect(frame.rect, _M.radius_large, _M.radius_large)
            else:
                painter.drawRect(frame.rect)
        if not near:
            return
        painter.setFont(ink.font("body", _M.text_body))
        for frame in seen:
            box = frame.heading
            if box.isNull():
                continue
            lit = frame.path == self.hovered
            painter.setPen(ink.pen(tokens.accent if lit else tokens.border, now.hairline))
            painter.setBrush(QColor(tokens.background))
            painter.drawRoundedRect(box, _M.radius_small, _M.radius_small)
            ink.draw_fold_glyph(painter, _inset(frame.glyph), tokens.text_muted, False)
            painter.setPen(QColor(tokens.text_muted))
            painter.drawText(
                box.adjusted(box.height(), 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, frame.name
            )


def _inset(box: QRectF) -> QRectF:
    gap = (box.height() - GLYPH) / 2
    return box.adjusted(gap, gap, -gap, -gap)
