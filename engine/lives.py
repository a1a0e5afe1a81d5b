"""How long each array of a plan must stay as it is, so that others can use its memory afterwards.

Times: node number i of n runs forward at i and backward at 2n − i; losses lie in between, at n.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine.arena import LAST, Arena, Lives
from engine.graph import Graph, Node, Ref
from engine.kernels.base import Use, keeps, passes_on
from engine.layers.base import Array


@dataclass(frozen=True)
class NodeMemory:
    """The arena as one node sees it; what is not in ``lives`` gets memory of its own."""

    arena: Arena
    lives: Mapping[tuple[Use, int], Lives]

    def take(self, use: Use, index: int, count: int, dtype: np.dtype[np.generic]) -> Array:
        lives = self.lives.get((use, index))
        return np.empty(count, dtype) if lives is None else self.arena.take(count, dtype, lives)


class Schedule:
    """Lives of the arrays of a graph whose nodes run in this order.

    ``kernels`` by node id; ``active`` are the ids of nodes that run backward; ``senders`` has, for
    each tensor that needs a gradient, who sends it one (nodes or losses).
    """

    def __init__(
        self,
        graph: Graph,
        order: tuple[Node, ...],
        kernels: Mapping[str, object],
        active: frozenset[str],
        senders: Mapping[Ref, tuple[str, ...]],
    ) -> None:
        self.graph, self.kernels, self.active, self.senders = graph, kernels, active, senders
        self.count = len(order)
        self.forward = {node.id: i for i, node in enumerate(order)}
        self.results = {ref for _, ref in graph.outputs} | {x.input for x in graph.losses}
        self._refs: dict[str, list[Ref]] = {}
        for ref in {*graph.readers, *self.results, *((node.id, 0) for node in order)}:
            self._refs.setdefault(ref[0], []).append(ref)
        self._value_stop: dict[Ref, int] = {}
        self._gradient_stop: dict[Ref, int] = {}
        for node in reversed(order):
            self._add_value_stops(node)
        for ref in senders:
            if ref[0] in graph.input_ids:
                self._gradient_stop[ref] = LAST  # a result too
        for node in order:
            self._add_gradient_stops(node)

    def backward_time(self, who: str) -> int:
        """When a node, or a loss, runs backward."""
        return 2 * self.count - self.forward[who] if who in self.forward else self.count

    def _add_value_stops(self, node: Node) -> None:
        for ref in self._refs[node.id]:
            times = [self.forward[node.id]]
            if ref in self.results:
                times.append(LAST)
            if node.id in self.active and "y" in keeps(self.kernels[node.id]):
                times.append(self.backward_time(node.id))
            for who, _ in self.graph.readers.get(ref, ()):
                if who not in self.forward:
                    continue
                times.append(self.forward[who])
                if who in self.active and "x" in keeps(self.kernels[who]):
                    times.append(self.backward_time(who))
                if passes_on(self.kernels[who]):
                    times += [self._value_stop[r] for r in self._refs[who]]
            self._value_stop[ref] = max(times)

    def _add_gradient_stops(self, node: Node) -> None:
        times = [self.backward_time(node.id)]
        if passes_on(self.kernels[node.id]):
            times += [self._part_stop(r) for r in node.sources if r in self.senders]
        for ref in self._refs[node.id]:
            self._gradient_stop[ref] = max(times)

    def _summed(self, ref: Ref) -> int:
        """When all gradients of a tensor have arrived."""
        return max(self.backward_time(who) for who in self.senders[ref])

    def _part_stop(self, ref: Ref) -> int:
        """Until when one sender's gradient is read."""
        return self._gradient_stop[ref] if len(self.senders[ref]) == 1 else self._summed(ref)

    def of_sum(self, ref: Ref) -> Lives:
        """Lives of the sum of a tensor's gradients."""
        return ((self._summed(ref), self._gradient_stop[ref]),)

    def of_node(self, node: Node, shared: bool) -> dict[tuple[Use, int], Lives]:
        """Lives of what a node's kernel may ask for; ``shared``: also of tensors and gradients."""
        before = after = (self.forward[node.id],) * 2
        if node.id in self.active:
            after = (self.backward_time(node.id),) * 2
        lives: dict[tuple[Use, int], Lives] = {
            ("forward", 0): (before,),
            ("backward", 0): (after,),
            ("call", 0): (before, after),
            ("saved", 0): ((before[0], after[0]),),
        }
        if not shared:
            return lives
        for ref in self._refs[node.id]:
            lives["value", ref[1]] = ((before[0], self._value_stop[ref]),)
        for position, ref in enumerate(node.sources):
            if ref in self.senders:
                lives["gradient", position] = ((after[0], self._part_stop(ref)),)
        return lives
