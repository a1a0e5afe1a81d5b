"""What the run in the window has to say about a lesson: sentences with its real numbers.

Each function returns None while what it speaks of has not been computed at the position: nothing
from after the cursor is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from PySide6.QtCore import QCoreApplication

from engine.cell import Cell
from engine.fields import receptive_field
from engine.graph import Graph, Ref
from engine.layers.base import Array, Cost, Spec
from engine.layers.conv2d import Conv2d
from engine.losses import softmax
from engine.paths import PathParts
from engine.trace import Gains, Kind, Trace
from explorer.narration import join_at, norm, percent
from explorer.tensors.scales import format_number


def tr(text: str) -> str:
    """The text in the language of the program."""
    return QCoreApplication.translate("Lessons", text)


@dataclass(frozen=True)
class Seen:
    """The document as a lesson sees it, at the position of the cursor."""

    graph: Graph
    specs: Mapping[Ref, Spec]
    costs: Mapping[str, Cost]
    trace: Trace | None
    position: int
    target: int | None = None
    gains: Gains = field(default_factory=dict)
    parts: tuple[PathParts, ...] = ()

    def value(self, node: str) -> Array | None:
        """The output of a layer (C, H, W) or (F,), None before it has run."""
        return self._look("value", (node, 0))

    def gradient(self, node: str) -> Array | None:
        """Its gradient."""
        return self._look("grad", (node, 0))

    def _look(self, kind: Kind, ref: Ref) -> Array | None:
        if self.trace is None:
            return None
        found = self.trace.look(kind, ref, self.position)
        return None if found is None or found.ndim < 2 else found[0]

    def channels(self, ref: Ref) -> int:
        """How many maps a tensor has."""
        return int(self.specs[ref].shape[1])


def _read(s: Seen) -> str | None:
    """What the network answers, in words."""
    if not s.graph.losses:
        return None
    scores = s.value(s.graph.losses[0].input[0])
    if scores is None or not np.isfinite(scores).all():
        return None
    shares = softmax(scores[None])[0]
    best = int(shares.argmax())
    name = s.graph.labels[best] if s.graph.labels else str(best)
    return tr("the network reads a {0}, with a share of {1}").format(name, percent(shares[best]))


def _cell(values: Array) -> tuple[int, ...]:
    """The place of the largest size."""
    return tuple(int(i) for i in np.unravel_index(int(np.abs(values).argmax()), values.shape))


def _zeros(values: Array) -> str:
    zeros = int((values == 0).sum())
    return tr("{0:,} of {1:,} cells ({2})").format(zeros, values.size, percent(zeros / values.size))


def answer(s: Seen) -> str | None:
    """What it reads, and how large it is."""
    read = _read(s)
    if read is None:
        return None
    counted = [cost.parameters for cost in s.costs.values() if cost.parameters]
    return tr("{0}. Of its {1} layers {2} have weights, {3:,} numbers in all.").format(
        read[:1].upper() + read[1:], len(s.graph.nodes), len(counted), sum(counted)
    )


def local(s: Seen) -> str | None:
    """What two cells see of the picture."""
    picture = (s.graph.inputs[0].id, 0)
    pixels = int(np.prod(s.specs[picture].shape[1:]))
    seen = []
    for name in ("conv1", "pool2"):
        shape = s.specs[name, 0].shape[1:]
        middle = Cell(name, 0, (0, *(n // 2 for n in shape[1:])))
        rows, columns = receptive_field(s.graph, middle, s.specs)[picture].padded_size
        seen.append(
            tr("a cell of {0} sees {1} × {2} = {3} of {4} pixels").format(
                name, rows, columns, rows * columns, pixels
            )
        )
    text = tr("{0}; {1}.").format(*seen)
    return text[:1].upper() + text[1:]


def sharing(s: Seen) -> str | None:
    """The weights of a convolution, and of a full connection in its place."""
    before = int(np.prod(s.specs[s.graph.inputs[0].id, 0].shape[1:]))
    shape = s.specs["conv1", 0].shape[1:]
    cells = int(np.prod(shape))
    text = tr(
        "conv1 makes {0:,} numbers with {1:,} weights, each used at {2:,} places. A full "
        "connection of the same tensors would have {3:,}."
    ).format(cells, s.costs["conv1"].parameters, shape[1] * shape[2], before * cells + cells)
    return text


def kernels(s: Seen) -> str | None:
    """How many there are, and which map is the strongest now."""
    text = tr(
        "conv1 has {0} kernels; conv2 has {1}, each of which reads all {0} maps: {2:,} weights."
    ).format(s.channels(("conv1", 0)), s.channels(("conv2", 0)), s.costs["conv2"].parameters)
    maps = s.value("conv1")
    if maps is None:
        return text
    sizes = [norm(one) for one in maps]
    best = int(np.argmax(sizes))
    return text + tr(" For this picture map {0} of conv1 is the strongest: ‖x‖ = {1}.").format(
        best, format_number(sizes[best])
    )


def bend(s: Seen) -> str | None:
    """What the first ReLU cut, and what of the gradient it lets through."""
    values = s.value("relu1")
    if values is None:
        return None
    text = tr("relu1 holds zero in {0}.").format(_zeros(values))
    gradient = s.gradient("conv1")
    if gradient is None:
        return text
    return text + tr(" Behind its door, {0} of the gradient are zero.").format(_zeros(gradient))


def pooling(s: Seen) -> str | None:
    """How much is left, and one window."""
    before, after = s.value("relu1"), s.value("pool1")
    if before is None or after is None:
        return None
    channel, row, column = _cell(after)
    window = before[channel, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
    numbers = ", ".join(format_number(float(v)) for v in window.ravel())
    return tr(
        "{0:,} numbers became {1:,}. Of the window {2} the largest, {3}, stayed: channel {4}, "
        "row {5}, column {6} of pool1."
    ).format(
        before.size,
        after.size,
        numbers,
        format_number(float(after[channel, row, column])),
        channel,
        row,
        column,
    )


def error(s: Seen) -> str | None:
    """The share of the right answer, the error, and the gradient of its score."""
    loss = s.graph.losses[0]
    scores = s.value(loss.input[0])
    told = None if s.trace is None else s.trace.look("value", (loss.id, 0), s.position)
    if scores is None or told is None or s.target is None:
        return None
    share = float(softmax(scores[None])[0, s.target])
    name = s.graph.labels[s.target] if s.graph.labels else str(s.target)
    text = tr("The right answer, {0}, has a share of {1}: the error is {2}.").format(
        name, percent(share), format_number(float(told.ravel()[0]))
    )
    gradient = s.gradient(loss.input[0])
    if gradient is None:
        return text
    return text + tr(" The gradient of its score is {0} − 1 = {1}.").format(
        format_number(share), format_number(float(gradient[s.target]))
    )


def window(s: Seen) -> str | None:
    """One window of an example, forward and backward."""
    node, picture = s.graph.nodes[0].id, s.graph.inputs[0].id
    x, y, dx = s.value(picture), s.value(node), s.gradient(picture)
    if x is None or y is None:
        return None
    text = tr("{0} → {1}.").format(_rows(x[0]), format_number(float(y.ravel()[0])))
    dy = s.gradient(node)
    if dx is None or dy is None:
        return text
    return text + tr(" Backward the gradient {0} came back as {1}.").format(
        format_number(float(dy.ravel()[0])), _rows(dx[0])
    )


def _rows(values: Array) -> str:
    return " / ".join(" ".join(format_number(float(v)) for v in row) for row in values)


def most_gradient(s: Seen, node: str = "pool1") -> Cell | None:
    """The pooled cell whose gradient is largest: the one that the sentence speaks of."""
    gradient = s.gradient(node)
    return None if gradient is None else Cell(node, 0, _cell(gradient))


def _tied(s: Seen) -> Array | None:
    """How many cells of each 2×2 window of relu1 are the largest."""
    values = s.value("relu1")
    if values is None or values.ndim != 3 or values.shape[1] % 2 or values.shape[2] % 2:
        return None
    channels, rows, columns = values.shape
    windows = values.reshape(channels, rows // 2, 2, columns // 2, 2)
    return np.asarray((windows == windows.max((2, 4), keepdims=True)).sum((2, 4)))


def routed(s: Seen) -> str | None:
    """Where the largest gradient of pool1 went, and how many cells got nothing."""
    cell, sent = most_gradient(s), s.gradient("relu1")
    won = None if s.trace is None else s.trace.look("saved", ("pool1", "argmax"), s.position)
    dy = s.gradient("pool1")
    if cell is None or sent is None or won is None or dy is None:
        return None
    width = s.specs["relu1", 0].shape[3]
    row, column = divmod(int(won[0][cell.index]), width)
    tied = _tied(s)
    equal = 1 if tied is None else int(tied[cell.index])
    winner = (
        tr("the largest of its window")
        if equal == 1
        else tr("the first of {0} equally large ones of its window").format(equal)
    )
    return tr(
        "The gradient {0} of pool1 {1} went to row {2}, column {3} of relu1, {4}; the other three "
        "cells got 0. In all of relu1, {5} have a gradient of exactly 0."
    ).format(
        format_number(float(dy[cell.index])), list(cell.index), row, column, winner, _zeros(sent)
    )


def zeros(s: Seen) -> str | None:
    """How much of a picture's gradient is zero."""
    gradient = s.gradient(s.graph.inputs[0].id)
    if gradient is None:
        return None
    y = s.specs[s.graph.nodes[0].id, 0].shape[1:]
    return tr("{0} have a gradient of exactly 0: there are {1} windows, of one cell each.").format(
        _zeros(gradient), y[1] * y[2]
    )


