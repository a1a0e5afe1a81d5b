"""What a cell can see of the picture, and how much each pixel really counts for it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from engine.cell import Cell
from engine.fields import Fields, Spread
from explorer import theme
from explorer.panels.labels import wrapped
from explorer.tensors.grid import TensorGrid
from explorer.tensors.legend import ScaleLegend
from explorer.tensors.scales import format_number, scale_for


class EffectiveFieldPanel(QWidget):
    """A map of the picture's size, the theoretical field outlined in it, and both in numbers."""

    over_requested = Signal(str)  # "pictures" or "picture"
    focus_requested = Signal(object)  # Cell of the picture

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        m = theme.metrics()
        self.setAccessibleName(self.tr("Effective receptive field"))
        self.heading = wrapped(selectable=True)
        self.choices = QButtonGroup(self)
        row = QHBoxLayout()
        row.setSpacing(m.space_1)
        self.over: dict[str, QPushButton] = {}
        for name, text, tip in (
            (
                "pictures",
                self.tr("Average"),
                self.tr("The mean over the pictures that come with the program"),
            ),
            ("picture", self.tr("This picture"), self.tr("For the picture that is shown alone")),
        ):
            button = QPushButton(text)
            button.setCheckable(True)
            button.setToolTip(tip)
            button.clicked.connect(lambda _=False, n=name: self.over_requested.emit(n))
            self.choices.addButton(button)
            self.over[name] = button
            row.addWidget(button)
        row.addStretch(1)
        self.over["pictures"].setChecked(True)
        self.grid = TensorGrid()
        self.grid.selected.connect(self.focus_requested)
        self.legend = ScaleLegend()
        self.words = wrapped(selectable=True)
        self.remark = wrapped("muted")
        self.remark.setText(
            self.tr(
                "The outline is what the cell can see at all, from kernels and strides. The colour "
                "is what counts: the size of its gradient with respect to each pixel, with the "
                "weights as they are (Luo et al. 2016). It usually fades from the middle like a "
                "bell, and is much smaller."
            )
        )
        box = QVBoxLayout(self)
        box.setContentsMargins(m.space_3, m.space_2, m.space_3, m.space_2)
        box.setSpacing(m.space_2)
        box.addWidget(self.heading)
        box.addLayout(row)
        box.addWidget(self.grid, 1)
        box.addWidget(self.legend)
        box.addWidget(self.words)
        box.addWidget(self.remark)
        theme.theme().changed.connect(self._restyle)
        self._restyle()
        self.set_field(None, "", None, 0, None, None)

    def _restyle(self) -> None:
        self.heading.setFont(theme.font("strong"))

    def set_focus(self, cell: Cell | None) -> None:
        """Draw the ring, where the focus is a pixel."""
        self.grid.set_focus(cell)

    def set_over(self, over: str) -> None:
        """Which of the two is chosen."""
        self.over[over].setChecked(True)

    def set_field(
        self,
        cell: Cell | None,
        source: str,
        effective: NDArray | None,
        pictures: int,
        fields: Fields | None,
        found: Spread | None,
        note: str = "",
        progress: tuple[int, int] | None = None,
    ) -> None:
        """Show a measurement (C, H, W), or why there is none; ``progress`` counts pictures."""
        there = cell is not None and effective is not None and fields is not None
        if progress is not None:
            note = self.tr("Measuring: {0} of {1} pictures…").format(*progress)
        if cell is None:
            self.heading.setText(self.tr("Effective receptive field"))
        else:
            self.heading.setText(
                self.tr("{0} [{1}]: what counts of {2}").format(
                    cell.node, ", ".join(map(str, cell.index)), source
                )
            )
        self.legend.setVisible(there)
        self.remark.setVisible(there)
        if cell is None or effective is None or fields is None:
            self.grid.set_tensor(source, 0, None, empty=note or self.tr("Select a layer."))
            self.grid.set_fields(None)
            self.words.setText("")
            return
        shown = effective.sum(0, keepdims=True) if len(effective) > 1 else effective
        scale = scale_for(shown, "sequential")
        self.grid.set_tensor(
            source, 0, shown, scale, name=self.tr("Effective receptive field of {0}").format(cell)
        )
        self.grid.set_fields(fields)
        self.legend.set_scale(
            scale,
            self.tr("mean |∂| over {0} pictures").format(pictures)
            if pictures > 1
            else self.tr("|∂| for this picture"),
        )
        self.words.setText(self._words(source, effective, fields, found, note))

    def _words(
        self, source: str, effective: NDArray, fields: Fields, found: Spread | None, note: str
    ) -> str:
        field = fields.seen.get((source, 0))
        parts = []
        if field is not None:
            rows, columns = field.size
            seen = int(np.count_nonzero(effective.sum(0)))
            parts.append(
                self.tr("It can see {0} × {1} = {2:,} of {3:,} pixels; {4:,} count at all.").format(
                    rows,
                    columns,
                    rows * columns,
                    effective.shape[1] * effective.shape[2],
                    seen,
                )
            )
        if found is None:
            parts.append(self.tr("No pixel changes it now: its gradient is 0 everywhere."))
        else:
            parts.append(
                self.tr(
                    "Half of what counts lies within {0} × {0} pixels, 95% within {1} × {1}; σ = "
                    "{2} rows, {3} columns."
                ).format(found.half, found.most, *map(format_number, found.deviation))
            )
        return " ".join((*parts, note)).strip()
