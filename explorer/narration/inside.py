"""What is seen inside an operation: the sentence of a place in it, and the way that leads there."""

from __future__ import annotations

from dataclasses import dataclass

from engine.explain import reads_of
from engine.inside import Inside, Level, Sheet
from explorer.narration.numbers import count_text, shape_text, tie_text
from explorer.narration.sentence import Link, Parts, Sentence, Text, fill, link_to, merged, tr
from explorer.tensors.scales import format_number


@dataclass(frozen=True)
class Crumb:
    """One part of the way: a block or node by its id prefix, or a level inside of a node."""

    text: str
    path: str = ""
    level: Level | None = None


def crumbs(
    name: str, node_id: str, sheet: Sheet | None = None, at: Inside | None = None
) -> tuple[Crumb, ...]:
    """From the network down through the blocks to the node, and on into it."""
    found = [Crumb(name)]
    parts = node_id.split("/") if node_id else []
    for i, part in enumerate(parts):
        found.append(Crumb(part, "/".join(parts[: i + 1])))
    if sheet is None or at is None:
        return tuple(found)
    index = sheet.index(sheet.here(at))
    names = {
        "channel": tr("channel {0}"),
        "row": tr("row {0}"),
        "cell": tr("column {0}") if len(index) == 3 else tr("number {0}"),
        "term": tr("term {0}"),
    }
    for level in sheet.levels[: sheet.levels.index(at.level) + 1]:
        if level == "term":
            number: int = at.terms
        elif level == "cell":
            number = index[-1]
        else:
            number = index[0] if level == "channel" else index[-2]
        found.append(Crumb(names[level].format(number), node_id, level))
    return tuple(found)


def finish_text(level: Level | None) -> str:
    """What Finish does: outside the phase, inside what the level is a part of."""
    if level is None:
        return tr("Finish phase")
    return {
        "channel": tr("Finish layer"),
        "row": tr("Finish channel"),
        "cell": tr("Finish row"),
        "term": tr("Finish cell"),
    }[level]


def inside_sentence(sheet: Sheet, at: Inside) -> Sentence:
    """Where one stands inside of an operation, with the recorded numbers as links."""
    if not at.cells and not at.terms:
        parts = _beginning(sheet)
    elif sheet.side == "weight":
        parts = _weight(sheet, at)
    elif at.terms:
        parts = _term(sheet, at)
    else:
        parts = (*_unit(sheet, at), *_cell(sheet, at))
    return Sentence(merged(parts), sheet.step.phase)


def _place(index: tuple[int, ...]) -> str:
    if len(index) == 3:
        return tr("row {1}, column {2} of channel {0}").format(*index)
    if len(index) == 1:
        return tr("number {0}").format(*index)
    return tr("place {0}").format(", ".join(map(str, index)))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _beginning(sheet: Sheet) -> Parts:
    node, shape = link_to(sheet.node.id), shape_text(sheet.shape)
    if sheet.side == "output":
        text = tr("Inside {node}: its output, {shape}, is made cell by cell from {source}.")
    elif sheet.side == "input":
        text = tr(
            "Inside {node}: the gradient of its input, {shape}, is made cell by cell from the "
            "gradient of its output."
        )
    else:
        text = tr(
            "Inside {node}: each of the {shape} positions adds its share to the gradient of the "
            "kernel that made it."
        )
    source = link_to(sheet.source_ref[0])
    return fill(text, node=node, shape=shape, source=source)


def _unit(sheet: Sheet, at: Inside) -> Parts:
    """What the last step completed, where that is more than a cell."""
    index = sheet.index(sheet.here(at))
    if at.level == "channel":
        return (
            Text(tr("Channel {0} is done, {1} cells. ").format(index[0], sheet.unit("channel"))),
        )
    if at.level == "row":
        return (Text(tr("Row {0} is done, {1} cells. ").format(index[-2], sheet.unit("row"))),)
    return ()


def _value(sheet: Sheet, at: Inside) -> Link:
    number = sheet.here(at)
    return Link(format_number(sheet.value(number)), sheet.cell(number))


