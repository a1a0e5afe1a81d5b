"""The command step: one pass of one picture, as text."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from engine.cli.common import (
    NETWORK_HELP,
    Commands,
    NetworkError,
    add_shape,
    new_parser,
    number,
    open_network,
    optimizer,
    plain_preprocessing,
)

if TYPE_CHECKING:
    from engine.graph import Graph


DIGITS = 10


def add_step(commands: Commands) -> None:
    parser = new_parser(
        commands,
        "step",
        summary="print one forward and backward pass, a line a step",
        description=(
            "Run one picture through a network, forward and backward, and print a line a step:\n"
            "index, phase, node, and for each array written its shape, range and norm ‖·‖;\n"
            "at max pooling, add and accumulate also where the numbers come from or go to."
        ),
        example="%(prog)s lenet5 --image strokes:7 --phase forward --phase backward",
    )
    parser.add_argument("network", metavar="NETWORK", help=NETWORK_HELP)
    parser.add_argument(
        "--image",
        required=True,
        metavar="FILE",
        help="PNG, JPEG, PGM, BMP, GIF, WebP, TIFF or NPY file; or strokes:7 (a shipped drawing "
        "of a 7; strokes:7.2 is the second), or digits:12 (the 12th held-out 8×8 digit)",
    )
    parser.add_argument(
        "--label",
        "--class",
        dest="label",
        metavar="CLASS",
        help="the right answer (default: the shipped picture's, else the network's own guess)",
    )
    parser.add_argument(
        "--phase",
        action="append",
        choices=("forward", "loss", "backward", "accumulate", "update"),
        help="print only these steps (may be repeated; default: all)",
    )
    parser.add_argument(
        "--backward",
        dest="phase",
        action="store_const",
        const=["loss", "backward", "accumulate"],
        help="print only the way back: the same as --phase loss, backward and accumulate",
    )
    parser.add_argument(
        "--optimizer",
        choices=("SGD", "Adam"),
        help="end with an update of the weights (in memory only)",
    )
    parser.add_argument(
        "--lr", type=number, metavar="RATE", help="learning rate of that update (default: its own)"
    )
    parser.add_argument(
        "--mode",
        choices=("eval", "train"),
        default="eval",
        help="how batch normalisation and dropout behave (default: %(default)s)",
    )
    add_shape(parser)
    parser.set_defaults(run=_run_step, parser=parser)


def _run_step(chosen: argparse.Namespace) -> int:
    import numpy as np

    from engine.plan import Batch, compile, exhaust
    from engine.remarks import remark
    from engine.runnable import runnable
    from engine.samples import picture
    from engine.trace import Trace

    if chosen.lr is not None and chosen.optimizer is None:
        chosen.parser.error("--lr needs --optimizer SGD or --optimizer Adam")
    rule = optimizer(chosen.optimizer, chosen.lr) if chosen.optimizer else None
    project = open_network(chosen.network, chosen.shape)
    graph = runnable(project.graph)
    if left_out := len(project.graph.nodes) - len(graph.nodes):
        print(f"{left_out} layers cannot run: the command inspect says why")
    graph.check()
    shown = picture(chosen.image, project.preprocessing or plain_preprocessing(graph))
    plan = compile(graph, project.parameters, batch=1, mode=chosen.mode)
    x = shown.x[None]
    exhaust(plan.run(Batch.of(graph, x)))
    scores = _scores(graph, plan.value)
    guess = int(scores.argmax()) if scores is not None else None

    named = chosen.label if chosen.label is not None else _known(graph, shown.label)
    target = guess if named is None else _class_index(graph, named, chosen.label is not None)
    weights = project.metadata.get("weights")
    state = f" (weights: {weights})" if weights else ""
    print(f"{graph.name}{state}, {shown.origin}, {_answer(graph, named, guess)}")
    trace = Trace()
    targets = None if target is None else np.array([target])
    exhaust(plan.run(Batch.of(graph, x, targets), optimizer=rule, trace=trace))
    printed = 0
    for step, line in zip(trace.steps, trace.lines(), strict=True):
        if chosen.phase is None or step.phase in chosen.phase:
            words = remark(graph, trace, step)
            print(f"{line}  ({words})" if words else line)
            printed += 1
    if not printed:
        wanted = ", ".join(dict.fromkeys(chosen.phase))
        hint = " (an update needs --optimizer)" if "update" in chosen.phase and not rule else ""
        print(f"no step in the phase {wanted}{hint}")
    print(_prediction(graph, scores, named))
    return 0


def _answer(graph: Graph, label: str | None, guess: int | None) -> str:
    if label is not None:
        return f"label {label}"
    if guess is None or not graph.losses:
        return "no label"
    return f"no label: the network's own guess, {_class_name(graph, guess)}, is taken for it"


def _scores(graph: Graph, value: Any) -> Any:
    """The shares (K,) that the network gives to its classes; None where it has no classes."""
    from engine.layers.softmax import Softmax
    from engine.losses import CrossEntropy

    loss = next((x for x in graph.losses if isinstance(x.function, CrossEntropy)), None)
    ref = loss.input if loss else graph.outputs[0][1] if graph.outputs else None
    if ref is None:
        return None
    scores = value(ref)
    if scores.ndim != 2:
        return None
    if loss is None and ref[0] in graph.by_id and isinstance(graph.node(ref[0]).layer, Softmax):
        return scores[0]
    return Softmax().forward({}, scores).ys[0][0].copy()


def _prediction(graph: Graph, scores: Any, label: str | None) -> str:
    if scores is None:
        return "prediction: none, the network's output is not one number per class"
    best = int(scores.argmax())
    text = f"prediction: {_class_name(graph, best)} with {scores[best]:.2%}"
    if label is None:
        return text
    index = _class_index(graph, label, strict=False)
    if index is None:
        return text
    verdict = "right" if index == best else f"wrong: {label} received {scores[index]:.2%}"
    return f"{text} ({verdict})"


def _known(graph: Graph, label: str | None) -> str | None:
    """The digit that a shipped picture shows, where the network's classes are the digits."""
    if label in graph.labels:
        return label
    return label if not graph.labels and _count(graph) <= DIGITS else None


def _count(graph: Graph) -> int:
    """How many classes the network has; 0 where its outputs are none."""
    specs = graph.infer().specs
    judged = [x.input for x in graph.losses] or [ref for _, ref in graph.outputs]
    sizes = [specs[ref].shape[1] for ref in judged if len(specs[ref].shape) == 2]
    return min(sizes, default=len(graph.labels))


def _class_name(graph: Graph, index: int) -> str:
    return graph.labels[index] if index < len(graph.labels) else str(index)


def _class_index(graph: Graph, label: str, strict: bool) -> int | None:
    """The class of that name or number; None (``strict``: NetworkError) where there is none."""
    count = _count(graph)
    if label in graph.labels[:count]:
        return graph.labels.index(label)
    if label.isascii() and label.isdigit() and int(label) < count:
        return int(label)
    if not strict:
        return None
    names = ", ".join(graph.labels) or f"a number from 0 to {count - 1}" if count else "none"
    raise NetworkError(f"--label: expected {names}, received {label!r}.")
