"""The backward step of each kind of layer."""

from __future__ import annotations

from engine.cell import Cell
from engine.explain import reads_of
from engine.graph import Node
from engine.layers.base import Array
from explorer.narration.joins import join_at
from explorer.narration.numbers import count_text, norm, shape_text, strongest, tie_text
from explorer.narration.record import Describe, Run, number, peak
from explorer.narration.sentence import Link, Parts, Text, fill, link_to, listed, merged, tr
from explorer.tensors.scales import format_number


def weights_clause(run: Run, node: Node) -> Parts:
    """How strongly the parameters are blamed."""
    gradients = run.parameter_gradients()
    if not gradients:
        return ()
    name, array = max(gradients, key=lambda item: norm(item[1]))
    index = strongest(array, signed=True)
    if index is None:
        return fill(tr(" The gradient of its {name} is not finite."), name=name)
    return fill(
        tr(
            " Of its own numbers, {name}{index} has the largest gradient, {value} "
            "(‖∂{name}‖ {norm})."
        ),
        name=name,
        index=f"[{', '.join(map(str, index))}]",
        value=Link(format_number(float(array[index])), node.id),
        norm=format_number(norm(array)),
    )


def sent(run: Run, node: Node, verb: str) -> Parts:
    """{node} does something with {upstream} and sends {norm} to {source}."""
    down = run.downstream()
    if not down:
        return fill(
            tr("{node} has nothing before it that wants a gradient."), node=link_to(node.id)
        )
    ref, dx = down[0]
    return fill(
        verb, node=link_to(node.id), source=run.source_name(ref), norm=format_number(norm(dx))
    ) + peak(run, dx, ref, tr(", strongest {value} in {where}."), signed=True)


def _conv_back(run: Run, node: Node) -> Parts:
    verb = tr("{node} sends blame to every cell of {source} that its kernels looked at: ‖∂‖ {norm}")
    return sent(run, node, verb) + weights_clause(run, node)


def by_weights(run: Run, node: Node) -> Parts:
    verb = tr("{node} sends blame to {source}, to each number by its weights: ‖∂‖ {norm}")
    return sent(run, node, verb) + weights_clause(run, node)


def zeros_text(dx: Array) -> str:
    return tr("{zeros} of {count} cells get exactly zero").format(
        zeros=count_text(int((dx == 0).sum())), count=count_text(dx.size)
    )


def _relu_back(run: Run, node: Node) -> Parts:
    down = run.downstream()
    if not down:
        return sent(run, node, "")
    ref, dx = down[0]
    return fill(
        tr("{node} lets the gradient pass where its input was above zero; {zeros}"),
        node=link_to(node.id),
        zeros=zeros_text(dx),
    ) + peak(run, dx, ref, tr(", the strongest that passes is {value} in {where}."), signed=True)


def _leaky_back(run: Run, node: Node) -> Parts:
    verb = tr(
        "{node} sends the gradient to {source}, whole where its input was above zero and "
        "shrunk elsewhere: ‖∂‖ {norm}"
    )
    return sent(run, node, verb) + weights_clause(run, node)


def _max_pool_back(run: Run, node: Node) -> Parts:
    down, up = run.downstream(), run.upstream()
    argmax = run.saved(node.id, "argmax")
    if not down or up is None or argmax is None:
        return sent(run, node, tr("{node} sends ‖∂‖ {norm} to {source}"))
    (source, dx), (ref, dy) = down[0], up
    index = strongest(dy, signed=True)
    if index is None or argmax[0][index] < 0:  # a window of padding alone sends nothing
        return sent(run, node, tr("{node} sends ‖∂‖ {norm} to {source}"))
    channel = index[0]
    row, column = divmod(int(argmax[0][index]), dx.shape[-1])
    arrived = float(dx[channel, row, column])
    record, tie = run.trace.around(node, run.step.index + 1, 0), ""
    if record is not None:
        terms = reads_of(node, record, index, run.trace)
        if terms.chosen is not None:
            tie = tie_text([t.product for t in terms.terms], terms.chosen)
    parts = fill(
        tr("{node} sends {value} to {place} of channel {channel}; in its window {tie}")
        if tie
        else tr("{node} sends {value} to {place} of channel {channel}, the largest of its window"),
        tie=tie,
        node=link_to(node.id),
        value=number(ref, dy, index),
        place=Link(
            tr("row {row}, column {column}").format(row=row, column=column),
            Cell(source[0], source[1], (channel, row, column)),
        ),
        channel=str(channel),
    )
    winners = int((argmax[0][channel] == row * dx.shape[-1] + column).sum())
    if winners > 1:
        parts += fill(
            tr(" (it won {winners} windows and gets {arrived} in all)"),
            winners=count_text(winners),
            arrived=format_number(arrived),
        )
    return merged(parts + fill("; {zeros}.", zeros=zeros_text(dx)))


