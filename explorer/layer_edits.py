"""Edits of layers and connections that are there: replaced, set, renamed, muted, mended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from PySide6.QtCore import QObject

from engine.graph import Ref
from engine.layers.base import Fix, HyperparameterError, Layer, layer_from_dict
from engine.muting import is_muted, mute, unmute
from explorer import edits
from explorer.adding import Adding
from explorer.document import Document
from explorer.editing import Editing
from explorer.loss_edits import LossEdits
from explorer.notices import Say


class LayerEdits(QObject):
    """Each is one undo entry, or says why it cannot be."""

    def __init__(
        self,
        document: Document,
        editing: Editing,
        adding: Adding,
        losses: LossEdits,
        say: Say,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.document, self._editing, self._say = document, editing, say
        self._adding, self._losses = adding, losses

    def replace_layer(self, node_id: str, layer: Layer) -> None:
        """Put another layer in the place of one, keeping its connections."""
        if node_id in self.document.graph.by_id:
            self._editing.change(
                self.tr("Replace {0}").format(node_id),
                lambda g: edits.replaced(g, node_id, layer),
            )

    def connect_tensor(self, ref: Ref, reader: str, slot: int) -> None:
        """Draw a connection."""
        self._editing.change(
            self.tr("Connect {0} to {1}").format(ref[0], reader),
            lambda g: g.connect(ref, reader, slot),
        )

    def disconnect_tensor(self, reader: str, slot: int) -> None:
        """Remove a connection."""
        if any(loss.id == reader for loss in self.document.graph.losses):
            self._say("info", self.tr("The loss needs an input: connect another tensor instead."))
            return
        self._editing.change(
            self.tr("Disconnect {0}").format(reader), lambda g: g.disconnect(reader, slot)
        )

    def delete(self, ids: Iterable[str]) -> None:
        """Remove layers; what read them reads their input instead."""
        graph, ids = self.document.graph, set(ids)
        wanted = [n.id for n in graph.nodes if n.id in ids]
        losses = sorted(x.id for x in graph.losses if x.id in ids)
        if losses and not wanted:  # among layers, as when all is selected, they stay
            text = self.tr("Delete {0}").format(", ".join(losses))
            self._editing.change(text, lambda g: g.remove_losses(losses))
            return
        if not wanted:
            text = self.tr("The input of a network stays.")
            self._say("info", text if ids else self.tr("Select layers first: they are deleted."))
            return
        shared = [n.id for n in graph.nodes if n.params in wanted and n.id not in wanted]
        if shared:
            self._say(
                "warning",
                self.tr("{0} uses the weights of a layer to be deleted. Delete it too.").format(
                    shared[0]
                ),
            )
            return
        text = (
            self.tr("Delete {0}").format(wanted[0])
            if len(wanted) == 1
            else self.tr("Delete {0} layers").format(len(wanted))
        )
        self._editing.change(text, lambda g: g.remove(wanted))

    def change_layer(self, node_id: str, layer: Layer, *, slid: bool = True) -> None:
        """Give a node other hyper-parameters.

        ``slid``: one of many values on the way of a slider, which become one undo entry.
        """
        node = self.document.graph.by_id.get(node_id)
        if node is None:
            return
        changed = [
            f.name
            for f in layer.hyperparameters()
            if getattr(layer, f.name) != getattr(node.layer, f.name, None)
        ]
        if not changed:
            return
        value = getattr(layer, changed[0])
        self._editing.change(
            self.tr("Set {0} of {1} to {2}").format(changed[0], node_id, value),
            lambda g: g.replace_node(node_id, layer=layer),
            gesture=f"set {node_id}.{changed[0]}" if slid else "",
        )

    def rename(self, node_id: str, name: str) -> None:
        """Give a node another id; its weights, place, selection and focus go with it."""
        self._editing.change(
            self.tr("Rename {0} to {1}").format(node_id, name),
            lambda g: g.rename(node_id, name),
            renamed={node_id: name},
        )

    def mute(self, ids: Iterable[str]) -> None:
        """Have layers passed by, or, where all of them are, have them back."""
        document = self.document
        chosen = [n for n in document.graph.nodes if n.id in set(ids)]
        if not chosen:
            self._say("info", self.tr("Select layers first: they are passed by."))
            return
        names = {n.id for n in chosen}
        what = chosen[0].id if len(chosen) == 1 else self.tr("{0} layers").format(len(chosen))
        if all(map(is_muted, chosen)):
            self._editing.change(self.tr("Unmute {0}").format(what), lambda g: unmute(g, names))
        else:
            inference = document.inference
            self._editing.change(
                self.tr("Mute {0}").format(what), lambda g: mute(g, inference, names)
            )

    def apply_fix(self, node_id: str, fix: Fix) -> None:
        """Carry out the change that an error offered."""
        if fix.action == "judge":
            self._losses.add((node_id, 0))
            return
        if fix.action == "set":
            node = self.document.graph.by_id.get(node_id)
            if node is None:
                return
            try:
                changed: Any = replace(node.layer, **{fix.name: fix.value})
            except HyperparameterError as error:
                self._say("warning", str(error))
                return
            self.change_layer(node_id, changed, slid=False)
            return
        try:
            layer = layer_from_dict(fix.value)
        except HyperparameterError as error:
            self._say("warning", str(error))
            return
        card = self.document.view.card(node_id)
        x, y = self.document.layout.get(card, (0.0, 0.0))
        self._adding.insert_layer(layer, node_id, fix.slot, x, y)
