"""Inside of an operation: the window on what it reads, the kernel, and the tensor filling up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QCoreApplication, QSize, Qt, Signal
from PySide6.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from engine.cell import Cell
from engine.inside import (
    LEVELS,
    Inside,
    Level,
    LossSheet,
    Sheet,
    Side,
    SumSheet,
    UpdateSheet,
    WeightSheet,
    Written,
)
from engine.layers.base import Array
from explorer import theme
from explorer.panels.labels import wrapped
from explorer.panels.working import Working
from explorer.tensors.grid import TensorGrid
from explorer.tensors.legend import ScaleLegend
from explorer.tensors.marks import Window
from explorer.tensors.scales import Kind, Scale, format_number, scale_for

ROOM = 28
"""Letters of the names of what can be looked into that stand on buttons; longer ones in a list."""
MOST = 200
"""So many cells are outlined at once; more would cover what they are on."""


class _Part(QWidget):
    """A title, a grid and its scale."""

    def __init__(self) -> None:
        super().__init__()
        m = theme.metrics()
        self.title = wrapped("small")
        self.grid = TensorGrid()
        self.legend = ScaleLegend()
        self._array: Array | None = None
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(m.space_1)
        self.head = QHBoxLayout()
        self.head.setSpacing(0)
        self.head.addWidget(self.title, 1)
        box.addLayout(self.head)
        box.addWidget(self.grid, 1)
        box.addWidget(self.legend)

    def show_array(
        self, title: str, ref: tuple[str, int], array: Array, kind: Kind, scale: Scale | None = None
    ) -> None:
        """Show an array; the same one keeps its zoom and costs nothing."""
        self.title.setText(title)
        self.grid.setAccessibleName(title)
        if array is self._array:
            return
        self._array = array
        scale = scale or scale_for(array, kind)
        self.grid.set_tensor(*ref, array, scale, name=title)
        self.legend.set_scale(scale)


class InsidePanel(QWidget):
    """Shows a place inside of an operation and asks for others; computes nothing."""

    level_requested = Signal(str)
    side_requested = Signal(str, int)  # side, and which of its arrays
    cell_requested = Signal(object)  # index: stand at this cell
    focus_requested = Signal(object)  # Cell of what is read
    inside_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._sheet: Sheet | None = None
        self._at: Inside | None = None
        self._kernel_key: tuple[Side, int] | None = None
        m = theme.metrics()
        self.setAccessibleName(self.tr("Inside"))
        self.levels: dict[Level, QToolButton] = {}
        self.choices: dict[tuple[Side, int], QToolButton] = {}
        self._written: tuple[Written, ...] = ()
        self._listed = False
        tips = {
            "channel": self.tr("A step completes a channel"),
            "row": self.tr("A step completes a row"),
            "cell": self.tr("A step completes a cell"),
            "term": self.tr("A step adds one term of a cell"),
        }
        names = {
            "channel": self.tr("Channel"),
            "row": self.tr("Row"),
            "cell": self.tr("Cell"),
            "term": self.tr("Term"),
        }
        level_row, side_row = QHBoxLayout(), QHBoxLayout()
        for row in (level_row, side_row):
            row.setSpacing(m.space_1)
        self._group, self._side_group = QButtonGroup(self), QButtonGroup(self)
        self._side_row = side_row
        self.of = QLabel()
        side_row.addWidget(self.of)
        self.chooser = QComboBox()
        self.chooser.setAccessibleName(self.tr("What to look into"))
        self.chooser.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.chooser.setMinimumContentsLength(8)
        self.chooser.activated.connect(self._chosen)
        side_row.addWidget(self.chooser, 1)
        side_row.addStretch(1)
        self.steps = QLabel(self.tr("Step by"))
        level_row.addWidget(self.steps)
        for level in LEVELS:
            button = self._choice(names[level], tips[level])
            button.clicked.connect(lambda _=False, level=level: self.level_requested.emit(level))
            self._group.addButton(button)
            level_row.addWidget(button)
            self.levels[level] = button
        level_row.addStretch(1)
        self.earlier, self.later = QToolButton(), QToolButton()
        for button, name, tip, step in (
            (self.earlier, "chevron-left", self.tr("The same place with the kernel before"), -1),
            (self.later, "chevron-right", self.tr("The same place with the next kernel"), 1),
        ):
            button.setIcon(theme.icon(name))
            button.setIconSize(QSize(m.icon_small, m.icon_small))
            button.setToolTip(tip)
            button.setAccessibleName(tip)
            button.clicked.connect(lambda _=False, step=step: self._turn(step))
        self.value = QLabel()
        self.value.setProperty("role", "title")
        self.value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.place = wrapped("muted")
        self.note = wrapped("small")
        self.source, self.kernel, self.target = _Part(), _Part(), _Part()
        self.kernel.head.addWidget(self.earlier)
        self.kernel.head.addWidget(self.later)
        self.working = Working()
        self.target.grid.selected.connect(lambda cell: self.cell_requested.emit(cell.index))
        self.source.grid.selected.connect(self._read_chosen)
        self.empty = wrapped("muted")
        self.empty.setText(
            self.tr(
                "Press F11 (Look inside) to go into the operation that was carried out last: its "
                "window slides over what it reads, and its tensor fills up, channel by channel, "
                "row by row, cell by cell. A loss and an update are worked out line by line."
            )
        )
        self.empty.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.enter = QToolButton()
        self.enter.setIcon(theme.icon("inside"))
        self.enter.setText(self.tr("Look inside"))
        self.enter.setIconSize(QSize(m.icon_small, m.icon_small))
        self.enter.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.enter.clicked.connect(self.inside_requested)
        self.body = QWidget()
        grid = self._grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(m.space_2)
        grid.addWidget(self.source, 0, 0)
        grid.addWidget(self.kernel, 0, 1)
        grid.addWidget(self.target, 1, 0, 1, 2)
        grid.setColumnStretch(0, 3)
        grid.setColumnStretch(1, 2)
        grid.setRowStretch(0, 1)
        grid.setRowStretch(1, 1)
        head = QHBoxLayout()
        head.setSpacing(m.space_2)
        head.addWidget(self.place, 1)
        head.addWidget(self.value)
        column = QVBoxLayout(self.body)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(m.space_1)
        column.addLayout(side_row)
        column.addLayout(level_row)
        column.addLayout(head)
        column.addWidget(self.note)
        column.addWidget(self.working)
        column.addLayout(grid, 1)
        self._column, self._rest = column, column.count()
        column.addStretch(0)
        box = QVBoxLayout(self)
        box.setContentsMargins(m.space_3, m.space_2, m.space_3, m.space_2)
        box.addWidget(self.body, 1)
        box.addWidget(self.empty)
        box.addWidget(self.enter, 0, Qt.AlignmentFlag.AlignLeft)
        box.addStretch(0)
        theme.theme().changed.connect(self._restyle)
        self.set_inside(None, None)

    def _choice(self, text: str, tip: str) -> QToolButton:
        button = QToolButton()
        button.setText(text)
        button.setToolTip(tip)
        button.setCheckable(True)
        return button

    def _restyle(self) -> None:
        for part in (self.source, self.kernel, self.target):
            part.legend.update()

    def _turn(self, step: int) -> None:
        """To the same place of another channel, which another kernel makes."""
        if self._sheet is not None and self._at is not None:
            channel, *rest = self._sheet.index(self._sheet.here(self._at))
            self.cell_requested.emit(((channel + step) % self._sheet.shape[0], *rest))

    def _read_chosen(self, cell: Cell) -> None:
        """A cell of what is read: the place to ask about, or of a parameter's the one to see."""
        if isinstance(self._sheet, UpdateSheet | SumSheet):
            self.cell_requested.emit(cell.index)
        else:
            self.focus_requested.emit(cell)

    # ---- what is shown ---------------------------------------------------------------------

    def set_inside(self, sheet: Sheet | None, at: Inside | None) -> None:
        """Show a place inside of the operation that a sheet is of; None: outside of all."""
        if (sheet, at) == (self._sheet, self._at) and sheet is not None:
            return
        if sheet is not self._sheet:
            self._kernel_key = None
            self._show_choices(sheet)
        self._sheet, self._at = sheet, at
        inside = sheet is not None and at is not None
        self.body.setVisible(inside)
        self.empty.setVisible(not inside)
        self.enter.setVisible(not inside)
        if sheet is None or at is None:
            return
        for level, button in self.levels.items():
            button.setVisible(level in sheet.levels and len(sheet.levels) > 1)
            button.setChecked(level == at.level)
        many = len(sheet.levels) > 1
        self.steps.setVisible(many)
        self.levels["term"].setText(self.tr("Line") if sheet.staged else self.tr("Term"))
        self.working.setVisible(sheet.staged)
        whole = isinstance(sheet, LossSheet)
        # without maps the lines stand at the top
        self._column.setStretch(self._rest, int(whole and sheet.step.phase == "loss"))
        self._column.setStretch(self._rest - 1, int(not whole or sheet.step.phase != "loss"))
        self.source.setVisible(not whole)
        self.target.setVisible(not whole or sheet.step.phase == "backward")
        kernels = sheet.side in ("output", "input") and len(sheet.shape) == 3
        for button in (self.earlier, self.later):
            button.setVisible(kernels and sheet.shape[0] > 1)
        # what an update reads and makes have one shape: side by side they leave room for the lines
        place = (0, 1, 1, 1) if isinstance(sheet, UpdateSheet) else (1, 0, 1, 2)
        self._grid.addWidget(self.target, *place)
        self._grid.setColumnStretch(1, 3 if isinstance(sheet, UpdateSheet | SumSheet) else 2)
        self.levels["channel"].setText(_channel_name(sheet))
        if not whole:
            self._show_source(sheet, at)
        if isinstance(sheet, WeightSheet):
            self._show_weights(sheet, at)
        else:
            self._show_target(sheet, at)
        if sheet.staged:
            self._show_working(sheet, at)
        alone = self.kernel.isHidden() and not isinstance(sheet, UpdateSheet)
        self._grid.addWidget(self.source, 0, 0, 1, 2 if alone else 1)
        self._show_number(sheet, at)

    def _show_choices(self, sheet: Sheet | None) -> None:
        """A button for each array that the operation writes, where there are several."""
        there = sheet.written if sheet is not None else ()
        if sheet is not None and there != self._written:
            for button in self.choices.values():
                self._side_group.removeButton(button)
                button.deleteLater()
            self.choices = {}
            self._written = there
            names = [_choice_name(sheet, written) for written in there]
            # buttons would make the panel as wide as all names together
            self._listed = len(" ".join(names)) > ROOM
            self.chooser.clear()
            self.chooser.addItems(names)
            buttons = len(there) > 1 and not self._listed
            for written, name in zip(there, names, strict=True) if buttons else ():
                button = self._choice(name, "")
                chosen = (written.side, written.part)
                button.clicked.connect(lambda _=False, c=chosen: self.side_requested.emit(*c))
                self._side_group.addButton(button)
                self._side_row.insertWidget(self._side_row.count() - 1, button)
                self.choices[chosen] = button
        words = {
            "forward": self.tr("Output"),
            "backward": self.tr("Gradient of"),
            "update": self.tr("Update of"),
        }
        self.of.setVisible(len(there) > 1)
        self.chooser.setVisible(len(there) > 1 and self._listed)
        if sheet is not None:
            self.of.setText(words.get(sheet.step.phase, ""))
            shown = [(w.side, w.part) for w in there]
            self.chooser.setCurrentIndex(shown.index((sheet.side, sheet.part)))
            for chosen, button in self.choices.items():
                button.setChecked(chosen == (sheet.side, sheet.part))

    def _chosen(self, number: int) -> None:
        """An entry of the list was chosen by the user."""
        written = self._written[number]
        self.side_requested.emit(written.side, written.part)

    def _show_working(self, sheet: Sheet, at: Inside) -> None:
        number = sheet.here(at)
        stages = sheet.stages(number)
        done = len(stages) if number < at.cells else at.terms
        wide = max((s.values.size for s in stages), default=1)
        labels = sheet.graph.labels
        self.working.set_lines(stages, done, labels if len(labels) == wide > 1 else ())

    def _show_source(self, sheet: Sheet, at: Inside) -> None:
        ref, number = sheet.source_ref, sheet.here(at)
        name = ref[0] if not ref[1] else f"{ref[0]}:{ref[1]}"
        kind: Kind = "diverging" if sheet.side == "input" else "sequential"
        if sheet.side != "input" and ref[0] in sheet.graph.input_ids:
            kind = "grey"
        title = self.tr("Gradient of {0}") if sheet.side == "input" else self.tr("Reads {0}")
        if isinstance(sheet, UpdateSheet):
            title, name, kind = self.tr("Gradient of its {0}"), sheet.name, "diverging"
        elif isinstance(sheet, SumSheet):
            title, name, kind = self.tr("Part from {0}"), sheet.senders[0], "diverging"
            title = title if name else self.tr("The sum so far")
        self.source.show_array(title.format(name), ref, sheet.source, kind)
        self.source.grid.set_focus(
            Cell(*ref, sheet.index(number)) if isinstance(sheet, UpdateSheet | SumSheet) else None
        )
        area = sheet.area(number)
        windows: tuple[Window, ...] = ()
        if area is not None:
            place = (area.top, area.left, area.height, area.width)
            windows = (Window(*place, channels=sheet.channels(number)),)
        self.source.grid.set_windows(windows, _padding(sheet))
        self.source.grid.set_highlights(self._read_cells(sheet, at))

    def _read_cells(self, sheet: Sheet, at: Inside) -> Sequence[Cell]:
        """The cell of the term added last; else all that are read, where no window shows them."""
        if sheet.side not in ("output", "input"):
            return ()
        terms = sheet.terms(sheet.here(at)).terms
        chosen = terms[at.terms - 1 : at.terms] if at.terms else ()
        window = getattr(sheet.node.layer, "window", None)
        gaps = window is not None and window.dilation != (1, 1)  # not every cell of it is read
        if not at.terms and (gaps or sheet.area(sheet.here(at)) is None) and len(terms) <= MOST:
            chosen = terms
        wanted = ("output_grad", "input")[sheet.side == "output"]
        ref = sheet.source_ref
        slots = (0,) if sheet.side == "output" else (ref[1],)
        return tuple(
            Cell(ref[0], ref[1], t.source[2])
            for t in chosen
            if t.source[0] == wanted and t.source[1] in slots
        )

    def _show_target(self, sheet: Sheet, at: Inside) -> None:
        number = sheet.here(at)
        kernel = sheet.kernel(number)
        self.kernel.setVisible(kernel is not None or isinstance(sheet, SumSheet))
        if isinstance(sheet, SumSheet):
            self._kernel_key = None
            who = sheet.senders[1]
            self.kernel.show_array(
                self.tr("Part from {0}").format(who), sheet.ref, sheet.addends[1], "diverging"
            )
            self.kernel.grid.set_known(None)
            self.kernel.grid.set_highlights(())
            self.kernel.grid.set_focus(sheet.cell(number))
        if kernel is not None:
            index = sheet.index(number)
            text = self.tr("Kernel {0}").format(index[0])
            if sheet.side == "input":
                text = self.tr("Weights of channel {0}, rotated").format(index[0])
            if kernel.ndim == 1:
                text = self.tr("Its weights")
            key = (sheet.side, index[0])
            if key != self._kernel_key:
                self._kernel_key = key
                self.kernel.show_array(text, ("", 0), kernel, "diverging")
            self.kernel.title.setText(text)
            self.kernel.grid.set_known(None)
            self.kernel.grid.set_focus(None)
            self.kernel.grid.set_highlights(self._weight_cells(sheet, at, kernel))
        ref = sheet.ref
        if sheet.side == "output":
            title, kind = self.tr("Makes its output"), "sequential"
        elif isinstance(sheet, UpdateSheet):
            title, kind = self.tr("Makes the new {0}").format(sheet.name), "diverging"
        else:
            title, kind = self.tr("Makes the gradient of {0}").format(ref[0]), "diverging"
        whole: Kind = "sequential" if kind == "sequential" else "diverging"
        self.target.show_array(title, ref, sheet.array, whole)
        self.target.grid.set_known(at.cells)
        self.target.grid.set_focus(sheet.cell(number))

    def _weight_cells(self, sheet: Sheet, at: Inside, kernel: Array) -> Sequence[Cell]:
        """The weight of the term added last, where the terms come in the kernel's order."""
        if sheet.side != "output" or not 0 < at.terms <= kernel.size:
            return ()
        index = np.unravel_index(at.terms - 1, kernel.shape)
        return (Cell("", 0, tuple(int(i) for i in index)),)

    def _show_weights(self, sheet: WeightSheet, at: Inside) -> None:
        channel = sheet.weight_channel(at)
        recorded = sheet.recorded(at)
        self._kernel_key = None
        self.kernel.setVisible(True)
        nothing = not at.cells
        share = np.zeros(recorded.shape) if nothing else sheet.share(at)
        self.kernel.show_array(
            self.tr("This position adds"),
            ("", 0),
            share,
            "diverging",
            scale_for(share, "diverging"),
        )
        self.kernel.grid.set_known(0 if nothing else None)
        self.kernel.grid.set_focus(None)
        self.kernel.grid.set_highlights(())
        so_far = np.zeros(recorded.shape) if nothing else sheet.weights(at)
        self.target.show_array(
            self._filled_name(sheet, recorded).format(channel),
            ("", 0),
            so_far,
            "diverging",
            scale_for(recorded, "diverging"),
        )
        self.target.grid.set_known(0 if nothing else None)
        self.target.grid.set_focus(None)

    def _filled_name(self, sheet: WeightSheet, recorded: Array) -> str:
        if not sheet.by_kernel:
            return self.tr("Gradient of {0} so far").replace("{0}", sheet.name)
        if recorded.ndim == 1:
            return self.tr("Gradient of the weights of number {0}")
        return self.tr("Gradient of kernel {0} so far")

    def _show_number(self, sheet: Sheet, at: Inside) -> None:
        number = sheet.here(at)
        begun = bool(at.cells or at.terms)
        running = sheet.running(at) if sheet.side != "weight" else sheet.value(number)
        self.value.setText(format_number(running) if begun and running is not None else "")
        self.value.setToolTip(format_number(running, 9) if running is not None else "")
        place = self.tr("{0} of {1} cells")
        if sheet.side == "weight":
            place = self.tr("{0} of {1} positions")
        elif isinstance(sheet, UpdateSheet):
            place = self.tr("{0} of {1} weights")
        text = place.format(f"{at.cells:,}", f"{sheet.total:,}")
        lines = self.tr("{0} of {1} lines") if sheet.staged else self.tr("{0} of {1} terms")
        if sheet.levels == ("term",):
            text = lines.format(at.terms, sheet.count(number))
        elif at.terms:
            text += " · " + lines.format(at.terms, sheet.count(number))
        self.place.setText(text)
        self._show_note(sheet)

    def _show_note(self, sheet: Sheet) -> None:
        """Which zeros of an input's gradient the geometry makes, whatever comes back."""
        unread = sheet.unread if sheet.side == "input" else None
        self.note.setVisible(unread is not None and bool(unread.any()))
        if unread is not None and unread.any():
            self.note.setText(
                self.tr(
                    "{0} of each map's gradient is zero: its windows, {1} apart, pass over {2} of "
                    "{3} cells."
                ).format(
                    f"{unread.mean():.0%}",
                    _stride_text(sheet),
                    f"{int(unread.sum()):,}",
                    f"{unread.size:,}",
                )
            )