def _unpool_back(run: Run, node: Node) -> Parts:
    verb = tr(
        "{node} gives each number of {source} the gradient of the cell that it was put to: "
        "‖∂‖ {norm}"
    )
    return sent(run, node, verb)


def _average_pool_back(run: Run, node: Node) -> Parts:
    up = run.upstream()
    verb = tr("{node} shares each gradient evenly among the cells of its window: ‖∂‖ {norm}")
    if up is None:
        return sent(run, node, verb)
    return sent(
        run, node, verb.replace("‖∂‖", tr("‖∂‖ {up} becomes").format(up=format_number(norm(up[1]))))
    )


def reshaped_back(run: Run, node: Node) -> Parts:
    down = run.downstream()
    if not down:
        return sent(run, node, "")
    ref, dx = down[0]
    return fill(
        tr("{node} gives the gradient the shape {shape} of {source} back; no number changes"),
        node=link_to(node.id),
        shape=shape_text(dx.shape),
        source=run.source_name(ref),
    ) + peak(run, dx, ref, tr(", strongest {value} in {where}."), signed=True)


def _batch_norm_back(run: Run, node: Node) -> Parts:
    verb = tr("{node} undoes its scaling on the way back to {source}: ‖∂‖ {norm}")
    return sent(run, node, verb) + weights_clause(run, node)


def _dropout_back(run: Run, node: Node) -> Parts:
    down = run.downstream()
    if not down:
        return sent(run, node, "")
    ref, dx = down[0]
    return fill(
        tr("{node} lets the gradient pass where it had let the number pass; {zeros}"),
        node=link_to(node.id),
        zeros=zeros_text(dx),
    ) + peak(run, dx, ref, tr(", strongest {value} in {where}."), signed=True)


def to_inputs(template: str) -> Describe:
    def describe(run: Run, node: Node) -> Parts:
        down = run.downstream()
        join = join_at(run.graph, node.id)
        sources = [ref for ref in node.inputs if ref is not None]
        names = dict(zip(sources, join.names, strict=True))
        clauses = [
            fill(
                tr("{source} ({name}, ‖∂‖ {norm})"),
                name=names.get(ref, ""),
                source=run.source_name(ref),
                norm=Link(format_number(norm(dx)), ref[0]),
            )
            for ref, dx in down
        ]
        if not clauses:
            return sent(run, node, "")
        if len(set(sources)) == 1 and len(sources) > 1:
            clauses = clauses[:1]
        return merged(fill(template, node=link_to(node.id)) + listed(clauses) + (Text("."),))

    return describe


def any_backward(run: Run, node: Node) -> Parts:
    verb = tr("{node} sends blame to {source}: ‖∂‖ {norm}")
    return sent(run, node, verb) + weights_clause(run, node)


BACKWARD: dict[str, Describe] = {
    "Conv2d": _conv_back,
    "ConvTranspose2d": _conv_back,
    "ReLU": _relu_back,
    "LeakyReLU": _leaky_back,
    "PReLU": _leaky_back,
    "MaxPool2d": _max_pool_back,
    "MaxUnpool2d": _unpool_back,
    "AvgPool2d": _average_pool_back,
    "GlobalAvgPool": _average_pool_back,
    "Flatten": reshaped_back,
    "Reshape": reshaped_back,
    "Linear": by_weights,
    "BatchNorm2d": _batch_norm_back,
    "Dropout": _dropout_back,
    "SpatialDropout": _dropout_back,
    "StochasticDepth": _dropout_back,
    "Add": to_inputs("{node} passes the gradient unchanged to "),
    "Concat": to_inputs("{node} cuts the gradient into the parts of "),
    "Mul": to_inputs("{node} sends the gradient, times the other input, to "),
}
"""How a layer's backward step is told, by the name of its class; others are told in general."""
