"""Steps of the layers that come from operators on tensors: sums, products, means, axes, choices."""

from __future__ import annotations

import numpy as np

from engine.graph import Node
from engine.layers.arithmetic import Arithmetic
from engine.layers.clip import Clip
from engine.layers.interpolate import Interpolate
from engine.layers.permute import Permute
from engine.layers.reduce import Reduce
from explorer.narration.backward import (
    by_weights,
    reshaped_back,
    sent,
    to_inputs,
    weights_clause,
    zeros_text,
)
from explorer.narration.numbers import count_text, percent, shape_text
from explorer.narration.record import Describe, Run, out, peak
from explorer.narration.sentence import Link, Parts, fill, link_to, tr
from explorer.tensors.scales import format_number

_STRONGEST = "; the strongest is {value} in {where}."


def _name(run: Run, slot: int) -> Link | str:
    """What a connected input comes from; inputs that are not there are not counted."""
    return run.source_name(run.inputs()[slot][0])


def _arithmetic(run: Run, node: Node) -> Parts:
    layer = node.layer
    assert isinstance(layer, Arithmetic)
    ref, y = out(run)
    if len(run.inputs()) > 1:
        a, b = _name(run, 0), _name(run, 1)
    else:
        a, b = _name(run, 0), tr("its own numbers")
        if not layer.operand:
            b = format_number(layer.value)
        if layer.swapped:
            a, b = b, a
    verb = {
        "add": tr("{node} added {a} and {b} cell by cell"),
        "subtract": tr("{node} took {b} from {a} cell by cell"),
        "multiply": tr("{node} multiplied {a} by {b} cell by cell"),
        "divide": tr("{node} divided {a} by {b} cell by cell"),
        "power": tr("{node} raised {a} to the power of {b} cell by cell"),
        "minimum": tr("{node} kept the smaller of {a} and {b} in each cell"),
        "maximum": tr("{node} kept the larger of {a} and {b} in each cell"),
    }[layer.operation]
    said = fill(verb, node=link_to(node.id), a=a, b=b)
    return said + peak(run, y, ref, tr(_STRONGEST), signed=True)


def _arithmetic_back(run: Run, node: Node) -> Parts:
    layer = node.layer
    assert isinstance(layer, Arithmetic)
    op = layer.operation
    if len([ref for ref in node.inputs if ref is not None]) > 1:
        return to_inputs(
            {
                "add": tr("{node} passes the gradient on to "),
                "subtract": tr("{node} passes the gradient on, negative to the second, to "),
                "multiply": tr("{node} sends the gradient, times the other input, to "),
                "minimum": tr("{node} sends the gradient to the smaller in each cell, of "),
                "maximum": tr("{node} sends the gradient to the larger in each cell, of "),
            }.get(op, tr("{node} sends the gradient, times its slope in each cell, to "))
        )(run, node)
    other = tr("its own numbers") if layer.operand else format_number(layer.value)
    if op == "add" or (op == "subtract" and not layer.swapped):
        verb = tr("{node} passes the gradient unchanged to {source}: ‖∂‖ {norm}")
    elif op == "subtract":
        verb = tr("{node} turns the sign of the gradient for {source}: ‖∂‖ {norm}")
    elif op == "multiply":
        verb = tr("{node} sends the gradient, times {b}, to {source}: ‖∂‖ {norm}")
    elif op == "divide" and not layer.swapped:
        verb = tr("{node} sends the gradient, divided by {b}, to {source}: ‖∂‖ {norm}")
    elif op in ("minimum", "maximum"):
        verb = tr("{node} passes the gradient where {source} was taken: ‖∂‖ {norm}")
    else:
        verb = tr(
            "{node} sends the gradient, times its slope in each cell, to {source}: ‖∂‖ {norm}"
        )
    return sent(run, node, verb.replace("{b}", other)) + weights_clause(run, node)


