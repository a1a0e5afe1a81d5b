"""The run that is stepped through: one picture, one pass, and the position in it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal

from engine.graph import Graph
from engine.inside import Inside, Level, Sheet, Side, sheet_of, written_by
from engine.layers.base import Array, HyperparameterError
from engine.optimizers import SGD, AnyOptimizer
from engine.plan import Plan, compile
from engine.recording import Recording
from engine.runnable import runnable
from engine.trace import Operation
from engine.train_settings import TrainingError, TrainSettings
from explorer.background import Background
from explorer.breakpoints import MOST, Breakpoint, stop_at
from explorer.document import Document
from explorer.narration import Question, phase_name, question, verdict
from explorer.notices import Say
from explorer.run import Replay, Run, is_heavy
from explorer.settings import Settings

FIRST_SECONDS = 0.03
"""How long a run may hold the window before the rest is computed in the background."""
STEP_RATE = 0.05
"""Learning rate of the update that stepping shows, unless the project says another."""


class Stepping(QObject):
    """Runs the document's network on its picture, moves the position, and plays."""

    playing_changed = Signal(bool)
    question_changed = Signal()
    breakpoints_edited = Signal()
    """The user changed them: the project differs from what is saved."""

    def __init__(
        self, document: Document, settings: Settings, say: Say, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.document, self.settings = document, settings
        self._say = say
        self._holding = False
        self._wanted: int | None = None
        self._recorded: Recording | None = None
        self._stopping = False
        self.question: Question | None = None
        """What is asked before the next operation is shown."""
        self._sheet: Sheet | None = None
        self._used: AnyOptimizer = SGD(lr=STEP_RATE, momentum=0.0)
        self.compiling = False
        """A large network is being made ready beside the window; its run follows."""
        self._makers = Background(self)
        self._ticket = 0
        self._asked: tuple[int, bool] | None = None  # where to go when it is ready
        self._before: tuple[tuple[Operation, ...], int] = ((), 0)
        self._play = QTimer(self)
        self._play.timeout.connect(self._play_on)
        document.parameters_changed.connect(self.rerun)
        document.sample_changed.connect(self.rerun)
        document.what_if_changed.connect(self.rerun)

    # ---- the run ---------------------------------------------------------------------------

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within, nothing runs; after it, the network as it then is."""
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
        self.rerun()

    def show_recorded(self, recording: Recording) -> None:
        """The next run is this one, as it was; a change of anything runs the network anew."""
        self._recorded = recording

    def stop(self) -> None:
        """Compute no further, and play no further."""
        self.play(False)
        self._ticket += 1
        self.compiling = False
        if self.document.run is not None:
            self.document.run.stop()

    def close(self) -> None:
        """The window closes: compute nothing any more."""
        self.stop()
        self._makers.close()

    def rerun(self) -> None:
        """Run the current sample through the network as it now is."""
        if self._holding:
            return
        document = self.document
        old = document.run
        if old is not None:
            self._before = (old.operations, document.position)
            old.leave()
        self._ticket += 1
        self._asked, self._wanted = None, None
        self._set_question(None)
        recorded, self._recorded = self._recorded, None
        self._used = self._optimizer()
        graph = self._prepared()
        if recorded is not None:
            self._show(Replay(recorded, self))
        elif graph is not None and is_heavy(graph, document.parameters):
            self._compile(graph)
        else:
            self._show(self._new_run())

    def _compile(self, graph: Graph) -> None:
        """Make the plan of a large network beside the window, and then its run."""
        ticket, parameters = self._ticket, self.document.parameters

        def done(result: Any) -> None:
            if ticket != self._ticket:
                return
            if not isinstance(result, Plan):
                self._say("warning", str(result) or type(result).__name__)
                self._show(None)
                return
            asked = self._asked
            self._show(self._new_run(result))
            if asked is not None:
                self._travel(*asked)

        self.compiling = True
        self.document.set_run(None, 0)
        self._makers.run(lambda: compile(graph, parameters, batch=1, mode="eval"), done)

    def _show(self, run: Run | None) -> None:
        """Go on with this run where the one before was, or show what the network answers."""
        self.compiling = False
        document = self.document
        before, self._before = self._before, ((), 0)
        if run is None:
            document.set_run(None, 0)
            self.play(False)
            return
        position = before[1] if before[0] == run.operations else run.forward_length
        run.advance(position, FIRST_SECONDS)
        reached = min(position, len(run.trace))
        document.set_run(run, reached)
        run.progressed.connect(self._progressed)
        if reached < position and not run.error:
            self._wanted, self._stopping = position, False
        run.finish_in_background()

    def _new_run(self, plan: Plan | None = None) -> Run | None:
        """A run of the current sample, or None where network and sample do not make one."""
        document = self.document
        if document.sample is None or document.x is None:
            return None
        return self.run_of(document.x, document.sample.label, self, plan)

    def _prepared(self) -> Graph | None:
        """The part of the network that runs the current sample; None where none does."""
        x = self.document.x
        return None if self.document.sample is None or x is None else self._runnable(x)

    def _runnable(self, x: Array) -> Graph | None:
        document = self.document
        graph = runnable(document.graph)
        if not graph.nodes:
            return None
        # without what this program does not know, what remains may be valid by itself
        whole = graph is document.graph
        if not (document.inference.valid if whole else graph.infer().valid):
            return None
        if document.structure_only:
            return None
        if graph.inputs[0].shape != x.shape:
            return None  # only while another project comes in
        return graph

    def run_of(
        self, x: Array, label: int | None, parent: QObject, plan: Plan | None = None
    ) -> Run | None:
        """A run of a picture through the network as it now is; None where they do not fit.

        ``plan``: that of the network as it now is, where it has been made.
        """
        document = self.document
        graph = self._runnable(x)
        if graph is None:
            return None
        label = label if label in range(self._class_count()) else None
        try:
            run = Run(
                graph,
                document.parameters,
                x,
                label,
                self._optimizer(),
                gains=document.gains,
                plan=plan,
                parent=parent,
            )
        except (ValueError, MemoryError) as error:
            self._say("warning", str(error) or type(error).__name__)
            return None
        run.failed.connect(lambda text: self._say("error", text))
        return run

    def _optimizer(self) -> AnyOptimizer:
        """The update that stepping shows: the one that trained the project, else a plain step.

        Its vectors are at zero, as in the first update of a training. Settings that make no sense
        are not taken.
        """
        stored = self.document.settings.get("training")
        if stored:
            try:
                return TrainSettings.from_dict(stored).optimizer
            except (TrainingError, HyperparameterError):
                pass
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
        self._go_on()

    # ---- the position ----------------------------------------------------------------------

    def go_to(self, position: int) -> None:
        """Move to where ``position`` operations have been carried out.

        What takes long to compute is gone through as it becomes known.
        """
        self._travel(position, stopping=False)

    def _travel(self, position: int, stopping: bool) -> None:
        """``go_to``; with ``stopping`` no further than to the first breakpoint that is met."""
        run = self.document.run
        self._set_question(None)
        if self.compiling:
            self._asked = (position, stopping)  # as soon as there is a run
            return
        if run is None and self.document.structure_only:
            self._say("info", self.document.structure_text())
            return
        if run is None:
            self._say("info", self.tr("Mend the marked layers first: the network cannot run."))
            return
        position = max(0, min(position, len(run.operations)))
        self._wanted = position
        self._stopping = stopping and any(point.on for point in self.document.breakpoints)
        if position <= self.document.position:
            self._stopping = False
        run.advance(position, FIRST_SECONDS)
        self._go_on()

    def _go_on(self) -> None:
        """Go as far towards the wanted position as is computed, and as a breakpoint lets."""
        document, run, wanted = self.document, self.document.run, self._wanted
        if run is None or wanted is None:
            return
        reached = min(wanted, len(run.trace))
        stop, start = None, time.perf_counter()
        checked = document.position if self._stopping else reached
        while checked < reached and stop is None:
            stop = stop_at(document.breakpoints, run.operations, checked, run.trace)
            checked += 1
            if time.perf_counter() - start > FIRST_SECONDS:
                break
        if stop is not None or checked == wanted or (run.error and checked == reached):
            self._wanted = None
        document.set_position(checked, stop)
        if stop is not None:
            self.play(False)
        elif self._wanted is not None and checked < reached:
            QTimer.singleShot(0, self, self._go_on)
        elif self._wanted is not None:
            run.finish_in_background()

    def next(self) -> None:
        """Carry out one operation, or inside of one what its level completes."""
        sheet, at = self.sheet, self.document.inside
        if self.question is not None:
            self.answer(None)
        elif sheet is not None and at is not None:
            self._stand(sheet.next(at), at.operation + 1)
        elif not self._ask():
            self._travel(self.document.position + 1, stopping=True)

    def back(self) -> None:
        """One operation back, or inside of one as far as ``next`` goes; a look-up, exact."""
        sheet, at = self.sheet, self.document.inside
        if self.question is not None:
            self._set_question(None)
        elif sheet is None or at is None:
            self.go_to(self.document.position - 1)
        else:
            self._stand(sheet.back(at), at.operation)

    def to_start(self) -> None:
        """Before the first operation."""
        self.go_to(0)

    def to_end(self) -> None:
        """After the last operation, or to the first breakpoint."""
        self._travel(len(self.document.operations), stopping=True)

    def finish(self) -> None:
        """Inside an operation what is begun there, one level up; else the phase."""
        sheet, at = self.sheet, self.document.inside
        if sheet is None or at is None:
            self.finish_phase()
        else:
            self._stand(sheet.out(at), at.operation + 1)

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
        self._travel(position, stopping=True)

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
                self._travel(i + 1, stopping=True)
                return
        self._say("info", self.tr("Select a layer first, then run to it."))

    # ---- inside an operation ---------------------------------------------------------------

    @property
    def sheet(self) -> Sheet | None:
        """What the operation that is looked into fills; None outside."""
        document, at = self.document, self.document.inside
        if at is None or document.trace is None:
            return None
        sheet = self._sheet
        if (
            sheet is None
            or sheet.trace is not document.trace
            or (sheet.operation, sheet.side, sheet.part) != (at.operation, at.side, at.part)
        ):
            sheet = self._sheet = self._new_sheet(at.operation, at.side, at.part)
        return sheet

    def _new_sheet(self, operation: int, side: Side, part: int) -> Sheet:
        document = self.document
        assert document.trace is not None
        optimizer = None if isinstance(document.run, Replay) else self._used
        return sheet_of(document.graph, document.trace, operation, side, 0, part, optimizer)

    def _stand(self, at: Inside | None, otherwise: int) -> None:
        """Stand there, or outside again where the operation begins or ends.

        An operation that ends meets its breakpoints, as one that is stepped over.
        """
        self._set_question(None)
        if at is None:
            self._travel(otherwise, stopping=True)
        else:
            self.document.set_position(at.operation, inside=at)

    def look_inside(self) -> None:
        """Into the operation that was carried out last (at the start: the first); then deeper."""
        document, run = self.document, self.document.run
        if document.inside is not None:
            sheet = self.sheet
            assert sheet is not None
            deeper = sheet.deeper(document.inside)
            if deeper == document.inside:
                self._say("info", self.tr("There is nothing smaller than this inside."))
            self._stand(deeper, 0)
            return
        if run is None:
            if not self.compiling:
                self.go_to(0)  # says why it cannot run
            return
        operation = max(0, document.position - 1)
        if not run.advance(operation + 1, FIRST_SECONDS):
            self._say("info", self.tr("This operation is still being computed."))
            return
        step = run.trace.steps[operation]
        there = written_by(document.graph, step)
        if not there:
            self._say(
                "info",
                self.tr(
                    "“{0}” of {1} has no cells to step through: look into another operation."
                ).format(phase_name(step.phase)[0], step.node),
            )
            return
        self.play(False)
        self._wanted = None
        self._enter(operation, there[0].side, there[0].part)

    def _enter(self, operation: int, side: Side, part: int = 0) -> None:
        sheet = self._new_sheet(operation, side, part)
        if not sheet.total:
            self._say("info", self.tr("This tensor holds no values."))
            return
        self._sheet = sheet
        self.document.set_selection(frozenset((sheet.owner,)))
        self._stand(sheet.enter(), 0)

    def set_side(self, side: Side, part: int = 0) -> None:
        """Of an operation that writes several arrays the one to look into, from its beginning."""
        at, trace = self.document.inside, self.document.trace
        if at is None or trace is None or (side, part) == (at.side, at.part):
            return
        there = written_by(self.document.graph, trace.steps[at.operation])
        if any((w.side, w.part) == (side, part) for w in there):
            self._enter(at.operation, side, part)

    def set_level(self, level: Level) -> None:
        """What one step completes from now on; higher than now, what is begun is finished."""
        sheet, at = self.sheet, self.document.inside
        if sheet is None or at is None or level not in sheet.levels:
            return
        while sheet.levels.index(at.level) < sheet.levels.index(level):
            at = sheet.deeper(at)
        while sheet.levels.index(at.level) > sheet.levels.index(level):
            up = sheet.out(at)
            if up is None:
                break
            at = up
        self._stand(at if at.level == level else None, at.operation + 1)

    def set_cell(self, index: tuple[int, ...]) -> None:
        """Stand at the cell with this index, just done."""
        sheet, at = self.sheet, self.document.inside
        if sheet is None or at is None or len(index) != len(sheet.shape):
            return
        if all(0 <= i < n for i, n in zip(index, sheet.shape, strict=True)):
            number = int(np.ravel_multi_index(index, sheet.shape)) + 1
            level = at.level if sheet.unit(at.level) == 1 else "cell"
            self._stand(replace(at, level=level, cells=number, terms=0), 0)

    # ---- questions -------------------------------------------------------------------------

    @property
    def asks(self) -> bool:
        """Whether ``next`` asks before it shows: always, or in the workspace for learning."""
        wanted = self.settings["predict"]
        return wanted == "always" or (wanted == "learn" and self.settings["workspace"] == "learn")

    def set_asks(self, on: bool) -> None:
        """Predict, then reveal; or show at once."""
        self.settings.set("predict", "always" if on else "never")
        if not on:
            self._set_question(None)

    def _set_question(self, asked: Question | None) -> None:
        if asked != self.question:
            self.question = asked
            self.question_changed.emit()

    def _ask(self) -> bool:
        """Ask about the next operation, where it is one to ask about and that is wanted."""
        document, run = self.document, self.document.run
        position = document.position
        if not self.asks or run is None or self._play.isActive():
            return False
        if position >= len(run.operations) or not run.advance(position + 1, FIRST_SECONDS):
            return False
        self._set_question(question(document.graph, run.trace, position))
        return self.question is not None

    def answer(self, choice: int | None) -> None:
        """Show what was asked about, and say whether the answer was right; None only reveals."""
        asked = self.question
        if asked is None or (choice is not None and not 0 <= choice < len(asked.choices)):
            return
        words = verdict(asked, choice)
        self._travel(asked.operation + 1, stopping=True)
        document = self.document
        if document.position == asked.operation + 1:
            document.set_position(document.position, document.stop, answered=words)

    # ---- breakpoints -----------------------------------------------------------------------

    def toggle(self, point: Breakpoint) -> None:
        """Set a breakpoint, or remove the one that means the same; says which."""
        points = self.document.breakpoints
        others = tuple(p for p in points if not p.same_place(point))
        place = f"{point.node} ({point.phase})" if point.phase else point.node
        if len(others) < len(points):
            self._say("info", self.tr("Stops no more at {0}.").format(place))
        elif len(points) < MOST:
            others = (*points, point)
            text = self.tr("Stops at {0} from now on; click again (or F9) to remove this.")
            self._say("info", text.format(place))
        else:
            text = self.tr("There are {0} breakpoints already: remove one first.")
            self._say("warning", text.format(MOST))
        self.set_breakpoints(others)

    def set_breakpoints(self, points: Iterable[Breakpoint]) -> None:
        """Replace the list: what the panel asks for."""
        found = tuple(points)[:MOST]
        if found != self.document.breakpoints:
            self.document.set_breakpoints(found)
            self.breakpoints_edited.emit()

    def toggle_here(self) -> None:
        """At the selected layer, else at the operation that was carried out last."""
        document = self.document
        chosen = sorted(document.selection)
        if len(chosen) == 1:
            self.toggle_node(chosen[0])
        elif document.step is not None:
            self.toggle_operation(document.position - 1)
        else:
            self._say("info", self.tr("Select a layer first, then set a breakpoint on it."))

    def toggle_node(self, node_id: str) -> None:
        """At every operation of a node; of a block of nodes wherever the run comes into it."""
        if node_id in self.document.graph.input_ids:
            self._say("info", self.tr("A picture is given, not computed: nothing stops there."))
        elif any((known + "/").startswith(node_id + "/") for known in self.document.known_ids):
            self.toggle(Breakpoint("node", node_id))

    def toggle_operation(self, index: int) -> None:
        """At one operation: its node in its phase. One on the node as a whole is removed."""
        operations = self.document.operations
        if not 0 <= index < len(operations):
            return
        whole = Breakpoint("node", operations[index].node)
        if any(point.same_place(whole) for point in self.document.breakpoints):
            self.toggle(whole)
        else:
            self.toggle(replace(whole, phase=operations[index].phase))

    # ---- playing ---------------------------------------------------------------------------

    def play(self, on: bool | None = None) -> None:
        """Start or pause playing (None switches)."""
        wanted = not self._play.isActive() if on is None else on
        if wanted and self.document.run is None:
            if not self.compiling:
                self.go_to(0)  # says why it cannot run
            self.playing_changed.emit(False)  # the button that was pressed comes up again
            return
        if wanted == self._play.isActive():
            return
        if wanted:
            ended = self.document.position >= len(self.document.operations)
            if ended and self.document.inside is None:
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
        document, inside = self.document, self.document.inside is not None
        if not inside and document.position >= len(document.operations):
            self.play(False)
            return
        self.next()
        if inside and document.inside is None:
            self.play(False)  # what was looked into is done
