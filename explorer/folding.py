"""Blocks folded into one card: from a network and folded groups, the network that is shown.

Pure. A group is a prefix of the paths that ids are; its card has the id ``path/``, which no node
can have. A folded group stands for its layers in one place of the order of computation, so nothing
outside of it may lie between them: a group for which that does not hold is shown open.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from engine.graph import Graph, Node, Ref

EdgeKey = tuple[str, int]
"""(reader id, input slot)."""

OPENS_FOLDED_FROM = 60
"""A network of more layers than this opens with its groups folded."""
FEWEST = 2
"""A group of fewer layers is shown as what it holds."""


def card_id(path: str) -> str:
    """The id of a folded group's card."""
    return path + "/"


def path_of(card: str) -> str:
    """The group of a folded card; "" for any other card."""
    return card[:-1] if card.endswith("/") else ""


def parents(node_id: str) -> list[str]:
    """The groups that an id or a group lies in, the outermost first."""
    parts = node_id.split("/")
    return ["/".join(parts[:n]) for n in range(1, len(parts))]


def groups(graph: Graph) -> dict[str, list[str]]:
    """Every group and the ids of the layers within it, in their order."""
    found: dict[str, list[str]] = {}
    for node in graph.nodes:
        for path in parents(node.id):
            found.setdefault(path, []).append(node.id)
    return found


def opening(graph: Graph) -> frozenset[str]:
    """The groups that are folded when a network is first opened: all of a large one."""
    if len(graph.nodes) <= OPENS_FOLDED_FROM:
        return frozenset()
    return frozenset(path for path, ids in groups(graph).items() if len(ids) > FEWEST)


def between(graph: Graph, ids: Collection[str]) -> str | None:
    """A layer that computes from some of these and for others of them, but is none of them."""
    inside = set(ids)
    readers: dict[str, list[str]] = {}
    for ref, who in graph.readers.items():
        readers.setdefault(ref[0], []).extend(reader for reader, _ in who)

    def reached(start: Iterable[str], near: Any) -> set[str]:
        found: set[str] = set()
        stack = [n for name in start for n in near(name) if n not in inside]
        while stack:
            name = stack.pop()
            if name not in found:
                found.add(name)
                stack += [n for n in near(name) if n not in inside]
        return found

    def sources(name: str) -> list[str]:
        node = graph.by_id.get(name)
        return [ref[0] for ref in node.inputs if ref is not None] if node is not None else []

    below = reached(inside, lambda name: readers.get(name, ()))
    above = reached(inside, sources)
    return next((n.id for n in graph.nodes if n.id in below and n.id in above), None)


@dataclass(frozen=True)
class BlockLayer:
    """Stands in the shown network where a layer would."""

    inputs: int

    title = "Block"

    @property
    def arity(self) -> tuple[int, int | None]:
        return self.inputs, self.inputs


@dataclass(frozen=True)
class Block:
    """A folded group: its layers, and the tensors that enter and leave it.

    ``entering`` names for each tensor from outside the inputs that read it; ``outputs`` are the
    tensors that are read outside, the one that its card shows first.
    """

    path: str
    members: tuple[str, ...]
    inputs: tuple[Ref, ...]
    entering: tuple[tuple[EdgeKey, ...], ...]
    outputs: tuple[Ref, ...]


@dataclass(frozen=True, eq=False)
class View:
    """What is shown of ``whole``: ``graph`` has cards for nodes, by card id."""

    whole: Graph
    graph: Graph
    blocks: Mapping[str, Block] = field(default_factory=dict)
    hidden: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> frozenset[str]:
        """The groups that are shown as one card."""
        return frozenset(block.path for block in self.blocks.values())

    def card(self, node_id: str) -> str:
        """The card on which a node, input or loss is shown."""
        return self.hidden.get(node_id, node_id)

    def ids(self, cards: Iterable[str]) -> frozenset[str]:
        """What stands behind these cards."""
        found: set[str] = set()
        for card in cards:
            block = self.blocks.get(card)
            found.update(block.members if block is not None else (card,))
        return frozenset(found)

    def cards(self, ids: Iterable[str]) -> frozenset[str]:
        """The cards on which these are shown."""
        return frozenset(map(self.card, ids))

    def source(self, ref: Ref) -> Ref:
        """The tensor that leaves a card at a port."""
        block = self.blocks.get(ref[0])
        return ref if block is None else block.outputs[ref[1]]

    def keys(self, reader: str, slot: int) -> tuple[EdgeKey, ...]:
        """The inputs that an edge of the shown network feeds: several within a folded group."""
        block = self.blocks.get(reader)
        return ((reader, slot),) if block is None else block.entering[slot]


_RECENT: list[tuple[Graph, frozenset[str], View]] = []


