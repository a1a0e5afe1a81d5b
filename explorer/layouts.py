"""The automatic layout of what is shown of a network, and whether the present one is still it."""

from __future__ import annotations

from collections.abc import Callable

from engine.graph import Graph
from explorer.canvas import geometry
from explorer.canvas.placement import ASPECT, place
from explorer.document import Layout
from explorer.folding import View

_KEPT = 6


class Layouts:
    """``aspect`` gives width over height of the canvas, which a new layout fills."""

    def __init__(self) -> None:
        self.aspect: Callable[[], float] = lambda: ASPECT
        self.placed_for = ASPECT
        """The aspect that the last layout was made for."""
        self._last: list[tuple[Graph, frozenset[str], float, dict[str, tuple[float, float]]]] = []

    def place(self, view: View) -> dict[str, tuple[float, float]]:
        """A new layout of what is shown."""
        self.placed_for = self.aspect()
        return dict(self._placed(view))

    def is_automatic(self, view: View, layout: Layout) -> bool:
        """Whether nothing was moved by hand since the network was last laid out."""
        return not layout or layout == self._placed(view)

    def complete(self, view: View, layout: Layout) -> Layout:
        """The layout with a place for every card: cards without one stand below what they read."""
        if not layout:
            return self._placed(view)
        graph = view.graph
        cards = [
            *(entry.id for entry in graph.inputs),
            *(node.id for node in graph.nodes),
            *(loss.id for loss in graph.losses),
        ]
        if layout.keys() == set(cards):
            return layout
        found = {card: layout[card] for card in cards if card in layout}
        _, height = geometry.size_of()
        sources = {x.id: [x.input[0]] for x in graph.losses}
        sources |= {n.id: [ref[0] for ref in n.inputs if ref is not None] for n in graph.nodes}
        waiting = [card for card in cards if card not in found]
        for card in waiting:
            above = [found[s] for s in sources.get(card, ()) if s in found]
            x, y = max(above, key=lambda spot: spot[1], default=(0.0, 0.0))
            y += height + geometry.ROW_GAP if above else 0.0
            while (x, y) in found.values():
                x += geometry.WIDTH + geometry.COLUMN_GAP
            found[card] = x, y
        return found

    def _placed(self, view: View) -> dict[str, tuple[float, float]]:
        # An edit asks for the layout before it, which is mostly one that was made lately.
        for graph, key, aspect, placed in self._last:
            if graph is view.whole and key == view.key and aspect == self.placed_for:
                return placed
        placed = place(view.graph, aspect=self.placed_for)
        self._last.insert(0, (view.whole, view.key, self.placed_for, placed))
        del self._last[_KEPT:]
        return placed
