"""Places and sums in words, with their numbers."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication

from engine.cell import Cell
from engine.explain import Explanation, Place
from engine.fields import Field, Fields
from engine.graph import Graph
from explorer.tensors.scales import format_number

MOST_TERMS = 3  # of a sum that is written out
ROUNDING = 2e-6  # of what was added up: float32 has 24 bits


def tr(text: str) -> str:
    """The text in the language of the program."""
    return QCoreApplication.translate("CellPanel", text)


def short_name(place: Place) -> str:
    """Node and index: conv1 [2, 5, 7]."""
    source = place.source
    inside = ", ".join(map(str, source.index))
    if isinstance(source, Cell):
        port = f":{source.port}" if source.port else ""
        return f"{source.node}{port} [{inside}]" if inside else f"{source.node}{port}"
    return f"{source.owner} {source.name} [{inside}]"


def long_name(place: Place) -> str:
    """What is asked about, in words."""
    source = place.source
    if not isinstance(source, Cell):
        place_text = ", ".join(map(str, source.index))
        text = tr("{name}[{place}] of {node}").format(
            name=source.name, place=place_text, node=source.owner
        )
    else:
        node = f"{source.node}:{source.port}" if source.port else source.node
        if len(source.index) == 3:
            text = tr("{node}, channel {0}, row {1}, column {2}").format(*source.index, node=node)
        elif len(source.index) == 1:
            text = tr("{node}, number {0}").format(*source.index, node=node)
        else:
            text = node
    return tr("Gradient of {0}").format(text) if place.direction == "gradient" else text


def index_name(place: Place) -> str:
    """The index alone, where the tensor is named already."""
    return f"[{', '.join(map(str, place.source.index))}]"


def tensor_name(place: Place) -> str:
    """The tensor or parameter that a place is an element of."""
    return short_name(place).removesuffix(index_name(place)).strip()


def constant_name(name: str) -> str:
    """What a constant stands for."""
    return {
        "padding": tr("padding"),
        "zero": tr("the floor, 0"),
        "mean": tr("mean of the batch"),
        "other samples": tr("the other samples"),
        "target": tr("y, target"),
    }.get(name, name)


def passed_on(found: Explanation) -> bool:
    """Whether the number is that of one other cell, unchanged."""
    return len(found) == 1 and found.combine == "sum" and found.term(0).coefficient == 1


def numbers_of(found: Explanation) -> str:
    """The formula with its numbers; of a long sum the largest terms."""
    value = format_number(found.value)
    if found.given or not len(found) or passed_on(found):
        return ""
    if len(found.shares) > 1:
        shares = (f"{_bracketed(format_number(s.value))} ({s.reader})" for s in found.shares)
        return f"{' + '.join(shares)} = {value}"
    if found.combine == "max":
        values = [format_number(float(p)) for p in found.products[:9]]
        more = "" if len(found) <= 9 else ", …"
        return f"max({', '.join(values)}{more}) = {value}"
    if found.combine == "formula":
        return f"{found.formula} = {value}"
    parts: list[str] = []
    for number in found.order[:MOST_TERMS]:
        term = found.term(int(number))
        text = format_number(term.value)
        if parts:
            text = f" + {_bracketed(text)}"
        if term.coefficient != 1:
            text += f" × {_bracketed(format_number(term.coefficient))}"
        parts.append(text)
    rest = len(found) - len(parts)
    if rest:
        parts.append(
            tr(" + … {0} smaller term").format(rest)
            if rest == 1
            else tr(" + … {0:,} smaller terms").format(rest)
        )
    return f"{''.join(parts)} = {value}"


def _bracketed(text: str) -> str:
    return f"({text})" if text.startswith("−") else text


def sum_of(found: Explanation) -> str:
    """What the terms make together, beside the number that was recorded."""
    if found.given:
        return ""
    if not len(found):
        return tr("Nothing that was computed takes part: the sum of no terms is 0.")
    if found.total is None:
        if len(found) == 1:
            return tr("Made of one number by the formula above.")
        return tr("Made of {0:,} numbers by the formula above.").format(len(found))
    if found.combine == "max":
        assert found.chosen is not None
        equal = (found.products == found.products[found.chosen]).nonzero()[0]
        same = (
            len(equal) if len(equal) and found.chosen == equal[0] else 1
        )  # of 0 and a floor of 0 the floor
        if same == len(found) > 1:
            return tr("All {0:,} numbers are equal: the first wins.").format(same)
        if same > 1:
            return tr("{0:,} of {1:,} numbers are equally large: the first of them wins.").format(
                same, len(found)
            )
        return tr("The largest of {0:,} numbers; the others do not count.").format(len(found))
    if passed_on(found) and not found.difference:
        return tr("One number, passed on unchanged.")
    total, difference = format_number(found.total, 6), found.difference or 0.0
    terms = (
        tr("1 term makes {0}").format(total)
        if len(found) == 1
        else tr("{0:,} terms add up to {1}").format(len(found), total)
    )
    if difference == 0:
        return tr("{0}, exactly the number shown.").format(terms)
    text = tr("{0}; the number shown differs by {1}").format(terms, format_number(difference, 2))
    size = float(abs(found.products).sum()) + abs(found.value)
    if abs(difference) <= ROUNDING * size:
        return tr("{0}: rounding.").format(text)
    return f"{text}."


def reach_of(graph: Graph, fields: Fields) -> str:
    """What a cell sees of the inputs and changes in the layers after it, with sizes."""
    parts = []
    for entry in graph.inputs:
        field = fields.seen.get((entry.id, 0))
        if field is not None:
            parts.append(tr("Sees {what}.").format(what=_seen(entry.id, entry.shape, field)))
    changed = {n.id: fields.changed[n.id, 0] for n in graph.order if (n.id, 0) in fields.changed}
    partly = [name for name, field in changed.items() if not field.is_whole]
    maps = [name for name in partly if len(changed[name].box) == 3]
    entirely = next((name for name, field in changed.items() if field.is_whole), None)
    what = tr("Changes {part}")
    if maps:
        size = _size(changed[maps[-1]].size)
        what = what.format(part=tr("{size} of {tensor}").format(size=size, tensor=maps[-1]))
    elif partly:
        what = what.format(part=_numbers(changed[partly[-1]].size[0], partly[-1]))
    if entirely is not None:
        whole = tr("all of {tensor}").format(tensor=entirely)
        what = (
            tr("{start} and {more}").format(start=what, more=whole)
            if partly
            else what.format(part=whole)
        )
    if changed:
        parts.append(f"{what}.")
    return " ".join(parts)


def _seen(name: str, shape: tuple[int, ...], field: Field) -> str:
    size = _size(field.size)
    if len(shape) == 1:
        if field.is_whole:
            return tr("all of {tensor}").format(tensor=name)
        return _numbers(field.size[0], name)
    text = tr("{size} of {tensor}").format(size=size, tensor=name)
    if tuple(field.size) == tuple(shape[1:]):
        text = tr("all {size} of {tensor}").format(size=size, tensor=name)
    if field.padded_size != field.size:
        text = tr("{seen}, {size} with padding").format(seen=text, size=_size(field.padded_size))
    return text


def _numbers(count: int, tensor: str) -> str:
    if count == 1:
        return tr("1 number of {tensor}").format(tensor=tensor)
    return tr("{count:,} numbers of {tensor}").format(count=count, tensor=tensor)


def _size(size: tuple[int, ...]) -> str:
    return "×".join(map(str, size))
