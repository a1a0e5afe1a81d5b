"""What each path contributes where gradients, or values, come together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QBrush, QColor, QFontMetricsF, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from explorer import theme
from explorer.tensors.scales import format_number

Role = Literal["skip", "branch", "part"]


@dataclass(frozen=True)
class Shares:
    """Parts that are added (an Add's inputs, a fork's gradients) or joined (a Concat's).

    ``norms`` (k,) are Euclidean; ``signed_shares`` (k,) the parts' projections on the sum over
    its squared norm: they add up to 1, and a negative one works against the sum. ``cosine`` is
    that between two parts; None for a Concat, or if one is zero. ``roles`` choose the colours.
    """

    labels: tuple[str, ...]
    norms: tuple[float, ...]
    signed_shares: tuple[float, ...]
    cosine: float | None
    sum_norm: float
    roles: tuple[Role, ...] = ()
    joined: bool = False  # a Concat: the norm of the whole, not of a sum

    def __post_init__(self) -> None:
        k = len(self.labels)
        for name, values in (
            ("norms", self.norms),
            ("signed_shares", self.signed_shares),
            ("roles", self.roles or self.labels),
        ):
            if len(values) != k:
                raise ValueError(f"shares: {k} labels but {len(values)} {name}; expected {k}")

    def role(self, part: int) -> Role:
        return self.roles[part] if self.roles else "part"


class SharesView(QWidget):
    """Bars of the norms, with shares, the sum and the cosine, all with their numbers."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shares: Shares | None = None
        self._unit = ""
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        self.setAccessibleName(self.tr("Shares of the paths"))
        self.set_shares(None)
        theme.theme().changed.connect(self._theme_changed)

    @property
    def shares(self) -> Shares | None:
        return self._shares

    def set_shares(self, shares: Shares | None, unit: str = "") -> None:
        """Show the parts of a sum, or the empty state. ``unit`` follows each norm."""
        self._shares, self._unit = shares, unit
        self.setAccessibleDescription(self.text())
        self.updateGeometry()
        self.update()

    def text(self) -> str:
        """The picture in words and numbers, for a screen reader and for copying."""
        shares = self._shares
        if shares is None:
            return self.tr(
                "Select an Add, a Concat or a fork to see what each of its paths contributes."
            )
        parts = [
            f"{label}: {self._norm(norm)} ({_percent(share)})"
            for label, norm, share in zip(
                shares.labels, shares.norms, shares.signed_shares, strict=True
            )
        ]
        parts.append(f"{self._total_label()}: {self._norm(shares.sum_norm)}")
        if shares.cosine is not None:
            parts.append(self._cosine_text(shares.cosine))
        return "; ".join(parts)

    def bar_rects(self) -> tuple[QRectF, ...]:
        """Where the bars are drawn: one per part, then that of the whole."""
        shares = self._shares
        if shares is None:
            return ()
        m = theme.metrics()
        line = QFontMetricsF(theme.font("body")).height()
        norms = [*shares.norms, shares.sum_norm]
        largest = max((norm for norm in norms if math.isfinite(norm)), default=0.0)
        area = self.width() - 2 * m.space_3
        rects = []
        y = float(m.space_2)
        for norm in norms:
            share = 1.0 if not math.isfinite(norm) else norm / largest if largest else 0.0
            width = max(m.hairline, area * share)
            rects.append(QRectF(m.space_3, y + line + m.space_1, width, m.bar_height))
            y += line + m.bar_height + m.space_3
        return tuple(rects)

    def sizeHint(self) -> QSize:
        m = theme.metrics()
        line = QFontMetricsF(theme.font("body")).height()
        rows = 2 if self._shares is None else len(self._shares.norms) + 1
        height = m.space_2 * 2 + rows * (line + m.bar_height + m.space_3)
        if self._shares is not None and self._shares.cosine is not None:
            height += line
        return QSize(m.pad_size, math.ceil(height))

    def minimumSizeHint(self) -> QSize:
        return QSize(theme.metrics().pad_size // 2, self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        tokens, m = theme.current(), theme.metrics()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = theme.font("body")
        painter.setFont(font)
        metrics = QFontMetricsF(font)
        shares = self._shares
        if shares is None:
            painter.setPen(QColor(tokens.text_muted))
            area = QRectF(self.rect()).adjusted(m.space_3, m.space_2, -m.space_3, -m.space_2)
            painter.drawText(
                area, int(Qt.AlignmentFlag.AlignCenter) | int(Qt.TextFlag.TextWordWrap), self.text()
            )
            return
        rects = self.bar_rects()
        right = self.width() - m.space_3
        for part, rect in enumerate(rects):
            whole = part == len(shares.norms)
            norm = shares.sum_norm if whole else shares.norms[part]
            label = self._total_label() if whole else shares.labels[part]
            number = self._norm(norm)
            if not whole:
                number += f"   {_percent(shares.signed_shares[part])}"
            base = rect.top() - m.space_1 - metrics.descent()
            width = metrics.horizontalAdvance(number)
            painter.setPen(QColor(tokens.text))
            painter.drawText(QPointF(right - width, base), number)
            room = right - width - m.space_2 - rect.left()
            if whole:
                painter.setPen(QPen(QColor(tokens.border_strong), m.hairline))
                y = rect.top() - metrics.height() - m.space_2
                painter.drawLine(QPointF(rect.left(), y), QPointF(right, y))
                painter.setPen(QColor(tokens.text))
            painter.drawText(
                QPointF(rect.left(), base),
                metrics.elidedText(label, Qt.TextElideMode.ElideMiddle, room),
            )
            against = not whole and shares.signed_shares[part] < 0
            colour = QColor(self._colour(shares, part, tokens))
            fill = QColor(colour)
            fill.setAlphaF(0.3 if against else 0.85)
            if not math.isfinite(norm):
                fill = QColor(tokens.nan if math.isnan(norm) else tokens.infinity)
            painter.setBrush(fill)
            pen = QPen(colour, m.line)
            pen.setCapStyle(Qt.PenCapStyle.FlatCap)
            if not whole and shares.role(part) == "skip":
                pen.setDashPattern(list(m.dash_skip))  # as the skip's own line on the canvas
            painter.setPen(pen)
            if norm == 0:
                pen.setDashPattern(list(m.dash_zero))
                painter.setPen(pen)
                painter.drawLine(rect.topLeft(), QPointF(right, rect.top()))
            elif not whole and shares.role(part) == "skip":
                # Striped, so that it is told from the branch without its colour.
                painter.drawRect(rect)
                painter.fillRect(rect, QColor(fill))
                stripe = tokens.colour("surface", 0.45)
                painter.fillRect(rect, QBrush(stripe, Qt.BrushStyle.FDiagPattern))
            else:
                painter.drawRect(rect)
        if shares.cosine is not None:
            painter.setPen(QColor(tokens.text_muted))
            painter.drawText(
                QPointF(m.space_3, rects[-1].bottom() + m.space_1 + metrics.ascent()),
                metrics.elidedText(
                    self._cosine_text(shares.cosine),
                    Qt.TextElideMode.ElideRight,
                    right - m.space_3,
                ),
            )
        painter.end()

    def _colour(self, shares: Shares, part: int, tokens: theme.Tokens) -> str:
        if part == len(shares.norms):
            return tokens.backward if not shares.joined else tokens.text_muted
        role = shares.role(part)
        if role == "skip":
            return tokens.skip
        if role == "branch":
            return tokens.branch
        return tokens.windows[part % len(tokens.windows)]

    def _norm(self, norm: float) -> str:
        return format_number(norm) + (f" {self._unit}" if self._unit else "")

    def _total_label(self) -> str:
        shares = self._shares
        assert shares is not None
        if shares.joined:
            return self.tr("‖joined‖")
        return "‖" + " + ".join(shares.labels) + "‖" if len(shares.labels) <= 3 else "‖sum‖"

    def _cosine_text(self, cosine: float) -> str:
        number = format_number(cosine, 2)
        if cosine > 0.1:
            meaning = self.tr("they pull the same way")
        elif cosine < -0.1:
            meaning = self.tr("they work against each other")
        else:
            meaning = self.tr("they are nearly independent")
        return self.tr("cosine {number}: {meaning}").format(number=number, meaning=meaning)

    def _theme_changed(self) -> None:
        self.updateGeometry()
        self.update()


def _percent(share: float) -> str:
    """A signed share as a percentage; what is not finite stays visible."""
    if not math.isfinite(share):
        return format_number(share)
    return f"{100 * share:+.0f}%".replace("-", "−")
