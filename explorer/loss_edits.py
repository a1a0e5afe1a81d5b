"""Edits of losses: added at an output, given another kind, settings or weight."""

from __future__ import annotations

from PySide6.QtCore import QObject

from engine.graph import Loss, Ref
from engine.losses import suited
from explorer.canvas import geometry
from explorer.document import Document
from explorer.editing import Editing
from explorer.notices import Say


class LossEdits(QObject):
    """Each is one undo entry, or says why it cannot be."""

    def __init__(
        self, document: Document, editing: Editing, say: Say, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.document, self._editing, self._say = document, editing, say

    def add(self, ref: Ref | None = None) -> None:
        """Judge a tensor: by default what the selected layer sends, or an output without a loss.

        Scores of classes get a cross-entropy, anything else the sum of its numbers, whose gradient
        says how they depend on everything before them.
        """
        document = self.document
        ref = ref or self._judged()
        if ref is None:
            self._say("info", self.tr("Select the layer whose output is to be judged by a loss."))
            return
        spec = document.inference.specs.get(ref)
        if spec is None:
            text = self.tr("The shape of {0} is not known: mend what is wrong before it first.")
            self._say("info", text.format(ref[0]))
            return
        graph = document.graph
        taken = graph.by_id.keys() | graph.input_ids | {x.id for x in graph.losses}
        name = "loss" if "loss" not in taken else graph.fresh_id("loss")
        loss = Loss(name, suited(spec)[0], ref)
        x, y = document.layout.get(document.view.card(ref[0]), (0.0, 0.0))
        width, height = geometry.size_of()
        # beside what else reads it, where the layers below stand
        aside = width + geometry.ROW_GAP if graph.readers.get(ref) else 0.0
        text = self.tr("Add {0}").format(f"{name} ({loss.function.title})")
        place = (name, x + aside, y + height + geometry.ROW_GAP)
        if self._editing.change(text, lambda g: g.add_loss(loss), added=place):
            document.select({name})

    def _judged(self) -> Ref | None:
        graph = self.document.graph
        chosen = self.document.selection & (graph.by_id.keys() | graph.input_ids)
        if len(chosen) == 1:
            return (next(iter(chosen)), 0)
        judged = {x.input for x in graph.losses}
        ends = [ref for _, ref in graph.outputs if ref[0] in self.document.known_ids]
        free = [ref for ref in ends if ref not in judged]
        return free[0] if free and not chosen else None

    def change(self, loss_id: str, wanted: Loss) -> None:
        """Give a loss another kind, other settings or another weight."""
        old = next((x for x in self.document.graph.losses if x.id == loss_id), None)
        if old is None or wanted == old:
            return
        if type(wanted.function) is not type(old.function):
            text = self.tr("Judge by {0}").format(wanted.function.title)
        elif wanted.weight != old.weight:
            text = self.tr("Set the weight of {0} to {1:g}").format(loss_id, wanted.weight)
        else:
            text = self.tr("Set {0}").format(loss_id)
        self._editing.change(
            text,
            lambda g: g.replace_loss(loss_id, function=wanted.function, weight=wanted.weight),
        )