def adjust(s: Seen) -> str | None:
    """The weights of the first layer and what their gradient is."""
    if s.trace is None:
        return None
    gradient = s.trace.look("param_grad", ("conv1", "weight"), s.position)
    weights = s.trace.look("param", ("conv1", "weight"), s.position)
    if gradient is None or weights is None:
        return None
    count = sum(cost.parameters for cost in s.costs.values())
    return tr(
        "{0:,} numbers are adjusted. conv1: ‖weights‖ = {1}, ‖gradient‖ = {2} for this one picture."
    ).format(count, format_number(norm(weights)), format_number(norm(gradient)))


_ADD = "stage2/block2/add"


def joined(s: Seen) -> str | None:
    """What skip and branch bring to an Add."""
    total = s.value(_ADD)
    if total is None:
        return None
    node = s.graph.node(_ADD)
    parts = []
    for name, ref in zip(join_at(s.graph, _ADD).names, node.sources, strict=True):
        value = s.value(ref[0])
        if value is None:
            return None
        parts.append(f"‖{name}‖ = {format_number(norm(value))}")
    return tr("At {0}: {1}; the sum has {2}.").format(
        _ADD, ", ".join(parts), format_number(norm(total))
    )


def met(s: Seen) -> str | None:
    """The gradients that meet at the fork."""
    fork = join_at(s.graph, _ADD).fork
    if fork is None or s.trace is None:
        return None
    sizes = []
    for reader in s.graph.readers[fork]:
        part = s.trace.look("part", reader, s.position)
        if part is None:
            return None
        name = tr("skip") if reader[0] == _ADD else tr("branch")
        sizes.append(tr("over the {0} came ‖∂‖ = {1}").format(name, format_number(norm(part))))
    text = tr("To {0} {1}").format(fork[0], tr(" and ").join(sizes))
    total = s.gradient(fork[0])
    if total is None:
        return text + "."
    return text + tr("; added up, {0}.").format(format_number(norm(total)))


