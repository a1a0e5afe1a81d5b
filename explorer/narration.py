"""What one step of a run did, as one plain sentence whose numbers are read from the trace.

Nothing is computed here but sums, counts and norms of recorded arrays; the numbers are links to
the cells that hold them. Rows, columns and channels count from 0, as in every view.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import NamedTuple

import numpy as np
from PySide6.QtCore import QCoreApplication

from engine.cell import Cell
from engine.graph import Graph, Loss, Node, Ref
from engine.layers.base import Array, pair
from engine.trace import Key, Step, Trace
from explorer.tensors.scales import format_number


@dataclass(frozen=True)
class Text:
    """Plain words."""

    text: str


@dataclass(frozen=True)
class Link:
    """Words that stand for a place: a cell of a tensor, or a node by its id."""

    text: str
    target: Cell | str


@dataclass(frozen=True)
class Sentence:
    """Words and links in order; ``phase`` is that of the step, empty where there was none."""

    parts: tuple[Text | Link, ...] = ()
    phase: str = ""

    @property
    def text(self) -> str:
        """The sentence without its links."""
        return "".join(part.text for part in self.parts)

    @property
    def links(self) -> tuple[Link, ...]:
        return tuple(part for part in self.parts if isinstance(part, Link))


def tr(text: str) -> str:
    """The text in the language of the program."""
    return QCoreApplication.translate("Narration", text)


def phase_name(phase: str) -> tuple[str, str]:
    """What a phase is called on the screen, and its engine word; KeyError for another name."""
    return {
        "forward": (tr("Predict"), tr("forward")),
        "loss": (tr("Measure error"), tr("loss")),
        "backward": (tr("Send blame back"), tr("backward")),
        "accumulate": (tr("Add up"), tr("accumulate")),
        "update": (tr("Adjust"), tr("update")),
    }[phase]


# ---- paths -------------------------------------------------------------------------------------


class Join(NamedTuple):
    """Where the paths from one fork meet again: node, the fork's tensor, a name for each input."""

    node: str
    fork: Ref | None
    names: tuple[str, ...]


def join_at(graph: Graph, node_id: str) -> Join:
    """The paths into a node with several inputs, named skip and branch.

    The skip is the input whose path from the fork is the shorter one: none at all for an identity,
    a projection for a block that changes the shape. Of equal paths none is called a skip.
    """
    node = graph.node(node_id)
    sources = [ref for ref in node.inputs if ref is not None]
    plain = tuple(tr("input {number}").format(number=i + 1) for i in range(len(sources)))
    if len(sources) < 2:
        return Join(node_id, None, plain)
    behind = [graph.ancestors(ref[0]) | {ref[0]} for ref in sources]
    common = frozenset.intersection(*behind)
    if not common:
        return Join(node_id, None, plain)
    order = {name: i for i, name in enumerate((*graph.input_ids, *(n.id for n in graph.order)))}
    fork = max(common, key=lambda name: order[name])
    lengths = [len(path - common) for path in behind]
    shortest = min(lengths)
    port = next((ref[1] for ref in sources if ref[0] == fork), 0)
    if lengths.count(shortest) > 1:
        return Join(node_id, (fork, port), plain)
    names, branches = [], 0
    for length in lengths:
        if length == shortest:
            names.append(tr("skip"))
        else:
            branches += 1
            names.append(tr("branch") if branches == 1 else f"{tr('branch')} {branches}")
    return Join(node_id, (fork, port), tuple(names))


def readers_at(graph: Graph, ref: Ref) -> dict[tuple[str, int], str]:
    """A name for each (reader, slot) of a tensor: skip, branch, or the reader's id."""
    readers = graph.readers.get(ref, ())
    names = {reader: reader[0] for reader in readers}
    if len(readers) < 2:
        return names
    for node in graph.order:
        if len(node.inputs) < 2 or ref[0] not in graph.ancestors(node.id):
            continue
        join = join_at(graph, node.id)
        if join.fork is None or join.fork[0] != ref[0]:
            continue
        connected = [i for i, source in enumerate(node.inputs) if source is not None]
        for slot, name in zip(connected, join.names, strict=True):
            source = node.inputs[slot]
            assert source is not None
            inside = graph.ancestors(source[0]) | {source[0]}
            for reader in readers:
                if reader == (node.id, slot) or (reader[0] in inside and reader[0] != ref[0]):
                    names[reader] = name
        break
    return names


