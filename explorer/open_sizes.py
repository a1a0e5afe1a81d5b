"""Sizes of pictures that an ONNX file leaves open: the bar that asks for them, never in the way.

The network is open meanwhile, with the usual sizes. What is chosen is remembered for files of
that name whose inputs are open in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QToolButton,
    QWidget,
)

from explorer import theme

Shape = tuple[int, ...]
Wanted = Mapping[str, tuple[int | None, ...] | None]
LARGEST = 8192
REMEMBERED = 100
"""Models whose sizes are kept in the settings; the oldest are forgotten."""


@dataclass(frozen=True)
class OpenSizes:
    """The question: ``wanted`` by input as the file has it (None where open), ``used`` for now."""

    path: Path
    wanted: Wanted = field(default_factory=dict)
    used: Mapping[str, Shape] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What it is remembered by."""
        inputs = (
            f"{name} {'×'.join('?' if d is None else str(d) for d in dims) if dims else '?'}"
            for name, dims in self.wanted.items()
        )
        return f"{self.path.name}: {'; '.join(inputs)}"

    def open_axes(self, name: str) -> tuple[int, ...]:
        """The axes of an input that are asked for; that of the samples is not."""
        dims = self.wanted.get(name)
        return tuple(
            axis
            for axis in range(1, len(self.used[name]))
            if dims is None or axis >= len(dims) or dims[axis] is None
        )


def remembered(settings: Any, asked: OpenSizes) -> dict[str, Shape] | None:
    """The sizes chosen for such a file before, where they still fit; else None."""
    found = settings.get(asked.key) if isinstance(settings, dict) else None
    if not isinstance(found, dict) or found.keys() != asked.used.keys():
        return None
    shapes = {}
    for name, used in asked.used.items():
        sizes, open_axes = found[name], asked.open_axes(name)
        if not isinstance(sizes, list) or len(sizes) != len(used):
            return None
        for axis, size in enumerate(sizes):
            asked_for = axis in open_axes
            if type(size) is not int or (not asked_for and size != used[axis]):
                return None
            if asked_for and not 1 <= size <= LARGEST:
                return None
        shapes[name] = tuple(sizes)
    return shapes


def with_answer(settings: Any, asked: OpenSizes, shapes: Mapping[str, Shape]) -> dict[str, Any]:
    """The setting with one more answer, the last one last."""
    kept = dict(settings) if isinstance(settings, dict) else {}
    kept.pop(asked.key, None)
    kept[asked.key] = {name: list(shape) for name, shape in shapes.items()}
    return dict(list(kept.items())[-REMEMBERED:])


class OpenSizesBar(QFrame):
    """A row above the canvas with a box for each open size; hidden when nothing is asked."""

    open_requested = Signal(object, dict)  # OpenSizes, shapes by input
    kept = Signal(object)  # closed: the sizes in use are fine

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("open-sizes")
        m = theme.metrics()
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(m.space_3, m.space_1, m.space_1, m.space_1)
        self._row.setSpacing(m.space_1)
        self._asked: OpenSizes | None = None
        self._fields: QWidget | None = None
        self._boxes: dict[tuple[str, int], QSpinBox] = {}
        self._icon = QLabel(self)
        self._label = QLabel(self)
        self.button = QPushButton(self.tr("Open"), self)
        self.button.setToolTip(self.tr("Open the file with these sizes; they are remembered"))
        self.button.clicked.connect(self._open)
        self.close_button = QToolButton(self)
        self.close_button.setIcon(theme.icon("close"))
        self.close_button.setAutoRaise(True)
        self.close_button.setToolTip(self.tr("Keep the sizes as they are; do not ask again"))
        self.close_button.setAccessibleName(self.tr("Keep these sizes"))
        self.close_button.clicked.connect(self._keep)
        for widget in (self._icon, self._label):
            self._row.addWidget(widget)
        self._row.addStretch(1)
        self._row.addWidget(self.button)
        self._row.addWidget(self.close_button)
        theme.theme().changed.connect(self._restyle)
        self._restyle()
        self.hide()

    def _restyle(self) -> None:
        size = theme.metrics().icon_small
        self._icon.setPixmap(theme.icon("info", "accent").pixmap(size, size))
        tokens = theme.current()
        self.setStyleSheet(
            f"QFrame#open-sizes {{ background: {tokens.selection}; }}"
            f"QFrame#open-sizes QLabel {{ color: {tokens.text}; }}"
        )

    def set_question(self, asked: OpenSizes | None) -> None:
        """Ask for these sizes, or hide."""
        self._asked = asked
        self._boxes = {}
        if self._fields is not None:
            self._row.removeWidget(self._fields)
            self._fields.hide()
            self._fields.deleteLater()
            self._fields = None
        if asked is None:
            self.hide()
            return
        text = self.tr("{0} leaves sizes open. Open it with").format(asked.path.name)
        self._label.setText(text)
        self.setAccessibleName(text)
        self._fields = QWidget(self)
        row = QHBoxLayout(self._fields)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.metrics().space_1)
        for name, used in asked.used.items():
            row.addWidget(QLabel(name, self._fields))
            open_axes = asked.open_axes(name)
            for axis in range(1, len(used)):
                if axis > 1:
                    row.addWidget(QLabel("×", self._fields))
                if axis in open_axes:
                    row.addWidget(self._box(name, axis, used))
                else:
                    row.addWidget(QLabel(str(used[axis]), self._fields))
        self._row.insertWidget(2, self._fields)
        self.show()

    def _box(self, name: str, axis: int, used: Shape) -> QSpinBox:
        box = QSpinBox(self._fields)
        box.setRange(1, LARGEST)
        box.setValue(used[axis])
        word = self._words(len(used))[axis - 1]
        box.setToolTip(word)
        box.setAccessibleName(f"{name} {word}")
        box.setObjectName(f"open-sizes.{name}.{axis}")
        self._boxes[name, axis] = box
        return box

    def _words(self, rank: int) -> list[str]:
        if rank == 4:
            return [self.tr("channels"), self.tr("rows"), self.tr("columns")]
        return [self.tr("size of axis {0}").format(axis) for axis in range(1, rank)]

    def shapes(self) -> dict[str, Shape]:
        """The sizes that the boxes show, by input."""
        if self._asked is None:
            return {}
        return {
            name: tuple(
                self._boxes[name, axis].value() if (name, axis) in self._boxes else size
                for axis, size in enumerate(used)
            )
            for name, used in self._asked.used.items()
        }

    def _open(self) -> None:
        if self._asked is not None:
            self.open_requested.emit(self._asked, self.shapes())

    def _keep(self) -> None:
        asked = self._asked
        self.set_question(None)
        if asked is not None:
            self.kept.emit(asked)
