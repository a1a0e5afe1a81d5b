"""The forward step of each kind of layer."""

from __future__ import annotations

import numpy as np

from engine.cell import Cell
from engine.graph import Node
from explorer.narration.joins import join_at
from explorer.narration.numbers import (
    count_text,
    percent,
    shape_text,
    size_text,
    strongest,
    where_text,
)
from explorer.narration.record import Describe, Run, number, out, peak
from explorer.narration.sentence import Link, Parts, Text, fill, link_to, listed, tr
from explorer.tensors.scales import format_number


def _conv(run: Run, node: Node) -> Parts:
    ref, y = out(run)
    source, _ = run.inputs()[0]
    layer = node.layer
    size = size_text(getattr(layer, "kernel_size", 1))
    return fill(
        tr("{node} slid {count} kernels of {size} over {source}"),
        node=link_to(node.id),
        count=count_text(y.shape[0]),
        size=size,
        source=run.source_name(source),
    ) + peak(run, y, ref, tr("; the strongest answer is {value} in {where}."))


def _relu(run: Run, node: Node) -> Parts:
    ref, y = out(run)
    zeros = int((y == 0).sum())
    return fill(
        tr("{node} set {zeros} of {count} cells ({share}) to zero"),
        node=link_to(node.id),
        zeros=count_text(zeros),
        count=count_text(y.size),
        share=percent(zeros / y.size),
    ) + peak(run, y, ref, tr(" and let the rest through; the largest is {value} in {where}."))


def _leaky(run: Run, node: Node) -> Parts:
    ref, y = out(run)
    _, x = run.inputs()[0]
    shrunk = int((x < 0).sum())
    return fill(
        tr("{node} kept only a share of the negative cells, {shrunk} of {count} ({percent})"),
        node=link_to(node.id),
        shrunk=count_text(shrunk),
        count=count_text(y.size),
        percent=percent(shrunk / y.size),
    ) + peak(run, y, ref, tr(", and let the rest through; the largest is {value} in {where}."))


def _squash(low: str, high: str) -> Describe:
    def describe(run: Run, node: Node) -> Parts:
        ref, y = out(run)
        return fill(
            tr("{node} squeezed every number to between {low} and {high}"),
            node=link_to(node.id),
            low=low,
            high=high,
        ) + peak(run, y, ref, tr("; the largest is {value} in {where}."))

    return describe


def _max_pool(run: Run, node: Node) -> Parts:
    ref, y = out(run)
    source, x = run.inputs()[0]
    index = strongest(y)
    argmax = run.saved(node.id, "argmax")
    parts = fill(
        tr("{node} kept the largest of each {size} window"),
        node=link_to(node.id),
        size=size_text(getattr(node.layer, "kernel_size", 1)),
    )
    if index is None or argmax is None or argmax[0][index] < 0:
        return parts + peak(run, y, ref, tr("; the largest of all is {value} in {where}."))
    row, column = divmod(int(argmax[0][index]), x.shape[-1])
    return parts + fill(
        tr("; the largest of all, {value} in {where}, came from {place} of {source}."),
        value=number(ref, y, index),
        where=where_text(index),
        place=Link(
            tr("row {row}, column {column}").format(row=row, column=column),
            Cell(source[0], source[1], (index[0], row, column)),
        ),
        source=run.source_name(source),
    )


def _unpool(run: Run, node: Node) -> Parts:
    ref, y = out(run)
    source, x = run.inputs()[0]
    index = run.saved(node.id, "index")
    placed = int((index[0] >= 0).sum()) if index is not None else x.size
    return fill(
        tr(
            "{node} put {placed} of {count} numbers of {source} back to the cells that had won, "
            "among {cells} cells"
        ),
        node=link_to(node.id),
        placed=count_text(placed),
        count=count_text(x.size),
        source=run.source_name(source),
        cells=count_text(y.size),
    ) + peak(run, y, ref, tr("; all others are zero. The largest is {value} in {where}."))


def _average_pool(run: Run, node: Node) -> Parts:
    ref, y = out(run)
    return fill(
        tr("{node} averaged each {size} window"),
        node=link_to(node.id),
        size=size_text(getattr(node.layer, "kernel_size", 1)),
    ) + peak(run, y, ref, tr("; the largest average is {value} in {where}."))


def _global_average(run: Run, node: Node) -> Parts:
    ref, y = out(run)
    _, x = run.inputs()[0]
    return fill(
        tr("{node} averaged each of {count} maps of {size} to one number"),
        node=link_to(node.id),
        count=count_text(x.shape[0]),
        size=shape_text(x.shape[1:]),
    ) + peak(run, y, ref, tr("; the largest is {value} in {where}."))


def _flatten(run: Run, node: Node) -> Parts:
    ref, y = out(run)
    _, x = run.inputs()[0]
    return fill(
        tr("{node} laid the {shape} numbers in one row of {count}; none of them changed"),
        node=link_to(node.id),
        shape=shape_text(x.shape),
        count=count_text(y.size),
    ) + peak(run, y, ref, tr(", the largest is still {value}."))


def _linear(run: Run, node: Node) -> Parts:
    ref, y = out(run)
    _, x = run.inputs()[0]
    parts = fill(
        tr("{node} weighed all {inputs} numbers once for each of {outputs} answers"),
        node=link_to(node.id),
        inputs=count_text(x.size),
        outputs=count_text(y.size),
    )
    index = strongest(y)
    if index is not None and any(loss.input == ref for loss in run.graph.losses):
        return parts + fill(
            tr("; the highest score is {value}, for {label}."),
            value=number(ref, y, index),
            label=Link(run.class_name(index[0]), Cell(ref[0], ref[1], index)),
        )
    return parts + peak(run, y, ref, tr("; the largest is {value}, {where}."))