# ---- numbers -----------------------------------------------------------------------------------


def norm(array: Array) -> float:
    """The Euclidean norm in float64."""
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.sqrt(np.square(array, dtype=np.float64).sum()))


def cosine(a: Array, b: Array) -> float | None:
    """The cosine between two tensors, None where one of them is zero or not finite."""
    length = norm(a) * norm(b)
    if not (length > 0 and math.isfinite(length)):
        return None
    return float(np.vdot(a.astype(np.float64), b.astype(np.float64)) / length)


def percent(share: float) -> str:
    """A share as a percentage that is not rounded to 0 or 100 unless it is exactly that."""
    if not math.isfinite(share):
        return format_number(share)
    if 0 < share < 1e-4:
        return f"{format_number(100 * share)}%"
    for digits in range(1, 7):
        text = f"{100 * share:.{digits}f}"
        if share in (0.0, 1.0) or float(text) not in (0.0, 100.0):
            break
    return f"{text.rstrip('0').rstrip('.')}%"


def shape_text(shape: Sequence[int]) -> str:
    """3×28×28, or 10 for a vector."""
    return "×".join(map(str, shape)) or tr("one number")


def size_text(value: int | tuple[int, ...]) -> str:
    """5×5 of a hyper-parameter that may be one number."""
    return "×".join(map(str, pair(value)))  # type: ignore[arg-type]


def where_text(index: Sequence[int]) -> str:
    """A place in words, without its tensor."""
    if len(index) == 3:
        return tr("channel {0} at row {1}, column {2}").format(*index)
    if len(index) == 1:
        return tr("number {0}").format(*index)
    return tr("place {0}").format(", ".join(map(str, index)))


def strongest(array: Array, *, signed: bool = False) -> tuple[int, ...] | None:
    """The index of the largest finite value (of the largest size if ``signed``), None if none."""
    finite = np.isfinite(array)
    if not finite.any():
        return None
    sizes = np.abs(array) if signed else array
    if not finite.all():
        sizes = np.where(finite, sizes, -np.inf)
    return tuple(int(i) for i in np.unravel_index(int(sizes.argmax()), array.shape))


def _fill(template: str, **values: str | Link) -> tuple[Text | Link, ...]:
    """The template with words and links in the places of its names."""
    parts: list[Text | Link] = []
    for literal, name, _, _ in Formatter().parse(template):
        for piece in (literal, values[name] if name else ""):
            if isinstance(piece, Link):
                parts.append(piece)
            elif piece and parts and isinstance(parts[-1], Text):
                parts[-1] = Text(parts[-1].text + piece)
            elif piece:
                parts.append(Text(piece))
    return tuple(parts)


def _node(node_id: str) -> Link:
    return Link(node_id, node_id)


class _Run(NamedTuple):
    """What a sentence may look at: the step, and the arrays that it read and wrote."""

    graph: Graph
    trace: Trace
    step: Step
    labels: Sequence[str]
    assumed: bool

    def array(self, key: Key) -> Array:
        """The array without the batch axis; parameters as they are."""
        array = self.trace.at(key)
        if key.kind in ("value", "grad", "part") and array.ndim:
            return array[0]
        return array

    def inputs(self) -> list[tuple[Ref, Array]]:
        """Tensors that the step read in forward, by reference."""
        return [(k.ref, self.array(k)) for k in self.step.reads if k.kind == "value"]

    def saved(self, node_id: str, name: str) -> Array | None:
        return self.trace.look("saved", (node_id, name), self.step.index + 1)

    def upstream(self) -> tuple[Ref, Array] | None:
        for key in self.step.reads:
            if key.kind == "grad":
                return key.ref, self.array(key)
        return None

    def downstream(self) -> list[tuple[Ref, Array]]:
        """(tensor, gradient) that the step sends to each input that wants one."""
        found = []
        for key in self.step.writes:
            if key.kind == "grad":
                found.append((key.ref, self.array(key)))
            elif key.kind == "part":
                reader, slot = key.ref
                source = self.graph.source_of(reader, slot)
                if source is not None:
                    found.append((source, self.array(key)))
        return found

    def parameter_gradients(self) -> list[tuple[str, Array]]:
        return [
            (key.ref[1], self.array(key))
            for key in self.step.writes
            if key.kind in ("param_grad", "param_part")
        ]

    def class_name(self, index: int) -> str:
        return self.labels[index] if 0 <= index < len(self.labels) else str(index)

    def source_name(self, ref: Ref) -> Link | str:
        if ref[0] in self.graph.input_ids:
            return Link(tr("the picture"), ref[0])
        return _node(ref[0])


