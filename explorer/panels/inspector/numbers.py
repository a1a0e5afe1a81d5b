"""The rows of the statistics table, read from the trace."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication

from engine.graph import Loss
from engine.statistics import statistics_of
from engine.trace import Key
from explorer.narration import percent
from explorer.panels.inspector.lens import Lens, name_of
from explorer.tensors.scales import format_number

Row = tuple[str, ...]
MISSING = "–"


def _tr(text: str) -> str:
    return QCoreApplication.translate("Inspector", text)


def tensor_rows(lens: Lens) -> tuple[Row, list[Row]]:
    """Header, and a row for each tensor around a node: range, mean, norm, share of zeros."""
    node = lens.node
    rows: list[tuple[str, Key | None]] = []
    for slot, source in enumerate(node.inputs if node else ()):
        if node is not None and source is not None:
            name = name_of(source)
            rows.append((_tr("input {0}").format(name), lens.key("value", source)))
            rows.append((f"∂ {name}", lens.sent(node, slot, source)))
    ref = (lens.node_id, lens.port)
    rows.append((_tr("output"), lens.key("value", ref)))
    rows.append((_tr("∂ output"), lens.key("grad", ref)))
    if node is not None:
        for name in lens.parameters(node):
            value = lens.key("param", (node.owner, name))
            if value is None:
                rows.append((name, lens.key("statistic", (node.owner, name))))
                continue
            rows.append((name, value))
            rows.append((f"∂ {name}", lens.key("param_grad", (node.owner, name))))
    header = (_tr("Tensor"), _tr("min"), _tr("max"), _tr("mean"), _tr("‖·‖"), _tr("zero"))
    return header, [_row(lens, name, key) for name, key in rows]


def _row(lens: Lens, name: str, key: Key | None) -> Row:
    array = lens.array(key)
    if array is None:
        return (name, *[MISSING] * 5)
    found = statistics_of(array)
    wrong = sum(found.special)
    return (
        name + (_tr(" ({0} not finite)").format(wrong) if wrong else ""),
        format_number(found.low),
        format_number(found.high),
        format_number(found.mean),
        format_number(found.norm),
        percent(found.zeros / found.size) if found.size else MISSING,
    )


def class_rows(lens: Lens, loss: Loss) -> tuple[Row, list[Row], int | None]:
    """Header, a row for each class with score, share and gradient, and which one is right."""
    scores = lens.value(loss.input)
    gradient = lens.array(lens.key("grad", loss.input))
    if gradient is None:
        gradient = lens.array(lens.key("part", (loss.id, 0)))
    shares = lens.array(lens.key("saved", (loss.id, "probabilities")))
    target = lens.array(lens.key("saved", (loss.id, "target")))
    labels = lens.graph.labels
    header = (_tr("Class"), _tr("score"), _tr("share"), _tr("gradient"))
    if scores is None or scores.ndim != 1:
        return header, [], None
    rows: list[Row] = [
        (
            labels[i] if i < len(labels) else str(i),
            format_number(float(score)),
            percent(float(shares[0][i])) if shares is not None else MISSING,
            format_number(float(gradient[i])) if gradient is not None else MISSING,
        )
        for i, score in enumerate(scores)
    ]
    return header, rows, int(target[0]) if target is not None else None
