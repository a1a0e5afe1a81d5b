"""Cards in line and at equal distances: pure functions from places to places."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Literal, get_args

from engine.graph import Graph
from explorer.canvas import geometry
from explorer.canvas.placement import place

Side = Literal["left", "centre", "right", "top", "middle", "bottom"]
SIDES: tuple[Side, ...] = get_args(Side)
Way = Literal["across", "down"]
Places = dict[str, tuple[float, float]]


def aligned(layout: Mapping[str, tuple[float, float]], side: Side) -> Places:
    """These cards with one side in line; what would cover another makes room in its order."""
    axis = 0 if side in ("left", "centre", "right") else 1
    values = [spot[axis] for spot in layout.values()]
    low, high = min(values, default=0.0), max(values, default=0.0)
    line = {"left": low, "top": low, "right": high, "bottom": high}.get(side, (low + high) / 2)
    other = 1 - axis
    room = geometry.size_of()[other] + geometry.ROW_GAP / 2
    found: Places = {}
    free = float("-inf")
    for name in sorted(layout, key=lambda n: (layout[n][other], layout[n][axis], n)):
        along = max(layout[name][other], free)
        free = along + room
        found[name] = (line, along) if axis == 0 else (along, line)
    return found


def distributed(layout: Mapping[str, tuple[float, float]], way: Way) -> Places:
    """These cards at equal distances between the first and the last of them."""
    axis = 0 if way == "across" else 1
    names = sorted(layout, key=lambda n: (layout[n][axis], layout[n][1 - axis], n))
    if len(names) < 3:
        return dict(layout)
    first, last = layout[names[0]][axis], layout[names[-1]][axis]
    found: Places = {}
    for i, name in enumerate(names):
        at = first + (last - first) * i / (len(names) - 1)
        spot = layout[name]
        found[name] = (at, spot[1]) if axis == 0 else (spot[0], at)
    return found


def even(layout: Mapping[str, tuple[float, float]], way: Way) -> bool:
    """Whether these cards already stand at equal distances, to a thousandth of a unit."""
    axis = 0 if way == "across" else 1
    steps = [b - a for a, b in pairwise(sorted(spot[axis] for spot in layout.values()))]
    return not steps or max(steps) - min(steps) < 1e-3


def arranged(
    graph: Graph, layout: Mapping[str, tuple[float, float]], ids: Collection[str]
) -> Places:
    """These cards laid out anew by themselves, with their upper left corner where it was.

    ``graph`` is the network as it is shown. The others stay.
    """
    inside = {name for name in ids if name in layout}
    if not inside:
        return {}
    nodes = tuple(
        replace(n, inputs=tuple(r if r is not None and r[0] in inside else None for r in n.inputs))
        for n in graph.nodes
        if n.id in inside
    )
    part = Graph(
        inputs=tuple(i for i in graph.inputs if i.id in inside),
        nodes=nodes,
        losses=tuple(x for x in graph.losses if x.id in inside),
    )
    olds = [layout[name] for name in inside]
    xs, ys = [x for x, _ in olds], [y for _, y in olds]
    wide, high = geometry.size_of()
    aspect = (max(xs) - min(xs) + wide) / (max(ys) - min(ys) + high)
    new = place(part, aspect=aspect)
    left, top = min(x for x, _ in new.values()), min(y for _, y in new.values())
    return {name: (x - left + min(xs), y - top + min(ys)) for name, (x, y) in new.items()}
