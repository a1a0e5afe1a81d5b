"""The state of a card: its arrays, their pictures, and where its parts are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QCoreApplication, QPointF, QRectF, QSizeF
from PySide6.QtGui import QColor, QImage, QPainter
from PySide6.QtWidgets import QGraphicsItem

from engine.cell import Cell
from engine.explain import Direction, Place
from engine.fields import Field
from engine.layers.base import Fix
from explorer import theme
from explorer.canvas import geometry, ink
from explorer.canvas.facts import NodeFacts
from explorer.canvas.strips import Picture, compose, compose_picture

Mark = Literal["", "legal", "warning", "illegal", "target"]
Show = Literal["value", "grad"]
StopMark = Literal["", "on", "off"]
"""A breakpoint of a card: none, one that stops, one that is switched off."""
_BOUNDS = geometry.CARD.adjusted(
    -geometry.OVERHANG, -geometry.ROW_GAP, geometry.OVERHANG, geometry.OVERHANG
)
THUMBNAIL = 0.25


def tr(text: str) -> str:
    return QCoreApplication.translate("Canvas", text)


class Card(QGraphicsItem):
    """One input, layer or loss. It shows arrays that the scene hands it, never older ones."""

    def __init__(self, facts: NodeFacts, may_compose: Callable[[Card], bool]) -> None:
        super().__init__()
        self.facts = facts
        self.selected = False
        self.phase = ""
        self.stop: StopMark = ""
        self.stop_hovered = False
        self.fold_hovered = False
        self.mark: Mark = ""
        self.lit_port: tuple[str, int] | None = None
        self.pressed_fix = -1
        self.focus: Cell | None = None
        self.field: Field | None = None
        self.field_changed = False
        self.page = 0
        self.loss: float | None = None
        self.probabilities: NDArray | None = None
        self.target: int | None = None
        self.may_compose = may_compose
        self.arrays: dict[Show, NDArray | None] = {"value": None, "grad": None}
        self._tags: dict[Show, object] = {"value": None, "grad": None}
        self.pictures: dict[Show, Picture | None] = {"value": None, "grad": None}
        self._notes: dict[Show, tuple[str, ...]] = {"value": (), "grad": ()}
        self._far: dict[bool, list[tuple[QRectF, QImage]] | None] = {False: None, True: None}
        self._pending = False
        self._rect = QRectF(geometry.CARD)
        self.setZValue(1)

    # ---- what it shows -----------------------------------------------------------------------

    def set_array(self, show: Show, tag: object, array: Callable[[], NDArray] | None) -> bool:
        """Give the array of one strip; ``tag`` names its version. True when that is a change."""
        if tag == self._tags[show]:
            return False
        self._tags[show] = tag
        self.arrays[show] = array() if array is not None else None
        self.pictures[show] = None
        self._notes[show] = ()
        self._changed()
        return True

    def forget_pictures(self) -> None:
        """After a change of theme or page: compose again when next painted."""
        self.pictures = {"value": None, "grad": None}
        self._changed()

    @property
    def computed(self) -> bool:
        """Whether forward has reached it."""
        return self.arrays["value"] is not None or self.loss is not None

    def notes(self) -> tuple[str, ...]:
        """What is wrong with its numbers: not finite, mostly silent, no gradient at all."""
        return self._notes["value"] + self._notes["grad"]

    def value_at(self, show: Show, index: tuple[int, ...]) -> float | None:
        """The recorded number of a cell; None where there is none."""
        array = self.arrays[show]
        return None if array is None else float(array[index])

    def has_array(self, show: Show) -> bool:
        return self.arrays[show] is not None

    def far_pictures(self, small: bool) -> list[tuple[QRectF, QImage]]:
        """What the far view draws: rectangle in the scene and image, kept until they change.

        ``small`` gives one image at a quarter of the size, in which more could not be seen anyway.
        """
        known = self._far[small]
        if known is not None:
            return known
        at = self.pos()
        found = [
            (QRectF(at + self.strip_corner(show), QSizeF(*made.size)), made.image)
            for show, made in self.pictures.items()
            if made is not None
        ]
        if small and found:
            body = geometry.BODY.translated(at)
            thumbnail = QImage((body.size() * THUMBNAIL).toSize(), QImage.Format.Format_RGB32)
            thumbnail.fill(QColor(theme.current().surface))
            painter = QPainter(thumbnail)
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.scale(THUMBNAIL, THUMBNAIL)
            painter.translate(-body.topLeft())
            for rect, image in found:
                painter.drawImage(rect, image)
            painter.end()
            found = [(body, thumbnail)]
        self._far[small] = found
        return found

    def _changed(self) -> None:
        """An array, a page or a picture is new: what depends on it is made again when needed."""
        self._far = {False: None, True: None}
        self._pending = self.facts.kind != "loss" and any(
            a is not None and self.pictures[s] is None for s, a in self.arrays.items()
        )

    @property
    def needs_picture(self) -> bool:
        """Whether an array waits for its picture."""
        return self._pending

    def picture(self, show: Show) -> Picture | None:
        """The composed picture of a strip; None where there is no array."""
        array = self.arrays[show]
        if array is None or self.facts.kind == "loss":
            return None
        made = self.pictures[show]
        if made is None:
            if self.facts.kind == "input" and array.ndim >= 2:
                made = compose_picture(
                    array, "grey" if show == "value" else "diverging", geometry.PICTURE.height()
                )
            else:
                made = compose(array, "sequential" if show == "value" else "diverging", self.page)
            self.pictures[show] = made
            self._notes[show] = _notes_on(array, show)
            self._changed()
        return made

    def strip_corner(self, show: Show) -> QPointF:
        """Top-left of a strip inside the card."""
        array = self.arrays["value"] if self.arrays["value"] is not None else (self.arrays[show])
        if self.facts.kind == "input" and (array is None or array.ndim >= 2):
            rect = geometry.PICTURE if show == "value" else geometry.PICTURE_GRAD
        else:
            rect = geometry.VALUE_STRIP if show == "value" else geometry.GRAD_STRIP
        return rect.topLeft()

    @property
    def pages(self) -> int:
        made = self.picture("value")
        return made.pages if made else 1

    def set_page(self, page: int) -> bool:
        """Turn to another page of channels; True when that is a change."""
        page = max(0, min(page, self.pages - 1))
        if page == self.page:
            return False
        self.page = page
        self.forget_pictures()
        return True

    def set_focus(self, cell: Cell | None) -> bool:
        """Ring the channel and the cell of the focus; turns to its page. True when changed."""
        if cell == self.focus:
            return False
        self.focus = cell
        made = self.picture("value") if cell is not None else None
        if made is not None and cell is not None and made.rects_of(cell.index) is None:
            page = made.page_of(cell.index)
            if page is not None:
                self.set_page(page)
        return True

    def set_field(self, field: Field | None, changed: bool) -> bool:
        """Outline what the focused cell sees here, or ``changed`` it; True when that is new."""
        if (field, changed) == (self.field, self.field_changed):
            return False
        self.field, self.field_changed = field, changed
        return True

    def field_rects(self, show: Show) -> list[QRectF]:
        """The outlines of the field on a strip, inside the card."""
        made = self.pictures[show]
        if made is None or self.field is None:
            return []
        corner = self.strip_corner(show)
        return [rect.translated(corner) for rect in made.rects_of_box(self.field.box)]

    # ---- geometry ----------------------------------------------------------------------------

    def boundingRect(self) -> QRectF:
        return _BOUNDS

    def place(self, where: QPointF) -> None:
        """Move the card; its rectangle in the scene is kept for hits and the far view."""
        self.setPos(where)
        self._rect = geometry.CARD.translated(where)
        self._far = {False: None, True: None}

    def scene_rect(self) -> QRectF:
        return self._rect

    def input_point(self, slot: int) -> QPointF:
        """Scene position of an input port."""
        return self.pos() + geometry.input_point(slot, self.facts.all_slots, self.facts.primary)

    def output_point(self, port: int) -> QPointF:
        """Scene position of an output port."""
        return self.pos() + geometry.output_point(port, max(1, self.facts.ports))

    def stop_at(self, point: QPointF) -> bool:
        """Whether a scene point is where the card's breakpoint is, or would be."""
        gap = point - self.pos() - geometry.STOP_POINT
        near = gap.x() ** 2 + gap.y() ** 2 <= (geometry.STOP_RADIUS + 2) ** 2
        return near and self.facts.kind not in ("input", "block")

    def port_at(self, point: QPointF, reach: float) -> tuple[str, int] | None:
        """("in", slot) or ("out", port) within ``reach`` of a scene point."""
        best, found = reach, None
        for port in range(self.facts.ports):
            gap = point - self.output_point(port)
            if (away := (gap.x() ** 2 + gap.y() ** 2) ** 0.5) <= best:
                best, found = away, ("out", port)
        for slot in range(self.facts.all_slots):
            gap = point - self.input_point(slot)
            if (away := (gap.x() ** 2 + gap.y() ** 2) ** 0.5) <= best:
                best, found = away, ("in", slot)
        return found

    def fold_at(self, point: QPointF) -> bool:
        """Whether a scene point is on the glyph that opens a folded block."""
        return self.facts.kind == "block" and geometry.FOLD_GLYPH.contains(point - self.pos())

    def cell_at(self, point: QPointF) -> Cell | None:
        """The cell of its tensor under a scene point, in either strip."""
        found = self.place_at(point)
        return found.source if found is not None and isinstance(found.source, Cell) else None

    def place_at(self, point: QPointF) -> Place | None:
        """The number under a scene point: of the values, or in the strip below of the gradient."""
        shows: tuple[tuple[Show, Direction], ...] = (("value", "forward"), ("grad", "gradient"))
        for show, side in shows:
            made = self.picture(show)
            if made is None:
                continue
            index = made.index_at(point - self.pos() - self.strip_corner(show))
            if index is not None:
                return Place(Cell(*self.facts.shows, index), side)
        return None

    def buttons(self) -> list[tuple[QRectF, Fix]]:
        """The fix buttons: rectangle inside the card and what each offers."""
        trouble = self.facts.trouble
        if trouble is None:
            return []
        m = theme.METRICS
        found = []
        x = geometry.BODY.left()
        for fix in trouble.fixes:
            wide = ink.metrics("body", m.text_body).horizontalAdvance(fix.text) + 2 * m.space_2
            wide = min(wide, geometry.BODY.right() - x)
            if wide < m.icon_large:
                break
            top = geometry.BODY.bottom() - geometry.BUTTON_HEIGHT
            found.append((QRectF(x, top, wide, geometry.BUTTON_HEIGHT), fix))
            x += wide + m.space_2
        return found

    def fix_at(self, point: QPointF) -> int:
        """Index of the fix button under a scene point, −1 for none."""
        for i, (rect, _) in enumerate(self.buttons()):
            if rect.contains(point - self.pos()):
                return i
        return -1


def _notes_on(array: NDArray, show: Show) -> tuple[str, ...]:
    finite = np.isfinite(array)
    what = tr("value") if show == "value" else tr("gradient")
    if not finite.all():
        wrong = int(array.size - finite.sum())
        return (tr("{n} numbers of its {what} are NaN or infinite").format(n=wrong, what=what),)
    if show == "grad":
        if array.size and not array.any():
            return (tr("its gradient is exactly zero everywhere: nothing before it can learn"),)
        return ()
    if array.ndim >= 2 and array.shape[0] > 1 and array.min() >= 0:
        silent = int((~array.reshape(array.shape[0], -1).any(axis=1)).sum())
        if silent * 2 > array.shape[0]:
            text = tr("{n} of {all} channels are zero everywhere for this picture")
            return (text.format(n=silent, all=array.shape[0]),)
    return ()