def _cell(sheet: Sheet, at: Inside) -> Parts:
    number = sheet.here(at)
    terms = sheet.terms(number)
    where = _capital(_place(sheet.index(number)))
    value, count = _value(sheet, at), len(terms.terms)
    if sheet.side == "input":
        if not count:
            text = tr("{where} gets {value}: nothing that was computed looked at it.")
        elif count == 1 and type(sheet.node.layer).__name__ == "MaxPool2d":
            return _won_or_lost(sheet, at, where)
        elif count == 1:
            text = tr("{where} gets {value}, from one cell that it fed.")
        elif sheet.kernel(number) is not None:
            text = tr(
                "{where} gets {value}: {count} cells of {node} read it, and each sends its "
                "gradient times its weight."
            )
        elif type(sheet.node.layer).__name__ == "MaxPool2d":
            text = tr(
                "{where} gets {value}: {count} windows of {node} read it, and those that it won "
                "send their gradient."
            )
        elif getattr(sheet.node.layer, "window", None) is not None:
            text = tr(
                "{where} gets {value}: {count} windows of {node} read it, and each sends its share."
            )
        else:
            text = tr("{where} gets {value}, the sum of {count} terms.")
    elif terms.combine == "max":
        return _largest(sheet, at, where)
    elif count == 1:
        text = tr("{where} is {value}, made of one number.")
    elif sheet.kernel(number) is None and terms.formula:
        text = tr("{where} is {value}: {formula}.")
    elif "param" in {t.source[0] for t in terms.terms}:
        text = tr("{where} is {value}: {products} products and the bias, added up.")
    else:
        text = tr("{where} is {value}: {count} terms, added up.")
    return fill(
        text,
        where=where,
        value=value,
        count=count_text(count),
        products=count_text(count - 1),
        node=link_to(sheet.node.id),
        formula=terms.formula,
    )


def _won_or_lost(sheet: Sheet, at: Inside, where: str) -> Parts:
    """Why a cell that one window of a max pool read gets its gradient, or none."""
    term = sheet.terms(sheet.here(at)).terms[0]
    window = reads_of(sheet.node, sheet.record, term.source[2], sheet.trace)
    values = [t.product for t in window.terms]
    tie = "" if window.chosen is None else tie_text(values, window.chosen)
    mine = float(sheet.record.xs[0][sheet.index(sheet.here(at))])
    if term.coefficient and tie:
        text = tr("{where} gets {value}: in its window of {node} {tie}, this one.")
    elif term.coefficient:
        text = tr("{where} gets {value}: it was the largest of its window of {node}.")
    elif tie and window.chosen is not None and mine == values[window.chosen]:
        text = tr("{where} gets {value}: in its window of {node} {tie}, another one.")
    else:
        text = tr("{where} gets {value}: another cell of its window was larger.")
    return fill(text, where=where, value=_value(sheet, at), node=link_to(sheet.node.id), tie=tie)


def _largest(sheet: Sheet, at: Inside, where: str) -> Parts:
    terms = sheet.terms(sheet.here(at))
    text = tr("{where} is {value}, the largest of {count}")
    parts = fill(text, where=where, value=_value(sheet, at), count=count_text(len(terms.terms)))
    if terms.chosen is None:
        return (*parts, Text("."))
    kind, *rest = terms.terms[terms.chosen].source
    if kind != "input":
        if any(t.product == terms.terms[terms.chosen].product for t in terms.terms[: terms.chosen]):
            return (*parts, Text(tr(": what came in is as low as the floor.")))
        return (*parts, Text(tr(": what came in is below zero, so the floor counts.")))
    index = rest[-1]
    if len(index) == 3:
        where = tr("row {1}, column {2}").format(*index)
    else:
        where = _place(index)
    tie = tie_text([t.product for t in terms.terms], terms.chosen)
    return (
        *parts,
        *fill(
            tr("; {tie}, at {where} of {source}.")
            if tie
            else tr(": it stood at {where} of {source}."),
            tie=tie,
            where=where,
            source=link_to(sheet.source_ref[0]),
        ),
    )


def _term(sheet: Sheet, at: Inside) -> Parts:
    number = sheet.here(at)
    terms = sheet.terms(number)
    term = terms.terms[at.terms - 1]
    running = sheet.running(at)
    product = format_number(term.value)
    if term.coefficient != 1:
        factor = format_number(term.coefficient)
        factor = f"({factor})" if factor.startswith("−") else factor
        product = f"{product} × {factor} = {format_number(term.product)}"
    text = tr("{where}, term {term} of {count}: {product}")
    if running is not None:
        text += (
            tr("; the largest so far is {sum}.")
            if terms.combine == "max"
            else tr("; the sum so far is {sum}.")
        )
    else:
        text += "."
    return fill(
        text,
        where=_capital(_place(sheet.index(number))),
        term=count_text(at.terms),
        count=count_text(len(terms.terms)),
        product=product,
        sum="" if running is None else format_number(running),
    )


def _weight(sheet: Sheet, at: Inside) -> Parts:
    number = sheet.here(at)
    channel, size = sheet.weight_channel(at), sheet.unit("channel")
    done = at.cells - channel * size
    if size == 1:
        text = tr("{where}: its gradient {value} times the input is the gradient of its weights.")
    elif done == size:
        text = tr(
            "{where}: its gradient {value} times the window was the last share; the gradient of "
            "kernel {channel} is complete, a sum over {size} positions."
        )
    else:
        text = tr(
            "{where}: its gradient {value} times the window is added to the gradient of kernel "
            "{channel}, {done} of {size} positions so far."
        )
    return fill(
        text,
        where=_capital(_place(sheet.index(number))),
        value=Link(format_number(sheet.value(number)), sheet.cell(number)),
        channel=str(channel),
        size=count_text(size),
        done=count_text(done),
    )
