"""Forward beside gradient: the same cells, the same zoom, the same focus."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from numpy.typing import NDArray
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QLabel, QSizePolicy, QWidget

from engine.cell import Cell
from engine.fields import Fields
from engine.statistics import Statistics, statistics_of
from explorer import theme
from explorer.tensors.geometry import View
from explorer.tensors.grid import TensorGrid
from explorer.tensors.legend import ScaleLegend, ScaleModeChooser
from explorer.tensors.marks import Marks, Window
from explorer.tensors.scales import Kind, Mode, Scale, channel_scale, format_number, scale_for
from explorer.tensors.statistics import text_of


class TensorPair(QWidget):
    """Two grids that move as one; requests go out, setters come in."""

    focus_requested = Signal(object)  # Cell
    hovered = Signal(object)  # Cell under the pointer in either grid, or None
    scale_mode_requested = Signal(str)  # "shared", "per channel" or "frozen"

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._forward: NDArray | None = None
        self._gradient: NDArray | None = None
        self._forward_kind: Kind = "sequential"
        self._gradient_kind: Kind = "diverging"
        self._mode: Mode = "shared"
        self._focus: Cell | None = None
        self._caption = ""
        self._statistics: dict[str, Statistics | None] = {"forward": None, "gradient": None}
        m = theme.metrics()
        grid = QGridLayout(self)
        grid.setContentsMargins(m.space_2, m.space_2, m.space_2, m.space_2)
        grid.setHorizontalSpacing(m.space_4)
        grid.setVerticalSpacing(m.space_1)
        self.title = QLabel()
        self.title.setProperty("role", "heading")
        self.title.setTextFormat(Qt.TextFormat.PlainText)
        self.title.hide()
        grid.addWidget(self.title, 0, 0, 1, 2)
        self.forward_title = self._label("forward", self.tr("Forward"))
        self.gradient_title = self._label("backward", self.tr("Gradient"))
        self.forward_statistics = self._label("small", "")
        self.gradient_statistics = self._label("small", "")
        self.forward_grid, self.gradient_grid = TensorGrid(), TensorGrid()
        self.forward_legend, self.gradient_legend = ScaleLegend(), ScaleLegend()
        for column, widgets in enumerate(
            (
                (
                    self.forward_title,
                    self.forward_statistics,
                    self.forward_grid,
                    self.forward_legend,
                ),
                (
                    self.gradient_title,
                    self.gradient_statistics,
                    self.gradient_grid,
                    self.gradient_legend,
                ),
            )
        ):
            for row, widget in enumerate(widgets):
                grid.addWidget(widget, row + 1, column)
            grid.setColumnStretch(column, 1)
        grid.setRowStretch(3, 1)
        self.chooser = ScaleModeChooser()
        grid.addWidget(self.chooser, 5, 0, 1, 2)
        self.chooser.mode_requested.connect(self.scale_mode_requested)
        for one, other in (
            (self.forward_grid, self.gradient_grid),
            (self.gradient_grid, self.forward_grid),
        ):
            one.selected.connect(self.focus_requested)
            one.hovered.connect(self._hover)
            one.view_changed.connect(other.set_view)
        self.set_tensors(None, None)

    def _label(self, role: str, text: str) -> QLabel:
        label = QLabel(text)
        label.setProperty("role", role)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setWordWrap(True)
        # Both columns stay equally wide whatever their texts.
        label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        label.setAlignment(Qt.AlignmentFlag.AlignTop)
        return label

    def set_tensors(
        self,
        forward: NDArray | None,
        gradient: NDArray | None,
        *,
        node: str = "",
        port: int = 0,
        title: str = "",
        forward_kind: Kind = "sequential",
        gradient_kind: Kind = "diverging",
        unit: str = "",
        gradient_unit: str = "",
        gradient_empty: str | None = None,
        forward_empty: str | None = None,
    ) -> None:
        """Show a tensor and its gradient, without their batch axis; None where there is none.

        ``forward_kind`` is "grey" for images and "diverging" for weights. Both arrays are shown
        as they are, not copied. Raises ValueError if their shapes differ.
        """
        if forward is not None and gradient is not None and forward.shape != gradient.shape:
            raise ValueError(
                f"tensor {node}: its value has shape {forward.shape} and its gradient "
                f"{gradient.shape}; expected equal shapes"
            )
        frozen = self._mode == "frozen"
        self._caption = ""
        forward_scale = scale_for(
            forward, forward_kind, self._mode, self.forward_grid.scale if frozen else None
        )
        gradient_scale = scale_for(
            gradient, gradient_kind, self._mode, self.gradient_grid.scale if frozen else None
        )
        self._forward, self._gradient = forward, gradient
        self._forward_kind, self._gradient_kind = forward_kind, gradient_kind
        self.title.setText(title)
        self.title.setVisible(bool(title))
        name = title or node
        self.forward_grid.set_tensor(
            node,
            port,
            forward,
            forward_scale,
            name=self.tr("Forward {name}").format(name=name),
            unit=unit,
            empty=forward_empty or self.tr("No value yet: step forward to compute this tensor."),
        )
        self.gradient_grid.set_tensor(
            node,
            port,
            gradient,
            gradient_scale,
            name=self.tr("Gradient {name}").format(name=name),
            unit=gradient_unit,
            empty=gradient_empty or self.tr("No gradient yet: step into the backward pass."),
        )
        for kind, array, heading, line, text, symbol in (
            (
                "forward",
                forward,
                self.forward_title,
                self.forward_statistics,
                self.tr("Forward"),
                "x",
            ),
            (
                "gradient",
                gradient,
                self.gradient_title,
                self.gradient_statistics,
                self.tr("Gradient"),
                "g",
            ),
        ):
            shape = "" if array is None else " × ".join(map(str, array.shape))
            heading.setText(f"{text}  {shape}".strip())
            found = None if array is None else statistics_of(array)
            self._statistics[kind] = found
            line.setText("" if found is None else text_of(found, symbol))
        self._show_legends()

    def set_focus(self, cell: Cell | None) -> None:
        """Draw the ring in both grids."""
        self._focus = cell
        self.forward_grid.set_focus(cell)
        self.gradient_grid.set_focus(cell)
        self._show_legends()

    def set_marks(self, forward_marks: Marks | None, gradient_marks: Marks | None = None) -> None:
        """Marks, such as argmax cells, on either grid."""
        self.forward_grid.set_marks(forward_marks)
        self.gradient_grid.set_marks(gradient_marks)

    def set_windows(
        self, windows: Sequence[Window], padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    ) -> None:
        """The same windows on both grids."""
        self.forward_grid.set_windows(windows, padding)
        self.gradient_grid.set_windows(windows, padding)

    def set_fields(self, fields: Fields | None) -> None:
        """Outline what the focused cell sees and changes in both grids."""
        self.forward_grid.set_fields(fields)
        self.gradient_grid.set_fields(fields)

    def set_highlights(self, cells: Iterable[Cell]) -> None:
        """Outline further cells in both grids."""
        found = tuple(cells)
        self.forward_grid.set_highlights(found)
        self.gradient_grid.set_highlights(found)

    def set_view(self, view: View) -> None:
        """Zoom and position of both grids."""
        self.forward_grid.set_view(view)
        self.gradient_grid.set_view(view)

    def set_scales(self, forward: Scale, gradient: Scale, caption: str) -> None:
        """Colour by these scales, such as those of two pictures, until other tensors come.

        ``caption`` says in the legend what they are of.
        """
        self.forward_grid.set_scale(forward)
        self.gradient_grid.set_scale(gradient)
        self._caption = caption
        self._show_legends()

    @property
    def scale_mode(self) -> Mode:
        return self._mode

    def set_scale_mode(self, mode: Mode) -> None:
        """Colour by one scale, one per channel, or from now on by the present ones ("frozen")."""
        self.chooser.set_mode(mode)
        if mode == self._mode:
            return
        self._mode = mode
        self._caption = ""
        if mode != "frozen":
            self.forward_grid.set_scale(scale_for(self._forward, self._forward_kind, mode))
            self.gradient_grid.set_scale(scale_for(self._gradient, self._gradient_kind, mode))
        self._show_legends()

    def _hover(self, cell: Cell | None) -> None:
        """The pointer in one grid marks the same cell in the other."""
        for grid in (self.forward_grid, self.gradient_grid):
            if grid is not self.sender():
                grid.set_hover(cell)
        self.hovered.emit(cell)

    def _show_legends(self) -> None:
        for kind, legend, grid, array in (
            ("forward", self.forward_legend, self.forward_grid, self._forward),
            ("gradient", self.gradient_legend, self.gradient_grid, self._gradient),
        ):
            found = self._statistics[kind]
            if array is None or found is None:
                legend.set_scale(None)
                continue
            scale, caption = self._legend_scale(grid, array)
            legend.set_scale(scale, caption, found.special)

    def _legend_scale(self, grid: TensorGrid, array: NDArray) -> tuple[Scale, str]:
        scale = grid.scale
        if not scale.per_channel:
            if self._mode == "frozen":
                return scale, self.tr("frozen scale")
            return scale, self._caption or self.tr("one scale for all")
        channel = 0
        if self._focus is not None and grid.value(self._focus) is not None:
            channel = grid.channel_of(self._focus)
        if not array.size:
            return scale, ""
        own = channel_scale(grid.maps, scale, channel)
        text = self.tr("channel {channel}; all: {low} to {high}")
        return own, text.format(
            channel=channel, low=format_number(scale.low), high=format_number(scale.high)
        )
