"""Requests from views come in here; changes of the document go out. Nothing is drawn here.

Each kind of request has an object of its own: edits (of layers, blocks, places), what is asked
about, the run, the pictures and the projects.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTime, Signal

from explorer.adding import Adding
from explorer.arranging import Arranging
from explorer.asking import Asking
from explorer.block_edits import BlockEdits
from explorer.checker import Checker
from explorer.clipboard import Clipboard
from explorer.document import Document
from explorer.editing import Editing
from explorer.folds import Folds
from explorer.layer_edits import LayerEdits
from explorer.loss_edits import LossEdits
from explorer.new_weights import NewWeights
from explorer.notices import Level, Notice
from explorer.own_blocks import OwnBlocks
from explorer.pictures import Pictures
from explorer.pinned import Pinned
from explorer.pool_comparison import PoolComparison
from explorer.projects import Projects
from explorer.settings import Settings
from explorer.stepping import Stepping
from explorer.weight_history import Checkpoint, WeightHistory
from explorer.what_ifs import WhatIfs


class Controller(QObject):
    """Owns the parts that change the document, and says what happened through one ``notice``."""

    notice = Signal(object)
    arranged = Signal()
    project_replaced = Signal()
    """Another project is about to be shown: what belongs to the one before must end."""

    def __init__(
        self, document: Document, settings: Settings, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.document, self.settings = document, settings
        self.editing = Editing(document, self._say, self)
        self.undo_stack, self.layouts = self.editing.undo_stack, self.editing.layouts
        self.stepping = Stepping(document, settings, self._say, self)
        self.what_ifs = WhatIfs(document, self)
        self.checker = Checker(document, self._say, self)
        self.pictures = Pictures(document, self._say, self)
        self.pinned = Pinned(document, self.stepping, self.pictures, self._say, self)
        self.pool_comparison = PoolComparison(document, self)
        self.projects = Projects(
            document,
            settings,
            self.undo_stack,
            self.layouts,
            self.stepping,
            self.pictures,
            self._say,
            self,
        )
        self.undo_stack.cleanChanged.connect(self._stack_moved)
        self.undo_stack.indexChanged.connect(self._stack_moved)
        self.editing.arranged.connect(self.arranged)
        self.projects.replacing.connect(self._forget_project)
        self.projects.arranged.connect(self.arranged)
        self.projects.arranged.connect(self.pinned.restore)
        self.stepping.breakpoints_edited.connect(self.projects.note_change)
        document.placer = self.layouts.complete
        self.own_blocks = OwnBlocks(settings.path.parent / "blocks", self)
        self.folds = Folds(document, self._say, self)
        self.adding = Adding(document, self.editing, self.own_blocks, self._say, self)
        self.losses = LossEdits(document, self.editing, self._say, self)
        self.layers = LayerEdits(document, self.editing, self.adding, self.losses, self._say, self)
        self.blocks = BlockEdits(
            document, self.editing, self.own_blocks, self.folds, self._say, self
        )
        self.arranging = Arranging(document, self.editing, self._say, self)
        self.clipboard = Clipboard(document, self.editing, self._say, self)
        self.asking = Asking(document, self.stepping, self._say, self)
        self.weight_history = WeightHistory(self.undo_stack, self)
        self._before: Checkpoint | None = None
        self.new_weights = NewWeights(document, self._keep_weights, self.adopt, self._say, self)

    # ---- beginning and end -------------------------------------------------------------------

    def start(self, path: Path | None = None) -> None:
        """What the program opens with; see ``Projects.start``."""
        self.projects.start(path)

    def close(self) -> None:
        """The window closes: stop running, keep what is not saved."""
        self.stepping.close()
        self.checker.close()
        self.pictures.close()
        self.pinned.close()
        self.new_weights.close()
        self.pool_comparison.close()
        self.projects.close()

    def _stack_moved(self, _now: object = None) -> None:
        self.projects.note_edit()

    def _forget_project(self) -> None:
        self.project_replaced.emit()
        self.asking.forget()
        self.pinned.unpin()
        self.weight_history.forget()
        self.new_weights.give_up()
        self._before = None

    def _say(self, level: Level, text: str) -> None:
        self.notice.emit(Notice(level, text))

    # ---- selection and undoing ---------------------------------------------------------------

    def select(self, ids: Iterable[str]) -> None:
        """Select these nodes, inputs or losses; unknown ids are left out."""
        self.document.select(ids)

    def select_all(self) -> None:
        """Select every layer."""
        self.select(self.document.graph.by_id)

    def undo(self) -> None:
        """Take back the last edit; the run and the view stay."""
        self.undo_stack.undo()

    def redo(self) -> None:
        """Do again what was taken back."""
        self.undo_stack.redo()

    # ---- training ----------------------------------------------------------------------------

    def before_training(self) -> None:
        """Leave the weights in the history, so that they come back in one click."""
        self._keep_weights(self.tr("Weights before training, {0}"))
        self._before = (self.weight_history.checkpoints or (None,))[-1]

    def _keep_weights(self, text: str) -> None:
        now = QTime.currentTime().toString("HH:mm")
        self.weight_history.keep(text.format(now), self.document.parameters)

    def adopt(self, parameters: Mapping[tuple[str, str], Any]) -> None:
        """Take over weights that training reached, where they still fit the network."""
        document = self.document
        taken = {
            key: parameters[key]
            for key, now in document.parameters.items()
            if key in parameters and parameters[key].shape == now.shape
        }
        if not taken:
            return
        document.set_parameters({**document.parameters, **taken})
        self.projects.note_change()

    def restore_weights(self) -> None:
        """Bring back the weights from before the last training."""
        if self._before is None:
            self._say("info", self.tr("Nothing was trained yet."))
            return
        self._bring_back(self._before)
        self._say("success", self.tr("The weights are those from before training."))

    def restore_checkpoint(self, number: int) -> None:
        """Bring back weights of the history, where they still fit; the present ones stay there."""
        found = self.weight_history.find(number)
        if found is None:
            return
        whole = self._bring_back(found)
        text = self.tr("The weights are those of: {0}.") if whole else ""
        text = text or self.tr("{0}: layers that have another shape now keep their weights.")
        self._say("success" if whole else "info", text.format(found.text))

    def _bring_back(self, checkpoint: Checkpoint) -> bool:
        """Whether all of them fit."""
        self._keep_weights(self.tr("Weights before going back, {0}"))
        self.adopt(checkpoint.weights)
        now = self.document.parameters
        return all(key in now and now[key] is a for key, a in checkpoint.weights.items())
