"""Which marks a pair of maps shows now, as entries of its legend."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QCoreApplication

from engine.fields import Fields
from engine.graph import Ref
from explorer import theme
from explorer.panels.inspector.mark_legend import Entry
from explorer.tensors.marks import MARKS_FROM, WINDOWS_FROM, Marks
from explorer.tensors.pair import TensorPair


def _tr(text: str) -> str:
    return QCoreApplication.translate("MarkLegend", text)


def mark_entries(zoom: float, forward: Marks | None, gradient: Marks | None) -> tuple[Entry, ...]:
    """Those of the chosen cells of a max pooling on its input, and on its input's gradient."""
    marks = gradient if forward is None else forward
    if marks is None or not len(marks.windows):
        return ()
    if zoom < MARKS_FROM:
        return (Entry("small", _tr("Zoom in (wheel) to see a mark for each window.")),)
    found = []
    dots = zoom >= theme.metrics().numbers_from  # beside numbers a gradient has dots too
    if forward is not None and not (dots and gradient is not None):
        found.append(Entry("won", _tr("won its window")))
    if gradient is not None:
        text = _tr("gets its window's gradient")
        if forward is not None and dots:
            text = _tr("won its window, gets its gradient")
        found.append(Entry("won" if dots else "gets", text))
        found.append(Entry("zero", _tr("exactly zero: won nothing")))
    _, counts = np.unique(marks.places, axis=0, return_counts=True)
    if (counts > 1).any():
        found.append(Entry("several", _tr("won several (number): gradients add")))
    if marks.tied is not None and marks.tied.any():
        found.append(Entry("tie", _tr("square: a tie, the first cell won")))
    return tuple(found)


def place_entries(
    pair: TensorPair,
    ref: Ref,
    fields: Fields | None,
    *,
    window: int | None,
    outline: str,
    padding: str,
) -> tuple[Entry, ...]:
    """Those of the chosen cell: its window, its cells, what it sees.

    ``window`` is the window's number, ``outline`` says which cells belong to the chosen one,
    ``padding`` says what the hatched cells are; empty texts stand for what is not drawn.
    """
    grid = pair.forward_grid
    if not grid.maps.size:
        return ()
    found = []
    if window is not None and grid.view.zoom >= WINDOWS_FROM:
        found.append(Entry("window", _tr("window of the chosen cell"), window))
    if outline:
        found.append(Entry("outline", outline))
    if padding:
        found.append(Entry("padding", padding))
    if fields is not None and grid.field_rects():
        changed = ref in fields.changed
        text = _tr("what the chosen cell changes") if changed else _tr("what the chosen cell sees")
        found.append(Entry("changes" if changed else "sees", text))
    return tuple(found)