def view(graph: Graph, folded: Collection[str]) -> View:
    """The network with these groups folded, as far as that is possible.

    Of folded groups within folded groups the outermost is shown; those that the network does not
    have, or that another layer lies between, are left open.
    """
    if not folded:
        return View(graph, graph)
    wanted = frozenset(folded)
    for known, chosen, made in _RECENT:
        if known is graph and chosen == wanted:
            return made
    result = _view(graph, wanted)
    # The same question is asked by the canvas, the layout and the document.
    _RECENT.insert(0, (graph, wanted, result))
    del _RECENT[4:]
    return result


def _view(graph: Graph, folded: frozenset[str]) -> View:
    members = {p: ids for p, ids in groups(graph).items() if p in folded and len(ids) >= FEWEST}
    while True:
        hidden = _hidden(graph, members)
        circle = _circle(graph, hidden)
        if not circle:
            break
        apart = {p for p in circle if between(graph, members[p])}
        for path in apart or {min(circle, key=lambda p: (len(members[p]), p))}:
            del members[path]
    if not hidden:
        return View(graph, graph)
    return _folded(graph, hidden, members)


def _hidden(graph: Graph, members: Mapping[str, list[str]]) -> dict[str, str]:
    """For each layer in a folded group the card of the outermost such group."""
    found = {}
    for node in graph.nodes:
        if "/" in node.id:
            path = next((p for p in parents(node.id) if p in members), None)
            if path is not None:
                found[node.id] = card_id(path)
    return found


def _circle(graph: Graph, hidden: Mapping[str, str]) -> set[str]:
    """The folded groups of which some make a circle when each is one card."""
    above: dict[str, set[str]] = {}
    below: dict[str, set[str]] = {}
    for node in graph.nodes:
        card = hidden.get(node.id, node.id)
        above.setdefault(card, set())
        for ref in node.inputs:
            if ref is not None and ref[0] in graph.by_id:
                source = hidden.get(ref[0], ref[0])
                if source != card:
                    above[card].add(source)
                    below.setdefault(source, set()).add(card)
    left = set(above)
    for near, far in ((above, below), (below, above)):
        count = {card: len(near.get(card, set()) & left) for card in left}
        ready = [card for card, n in count.items() if not n]
        while ready:
            card = ready.pop()
            left.discard(card)
            for other in far.get(card, ()):
                if other in left:
                    count[other] -= 1
                    if not count[other]:
                        ready.append(other)
    return {path_of(card) for card in left if path_of(card)}


def _folded(graph: Graph, hidden: Mapping[str, str], members: Mapping[str, list[str]]) -> View:
    entering: dict[str, dict[Ref, list[EdgeKey]]] = {card: {} for card in hidden.values()}
    leaving: dict[str, dict[Ref, None]] = {card: {} for card in entering}
    for node in graph.nodes:
        card = hidden.get(node.id, "")
        for slot, ref in enumerate(node.inputs):
            if ref is None:
                continue
            source = hidden.get(ref[0], "")
            if card and source != card:
                entering[card].setdefault(ref, []).append((node.id, slot))
            if source and source != card:
                leaving[source][ref] = None
    ends = [ref for _, ref in graph.outputs] + [loss.input for loss in graph.losses]
    for ref in ends:
        if ref[0] in hidden:
            leaving[hidden[ref[0]]][ref] = None
    for card, refs in leaving.items():
        if not refs:  # nobody reads it yet: its last layer's output is what may be read
            refs[members[path_of(card)][-1], 0] = None
    blocks = {
        card: Block(
            path_of(card),
            tuple(members[path_of(card)]),
            tuple(entering[card]),
            tuple(tuple(keys) for keys in entering[card].values()),
            tuple(refs),
        )
        for card, refs in leaving.items()
    }
    ports = {ref: (card, i) for card, b in blocks.items() for i, ref in enumerate(b.outputs)}

    def shown(ref: Ref | None) -> Ref | None:
        return ports.get(ref, ref) if ref is not None else None

    nodes: dict[str, Node] = {}
    for node in graph.nodes:
        card = hidden.get(node.id, "")
        if not card:
            inputs = tuple(map(shown, node.inputs))
            nodes[node.id] = node if inputs == node.inputs else replace(node, inputs=inputs)
        elif card not in nodes:
            block = blocks[card]
            inputs = tuple(map(shown, block.inputs))
            nodes[card] = Node(card, cast(Any, BlockLayer(len(inputs))), inputs)
    shown_graph = replace(
        graph,
        nodes=tuple(nodes.values()),
        outputs=tuple((name, ports.get(ref, ref)) for name, ref in graph.outputs),
        losses=tuple(replace(x, input=ports.get(x.input, x.input)) for x in graph.losses),
    )
    return View(graph, shown_graph, blocks, hidden)


# ---- folding and unfolding -------------------------------------------------------------------


def innermost_open(graph: Graph, folded: frozenset[str], ids: Iterable[str]) -> frozenset[str]:
    """For each of these the innermost group around it that has layers enough and is shown open."""
    known = groups(graph)
    shown = view(graph, folded)
    found = set()
    for name in ids:
        if name in shown.hidden:
            continue
        path = next((p for p in reversed(parents(name)) if len(known.get(p, ())) >= FEWEST), None)
        if path is not None:
            found.add(path)
    return frozenset(found)


