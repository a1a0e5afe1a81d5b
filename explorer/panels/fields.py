"""One editor for each kind of hyper-parameter; all speak in the layer's own values."""

from __future__ import annotations

import math
import re
from typing import Any

from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen, QValidator, QWheelEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLineEdit,
    QSizePolicy,
    QSpinBox,
    QStyle,
    QStyleOptionSpinBox,
    QVBoxLayout,
    QWidget,
)

from engine.layers.base import HyperField
from explorer import theme

WIDE = 10**8
# Texts of all editors begin where those of a combo box do.
_SPIN_MARGIN, LINE_MARGIN = 6, -2


class NumberBox(QSpinBox):
    """A spin box whose arrows stay in the range, while any number can be typed and is explained.

    The wheel belongs to the panel that scrolls, unless the box has the keyboard.
    """

    typed = Signal()

    def __init__(self, low: float | None, high: float | None, unit: str = "") -> None:
        super().__init__()
        self._low = -WIDE if low is None else int(low)
        self._high = WIDE if high is None else int(high)
        self.setRange(-WIDE, WIDE)
        self.setKeyboardTracking(False)
        self.setAccelerated(True)  # an arrow that is held gets from 10 to 120
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMinimumWidth(2 * theme.metrics().control_height)
        self.lineEdit().setTextMargins(_SPIN_MARGIN, 0, 0, 0)
        self._unit = ""
        self.set_unit(unit)
        self.valueChanged.connect(lambda _: self._show_unit())
        self.lineEdit().textEdited.connect(lambda _: self.typed.emit())

    def set_unit(self, unit: str) -> None:
        """What the number counts, a plural: "cells"; "" for nothing."""
        self._unit = unit
        self._show_unit()

    def _show_unit(self) -> None:
        unit = self._unit.removesuffix("s") if self.value() == 1 else self._unit
        suffix = f" {unit}" if unit else ""
        if suffix != self.suffix():
            self.setSuffix(suffix)

    def setValue(self, value: int) -> None:
        super().setValue(value)
        self._show_unit()  # also where signals are blocked

    def candidate(self) -> int | None:
        """What stands in the box now, also before Enter; None while it is no number."""
        text = self.cleanText().strip()
        state, _, _ = self.validate(self.lineEdit().text(), 0)
        if state != QValidator.State.Acceptable:
            return None
        return self.valueFromText(text) if text else None

    def stepBy(self, steps: int) -> None:
        self.setValue(min(self._high, max(self._low, self.value() + steps)))

    def stepEnabled(self) -> QSpinBox.StepEnabledFlag:
        enabled = QSpinBox.StepEnabledFlag.StepNone
        if self.value() < self._high:
            enabled |= QSpinBox.StepEnabledFlag.StepUpEnabled
        if self.value() > self._low:
            enabled |= QSpinBox.StepEnabledFlag.StepDownEnabled
        return enabled

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()

    def paintEvent(self, event: QPaintEvent) -> None:
        """The arrows are drawn here: a stylesheet takes the style's own away."""
        super().paintEvent(event)
        option = QStyleOptionSpinBox()
        self.initStyleOption(option)
        tokens, m = theme.current(), theme.metrics()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        enabled = self.stepEnabled()
        for part, flag, sign in (
            (
                QStyle.SubControl.SC_SpinBoxUp,
                QSpinBox.StepEnabledFlag.StepUpEnabled,
                -1,
            ),
            (
                QStyle.SubControl.SC_SpinBoxDown,
                QSpinBox.StepEnabledFlag.StepDownEnabled,
                1,
            ),
        ):
            rect = QRectF(
                self.style().subControlRect(QStyle.ComplexControl.CC_SpinBox, option, part, self)
            ).adjusted(-1, 0, -2, 0)
            rect = rect.intersected(QRectF(self.rect()).adjusted(0, 3, -3, -3))
            painter.fillRect(
                rect, QColor(tokens.surface if self.isEnabled() else tokens.background)
            )
            usable = self.isEnabled() and bool(enabled & flag)
            painter.setPen(QPen(QColor(tokens.text if usable else tokens.text_disabled), m.line))
            centre, side = rect.center(), 3.0
            painter.drawPolyline(
                [
                    centre + QPointF(-side, -sign * side / 2),
                    centre + QPointF(0, sign * side / 2),
                    centre + QPointF(side, -sign * side / 2),
                ]
            )
        painter.end()


