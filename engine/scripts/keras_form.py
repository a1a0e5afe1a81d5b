"""What the rules for Keras share: how a layer is written, and padding that Keras has no form of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engine.layers.base import Array
from engine.layers.window import Window

Turn = Callable[[Array], Array]
"""From our order of the axes to Keras's."""


@dataclass(frozen=True)
class Written:
    """How a layer is written: steps that each take the result of the one before as {0}.

    The first has {0}, {1} … for inputs and {all}; ``named`` says which is the layer that holds
    the weights, as a call without its last bracket, so that a name can be added.
    """

    before: tuple[str, ...] = ()
    named: str = ""
    after: tuple[str, ...] = ()
    weights: tuple[tuple[str, str, Turn], ...] = ()
    """(our name, Keras's name, how the axes are turned)."""
    definition: str = ""


def unturned(array: Array) -> Array:
    """Weights whose axes Keras has in our order."""
    return array


def sides_of(window: Window, size: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """Rows and columns of padding (before, after), with what hangs over through ceil_mode."""
    out = window.output_size(*size)
    found = []
    for i in range(2):
        covered = (out[i] - 1) * window.stride[i] + window.extent[i]
        over = covered - size[i] - window.before[i] - window.after[i]
        found.append((window.before[i], window.after[i] + max(0, over)))
    return tuple(found)


def zeros(sides: tuple[tuple[int, int], ...]) -> tuple[str, ...]:
    """A step that puts zeros around maps; none where there are no sides to pad."""
    return (f"layers.ZeroPadding2D({sides!r})({{0}})",) if any(map(any, sides)) else ()