def _choice_name(sheet: Sheet, written: Written) -> str:
    """The array in a word: an input, a parameter, or the number of an output."""
    if written.side == "output":
        return str(int(written.key.ref[1]) + 1)
    if written.side != "input":
        return str(written.key.ref[1])
    if written.key.kind == "part":
        return sheet.node.sources[sheet.node.slots.index(written.key.ref[1])][0]
    return str(written.key.ref[0])


def _channel_name(sheet: Sheet) -> str:
    """What the first axis of the tensor counts, for the button of that level."""
    tr = QCoreApplication.translate
    if not isinstance(sheet, UpdateSheet):
        return tr("InsidePanel", "Channel")
    if len(sheet.shape) > 2:
        return tr("InsidePanel", "Kernel")
    return tr("InsidePanel", "Row")


def _stride_text(sheet: Sheet) -> str:
    rows, columns = sheet.node.layer.window.stride  # type: ignore[attr-defined]
    return str(rows) if rows == columns else f"{rows}×{columns}"


def _padding(sheet: Sheet) -> tuple[int, int, int, int]:
    """How far the windows of the first and the last cell reach beyond the map.

    In backward the rotated kernel reaches far beyond it: hatching that would hide the maps.
    """
    if sheet.side not in ("output", "weight"):
        return (0, 0, 0, 0)
    first, last = sheet.area(0), sheet.area(sheet.total - 1)
    if first is None or last is None:
        return (0, 0, 0, 0)
    height, width = sheet.source.shape[-2:]
    return (
        max(0, -first.top),
        max(0, -first.left),
        max(0, last.top + last.height - height),
        max(0, last.left + last.width - width),
    )
