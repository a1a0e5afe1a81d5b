"""The loss and the start of its gradient, gradients that are added up, weights that move."""

from __future__ import annotations

import math

import numpy as np

from engine.cell import Cell
from engine.graph import Loss
from explorer.narration.joins import readers_at
from explorer.narration.numbers import cosine, norm, percent, plain_share, strongest, told_apart
from explorer.narration.record import Run, number, peak
from explorer.narration.sentence import Link, Parts, Text, fill, link_to, merged, tr
from explorer.tensors.scales import format_number


def loss_step(run: Run, loss: Loss) -> Parts:
    value = float(run.trace.at(run.step.writes[0]))
    probabilities = run.saved(loss.id, "probabilities")
    target = run.saved(loss.id, "target")
    error = Link(format_number(value), Cell(loss.id, 0, ()))
    if probabilities is None or target is None:
        return fill(tr("{node} measured an error of {error}."), node=link_to(loss.id), error=error)
    p, right = probabilities[0], int(target[0])
    share = Link(percent(float(p[right])), Cell(loss.input[0], loss.input[1], (right,)))
    label = run.class_name(right)
    if run.assumed:
        template = tr(
            "Nobody said what the picture shows, so the network's own guess, {label}, is taken "
            "as right; it got {share}, so the error is −ln {plain} = {error}"
        )
    else:
        template = tr(
            "The right answer, {label}, got {share}, so the error is −ln {plain} = {error}"
        )
    parts = fill(
        template, label=label, share=share, plain=plain_share(float(p[right])), error=error
    )
    guess = strongest(p)
    if guess is not None and guess[0] != right:
        parts += fill(
            tr("; the network prefers {label} with {share}"),
            label=run.class_name(guess[0]),
            share=Link(percent(float(p[guess])), Cell(loss.input[0], loss.input[1], guess)),
        )
    return parts + (Text("."),)


def loss_back(run: Run, loss: Loss) -> Parts:
    (ref, dx) = run.downstream()[0]
    target = run.saved(loss.id, "target")
    if target is None or dx.ndim != 1:
        return fill(tr("{node} starts the blame"), node=link_to(loss.id)) + peak(
            run, dx, ref, tr(", strongest {value} in {where}."), signed=True
        )
    right = int(target[0])
    others = np.where(np.arange(dx.size) == right, -np.inf, dx)
    wrong = strongest(others)
    parts = fill(
        tr("The blame starts: the score of {label} should rise (gradient {value})"),
        label=run.class_name(right),
        value=number(ref, dx, (right,)),
    )
    if wrong is not None:
        parts += fill(
            tr(", that of {label} should fall most ({value})"),
            label=run.class_name(wrong[0]),
            value=number(ref, dx, wrong),
        )
    return parts + (Text(tr(": each gradient is the share given minus the share due.")),)


def accumulate(run: Run) -> Parts:
    step = run.step
    written = step.writes[0]
    arrays = [run.array(key) for key in step.reads]
    total = run.array(written)
    if written.kind == "param_grad":
        names = [tr("sum so far") if k.kind == "param_grad" else k.ref[0] for k in step.reads]
        opening = fill(
            tr(
                "{name} of {node} is used more than once, so its gradients are added number by "
                "number: "
            ),
            name=str(written.ref[1]),
            node=link_to(step.node),
        )
    else:
        readers = readers_at(run.graph, written.ref)
        names = [
            tr("sum so far") if key.kind == "grad" else readers.get(key.ref, key.ref[0])
            for key in step.reads
        ]
        opening = fill(
            tr("At {node} two gradients are added cell by cell: "), node=link_to(step.node)
        )
    first, second = (
        Link(format_number(norm(array)), key.ref[0])
        for key, array in zip(step.reads, arrays, strict=True)
    )
    parts = opening + fill(
        tr("{first} of size {a} and {second} of size {b} make one of size {sum}."),
        first=names[0],
        a=first,
        second=names[1],
        b=second,
        sum=Link(format_number(norm(total)), written.ref[0]),
    )
    angle = cosine(arrays[0], arrays[1])
    if angle is not None:
        parts += fill(
            tr(" Sizes add up fully only where both point the same way; {agreement} ({cosine})."),
            agreement=_agreement(angle),
            cosine=tr("cosine {0}").format(format_number(angle)),
        )
    return merged(parts)


def _agreement(angle: float) -> str:
    """How much two gradients agree, by their cosine."""
    if angle > 0.9:
        return tr("these two do, nearly") if angle < 0.9999 else tr("these two do")
    if angle > 0.1:
        return tr("these two agree in part")
    if angle >= -0.1:
        return tr("these two are nearly independent")
    return tr("these two work against each other")


def update(run: Run) -> Parts:
    step = run.step
    before = {k.ref: run.array(k) for k in step.reads if k.kind in ("param", "statistic")}
    after = {k.ref: run.array(k) for k in step.writes}
    changes = {ref: after[ref].astype(np.float64) - before[ref] for ref in after if ref in before}
    if not changes:
        return fill(tr("{node} was adjusted."), node=link_to(step.node))
    moved = math.sqrt(sum(norm(c) ** 2 for c in changes.values()))
    length = math.sqrt(sum(norm(before[ref]) ** 2 for ref in changes))
    kept = all(k.kind == "statistic" for k in step.writes)
    parts = fill(
        tr("{node} took over what it measured: its running statistics move by {moved}")
        if kept
        else tr("The weights of {node} move by {moved}"),
        node=link_to(step.node),
        moved=format_number(moved),
    )
    if length > 0:
        parts += fill(tr(", {share} of their length"), share=percent(moved / length))
    ref, change = max(changes.items(), key=lambda item: float(np.abs(item[1]).max(initial=0)))
    index = strongest(change, signed=True)
    if index is not None and moved:
        old, new = told_apart(float(before[ref][index]), float(after[ref][index]))
        parts += fill(
            tr("; {name}{index} moves most, from {old} to {new}"),
            name=ref[1],
            index=f"[{', '.join(map(str, index))}]",
            old=old,
            new=Link(new, ref[0]),
        )
    return merged(parts + (Text("."),))