Parts = tuple[Text | Link, ...]
Describe = Callable[[_Run, Node], Parts]


def _number(ref: Ref, array: Array, index: tuple[int, ...]) -> Link:
    return Link(format_number(float(array[index])), Cell(ref[0], ref[1], index))


def _peak(run: _Run, array: Array, ref: Ref, template: str, *, signed: bool = False) -> Parts:
    """A clause about the strongest cell; ``template`` has {value} and {where}."""
    index = strongest(array, signed=signed)
    if index is None:
        return _fill(tr("; no number of it is finite"))
    parts = _fill(template, value=_number(ref, array, index), where=where_text(index))
    wrong = int(array.size - np.isfinite(array).sum())
    if wrong:
        parts += _fill(tr(" ({wrong} are NaN or infinite)"), wrong=str(wrong))
    return parts


def _out(run: _Run) -> tuple[Ref, Array]:
    key = run.step.writes[0]
    return key.ref, run.array(key)


# ---- forward -----------------------------------------------------------------------------------


def _conv(run: _Run, node: Node) -> Parts:
    ref, y = _out(run)
    source, _ = run.inputs()[0]
    layer = node.layer
    size = size_text(getattr(layer, "kernel_size", 1))
    return _fill(
        tr("{node} slid {count} kernels of {size} over {source}"),
        node=_node(node.id),
        count=str(y.shape[0]),
        size=size,
        source=run.source_name(source),
    ) + _peak(run, y, ref, tr("; the strongest answer is {value} in {where}."))


def _relu(run: _Run, node: Node) -> Parts:
    ref, y = _out(run)
    zeros = int((y == 0).sum())
    return _fill(
        tr("{node} set {zeros} of {count} cells ({share}) to zero"),
        node=_node(node.id),
        zeros=str(zeros),
        count=str(y.size),
        share=percent(zeros / y.size),
    ) + _peak(run, y, ref, tr(" and let the rest through; the largest is {value} in {where}."))


def _squash(low: str, high: str) -> Describe:
    def describe(run: _Run, node: Node) -> Parts:
        ref, y = _out(run)
        return _fill(
            tr("{node} squeezed every number to between {low} and {high}"),
            node=_node(node.id),
            low=low,
            high=high,
        ) + _peak(run, y, ref, tr("; the largest is {value} in {where}."))

    return describe


def _max_pool(run: _Run, node: Node) -> Parts:
    ref, y = _out(run)
    source, x = run.inputs()[0]
    index = strongest(y)
    argmax = run.saved(node.id, "argmax")
    parts = _fill(
        tr("{node} kept the largest of each {size} window"),
        node=_node(node.id),
        size=size_text(getattr(node.layer, "kernel_size", 1)),
    )
    if index is None or argmax is None:
        return parts + _peak(run, y, ref, tr("; the largest of all is {value} in {where}."))
    row, column = divmod(int(argmax[0][index]), x.shape[-1])
    return parts + _fill(
        tr("; the largest of all, {value} in {where}, came from {place} of {source}."),
        value=_number(ref, y, index),
        where=where_text(index),
        place=Link(
            tr("row {row}, column {column}").format(row=row, column=column),
            Cell(source[0], source[1], (index[0], row, column)),
        ),
        source=run.source_name(source),
    )


def _average_pool(run: _Run, node: Node) -> Parts:
    ref, y = _out(run)
    return _fill(
        tr("{node} averaged each {size} window"),
        node=_node(node.id),
        size=size_text(getattr(node.layer, "kernel_size", 1)),
    ) + _peak(run, y, ref, tr("; the largest average is {value} in {where}."))


def _global_average(run: _Run, node: Node) -> Parts:
    ref, y = _out(run)
    _, x = run.inputs()[0]
    return _fill(
        tr("{node} averaged each of {count} maps of {size} to one number"),
        node=_node(node.id),
        count=str(x.shape[0]),
        size=shape_text(x.shape[1:]),
    ) + _peak(run, y, ref, tr("; the largest is {value} in {where}."))


