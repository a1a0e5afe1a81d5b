"""Small networks with fixed numbers, each of which shows one thing that can be checked by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QMenu

from engine.graph import Graph, Input, Loss, Node
from engine.layers.avg_pool2d import AvgPool2d
from engine.layers.base import Array, Layer
from engine.layers.conv2d import Conv2d
from engine.layers.max_pool2d import MaxPool2d
from engine.losses import Total
from engine.project_file import Project


def tr(text: str) -> str:
    """The text in the language of the program."""
    return QCoreApplication.translate("Examples", text)


def QT_TRANSLATE_NOOP(_context: str, text: str) -> str:
    """Mark a text for the translation tools, which look for this name."""
    return text


@dataclass(frozen=True, eq=False)
class Example:
    """One layer on fixed numbers: ``x`` (C, H, W), its weights, and what there is to see.

    The loss adds the output up as it is, so that the gradient that arrives at it is 1 everywhere.
    """

    id: str
    title: str
    idea: str
    layer: Layer
    x: Array
    weights: Mapping[str, Array]

    @property
    def node(self) -> str:
        """The id of the layer."""
        return type(self.layer).slug

    def project(self) -> Project:
        """The network, to be shown."""
        graph = Graph(
            inputs=(Input("image", tuple(self.x.shape)),),
            nodes=(Node(self.node, self.layer, (("image", 0),)),),
            outputs=(("output", (self.node, 0)),),
            losses=(Loss("sum", Total(), (self.node, 0)),),
            name=self.id,
        )
        weights = {(self.node, name): array for name, array in self.weights.items()}
        return Project(graph, weights, metadata={"title": tr(self.title)})


def _x(*rows: tuple[float, ...]) -> Array:
    return np.array([rows], np.float32)


def _weights(**arrays: Any) -> dict[str, Array]:
    return {name: np.array(values, np.float32) for name, values in arrays.items()}


_WINDOW = _x((1, 3), (2, 4))
_PEAK = _x(
    (1, 0, 2, 0, 1),
    (0, 3, 1, 2, 0),
    (2, 1, 9, 1, 2),
    (0, 2, 1, 3, 0),
    (1, 0, 2, 0, 1),
)
_FLAT = _x((5, 5, 1, 2), (5, 5, 0, 2), (3, 1, 4, 4), (1, 0, 4, 2))
_RAMP = _x(*(tuple(float(4 * r + c) for c in range(4)) for r in range(4)))

EXAMPLES: dict[str, Example] = {
    e.id: e
    for e in (
        Example(
            "max-window",
            QT_TRANSLATE_NOOP("Examples", "Max pooling of one window: 1 3 / 2 4"),
            QT_TRANSLATE_NOOP(
                "Examples",
                "The largest, 4, passes. Backward the 1 goes to its cell alone: 0 0 / 0 1.",
            ),
            MaxPool2d(2),
            _WINDOW,
            {},
        ),
        Example(
            "average-window",
            QT_TRANSLATE_NOOP("Examples", "Average pooling of one window: 1 3 / 2 4"),
            QT_TRANSLATE_NOOP(
                "Examples",
                "The mean, 2.5, passes. Backward each of the four cells gets a quarter of the 1.",
            ),
            AvgPool2d(2),
            _WINDOW,
            {},
        ),
        Example(
            "overlaps",
            QT_TRANSLATE_NOOP("Examples", "Overlapping windows: one peak collects 9"),
            QT_TRANSLATE_NOOP(
                "Examples",
                "All nine 3×3 windows, one cell apart, hold the 9 in the middle: its gradient is "
                "the sum of nine ones.",
            ),
            MaxPool2d(3, 1),
            _PEAK,
            {},
        ),
        Example(
            "ties",
            QT_TRANSLATE_NOOP("Examples", "Ties: of equal cells the first wins"),
            QT_TRANSLATE_NOOP(
                "Examples",
                "In two windows several cells are the largest: the first in reading order gets "
                "all of the gradient. Check says how the slope differs there.",
            ),
            MaxPool2d(2),
            _FLAT,
            {},
        ),
        Example(
            "padding",
            QT_TRANSLATE_NOOP("Examples", "Padding: it never wins, and it thins the mean"),
            QT_TRANSLATE_NOOP(
                "Examples",
                "A corner window of an average over 3×3 holds four cells and five of padding, "
                "which count in the divisor.",
            ),
            AvgPool2d(3, 2, 1, count_include_pad=True),
            _RAMP,
            {},
        ),
        Example(
            "stride",
            QT_TRANSLATE_NOOP(
                "Examples", "1×1 convolution, stride 2: 75% of the input gradient is zero"
            ),
            QT_TRANSLATE_NOOP(
                "Examples",
                "No window looks at three of four cells, so no gradient comes back to them: "
                "exactly zero, whatever the weights.",
            ),
            Conv2d(1, 1, stride=2),
            _RAMP,
            _weights(weight=[[[[2.0]]]], bias=[1.0]),
        ),
        Example(
            "kernel",
            QT_TRANSLATE_NOOP("Examples", "3×3 convolution: the kernel comes back rotated"),
            QT_TRANSLATE_NOOP(
                "Examples",
                "Each cell collects from every window that looked at it, through the weight it "
                "met there; each weight's gradient is a sum over all positions.",
            ),
            Conv2d(1, 3),
            _PEAK,
            _weights(weight=[[[[1, 2, 3], [4, 5, 6], [7, 8, 9]]]], bias=[0.0]),
        ),
    )
}


def fill(menu: QMenu, opener: Callable[[str], Callable[[], None]]) -> None:
    """An entry for each example; ``opener`` makes the slot that opens the one of an id."""
    menu.setToolTipsVisible(True)
    for example in EXAMPLES.values():
        action = menu.addAction(tr(example.title), opener(example.id))
        action.setObjectName(f"example.{example.id}")
        action.setToolTip(tr(example.idea))
        action.setStatusTip(tr(example.idea))
