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
        self._last: tuple[Graph, float, dict[str, tuple[float, float]]] | None = None

    def place(self, graph: Graph) -> dict[str, tuple[float, float]]:
        """A new layout of the network."""
        self.placed_for = self.aspect()
        return dict(self._placed(graph))

    def is_automatic(self, graph: Graph, layout: Layout) -> bool:
        """Whether nothing was moved by hand since the network was last laid out."""
        return dict(layout) == self._placed(graph)

    def _placed(self, graph: Graph) -> dict[str, tuple[float, float]]:
        # An edit asks for the layout before it, which is mostly the one that was made last.
        last = self._last
        if last is None or last[0] is not graph or last[1] != self.placed_for:
            last = graph, self.placed_for, place(graph, aspect=self.placed_for)
            self._last = last
        return last[2]
