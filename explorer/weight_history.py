"""The weights that the network had when a training began: in the history, but no undo entries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoStack

MOST_BYTES = 400_000_000
"""Of all that is kept; the oldest goes first, the newest stays however large it is."""
Weights = Mapping[tuple[str, str], Any]


@dataclass(frozen=True)
class Checkpoint:
    """Weights as they were after so many edits (``index`` of the undo stack)."""

    number: int
    text: str
    index: int
    weights: Weights = field(repr=False, compare=False)

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(array.nbytes for array in self.weights.values())


class WeightHistory(QObject):
    """Checkpoints, the oldest first; ``changed`` when there are others."""

    changed = Signal()

    def __init__(self, undo_stack: QUndoStack, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._stack = undo_stack
        self._count = 0
        self.checkpoints: tuple[Checkpoint, ...] = ()

    def keep(self, text: str, weights: Weights) -> None:
        """Remember these as they are now; nothing where they are the last ones remembered."""
        last = self.checkpoints[-1] if self.checkpoints else None
        if not weights or (last is not None and _same(last.weights, weights)):
            return
        self._count += 1
        copy = {key: np.array(array) for key, array in weights.items()}
        new = Checkpoint(self._count, text, self._stack.index(), copy)
        kept = [*self.checkpoints, new]
        while len(kept) > 1 and sum(c.size for c in kept) > MOST_BYTES:
            del kept[0]
        self.checkpoints = tuple(kept)
        self.changed.emit()

    def find(self, number: int) -> Checkpoint | None:
        """The checkpoint of that number, unless it went because of its size."""
        return next((c for c in self.checkpoints if c.number == number), None)

    def forget(self) -> None:
        """Another project."""
        if self.checkpoints:
            self.checkpoints = ()
            self.changed.emit()


def _same(some: Weights, others: Weights) -> bool:
    return some.keys() == others.keys() and all(
        array is others[key] or np.array_equal(array, others[key]) for key, array in some.items()
    )