def paths(s: Seen) -> str | None:
    """The share of the skips alone at the first block."""
    first = next((part for part in s.parts if part.join), None)
    if first is None or not first.norm:
        return None
    text = tr(
        "At {0} there are {1:,} paths, ‖∂‖ = {2}. Through skips only came {3} of the gradient; by "
        "branches crossed: {4}."
    )
    shares = [_share(share) for share in first.shares]
    return text.format(
        first.block,
        sum(first.counts),
        format_number(first.norm),
        shares[0],
        ", ".join(shares),
    )


def _share(share: float) -> str:
    return f"−{percent(-share)}" if share < 0 else percent(share)


def what_if(s: Seen) -> str | None:
    """What the network answers with the what-if, or without."""
    read = _read(s)
    if read is None:
        return None
    if not s.gains:
        return tr("As it is, {0}.").format(read)
    muted = [
        tr("the {0} of {1} × {2}").format(
            join_at(s.graph, node).names[s.graph.node(node).slots.index(slot)],
            node.rpartition("/")[0] or node,
            format_number(gain),
        )
        for (node, slot), gain in s.gains.items()
        if node in s.graph.by_id
    ]
    return tr("With {0}, {1}.").format(", ".join(muted), read)


def span(s: Seen) -> str | None:
    """What stands on the branches of the open network."""
    joins = [n for n in s.graph.nodes if type(n.layer).__name__ == "Add"]
    inside = sum(isinstance(n.layer, Conv2d) for n in s.graph.nodes if n.id.startswith("stage1/"))
    blocks = sum(n.id.startswith("stage1/") for n in joins)
    if not blocks:
        return None
    return tr(
        "This network has {0} skips; in its first stage {1} blocks with {2} convolutions."
    ).format(len(joins), blocks, inside)


