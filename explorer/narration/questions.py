"""Predict, then reveal: what an operation is about to do, asked before it is shown.

Every number is one that the run recorded; wrong answers are what another rule would give.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from engine.cell import Cell
from engine.explain import reads_of
from engine.graph import Graph, Node
from engine.layers.base import Array, Record, Terms
from engine.trace import Step, Trace
from explorer.narration.numbers import count_text, strongest, tie_text, where_text
from explorer.narration.sentence import Parts, Text, fill, link_to, tr
from explorer.tensors.scales import format_number

MOST = 4  # choices, as many as there are keys for
FEW = 9  # numbers that are written out


@dataclass(frozen=True)
class Question:
    """What is asked before operation ``operation`` is shown; ``right`` numbers the right choice.

    ``why`` is one sentence that is said with the answer. ``cells`` are the cells that the choices
    stand for, where they do: a click on one answers.
    """

    operation: int
    text: Parts
    choices: tuple[str, ...]
    right: int
    why: Parts
    cells: tuple[Cell | None, ...] = ()


def question(graph: Graph, trace: Trace, operation: int) -> Question | None:
    """What to ask before a recorded step is shown; None where nothing is worth asking."""
    step = trace.steps[operation]
    node = graph.by_id.get(step.node)
    if node is None:
        return None
    ask = _ASKED.get((type(node.layer).__name__, step.phase))
    record = trace.around(node, operation + 1)
    if ask is None or record is None:
        return None
    return ask(trace, step, node, record)


def verdict(asked: Question, answer: int | None) -> Parts:
    """What is said when the answer is shown; None: it was revealed without one."""
    shown = asked.choices[asked.right]
    if answer is None:
        return fill(tr("{shown}: "), shown=shown) + asked.why + (Text(" "),)
    if answer == asked.right:
        return fill(tr("Right, {shown}: "), shown=shown) + asked.why + (Text(" "),)
    text = fill(tr("Not {wrong} but {shown}: "), wrong=asked.choices[answer], shown=shown)
    return text + asked.why + (Text(" "),)


def _made(
    step: Step, text: Parts, right: str, others: Sequence[str], why: Parts, keep: bool = False
) -> Question | None:
    """The question with its distinct choices, in the order of their numbers unless ``keep``."""
    choices = list(dict.fromkeys((right, *others)))[:MOST]
    if len(choices) < 2:
        return None
    if not keep:
        choices.sort(key=_order)
    return Question(step.index, text, tuple(choices), choices.index(right), why)


def _order(text: str) -> float:
    try:
        return float(text.replace("−", "-"))
    except ValueError:
        return 0.0


def _numbers(right: float, *others: float) -> tuple[str, tuple[str, ...]]:
    return format_number(right), tuple(format_number(x) for x in others)


def _listed(values: Sequence[float]) -> str:
    shown = ", ".join(format_number(v) for v in values[:FEW])
    return shown + (", …" if len(values) > FEW else "")


def _cell(array: Array, *, signed: bool = True) -> tuple[int, ...] | None:
    return strongest(array, signed=signed)


def _max_pool(trace: Trace, step: Step, node: Node, rec: Record) -> Question | None:
    index = _cell(rec.ys[0], signed=False)
    if index is None:
        return None
    values = [t.value for t in reads_of(node, rec, index, trace).terms]
    right, others = _numbers(max(values), float(np.mean(values)), sum(values), min(values))
    text = fill(
        tr("In {where} {node} sees {values}. What comes out?"),
        where=where_text(index),
        node=link_to(node.id),
        values=_listed(values),
    )
    why = (Text(tr("a max pool keeps the largest number of its window.")),)
    return _made(step, text, right, others, why)


def _max_pool_back(trace: Trace, step: Step, node: Node, rec: Record) -> Question | None:
    dy = rec.dys[0]
    index = _cell(dy) if dy is not None else None
    if dy is None or index is None or not dy[index]:
        return None
    terms = reads_of(node, rec, index, trace)
    if terms.chosen is None or len(terms.terms) < 2:
        return None
    indices = [t.source[2] for t in terms.terms]
    winner = indices[terms.chosen]
    few = [winner, *[i for i in indices if i != winner][: MOST - 2]]
    offered = [i for i in indices if i in few]
    choices = (*(_place(i) for i in offered), tr("to all of them, evenly"))
    source = next(ref for ref in node.inputs if ref is not None)
    cells = (*(Cell(*source, i) for i in offered), None)
    text = fill(
        tr("The gradient {dy} arrives in {where} of {node}. Where will it go?"),
        dy=format_number(float(dy[index])),
        where=where_text(index),
        node=link_to(node.id),
    )
    tie = tie_text([t.product for t in terms.terms], terms.chosen)
    why = fill(
        tr("in the window {tie}, and the whole gradient goes there.")
        if tie
        else tr("{value} was the largest of its window, so the whole gradient goes there."),
        tie=tie,
        value=format_number(terms.terms[terms.chosen].value),
    )
    return Question(step.index, text, choices, offered.index(winner), why, cells)


def _place(index: tuple[int, ...]) -> str:
    return tr("row {0}, column {1}").format(*index[-2:])


def _relu(trace: Trace, step: Step, node: Node, rec: Record) -> Question | None:
    x = rec.xs[0]
    if not x.size or not np.isfinite(x).all():
        return None
    # the most negative number is the one with something to learn
    index = tuple(int(i) for i in np.unravel_index(int(x.argmin()), x.shape))
    value = float(x[index])
    right, others = _numbers(max(value, 0.0), value, abs(value), 1.0)
    text = fill(
        tr("In {where} {node} receives {value}. What does it let through?"),
        where=where_text(index),
        node=link_to(node.id),
        value=format_number(value),
    )
    why = (Text(tr("ReLU sets what is negative to zero and leaves the rest alone.")),)
    return _made(step, text, right, others, why)


def _relu_back(trace: Trace, step: Step, node: Node, rec: Record) -> Question | None:
    x, dy = rec.xs[0], rec.dys[0]
    if dy is None or not np.isfinite(dy).all():
        return None
    blocked = np.where(x > 0, 0, dy)
    index = _cell(blocked if blocked.any() else dy)
    if index is None or not dy[index]:
        return None
    sent, value = float(dy[index]), float(x[index])
    right, others = _numbers(sent if value > 0 else 0.0, sent, -sent, sent * value, 0.0)
    text = fill(
        tr(
            "The gradient {dy} arrives in {where} of {node}, where {x} came in. How much goes back?"
        ),
        dy=format_number(sent),
        where=where_text(index),
        node=link_to(node.id),
        x=format_number(value),
    )
    why = (Text(tr("a gradient passes where the number was above zero, and nowhere else.")),)
    return _made(step, text, right, others, why)


def _add(trace: Trace, step: Step, node: Node, rec: Record) -> Question | None:
    index = _cell(rec.ys[0])
    if index is None:
        return None
    products = [t.product for t in reads_of(node, rec, index, trace).terms]
    total = float(rec.ys[0][index])
    right, others = _numbers(total, total / len(products), max(products), float(np.prod(products)))
    text = fill(
        tr("In {where} {node} receives {values}. What comes out?"),
        where=where_text(index),
        node=link_to(node.id),
        values=_listed(products),
    )
    return _made(step, text, right, others, (Text(tr("an Add adds its inputs cell by cell.")),))


def _add_back(trace: Trace, step: Step, node: Node, rec: Record) -> Question | None:
    dy = rec.dys[0]
    index = _cell(dy) if dy is not None else None
    if dy is None or index is None or not dy[index] or trace.gains:
        return None
    sent, count = float(dy[index]), len(rec.xs)
    each = tr("{0} to each input")
    right = each.format(format_number(sent))
    others = (
        each.format(format_number(sent / count)),
        tr("{0} to the larger input, 0 to the other").format(format_number(sent)),
    )
    text = fill(
        tr("The gradient {dy} arrives in {where} of {node}. How much goes to its {count} inputs?"),
        dy=format_number(sent),
        where=where_text(index),
        node=link_to(node.id),
        count=count_text(count),
    )
    why = (Text(tr("a sum grows as each of its terms grows, so each receives all of it.")),)
    return _made(step, text, right, others, why, keep=True)


def _conv(trace: Trace, step: Step, node: Node, rec: Record) -> Question | None:
    index = _cell(rec.ys[0])
    if index is None:
        return None
    terms: Terms = reads_of(node, rec, index, trace)
    bias = sum(t.product for t in terms.terms if t.source[0] == "param")
    products = [t.product for t in terms.terms if t.source[0] != "param"]
    value = float(rec.ys[0][index])
    right, others = _numbers(
        value, max(products, key=abs), value / max(1, len(products)), value - 2 * bias
    )
    text = fill(
        tr(
            "In {where} {node} lays its kernel on {count} numbers: the products lie between {low} "
            "and {high}, the bias is {bias}. What comes out?"
        ),
        where=where_text(index),
        node=link_to(node.id),
        count=count_text(len(products)),
        low=format_number(min(products)),
        high=format_number(max(products)),
        bias=format_number(bias),
    )
    why = (Text(tr("the answer of a kernel is the sum of all its products and the bias.")),)
    return _made(step, text, right, others, why)


_ASKED: dict[tuple[str, str], Callable[[Trace, Step, Node, Record], Question | None]] = {
    ("MaxPool2d", "forward"): _max_pool,
    ("MaxPool2d", "backward"): _max_pool_back,
    ("ReLU", "forward"): _relu,
    ("ReLU", "backward"): _relu_back,
    ("Add", "forward"): _add,
    ("Add", "backward"): _add_back,
    ("Conv2d", "forward"): _conv,
}
