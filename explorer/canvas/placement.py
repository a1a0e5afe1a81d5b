"""Automatic layout: layers by longest path, few crossings, a straight main path, wrapped columns.

Pure: a graph in, positions out. The same graph gives the same positions.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.graph import CycleError, Graph
from explorer.canvas import geometry
from explorer.folding import parents

Size = tuple[float, float]
ASPECT = 16 / 9
SWEEPS = 4
# With more rows than this one height of columns is tried instead of several.
MANY = 120


def edges_of(graph: Graph) -> list[tuple[str, str, int]]:
    """(source id, reader id, slot) of every connection whose both ends exist."""
    known = set(graph.input_ids) | set(graph.by_id) | {loss.id for loss in graph.losses}
    found = [
        (ref[0], node.id, slot)
        for node in graph.nodes
        for slot, ref in enumerate(node.inputs)
        if ref is not None and ref[0] in known
    ]
    found += [(x.input[0], x.id, 0) for x in graph.losses if x.input[0] in known]
    return found


def ranks(graph: Graph) -> dict[str, int]:
    """Longest distance of every input, node and loss from the start, in edges.

    In a circle, which has no order, the nodes count in the order in which they were made.
    """
    try:
        order = graph.order
    except CycleError:
        order = graph.nodes
    rank = {i.id: 0 for i in graph.inputs}
    for node in order:
        rank[node.id] = 1 + max(
            (rank.get(ref[0], -1) for ref in node.inputs if ref is not None), default=-1
        )
    for loss in graph.losses:
        rank[loss.id] = rank.get(loss.input[0], -1) + 1
    return rank


def main_path(
    graph: Graph,
    rank: Mapping[str, int] | None = None,
    edges: Sequence[tuple[str, str, int]] | None = None,
) -> frozenset[str]:
    """Ids along one longest path, the one that is drawn straight.

    ``rank`` and ``edges`` are those of the graph, where they are known already.
    """
    rank = ranks(graph) if rank is None else rank
    sources: dict[str, list[str]] = {}
    for source, reader, _ in edges_of(graph) if edges is None else edges:
        sources.setdefault(reader, []).append(source)
    if not rank:
        return frozenset()
    current: str | None = max(rank, key=rank.__getitem__)
    path = set()
    while current is not None and current not in path:
        path.add(current)
        before = [s for s in sources.get(current, ()) if rank[s] == rank[current] - 1]
        current = before[0] if before else None
    return frozenset(path)


@dataclass(frozen=True)
class _Row:
    """One rank: its ids from left to right and their x."""

    ids: tuple[str, ...]
    left: float
    right: float
    height: float


def _ordered(
    rows: list[list[str]],
    above: Mapping[str, list[str]],
    below: Mapping[str, list[str]],
    main: frozenset[str],
) -> None:
    """Sort each row by the mean place of its neighbours, the main path first of equals."""
    place = {name: float(i) for row in rows for i, name in enumerate(row)}
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else reversed(rows):
            if len(row) < 2:
                continue
            near = above if down else below

            def key(name: str, near: Mapping[str, list[str]] = near) -> tuple[float, bool]:
                around = near.get(name)
                if name in main:
                    return -1.0, False
                if not around:
                    return place[name], True
                return sum(place[other] for other in around) / len(around), True

            row.sort(key=key)
            for i, name in enumerate(row):
                place[name] = float(i)


def _coordinates(
    rows: list[list[str]],
    above: Mapping[str, list[str]],
    below: Mapping[str, list[str]],
    main: frozenset[str],
    sizes: Mapping[str, Size],
) -> dict[str, float]:
    """x of every centre: the main path at 0, the others to its right near their neighbours."""
    centre: dict[str, float] = {}
    for row in rows:
        x = 0.0
        for i, name in enumerate(row):
            half = sizes[name][0] / 2
            if i:
                x += half
            centre[name] = x
            x += half + geometry.COLUMN_GAP
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        near = above if down else below
        for row in rows if down else reversed(rows):
            if len(row) < 2 and row[0] in main:
                continue
            edge = -math.inf
            for name in row:
                half = sizes[name][0] / 2
                around = [centre[n] for n in near.get(name, ()) if n not in main]
                wish = (
                    0.0
                    if name in main
                    else (sorted(around)[len(around) // 2] if around else centre[name])
                )
                centre[name] = max(wish, edge + half)
                edge = centre[name] + half + geometry.COLUMN_GAP
    return centre


def _cuts(heights: Sequence[float], crossing: Sequence[int], tallest: float) -> list[int]:
    """First row of each column, none higher than ``tallest``, cut by the fewest edges."""
    sums = [0.0, *itertools.accumulate(heights)]
    total = np.array(sums)
    rows = len(heights)
    cut = np.array([0, *crossing[1:rows]], float)
    # best[r]: cost of the rows before r, with a column that ends there; a column costs a little,
    # and an empty end of one as well, so that columns are about equally high.
    best = np.full(rows + 1, np.inf)
    best[0] = 0.0
    before = [0] * (rows + 1)
    first = 0
    for r in range(1, rows + 1):
        while first < r - 1 and sums[r] - sums[first] > tallest:
            first += 1
        empty = 1 - (sums[r] - total[first:r]) / tallest
        cost = best[first:r] + cut[first:r] + 0.1 + empty * empty * 0.5
        least = len(cost) - 1 - int(cost[::-1].argmin())  # of equals the shortest column
        best[r], before[r] = cost[least], first + least
    cuts = []
    r = rows
    while r:
        r = before[r]
        cuts.append(r)
    return cuts[::-1]


def _beginnings(rows: Sequence[Sequence[str]]) -> set[int]:
    """The rows, but for the first, in which a group of several begins: its name stands above."""
    first: dict[str, int] = {}
    several: set[str] = set()
    for r, row in enumerate(rows):
        for name in row:
            for path in parents(name.removesuffix("/")):
                if path in first:
                    several.add(path)
                else:
                    first[path] = r
    return {first[path] for path in several} - {0}


def _crossing(spans: Sequence[tuple[int, int]], rows: int) -> list[int]:
    """How many of the spans (first row, last row) cross the boundary above each row."""
    change = [0] * (rows + 2)
    for first, last in spans:
        if last > first:
            change[first + 1] += 1
            change[last + 1] -= 1
    return list(itertools.accumulate(change))[: rows + 1]


def place(
    graph: Graph, sizes: Mapping[str, Size] | None = None, aspect: float = ASPECT
) -> dict[str, tuple[float, float]]:
    """Top-left position of every input, node and loss, from the top to the bottom.

    A long chain continues at the top of the next column, so that the whole fits an area whose
    width is ``aspect`` times its height. ``sizes`` are widths and heights by id, where they differ
    from a card's. The main path of each column is a straight line; paths beside it and lanes for
    skips lie to its right.
    """
    rank = ranks(graph)
    if not rank:
        return {}
    given = sizes or {}
    size = {name: given.get(name, geometry.size_of()) for name in rank}
    edges = edges_of(graph)
    main = main_path(graph, rank, edges)
    above: dict[str, list[str]] = {}
    below: dict[str, list[str]] = {}
    for source, reader, _ in edges:
        above.setdefault(reader, []).append(source)
        below.setdefault(source, []).append(reader)
    rows: list[list[str]] = [[] for _ in range(max(rank.values()) + 1)]
    for name, r in rank.items():
        rows[r].append(name)
    rows = [row for row in rows if row]
    index = {name: i for i, row in enumerate(rows) for name in row}
    for row in rows:
        row.sort(key=lambda name: name not in main)
    _ordered(rows, above, below, main)
    centre = _coordinates(rows, above, below, main, size)

    # A cut counts every edge that crosses it; lanes are shared by the readers of a tensor.
    reach: dict[str, int] = {}
    for source, reader, _ in edges:
        reach[source] = max(reach.get(source, 0), index[reader])
    crossing = _crossing([(index[s], index[r]) for s, r, _ in edges], len(rows))
    tensors = _crossing([(index[s], last) for s, last in reach.items()], len(rows))
    lanes = [min(6, max(0, c - 1)) for c in tensors]
    spans = [
        (
            min(centre[n] - size[n][0] / 2 for n in row),
            max(centre[n] + size[n][0] / 2 for n in row),
        )
        for row in rows
    ]
    heights = [max(size[n][1] for n in row) + geometry.ROW_GAP for row in rows]
    for first in _beginnings(rows):
        heights[first - 1] += geometry.HEADROOM

    def extent(cuts: list[int]) -> tuple[list[tuple[int, int]], list[float], list[float], float]:
        ends = [*cuts[1:], len(rows)]
        parts = list(zip(cuts, ends, strict=True))
        lefts = [min(spans[r][0] for r in range(a, b)) for a, b in parts]
        rights = [
            max(
                spans[r][1] + (lanes[r] and (lanes[r] + 1.5) * geometry.LANE_GAP)
                for r in range(a, b)
            )
            for a, b in parts
        ]
        tall = max(sum(heights[a:b]) for a, b in parts) - geometry.ROW_GAP
        return parts, lefts, rights, tall

    best = None
    best_zoom = 0.0
    typical = sum(heights) / len(rows)
    wanted = math.sqrt(sum(heights) * (geometry.WIDTH + geometry.COLUMN_GAP) / aspect) / typical
    if len(rows) <= MANY:
        counts: Iterable[int] = range(max(1, round(wanted * 0.6)), round(wanted * 1.7) + 2)
    else:
        counts = (round(wanted),)
    for count in counts:
        cuts = _cuts(heights, crossing, count * typical * 1.01)
        parts, lefts, rights, tall = extent(cuts)
        wide = sum(b - a for a, b in zip(lefts, rights, strict=True))
        wide += geometry.COLUMN_GAP * (len(parts) - 1)
        cut_edges = sum(crossing[r] - 1 for r in cuts[1:])
        zoom = min(aspect / wide, 1 / tall) * (1 - min(0.5, 0.06 * cut_edges)) * 0.985 ** len(cuts)
        if zoom > best_zoom:
            best, best_zoom = (parts, lefts, rights), zoom
    assert best is not None
    parts, lefts, rights = best
    found: dict[str, tuple[float, float]] = {}
    x = 0.0
    for (a, b), left, right in zip(parts, lefts, rights, strict=True):
        y = 0.0
        for r in range(a, b):
            for name in rows[r]:
                width, height = size[name]
                inner = max(size[n][1] for n in rows[r])
                found[name] = (
                    round(x + centre[name] - width / 2 - left, 2),
                    round(y + (inner - height) / 2, 2),
                )
            y += heights[r]
        x += right - left + geometry.COLUMN_GAP
    return found
