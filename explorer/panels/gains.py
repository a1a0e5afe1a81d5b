"""What if an input of a join counted more, less, or not at all: a slider and a mute for each."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QGridLayout, QLabel, QSlider, QToolButton, QVBoxLayout, QWidget

from engine.gains import gained_inputs
from engine.graph import Graph
from explorer import theme
from explorer.narration import join_at
from explorer.panels.labels import wrapped
from explorer.tensors.scales import format_number

STEPS = 20  # of the slider for a gain of 1
HIGHEST = 2.0


class GainsBox(QWidget):
    """A row for each input of a join; asks for its gain and changes nothing itself."""

    gain_requested = Signal(str, int, float)  # node, input slot, factor

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        m = theme.metrics()
        self._node = ""
        self._names: tuple[tuple[int, str], ...] = ()
        self._before: dict[int, float] = {}
        self.sliders: dict[int, QSlider] = {}
        self.mutes: dict[int, QToolButton] = {}
        self.labels: dict[int, QLabel] = {}
        self.heading = wrapped()
        self.heading.setText(self.tr("What if"))
        self.heading.setFont(theme.font("strong"))
        self.heading.setToolTip(
            self.tr("Runs at once with these factors; the network itself stays as it is.")
        )
        self._rows = QGridLayout()
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.setHorizontalSpacing(m.space_2)
        self._rows.setVerticalSpacing(m.space_1)
        self._rows.setColumnStretch(1, 1)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(m.space_1)
        box.addWidget(self.heading)
        box.addLayout(self._rows)
        theme.theme().changed.connect(self._restyle)
        self.hide()

    def _restyle(self) -> None:
        self.heading.setFont(theme.font("strong"))
        for button in self.mutes.values():
            button.setIcon(theme.icon("eye-off"))

    def set_join(self, graph: Graph, node_id: str, gains: Mapping[tuple[str, int], float]) -> None:
        """Show the inputs of a join with their factors; hidden for anything else."""
        slots = gained_inputs(graph, node_id)
        self.setVisible(bool(slots))
        if not slots:
            return
        self.heading.setText(self.tr("What if, at {0}").format(node_id))
        names = tuple(zip(slots, join_at(graph, node_id).names, strict=True))
        if names != self._names or node_id != self._node:
            self._node, self._names = node_id, names
            self._make_rows()
        for slot in slots:
            self._show(slot, gains.get((node_id, slot), 1.0))

    def _make_rows(self) -> None:
        while self._rows.count():
            item = self._rows.takeAt(0)
            widget = item.widget() if item is not None else None
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        self.sliders, self.mutes, self.labels, self._before = {}, {}, {}, {}
        m = theme.metrics()
        for row, (slot, name) in enumerate(self._names):
            slider = QSlider(Qt.Orientation.Horizontal)
            slider.setRange(0, round(HIGHEST * STEPS))
            slider.setPageStep(STEPS // 4)
            slider.setAccessibleName(self.tr("Factor of the {0}").format(name))
            slider.setToolTip(self.tr("The {0} counts times this factor").format(name))
            mute = QToolButton()
            mute.setCheckable(True)
            mute.setIcon(theme.icon("eye-off"))
            mute.setIconSize(QSize(m.icon_small, m.icon_small))
            mute.setToolTip(self.tr("Mute the {0}").format(name))
            mute.setAccessibleName(self.tr("Mute the {0}").format(name))
            label = QLabel()
            label.setFont(theme.font("number"))
            slider.valueChanged.connect(lambda value, slot=slot: self._ask(slot, value / STEPS))
            mute.clicked.connect(lambda on, slot=slot: self._mute(slot, on))
            self._rows.addWidget(QLabel(name), row, 0)
            self._rows.addWidget(slider, row, 1)
            self._rows.addWidget(label, row, 2)
            self._rows.addWidget(mute, row, 3)
            self.sliders[slot], self.mutes[slot], self.labels[slot] = slider, mute, label

    def _show(self, slot: int, gain: float) -> None:
        slider = self.sliders[slot]
        slider.blockSignals(True)
        slider.setValue(round(gain * STEPS))
        slider.blockSignals(False)
        self.mutes[slot].setChecked(gain == 0)
        self.labels[slot].setText(f"× {format_number(gain)}")

    def _ask(self, slot: int, gain: float) -> None:
        self.gain_requested.emit(self._node, slot, gain)

    def _mute(self, slot: int, on: bool) -> None:
        if on:
            self._before[slot] = self.sliders[slot].value() / STEPS
        self._ask(slot, 0.0 if on else self._before.pop(slot, 1.0) or 1.0)
