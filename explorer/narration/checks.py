"""What a check of one gradient found: the slope that was measured, beside the gradient."""

from __future__ import annotations

import math

from engine.cell import Cell
from engine.cell_check import CellCheck
from explorer.narration.numbers import percent
from explorer.narration.sentence import Link, Parts, Text, fill, tr
from explorer.tensors.scales import format_number

AGREES = 1e-3
"""Relative difference up to which a float32 gradient agrees with a measured slope."""
CLOSE = 1e-5
"""A smaller one is called this: its digits say nothing."""


def check_parts(found: CellCheck, gradient: float) -> Parts:
    """A sentence or two that end with a space."""
    name = str(found.source)
    source: Link | str = Link(name, found.source) if isinstance(found.source, Cell) else name
    if not math.isfinite(found.measured) or not math.isfinite(gradient):
        return fill(
            tr("Check of {source}: its gradient is {gradient}, and the loss is not finite there. "),
            source=source,
            gradient=format_number(gradient),
        )
    parts = fill(
        tr("Check of {source}: moved by ±{step}, the loss changes by {measured} per unit; "),
        source=source,
        step=format_number(found.step, 1),
        measured=format_number(found.measured, 4),
    )
    if found.kink:
        return parts + fill(
            tr(
                "the gradient is {gradient}. This is a kink: the slope is {below} below and "
                "{above} above, and the rule takes one side. "
            ),
            gradient=format_number(gradient, 4),
            below=format_number(found.below),
            above=format_number(found.above),
        )
    error = found.error(gradient)
    if error <= AGREES:
        text = tr("the gradient says {gradient}: they agree")
        parts += fill(text, gradient=format_number(gradient, 4))
        within = tr(" to within {0}. ").format(percent(max(error, CLOSE)))
        return parts + (Text(within if error else ". "),)
    return parts + fill(
        tr("the gradient says {gradient}: they differ by {error}. "),
        gradient=format_number(gradient, 4),
        error=percent(error),
    )