class Field(QWidget):
    """An editor of one value: ``typed`` while it is being edited, ``committed`` when it stands."""

    typed = Signal()
    committed = Signal()

    def value(self) -> Any:
        """The value as it stands in the editor; None where it is none."""
        raise NotImplementedError

    def set_value(self, value: Any) -> None:
        """Show a value, silently."""
        raise NotImplementedError

    def boxes(self) -> tuple[QWidget, ...]:
        """The widgets that take the keyboard."""
        raise NotImplementedError

    def set_invalid(self, invalid: bool) -> None:
        """Outline the editor in the colour of errors."""
        for box in self.boxes():
            if bool(box.property("invalid")) != invalid:
                box.setProperty("invalid", invalid)
                box.style().unpolish(box)
                box.style().polish(box)

    def _fill(self) -> QHBoxLayout:
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.metrics().space_1)
        return row


class IntegerField(Field):
    """A whole number."""

    def __init__(self, field: HyperField) -> None:
        super().__init__()
        self.box = NumberBox(field.low, field.high, field.unit)
        self.box.typed.connect(self.typed)
        self.box.valueChanged.connect(lambda _: self.committed.emit())
        self._fill().addWidget(self.box)

    def value(self) -> Any:
        return self.box.candidate()

    def set_value(self, value: Any) -> None:
        self.box.blockSignals(True)
        self.box.setValue(int(value))
        self.box.blockSignals(False)

    def boxes(self) -> tuple[QWidget, ...]:
        return (self.box,)


class RealField(Field):
    """A real number as text, because 1e-05 does not fit a spin box."""

    def __init__(self, field: HyperField) -> None:
        super().__init__()
        self.box = QLineEdit()
        self.box.setTextMargins(LINE_MARGIN, 0, 0, 0)
        self.box.setMinimumWidth(2 * theme.metrics().control_height)
        self.box.textEdited.connect(lambda _: self.typed.emit())
        self.box.editingFinished.connect(self.committed)
        self._fill().addWidget(self.box)

    def value(self) -> Any:
        try:
            value = float(self.box.text().strip().replace("−", "-").replace(",", "."))
        except ValueError:
            return None
        return value if math.isfinite(value) else None

    def set_value(self, value: Any) -> None:
        if self.value() != value:
            self.box.setText(f"{value:g}" if float(f"{value:g}") == value else repr(value))

    def boxes(self) -> tuple[QWidget, ...]:
        return (self.box,)


class RowField(Field):
    """A row of numbers of any length, as text: 2 × 3 × 4, or 0.5  1  2."""

    def __init__(self, field: HyperField) -> None:
        super().__init__()
        real = "float" in str(field.type)
        self._number: type[int] | type[float] = float if real else int
        self._between = "  " if real else " × "
        self.box = QLineEdit()
        self.box.setTextMargins(LINE_MARGIN, 0, 0, 0)
        self.box.setMinimumWidth(2 * theme.metrics().control_height)
        self.box.setPlaceholderText(self.tr("none"))
        self.box.textEdited.connect(lambda _: self.typed.emit())
        self.box.editingFinished.connect(self.committed)
        self._fill().addWidget(self.box)

    def value(self) -> Any:
        parts = re.split(r"[\s,;×]+", self.box.text().strip().replace("−", "-"))
        try:
            values = tuple(self._number(part) for part in parts if part)
        except ValueError:
            return None
        return values if all(map(math.isfinite, values)) else None

    def set_value(self, value: Any) -> None:
        if self.value() != value or (value == () and self.box.text()):
            self.box.setText(
                self._between.join(f"{n:g}" if isinstance(n, float) else str(n) for n in value)
            )

    def boxes(self) -> tuple[QWidget, ...]:
        return (self.box,)


class TextField(Field):
    """A text that the layer brought with it: it is shown, and can be copied."""

    def __init__(self, field: HyperField) -> None:
        super().__init__()
        self.box = QLineEdit()
        self.box.setTextMargins(LINE_MARGIN, 0, 0, 0)
        self.box.setReadOnly(True)
        self.box.setMinimumWidth(2 * theme.metrics().control_height)
        self._fill().addWidget(self.box)

    def value(self) -> Any:
        return self.box.text()

    def set_value(self, value: Any) -> None:
        self.box.setText(str(value))
        self.box.setCursorPosition(0)

    def boxes(self) -> tuple[QWidget, ...]:
        return (self.box,)


class BooleanField(Field):
    """Yes or no."""

    def __init__(self, field: HyperField) -> None:
        super().__init__()
        self.box = QCheckBox(self.tr("on"))
        self.box.toggled.connect(lambda _: self.committed.emit())
        self._fill().addWidget(self.box)

    def value(self) -> Any:
        return self.box.isChecked()

    def set_value(self, value: Any) -> None:
        self.box.blockSignals(True)
        self.box.setChecked(bool(value))
        self.box.blockSignals(False)

    def boxes(self) -> tuple[QWidget, ...]:
        return (self.box,)


