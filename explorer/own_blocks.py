"""The user's own blocks: layers that were saved by a name, to be added again with other widths.

A block is a file of the same plain text as the clipboard's; nothing in it can be executed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QCoreApplication, QObject, Signal

from engine.atomic_file import reason, replacing
from engine.graph import Graph, Node, Ref
from explorer.clipping import Clipping, ClippingError, from_text, to_text
from explorer.folding import common_group

SUFFIX = ".gfblock"
WIDTHS = ("out_channels", "out_features")
_NAME = re.compile(r"[^\W_][\w .()+-]{0,59}")


class BlockError(ValueError):
    """A block cannot be saved, read or named so; says what to do."""


def _tr(text: str) -> str:
    return QCoreApplication.translate("OwnBlocks", text)


class OwnBlocks(QObject):
    """The blocks in a folder, by name; ``changed`` when there are others."""

    changed = Signal()

    def __init__(self, folder: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.folder = folder

    @property
    def names(self) -> tuple[str, ...]:
        """All blocks, sorted; files whose name no block can have are left out."""
        try:
            found = [path.stem for path in self.folder.iterdir() if path.suffix == SUFFIX]
        except OSError:
            return ()
        return tuple(sorted((name for name in found if _NAME.fullmatch(name)), key=str.lower))

    def free_name(self, stem: str) -> str:
        """``stem``, or with the first number that is free."""
        stem = stem if _NAME.fullmatch(stem) else "block"
        taken, number, name = {n.lower() for n in self.names}, 2, stem
        while name.lower() in taken:
            name, number = f"{stem} {number}", number + 1
        return name

    def save(self, name: str, clipping: Clipping) -> None:
        """Keep layers without their weights; raises BlockError."""
        path = self._path(name)
        plain = Clipping(clipping.nodes, clipping.layout, {})
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing(path) as file:
                file.write(to_text(plain).encode("utf-8"))
        except OSError as error:
            raise BlockError(reason(error, path)) from error
        self.changed.emit()

    @property
    def widths(self) -> dict[str, int]:
        """By name the channels of the last layer that has such; 0 where none has, or unreadable."""
        return {name: self._width(name) for name in self.names}

    def _width(self, name: str) -> int:
        try:
            order = Graph(nodes=self.load(name).nodes).order
        except BlockError:
            return 0
        return next((w for node in reversed(order) if (w := width_of(node.layer))), 0)

    def load(self, name: str) -> Clipping:
        """The layers of a block; raises BlockError."""
        try:
            return from_text(self._path(name).read_text(encoding="utf-8"))
        except (OSError, ClippingError, UnicodeDecodeError) as error:
            text = _tr("{0}: this block cannot be read. Save it again, or delete it.")
            raise BlockError(text.format(name)) from error

    def rename(self, name: str, new: str) -> None:
        """Give a block another name; raises BlockError where it is taken or is none."""
        path, target = self._path(name), self._path(new)
        if target.exists() and new.lower() != name.lower():
            raise BlockError(_tr("There is a block {0} already. Choose another name.").format(new))
        try:
            os.replace(path, target)
        except OSError as error:
            raise BlockError(reason(error, path)) from error
        self.changed.emit()

    def delete(self, name: str) -> None:
        """Take a block away; its file is kept beside as a copy that ends in ``~``."""
        path = self._path(name)
        try:
            os.replace(path, path.with_name(path.name + "~"))
        except OSError as error:
            raise BlockError(reason(error, path)) from error
        self.changed.emit()

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise BlockError(
                _tr("Name of a block: expected letters, digits and spaces, received {0!r}.").format(
                    name
                )
            )
        return self.folder / f"{name}{SUFFIX}"


def width_of(layer: Any) -> int:
    """The channels or features that a layer is set to; 0 for one without."""
    return next((int(getattr(layer, name)) for name in WIDTHS if hasattr(layer, name)), 0)


def scaled(layer: Any, factor: float) -> Any:
    """A layer with so many times its channels or features; groups go along."""
    known = {field.name for field in fields(layer)}
    changes = {
        name: max(1, round(getattr(layer, name) * factor)) for name in WIDTHS if name in known
    }
    if "groups" in known and layer.groups > 1 and changes:
        changes["groups"] = max(1, round(layer.groups * factor))
    return replace(layer, **changes) if changes else layer


def part(
    clipping: Clipping, path: str, ref: Ref, factor: float = 1.0
) -> tuple[tuple[Node, ...], Ref]:
    """The nodes of a block under ``path``, and what leaves it.

    Inputs that were connected to others when it was saved read ``ref``.
    """
    group = common_group(node.id for node in clipping.nodes)
    start = len(group) + 1 if group else 0
    names = {node.id: f"{path}/{node.id[start:]}" for node in clipping.nodes}

    def source(of: Ref | None) -> Ref:
        return (names[of[0]], of[1]) if of is not None else ref

    nodes = tuple(
        Node(
            names[node.id],
            scaled(node.layer, factor),
            tuple(map(source, node.inputs)),
            names.get(node.params) if node.params else None,
        )
        for node in Graph(nodes=clipping.nodes).order
    )
    read = {r[0] for node in nodes for r in node.inputs if r is not None}
    ends: Sequence[str] = [node.id for node in nodes if node.id not in read]
    return nodes, (ends[-1], 0)
