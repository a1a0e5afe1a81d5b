"""The settings of a loss: what kind it is, what that kind can be set to, and what it counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QLabel, QWidget

from engine.graph import Loss
from engine.layers.base import HyperField, HyperparameterError
from engine.losses import LossFunction
from explorer import theme
from explorer.panels.fields import ChoiceField, Field, field_for

KIND, WEIGHT = "kind", "weight"


class LossForm(QWidget):
    """Edits one loss: a valid change is requested at once, an invalid one explained in place."""

    change_requested = Signal(object)  # Loss

    def __init__(
        self, loss: Loss, choices: Sequence[LossFunction], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._loss = loss
        self._choices = {function.title: function for function in choices}
        self._choices[loss.function.title] = loss.function  # also where it does not fit
        self.fields: dict[str, Field] = {}
        self._messages: dict[str, QLabel] = {}
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(theme.metrics().space_3)
        self._grid.setVerticalSpacing(theme.metrics().space_1)
        self._grid.setColumnStretch(1, 1)
        kind = HyperField(
            KIND,
            "str",
            "",
            None,
            None,
            "",
            self.tr("What the network's answer is measured by; those that fit its shape"),
            tuple(self._choices),
        )
        weight = HyperField(
            WEIGHT,
            "float",
            1.0,
            None,
            None,
            "",
            self.tr("How much this loss counts where there are several: its gradient times this"),
            (),
        )
        self._add(kind, loss.function.title, ChoiceField(kind))
        for field in type(loss.function).hyperparameters():
            self._add(field, getattr(loss.function, field.name), field_for(field))
        self._add(weight, loss.weight, field_for(weight))

    def _add(self, description: HyperField, value: object, field: Field) -> None:
        row = 2 * len(self.fields)
        name = description.name
        field.set_value(value)
        label = QLabel(name)
        label.setBuddy(field.boxes()[0])
        label.setFixedHeight(theme.metrics().control_height)
        for part in (label, field, *field.boxes()):
            part.setToolTip(description.help)
        for box in field.boxes():
            box.setAccessibleName(name)
            box.setAccessibleDescription(description.help)
        message = QLabel()
        message.setWordWrap(True)
        message.setProperty("role", "error")
        message.hide()
        self._grid.addWidget(label, row, 0, Qt.AlignmentFlag.AlignTop)
        self._grid.addWidget(field, row, 1)
        self._grid.addWidget(message, row + 1, 1)
        self.fields[name], self._messages[name] = field, message
        field.typed.connect(lambda: self._wanted(name))
        field.committed.connect(lambda: self._commit(name))

    def message(self, name: str) -> str:
        """What is wrong with a setting as it stands in its field; empty if nothing is."""
        return self._messages[name].text()

    def _wanted(self, name: str) -> Loss | None:
        """The loss with a field's value, or None after saying why there is none."""
        value = self.fields[name].value()
        try:
            if value is None:
                raise HyperparameterError(self.tr("Expected a number, received none. Type one."))
            if name == KIND:
                wanted = replace(self._loss, function=self._choices[value])
            elif name == WEIGHT:
                if not math.isfinite(value):
                    raise HyperparameterError(self.tr("Expected a finite number."))
                wanted = replace(self._loss, weight=value)
            else:
                function = replace(self._loss.function, **{name: value})  # type: ignore[type-var]
                wanted = replace(self._loss, function=function)
        except HyperparameterError as error:
            self._say(name, str(error))
            return None
        self._say(name, "")
        return wanted

    def _say(self, name: str, text: str) -> None:
        self._messages[name].setText(text)
        self._messages[name].setVisible(bool(text))
        self.fields[name].set_invalid(bool(text))

    def _commit(self, name: str) -> None:
        wanted = self._wanted(name)
        if wanted is not None and wanted != self._loss:
            self.change_requested.emit(wanted)
