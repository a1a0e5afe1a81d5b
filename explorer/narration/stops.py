"""Why stepping stopped: the words before the sentence, and those of a breakpoint in a list."""

from __future__ import annotations

from engine.trace import Key
from explorer.breakpoints import Breakpoint, Stop
from explorer.narration.numbers import percent
from explorer.narration.sentence import Parts, Text, fill, phase_name, tr
from explorer.tensors.scales import format_number


def why_stopped(stop: Stop) -> Parts:
    """A sentence that ends with a space."""
    point = stop.breakpoint
    if point.kind == "node":
        return (Text(tr("Breakpoint: ")),)
    if point.kind == "phase":
        if point.phase == "accumulate":
            return (Text(tr("Breakpoint: gradients are added up here. ")),)
        return fill(tr("Breakpoint: “{phase}” begins. "), phase=phase_name(point.phase)[0])
    assert stop.key is not None
    name, number = _array(stop.key), format_number(stop.measured)
    limit = _as_typed(point.limit)
    if point.kind == "not finite":
        if stop.measured == 1:
            return fill(tr("Breakpoint: one number of {name} is NaN or infinite. "), name=name)
        return fill(
            tr("Breakpoint: {count} numbers of {name} are NaN or infinite. "),
            count=f"{int(stop.measured):,}",
            name=name,
        )
    if point.kind == "zeros above":
        return fill(
            tr("Breakpoint: {share} of {name} is zero, more than {limit}. "),
            share=percent(stop.measured),
            name=name,
            limit=percent(point.limit),
        )
    less = point.kind == "gradient below"
    text = tr("Breakpoint: ‖{name}‖ = {number} is below {limit}. ")
    if not less:
        text = tr("Breakpoint: ‖{name}‖ = {number} is above {limit}. ")
    return fill(text, name=name, number=number, limit=limit)


def _array(key: Key) -> str:
    """A recorded array in few signs: ∂ marks a gradient."""
    node, part = key.ref
    if key.kind in ("param", "statistic", "saved"):
        return f"{node}.{part}"
    if key.kind in ("param_grad", "param_part"):
        return f"∂{node}.{part}"
    name = f"{node}:{part}" if part and key.kind != "part" else str(node)
    if key.kind == "part":
        return tr("∂ sent by {node}").format(node=node)
    return f"∂{name}" if key.kind == "grad" else name


def breakpoint_text(point: Breakpoint) -> str:
    """What a breakpoint stops at, as in the list."""
    if point.kind == "node":
        if not point.phase:
            return tr("{node}, whenever it is reached").format(node=point.node)
        return tr("{node}, {phase}").format(node=point.node, phase=phase_name(point.phase)[0])
    if point.kind == "phase":
        if point.phase == "accumulate":
            return tr("Every sum of gradients")
        return tr("“{phase}” begins").format(phase=phase_name(point.phase)[0])
    if point.kind == "not finite":
        text = tr("NaN or infinity")
    elif point.kind == "zeros above":
        text = tr("More than {limit} of a value is zero").format(limit=percent(point.limit))
    elif point.kind == "gradient below":
        text = tr("‖gradient‖ < {limit}").format(limit=_as_typed(point.limit))
    else:
        text = tr("‖gradient‖ > {limit}").format(limit=_as_typed(point.limit))
    where = point.node or tr("anywhere")
    return f"{text}, {where}"


def _as_typed(limit: float) -> str:
    """A limit as somebody would write it: 1e−6 rather than 1.00e−6."""
    mantissa, _, exponent = f"{limit:g}".partition("e")
    text = f"{mantissa}e{int(exponent)}" if exponent else mantissa
    return text.replace("-", "−")