def _reduce(run: Run, node: Node) -> Parts:
    layer = node.layer
    assert isinstance(layer, Reduce)
    ref, y = out(run)
    _, x = run.inputs()[0]
    what = {
        "mean": tr("the mean"),
        "sum": tr("the sum"),
        "max": tr("the largest"),
        "min": tr("the smallest"),
        "product": tr("the product"),
        "sum of squares": tr("the sum of the squares"),
        "l1": tr("the sum of the sizes"),
        "l2": tr("the length"),
        "log of sum": tr("the logarithm of the sum"),
        "log of sum of exp": tr("the logarithm of the sum of the powers of e"),
    }[layer.operation]
    return fill(
        tr("{node} took {what} of every {count} numbers of {source}: {before} become {after}"),
        node=link_to(node.id),
        what=what,
        count=count_text(x.size // y.size),
        source=_name(run, 0),
        before=shape_text(x.shape),
        after=shape_text(y.shape),
    ) + peak(run, y, ref, tr(_STRONGEST), signed=True)


def _reduce_back(run: Run, node: Node) -> Parts:
    layer = node.layer
    assert isinstance(layer, Reduce)
    down, up = run.downstream(), run.upstream()
    if not down or up is None:
        return sent(run, node, "")
    ref, dx = down[0]
    count = count_text(dx.size // up[1].size)
    if layer.operation in ("max", "min"):
        return fill(
            tr("{node} gives each gradient to the one of {count} numbers that it took; {zeros}"),
            node=link_to(node.id),
            count=count,
            zeros=zeros_text(dx),
        ) + peak(run, dx, ref, tr(", strongest {value} in {where}."), signed=True)
    verb = {
        "mean": tr("{node} shares each gradient out evenly over its {count} numbers of {source}"),
        "sum": tr("{node} gives each gradient whole to all of its {count} numbers of {source}"),
    }.get(
        layer.operation,
        tr("{node} sends each gradient, times the slope, to its {count} numbers of {source}"),
    )
    return sent(run, node, verb.replace("{count}", count) + ": ‖∂‖ {norm}")


def _permute(run: Run, node: Node) -> Parts:
    layer = node.layer
    assert isinstance(layer, Permute)
    ref, y = out(run)
    _, x = run.inputs()[0]
    return fill(
        tr("{node} put the axes of {source} in the order {order}: {before} become {after}"),
        node=link_to(node.id),
        source=_name(run, 0),
        order=", ".join(map(str, layer.order)),
        before=shape_text(x.shape),
        after=shape_text(y.shape),
    ) + peak(run, y, ref, tr("; no number changed, the strongest is still {value}."), signed=True)


def _view(run: Run, node: Node) -> Parts:
    ref, y = out(run)
    _, x = run.inputs()[0]
    return fill(
        tr("{node} laid the {before} numbers of {source} out as {after}"),
        node=link_to(node.id),
        source=_name(run, 0),
        before=shape_text(x.shape),
        after=shape_text(y.shape),
    ) + peak(run, y, ref, tr("; no number changed, the strongest is still {value}."), signed=True)


def _clip(run: Run, node: Node) -> Parts:
    layer = node.layer
    assert isinstance(layer, Clip)
    ref, y = out(run)
    _, x = run.inputs()[0]
    held = int(((x < layer.low) | (x > layer.high)).sum())
    return fill(
        tr("{node} held {held} of {count} numbers ({share}) at its limits {low} and {high}"),
        node=link_to(node.id),
        held=count_text(held),
        count=count_text(x.size),
        share=percent(held / x.size),
        low=_limit(layer.low),
        high=_limit(layer.high),
    ) + peak(run, y, ref, tr(" and let the rest through; the largest is {value} in {where}."))


def _limit(value: float) -> str:
    """A limit; one that no number of float32 passes is none."""
    if abs(value) >= float(np.finfo(np.float32).max) * (1 - 1e-6):
        return "∞" if value > 0 else "−∞"
    return format_number(value)


def _clip_back(run: Run, node: Node) -> Parts:
    down = run.downstream()
    if not down:
        return sent(run, node, "")
    ref, dx = down[0]
    return fill(
        tr("{node} lets the gradient pass where its input was between the limits; {zeros}"),
        node=link_to(node.id),
        zeros=zeros_text(dx),
    ) + peak(run, dx, ref, tr(", the strongest that passes is {value} in {where}."), signed=True)


def _where(run: Run, node: Node) -> Parts:
    ref, y = out(run)
    inputs = run.inputs()
    condition = inputs[0][1]
    taken = int(np.broadcast_to(condition != 0, y.shape).sum())
    layer = node.layer
    return fill(
        tr("{node} took {taken} of {count} cells from {a}, where {condition} is not 0, else {b}"),
        node=link_to(node.id),
        taken=count_text(taken),
        count=count_text(y.size),
        condition=_name(run, 0),
        a=_name(run, 1),
        b=_name(run, 2)
        if len(inputs) > 2
        else format_number(float(getattr(layer, "otherwise", 0.0))),
    ) + peak(run, y, ref, tr(_STRONGEST), signed=True)


def _matmul(run: Run, node: Node) -> Parts:
    ref, y = out(run)
    inputs = run.inputs()
    a = inputs[0][1]
    if len(inputs) > 1:
        said = fill(
            tr("{node} multiplied the matrices {a} ({first}) and {b} ({second})"),
            node=link_to(node.id),
            a=_name(run, 0),
            first=shape_text(a.shape),
            b=_name(run, 1),
            second=shape_text(inputs[1][1].shape),
        )
    else:
        said = fill(
            tr("{node} multiplied {a} ({first}) by its trained matrix"),
            node=link_to(node.id),
            a=_name(run, 0),
            first=shape_text(a.shape),
        )
    said += fill(
        tr(": each number of {shape} is a sum of {count} products"),
        shape=shape_text(y.shape),
        count=count_text(a.shape[-1]),
    )
    return said + peak(run, y, ref, tr(_STRONGEST), signed=True)


def _matmul_back(run: Run, node: Node) -> Parts:
    if len([ref for ref in node.inputs if ref is not None]) > 1:
        template = tr("{node} sends the gradient, multiplied by the other matrix, to ")
        return to_inputs(template)(run, node)
    return by_weights(run, node)


def _interpolate(run: Run, node: Node) -> Parts:
    layer = node.layer
    assert isinstance(layer, Interpolate)
    ref, y = out(run)
    _, x = run.inputs()[0]
    how = {
        "nearest": tr("each from the nearest cell"),
        "linear": tr("each from its neighbours, weighted by distance"),
    }.get(layer.mode, tr("each from a curve through its neighbours"))
    return fill(
        tr("{node} drew the maps of {source} with {after} cells instead of {before}, {how}"),
        node=link_to(node.id),
        source=_name(run, 0),
        before=shape_text(x.shape[-2:]),
        after=shape_text(y.shape[-2:]),
        how=how,
    ) + peak(run, y, ref, tr(_STRONGEST), signed=True)


def _interpolate_back(run: Run, node: Node) -> Parts:
    verb = tr(
        "{node} sends the gradient of each cell to the cells of {source} that it was drawn from: "
        "‖∂‖ {norm}"
    )
    return sent(run, node, verb)


ALGEBRA_FORWARD: dict[str, Describe] = {
    "Arithmetic": _arithmetic,
    "Reduce": _reduce,
    "Permute": _permute,
    "View": _view,
    "Reshape": _view,
    "Clip": _clip,
    "Where": _where,
    "MatMul": _matmul,
    "Interpolate": _interpolate,
}
ALGEBRA_BACKWARD: dict[str, Describe] = {
    "Arithmetic": _arithmetic_back,
    "Reduce": _reduce_back,
    "Permute": reshaped_back,
    "View": reshaped_back,
    "Clip": _clip_back,
    "Where": to_inputs("{node} sends each cell's gradient to the input that it came from, of "),
    "MatMul": _matmul_back,
    "Interpolate": _interpolate_back,
}