def _flatten(run: _Run, node: Node) -> Parts:
    ref, y = _out(run)
    _, x = run.inputs()[0]
    return _fill(
        tr("{node} laid the {shape} numbers in one row of {count}; none of them changed"),
        node=_node(node.id),
        shape=shape_text(x.shape),
        count=str(y.size),
    ) + _peak(run, y, ref, tr(", the largest is still {value}."))


def _linear(run: _Run, node: Node) -> Parts:
    ref, y = _out(run)
    _, x = run.inputs()[0]
    parts = _fill(
        tr("{node} weighed all {inputs} numbers once for each of {outputs} answers"),
        node=_node(node.id),
        inputs=str(x.size),
        outputs=str(y.size),
    )
    index = strongest(y)
    if index is not None and any(loss.input == ref for loss in run.graph.losses):
        return parts + _fill(
            tr("; the highest score is {value}, for {label}."),
            value=_number(ref, y, index),
            label=Link(run.class_name(index[0]), Cell(ref[0], ref[1], index)),
        )
    return parts + _peak(run, y, ref, tr("; the largest is {value}, {where}."))


def _batch_norm(run: _Run, node: Node) -> Parts:
    ref, y = _out(run)
    _, x = run.inputs()[0]
    return _fill(
        tr(
            "{node} shifted and scaled each of {count} maps: together their mean went from "
            "{mean} to {new_mean}, their spread from {spread} to {new_spread}"
        ),
        node=_node(node.id),
        count=str(y.shape[0]),
        mean=format_number(float(x.mean(dtype=np.float64))),
        new_mean=format_number(float(y.mean(dtype=np.float64))),
        spread=format_number(float(x.std(dtype=np.float64))),
        new_spread=format_number(float(y.std(dtype=np.float64))),
    ) + _peak(run, y, ref, tr("; the largest is {value} in {where}."))


def _dropout(run: _Run, node: Node) -> Parts:
    ref, y = _out(run)
    _, x = run.inputs()[0]
    dropped = int(((y == 0) & (x != 0)).sum())
    if not dropped and np.array_equal(x, y, equal_nan=True):
        return _fill(
            tr("{node} let all {count} numbers through unchanged"),
            node=_node(node.id),
            count=str(y.size),
        ) + _peak(run, y, ref, tr("; the largest is {value} in {where}."))
    return _fill(
        tr("{node} set {dropped} of {count} numbers to zero by chance"),
        node=_node(node.id),
        dropped=str(dropped),
        count=str(y.size),
    ) + _peak(run, y, ref, tr(" and enlarged the rest; the largest is {value} in {where}."))


def _add(run: _Run, node: Node) -> Parts:
    ref, y = _out(run)
    join = join_at(run.graph, node.id)
    inputs = run.inputs()
    index = strongest(y, signed=True)
    if index is None:
        return _fill(tr("{node} added its inputs"), node=_node(node.id)) + _peak(run, y, ref, "")
    parts = _fill(tr("{node} added "), node=_node(node.id))
    parts += _listed(
        _fill("{source} ({name})", source=run.source_name(source), name=name)
        for name, (source, _) in zip(join.names, inputs, strict=True)
    )
    parts += _fill(tr(" cell by cell; in {where}, "), where=where_text(index))
    for i, (source, x) in enumerate(inputs):
        parts += _fill(" + {value}" if i else "{value}", value=_number(source, x, index))
    return parts + _fill(tr(" = {value}."), value=_number(ref, y, index))


def _multiply(run: _Run, node: Node) -> Parts:
    ref, y = _out(run)
    return _fill(tr("{node} multiplied its inputs cell by cell"), node=_node(node.id)) + _peak(
        run, y, ref, tr("; the strongest is {value} in {where}."), signed=True
    )


def _concat(run: _Run, node: Node) -> Parts:
    ref, y = _out(run)
    inputs = run.inputs()
    parts = _fill(tr("{node} put "), node=_node(node.id))
    parts += _listed(
        _fill("{source} ({shape})", source=run.source_name(source), shape=shape_text(x.shape))
        for source, x in inputs
    )
    parts += _fill(tr(" behind one another: {shape}"), shape=shape_text(y.shape))
    return parts + _peak(run, y, ref, tr("; the largest is {value} in {where}."))


