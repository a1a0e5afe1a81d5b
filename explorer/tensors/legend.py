"""The scale of a tensor's colours, drawn with its numbers, and the choice of scale."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontMetricsF, QImage, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import (
    QButtonGroup,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QToolButton,
    QWidget,
)

from explorer import theme
from explorer.tensors.scales import LAST, Scale, format_number, lut


class ScaleLegend(QWidget):
    """A bar of the colours with low, zero and high; NaN and infinities only where they occur."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scale: Scale | None = None
        self._caption = ""
        self._special = (0, 0, 0)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        theme.theme().changed.connect(self._theme_changed)

    def set_scale(
        self, scale: Scale | None, caption: str = "", special: tuple[int, int, int] = (0, 0, 0)
    ) -> None:
        """Show a scale; ``special`` counts NaN, infinity and minus infinity of the tensor.

        ``caption`` says what the scale is of, such as "channel 3". None hides the bar.
        """
        if (scale, caption, special) == (self._scale, self._caption, self._special):
            return
        self._scale, self._caption, self._special = scale, caption, special
        self.setAccessibleName(self.tr("Colour scale"))
        if scale is not None:
            self.setAccessibleDescription(
                self.tr("{caption} from {low} to {high}").format(
                    caption=caption, low=format_number(scale.low), high=format_number(scale.high)
                )
            )
        self.updateGeometry()
        self.update()

    @property
    def scale(self) -> Scale | None:
        return self._scale

    def texts(self) -> tuple[tuple[float, str], ...]:
        """(place between 0 and 1, number) as they stand under the bar."""
        scale = self._scale
        if scale is None:
            return ()
        ends = [(0.0, format_number(scale.low)), (1.0, format_number(scale.high))]
        if scale.low == scale.high:
            return ((scale.position(scale.low), format_number(scale.low)),)
        if scale.low < 0 < scale.high:
            ends.insert(1, (scale.position(0.0), "0"))
        return tuple(ends)

    def special_texts(self) -> tuple[tuple[str, str], ...]:
        """(token of the colour, text) for each kind of value that is no number."""
        names = (("nan", "NaN"), ("infinity", "∞"), ("minus_infinity", "−∞"))
        return tuple(
            (token, f"{name} × {count}")
            for (token, name), count in zip(names, self._special, strict=True)
            if count
        )

    def sizeHint(self) -> QSize:
        m = theme.metrics()
        line = round(QFontMetricsF(theme.font("small")).height())
        rows = 1 + bool(self._caption) + bool(self.special_texts())
        return QSize(m.pad_size // 2, m.scale_bar_height + rows * line + 2 * m.space_2)

    def minimumSizeHint(self) -> QSize:
        return QSize(theme.metrics().control_height * 3, self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        scale = self._scale
        if scale is None:
            return
        tokens, m = theme.current(), theme.metrics()
        painter = QPainter(self)
        font = theme.font("small")
        painter.setFont(font)
        metrics = QFontMetricsF(font)
        line = metrics.height()
        y = 0.0
        if self._caption:
            painter.setPen(QColor(tokens.text_muted))
            text = metrics.elidedText(
                self._caption, Qt.TextElideMode.ElideRight, float(self.width())
            )
            painter.drawText(QPointF(0, metrics.ascent()), text)
            y += line
        inset = m.hairline / 2
        bar = QRectF(inset, y + inset, self.width() - m.hairline, m.scale_bar_height)
        last = LAST[scale.kind] + 1
        colours = lut(tokens, scale.kind).colours[:last].copy()
        ramp = QImage(colours.tobytes(), last, 1, last * 4, QImage.Format.Format_RGB32).copy()
        if scale.low == scale.high:
            at = round(scale.position(scale.low) * (last - 1))
            painter.fillRect(bar, QColor.fromRgb(int(colours[at])))
        else:
            painter.drawImage(bar, ramp, QRectF(0, 0, last, 1))
        painter.setPen(QPen(QColor(tokens.border_strong), m.hairline))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(bar)
        y = bar.bottom() + m.space_1
        painter.setPen(QColor(tokens.text))
        taken: list[tuple[float, float]] = []
        # The ends first: of numbers that would overlap, zero is the one to leave out.
        for place, text in sorted(self.texts(), key=lambda item: 0 < item[0] < 1):
            width = metrics.horizontalAdvance(text)
            x = min(max(0.0, bar.left() + place * bar.width() - width / 2), self.width() - width)
            if any(x < end + m.space_1 and x + width + m.space_1 > start for start, end in taken):
                continue
            taken.append((x, x + width))
            painter.drawText(QPointF(x, y + metrics.ascent()), text)
        x, y = 0.0, y + line + m.space_1
        for token, text in self.special_texts():
            side = metrics.capHeight()
            painter.fillRect(
                QRectF(x, y + metrics.ascent() - side, side, side), tokens.colour(token)
            )
            x += side + m.space_1
            painter.drawText(QPointF(x, y + metrics.ascent()), text)
            x += metrics.horizontalAdvance(text) + m.space_2
        painter.end()

    def _theme_changed(self) -> None:
        self.updateGeometry()
        self.update()


class ScaleModeChooser(QWidget):
    """One scale for all channels, one per channel, or the one that was frozen."""

    mode_requested = Signal(str)  # "shared", "per channel" or "frozen"

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._mode = "shared"
        m = theme.metrics()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(m.space_1)
        label = QLabel(self.tr("Scale"))
        label.setProperty("role", "small")
        row.addWidget(label)
        self._group = QButtonGroup(self)
        self.buttons: dict[str, QToolButton] = {}
        for mode, icon, text, tip in (
            (
                "shared",
                "scale-shared",
                self.tr("All channels"),
                self.tr("One scale for all channels: colours compare across channels"),
            ),
            (
                "per channel",
                "scale-per-channel",
                self.tr("Per channel"),
                self.tr("Each channel has its own range: faint channels become visible"),
            ),
            (
                "frozen",
                "scale-frozen",
                self.tr("Frozen"),
                self.tr("Keep the present scale: colours compare across steps"),
            ),
        ):
            button = QToolButton()
            button.setText(text)
            button.setIcon(theme.icon(icon))
            button.setToolTip(tip)
            button.setAccessibleName(text)
            button.setAccessibleDescription(tip)
            button.setCheckable(True)
            button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            button.setIconSize(QSize(m.icon_small, m.icon_small))
            button.clicked.connect(lambda _=False, mode=mode: self._clicked(mode))
            self._group.addButton(button)
            self.buttons[mode] = button
            row.addWidget(button)
        row.addStretch(1)
        self.buttons["shared"].setChecked(True)

    @property
    def mode(self) -> str:
        return self._mode

    def set_mode(self, mode: str) -> None:
        """Show which mode is in force, without asking for it; ValueError for another name."""
        if mode not in self.buttons:
            raise ValueError(f"scale mode {mode!r}: expected {', '.join(self.buttons)}")
        self._mode = mode
        self.buttons[mode].setChecked(True)

    def _clicked(self, mode: str) -> None:
        self.buttons[self._mode].setChecked(True)  # until the request is granted
        if mode != self._mode:
            self.mode_requested.emit(mode)
