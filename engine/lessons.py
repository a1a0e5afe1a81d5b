"""What a network does although it can run, and its maker most often did not mean: lessons.

A pure function of the graph and its shapes. Nothing here is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from engine.graph import CycleError, Graph, Inference, Node, Ref
from engine.layers.base import Fix, Spec
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.conv2d import Conv2d
from engine.layers.dropout import Dropout
from engine.layers.flatten import Flatten
from engine.layers.identity import Identity
from engine.layers.linear import Linear
from engine.layers.log_softmax import LogSoftmax
from engine.layers.muted import Muted
from engine.layers.pooling import Pooling
from engine.layers.softmax import Softmax
from engine.layers.window import Window
from engine.losses import CrossEntropy

Lesson = Literal[
    "two softmaxes",
    "softmax before loss",
    "no bend",
    "dead branch",
    "border",
    "pool of one",
    "labels",
    "no loss",
]
_SHARES = (Softmax, LogSoftmax)
_HANDS_ON = (Identity, Muted, Flatten, Dropout)
"""What changes no number in evaluation, but perhaps the shape."""
_STRAIGHT = (*_HANDS_ON, BatchNorm2d)
"""What is linear in evaluation."""


@dataclass(frozen=True)
class Advice:
    """A lesson about one node (or loss): what is the case, why it matters, and what to do.

    ``fixes`` are changes of that node that the interface can offer.
    """

    node: str
    lesson: Lesson
    fact: str
    remedy: str
    fixes: tuple[Fix, ...] = ()


def lessons(graph: Graph, inference: Inference) -> tuple[Advice, ...]:
    """All lessons of a graph, in order of computation; ``inference`` is that of the graph.

    Nodes with an error, or whose shape is unknown because of one, have none.
    """
    found: list[Advice] = []
    try:
        order = graph.order
    except CycleError:
        return ()
    for node in order:
        # behind an error nothing is known but what the error says
        if (node.id, 0) in inference.specs and node.id not in inference.errors:
            for rule in _RULES:
                found += rule(graph, inference, node)
    found += _of_losses(graph, inference)
    if inference.valid:
        found += _dead(graph)
        found += _unjudged(graph)
    return tuple(found)


def _back(graph: Graph, ref: Ref | None, through: tuple[type[Any], ...]) -> Node | None:
    """The first node before a tensor that is none of those kinds."""
    while ref is not None and ref[0] in graph.by_id:
        node = graph.by_id[ref[0]]
        if not isinstance(node.layer, through):
            return node
        slot = node.layer.slot if isinstance(node.layer, Muted) else 0
        ref = node.inputs[slot] if slot < len(node.inputs) else None
    return None


def _two_softmaxes(graph: Graph, inference: Inference, node: Node) -> Iterator[Advice]:
    if not isinstance(node.layer, _SHARES):
        return
    before = _back(graph, node.inputs[0], _HANDS_ON)
    if before is not None and isinstance(before.layer, _SHARES):
        yield Advice(
            node.id,
            "two softmaxes",
            f"It reads shares that {before.id} has made already: a softmax of numbers between 0 "
            "and 1 is nearly even, and its gradient nearly 0.",
            f"Delete {before.id} or {node.id}.",
        )


def _no_bend(graph: Graph, inference: Inference, node: Node) -> Iterator[Advice]:
    layer = node.layer
    if not isinstance(layer, Conv2d | Linear):
        return
    before = _back(graph, node.inputs[0], _STRAIGHT)
    if before is None or not isinstance(before.layer, Conv2d | Linear):
        return
    if any(isinstance(each, Conv2d) and each.groups > 1 for each in (layer, before.layer)):
        return  # a depthwise separable convolution is one layer in two parts
    yield Advice(
        node.id,
        "no bend",
        f"Nothing bends between {before.id} and {node.id}: two linear layers one behind the other "
        "can do no more than one.",
        "Put a ReLU between them.",
        (Fix("Add ReLU", "insert", {"kind": "ReLU"}),),
    )


def _window(layer: object) -> Window | None:
    if isinstance(layer, Conv2d):
        return layer.sliding
    return layer.window if isinstance(layer, Pooling) else None


def _maps(graph: Graph, inference: Inference, node: Node) -> Spec | None:
    spec = inference.specs.get(node.inputs[0]) if node.inputs and node.inputs[0] else None
    return spec if spec is not None and len(spec.shape) == 4 else None


def _border(graph: Graph, inference: Inference, node: Node) -> Iterator[Advice]:
    window, spec = _window(node.layer), _maps(graph, inference, node)
    if window is None or spec is None:
        return
    lost = []
    sizes = spec.shape[2:]
    for axis, out in enumerate(window.output_size(sizes[0], sizes[1])):
        reached = (out - 1) * window.stride[axis] + window.extent[axis] - window.before[axis]
        # with a stride beyond the window, cells between the windows are left out too
        steps_over = window.stride[axis] > window.extent[axis]
        lost.append(0 if steps_over else max(0, sizes[axis] - reached))
    if not any(lost):
        return
    words = zip(lost, ("row", "column"), strict=True)
    what = [f"{n} {word}s" if n > 1 else word for n, word in words if n]
    verb = "is" if sum(lost) == 1 else "are"
    yield Advice(
        node.id,
        "border",
        f"The last {' and '.join(what)} of the {sizes[0]}×{sizes[1]} maps {verb} never read: the "
        "stride does not come out even.",
        "Change padding or stride, or leave it if the border does not matter.",
        (Fix("Keep the last window (ceil_mode)", "set", True, "ceil_mode"),)
        if hasattr(node.layer, "ceil_mode") and not any(window.before)
        else (),
    )


def _pool_of_one(graph: Graph, inference: Inference, node: Node) -> Iterator[Advice]:
    spec = _maps(graph, inference, node)
    if isinstance(node.layer, Pooling) and spec is not None and spec.shape[2:] == (1, 1):
        yield Advice(
            node.id,
            "pool of one",
            "Its maps are 1×1 already: there is nothing to pool.",
            f"Delete {node.id}, or pool less before it.",
        )


_RULES: tuple[Callable[[Graph, Inference, Node], Iterator[Advice]], ...] = (
    _two_softmaxes,
    _no_bend,
    _border,
    _pool_of_one,
)


def _of_losses(graph: Graph, inference: Inference) -> Iterator[Advice]:
    for loss in graph.losses:
        if loss.id in inference.errors or not isinstance(loss.function, CrossEntropy):
            continue
        before = _back(graph, loss.input, _HANDS_ON)
        if before is not None and isinstance(before.layer, _SHARES):
            yield Advice(
                before.id,
                "softmax before loss",
                f"The cross-entropy of {loss.id} has a softmax of its own, and now works on shares "
                "instead of scores: it learns slowly, and its loss stays far from 0.",
                f"Delete {before.id}; the program shows shares all the same.",
            )
        spec, count = inference.specs.get(loss.input), len(graph.labels)
        if spec is None or not count or len(spec.shape) != 2 or spec.shape[1] == count:
            continue
        scores = spec.shape[1]
        last = _back(graph, loss.input, _HANDS_ON)
        fix: tuple[Fix, ...] = ()
        if last is not None and isinstance(last.layer, Linear):
            fix = (Fix(f"Set out_features to {count}", "set", count, "out_features"),)
        more = scores > count
        yield Advice(
            last.id if last is not None and fix else loss.id,
            "labels",
            f"{scores} scores for {count} labels: "
            + ("some never are the right answer." if more else "some labels have no score."),
            f"Give the last layer {count} outputs.",
            fix,
        )


def _unjudged(graph: Graph) -> Iterator[Advice]:
    """A network without a loss, as most files of other programs are: nothing is sent back."""
    ends = [ref[0] for _, ref in graph.outputs if ref[0] in graph.by_id]
    if ends and not graph.losses:
        yield Advice(
            ends[0],
            "no loss",
            "No loss judges what this network says, so its backward pass cannot begin.",
            "Add a loss: for scores of classes a cross-entropy, otherwise the sum of the output.",
            (Fix("Add a loss", "judge", None),),
        )


def _dead(graph: Graph) -> Iterator[Advice]:
    """Layers that no loss and no output depends on, named by where they end."""
    ends = [x.input[0] for x in graph.losses] + [ref[0] for _, ref in graph.outputs]
    if not ends:
        return
    used = set(ends).union(*(graph.ancestors(name) for name in ends))
    dead = [n.id for n in graph.nodes if n.id not in used]
    read = {r[0] for n in graph.nodes for r in n.inputs if r is not None}
    for name in dead:
        if name in read:
            continue
        branch = [other for other in dead if other in graph.ancestors(name)]
        count = f"{len(branch) + 1} layers that end here" if branch else "This layer"
        yield Advice(
            name,
            "dead branch",
            f"{count} change{'' if branch else 's'} nothing: no loss and no output reads "
            f"{'them' if branch else 'it'}, and no gradient comes back.",
            "Connect it, or delete it.",
        )