def _softmax(run: _Run, node: Node) -> Parts:
    ref, y = _out(run)
    index = strongest(y)
    if index is None:
        return _fill(tr("{node} made shares"), node=_node(node.id)) + _peak(run, y, ref, "")
    return _fill(
        tr(
            "{node} turned {count} scores into shares that add up to 1; the largest, {share}, "
            "goes to {label}."
        ),
        node=_node(node.id),
        count=str(y.size),
        share=Link(percent(float(y[index])), Cell(ref[0], ref[1], index)),
        label=run.class_name(index[0]),
    )


def _any_forward(run: _Run, node: Node) -> Parts:
    ref, y = _out(run)
    return _fill(
        tr("{node} ({kind}) made {shape} numbers"),
        node=_node(node.id),
        kind=node.layer.title or type(node.layer).__name__,
        shape=shape_text(y.shape),
    ) + _peak(run, y, ref, tr("; the strongest is {value} in {where}."), signed=True)


FORWARD: dict[str, Describe] = {
    "Conv2d": _conv,
    "ConvTranspose2d": _conv,
    "ReLU": _relu,
    "LeakyReLU": _relu,
    "Sigmoid": _squash("0", "1"),
    "Tanh": _squash("−1", "1"),
    "MaxPool2d": _max_pool,
    "AvgPool2d": _average_pool,
    "GlobalAvgPool": _global_average,
    "Flatten": _flatten,
    "Linear": _linear,
    "BatchNorm2d": _batch_norm,
    "Dropout": _dropout,
    "Add": _add,
    "Multiply": _multiply,
    "Concat": _concat,
    "Softmax": _softmax,
}
"""How a layer's forward step is told, by the name of its class; others are told in general."""


# ---- backward ----------------------------------------------------------------------------------


def _listed(clauses: Iterable[Parts]) -> Parts:
    """Clauses joined by commas and "and"."""
    items = list(clauses)
    parts: Parts = ()
    for i, item in enumerate(items):
        if i:
            parts += (Text(tr(" and ") if i == len(items) - 1 else ", "),)
        parts += item
    return _merged(parts)


def _merged(parts: Parts) -> Parts:
    found: list[Text | Link] = []
    for part in parts:
        if isinstance(part, Text) and found and isinstance(found[-1], Text):
            found[-1] = Text(found[-1].text + part.text)
        elif part.text:
            found.append(part)
    return tuple(found)


def _weights_clause(run: _Run, node: Node) -> Parts:
    """How strongly the parameters are blamed."""
    gradients = run.parameter_gradients()
    if not gradients:
        return ()
    name, array = max(gradients, key=lambda item: norm(item[1]))
    index = strongest(array, signed=True)
    if index is None:
        return _fill(tr(" The gradient of its {name} is not finite."), name=name)
    return _fill(
        tr(
            " Of its own numbers, {name}{index} has the largest gradient, {value} "
            "(‖∂{name}‖ {norm})."
        ),
        name=name,
        index=f"[{', '.join(map(str, index))}]",
        value=Link(format_number(float(array[index])), node.id),
        norm=format_number(norm(array)),
    )


def _sent(run: _Run, node: Node, verb: str) -> Parts:
    """{node} does something with {upstream} and sends {norm} to {source}."""
    down = run.downstream()
    if not down:
        return _fill(tr("{node} has nothing before it that wants a gradient."), node=_node(node.id))
    ref, dx = down[0]
    return _fill(
        verb, node=_node(node.id), source=run.source_name(ref), norm=format_number(norm(dx))
    ) + _peak(run, dx, ref, tr(", strongest {value} in {where}."), signed=True)


def _conv_back(run: _Run, node: Node) -> Parts:
    verb = tr("{node} sends blame to every cell of {source} that its kernels looked at: ‖∂‖ {norm}")
    return _sent(run, node, verb) + _weights_clause(run, node)


def _linear_back(run: _Run, node: Node) -> Parts:
    verb = tr("{node} sends blame to {source}, to each number by its weights: ‖∂‖ {norm}")
    return _sent(run, node, verb) + _weights_clause(run, node)


