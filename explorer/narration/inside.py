"""What is seen inside an operation: the sentence of a place in it, and the way that leads there."""

from __future__ import annotations

from dataclasses import dataclass

from engine.cell import Cell
from engine.explain import reads_of
from engine.inside import (
    LEVELS,
    Inside,
    Level,
    LossSheet,
    Sheet,
    SumSheet,
    UpdateSheet,
    WeightSheet,
)
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
    if len(sheet.written) > 1 and isinstance(sheet, WeightSheet | UpdateSheet):
        found.append(Crumb(sheet.name, node_id, sheet.levels[0]))
    index = sheet.index(sheet.here(at))
    first = tr("channel {0}")
    if isinstance(sheet, UpdateSheet):
        first = tr("kernel {0}") if len(index) > 2 else tr("row {0}")
    names = {
        "channel": first,
        "row": tr("row {0}"),
        "cell": tr("column {0}") if len(index) >= 3 else tr("number {0}"),
        "term": tr("line {0}") if sheet.staged else tr("term {0}"),
    }
    for level in sheet.levels[: sheet.levels.index(at.level) + 1]:
        if level == "term":
            number: int = at.terms
        elif level == "cell":
            number = index[-1] if index else 0
        else:
            number = index[0] if level == "channel" else index[-2]
        found.append(Crumb(names[level].format(number), node_id, level))
    return tuple(found)


def finish_text(level: Level | None, levels: tuple[Level, ...] = LEVELS) -> str:
    """What Finish does: outside the phase, inside what the level is a part of.

    ``levels`` are those that the tensor has; on its highest one the operation is finished.
    """
    if level is None:
        return tr("Finish phase")
    place = levels.index(level)
    if not place:
        return tr("Finish layer") if len(levels) > 1 else tr("Finish operation")
    names = {"channel": tr("Finish channel"), "row": tr("Finish row"), "cell": tr("Finish cell")}
    return names[levels[place - 1]]


def inside_sentence(sheet: Sheet, at: Inside) -> Sentence:
    """Where one stands inside of an operation, with the recorded numbers as links."""
    if not at.cells and not at.terms:
        parts = _beginning(sheet)
    elif isinstance(sheet, WeightSheet):
        parts = _weight(sheet, at) if sheet.by_kernel else _parameter(sheet, at)
    elif sheet.staged:
        parts = _stage(sheet, at) if at.terms else (*_unit(sheet, at), *_worked(sheet, at))
    elif isinstance(sheet, SumSheet) and not at.terms:
        parts = (*_unit(sheet, at), *_sum(sheet, at))
    elif at.terms:
        parts = _term(sheet, at)
    else:
        parts = (*_unit(sheet, at), *_cell(sheet, at))
    return Sentence(merged(parts), sheet.step.phase)


def _place(index: tuple[int, ...]) -> str:
    if len(index) == 3:
        return tr("row {1}, column {2} of channel {0}").format(*index)
    if not index:
        return tr("the number")
    if len(index) == 1:
        return tr("number {0}").format(*index)
    return tr("place {0}").format(", ".join(map(str, index)))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _beginning(sheet: Sheet) -> Parts:
    node, shape = link_to(sheet.owner), shape_text(sheet.shape) or "1"
    names: dict[str, str | Link] = {}
    if isinstance(sheet, LossSheet) and sheet.step.phase == "loss":
        text = tr("Inside {node}: the loss is worked out from what {source} says, line by line.")
    elif isinstance(sheet, LossSheet):
        text = tr(
            "Inside {node}: the gradient of each number of {source}, {shape}, is worked out line "
            "by line."
        )
    elif isinstance(sheet, SumSheet):
        text = tr(
            "Inside {node}: two parts of its gradient, {shape}, meet and are added up cell by "
            "cell: {first} and {second}."
        )
        names = dict(zip(("first", "second"), _senders(sheet), strict=True))
    elif isinstance(sheet, UpdateSheet):
        text = tr(
            "Inside the update of {node}: each number of {name}, {shape}, goes against its gradient"
        )
        text += tr(", by {rule}.") if sheet.optimizer is not None else "."
        names = {
            "name": sheet.name,
            "rule": sheet.optimizer.title if sheet.optimizer is not None else "",
        }
    elif sheet.side == "output":
        text = tr("Inside {node}: its output, {shape}, is made cell by cell from {source}.")
    elif sheet.side == "input":
        text = tr(
            "Inside {node}: the gradient of its input, {shape}, is made cell by cell from the "
            "gradient of its output."
        )
    elif isinstance(sheet, WeightSheet) and not sheet.by_kernel:
        text = tr(
            "Inside {node}: each of the {shape} positions adds its share to the gradient of {name}."
        )
        names = {"name": sheet.name}
    else:
        text = tr(
            "Inside {node}: each of the {shape} positions adds its share to the gradient of the "
            "kernel that made it."
        )
    source = link_to(sheet.source_ref[0])
    return fill(text, node=node, shape=shape, source=source, **names)


def _senders(sheet: SumSheet) -> tuple[str | Link, ...]:
    return tuple(link_to(who) if who else tr("the sum so far") for who in sheet.senders)


