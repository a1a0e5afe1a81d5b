"""A card as it looks: one item that paints its name, ports and feature maps itself."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen
from PySide6.QtWidgets import QStyleOptionGraphicsItem, QWidget

from explorer import theme
from explorer.canvas import geometry, ink
from explorer.canvas.card import THUMBNAIL, Card, Mark, Show, tr
from explorer.canvas.strips import Picture
from explorer.tensors.scales import format_number

__all__ = ["THUMBNAIL", "TWO_LINES", "Mark", "NodeItem", "Show"]

# Below this zoom the second line would be too small to read and the name is drawn larger.
TWO_LINES = 0.68


class NodeItem(Card):
    """One input, layer or loss. It shows arrays that the scene hands it, never older ones."""

    def paint(
        self,
        painter: QPainter,
        option: QStyleOptionGraphicsItem,
        widget: QWidget | None = None,
    ) -> None:
        zoom = option.levelOfDetailFromTransform(painter.worldTransform())
        tokens = theme.current()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        if self.facts.muted:
            painter.setOpacity(theme.MUTED_OPACITY)
        self._paint_card(painter, tokens, zoom)
        if self.needs_picture and self.may_compose(self):
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
        if self.stop or self.stop_hovered:
            self._paint_stop(painter, tokens)

    def _paint_stop(self, painter: QPainter, tokens: theme.Tokens) -> None:
        """A full dot stops, a ring is switched off, a faint ring would be set by a click."""
        faint = not self.stop
        colour = tokens.colour("error", 0.5 if faint else 1.0)
        halo = geometry.STOP_RADIUS + theme.METRICS.hairline
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(tokens.surface))
        painter.drawEllipse(geometry.STOP_POINT, halo, halo)
        painter.setPen(QPen(colour, theme.metrics().line))
        painter.setBrush(colour if self.stop == "on" else Qt.BrushStyle.NoBrush)
        painter.drawEllipse(geometry.STOP_POINT, geometry.STOP_RADIUS, geometry.STOP_RADIUS)

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
        if self.facts.kind == "block":
            painter.setBrush(QColor(tokens.surface_raised))
            painter.setPen(ink.pen(tokens.border_strong if not self.selected else colour, width))
            for below in geometry.STACK:
                painter.drawRoundedRect(below, m.radius_large, m.radius_large)
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
        # In the middle of the ring's upper line; further out it needs the gap above the card.
        pixels = ink.legible(zoom, m.text_small, int(geometry.ROW_GAP - m.space_3))
        wide = ink.metrics("small", pixels).horizontalAdvance(text) + 2 * m.space_2
        high = pixels + m.space_2
        rect = QRectF(m.space_4, min(-high / 2 - m.space_1, m.space_1 - high), wide, high)
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
        if facts.kind == "block":
            colour = tokens.accent if self.fold_hovered else getattr(tokens, token)
            ink.draw_fold_glyph(painter, geometry.FOLD_GLYPH, colour, True)
        if facts.trouble is not None and facts.kind != "block":
            ink.draw_glyph(painter, "error", "error", icon)
        else:
            if facts.kind != "block":
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
            # Where only one of them fits, the name matters more: the edge says the shape too.
            room = text.width() - ink.metrics("strong", pixels).horizontalAdvance(facts.name)
            advance = ink.metrics("small", pixels).horizontalAdvance(facts.shape)
            if facts.shape and room > advance:
                small = max(m.text_small, pixels - m.space_1)
                shape_width = ink.metrics("small", small).horizontalAdvance(facts.shape)
                painter.setFont(ink.font("small", small))
                painter.setPen(QColor(tokens.text_muted))
                flags = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                painter.drawText(text, flags, facts.shape)
                painter.setFont(ink.font("strong", pixels))
                painter.setPen(QColor(getattr(tokens, token)))
            name = ink.elided(
                facts.name, "strong", pixels, int(text.width() - shape_width - m.space_2)
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
        name = ink.elided(facts.name, "strong", big, int(upper.width() - taken[0]))
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
        if self.facts.kind not in ("node", "block"):
            return ""
        made = self.pictures["value"]
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
            array = self.arrays[show]
            if array is None:
                self._paint_empty(painter, tokens, rect)
                continue
            made = self.pictures[show]
            if made is None:
                continue  # not composed yet: it comes within the next frames
            made.draw(painter, rect.topLeft(), zoom)
            if self.field is not None:
                rects = self.field_rects(show)
                ink.draw_field(painter, rects, self.field_changed, self.field.is_whole)
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
        number = format_number(self.loss)
        pixels = m.text_title
        while pixels > m.text_small and (
            ink.metrics("heading", pixels).horizontalAdvance(number) > left.width()
        ):
            pixels -= 1
        painter.setFont(ink.font("heading", pixels))
        painter.drawText(left, Qt.AlignmentFlag.AlignVCenter, number)
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


def _mixed(a: str, b: str) -> QColor:
    first, second = QColor(a), QColor(b)
    return QColor(
        (first.red() + second.red()) // 2,
        (first.green() + second.green()) // 2,
        (first.blue() + second.blue()) // 2,
    )