def _zeros(dx: Array) -> str:
    return tr("{zeros} of {count} cells get exactly zero").format(
        zeros=int((dx == 0).sum()), count=dx.size
    )


def _relu_back(run: _Run, node: Node) -> Parts:
    down = run.downstream()
    if not down:
        return _sent(run, node, "")
    ref, dx = down[0]
    return _fill(
        tr("{node} lets the gradient pass where its input was above zero; {zeros}"),
        node=_node(node.id),
        zeros=_zeros(dx),
    ) + _peak(run, dx, ref, tr(", the strongest that passes is {value} in {where}."), signed=True)


def _max_pool_back(run: _Run, node: Node) -> Parts:
    down, up = run.downstream(), run.upstream()
    argmax = run.saved(node.id, "argmax")
    if not down or up is None or argmax is None:
        return _sent(run, node, tr("{node} sends ‖∂‖ {norm} to {source}"))
    (source, dx), (ref, dy) = down[0], up
    index = strongest(dy, signed=True)
    if index is None:
        return _sent(run, node, tr("{node} sends ‖∂‖ {norm} to {source}"))
    channel = index[0]
    row, column = divmod(int(argmax[0][index]), dx.shape[-1])
    arrived = float(dx[channel, row, column])
    parts = _fill(
        tr("{node} sends {value} to {place} of channel {channel}, the largest of its window"),
        node=_node(node.id),
        value=_number(ref, dy, index),
        place=Link(
            tr("row {row}, column {column}").format(row=row, column=column),
            Cell(source[0], source[1], (channel, row, column)),
        ),
        channel=str(channel),
    )
    winners = int((argmax[0][channel] == row * dx.shape[-1] + column).sum())
    if winners > 1:
        parts += _fill(
            tr(" (it won {winners} windows and gets {arrived} in all)"),
            winners=str(winners),
            arrived=format_number(arrived),
        )
    return _merged(parts + _fill("; {zeros}.", zeros=_zeros(dx)))


def _average_pool_back(run: _Run, node: Node) -> Parts:
    up = run.upstream()
    verb = tr("{node} shares each gradient evenly among the cells of its window: ‖∂‖ {norm}")
    if up is None:
        return _sent(run, node, verb)
    return _sent(
        run, node, verb.replace("‖∂‖", tr("‖∂‖ {up} becomes").format(up=format_number(norm(up[1]))))
    )


def _reshape_back(run: _Run, node: Node) -> Parts:
    down = run.downstream()
    if not down:
        return _sent(run, node, "")
    ref, dx = down[0]
    return _fill(
        tr("{node} gives the gradient the shape {shape} of {source} back; no number changes"),
        node=_node(node.id),
        shape=shape_text(dx.shape),
        source=run.source_name(ref),
    ) + _peak(run, dx, ref, tr(", strongest {value} in {where}."), signed=True)


def _batch_norm_back(run: _Run, node: Node) -> Parts:
    verb = tr("{node} undoes its scaling on the way back to {source}: ‖∂‖ {norm}")
    return _sent(run, node, verb) + _weights_clause(run, node)


def _dropout_back(run: _Run, node: Node) -> Parts:
    down = run.downstream()
    if not down:
        return _sent(run, node, "")
    ref, dx = down[0]
    return _fill(
        tr("{node} lets the gradient pass where it had let the number pass; {zeros}"),
        node=_node(node.id),
        zeros=_zeros(dx),
    ) + _peak(run, dx, ref, tr(", strongest {value} in {where}."), signed=True)


def _inputs_back(template: str) -> Describe:
    def describe(run: _Run, node: Node) -> Parts:
        down = run.downstream()
        join = join_at(run.graph, node.id)
        sources = [ref for ref in node.inputs if ref is not None]
        names = dict(zip(sources, join.names, strict=True))
        clauses = [
            _fill(
                tr("{source} ({name}, ‖∂‖ {norm})"),
                name=names.get(ref, ""),
                source=run.source_name(ref),
                norm=Link(format_number(norm(dx)), ref[0]),
            )
            for ref, dx in down
        ]
        if not clauses:
            return _sent(run, node, "")
        if len(set(sources)) == 1 and len(sources) > 1:
            clauses = clauses[:1]
        return _merged(_fill(template, node=_node(node.id)) + _listed(clauses) + (Text("."),))

    return describe


