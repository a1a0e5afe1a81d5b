"""What a cell can see of every tensor before it, and what it can change in every tensor after it.

The theoretical fields follow from the layers' extents alone, through skips, branches and
concatenations; the effective one is measured with gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from engine.cell import Cell
from engine.extent import Box, clipped, hull, whole
from engine.graph import Graph, GraphError, Loss, Node, Ref
from engine.layers.base import Array, Spec
from engine.parameters import Parameters
from engine.plan import Batch, compile, exhaust
from engine.score import Score


@dataclass(frozen=True, slots=True)
class Field:
    """The part of one tensor that takes part, as the smallest box that holds it.

    ``box`` lies inside the tensor; ``padded`` is the same with the cells of the padding, so that
    it has the size that the textbook gives and may lie partly outside. ``shape`` is the tensor's,
    without the batch.
    """

    box: Box
    padded: Box
    shape: tuple[int, ...]

    @property
    def is_whole(self) -> bool:
        """Whether the box holds every cell of the tensor."""
        return self.box == whole(self.shape)

    @property
    def size(self) -> tuple[int, ...]:
        """Cells along the last two axes of the box: (rows, columns), or the one of a vector."""
        return _size(self.box)

    @property
    def padded_size(self) -> tuple[int, ...]:
        """As ``size``, with the padding."""
        return _size(self.padded)


def _size(box: Box) -> tuple[int, ...]:
    return tuple(end - first for first, end in (box[-2:] if len(box) >= 3 else box))


@dataclass(frozen=True, slots=True)
class Geometry:
    """The receptive field of a tensor's cells in an input, by rule; pairs are (rows, columns).

    ``size`` counts the padding. ``jump`` is how far the fields of neighbouring cells are apart
    (0 where all cells see the same) and ``start`` where the field of cell (0, 0) begins, negative
    in the padding.

    Source: Araujo, Norris & Sim 2019, Computing receptive fields of convolutional networks.
    """

    size: tuple[int, int]
    jump: tuple[int, int]
    start: tuple[int, int]


def receptive_field(
    graph: Graph, cell: Cell, specs: Mapping[Ref, Spec] | None = None
) -> dict[Ref, Field]:
    """The cells of each tensor that ``cell`` depends on, its own among them.

    ``specs`` are those of ``graph.infer()``, which is asked where they are not given. A tensor
    that does not take part is left out. For what changes with the picture (the maximum of a
    window) every cell that can take part counts. Raises GraphError for a cell that does not exist.
    """
    specs = graph.infer().specs if specs is None else specs
    ref, start = _start(cell, specs)
    return _backwards(graph, specs, ref, start, start)


def _backwards(
    graph: Graph, specs: Mapping[Ref, Spec], ref: Ref, start: Box, padded_start: Box
) -> dict[Ref, Field]:
    inside: dict[Ref, Box] = {ref: start}
    padded: dict[Ref, Box] = {ref: padded_start}
    for node in reversed(graph.order):
        for port in _ports(node, specs):
            if (node.id, port) not in padded:
                continue
            connected, known = _connected(node, specs)
            for slot, source in enumerate(connected):
                extent = node.layer.extent(slot, *known, port=port)
                seen = extent.sees(padded[node.id, port], padded=True)
                if seen is not None:
                    padded[source] = _joined(padded.get(source), seen)
                if (node.id, port) in inside:
                    seen = extent.sees(inside[node.id, port])
                    if seen is not None:
                        inside[source] = _joined(inside.get(source), seen)
    return {ref: Field(box, padded[ref], specs[ref].shape[1:]) for ref, box in inside.items()}


def influence(
    graph: Graph, cell: Cell, specs: Mapping[Ref, Spec] | None = None
) -> dict[Ref, Field]:
    """The cells of each tensor that depend on ``cell``, its own among them: its field of influence.

    As :func:`receptive_field`, the other way; padding has no part in it.
    """
    specs = graph.infer().specs if specs is None else specs
    ref, start = _start(cell, specs)
    found: dict[Ref, Box] = {ref: start}
    for node in graph.order:
        connected, known = _connected(node, specs)
        for port in _ports(node, specs):
            for slot, source in enumerate(connected):
                if source not in found:
                    continue
                reached = node.layer.extent(slot, *known, port=port).reaches(found[source])
                if reached is not None:
                    found[node.id, port] = _joined(found.get((node.id, port)), reached)
    return {ref: Field(box, box, specs[ref].shape[1:]) for ref, box in found.items()}


@dataclass(frozen=True)
class Fields:
    """Both fields of one cell, tensor by tensor; its own tensor is in neither.

    ``seen``: what it depends on (receptive field). ``changed``: what depends on it (influence).
    """

    cell: Cell
    seen: Mapping[Ref, Field]
    changed: Mapping[Ref, Field]

    def at(self, ref: Ref) -> Field | None:
        """The part of a tensor that is seen or changed; None where it takes no part."""
        return self.seen.get(ref) or self.changed.get(ref)


def fields_of(graph: Graph, cell: Cell, specs: Mapping[Ref, Spec] | None = None) -> Fields:
    """Receptive field and field of influence of a cell at once; raises GraphError."""
    specs = graph.infer().specs if specs is None else specs
    own = (cell.node, cell.port)
    seen, changed = receptive_field(graph, cell, specs), influence(graph, cell, specs)
    return Fields(
        cell,
        {ref: field for ref, field in seen.items() if ref != own},
        {ref: field for ref, field in changed.items() if ref != own},
    )


def geometry(
    graph: Graph, ref: Ref, specs: Mapping[Ref, Spec] | None = None, source: Ref | None = None
) -> Geometry | None:
    """Size, jump and start of the fields that the maps ``ref`` have in ``source``.

    ``source`` is the first input unless given. None where either is no map or they do not meet.
    """
    specs = graph.infer().specs if specs is None else specs
    source = source or (graph.inputs[0].id, 0)
    if ref not in specs or any(len(specs[r].shape) != 4 for r in (ref, source)):
        return None
    channels = (0, specs[ref].shape[1])
    fields = []
    for place in (0, 1):  # the cell beside the first need not exist: the rule is the same
        box = (channels, (place, place + 1), (place, place + 1))
        first = (channels, (0, 1), (0, 1))
        fields.append(_backwards(graph, specs, ref, first, box).get(source))
    here, beside = fields
    if here is None or beside is None:
        return None
    (top, bottom), (left, right) = here.padded[1:]
    below, aside = beside.padded[1][0], beside.padded[2][0]
    return Geometry((bottom - top, right - left), (below - top, aside - left), (top, left))


def _start(cell: Cell, specs: Mapping[Ref, Spec]) -> tuple[Ref, Box]:
    ref = (cell.node, cell.port)
    box = tuple((i, i + 1) for i in cell.index)
    if ref not in specs:
        raise GraphError(f"Expected a cell of a tensor whose shape is known, received {cell}.")
    shape = specs[ref].shape[1:]
    if len(shape) != len(box) or clipped(box, shape) != box:
        raise GraphError(f"{cell}: expected an index inside {specs[ref]}.")
    return ref, box


def _ports(node: Node, specs: Mapping[Ref, Spec]) -> Iterable[int]:
    port = 0
    while (node.id, port) in specs:
        yield port
        port += 1


def _connected(node: Node, specs: Mapping[Ref, Spec]) -> tuple[list[Ref], list[Spec]]:
    refs = [ref for ref in node.inputs if ref is not None and ref in specs]
    return refs, [specs[ref] for ref in refs]


def _joined(known: Box | None, more: Box) -> Box:
    joined = hull(known, more)
    assert joined is not None
    return joined


def input_gradients(
    graph: Graph, parameters: Parameters, cell: Cell, pictures: Array, dtype: str = "float64"
) -> Array:
    """∂ cell / ∂ input for each picture, of the shape and order of ``pictures`` (N, …).

    The network runs in evaluation mode, and only as far as the cell. Raises GraphError for a cell
    that does not exist or lies in an input, or a graph that has not exactly one input.
    """
    if len(graph.inputs) != 1:
        raise GraphError(f"Expected a network with one input, received {len(graph.inputs)}.")
    _start(cell, graph.infer().specs)
    needed = graph.ancestors(cell.node) | {cell.node}
    part = replace(
        graph,
        nodes=tuple(node for node in graph.nodes if node.id in needed),
        outputs=(),
        losses=(Loss("score", Score(cell.index), (cell.node, cell.port)),),
    )
    if cell.node not in part.by_id:
        raise GraphError(f"{cell}: expected a cell of a layer, received one of an input.")
    used = {node.owner for node in part.nodes}
    own = {key: array for key, array in parameters.items() if key[0] in used}
    plan = compile(part, own, batch=len(pictures), mode="eval", dtype=dtype)
    exhaust(plan.run(Batch.of(part, pictures, np.zeros(len(pictures), int))))
    gradient = plan.gradient((part.inputs[0].id, 0))
    return np.zeros(pictures.shape, dtype) if gradient is None else np.array(gradient)


def effective_receptive_field(
    graph: Graph,
    parameters: Parameters,
    cell: Cell,
    pictures: Array,
    *,
    batch: int = 16,
    dtype: str = "float64",
    progress: Callable[[int, int], None] | None = None,
) -> Array:
    """How much each input cell really changes ``cell``: mean |∂ cell / ∂ input| (C, H, W).

    ``pictures`` (N, C, H, W) are averaged over, in batches of ``batch``. The result is no larger
    than the theoretical field and usually falls off like a bell from its centre. ``progress`` is
    told how many pictures are done, of how many; what it raises ends the work.

    Source: Luo, Li, Urtasun & Zemel 2016, Understanding the effective receptive field.
    """
    if not len(pictures):
        raise ValueError("Pictures: expected at least one, received none.")
    total = np.zeros(pictures.shape[1:])
    for first in range(0, len(pictures), batch):
        some = pictures[first : first + batch]
        total += np.abs(input_gradients(graph, parameters, cell, some, dtype)).sum(0)
        if progress is not None:
            progress(first + len(some), len(pictures))
    return np.asarray(total / len(pictures), dtype)


@dataclass(frozen=True, slots=True)
class Spread:
    """How an effective field is spread; pairs are (rows, columns).

    ``middle`` is its centre of weight, ``deviation`` the standard deviation around it (Luo et al.:
    √(2n/3) behind n uniform 3×3 layers). ``half`` and ``most`` are the sides of the smallest
    squares around the middle cell that hold 50% and 95% of it, clipped at the borders.
    """

    middle: tuple[float, float]
    deviation: tuple[float, float]
    half: int
    most: int


def spread(effective: Array) -> Spread | None:
    """The spread of a map of sizes (C, H, W) or (H, W); None where all of it is zero or not finite.

    Channels are added up.
    """
    weight = np.abs(np.asarray(effective, np.float64))
    weight = weight.sum(0) if weight.ndim == 3 else weight
    total = float(weight.sum())
    if not total or not np.isfinite(total):
        return None
    rows, columns = np.arange(weight.shape[0]), np.arange(weight.shape[1])
    by_row, by_column = weight.sum(1) / total, weight.sum(0) / total
    middle = float(rows @ by_row), float(columns @ by_column)
    deviation = (
        float(np.sqrt((rows - middle[0]) ** 2 @ by_row)),
        float(np.sqrt((columns - middle[1]) ** 2 @ by_column)),
    )
    row, column = round(middle[0]), round(middle[1])
    # of each cell, how large the square must be to hold it
    distance = np.maximum(np.abs(rows - row)[:, None], np.abs(columns - column)[None, :])
    held = np.cumsum(np.bincount(distance.ravel(), weight.ravel())) / total
    half, most = (2 * int(np.searchsorted(held, share - 1e-12)) + 1 for share in (0.5, 0.95))
    return Spread(middle, deviation, half, most)


def centre(ref: Ref, specs: Mapping[Ref, Spec], channel: int = 0) -> Cell:
    """The middle cell of a map, or the first of a vector."""
    shape = specs[ref].shape[1:]
    if len(shape) == 1:
        return Cell(*ref, (channel,))
    return Cell(*ref, (channel, *(size // 2 for size in shape[1:])))
