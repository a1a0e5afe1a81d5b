"""Requests from views come in here; changes of the document go out. Nothing is drawn here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtGui import QUndoStack

from engine.cell import Cell
from engine.data.errors import DataError
from engine.data.strokes import Drawing
from engine.graph import Graph, GraphError, Input, Loss, Node, Ref
from engine.layers.base import (
    Fix,
    HyperparameterError,
    Layer,
    ShapeError,
    layer_from_dict,
)
from engine.losses import CrossEntropy
from engine.optimizers import SGD
from engine.parameters import ParameterError, initial_parameters
from engine.project_file import Project, ProjectError
from explorer import samples, session
from explorer.canvas.placement import place
from explorer.document import Content, Document
from explorer.edits import Edit
from explorer.run import Run
from explorer.samples import Sample
from explorer.settings import Settings

FIRST_SECONDS = 0.03
"""How long a run may hold the window before the rest is computed in the background."""

Level = Literal["info", "success", "warning", "error"]


@dataclass(frozen=True)
class Notice:
    """A message to the user that stands beside the work, never in its way."""

    level: Level
    text: str


class Controller(QObject):
    """Owns the undo stack and the play timer; changes the document."""

    notice = Signal(object)
    playing_changed = Signal(bool)
    arranged = Signal()

    def __init__(
        self, document: Document, settings: Settings, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.document, self.settings = document, settings
        self.undo_stack = QUndoStack(self)
        self.undo_stack.cleanChanged.connect(self._note_modified)
        self.unsaved = session.Unsaved()
        self._samples: list[Sample] = []
        self._sample_index = 0
        self._play = QTimer(self)
        self._play.timeout.connect(self._play_on)
        document.parameters_changed.connect(self._rerun)
        document.sample_changed.connect(self._rerun)
        self._holding = False
        self._checkpoint: dict[tuple[str, str], Any] = {}

    # ---- small things ----------------------------------------------------------------------

    def _say(self, level: Level, text: str) -> None:
        self.notice.emit(Notice(level, text))

    def _note_modified(self, clean: bool) -> None:
        self.document.set_identity(self.document.path, not clean)

    # ---- edits -----------------------------------------------------------------------------

    def _edit(
        self,
        text: str,
        change: Callable[[Graph], Graph],
        positions: dict[str, tuple[float, float]] | None = None,
        gesture: str = "",
    ) -> bool:
        """Try a change of the network; push it as one undo entry, or say why it cannot be."""
        document = self.document
        try:
            graph = change(document.graph)
            _ = graph.order  # a circle is refused before it is pushed
        except (GraphError, ShapeError, HyperparameterError) as error:
            self._say("warning", str(error))
            return False
        layout = dict(document.layout)
        layout.update(positions or {})
        known = {n.id for n in graph.nodes} | {i.id for i in graph.inputs}
        known |= {x.id for x in graph.losses}
        layout = {k: v for k, v in layout.items() if k in known}
        after = Content(graph, layout)
        if after == document.content:
            return False
        self.undo_stack.push(Edit(document, document.content, after, text, gesture))
        return True

    def _new_node(self, layer: Layer, node_id: str = "") -> Node:
        count = max(1, layer.arity[0])
        return Node(node_id or self.document.graph.fresh_id(layer.slug), layer, (None,) * count)

    def insert_layer(self, layer: Layer, reader: str, slot: int, x: float, y: float) -> None:
        """Put a layer onto the edge that enters ``reader`` at ``slot``."""
        node = self._new_node(layer)
        if self._edit(
            self.tr("Insert {0}").format(node.id),
            lambda g: g.insert(node, reader, slot),
            {node.id: (x, y)},
        ):
            self.arrange(merge=True)
            self.select({node.id})

    def add_layer(self, layer: Layer, x: float, y: float) -> None:
        """Put a layer onto the canvas, connected to nothing."""
        node = self._new_node(layer)
        if self._edit(self.tr("Add {0}").format(node.id), lambda g: g.add(node), {node.id: (x, y)}):
            self.select({node.id})

    def append_layer(self, layer: Layer) -> None:
        """Put a layer behind the selected one, or before the loss when none is selected."""
        graph = self.document.graph
        chosen = next(iter(self.document.selection), "")
        ref: Ref | None = None
        if chosen in graph.by_id or chosen in graph.input_ids:
            ref = (chosen, 0)
        elif graph.losses:
            ref = graph.losses[0].input
        readers = graph.readers.get(ref, ()) if ref else ()
        if ref is None:
            x, y = self._free_place()
            self.add_layer(layer, x, y)
        elif readers:
            x, y = self.document.layout.get(ref[0], (0.0, 0.0))
            self.insert_layer(layer, *readers[0], x, y)
        else:
            node = self._new_node(layer)
            x, y = self.document.layout.get(ref[0], (0.0, 0.0))
            if self._edit(
                self.tr("Add {0}").format(node.id),
                lambda g: g.add(node).connect(ref, node.id, 0),
                {node.id: (x, y)},
            ):
                self.arrange(merge=True)
                self.select({node.id})

    def _free_place(self) -> tuple[float, float]:
        places = self.document.layout.values()
        return (min((x for x, _ in places), default=0.0), max((y for _, y in places), default=0.0))

    def replace_layer(self, node_id: str, layer: Layer) -> None:
        """Put another layer in the place of one, keeping its connections."""
        old = self.document.graph.by_id.get(node_id)
        if old is None:
            return
        low, high = layer.arity
        kept = [r for r in old.inputs if r is not None][: high or None]
        inputs = (*kept, *[None] * (low - len(kept)))
        self._edit(
            self.tr("Replace {0}").format(node_id),
            lambda g: g.replace_node(node_id, layer=layer, inputs=inputs, params=None),
        )

    def connect_tensor(self, ref: Ref, reader: str, slot: int) -> None:
        """Draw a connection."""
        self._edit(
            self.tr("Connect {0} to {1}").format(ref[0], reader),
            lambda g: g.connect(ref, reader, slot),
        )

    def disconnect_tensor(self, reader: str, slot: int) -> None:
        """Remove a connection."""
        if any(loss.id == reader for loss in self.document.graph.losses):
            self._say("info", self.tr("The loss needs an input: connect another tensor instead."))
            return
        self._edit(self.tr("Disconnect {0}").format(reader), lambda g: g.disconnect(reader, slot))

    def delete(self, ids: Iterable[str]) -> None:
        """Remove layers; what read them reads their input instead."""
        graph = self.document.graph
        wanted = [n for n in ids if n in graph.by_id]
        if not wanted:
            if ids:
                self._say("info", self.tr("The input and the loss of a network stay."))
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
        self._edit(text, lambda g: g.remove(wanted))

    def move(self, positions: dict[str, tuple[float, float]]) -> None:
        """Put nodes elsewhere."""
        document = self.document
        after = document.move(positions)
        if after != document.content:
            gesture = "move " + " ".join(sorted(positions))
            text = self.tr("Move {0}").format(", ".join(list(positions)[:3]))
            self.undo_stack.push(Edit(document, document.content, after, text, gesture))

    def duplicate(self, ids: Iterable[str], dx: float, dy: float) -> None:
        """Copy layers, with the connections among them, to a place beside them."""
        graph, layout = self.document.graph, self.document.layout
        chosen = [n for n in graph.nodes if n.id in set(ids)]
        if not chosen:
            return
        names: dict[str, str] = {}
        positions = {}
        result = graph
        for node in chosen:
            copy = result.fresh_id(f"{node.id.rstrip('0123456789')}")
            names[node.id] = copy
            result = result.add(Node(copy, node.layer, (None,) * len(node.inputs)))
            x, y = layout.get(node.id, (0.0, 0.0))
            positions[copy] = (x + dx, y + dy)
        for node in chosen:
            inputs = tuple(
                (names.get(r[0], r[0]), r[1]) if r is not None else None for r in node.inputs
            )
            result = result.replace_node(names[node.id], inputs=inputs)
        if self._edit(
            self.tr("Duplicate {0}").format(", ".join(list(names)[:3])),
            lambda _: result,
            positions,
        ):
            self.select(set(names.values()))

    def change_layer(self, node_id: str, layer: Layer) -> None:
        """Give a node other hyper-parameters."""
        old = self.document.graph.node(node_id).layer
        changed = [
            f.name
            for f in layer.hyperparameters()
            if getattr(layer, f.name) != getattr(old, f.name, None)
        ]
        if not changed:
            return
        value = getattr(layer, changed[0])
        self._edit(
            self.tr("Set {0} of {1} to {2}").format(changed[0], node_id, value),
            lambda g: g.replace_node(node_id, layer=layer),
            gesture=f"set {node_id}.{changed[0]}",
        )

    def rename(self, node_id: str, name: str) -> None:
        """Give a node another id."""
        document = self.document
        place_of = document.layout.get(node_id)
        positions = {name: place_of} if place_of else {}
        kept = {(name, k[1]): v for k, v in document.parameters.items() if k[0] == node_id}
        document.parameters.update(kept)
        self._edit(
            self.tr("Rename {0} to {1}").format(node_id, name),
            lambda g: g.rename(node_id, name),
            positions,
        )

    def apply_fix(self, node_id: str, fix: Fix) -> None:
        """Carry out the change that an error offered."""
        if fix.action == "set":
            layer = self.document.graph.node(node_id).layer
            try:
                changed: Any = replace(layer, **{fix.name: fix.value})
            except HyperparameterError as error:
                self._say("warning", str(error))
                return
            self.change_layer(node_id, changed)
            return
        layer = layer_from_dict(fix.value)
        x, y = self.document.layout.get(node_id, (0.0, 0.0))
        self.insert_layer(layer, node_id, fix.slot, x, y)

    def arrange(self, merge: bool = False) -> None:
        """Lay the whole network out anew; with ``merge`` as part of the edit just made."""
        document = self.document
        after = Content(document.graph, place(document.graph))
        if after == document.content:
            return
        if merge:
            # the edit and its new layout are one entry: undo takes both back
            self.undo_stack.undo()
            before = document.content
            text = self.undo_stack.redoText()
            self.undo_stack.push(Edit(document, before, after, text))
        else:
            self.undo_stack.push(
                Edit(document, document.content, after, self.tr("Arrange the network"))
            )
        self.arranged.emit()

    def undo(self) -> None:
        """Take back the last edit; the run and the view stay."""
        self.undo_stack.undo()

    def redo(self) -> None:
        """Do again what was taken back."""
        self.undo_stack.redo()

    # ---- selection and focus ---------------------------------------------------------------

    def select(self, ids: Iterable[str]) -> None:
        """Select these nodes, inputs or losses."""
        self.document.set_selection(frozenset(ids))

    def select_all(self) -> None:
        """Select every layer."""
        self.select(self.document.graph.by_id)

    def focus(self, target: object) -> None:
        """Mark one cell everywhere (and select its node); None marks nothing."""
        if isinstance(target, str):
            self.select({target})
            return
        cell = target if isinstance(target, Cell) else None
        self.document.set_focus(cell)
        if cell is not None:
            self.select({cell.node})

    # ---- running ---------------------------------------------------------------------------

    def _rerun(self) -> None:
        """Run the current sample through the network as it now is."""
        if self._holding:
            return
        document = self.document
        old = document.run
        if old is not None:
            old.stop()
        sample = document.sample
        if sample is None or not document.graph.nodes or not document.inference.valid:
            document.set_run(None, 0)
            return
        if document.graph.inputs[0].shape != sample.x.shape:
            self._load_samples()
            return
        known = sample.label is not None
        classes = self._class_count()
        label = sample.label if known and sample.label in range(classes) else None
        try:
            run = Run(
                document.graph,
                document.parameters,
                sample.x,
                label,
                SGD(lr=float(document.settings.get("lr", 0.05)), momentum=0.0),
                parent=self,
            )
        except (GraphError, ShapeError, ParameterError, ValueError) as error:
            document.set_run(None, 0)
            self._say("warning", str(error))
            return
        run.failed.connect(lambda text: self._say("error", text))
        same = old is not None and old.operations == run.operations
        position = document.position if same else run.forward_length
        run.advance(position, FIRST_SECONDS)
        document.set_run(run, min(position, len(run.trace)) if run.error else position)
        run.progressed.connect(document.run_changed)
        run.finish_in_background()
        if old is not None:
            old.deleteLater()

    def _class_count(self) -> int:
        document = self.document
        for loss in document.graph.losses:
            spec = document.inference.specs.get(loss.input)
            if spec is not None and len(spec.shape) == 2:
                return spec.shape[1]
        return 0

    def go_to(self, position: int) -> None:
        """Move to where ``position`` operations have been carried out."""
        run = self.document.run
        if run is None:
            self._say("info", self.tr("Mend the marked layers first: the network cannot run."))
            return
        position = max(0, min(position, len(run.operations)))
        run.advance(position)
        self.document.set_position(min(position, len(run.trace)))

    def next(self) -> None:
        """Carry out one operation."""
        self.go_to(self.document.position + 1)

    def back(self) -> None:
        """Go one operation back; a look-up, exact."""
        self.go_to(self.document.position - 1)

    def to_start(self) -> None:
        """Before the first operation."""
        self.go_to(0)

    def to_end(self) -> None:
        """After the last operation."""
        self.go_to(len(self.document.operations))

    def finish_phase(self) -> None:
        """To the end of the phase that the next operation belongs to (sums count as backward)."""
        operations = self.document.operations
        position = self.document.position
        if position >= len(operations):
            return

        def group(phase: str) -> str:
            return "backward" if phase == "accumulate" else phase

        wanted = group(operations[position].phase)
        while position < len(operations) and group(operations[position].phase) == wanted:
            position += 1
        self.go_to(position)

    def run_to(self, node_id: str = "") -> None:
        """To after the next operation of a node (the selected one unless named)."""
        node_id = node_id or next(iter(self.document.selection), "")
        operations = self.document.operations
        start = self.document.position
        for i in (*range(start, len(operations)), *range(start)):
            if operations[i].node == node_id:
                self.go_to(i + 1)
                return
        self._say("info", self.tr("Select a layer first, then run to it."))

    def play(self, on: bool | None = None) -> None:
        """Start or pause playing (None switches)."""
        wanted = not self._play.isActive() if on is None else on
        if wanted == self._play.isActive():
            return
        if wanted:
            if self.document.position >= len(self.document.operations):
                self.go_to(0)
            self._play.start(int(1000 / self.settings["play_speed"]))
        else:
            self._play.stop()
        self.playing_changed.emit(wanted)

    def set_play_speed(self, per_second: float) -> None:
        """Operations per second when playing."""
        self.settings.set("play_speed", float(per_second))
        self._play.setInterval(int(1000 / per_second))

    def _play_on(self) -> None:
        if self.document.position >= len(self.document.operations):
            self.play(False)
        else:
            self.next()

    # ---- samples ---------------------------------------------------------------------------

    def _load_samples(self) -> None:
        """Find the pictures that fit the network's input and show the first."""
        document = self.document
        if not document.graph.inputs:
            document.set_sample(None)
            return
        shape = document.graph.inputs[0].shape
        preprocessing = document.preprocessing
        if preprocessing is None or preprocessing.shape != shape:
            preprocessing = samples.plain_preprocessing(shape)
            document.preprocessing = preprocessing
        self._samples = list(samples.shipped(preprocessing))
        self._sample_index = self._first_sample()
        document.set_sample(self._samples[self._sample_index])

    def _first_sample(self) -> int:
        """A seven opens the program, as in LeCun's own figure; else the first."""
        return next((i for i, s in enumerate(self._samples) if s.label == 7), 0)

    def next_sample(self) -> None:
        """Show the next shipped picture."""
        self._show_sample(self._sample_index + 1)

    def previous_sample(self) -> None:
        """Show the shipped picture before."""
        self._show_sample(self._sample_index - 1)

    def _show_sample(self, index: int) -> None:
        if self._samples:
            self._sample_index = index % len(self._samples)
            self.document.set_sample(self._samples[self._sample_index])

    def draw(self, drawing: Drawing) -> None:
        """Show a drawn digit; an empty drawing changes nothing."""
        preprocessing = self.document.preprocessing
        if drawing.strokes and preprocessing is not None and preprocessing.channels == 1:
            self.document.set_sample(
                samples.from_drawing(drawing, preprocessing, self.tr("your drawing"))
            )

    def open_picture(self, path: Path) -> None:
        """Show the picture in a file."""
        preprocessing = self.document.preprocessing
        if preprocessing is None:
            self._say("warning", self.tr("Open a network first: it decides the picture's size."))
            return
        try:
            self.document.set_sample(samples.from_file(path, preprocessing))
        except (DataError, OSError) as error:
            self._say("error", str(error))

    def set_target(self, label: int | None) -> None:
        """Say which class is right for the picture; None: the network's own guess."""
        sample = self.document.sample
        if sample is not None and sample.label != label:
            self.document.set_sample(replace(sample, label=label))

    # ---- projects --------------------------------------------------------------------------

    def start(self, path: Path | None = None) -> None:
        """What the program opens with: the file, else unsaved work, else the trained LeNet-5."""
        if path is not None:
            if not self.open(path):
                self.open_shipped("lenet5")
            return
        kept = self.unsaved.take()
        if kept is None:
            self.open_shipped("lenet5")
            return
        self._show_project(kept, None)
        self.undo_stack.resetClean()
        self.document.set_identity(None, modified=True)
        self._say("info", self.tr("This is your work from last time, which was not saved."))

    def open(self, path: Path) -> bool:
        """Open a project file; what is open now stays when that fails."""
        try:
            project = session.load(path)
        except (ProjectError, OSError) as error:
            self._say("error", str(error))
            return False
        self._keep_unsaved()
        self._show_project(project, path)
        self.settings.remember_recent(path)
        for warning in project.warnings:
            self._say("warning", warning)
        return True

    def open_shipped(self, name: str) -> None:
        """Open a network that comes with the program."""
        try:
            project = session.shipped(name)
        except (ProjectError, OSError) as error:
            self._say("error", str(error))
            return
        self._keep_unsaved()
        self._show_project(project, None)

    def new(self) -> None:
        """Start with an empty network: an input for 28×28 pictures and a loss."""
        self._keep_unsaved()
        graph = Graph(
            inputs=(Input("image", (1, 28, 28)),),
            losses=(Loss("loss", CrossEntropy(), ("image", 0)),),
            outputs=(("logits", ("image", 0)),),
            name="new network",
            labels=tuple("0123456789"),
        )
        self._show_project(Project(graph), None)

    def _keep_unsaved(self) -> None:
        """Another project replaces this one: keep what was not saved."""
        if not self.document.modified:
            return
        try:
            self.unsaved.keep(self.document.project())
        except ProjectError as error:
            self._say("error", str(error))
        else:
            self._say("info", self.tr("Your unsaved work was kept; it opens at the next start."))

    def _show_project(self, project: Project, path: Path | None) -> None:
        self.play(False)
        missing = project.graph.nodes or project.graph.inputs
        known = {n.id for n in project.graph.nodes}
        layout = (
            dict(project.layout)
            if known <= set(project.layout) and missing
            else place(project.graph)
        )
        self._holding = True  # one run for the new network and its first picture together
        try:
            self.document.load(project, layout, path)
            self.document.set_sample(None)
            self._load_samples()
        finally:
            self._holding = False
        self.undo_stack.clear()
        self._rerun()
        self.arranged.emit()

    def save(self, path: Path) -> bool:
        """Write the project; says so, or says why not."""
        path = session.with_suffix(path)
        try:
            session.save(self.document.project(), path)
        except (ProjectError, OSError) as error:
            self._say("error", str(error))
            return False
        self.undo_stack.setClean()
        self.document.set_identity(path, modified=False)
        self.settings.remember_recent(path)
        self.unsaved.forget()
        self._say("success", self.tr("Saved {0}.").format(path.name))
        return True

    def close(self) -> None:
        """The window closes: stop running, keep what is not saved."""
        self.play(False)
        if self.document.run is not None:
            self.document.run.stop()
        if self.document.modified:
            try:
                self.unsaved.keep(self.document.project())
            except ProjectError as error:
                self._say("error", str(error))
        else:
            self.unsaved.forget()

    # ---- training --------------------------------------------------------------------------

    def before_training(self) -> None:
        """Remember the weights, so that they come back in one click."""
        self._checkpoint = {k: np.array(v) for k, v in self.document.parameters.items()}

    def adopt(self, parameters: dict[tuple[str, str], Any]) -> None:
        """Take over weights that training reached, where they still fit the network."""
        document = self.document
        document.set_parameters(
            initial_parameters(
                document.graph, document.seed, keep={**document.parameters, **parameters}
            )
        )
        document.set_identity(document.path, modified=True)

    def restore_weights(self) -> None:
        """Bring back the weights from before the last training."""
        if not self._checkpoint:
            self._say("info", self.tr("Nothing was trained yet."))
            return
        self.adopt(self._checkpoint)
        self._say("success", self.tr("The weights are those from before training."))