def _any_backward(run: _Run, node: Node) -> Parts:
    verb = tr("{node} sends blame to {source}: ‖∂‖ {norm}")
    return _sent(run, node, verb) + _weights_clause(run, node)


BACKWARD: dict[str, Describe] = {
    "Conv2d": _conv_back,
    "ConvTranspose2d": _conv_back,
    "ReLU": _relu_back,
    "LeakyReLU": _relu_back,
    "MaxPool2d": _max_pool_back,
    "AvgPool2d": _average_pool_back,
    "GlobalAvgPool": _average_pool_back,
    "Flatten": _reshape_back,
    "Reshape": _reshape_back,
    "Linear": _linear_back,
    "BatchNorm2d": _batch_norm_back,
    "Dropout": _dropout_back,
    "Add": _inputs_back("{node} passes the gradient unchanged to "),
    "Concat": _inputs_back("{node} cuts the gradient into the parts of "),
    "Multiply": _inputs_back("{node} sends the gradient, times the other input, to "),
}
"""How a layer's backward step is told, by the name of its class; others are told in general."""


# ---- loss, accumulate, update --------------------------------------------------------------------


def _loss(run: _Run, loss: Loss) -> Parts:
    value = float(run.trace.at(run.step.writes[0]))
    probabilities = run.saved(loss.id, "probabilities")
    target = run.saved(loss.id, "target")
    error = Link(format_number(value), Cell(loss.id, 0, ()))
    if probabilities is None or target is None:
        return _fill(tr("{node} measured an error of {error}."), node=_node(loss.id), error=error)
    p, right = probabilities[0], int(target[0])
    share = Link(percent(float(p[right])), Cell(loss.input[0], loss.input[1], (right,)))
    label = run.class_name(right)
    if run.assumed:
        template = tr(
            "Nobody said what the picture shows, so the network's own guess, {label}, is taken "
            "as right; it got {share}, so the error is −ln {plain} = {error}"
        )
    else:
        template = tr(
            "The right answer, {label}, got {share}, so the error is −ln {plain} = {error}"
        )
    parts = _fill(
        template, label=label, share=share, plain=format_number(float(p[right])), error=error
    )
    guess = strongest(p)
    if guess is not None and guess[0] != right:
        parts += _fill(
            tr("; the network prefers {label} with {share}"),
            label=run.class_name(guess[0]),
            share=Link(percent(float(p[guess])), Cell(loss.input[0], loss.input[1], guess)),
        )
    return parts + (Text("."),)


def _loss_back(run: _Run, loss: Loss) -> Parts:
    (ref, dx) = run.downstream()[0]
    target = run.saved(loss.id, "target")
    if target is None or dx.ndim != 1:
        return _fill(tr("{node} starts the blame"), node=_node(loss.id)) + _peak(
            run, dx, ref, tr(", strongest {value} in {where}."), signed=True
        )
    right = int(target[0])
    others = np.where(np.arange(dx.size) == right, -np.inf, dx)
    wrong = strongest(others)
    parts = _fill(
        tr("The blame starts: the score of {label} should rise (gradient {value})"),
        label=run.class_name(right),
        value=_number(ref, dx, (right,)),
    )
    if wrong is not None:
        parts += _fill(
            tr(", that of {label} should fall most ({value})"),
            label=run.class_name(wrong[0]),
            value=_number(ref, dx, wrong),
        )
    return parts + (Text(tr(": each gradient is the share given minus the share due.")),)


def _accumulate(run: _Run) -> Parts:
    step = run.step
    written = step.writes[0]
    arrays = [run.array(key) for key in step.reads]
    total = run.array(written)
    if written.kind == "param_grad":
        names = [tr("sum so far") if k.kind == "param_grad" else k.ref[0] for k in step.reads]
        opening = _fill(
            tr("{name} of {node} is used more than once, so its gradients meet: "),
            name=str(written.ref[1]),
            node=_node(step.node),
        )
    else:
        readers = readers_at(run.graph, written.ref)
        names = [
            tr("sum so far") if key.kind == "grad" else readers.get(key.ref, key.ref[0])
            for key in step.reads
        ]
        opening = _fill(tr("At {node} two gradients meet: "), node=_node(step.node))
    parts = opening
    for i, (key, name, array) in enumerate(zip(step.reads, names, arrays, strict=True)):
        sign = "" if i == 0 else " + "
        parts += _fill(
            sign + "‖{name}‖ {value}",
            name=name,
            value=Link(format_number(norm(array)), key.ref[0]),
        )
    parts += _fill(tr(" → ‖sum‖ {value}"), value=Link(format_number(norm(total)), written.ref[0]))
    angle = cosine(arrays[0], arrays[1])
    if angle is not None:
        parts += _fill(tr(", cosine {cosine}"), cosine=format_number(angle))
    return _merged(parts + (Text("."),))