class _QuietCombo(QComboBox):
    """A combo box that leaves the wheel to the panel unless it has the keyboard."""

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(4)

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class ChoiceField(Field):
    """One of a few values."""

    def __init__(self, field: HyperField) -> None:
        super().__init__()
        self.box = _QuietCombo()
        self._choices = field.choices
        for choice in field.choices:
            self.box.addItem(str(choice))
        self.box.currentIndexChanged.connect(lambda _: self.committed.emit())
        self._fill().addWidget(self.box)

    def value(self) -> Any:
        index = self.box.currentIndex()
        return self._choices[index] if index >= 0 else None

    def set_value(self, value: Any) -> None:
        self.box.blockSignals(True)
        self.box.setCurrentIndex(self._choices.index(value) if value in self._choices else -1)
        self.box.blockSignals(False)

    def boxes(self) -> tuple[QWidget, ...]:
        return (self.box,)


class SizeField(Field):
    """One number, (rows, columns), or where allowed four sides: top, left, bottom, right."""

    def __init__(self, field: HyperField) -> None:
        super().__init__()
        m = theme.metrics()
        self._counts = (1, 2, 4) if "..." in str(field.type) else (1, 2)
        names = {
            1: self.tr("same"),
            2: self.tr("rows × columns"),
            4: self.tr("four sides"),
        }
        self.form = _QuietCombo()
        self.form.setToolTip(self.tr("One number for all, or one for each direction"))
        self.form.setAccessibleName(self.tr("Form of {name}").format(name=field.name))
        for count in self._counts:
            self.form.addItem(names[count], count)
        self.numbers = [NumberBox(field.low, field.high) for _ in range(self._counts[-1])]
        words = {
            2: (self.tr("rows"), self.tr("columns")),
            4: (self.tr("top"), self.tr("left"), self.tr("bottom"), self.tr("right")),
        }
        self._words, self._unit, self._name = words, field.unit, field.name
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(m.space_1)
        first, second = QHBoxLayout(), QHBoxLayout()
        for row, boxes in ((first, self.numbers[:2]), (second, self.numbers[2:])):
            row.setSpacing(m.space_1)
            for box in boxes:
                row.addWidget(box, 1)
            rows.addLayout(row)
        first.addWidget(self.form, 1)
        for box in self.numbers:
            box.typed.connect(self.typed)
            box.valueChanged.connect(lambda _: self.committed.emit())
        self.form.currentIndexChanged.connect(self._form_changed)
        self._arrange(1)

    def _count(self) -> int:
        return int(self.form.currentData())

    def _arrange(self, count: int) -> None:
        for i, box in enumerate(self.numbers):
            box.setVisible(i < count)
            word = self._words[count][i] if count > 1 and i < count else ""
            box.set_unit("" if word else self._unit)
            box.setPrefix(f"{word} " if count == 4 and word else "")
            box.setAccessibleName(f"{self._name} {word}".strip())
            box.setToolTip(word)

    def _form_changed(self) -> None:
        before = [box.value() for box in self.numbers]
        shown = sum(not box.isHidden() for box in self.numbers)
        count = self._count()
        # Going to more numbers keeps the meaning: (2) is (2, 2), (2, 3) is (2, 3, 2, 3).
        for i, box in enumerate(self.numbers):
            box.blockSignals(True)
            box.setValue(before[i % shown] if i >= shown else before[i])
            box.blockSignals(False)
        self._arrange(count)
        self.committed.emit()

    def value(self) -> Any:
        numbers = [box.candidate() for box in self.numbers[: self._count()]]
        if None in numbers:
            return None
        return numbers[0] if len(numbers) == 1 else tuple(numbers)

    def set_value(self, value: Any) -> None:
        numbers = value if isinstance(value, tuple) else (value,)
        self.form.blockSignals(True)
        self.form.setCurrentIndex(self._counts.index(len(numbers)))
        self.form.blockSignals(False)
        self._arrange(len(numbers))
        for box, number in zip(self.numbers, numbers, strict=False):
            box.blockSignals(True)
            box.setValue(int(number))
            box.blockSignals(False)

    def boxes(self) -> tuple[QWidget, ...]:
        return tuple(self.numbers)


def field_for(field: HyperField) -> Field:
    """The editor that suits a hyper-parameter's type."""
    kind = str(field.type)
    if field.choices:
        return ChoiceField(field)
    if kind in ("str", "<class 'str'>"):
        return TextField(field)
    if kind.startswith("tuple"):
        return RowField(field)
    if "tuple" in kind:
        return SizeField(field)
    if "bool" in kind:
        return BooleanField(field)
    if "float" in kind:
        return RealField(field)
    return IntegerField(field)
