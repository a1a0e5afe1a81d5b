"""The automatic layout of a network, and whether the present one is still it."""

from __future__ import annotations

from collections.abc import Callable

from engine.graph import Graph
from explorer.canvas.placement import ASPECT, place
from explorer.document import Layout


class Layouts:
    """``aspect`` gives width over height of the canvas, which a new layout fills."""

    def __init__(self) -> None:
        self.aspect: Callable[[], float] = lambda: ASPECT
        self.placed_for = ASPECT
        """The aspect that the last layout was made for."""

    def place(self, graph: Graph) -> dict[str, tuple[float, float]]:
        """A new layout of the network."""
        self.placed_for = self.aspect()
        return place(graph, aspect=self.placed_for)

    def is_automatic(self, graph: Graph, layout: Layout) -> bool:
        """Whether nothing was moved by hand since the network was last laid out."""
        return dict(layout) == place(graph, aspect=self.placed_for)
