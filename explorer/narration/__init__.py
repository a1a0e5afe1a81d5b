"""What one step of a run did, as one plain sentence whose numbers are read from the trace.

Nothing is computed here but sums, counts and norms of recorded arrays; the numbers are links to
the cells that hold them. Rows, columns and channels count from 0, as in every view.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.graph import Graph
from engine.trace import Trace
from explorer.breakpoints import Stop
from explorer.narration.algebra import ALGEBRA_BACKWARD, ALGEBRA_FORWARD
from explorer.narration.backward import BACKWARD, any_backward
from explorer.narration.checks import check_parts
from explorer.narration.forward import FORWARD, any_forward
from explorer.narration.inside import Crumb, crumbs, finish_text, inside_sentence
from explorer.narration.joins import Join, join_at, readers_at
from explorer.narration.moves import MOVES_BACKWARD, MOVES_FORWARD
from explorer.narration.numbers import cosine, norm, percent, shape_text, strongest
from explorer.narration.questions import Question, question, verdict
from explorer.narration.record import Run
from explorer.narration.sentence import (
    Link,
    Parts,
    Sentence,
    Text,
    fill,
    link_to,
    merged,
    phase_name,
    tr,
)
from explorer.narration.stops import breakpoint_text, why_stopped
from explorer.narration.totals import accumulate, loss_back, loss_step, update

__all__ = [
    "BACKWARD",
    "FORWARD",
    "Crumb",
    "Join",
    "Link",
    "Question",
    "Sentence",
    "Text",
    "breakpoint_text",
    "check_parts",
    "cosine",
    "crumbs",
    "finish_text",
    "inside_sentence",
    "join_at",
    "norm",
    "percent",
    "phase_name",
    "question",
    "readers_at",
    "sentence",
    "strongest",
    "tr",
    "verdict",
    "why_stopped",
]


def sentence(
    graph: Graph,
    trace: Trace | None,
    position: int,
    labels: Sequence[str] = (),
    assumed: bool = False,
    broken: Sequence[str] = (),
    stop: Stop | None = None,
    answered: Parts = (),
    ends: bool = False,
) -> Sentence:
    """What the step before ``position`` did; at 0, what is about to happen.

    ``labels`` names the classes (those of the graph if empty); ``assumed`` says that no answer was
    given and the network's own guess stands for it. ``broken`` are the nodes with an error, for
    which nothing runs. ``stop`` is why stepping stopped here by itself, and ``answered``
    what is said of an answer that was given: said first. ``ends``: nothing comes after the step.
    """
    labels = labels or graph.labels
    if trace is None:
        if not graph.nodes:
            say = tr("Drag a layer from the list onto the line between input and loss.")
            return Sentence((Text(say),))
        if broken:
            say = tr(" needs mending before anything runs.")
            return Sentence(merged((Link(broken[0], broken[0]), Text(say))))
        return Sentence(
            merged(
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
    run = Run(graph, trace, step, labels, assumed)
    why = why_stopped(stop) if stop is not None else ()
    parts: Parts = (*answered, *why, *_describe(run))
    if ends and not graph.losses:
        say = tr(" No loss judges this network, so nothing flows back: Edit → Add a loss adds one.")
        parts = (*parts, Text(say))
    return Sentence(merged(parts), step.phase)


def _opening(graph: Graph) -> Parts:
    if not graph.inputs or not graph.nodes:
        return (Text(tr("The network is empty: add a layer to begin.")),)
    first = graph.inputs[0]
    source = Link(tr("The picture"), first.id)
    readers = graph.readers.get((first.id, 0), ())
    if not readers:
        return fill(tr("{picture} goes nowhere yet: connect it to a layer."), picture=source)
    return fill(
        tr(
            "{picture} ({shape}) is ready. The next operation is {node}; nothing has been "
            "computed yet."
        ),
        picture=source,
        shape=shape_text(first.shape),
        node=link_to(graph.order[0].id),
    )


_FORWARD = {**MOVES_FORWARD, **ALGEBRA_FORWARD, **FORWARD}
_BACKWARD = {**MOVES_BACKWARD, **ALGEBRA_BACKWARD, **BACKWARD}


def _describe(run: Run) -> Parts:
    step, graph = run.step, run.graph
    if step.phase == "accumulate":
        return accumulate(run)
    if step.phase == "update":
        return update(run)
    for loss in graph.losses:
        if loss.id == step.node:
            return loss_step(run, loss) if step.phase == "loss" else loss_back(run, loss)
    node = graph.node(step.node)
    kind = type(node.layer).__name__
    if step.phase == "forward":
        return _FORWARD.get(kind, any_forward)(run, node)
    return _BACKWARD.get(kind, any_backward)(run, node)