def _sum(sheet: SumSheet, at: Inside) -> Parts:
    number = sheet.here(at)
    one, two = (format_number(t.value) for t in sheet.terms(number).terms)
    first, second = _senders(sheet)
    return fill(
        tr("{where} gets {value}: {one} from {first} and {two} from {second}."),
        where=_where(sheet, number),
        value=_number(sheet, at),
        one=one,
        two=two,
        first=first,
        second=second,
    )


def _number(sheet: Sheet, at: Inside) -> Link | str:
    """The recorded number, as a link where a tensor has it."""
    number = sheet.here(at)
    source = sheet.place(number).source
    text = format_number(sheet.value(number))
    return Link(text, source) if isinstance(source, Cell) else text


def _where(sheet: Sheet, number: int) -> str:
    """A cell by its place, a weight by its name."""
    source, index = sheet.place(number).source, sheet.index(number)
    if isinstance(source, Cell):
        return _capital(_place(index))
    return f"{source.name}[{', '.join(map(str, index))}]"


def _stage(sheet: Sheet, at: Inside) -> Parts:
    """One line of the working."""
    number = sheet.here(at)
    stages = sheet.stages(number)
    stage = stages[at.terms - 1]
    where = f"{_where(sheet, number)}, " if sheet.shape else ""
    text = tr("{where}line {line} of {count}: {name} = {value}")
    if stage.number is None:
        text = tr("{where}line {line} of {count}: {name}, {size} numbers from {low} to {high}")
    text += tr(" ({formula}).") if stage.formula else "."
    if stage.picked is not None and stage.number is None:
        text += tr(" The next line takes number {picked}, {taken}.")
    picked = stage.picked or 0
    parts = fill(
        text,
        where=where,
        line=str(at.terms),
        count=str(len(stages)),
        name=stage.name,
        value=format_number(float(stage.values[0])),
        size=count_text(stage.values.size),
        low=format_number(float(stage.values.min())),
        high=format_number(float(stage.values.max())),
        formula=stage.formula,
        picked=str(picked),
        taken=format_number(float(stage.values[picked])),
    )
    first, *rest = parts
    if where or not isinstance(first, Text):
        return parts
    return (Text(_capital(first.text)), *rest)


def _worked(sheet: Sheet, at: Inside) -> Parts:
    """A number whose lines are all done."""
    number = sheet.here(at)
    stages = sheet.stages(number)
    where = _where(sheet, number)
    if isinstance(sheet, UpdateSheet):
        return fill(
            tr("{where} goes from {before} to {after}: its gradient is {gradient}."),
            where=where,
            before=format_number(float(stages[0].values[0])),
            after=format_number(sheet.value(number)),
            gradient=format_number(float(stages[1].values[0])),
        )
    first, second, *rest = stages
    text = tr("{where} gets {value}: {detail}.")
    if len(rest) in (1, 2) and rest[0].name == f"{first.name} − {second.name}":
        text = tr("{where} gets {value}: {first} {one} less {second} {two}")
        text += tr(", {detail}.") if rest[1:] else "."
    return fill(
        text,
        where=where,
        value=_number(sheet, at),
        first=first.name,
        one=format_number(float(first.values[0])),
        second=second.name,
        two=format_number(float(second.values[0])),
        detail=stages[-1].formula or stages[-1].name,
    )


def _unit(sheet: Sheet, at: Inside) -> Parts:
    """What the last step completed, where that is more than a cell."""
    index = sheet.index(sheet.here(at))
    if at.level == "channel" and isinstance(sheet, UpdateSheet):
        text = tr("Kernel {0} is done, {1} weights. ")
        if len(index) < 3:
            text = tr("Row {0} is done, {1} weights. ")
        return (Text(text.format(index[0], sheet.unit("channel"))),)
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
        index = sheet.index(number)
        if not count and sheet.unread is not None and sheet.unread[index[1:]]:
            text = tr("{where} gets {value}: no window of {node} reads it.")
        elif not count:
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
            text = tr("{where} gets {value}, the sum of {count} terms")
            text += tr(": {formula}.") if terms.formula else "."
    elif terms.combine == "max":
        return _largest(sheet, at, where)
    elif count == 1:
        text = tr("{where} is {value}, made of one number.")
    elif sheet.kernel(number) is None and terms.formula:
        text = tr("{where} is {value}: {formula}.")
    elif "param" in {t.source[0] for t in terms.terms}:
        text = tr("{where} is {value}: {products} products and the bias, added up.")
    elif sheet.kernel(number) is not None:
        text = tr("{where} is {value}: {count} products, added up.")
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


def _parameter(sheet: WeightSheet, at: Inside) -> Parts:
    """A position whose share goes to a parameter that all positions have together."""
    number = sheet.here(at)
    if at.cells == sheet.total:
        text = tr(
            "{where}: the share of its gradient {value} was the last; the gradient of {name} is "
            "complete, a sum over {total} positions."
        )
    else:
        text = tr(
            "{where}: its gradient {value} adds its share to the gradient of {name}, {done} of "
            "{total} positions so far."
        )
    return fill(
        text,
        where=_capital(_place(sheet.index(number))),
        value=Link(format_number(sheet.value(number)), sheet.cell(number)),
        name=sheet.name,
        done=f"{at.cells:,}",
        total=f"{sheet.total:,}",
    )


def _weight(sheet: WeightSheet, at: Inside) -> Parts:
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
