"""The values written on the cells, where these are large enough to read them."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF

from explorer import theme
from explorer.tensors.geometry import Geometry
from explorer.tensors.painting import Sight
from explorer.tensors.scales import Scale, channel_scale, colourise, format_number, lut

SMALLEST_NUMBER = 7  # pixels: what is smaller cannot be read
GAP = 4  # pixels between the shortest forms; longer ones stand a digit apart
# Of a tensor with more values than this only those in sight decide how large numbers are.
MEASURED_VALUES = 1 << 17


class CellNumbers:
    """Writes numbers on cells, all of one tensor in one size."""

    def __init__(self) -> None:
        self._forms: tuple[str, ...] | None = None

    def forget(self) -> None:
        """The values are others."""
        self._forms = None

    def paint(self, sight: Sight, scale: Scale, whole: QRectF) -> None:
        """Write the values on the cells; ``whole`` is all that the widget shows of the maps.

        The size of the numbers follows all of them, so that a part is painted as the rest is.
        """
        at, painter, tokens = sight.at, sight.painter, theme.current()
        zoom = at.view.zoom
        # As large as a usual number allows, two decimals and a sign, and the longest one here.
        font = theme.font("number")
        measured = QFontMetricsF(font)
        longest = ("−0.00", *self._shortest(at, whole))
        room = max(map(measured.horizontalAdvance, longest)) / font.pixelSize()
        size = min(font.pixelSize(), int((zoom - GAP) / room))
        if size < SMALLEST_NUMBER:
            return  # all cells have their number or none: a gap would look like a meaning
        font.setPixelSize(size)
        painter.setFont(font)
        metrics = QFontMetricsF(font)
        gap = max(GAP, metrics.horizontalAdvance("0"))
        table = lut(tokens, scale.kind)
        dark, light = QColor(theme.LIGHT.text), QColor(theme.DARK.text)
        for channel in sight.channels:
            rows, columns = at.cells_in(channel, sight.visible)
            if not rows or not columns:
                continue
            part = at.maps[channel, rows.start : rows.stop, columns.start : columns.stop]
            colours = colourise(part, channel_scale(at.maps, scale, channel), table)
            # Relative luminance, roughly: which of black and white ink can be read on it.
            luminance = (
                0.2126 * ((colours >> 16) & 255) ** 2.2
                + 0.7152 * ((colours >> 8) & 255) ** 2.2
                + 0.0722 * (colours & 255) ** 2.2
            ) / 255**2.2
            for i, row in enumerate(rows):
                for j, column in enumerate(columns):
                    value = float(part[i, j])
                    texts = [format_number(value, digits) for digits in (3, 2, 1)]
                    widths = [metrics.horizontalAdvance(text) for text in texts]
                    # beside its neighbour a longer number must not read as one with it
                    fits = [w + gap <= zoom for w in widths[:-1]] + [widths[-1] < zoom]
                    text = texts[fits.index(True)] if any(fits) else ""
                    if not text:
                        continue  # the tooltip has it; a cut number would be a wrong one
                    painter.setPen(dark if luminance[i, j] > 0.18 else light)
                    painter.drawText(
                        at.on_screen(at.layout.cell_rect(channel, row, column)),
                        int(Qt.AlignmentFlag.AlignCenter),
                        text,
                    )

    def _shortest(self, at: Geometry, visible: QRectF) -> tuple[str, ...]:
        """The short forms that the numbers of this tensor need; of a large one those in sight."""
        if self._forms is not None:
            return self._forms
        whole = at.maps.size <= MEASURED_VALUES
        values = at.maps if whole else at.maps[at.visible_channels(visible)]
        values = values[np.isfinite(values) & (values != 0)].astype(np.float64)
        exponents = np.floor(np.log10(np.abs(values))).astype(np.int64)
        lowest = int(exponents.min(initial=0))
        counts = np.bincount(2 * (exponents - lowest) + (values < 0))
        found = []
        for key in counts.nonzero()[0].tolist():
            exponent, negative = key // 2 + lowest, key % 2
            sign = -1.0 if negative else 1.0
            found.append(format_number(sign * 8.0 * 10.0**exponent, 1))
            if 0 <= exponent < 4:  # 9.7 is written as 10
                found.append("−0"[1 - negative :] + "0" * (exponent + 1))
        forms = tuple(found)
        if whole:
            self._forms = forms
        return forms