def _batch_norm(run: Run, node: Node) -> Parts:
    ref, y = out(run)
    _, x = run.inputs()[0]
    return fill(
        tr(
            "{node} shifted and scaled each of {count} maps: together their mean went from "
            "{mean} to {new_mean}, their spread from {spread} to {new_spread}"
        ),
        node=link_to(node.id),
        count=count_text(y.shape[0]),
        mean=format_number(float(x.mean(dtype=np.float64))),
        new_mean=format_number(float(y.mean(dtype=np.float64))),
        spread=format_number(float(x.std(dtype=np.float64))),
        new_spread=format_number(float(y.std(dtype=np.float64))),
    ) + peak(run, y, ref, tr("; the largest is {value} in {where}."))


def _dropout(run: Run, node: Node) -> Parts:
    ref, y = out(run)
    _, x = run.inputs()[0]
    dropped = int(((y == 0) & (x != 0)).sum())
    if not dropped and np.array_equal(x, y, equal_nan=True):
        return fill(
            tr("{node} let all {count} numbers through unchanged"),
            node=link_to(node.id),
            count=count_text(y.size),
        ) + peak(run, y, ref, tr("; the largest is {value} in {where}."))
    return fill(
        tr("{node} set {dropped} of {count} numbers to zero by chance"),
        node=link_to(node.id),
        dropped=count_text(dropped),
        count=count_text(y.size),
    ) + peak(run, y, ref, tr(" and enlarged the rest; the largest is {value} in {where}."))


def _add(run: Run, node: Node) -> Parts:
    ref, y = out(run)
    join = join_at(run.graph, node.id)
    inputs = run.inputs()
    index = strongest(y, signed=True)
    if index is None:
        return fill(tr("{node} added its inputs"), node=link_to(node.id)) + peak(run, y, ref, "")
    parts = fill(tr("{node} added "), node=link_to(node.id))
    parts += listed(
        fill("{source} ({name})", source=run.source_name(source), name=name)
        for name, (source, _) in zip(join.names, inputs, strict=True)
    )
    parts += fill(tr(" cell by cell; in {where}, "), where=where_text(index))
    slots = [slot for slot, source in enumerate(node.inputs) if source is not None]
    for i, (slot, (source, x)) in enumerate(zip(slots, inputs, strict=True)):
        parts += fill(" + {value}" if i else "{value}", value=number(source, x, index))
        gain = run.trace.gains.get((node.id, slot))
        if gain is not None:  # a what-if
            parts += (Text(f" × {format_number(gain)}"),)
    return parts + fill(tr(" = {value}."), value=number(ref, y, index))


def _multiply(run: Run, node: Node) -> Parts:
    ref, y = out(run)
    return fill(tr("{node} multiplied its inputs cell by cell"), node=link_to(node.id)) + peak(
        run, y, ref, tr("; the strongest is {value} in {where}."), signed=True
    )


def _concat(run: Run, node: Node) -> Parts:
    ref, y = out(run)
    inputs = run.inputs()
    parts = fill(tr("{node} put "), node=link_to(node.id))
    gains = [run.trace.gains.get((node.id, slot)) for slot in node.slots]
    times = ["" if gain is None else f" × {format_number(gain)}" for gain in gains]  # a what-if
    parts += listed(
        fill("{source} ({shape})", source=run.source_name(source), shape=shape_text(x.shape))
        + ((Text(factor),) if factor else ())
        for factor, (source, x) in zip(times, inputs, strict=True)
    )
    parts += fill(tr(" behind one another: {shape}"), shape=shape_text(y.shape))
    return parts + peak(run, y, ref, tr("; the largest is {value} in {where}."))


def _softmax(run: Run, node: Node) -> Parts:
    ref, y = out(run)
    index = strongest(y)
    if index is None:
        return fill(tr("{node} made shares"), node=link_to(node.id)) + peak(run, y, ref, "")
    return fill(
        tr(
            "{node} turned {count} scores into shares that add up to 1; the largest, {share}, "
            "goes to {label}."
        ),
        node=link_to(node.id),
        count=count_text(y.size),
        share=Link(percent(float(y[index])), Cell(ref[0], ref[1], index)),
        label=run.class_name(index[0]),
    )


def any_forward(run: Run, node: Node) -> Parts:
    ref, y = out(run)
    return fill(
        tr("{node} ({kind}) made {shape} numbers"),
        node=link_to(node.id),
        kind=node.layer.title or type(node.layer).__name__,
        shape=shape_text(y.shape),
    ) + peak(run, y, ref, tr("; the strongest is {value} in {where}."), signed=True)


FORWARD: dict[str, Describe] = {
    "Conv2d": _conv,
    "ConvTranspose2d": _conv,
    "ReLU": _relu,
    "LeakyReLU": _leaky,
    "PReLU": _leaky,
    "Sigmoid": _squash("0", "1"),
    "Tanh": _squash("−1", "1"),
    "MaxPool2d": _max_pool,
    "MaxUnpool2d": _unpool,
    "AvgPool2d": _average_pool,
    "GlobalAvgPool": _global_average,
    "Flatten": _flatten,
    "Linear": _linear,
    "BatchNorm2d": _batch_norm,
    "Dropout": _dropout,
    "SpatialDropout": _dropout,
    "StochasticDepth": _dropout,
    "Add": _add,
    "Mul": _multiply,
    "Concat": _concat,
    "Softmax": _softmax,
}
"""How a layer's forward step is told, by the name of its class; others are told in general."""