def _update(run: _Run) -> Parts:
    step = run.step
    before = {k.ref: run.array(k) for k in step.reads if k.kind in ("param", "statistic")}
    after = {k.ref: run.array(k) for k in step.writes}
    changes = {ref: after[ref].astype(np.float64) - before[ref] for ref in after if ref in before}
    if not changes:
        return _fill(tr("{node} was adjusted."), node=_node(step.node))
    moved = math.sqrt(sum(norm(c) ** 2 for c in changes.values()))
    length = math.sqrt(sum(norm(before[ref]) ** 2 for ref in changes))
    kept = all(k.kind == "statistic" for k in step.writes)
    parts = _fill(
        tr("{node} took over what it measured: its running statistics move by {moved}")
        if kept
        else tr("The weights of {node} move by {moved}"),
        node=_node(step.node),
        moved=format_number(moved),
    )
    if length > 0:
        parts += _fill(tr(", {share} of their length"), share=percent(moved / length))
    ref, change = max(changes.items(), key=lambda item: float(np.abs(item[1]).max(initial=0)))
    index = strongest(change, signed=True)
    if index is not None and moved:
        parts += _fill(
            tr("; {name}{index} moves most, from {old} to {new}"),
            name=ref[1],
            index=f"[{', '.join(map(str, index))}]",
            old=format_number(float(before[ref][index]), 4),
            new=Link(format_number(float(after[ref][index]), 4), ref[0]),
        )
    return _merged(parts + (Text("."),))


# ---- the sentence ------------------------------------------------------------------------------


def sentence(
    graph: Graph,
    trace: Trace | None,
    position: int,
    labels: Sequence[str] = (),
    assumed: bool = False,
) -> Sentence:
    """What the step before ``position`` did; at 0, what is about to happen.

    ``labels`` names the classes (those of the graph if empty); ``assumed`` says that no answer was
    given and the network's own guess stands for it.
    """
    labels = labels or graph.labels
    if trace is None:
        return Sentence(
            _merged(
                (Text(tr("Nothing runs yet: a network without errors and a picture are needed.")),)
            )
        )
    if position <= 0:
        return Sentence(_opening(graph))
    if position > len(trace):
        if trace.failure:
            return Sentence((Text(tr("The run stopped: {why}").format(why=trace.failure)),))
        return Sentence((Text(tr("This step has not been computed yet.")),))
    step = trace.steps[position - 1]
    run = _Run(graph, trace, step, labels, assumed)
    return Sentence(_merged(_describe(run)), step.phase)


def _opening(graph: Graph) -> Parts:
    if not graph.inputs or not graph.nodes:
        return (Text(tr("The network is empty: add a layer to begin.")),)
    first = graph.inputs[0]
    source = Link(tr("The picture"), first.id)
    readers = graph.readers.get((first.id, 0), ())
    if not readers:
        return _fill(tr("{picture} goes nowhere yet: connect it to a layer."), picture=source)
    return _fill(
        tr(
            "{picture} ({shape}) is ready. The next operation is {node}; nothing has been "
            "computed yet."
        ),
        picture=source,
        shape=shape_text(first.shape),
        node=_node(graph.order[0].id),
    )


def _describe(run: _Run) -> Parts:
    step, graph = run.step, run.graph
    if step.phase == "accumulate":
        return _accumulate(run)
    if step.phase == "update":
        return _update(run)
    for loss in graph.losses:
        if loss.id == step.node:
            return _loss(run, loss) if step.phase == "loss" else _loss_back(run, loss)
    node = graph.node(step.node)
    kind = type(node.layer).__name__
    if step.phase == "forward":
        return FORWARD.get(kind, _any_forward)(run, node)
    return BACKWARD.get(kind, _any_backward)(run, node)
