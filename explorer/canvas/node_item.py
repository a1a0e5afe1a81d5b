"""A card: one item that paints its name, ports and feature maps itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QCoreApplication, QPointF, QRectF, QSizeF, Qt
from PySide6.QtGui import QColor, QImage, QPainter
from PySide6.QtWidgets import QGraphicsItem, QStyleOptionGraphicsItem, QWidget

from engine.cell import Cell
from engine.layers.base import Fix
from explorer import theme
from explorer.canvas import geometry, ink
from explorer.canvas.facts import NodeFacts
from explorer.canvas.strips import Picture, compose, compose_picture
from explorer.tensors.scales import format_number

Mark = Literal["", "legal", "warning", "illegal", "target"]
Show = Literal["value", "grad"]
_BOUNDS = geometry.CARD.adjusted(
    -geometry.OVERHANG, -geometry.OVERHANG, geometry.OVERHANG, geometry.OVERHANG
)
# Below this zoom the second line would be too small to read and the name is drawn larger.
TWO_LINES = 0.68
THUMBNAIL = 0.25


def tr(text: str) -> str:
    return QCoreApplication.translate("Canvas", text)


class NodeItem(QGraphicsItem):
    """One input, layer or loss. It shows arrays that the scene hands it, never older ones."""

    def __init__(self, facts: NodeFacts, may_compose: Callable[[NodeItem], bool]) -> None:
        super().__init__()
        self.facts = facts
        self.selected = False
        self.phase = ""
        self.mark: Mark = ""
        self.lit_port: tuple[str, int] | None = None
        self.pressed_fix = -1
        self.focus: Cell | None = None
        self.page = 0
        self.loss: float | None = None
        self.probabilities: NDArray | None = None
        self.target: int | None = None
        self._may_compose = may_compose
        self._arrays: dict[Show, NDArray | None] = {"value": None, "grad": None}
        self._tags: dict[Show, object] = {"value": None, "grad": None}
        self._pictures: dict[Show, Picture | None] = {"value": None, "grad": None}
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
        self._arrays[show] = array() if array is not None else None
        self._pictures[show] = None
        self._notes[show] = ()
        self._changed()
        return True

    def forget_pictures(self) -> None:
        """After a change of theme or page: compose again when next painted."""
        self._pictures = {"value": None, "grad": None}
        self._changed()

    @property
    def computed(self) -> bool:
        """Whether forward has reached it."""
        return self._arrays["value"] is not None or self.loss is not None

    def notes(self) -> tuple[str, ...]:
        """What is wrong with its numbers: not finite, mostly silent, no gradient at all."""
        return self._notes["value"] + self._notes["grad"]

    def value_at(self, show: Show, index: tuple[int, ...]) -> float | None:
        """The recorded number of a cell; None where there is none."""
        array = self._arrays[show]
        return None if array is None else float(array[index])

    def has_array(self, show: Show) -> bool:
        return self._arrays[show] is not None

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
            for show, made in self._pictures.items()
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
            a is not None and self._pictures[s] is None for s, a in self._arrays.items()
        )

    @property
    def needs_picture(self) -> bool:
        """Whether an array waits for its picture."""
        return self._pending

    def picture(self, show: Show) -> Picture | None:
        """The composed picture of a strip; None where there is no array."""
        array = self._arrays[show]
        if array is None or self.facts.kind == "loss":
            return None
        made = self._pictures[show]
        if made is None:
            if self.facts.kind == "input" and array.ndim >= 2:
                made = compose_picture(
                    array, "grey" if show == "value" else "diverging", geometry.PICTURE.height()
                )
            else:
                made = compose(array, "sequential" if show == "value" else "diverging", self.page)
            self._pictures[show] = made
            self._notes[show] = _notes_on(array, show)
            self._changed()
        return made

    def strip_corner(self, show: Show) -> QPointF:
        """Top-left of a strip inside the card."""
        array = self._arrays["value"] if self._arrays["value"] is not None else (self._arrays[show])
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

    def cell_at(self, point: QPointF) -> Cell | None:
        """The cell of its tensor under a scene point, in either strip."""
        shows: tuple[Show, Show] = ("value", "grad")
        for show in shows:
            made = self.picture(show)
            if made is None:
                continue
            index = made.index_at(point - self.pos() - self.strip_corner(show))
            if index is not None:
                return Cell(self.facts.id, 0, index)
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

    # ---- painting ----------------------------------------------------------------------------

    def paint(
        self,
        painter: QPainter,
        option: QStyleOptionGraphicsItem,
        widget: QWidget | None = None,
    ) -> None:
        zoom = option.levelOfDetailFromTransform(painter.worldTransform())
        tokens = theme.current()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        self._paint_card(painter, tokens, zoom)
        if self.needs_picture and self._may_compose(self):
            self.picture("value")
            self.picture("grad")
        self._paint_header(painter, tokens, zoom)
        if self.facts.trouble is not None:
            self._paint_trouble(painter, tokens, zoom)
        elif self.facts.kind == "loss":
            self._paint_loss(painter, tokens, zoom)
        else:
            self._paint_strips(painter, tokens, zoom)
        self._paint_ports(painter, tokens)

    def _paint_card(self, painter: QPainter, tokens: theme.Tokens, zoom: float) -> None:
        m, now = theme.METRICS, theme.metrics()
        colour, width = tokens.border, now.hairline
        dash: tuple[float, ...] = ()
        if self.facts.trouble is not None:
            colour, width = tokens.error, now.line
        if self.selected:
            colour, width = tokens.accent, now.line_strong
        if self.mark in ("legal", "target"):
            colour, width = tokens.success, now.line_strong
        elif self.mark == "warning":
            colour, width = tokens.warning, now.line_strong
        elif self.mark == "illegal":
            colour, width, dash = tokens.error, now.line_strong, (2.0, 2.0)
        painter.setPen(ink.pen(colour, width, dash))
        painter.setBrush(QColor(tokens.surface))
        if self.selected:
            painter.setBrush(_mixed(tokens.surface, tokens.selection))
        painter.drawRoundedRect(geometry.CARD, m.radius_large, m.radius_large)
        if self.phase:
            ring = geometry.CARD.adjusted(-m.space_1, -m.space_1, m.space_1, m.space_1)
            phase = tokens.phase(self.phase)
            painter.setPen(ink.pen(phase, now.line_strong))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(ring, m.radius_large + m.space_1, m.radius_large + m.space_1)
            self._paint_tag(painter, tokens, phase, zoom)

    def _paint_tag(self, painter: QPainter, tokens: theme.Tokens, colour: str, zoom: float) -> None:
        m = theme.METRICS
        text = tr(self.phase)
        pixels = ink.legible(zoom, m.text_small, m.text_heading)
        wide = ink.metrics("small", pixels).horizontalAdvance(text) + 2 * m.space_2
        high = pixels + m.space_2
        rect = QRectF(m.space_4, -high / 2 - m.space_1, wide, high)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colour))
        painter.drawRoundedRect(rect, m.radius_small, m.radius_small)
        painter.setFont(ink.font("small", pixels))
        painter.setPen(QColor(tokens.background))
        painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, text)

    def _paint_header(self, painter: QPainter, tokens: theme.Tokens, zoom: float) -> None:
        m = theme.METRICS
        facts, area = self.facts, geometry.HEADER
        token = "text" if self.computed else "text_muted"
        side = geometry.ICON_SIDE
        icon = QRectF(area.left(), area.center().y() - side / 2, side, side)
        if facts.trouble is not None:
            ink.draw_glyph(painter, "error", "error", icon)
        else:
            ink.draw_glyph(painter, facts.icon, token, icon)
            if self.notes():
                corner = QRectF(0, 0, m.icon_small, m.icon_small)
                corner.moveCenter(icon.bottomRight())
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(QColor(tokens.surface))
                painter.drawEllipse(corner)
                ink.draw_glyph(painter, "warning", "warning", corner)
        text = area.adjusted(side + m.space_2, 0, 0, 0)
        painter.setPen(QColor(getattr(tokens, token)))
        if zoom < TWO_LINES:
            pixels = ink.legible(zoom, m.text_body, int(text.height() * 0.8))
            painter.setFont(ink.font("strong", pixels))
            shape_width = 0.0
            if facts.shape:
                small = max(m.text_small, pixels - m.space_1)
                shape_width = ink.metrics("small", small).horizontalAdvance(facts.shape)
                painter.setFont(ink.font("small", small))
                painter.setPen(QColor(tokens.text_muted))
                flags = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                painter.drawText(text, flags, facts.shape)
                painter.setFont(ink.font("strong", pixels))
                painter.setPen(QColor(getattr(tokens, token)))
            name = ink.elided(
                facts.id, "strong", pixels, int(text.width() - shape_width - m.space_2)
            )
            painter.drawText(text, Qt.AlignmentFlag.AlignVCenter, name)
            return
        # Text grows a little when zoomed out, as far as the header has room for it.
        big = ink.legible(zoom, m.text_body, m.text_heading + 1)
        small = ink.legible(zoom, m.text_small, m.text_body + 1)
        half = text.height() * big / (big + small)
        upper = QRectF(text.left(), text.top(), text.width(), half)
        lower = QRectF(text.left(), text.top() + half, text.width(), text.height() - half)
        right = tr("{count} params").format(count=f"{facts.parameters:,}")
        if not facts.parameters:
            right = ""
        flags = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.setFont(ink.font("small", small))
        painter.setPen(QColor(tokens.text_muted))
        taken = [0.0, 0.0]
        for i, (line, words) in enumerate(((upper, right), (lower, self._page_label()))):
            if words:
                advance = ink.metrics("small", small).horizontalAdvance(words)
                taken[i] = advance + m.space_2
                painter.drawText(line, flags, words)
        words = ink.elided(
            self._line(small, lower.width() - taken[1]),
            "small",
            small,
            int(lower.width() - taken[1]),
        )
        painter.drawText(lower, Qt.AlignmentFlag.AlignVCenter, words)
        painter.setFont(ink.font("strong", big))
        painter.setPen(QColor(getattr(tokens, token)))
        name = ink.elided(facts.id, "strong", big, int(upper.width() - taken[0]))
        painter.drawText(upper, Qt.AlignmentFlag.AlignVCenter, name)

    def subtitle(self) -> str:
        """Kind, output shape and parameter count."""
        facts = self.facts
        parts = [facts.title]
        if facts.shape:
            parts.append(facts.shape)
        if facts.parameters:
            parts.append(tr("{count} parameters").format(count=f"{facts.parameters:,}"))
        if facts.work:
            parts.append(tr("{share}% of the work").format(share=f"{facts.work * 100:.1f}"))
        if facts.shares_with:
            parts.append(tr("weights of {owner}").format(owner=facts.shares_with))
        return "  ·  ".join(parts)

    def _line(self, pixels: int, width: float) -> str:
        """Kind and shape, and its share of the work where there is room for it."""
        facts = self.facts
        line = f"{facts.title}  ·  {facts.shape}" if facts.shape else facts.title
        if facts.work >= 0.005:
            longer = f"{line}  ·  " + tr("{n}% of work").format(n=round(facts.work * 100))
            if ink.metrics("small", pixels).horizontalAdvance(longer) <= width:
                return longer
        return line

    def _page_label(self) -> str:
        if self.facts.kind != "node":
            return ""
        made = self._pictures["value"]
        return made.label if made else ""

    def _paint_empty(self, painter: QPainter, tokens: theme.Tokens, rect: QRectF) -> None:
        m = theme.METRICS
        painter.setPen(ink.pen(tokens.border, m.hairline, m.dash_zero))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(rect.adjusted(0.5, 0.5, -0.5, -0.5), m.radius_small, m.radius_small)

    def _paint_strips(self, painter: QPainter, tokens: theme.Tokens, zoom: float) -> None:
        picture_like = self.facts.kind == "input" and self.strip_corner("value") == (
            geometry.PICTURE.topLeft()
        )
        places: tuple[tuple[Show, QRectF], ...] = (
            ("value", geometry.PICTURE if picture_like else geometry.VALUE_STRIP),
            ("grad", geometry.PICTURE_GRAD if picture_like else geometry.GRAD_STRIP),
        )
        for show, rect in places:
            array = self._arrays[show]
            if array is None:
                self._paint_empty(painter, tokens, rect)
                continue
            made = self._pictures[show]
            if made is None:
                continue  # not composed yet: it comes within the next frames
            made.draw(painter, rect.topLeft(), zoom)
            if self.focus is not None:
                self._paint_focus(painter, made, rect.topLeft(), zoom)

    def _paint_focus(self, painter: QPainter, made: Picture, corner: QPointF, zoom: float) -> None:
        assert self.focus is not None
        rects = made.rects_of(self.focus.index)
        if rects is None:
            return
        halo, ring = theme.focus_pens()
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        channel, cell = (r.translated(corner) for r in rects)
        outer = channel.adjusted(-1, -1, 1, 1)
        for pen in (halo, ring):
            painter.setPen(pen)
            painter.drawRect(outer)
        # The cell itself, as soon as a ring around it would not hide the map.
        if cell.width() * zoom >= theme.METRICS.space_1 and channel != cell:
            painter.setPen(ring)
            painter.drawRect(cell)

    def _paint_trouble(self, painter: QPainter, tokens: theme.Tokens, zoom: float) -> None:
        m = theme.METRICS
        trouble = self.facts.trouble
        assert trouble is not None
        buttons = self.buttons()
        bottom = geometry.BODY.bottom() - (geometry.BUTTON_HEIGHT + m.space_1 if buttons else 0)
        area = QRectF(geometry.BODY.topLeft(), QPointF(geometry.BODY.right(), bottom))
        lines = [trouble.text]
        if trouble.expected:
            lines = [
                tr("Expected {what}").format(what=trouble.expected),
                tr("Received {what}").format(what=trouble.received),
            ]
            if not buttons:
                lines.append(trouble.remedy)
        pixels = ink.legible(zoom, m.text_small, m.text_body + 1)
        painter.setFont(ink.font("small", pixels))
        painter.setPen(QColor(tokens.error))
        flags = Qt.AlignmentFlag.AlignTop | Qt.TextFlag.TextWordWrap
        painter.save()
        painter.setClipRect(area)
        painter.drawText(area, int(flags), "\n".join(lines))
        painter.restore()
        for i, (rect, fix) in enumerate(buttons):
            painter.setPen(ink.pen(tokens.border_strong, m.hairline))
            painter.setBrush(
                QColor(tokens.pressed if i == self.pressed_fix else tokens.surface_raised)
            )
            painter.drawRoundedRect(rect, m.radius, m.radius)
            painter.setPen(QColor(tokens.text))
            painter.setFont(ink.font("body", m.text_body))
            text = ink.elided(fix.text, "body", m.text_body, int(rect.width() - m.space_2))
            painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, text)

    def _paint_loss(self, painter: QPainter, tokens: theme.Tokens, zoom: float) -> None:
        m = theme.METRICS
        small = ink.legible(zoom, m.text_small, m.text_body + 1)
        body = geometry.BODY
        if self.loss is None:
            self._paint_empty(painter, tokens, body)
            return
        left = QRectF(body.left(), body.top(), body.width() / 4, body.height())
        painter.setPen(QColor(tokens.phase_loss))
        painter.setFont(ink.font("heading", m.text_title))
        painter.drawText(left, Qt.AlignmentFlag.AlignVCenter, format_number(self.loss))
        painter.setFont(ink.font("small", small))
        painter.setPen(QColor(tokens.text_muted))
        painter.drawText(left, Qt.AlignmentFlag.AlignBottom, tr("loss"))
        p = self.probabilities
        if p is None or not p.size:
            return
        area = body.adjusted(body.width() / 4 + m.space_2, 0, 0, 0)
        # The most probable classes, when there are more than fit; the target is always there.
        most = int(area.width() // (m.icon_large - m.space_1))
        shown = list(range(p.size))
        if p.size > most:
            shown = sorted(int(i) for i in np.argsort(-p, kind="stable")[:most])
            if self.target is not None and self.target not in shown:
                shown[-1] = self.target
        pitch = area.width() / len(shown)
        foot = small + m.space_1
        high = area.height() - 2 * foot
        best = int(np.argmax(p))
        for place, k in enumerate(shown):
            slot = QRectF(area.left() + place * pitch, area.top(), pitch, area.height())
            share = float(p[k])
            full = QRectF(slot.left() + 2, slot.top() + foot, pitch - 4, high)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(tokens.surface_raised))
            painter.drawRect(full)
            tall = high * share if np.isfinite(share) else 0.0
            painter.setBrush(QColor(tokens.success if k == self.target else tokens.forward))
            painter.drawRect(QRectF(full.left(), full.bottom() - tall, full.width(), tall))
            painter.setPen(QColor(tokens.text if k in (best, self.target) else tokens.text_muted))
            label = self.facts.labels[k] if k < len(self.facts.labels) else str(k)
            under = QRectF(slot.left(), full.bottom(), pitch, foot)
            painter.drawText(
                under,
                Qt.AlignmentFlag.AlignCenter,
                ink.elided(label, "small", small, int(pitch)),
            )
            if k == best or k == self.target:
                above = QRectF(slot.left() - pitch, slot.top(), 3 * pitch, foot)
                text = f"{share * 100:.0f}%" if np.isfinite(share) else "NaN"
                painter.drawText(above, Qt.AlignmentFlag.AlignCenter, text)

    def _paint_ports(self, painter: QPainter, tokens: theme.Tokens) -> None:
        now = theme.metrics()
        radius = geometry.PORT_RADIUS
        facts = self.facts
        for slot in range(facts.all_slots):
            centre = geometry.input_point(slot, facts.all_slots, facts.primary)
            filled = slot < len(facts.slots) and facts.slots[slot] is not None
            lit = self.lit_port == ("in", slot)
            painter.setPen(ink.pen(tokens.accent if lit else tokens.border_strong, now.line))
            painter.setBrush(QColor(tokens.border_strong if filled else tokens.surface))
            if lit:
                painter.setBrush(QColor(tokens.accent))
            grown = radius + 2 if lit else radius
            painter.drawEllipse(centre, grown, grown)
            if slot >= len(facts.slots) and not lit:
                # One more input may be connected here.
                painter.drawLine(centre - QPointF(2, 0), centre + QPointF(2, 0))
                painter.drawLine(centre - QPointF(0, 2), centre + QPointF(0, 2))
        for port in range(facts.ports):
            centre = geometry.output_point(port, facts.ports)
            lit = self.lit_port == ("out", port)
            painter.setPen(ink.pen(tokens.accent if lit else tokens.border_strong, now.line))
            painter.setBrush(QColor(tokens.accent if lit else tokens.surface))
            grown = radius + 2 if lit else radius
            painter.drawEllipse(centre, grown, grown)


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


def _mixed(a: str, b: str) -> QColor:
    first, second = QColor(a), QColor(b)
    return QColor(
        (first.red() + second.red()) // 2,
        (first.green() + second.green()) // 2,
        (first.blue() + second.blue()) // 2,
    )
