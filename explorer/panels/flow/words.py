"""Measures, orders, rules and single tensors of the flow panel in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from PySide6.QtCore import QCoreApplication

from engine.flow import RULES, Flag, Flow
from engine.statistics import Statistics
from engine.training_flow import FIELDS, TrainingFlow
from engine.training_flow import Measure as TrainingMeasure
from explorer.tensors.scales import format_number
from explorer.tensors.statistics import share_text

Measure = Literal["norm", "mean", "spread", "zeros"]
MEASURES: tuple[Measure, ...] = ("norm", "mean", "spread", "zeros")
Order = Literal["network", "gradient", "activation", "zeros", "weights", "flags"]
ORDERS: tuple[Order, ...] = ("network", "gradient", "activation", "zeros", "weights", "flags")


def tr(text: str) -> str:
    """The text in the language of the program."""
    return QCoreApplication.translate("FlowPanel", text)


def measure_name(measure: Measure) -> str:
    """A measure as the chooser has it."""
    return {
        "norm": tr("Norm ‖x‖"),
        "mean": tr("Mean, without sign"),
        "spread": tr("Spread"),
        "zeros": tr("Share of zeros"),
    }[measure]


def order_name(order: Order) -> str:
    """An order as the chooser has it."""
    return {
        "network": tr("In the network's order"),
        "gradient": tr("Smallest gradient first"),
        "activation": tr("Largest activation first"),
        "zeros": tr("Most zeros first"),
        "weights": tr("Fastest weights first"),
        "flags": tr("Flagged first"),
    }[order]


def training_measure_name(measure: TrainingMeasure) -> str:
    """A measure over training as the chooser has it."""
    return {
        "gradient": tr("Gradient ‖∂x‖"),
        "share of start": tr("Gradient beside the loss's"),
        "weight gradient": tr("Weights' gradient ‖∂W‖"),
        "weight ratio": tr("Weights ‖∂W‖ / ‖W‖"),
        "activation": tr("Activations ‖x‖"),
        "mean": tr("Mean, without sign"),
        "spread": tr("Spread of activations"),
        "zeros": tr("Zeros among activations"),
        "gradient zeros": tr("Zeros among gradients"),
        "dead": tr("Dead units"),
    }[measure]


def training_measure_sign(measure: TrainingMeasure) -> str:
    """A measure over training in few signs."""
    return {
        "gradient": "‖∂x‖",
        "share of start": tr("‖∂x‖ / ‖∂ at the loss‖"),
        "weight gradient": "‖∂W‖",
        "weight ratio": "‖∂W‖ / ‖W‖",
        "activation": "‖x‖",
        "mean": tr("|mean of x|"),
        "spread": tr("spread of x"),
        "zeros": tr("zeros in x"),
        "gradient zeros": tr("zeros in ∂x"),
        "dead": tr("dead units"),
    }[measure]


def training_order_name(order: str) -> str:
    """An order of the rows of the map over training."""
    return {
        "network": tr("In the network's order"),
        "smallest": tr("Smallest first"),
        "largest": tr("Largest first"),
        "flags": tr("Flagged first"),
    }[order]


def step_words(run: TrainingFlow, row: int, point: int) -> str:
    """A tensor at a measured step in words, on one line."""
    numbers = dict(zip(FIELDS, run.numbers[point][row].tolist(), strict=True))
    parts = []
    gradient = numbers["gradient_norm"]
    if not math.isnan(gradient):
        share = float(run.series_at("share of start", point)[row])
        text = tr("‖∂x‖ {0}").format(format_number(gradient))
        if math.isfinite(share):
            text += tr(" = {0} of the loss's").format(format_number(share))
        parts.append(text)
    if not math.isnan(numbers["weight_gradient"]):
        ratio = float(run.series_at("weight ratio", point)[row])
        text = tr("‖∂W‖ {0}").format(format_number(numbers["weight_gradient"]))
        if math.isfinite(ratio):
            text += tr(" = {0} of ‖W‖").format(format_number(ratio))
        parts.append(text)
    if not math.isnan(numbers["value_norm"]):
        parts.append(
            tr("‖x‖ {0}, mean {1}, spread {2}, {3:.0%} zero").format(
                format_number(numbers["value_norm"]),
                format_number(numbers["value_mean"]),
                format_number(numbers["value_spread"]),
                numbers["value_zeros"],
            )
        )
    flags = "".join(f" ⚠ {flag_name(flag)}" for flag in run.flags[point][row])
    step = f"{run.steps[point]:,}"
    return tr("{0}, step {1}: {2}").format(run.names[row], step, " · ".join(parts)) + flags


def rules_over(run: TrainingFlow) -> str:
    """The rules that were met in a run of training, with the tensors and the steps, a line each."""
    met: dict[Flag, tuple[set[int], list[int]]] = {flag: (set(), []) for flag in RULES}
    for at, point in enumerate(run.flags):
        for row, flags in enumerate(point):
            for flag in flags:
                rows_met, points_met = met[flag]
                rows_met.add(row)
                if points_met[-1:] != [at]:
                    points_met.append(at)
    lines = []
    for flag, rule in RULES.items():
        rows, points = sorted(met[flag][0]), met[flag][1]
        if not rows:
            continue
        names = [run.names[row] for row in rows[:2]]
        more = tr(" and {0} more").format(len(rows) - 2) if len(rows) > 2 else ""
        first, last = run.steps[points[0]], run.steps[points[-1]]
        when = (
            tr("in all steps")
            if len(points) == len(run.steps) > 1
            else (
                tr("in step {0}").format(f"{first:,}")
                if first == last
                else tr("in steps {0} to {1}").format(f"{first:,}", f"{last:,}")
            )
        )
        lines.append(f"⚠ {', '.join(names)}{more} {flag_name(flag)} {when}: {tr(rule)}")
    return "\n".join(lines)


def flag_name(flag: Flag) -> str:
    """A flag as the panel has it."""
    return {
        "not finite": tr("not finite"),
        "no gradient": tr("no gradient"),
        "vanishing": tr("vanishing"),
        "exploding": tr("exploding"),
        "dead": tr("dead"),
    }[flag]


def amount(statistics: Statistics | None, measure: Measure) -> float | None:
    """The measured number, from 0; NaN where values are NaN, infinite where some are infinite."""
    if statistics is None:
        return None
    if statistics.nan:
        return math.nan
    if not statistics.finite:
        return math.inf
    if measure == "zeros":
        return statistics.zero_share
    return abs(float(getattr(statistics, measure)))


def ordered(flows: Sequence[Flow], order: Order, measure: Measure) -> tuple[Flow, ...]:
    """The tensors in an order; what is not known yet, or has no such number, comes last.

    Of activations and gradients the size is compared: that of ``measure``, or else the norm.
    """
    size: Measure = "norm" if measure == "zeros" else measure

    def value(flow: Flow) -> float:
        found = amount(flow.value, size)
        return math.inf if found is None or math.isnan(found) else -found

    def gradient(flow: Flow) -> float:
        found = amount(flow.gradient, size)
        return math.inf if found is None or math.isnan(found) else found

    def zeros(flow: Flow) -> float:
        return -flow.value.zero_share if flow.value is not None else math.inf

    def weights(flow: Flow) -> float:
        return -flow.weight_ratio if flow.weight_ratio is not None else math.inf

    keys = {
        "gradient": gradient,
        "activation": value,
        "zeros": zeros,
        "weights": weights,
        "flags": lambda flow: -len(flow.flags),
    }
    return tuple(flows) if order == "network" else tuple(sorted(flows, key=keys[order]))


def text_of(flow: Flow) -> str:
    """A tensor in words, a line each for activations, gradients, weights and what is wrong."""
    lines = [flow.name, numbers_of(flow)]
    if flow.dead:
        lines.append(
            tr("{dead} of {units} units are dead").format(dead=flow.dead, units=flow.units)
        )
    if flow.forked:
        lines.append(tr("Several layers read this tensor: their gradients were added here"))
    lines += [f"⚠ {flag_name(flag)}: {tr(RULES[flag])}" for flag in flow.flags]
    return "\n".join(lines)


def numbers_of(flow: Flow) -> str:
    """The measured numbers of a tensor, a line each for activations, gradients and weights."""
    lines = []
    if flow.value is None:
        lines.append(tr("Not computed yet"))
    else:
        lines.append(tr("Activations: {numbers}").format(numbers=_numbers(flow.value)))
    if flow.gradient is None:
        lines.append(tr("No gradient yet"))
    else:
        lines.append(tr("Gradients: {numbers}").format(numbers=_numbers(flow.gradient)))
    if flow.weight_ratio is not None:
        ratio = format_number(flow.weight_ratio)
        lines.append(tr("Weights: ‖gradient‖ / ‖weights‖ = {ratio}").format(ratio=ratio))
    return "\n".join(lines)


def _numbers(found: Statistics) -> str:
    parts = [
        tr("norm {0}").format(format_number(found.norm)),
        tr("mean {0}").format(format_number(found.mean)),
        tr("spread {0}").format(format_number(found.spread)),
    ]
    if found.zeros:
        parts.append(tr("{share} zero").format(share=share_text(found.zeros, found.size)))
    if not found.finite:
        parts.append(tr("{0} not finite").format(sum(found.special)))
    return " · ".join(parts)


def rules_of(flows: Sequence[Flow]) -> str:
    """The flags that were raised, each with the tensors and its rule; empty when there are none."""
    parts = []
    for flag, rule in RULES.items():
        names = [flow.name for flow in flows if flag in flow.flags]
        if names:
            more = tr(" and {0} more").format(len(names) - 2) if len(names) > 2 else ""
            parts.append(f"⚠ {', '.join(names[:2])}{more} {flag_name(flag)}: {tr(rule)}")
    return "\n".join(parts)
