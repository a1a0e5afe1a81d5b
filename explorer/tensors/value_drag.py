"""What if a number were another: dragging it up and down, or moving it by keys."""

from __future__ import annotations

from dataclasses import dataclass

from engine.cell import Cell
from explorer import theme
from explorer.tensors.scales import Scale


def span(scale: Scale) -> float:
    """How much a number moves over the height of a hand: all of the scale."""
    return (scale.high - scale.low) or 1.0


def rounded(value: float, scale: Scale) -> float:
    """A number rounded to what can be told apart on the screen."""
    step = span(scale) / 200
    return round(value / step) * step


def nudged(value: float, steps: int, scale: Scale) -> float:
    """A number moved by some steps of a key."""
    return value + steps * span(scale) / 20


@dataclass(frozen=True)
class ValueDrag:
    """A number that is being dragged: its cell, where on the screen it began, and from what.

    The scale is the one of the beginning: the number must not run away as the scale grows with it.
    """

    cell: Cell
    start: float
    value: float
    scale: Scale

    def at(self, y: float) -> float:
        """The number with the pointer at a height of the widget."""
        by = (self.start - y) / (4 * theme.metrics().strip_height)
        return self.value + by * span(self.scale)