# ---- blocks are made, taken apart and renamed ------------------------------------------------


def common_group(ids: Iterable[str]) -> str:
    """The innermost group that holds all of these; "" for none."""
    chains = [parents(name) for name in ids]
    if not chains:
        return ""
    best = ""
    for level in zip(*chains, strict=False):
        if len(set(level)) > 1:
            break
        best = level[0]
    return best


def grouped(graph: Graph, ids: Collection[str], stem: str = "block") -> tuple[str, dict[str, str]]:
    """A new group around layers: its path, and their new ids."""
    chosen = [node.id for node in graph.nodes if node.id in ids]
    outer = common_group(chosen)
    start = f"{outer}/" if outer else ""
    taken = _taken(graph) | set(groups(graph))
    number = 1
    while f"{start}{stem}{number}" in taken:
        number += 1
    path = f"{start}{stem}{number}"
    return path, {name: f"{path}/{name[len(start) :]}" for name in chosen}


def copied(graph: Graph, ids: Collection[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Free ids for copies of layers, and free paths for those groups that are copied whole."""
    chosen = set(ids)
    whole = [p for p, members in groups(graph).items() if chosen.issuperset(members)]
    outermost = [p for p in whole if not set(parents(p)) & set(whole)]
    taken = _taken(graph) | set(groups(graph))

    def free(name: str) -> str:
        stem, number = name.rstrip("0123456789") or "layer", 1
        while f"{stem}{number}" in taken:
            number += 1
        taken.add(f"{stem}{number}")
        return f"{stem}{number}"

    paths = {path: free(path) for path in outermost}
    names: dict[str, str] = {}
    for node in graph.nodes:
        if node.id in chosen:
            path = next((p for p in parents(node.id) if p in paths), None)
            names[node.id] = free(node.id) if path is None else paths[path] + node.id[len(path) :]
    return names, paths


def ungrouped(graph: Graph, path: str) -> dict[str, str]:
    """The new ids of a group's layers when they stand where the group stood."""
    outer = path.rpartition("/")[0]
    start = f"{outer}/" if outer else ""
    return _renamed(graph, path, start)


def regrouped(graph: Graph, path: str, new: str) -> dict[str, str]:
    """The new ids of a group's layers when the group has another path."""
    return _renamed(graph, path, f"{new}/")


def _renamed(graph: Graph, path: str, start: str) -> dict[str, str]:
    members = groups(graph).get(path, [])
    taken = _taken(graph) - set(members)
    names: dict[str, str] = {}
    for name in members:
        new = start + name[len(path) + 1 :]
        number = 2
        free = new
        while free in taken:
            free = f"{new}_{number}"
            number += 1
        names[name] = free
        taken.add(free)
    return names


def _taken(graph: Graph) -> set[str]:
    return set(graph.by_id) | graph.input_ids | {loss.id for loss in graph.losses}


def moved_folds(folded: Iterable[str], names: Mapping[str, str]) -> frozenset[str]:
    """Folded groups by their paths after layers were renamed."""
    found = set()
    for path in folded:
        new = path
        for old, name in names.items():
            rest = old[len(path) :]
            if old.startswith(f"{path}/") and name.endswith(rest) and len(name) > len(rest):
                new = name[: -len(rest)]
                break
        found.add(new)
    return frozenset(found)


# ---- plain data ------------------------------------------------------------------------------

Layout = Mapping[str, tuple[float, float]]


def to_plain(
    folded: Iterable[str], arrangements: Mapping[frozenset[str], Layout]
) -> dict[str, Any]:
    """Folded groups, and places by folded groups, as a project file holds them."""
    return {
        "folded": sorted(folded),
        "places": [
            {"folded": sorted(groups), "at": {k: list(v) for k, v in sorted(layout.items())}}
            for groups, layout in arrangements.items()
        ],
    }


def from_plain(data: Any) -> tuple[frozenset[str], dict[frozenset[str], Layout]]:
    """What ``to_plain`` wrote; what it cannot have written is left out."""
    if not isinstance(data, Mapping):
        return frozenset(), {}
    places: dict[frozenset[str], Layout] = {}
    entries = data.get("places")
    for entry in entries if isinstance(entries, list) else ():
        at = entry.get("at") if isinstance(entry, Mapping) else None
        groups_ = _strings(entry.get("folded")) if isinstance(at, Mapping) else frozenset()
        if isinstance(at, Mapping) and groups_:
            places[groups_] = {
                str(name): (float(spot[0]), float(spot[1]))
                for name, spot in at.items()
                if isinstance(spot, list | tuple)
                and len(spot) == 2
                and all(isinstance(v, int | float) and math.isfinite(v) for v in spot)
            }
    return _strings(data.get("folded")), places


def _strings(values: Any) -> frozenset[str]:
    return (
        frozenset(v for v in values if isinstance(v, str))
        if isinstance(values, list)
        else (frozenset())
    )