def dense(s: Seen) -> str | None:
    """The channels that stand side by side, and what of the gradient goes to each."""
    return _side_by_side(s, "block1/layer3/concat")


def inception(s: Seen) -> str | None:
    """The maps of each branch."""
    return _side_by_side(s, "inception3/a/concat")


def _side_by_side(s: Seen, join: str) -> str | None:
    node = s.graph.by_id.get(join)
    if node is None or (join, 0) not in s.specs:
        return None
    names = join_at(s.graph, join).names
    maps = [s.channels(ref) for ref in node.sources]
    text = tr("{0}: {1} = {2} maps.").format(
        join,
        " + ".join(f"{n} ({name})" for n, name in zip(maps, names, strict=True)),
        s.channels((join, 0)),
    )
    gradient, value = s.gradient(join), s.value(join)
    shown = gradient if gradient is not None else value
    if shown is None:
        return text
    cuts = [sum(maps[:i]) for i in range(1, len(maps))]
    square = max(norm(shown) ** 2, 1e-300)
    shares = ", ".join(percent(norm(part) ** 2 / square) for part in np.split(shown, cuts))
    what = tr("gradient") if gradient is not None else tr("output")
    return text + tr(" Of ‖{0}‖² that is {1}.").format(what, shares)


def separable(s: Seen) -> str | None:
    """What both halves cost, and a whole convolution in their place."""
    depth, point = "block1/depthwise/conv", "block1/pointwise/conv"
    whole = s.graph.by_id.get(depth)
    if whole is None or point not in s.costs:
        return None
    source = whole.sources[0]
    channels, maps = s.channels(source), s.channels((point, 0))
    both = s.costs[depth].multiply_adds + s.costs[point].multiply_adds
    weight = s.graph.parameter_specs(s.specs)[depth, "weight"]
    rows, columns = weight.shape[-2:]
    out = s.specs[point, 0].shape[2:]
    full = channels * maps * rows * columns * out[0] * out[1]
    return tr(
        "Both halves: {0:,} multiply-adds; a whole {1}×{2} convolution from {3} to {4} maps: "
        "{5:,}. That is {6}, and 1/{4} + 1/{7} = {8}."
    ).format(
        both,
        rows,
        columns,
        channels,
        maps,
        full,
        percent(both / full),
        rows * columns,
        percent(1 / maps + 1 / (rows * columns)),
    )


def size(s: Seen) -> str | None:
    """How large the open network is."""
    weights = sum(cost.parameters for cost in s.costs.values())
    work = sum(cost.multiply_adds for cost in s.costs.values())
    return tr("{0}: {1:,} weights, {2:,} multiply-adds for one picture.").format(
        s.graph.name, weights, work
    )
