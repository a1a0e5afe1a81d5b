"""A pair of maps with the same pair of a pinned picture: beside, below, or one at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from PySide6.QtCore import QTimer
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QSizePolicy, QWidget

from engine.cell import Cell
from engine.layers.base import Array
from explorer import theme
from explorer.panels.inspector.pin_bar import Shown
from explorer.tensors.pair import TensorPair
from explorer.tensors.scales import Scale

Arrangement = Literal["beside", "below", "tabs"]


def arrangement_for(width: int, height: int, pairs: int) -> Arrangement:
    """How two pictures fit into an area that shows so many pairs one below the other."""
    m = theme.metrics()
    if width >= 2 * (m.pad_size + m.space_4):
        return "beside"
    return "below" if height >= 2 * pairs * least_height("below") else "tabs"


def least_height(arrangement: Arrangement) -> int:
    """Of one pair: its texts, its scale, and maps that can still be seen."""
    side = theme.metrics().pad_size
    return side * 4 // 5 if arrangement == "below" else side


def difference(one: Array | None, other: Array | None) -> Array | None:
    """``one`` minus ``other``, of equal shapes, in float64; ∞ − ∞ is NaN. None without both."""
    if one is None or other is None or one.shape != other.shape:
        return None
    with np.errstate(all="ignore"):
        return np.subtract(one, other, dtype=np.float64)


def common(one: Scale, other: Scale) -> Scale:
    """The scale of two tensors of one kind: from the lowest to the highest of both."""
    return Scale(one.kind, min(one.low, other.low), max(one.high, other.high))


class Compared(QWidget):
    """Holds a pair, and its twin while a picture is pinned. Both move, zoom and mark as one."""

    def __init__(self, pair: TensorPair, prepare: Callable[[TensorPair], None]) -> None:
        """``prepare`` connects the twin, which is made when it is first wanted."""
        super().__init__()
        self.pair = pair
        self.twin: TensorPair | None = None
        self._prepare = prepare
        self._arrangement: Arrangement = "tabs"
        self._shown: Shown = "this"
        self._pinned = False
        self._box = QBoxLayout(QBoxLayout.Direction.LeftToRight, self)
        self._box.setContentsMargins(0, 0, 0, 0)
        self._box.setSpacing(0)
        self._box.addWidget(pair, 1)
        self._levelling = QTimer(self)
        self._levelling.setSingleShot(True)
        self._levelling.setInterval(0)
        self._levelling.timeout.connect(self._level)

    def set_pinned(self, on: bool) -> None:
        """Have a twin, or show the pair alone."""
        if on and self.twin is None:
            self.twin = self._made()
        self._pinned = on
        self._arrange()

    @property
    def front(self) -> TensorPair:
        """The pair that is in sight: the twin where it stands in the place of the other."""
        alone = self._pinned and self._arrangement == "tabs" and self._shown != "this"
        return self.twin if alone and self.twin is not None else self.pair

    def arrange(self, arrangement: Arrangement, shown: Shown) -> None:
        """Where the twin stands, and which of both is in sight where one has the room alone."""
        self._arrangement, self._shown = arrangement, shown
        self._arrange()

    def _made(self) -> TensorPair:
        twin, pair = TensorPair(self), self.pair
        self._box.addWidget(twin, 1)
        for one, other in ((pair, twin), (twin, pair)):
            for grid in (one.forward_grid, one.gradient_grid):
                grid.view_changed.connect(other.set_view)
            one.hovered.connect(self._hover_in(other))
        twin.set_scale_mode(pair.scale_mode)
        self._prepare(twin)
        return twin

    def _hover_in(self, pair: TensorPair) -> Callable[[Cell | None], None]:
        def hover(cell: Cell | None) -> None:
            pair.forward_grid.set_hover(cell)
            pair.gradient_grid.set_hover(cell)

        return hover

    def _arrange(self) -> None:
        twin, tabs, pinned = self.twin, self._arrangement == "tabs", self._pinned
        direction = QBoxLayout.Direction
        below = self._arrangement == "below"
        self._box.setDirection(direction.TopToBottom if below else direction.LeftToRight)
        self.pair.setVisible(not pinned or not tabs or self._shown == "this")
        least = least_height(self._arrangement if pinned else "tabs")
        self.pair.setMinimumHeight(least)
        # One below the other both share the height; else the maps take what they like.
        vertical = QSizePolicy.Policy.Ignored if pinned and below else QSizePolicy.Policy.Expanding
        for one in (self.pair, twin) if twin is not None else (self.pair,):
            for grid in (one.forward_grid, one.gradient_grid):
                grid.setSizePolicy(QSizePolicy.Policy.Expanding, vertical)
        if twin is not None:
            twin.setMinimumHeight(least)
            twin.setVisible(pinned and (not tabs or self._shown != "this"))
            offered = not self.pair.chooser.isHidden()
            policy = twin.chooser.sizePolicy()
            policy.setRetainSizeWhenHidden(offered)  # the maps stay as large as those of the pair
            twin.chooser.setSizePolicy(policy)
            twin.chooser.setVisible(tabs and offered)
            if pinned:
                twin.set_view(self.pair.forward_grid.view)
        self._levelling.start()

    def level(self) -> None:
        """Soon give what stands around the maps equal heights: then the maps have one zoom."""
        self._levelling.start()

    def _level(self) -> None:
        twin = self.twin
        if twin is None:
            return
        both = self.pair.isVisibleTo(self) and twin.isVisibleTo(self)
        for mine, its in (
            (self.pair.forward_statistics, twin.forward_statistics),
            (self.pair.gradient_statistics, twin.gradient_statistics),
            (self.pair.forward_legend, twin.forward_legend),
            (self.pair.gradient_legend, twin.gradient_legend),
        ):
            heights = []
            for widget in (mine, its):
                tall = widget.heightForWidth(widget.width())
                heights.append(tall if tall >= 0 else widget.sizeHint().height())
            for widget in (mine, its):
                widget.setMinimumHeight(max(heights) if both else 0)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._levelling.start()
