"""New random weights: for a network that is shown without any, or to train from the start again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from engine.graph import Graph, Inference
from engine.parameters import initial_parameters
from explorer.background import Background
from explorer.document import Document
from explorer.notices import Say

MEMORY = Path("/proc/meminfo")
PER_WEIGHT = 4 * 4
"""Bytes for each weight: itself, its gradient, what the update keeps of it, and the run's copy."""
PER_CELL = 3 * 4
"""Bytes for each number between the layers: its value, its gradient, and what is kept of it."""


def needed_bytes(graph: Graph, inference: Inference) -> int:
    """About how much memory one run of one picture through a network takes."""
    weights = sum(spec.size for spec in graph.parameter_specs(inference.specs).values())
    cells = 0
    for spec in inference.specs.values():
        count = 1
        for size in spec.shape:
            count *= size
        cells += count
    return PER_WEIGHT * weights + PER_CELL * cells


def free_bytes() -> int | None:
    """How much memory programs can still have; None where the system does not say."""
    try:
        lines = MEMORY.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return None
    for line in lines:
        words = line.split()
        if words[0] == "MemAvailable:" and words[-1] == "kB" and words[1].isdigit():
            return int(words[1]) * 1024
    return None


class NewWeights(QObject):
    """Makes weights beside the window; what they replace goes into the history before."""

    made = Signal()

    def __init__(
        self,
        document: Document,
        keep: Callable[[str], None],
        adopt: Callable[[dict[tuple[str, str], Any]], None],
        say: Say,
        parent: QObject | None = None,
    ) -> None:
        """``keep`` leaves the present weights in the history, ``adopt`` takes others."""
        super().__init__(parent)
        self.document, self._keep, self._adopt, self._say = document, keep, adopt, say
        self._background = Background(self)
        self._ticket = 0

    @property
    def busy(self) -> bool:
        """Whether weights are being made."""
        return self._background.busy

    def give_up(self) -> None:
        """Another network is shown: what is being made is not for it."""
        self._ticket += 1

    def close(self) -> None:
        """Wait for what is being made."""
        self._background.close()

    def make(self) -> None:
        """Start the network's weights anew, each layer's as its initialiser says."""
        document = self.document
        graph, inference = document.graph, document.inference
        count = sum(cost.parameters for cost in document.costs.values())
        if not count:
            self._say("info", self.tr("This network has no weights."))
            return
        if not inference.valid:
            self._say("info", self.tr("Mend the marked layers first: the network cannot run."))
            return
        if self.busy:
            return
        need, free = needed_bytes(graph, inference), free_bytes()
        if document.structure_only and free is not None and need > free:
            text = self.tr(
                "{0}: expected about {1:.1f} GB of free memory to run it, received {2:.1f} GB. "
                "Close other programs, or open a smaller network."
            )
            self._say("warning", text.format(document.title, need / 1e9, free / 1e9))
            return
        if not document.structure_only:
            document.seed += 1
        self._ticket += 1
        ticket, seed = self._ticket, document.seed
        self._say("info", self.tr("Making {0:,} weights.").format(count))

        def done(result: Any) -> None:
            if ticket != self._ticket:
                return
            if not isinstance(result, dict):
                self._say("error", str(result) or type(result).__name__)
            elif document.graph is not graph:
                text = self.tr("The network was changed meanwhile: ask for new weights again.")
                self._say("info", text)
            else:
                self._take(result)

        self._background.run(lambda: initial_parameters(graph, seed), done)

    def _take(self, parameters: dict[tuple[str, str], Any]) -> None:
        document = self.document
        if document.structure_only:
            document.give_weights(parameters)
        else:
            self._keep(self.tr("Weights before new ones, {0}"))
            self._adopt(parameters)
        text = self.tr("{0} has new weights: it has not been trained.")
        self._say("success", text.format(document.title))
        self.made.emit()
