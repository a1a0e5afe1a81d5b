"""Requests from views come in here; changes of the document go out. Nothing is drawn here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtGui import QUndoStack

from engine.cell import Cell
from engine.data.errors import DataError
from engine.data.strokes import Drawing
from engine.explain import Direction, Place, Weight, look, why
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
from engine.project_file import Project, ProjectError
from explorer import edits, samples, session
from explorer.background import Background
from explorer.canvas import geometry
from explorer.canvas.placement import ASPECT, place
from explorer.document import Content, Document, Memory
from explorer.edits import Edit
from explorer.run import Run
from explorer.samples import Sample
from explorer.settings import Settings
from explorer.trail import Trail

FIRST_SECONDS = 0.03
"""How long a run may hold the window before the rest is computed in the background."""
SMALL_FILE = 32_768
"""Bytes up to which a picture is read at once; a larger one is read beside the window."""
STEP_RATE = 0.05
"""Learning rate of the update that stepping shows, unless the project says another."""
KEEP_MILLISECONDS = 3_000
"""How long after a change a safety copy is written, in case the program is killed."""

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
    trail_changed = Signal()
    """Another number is asked about, or the way that led to it is another."""
    project_replaced = Signal()
    """Another project is about to be shown: what belongs to the one before must end."""

    def __init__(
        self, document: Document, settings: Settings, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.document, self.settings = document, settings
        self.undo_stack = QUndoStack(self)
        self.undo_stack.cleanChanged.connect(self._show_modified)
        self.undo_stack.indexChanged.connect(self._keep_soon)
        self.unsaved = session.Unsaved()
        self.pictures, self.copies = Background(self), Background(self)
        self.builders = Background(self)
        # width by height of the area that a new layout fills; the window knows it
        self.aspect: Callable[[], float] = lambda: ASPECT
        """Width over height of the canvas, which a new layout fills."""
        self._placed_for = ASPECT
        self._samples: Sequence[Sample] = ()
        self._sample_index = 0
        self._play = QTimer(self)
        self._play.timeout.connect(self._play_on)
        self._keeper = QTimer(self)
        self._keeper.setSingleShot(True)
        self._keeper.setInterval(KEEP_MILLISECONDS)
        self._keeper.timeout.connect(self._keep_copy)
        document.parameters_changed.connect(self._rerun)
        document.sample_changed.connect(self._rerun)
        document.network_changed.connect(self._tell_of_structure)
        self._structure_told = False
        document.focus_changed.connect(self._focus_moved)
        self._trail = Trail(lambda place: place.source.node in document.known_ids)
        self._holding = False
        self._wanted: int | None = None
        self._weights_changed = False
        self._reading = self._opening = 0
        self._checkpoint: dict[tuple[str, str], Any] = {}

    # ---- small things ----------------------------------------------------------------------

    def _say(self, level: Level, text: str) -> None:
        self.notice.emit(Notice(level, text))

    def _show_modified(self, _clean: bool = True) -> None:
        """The stack knows of edits only; trained weights count too."""
        modified = self._weights_changed or not self.undo_stack.isClean()
        self.document.set_identity(self.document.path, modified)

    def _keep_soon(self, _index: int = 0) -> None:
        if not self._holding and not self._keeper.isActive():
            self._keeper.start()

    def _keep_copy(self) -> None:
        """Write what is not saved where the next start finds it, without holding the window."""
        if not self.document.modified:
            return
        if self.copies.busy:
            self._keeper.start()
            return
        try:
            project = self.document.project()
        except ProjectError:
            return  # said when the user saves
        keep = self.unsaved.keep
        # a copy that cannot be written is no reason to disturb: closing says so
        self.copies.run(lambda: keep(project), lambda _result: None)

    # ---- edits -----------------------------------------------------------------------------

    def _edit(
        self,
        text: str,
        change: Callable[[Graph], Graph],
        positions: Mapping[str, tuple[float, float]] | None = None,
        *,
        gesture: str = "",
        added: tuple[str, float, float] | None = None,
        restore: Memory | None = None,
        renamed: tuple[str, str] | None = None,
    ) -> bool:
        """Try a change of the network; push it as one undo entry, or say why it cannot be.

        ``added`` = (id, x, y) is a new node on the way: an automatic layout is made anew, one
        made by hand stays and makes room.
        """
        document = self.document
        try:
            graph = change(document.graph)
            edits.check(graph)
        except (GraphError, ShapeError, HyperparameterError, IndexError) as error:
            self._say("warning", str(error))
            return False
        automatic = added is not None and self._automatic_layout()
        if automatic:
            layout = self._place(graph)
        else:
            layout = dict(document.layout)
            if added is not None:
                layout = edits.with_room(layout, *added)
            layout.update(positions or {})
            known = graph.by_id.keys() | graph.input_ids | {x.id for x in graph.losses}
            layout = {k: v for k, v in layout.items() if k in known}
        after = Content(graph, layout)
        if after == document.content:
            return False
        self.undo_stack.push(
            Edit(document, document.content, after, text, gesture, restore, renamed)
        )
        if automatic:
            self.arranged.emit()
        return True

    def _place(self, graph: Graph) -> dict[str, tuple[float, float]]:
        self._placed_for = self.aspect()
        return place(graph, aspect=self._placed_for)

    def _automatic_layout(self) -> bool:
        """Whether nothing was moved by hand since the network was last laid out."""
        graph, layout = self.document.graph, dict(self.document.layout)
        return layout == place(graph, aspect=self._placed_for)

    def _new_node(self, layer: Layer) -> Node:
        count = max(1, layer.arity[0])
        return Node(self.document.graph.fresh_id(layer.slug), layer, (None,) * count)

    def insert_layer(self, layer: Layer, reader: str, slot: int, x: float, y: float) -> None:
        """Put a layer onto the edge that enters ``reader`` at ``slot``."""
        node = self._new_node(layer)
        if self._edit(
            self.tr("Insert {0}").format(node.id),
            lambda g: g.insert(node, reader, slot),
            added=(node.id, x, y),
        ):
            self.select({node.id})

    def add_layer(self, layer: Layer, x: float, y: float) -> None:
        """Put a layer onto the canvas, connected to nothing."""
        node = self._new_node(layer)
        if self._edit(self.tr("Add {0}").format(node.id), lambda g: g.add(node), {node.id: (x, y)}):
            self.select({node.id})

    def append_layer(self, layer: Layer) -> None:
        """Put a layer behind the selected one, or before the loss when none is selected."""
        graph, layout = self.document.graph, self.document.layout
        node = self._new_node(layer)
        chosen = sorted(self.document.selection & (graph.by_id.keys() | graph.input_ids))
        text = self.tr("Add {0}").format(node.id)
        if chosen:
            ref: Ref = (chosen[0], 0)
            change = lambda g: edits.appended(g, node, ref)  # noqa: E731
        elif graph.losses and graph.losses[0].input[0] in self.document.known_ids:
            ref = graph.losses[0].input
            change = lambda g: g.insert(node, g.losses[0].id, 0)  # noqa: E731
        else:
            self.add_layer(layer, *self._free_place())
            return
        x, y = layout.get(ref[0], (0.0, 0.0))
        _, height = geometry.size_of()
        if self._edit(text, change, added=(node.id, x, y + height + geometry.ROW_GAP)):
            self.select({node.id})

    def _free_place(self) -> tuple[float, float]:
        """Below everything, at the left."""
        places = self.document.layout.values()
        if not places:
            return 0.0, 0.0
        below = max(y for _, y in places) + geometry.HEIGHT + geometry.ROW_GAP
        return min(x for x, _ in places), below

    def replace_layer(self, node_id: str, layer: Layer) -> None:
        """Put another layer in the place of one, keeping its connections."""
        if node_id in self.document.graph.by_id:
            self._edit(
                self.tr("Replace {0}").format(node_id),
                lambda g: edits.replaced(g, node_id, layer),
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
        graph, ids = self.document.graph, set(ids)
        wanted = [n.id for n in graph.nodes if n.id in ids]
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

    def move(self, positions: Mapping[str, tuple[float, float]]) -> None:
        """Put nodes elsewhere."""
        document = self.document
        known = document.known_ids
        after = document.move(
            {k: (float(x), float(y)) for k, (x, y) in positions.items() if k in known}
        )
        if after != document.content:
            gesture = "move " + " ".join(sorted(positions))
            text = self.tr("Move {0}").format(", ".join(list(positions)[:3]))
            self.undo_stack.push(Edit(document, document.content, after, text, gesture))

    def duplicate(self, ids: Iterable[str], dx: float, dy: float) -> None:
        """Copy layers with their weights, and the connections among them, to a place beside."""
        document = self.document
        graph, layout = document.graph, document.layout
        result, names = edits.duplicated(graph, set(ids))
        if not names:
            return
        positions = {}
        for old, new in names.items():
            x, y = layout.get(old, (0.0, 0.0))
            positions[new] = (x + dx, y + dy)
        owners = {names[n.id]: n.owner for n in graph.nodes if n.id in names}
        weights: Memory = {
            (new, name, array.shape): array
            for new, owner in owners.items()
            for (o, name), array in document.parameters.items()
            if o == owner
        }
        if self._edit(
            self.tr("Duplicate {0}").format(", ".join(list(names)[:3])),
            lambda _: result,
            positions,
            restore=weights,
        ):
            self.select(set(names.values()))

    def change_layer(self, node_id: str, layer: Layer) -> None:
        """Give a node other hyper-parameters."""
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
        self._edit(
            self.tr("Set {0} of {1} to {2}").format(changed[0], node_id, value),
            lambda g: g.replace_node(node_id, layer=layer),
            gesture=f"set {node_id}.{changed[0]}",
        )

    def rename(self, node_id: str, name: str) -> None:
        """Give a node another id; its weights, place, selection and focus go with it."""
        place_of = self.document.layout.get(node_id)
        self._edit(
            self.tr("Rename {0} to {1}").format(node_id, name),
            lambda g: g.rename(node_id, name),
            {name: place_of} if place_of else {},
            renamed=(node_id, name),
        )

    def apply_fix(self, node_id: str, fix: Fix) -> None:
        """Carry out the change that an error offered."""
        if fix.action == "set":
            node = self.document.graph.by_id.get(node_id)
            if node is None:
                return
            try:
                changed: Any = replace(node.layer, **{fix.name: fix.value})
            except HyperparameterError as error:
                self._say("warning", str(error))
                return
            self.change_layer(node_id, changed)
            return
        try:
            layer = layer_from_dict(fix.value)
        except HyperparameterError as error:
            self._say("warning", str(error))
            return
        x, y = self.document.layout.get(node_id, (0.0, 0.0))
        self.insert_layer(layer, node_id, fix.slot, x, y)

    def arrange(self) -> None:
        """Lay the whole network out anew."""
        document = self.document
        after = Content(document.graph, self._place(document.graph))
        if after != document.content:
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
        """Select these nodes, inputs or losses; unknown ids are left out."""
        self.document.set_selection(frozenset(ids) & self.document.known_ids)

    def select_all(self) -> None:
        """Select every layer."""
        self.select(self.document.graph.by_id)

    def focus(self, target: object) -> None:
        """Mark one cell everywhere (and select its node); an id selects; None marks nothing.

        A Place says besides whether the value or the gradient is asked about, and may be a weight,
        which is no cell: then the ring stays where it is.
        """
        if isinstance(target, str):
            self.select({target})
        elif isinstance(target, Cell | Place):
            self._visit(target if isinstance(target, Place) else self._place_of_click(target))
        else:
            self.document.set_focus(None)

    @property
    def place(self) -> Place | None:
        """The number that is asked about."""
        here = self._trail.here
        if here is not None and isinstance(here.source, Cell) and self.document.focus is None:
            return None
        return here

    @property
    def way(self) -> tuple[Place, ...]:
        """The places that led to the present one, each a term of the one before it."""
        return () if self.place is None else self._trail.way

    @property
    def can_go_back(self) -> bool:
        """Whether a number was looked at before."""
        return self._trail.earlier() is not None

    @property
    def can_go_forward(self) -> bool:
        """Whether one has walked back, so that there is a number to return to."""
        return self._trail.later() is not None

    def _place_of_click(self, cell: Cell) -> Place:
        """A clicked cell is asked about on the side that is looked at, once that is known."""
        here, trace = self._trail.here, self.document.trace
        if here is not None and here.source == cell:
            return here
        wanted = Place(cell, here.direction if here is not None else "forward")
        if trace is None or look(trace, self.document.position, wanted) is None:
            return Place(cell)
        return wanted

    def _visit(self, place: Place) -> None:
        """Go to a place and remember the way."""
        if place.source.node in self.document.known_ids:
            self._trail.visit(place)
            self._show_place()

    def _show_place(self) -> None:
        place = self._trail.here
        if place is None:
            return
        if isinstance(place.source, Cell):
            self.document.set_focus(place.source)
        self.select({place.source.node})
        self.trail_changed.emit()

    def _focus_moved(self) -> None:
        """A focus that was renamed with its node is another place; one that went away is none."""
        focus, here = self.document.focus, self._trail.here
        if focus is not None and here is not None and isinstance(here.source, Cell):
            self._trail.rename(replace(here, source=focus))
        self.trail_changed.emit()

    def why(self) -> None:
        """Walk to the term that contributed most; from nothing, to the network's answer."""
        document, place = self.document, self.place
        if document.trace is None:
            self.go_to(0)  # says why there is nothing
            return
        if place is None:
            answer = self._answer()
            if answer is None:
                self._say("info", self.tr("Click a cell of a map first, then ask why."))
            else:
                self._visit(Place(answer))
            return
        found = why(document.graph, document.trace, document.position, place)
        if found is not None:
            self._visit(found)
        elif look(document.trace, document.position, place) is None:
            self._say("info", self.tr("This is not computed yet: step on first."))
        elif isinstance(place.source, Weight):
            self._say("info", self.tr("This is a weight: training made it. The way ends here."))
        elif place.source.node in document.graph.input_ids:
            self._say(
                "info", self.tr("This is a pixel: it was given to the network. The way ends here.")
            )
        else:
            self._say("info", self.tr("Nothing took part in this number. The way ends here."))

    def _answer(self) -> Cell | None:
        """The largest score of the network, once it is computed."""
        document = self.document
        refs = [x.input for x in document.graph.losses] or [r for _, r in document.graph.outputs]
        for ref in refs:
            trace = document.trace
            scores = trace.look("value", ref, document.position) if trace is not None else None
            if scores is not None and scores[0].size:
                index = np.unravel_index(int(scores[0].argmax()), scores[0].shape)
                return Cell(ref[0], ref[1], tuple(int(i) for i in index))
        return None

    def why_back(self, steps: int = 1) -> None:
        """Walk back to a number that was asked about before."""
        for _ in range(steps):
            earlier = self._trail.earlier()
            if earlier is None:
                break
            self._trail.go(earlier)
        self._show_place()

    def why_forward(self) -> None:
        """Walk forward again, where one has walked back."""
        later = self._trail.later()
        if later is not None:
            self._trail.go(later)
            self._show_place()

    def ask_side(self, cell: Cell, side: Direction) -> None:
        """A cell was clicked in a map of values, or of gradients: ask about that.

        The click has made the cell the focus already; then it is one place, not two.
        """
        wanted, here = Place(cell, side), self._trail.here
        if here is not None and here.source == cell and not here.followed:
            trace, position = self.document.trace, self.document.position
            if trace is not None and look(trace, position, wanted) is not None:
                self._trail.rename(wanted)
                self.trail_changed.emit()
        else:
            self._visit(wanted)

    def other_side(self) -> None:
        """Ask about the gradient of the number, or about the number of the gradient."""
        place = self.place
        if place is None:
            self.why()
            return
        other: Direction = "gradient" if place.direction == "forward" else "forward"
        self._visit(Place(place.source, other, followed=True))

    # ---- running ---------------------------------------------------------------------------

    def _rerun(self) -> None:
        """Run the current sample through the network as it now is."""
        if self._holding:
            return
        document = self.document
        old = document.run
        if old is not None:
            old.stop()
            old.deleteLater()
        self._wanted = None
        run = self._new_run()
        if run is None:
            document.set_run(None, 0)
            self.play(False)
            return
        same = old is not None and old.operations == run.operations
        position = document.position if same else run.forward_length
        run.advance(position, FIRST_SECONDS)
        reached = min(position, len(run.trace))
        document.set_run(run, reached)
        run.progressed.connect(self._progressed)
        if reached < position and not run.error:
            self._wanted = position
        run.finish_in_background()

    def _new_run(self) -> Run | None:
        """A run of the current sample, or None where network and sample do not make one."""
        document = self.document
        graph, sample = document.graph, document.sample
        if sample is None or not graph.nodes or not document.inference.valid:
            return None
        if document.structure_only:
            return None
        if graph.inputs[0].shape != sample.x.shape:
            return None  # only while another project comes in
        label = sample.label if sample.label in range(self._class_count()) else None
        try:
            run = Run(graph, document.parameters, sample.x, label, self._optimizer(), parent=self)
        except (ValueError, MemoryError) as error:
            self._say("warning", str(error) or type(error).__name__)
            return None
        run.failed.connect(lambda text: self._say("error", text))
        return run

    def _optimizer(self) -> SGD:
        """The update that stepping shows; a learning rate that makes no sense is not taken."""
        rate = self.document.settings.get("lr", STEP_RATE)
        usable = isinstance(rate, int | float) and not isinstance(rate, bool) and 0 < rate <= 100
        return SGD(lr=float(rate) if usable else STEP_RATE, momentum=0.0)

    def _class_count(self) -> int:
        """How many classes every loss can be given as its target."""
        document = self.document
        specs = (document.inference.specs.get(x.input) for x in document.graph.losses)
        return min((s.shape[1] for s in specs if s is not None and len(s.shape) == 2), default=0)

    def _progressed(self) -> None:
        """More was computed: move on to where the user wants to be."""
        document = self.document
        run = document.run
        if run is None or self.sender() is not run:
            return
        document.run_changed.emit()
        if self._wanted is None:
            return
        reached = min(self._wanted, len(run.trace))
        if reached == self._wanted or run.error:
            self._wanted = None
        document.set_position(reached)

    def go_to(self, position: int) -> None:
        """Move to where ``position`` operations have been carried out.

        What takes long to compute is gone through as it becomes known.
        """
        run = self.document.run
        if run is None and self.document.structure_only:
            self._say("info", self.structure_text())
            return
        if run is None:
            self._say("info", self.tr("Mend the marked layers first: the network cannot run."))
            return
        position = max(0, min(position, len(run.operations)))
        self._wanted = None
        run.advance(position, FIRST_SECONDS)
        reached = min(position, len(run.trace))
        self.document.set_position(reached)
        if reached < position and not run.error:
            self._wanted = position
            run.finish_in_background()

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

        def group(phase: str) -> str:
            return "backward" if phase == "accumulate" else phase

        if position < len(operations):
            wanted = group(operations[position].phase)
            while position < len(operations) and group(operations[position].phase) == wanted:
                position += 1
        self.go_to(position)

    def run_to(self, node_id: str = "") -> None:
        """To after the next operation of a node (the selected one unless named)."""
        node_id = node_id or next(iter(self.document.selection), "")
        operations = self.document.operations
        start = self.document.position
        if not operations:
            self.go_to(0)  # says why it cannot run
            return
        for i in (*range(start, len(operations)), *range(start)):
            if operations[i].node == node_id:
                self.go_to(i + 1)
                return
        self._say("info", self.tr("Select a layer first, then run to it."))

    def play(self, on: bool | None = None) -> None:
        """Start or pause playing (None switches)."""
        wanted = not self._play.isActive() if on is None else on
        if wanted and self.document.run is None:
            self.go_to(0)  # says why it cannot run
            self.playing_changed.emit(False)  # the button that was pressed comes up again
            return
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
        graph = document.graph
        self._samples = ()
        if graph.inputs:
            shape = graph.inputs[0].shape
            given = document.preprocessing
            if (given is None or given.shape != shape) and samples.is_picture(shape):
                document.preprocessing = samples.plain_preprocessing(shape)
            self._samples = samples.shipped(shape, document.preprocessing, graph.labels)
        self._sample_index = samples.opening(self._samples)
        document.set_sample(self._samples[self._sample_index] if self._samples else None)

    def next_sample(self) -> None:
        """Show the next shipped picture."""
        self._show_sample(self._sample_index + 1)

    def previous_sample(self) -> None:
        """Show the shipped picture before."""
        self._show_sample(self._sample_index - 1)

    def _show_sample(self, index: int) -> None:
        if self._samples:
            self._reading += 1  # a picture that is still being read comes too late
            self._sample_index = index % len(self._samples)
            self.document.set_sample(self._samples[self._sample_index])

    @property
    def can_draw(self) -> bool:
        """Whether a drawing can be given to the network."""
        return bool(self.document.graph.inputs)

    def draw(self, drawing: Drawing) -> None:
        """Show a drawn digit; an empty drawing changes nothing."""
        graph = self.document.graph
        if not drawing.strokes or not graph.inputs:
            return
        self._reading += 1
        self.document.set_sample(
            samples.from_drawing(
                drawing,
                graph.inputs[0].shape,
                self.document.preprocessing,
                graph.labels,
                self.tr("your drawing"),
            )
        )

    def open_picture(self, path: Path) -> None:
        """Show the picture in a file; a large one appears when it has been read."""
        graph, preprocessing = self.document.graph, self.document.preprocessing
        if not graph.inputs:
            self._say("warning", self.tr("Open a network first: it decides the picture's size."))
            return
        shape = graph.inputs[0].shape
        self._reading += 1
        ticket = self._reading

        def read() -> Sample:
            return samples.from_file(path, shape, preprocessing)

        def done(result: Any) -> None:
            if ticket != self._reading:
                return  # another picture was chosen meanwhile
            if isinstance(result, Sample):
                self.document.set_sample(result)
            else:
                self._say("error", str(result) or type(result).__name__)

        try:
            small = path.stat().st_size <= SMALL_FILE
        except OSError:
            small = True  # reading it says what is wrong
        if not small:
            self.pictures.run(read, done)
            return
        try:
            done(read())
        except (DataError, OSError, MemoryError) as error:
            done(error)

    def set_target(self, label: int | None) -> None:
        """Say which class is right for the picture; None or below 0: the network's own guess."""
        sample = self.document.sample
        wanted = label if label is not None and label >= 0 else None
        if sample is not None and sample.label != wanted:
            self.document.set_sample(replace(sample, label=wanted))

    # ---- projects --------------------------------------------------------------------------

    def start(self, path: Path | None = None) -> None:
        """What the program opens with: the file, else unsaved work, else the trained LeNet-5."""
        kept = self.unsaved.take()
        if path is not None:
            if kept is not None:
                self._set_aside(kept)
            if not self.open(path):
                self.open_shipped("lenet5", quiet=True)
        elif kept is not None:
            self._show_project(kept, None)
            self._weights_changed = True  # in whatever way, it is not what any file holds
            self._show_modified()
            self._say("info", self.tr("This is your work from last time, which was not saved."))
        else:
            self.open_shipped("lenet5")

    def open(self, path: Path) -> bool:
        """Open a project file; what is open now stays when that fails."""
        path = path.absolute()
        try:
            project = session.load(path)
        except (ProjectError, OSError, MemoryError) as error:
            self._say("error", str(error) or type(error).__name__)
            return False
        kept = self._keep_unsaved()
        self._show_project(project, path)
        self.settings.remember_recent(path)
        if project.warnings or kept:
            self._say(
                "warning" if project.warnings else "info", " ".join((*project.warnings, kept))
            )
        return True

    def open_shipped(self, name: str, quiet: bool = False) -> None:
        """Open a network that comes with the program; ``quiet`` leaves the last notice standing."""
        try:
            project = session.shipped(name)
        except (ProjectError, OSError) as error:
            self._say("error", str(error))
            return
        kept = self._keep_unsaved()
        self._show_project(project, None)
        if kept and not quiet:
            self._say("info", kept)

    def open_architecture(self, name: str) -> None:
        """Open a network of the gallery: trained where that ships, else with new weights.

        One that needs very many is shown as a structure. It is made beside the window, and given
        up when another project is opened meanwhile.
        """
        from explorer import gallery  # the program's start does not wait for the architectures

        architecture = gallery.ARCHITECTURES[name]
        if architecture.file is not None:
            self.open_shipped(name)
            return
        self._opening += 1
        ticket, aspect = self._opening, self.aspect()

        def done(result: Any) -> None:
            if ticket != self._opening:
                return
            if not isinstance(result, Project):
                self._say("error", str(result) or type(result).__name__)
                return
            kept = self._keep_unsaved()
            self._placed_for = aspect
            self._show_project(result, None)
            text = self.structure_text()
            if not self.document.structure_only:
                text = self.tr("{0} has new weights: it has not been trained.").format(
                    architecture.title
                )
            self._say("info", " ".join(filter(None, (text, kept))))

        self.builders.run(lambda: gallery.project(architecture, aspect), done)

    def _tell_of_structure(self) -> None:
        """An edit or a file made it one: say so, once."""
        structure = self.document.structure_only
        if structure and not self._structure_told:
            self._say("info", self.structure_text())
        self._structure_told = structure

    def structure_text(self) -> str:
        """Why a network that is shown as a structure cannot run."""
        count = sum(cost.parameters for cost in self.document.costs.values())
        return self.tr(
            "{0} is shown as a structure, without its {1:,} weights ({2:,} MB): it can be "
            "looked at and edited, but not run or trained here."
        ).format(self.document.title, count, round(count * 4 / 1e6))

    def new(self) -> None:
        """Start with an empty network: an input for 28×28 pictures and a loss."""
        kept = self._keep_unsaved()
        graph = Graph(
            inputs=(Input("image", (1, 28, 28)),),
            losses=(Loss("loss", CrossEntropy(), ("image", 0)),),
            outputs=(("logits", ("image", 0)),),
            name="new network",
            labels=tuple("0123456789"),
        )
        self._show_project(Project(graph), None)
        if kept:
            self._say("info", kept)

    def _keep_unsaved(self) -> str:
        """Another project replaces this one: keep what was not saved; return where, in words."""
        if not self.document.modified:
            return ""
        try:
            return self._set_aside(self.document.project())
        except ProjectError as error:
            return str(error)

    def _set_aside(self, project: Project) -> str:
        try:
            path = self.unsaved.set_aside(project)
        except (ProjectError, OSError) as error:
            return str(error)
        self.settings.remember_recent(path)
        return self.tr("Your unsaved work was kept: {0}, among the recent projects.").format(
            path.stem
        )

    def _show_project(self, project: Project, path: Path | None) -> None:
        self.play(False)
        self.project_replaced.emit()
        if self.document.run is not None:
            self.document.run.stop()
            self.document.run.deleteLater()
        known = {n.id for n in project.graph.nodes} | project.graph.input_ids
        known |= {x.id for x in project.graph.losses}
        complete = known <= project.layout.keys()
        layout = dict(project.layout) if complete else self._place(project.graph)
        self._holding = True  # one run for the new network and its first picture together
        self._trail.clear()
        self._checkpoint = {}
        self._weights_changed = False
        self._reading += 1
        self._opening += 1
        try:
            self.undo_stack.clear()
            self.document.load(project, layout, path)
            self.document.set_sample(None)
            self._load_samples()
        finally:
            self._holding = False
        self._show_modified()
        self._keeper.stop()
        self._rerun()
        self.arranged.emit()

    def save(self, path: Path) -> bool:
        """Write the project; says so, or says why not."""
        chosen = path.absolute()
        path = session.with_suffix(chosen)
        if path != chosen and path.exists() and path != self.document.path:
            self._say(
                "warning",
                self.tr("{0} exists already. Choose it by its full name to replace it.").format(
                    path.name
                ),
            )
            return False
        try:
            session.save(self.document.project(), path)
        except (ProjectError, OSError, MemoryError) as error:
            self._say("error", str(error) or type(error).__name__)
            return False
        self._weights_changed = False
        self.undo_stack.setClean()
        self.document.set_identity(path, modified=False)
        self.settings.remember_recent(path)
        self._keeper.stop()
        self.copies.close()  # a safety copy on its way would come back as unsaved work
        self.unsaved.forget()
        self._say("success", self.tr("Saved {0}.").format(path.name))
        return True

    def close(self) -> None:
        """The window closes: stop running, keep what is not saved."""
        self.play(False)
        self._keeper.stop()
        self.copies.close()
        self.pictures.close()
        self.builders.close()
        if self.document.run is not None:
            self.document.run.stop()
        if self.document.modified:
            try:
                self.unsaved.keep(self.document.project())
            except (ProjectError, OSError) as error:
                self._say("error", str(error))
        else:
            self.unsaved.forget()
        self.unsaved.release()

    # ---- training --------------------------------------------------------------------------

    def before_training(self) -> None:
        """Remember the weights, so that they come back in one click."""
        self._checkpoint = {k: np.array(v) for k, v in self.document.parameters.items()}

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
        self._weights_changed = True
        self._show_modified()
        self._keep_soon()

    def restore_weights(self) -> None:
        """Bring back the weights from before the last training."""
        if not self._checkpoint:
            self._say("info", self.tr("Nothing was trained yet."))
            return
        self.adopt(self._checkpoint)
        self._say("success", self.tr("The weights are those from before training."))
