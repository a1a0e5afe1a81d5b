"""A sentence as words and links, and how it is put together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from string import Formatter

from PySide6.QtCore import QCoreApplication

from engine.cell import Cell


@dataclass(frozen=True)
class Text:
    """Plain words."""

    text: str


@dataclass(frozen=True)
class Link:
    """Words that stand for a place: a cell of a tensor, or a node by its id."""

    text: str
    target: Cell | str


@dataclass(frozen=True)
class Sentence:
    """Words and links in order; ``phase`` is that of the step, empty where there was none."""

    parts: tuple[Text | Link, ...] = ()
    phase: str = ""

    @property
    def text(self) -> str:
        """The sentence without its links."""
        return "".join(part.text for part in self.parts)

    @property
    def links(self) -> tuple[Link, ...]:
        return tuple(part for part in self.parts if isinstance(part, Link))


def tr(text: str) -> str:
    """The text in the language of the program."""
    return QCoreApplication.translate("Narration", text)


def phase_name(phase: str) -> tuple[str, str]:
    """What a phase is called on the screen, and its engine word; KeyError for another name."""
    return {
        "forward": (tr("Predict"), tr("forward")),
        "loss": (tr("Measure error"), tr("loss")),
        "backward": (tr("Send blame back"), tr("backward")),
        "accumulate": (tr("Add up"), tr("accumulate")),
        "update": (tr("Adjust"), tr("update")),
    }[phase]


Parts = tuple[Text | Link, ...]


def fill(template: str, **values: str | Link) -> tuple[Text | Link, ...]:
    """The template with words and links in the places of its names."""
    parts: list[Text | Link] = []
    for literal, name, _, _ in Formatter().parse(template):
        for piece in (literal, values[name] if name else ""):
            if isinstance(piece, Link):
                parts.append(piece)
            elif piece and parts and isinstance(parts[-1], Text):
                parts[-1] = Text(parts[-1].text + piece)
            elif piece:
                parts.append(Text(piece))
    return tuple(parts)


def link_to(node_id: str) -> Link:
    return Link(node_id, node_id)


def listed(clauses: Iterable[Parts]) -> Parts:
    """Clauses joined by commas and "and"."""
    items = list(clauses)
    parts: Parts = ()
    for i, item in enumerate(items):
        if i:
            parts += (Text(tr(" and ") if i == len(items) - 1 else ", "),)
        parts += item
    return merged(parts)


def merged(parts: Parts) -> Parts:
    found: list[Text | Link] = []
    for part in parts:
        if isinstance(part, Text) and found and isinstance(found[-1], Text):
            found[-1] = Text(found[-1].text + part.text)
        elif part.text:
            found.append(part)
    return tuple(found)
