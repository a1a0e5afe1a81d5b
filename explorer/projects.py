"""Projects: opened, made, saved, kept when they are not saved, and shown as structures."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtGui import QUndoStack

from engine import recording
from engine.graph import Graph, Input, Loss
from engine.losses import CrossEntropy
from engine.project_file import Project, ProjectError
from engine.recording import Recording
from explorer import folding, onnx_import, open_sizes, samples, session
from explorer.background import Background
from explorer.document import Document, Layout
from explorer.layouts import Layouts
from explorer.notices import Level, Say
from explorer.open_sizes import OpenSizes, Shape
from explorer.pictures import Pictures
from explorer.samples import Sample
from explorer.settings import Settings
from explorer.stepping import Stepping

KEEP_MILLISECONDS = 3_000
"""How long after a change a safety copy is written, in case the program is killed."""

PROGRESS_MILLISECONDS = 300
"""How often is said how far the reading of a large file has come."""


class Projects(QObject):
    """Loads the document, and writes it."""

    replacing = Signal()
    """Another project is about to be shown: what belongs to the one before must end."""
    arranged = Signal()
    """The network stands in other places."""
    sizes_asked = Signal(object)
    """An ONNX file leaves sizes open (``OpenSizes``); it is open with the usual ones."""

    def __init__(
        self,
        document: Document,
        settings: Settings,
        undo_stack: QUndoStack,
        layouts: Layouts,
        stepping: Stepping,
        pictures: Pictures,
        say: Say,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.document, self.settings, self.undo_stack = document, settings, undo_stack
        self.layouts, self.stepping, self.pictures = layouts, stepping, pictures
        self._say = say
        self.unsaved = session.Unsaved()
        self.held = session.Held()
        self.copies, self.builders = Background(self), Background(self)
        self._writer = Background(self)
        self._disk = threading.Lock()
        self._written = True
        self._keeper = QTimer(self)
        self._keeper.setSingleShot(True)
        self._keeper.setInterval(KEEP_MILLISECONDS)
        self._keeper.timeout.connect(self._keep_copy)
        self._changed_besides = False
        self._changes, self._shown = 0, 0
        self._opening = 0
        self._open_sizes: OpenSizes | None = None  # of the file that is shown

    # ---- what is not saved -----------------------------------------------------------------

    def note_edit(self) -> None:
        """The network changed, or what is saved is what it is: write a safety copy before long."""
        self._changes += 1
        self._show_modified()
        if not self._keeper.isActive():
            self._keeper.start()

    def note_change(self) -> None:
        """Weights or breakpoints are no longer those of the file: the stack knows of edits only."""
        self._changed_besides = True
        self.note_edit()

    def _show_modified(self) -> None:
        modified = self._changed_besides or not self.undo_stack.isClean()
        self.document.set_identity(self.document.path, modified)

    def _keep_copy(self) -> None:
        """Write what is not saved where the next start finds it, without holding the window."""
        if not self.document.modified:
            return
        if self.copies.busy or self.saving:
            self._keeper.start()
            return
        try:
            project = self.document.project()
        except ProjectError:
            return  # said when the user saves
        keep, disk = self.unsaved.keep, self._disk

        def write() -> None:
            with disk:
                keep(project)

        # a copy that cannot be written is no reason to disturb: closing says so
        self.copies.run(write, lambda _result: None)

    # ---- opening and saving ----------------------------------------------------------------

    def start(self, path: Path | None = None) -> None:
        """What the program opens with: the file, else unsaved work, else the trained LeNet-5."""
        kept = self.unsaved.take()
        if path is not None:
            if kept is not None:
                self._set_aside(kept)
            if path.suffix.lower() in (onnx_import.SUFFIX, recording.SUFFIX):
                # read beside the window, which shows something meanwhile, and after a failure
                self.open_shipped("lenet5", quiet=True)
                self.open(path)
            elif not self.open(path):
                self.open_shipped("lenet5", quiet=True)
        elif kept is not None:
            self._show(kept, None)
            self.note_change()  # in whatever way, it is not what any file holds
            self._say("note", self.tr("This is your work from last time, which was not saved."))
        else:
            self.open_shipped("lenet5")

    def open(self, path: Path) -> bool:
        """Open a project or an ONNX file; what is open now stays when that fails.

        An ONNX file is read beside the window: True says that reading has begun.
        """
        path = path.absolute()
        self.finish()  # it may be the file that is being written
        if path.suffix.lower() == onnx_import.SUFFIX:
            self._open_onnx(path)
            return True
        if path.suffix.lower() == recording.SUFFIX:
            self._open_recording(path)
            return True
        try:
            project = session.load(path)
        except (ProjectError, OSError, MemoryError) as error:
            self._say("error", str(error) or type(error).__name__)
            return False
        kept = self._keep_unsaved()
        ours = self.held.take(path)
        self._show(project, path if ours else None)
        self.settings.remember_recent(path)
        warnings = project.warnings
        if not ours:
            copied = self.tr("{0} is open in another window: this is a copy of it.")
            warnings = (*warnings, copied.format(path.name))
        if warnings or kept:
            self._say("warning" if warnings else "note", " ".join((*warnings, kept)))
        return True

    def open_sized(self, asked: OpenSizes, shapes: Mapping[str, Shape]) -> None:
        """Open an ONNX file with sizes that it leaves open; remembered when that succeeds."""
        self._open_onnx(asked.path, (asked, shapes))

    def ask_sizes(self) -> None:
        """Ask again for the sizes that the shown ONNX file leaves open."""
        if self._open_sizes is None:
            self._say("info", self.tr("What is open is no ONNX file that leaves sizes open."))
        else:
            self.sizes_asked.emit(self._open_sizes)

    def remember_sizes(self, asked: OpenSizes, shapes: Mapping[str, Shape]) -> None:
        """Do not ask again for the sizes of such a file."""
        kept = open_sizes.with_answer(self.settings["sizes"], asked, shapes)
        self.settings.set("sizes", kept)

    def _open_onnx(
        self, path: Path, answer: tuple[OpenSizes, Mapping[str, Shape]] | None = None
    ) -> None:
        """Read an ONNX file in the background; opening anything else gives it up."""
        self._opening += 1
        answers = self.settings["sizes"]
        questions: list[OpenSizes] = []
        found: list[OpenSizes] = []

        def choose(asked: OpenSizes) -> Mapping[str, Shape] | None:
            known: Mapping[str, Shape] | None
            if answer is not None and answer[0].key == asked.key:
                known = answer[1]
            else:
                known = open_sizes.remembered(answers, asked)
                if known is None:
                    questions.append(asked)
            found.append(dataclasses.replace(asked, used=known or asked.used))
            return known

        ticket, aspect = self._opening, self.layouts.aspect()
        counted = [0, 0]

        def count(number: int, total: int) -> None:
            if ticket != self._opening:
                raise onnx_import.GivenUpError
            counted[:] = number, total

        def tell() -> None:
            if ticket != self._opening:
                timer.stop()
                return
            text = self.tr("Reading {0}: {1} of {2} operators.")
            self._say("info", text.format(path.name, *counted))

        def done(result: Any) -> None:
            timer.stop()
            timer.deleteLater()
            if ticket != self._opening:
                return
            if not isinstance(result, Project):
                self._say("error", str(result) or type(result).__name__)
                return
            kept = self._keep_unsaved()
            if result.layout:
                self.layouts.placed_for = aspect
            self._show(result, None)
            self._open_sizes = found[-1] if found else None
            if answer is not None:
                self.remember_sizes(*answer)
            for asked in questions:
                self.sizes_asked.emit(asked)
            self.settings.remember_recent(path)
            lacks = self.tr("It brings no loss: it has a backward pass once you add one.")
            if result.graph.losses:
                lacks = ""
            if result.warnings or kept:
                level: Level = "warning" if result.warnings else "note"
                texts = (*result.warnings, lacks, kept)
            else:
                level, texts = "info", (self.tr("Opened {0}.").format(path.name), lacks)
            self._say(level, " ".join(filter(None, texts)))

        timer = QTimer(self)
        timer.setInterval(PROGRESS_MILLISECONDS)
        timer.timeout.connect(tell)
        timer.start()
        self.builders.run(lambda: onnx_import.project(path, aspect, count, choose), done)

    def _open_recording(self, path: Path) -> None:
        """Read a recorded run in the background; opening anything else gives it up."""
        self._opening += 1
        ticket = self._opening

        def done(result: Any) -> None:
            if ticket != self._opening:
                return
            if not isinstance(result, Recording):
                self._say("error", str(result) or type(result).__name__)
                return
            kept = self._keep_unsaved()
            project = dataclasses.replace(result.project, parameters=result.parameters)
            self._show(project, None, result)
            self.settings.remember_recent(path)
            text = self.tr(
                "{0} is a recorded run: it is shown as it was, until you change something."
            )
            self._say(
                "note" if kept else "info", " ".join(filter(None, (text.format(path.name), kept)))
            )

        self.builders.run(lambda: recording.load(path), done)

    def open_shipped(self, name: str, quiet: bool = False) -> None:
        """Open a network that comes with the program; ``quiet`` leaves the last notice standing."""
        try:
            project = session.shipped(name)
        except (ProjectError, OSError) as error:
            self._say("error", str(error))
            return
        kept = self._keep_unsaved()
        self._show(project, None)
        if kept and not quiet:
            self._say("note", kept)

    def open_example(self, name: str) -> None:
        """Open a small network with fixed numbers, and say what it shows."""
        from explorer import examples

        example = examples.EXAMPLES[name]
        kept = self._keep_unsaved()
        origin = self.tr("the numbers of the example")
        picture = samples.from_input(example.x, None, None, origin)
        self._show(example.project(), None, picture=picture)
        self._say("note", " ".join(filter(None, (examples.tr(example.idea), kept))))

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
        ticket, aspect = self._opening, self.layouts.aspect()

        def done(result: Any) -> None:
            if ticket != self._opening:
                return
            if not isinstance(result, Project):
                self._say("error", str(result) or type(result).__name__)
                return
            kept = self._keep_unsaved()
            self.layouts.placed_for = aspect
            self._show(result, None)
            text = ""  # of a structure the sentence below the canvas says what it lacks
            if not self.document.structure_only:
                text = self.tr("{0} has new weights: it has not been trained.").format(
                    architecture.title
                )
            if text or kept:
                self._say("note" if kept else "info", " ".join(filter(None, (text, kept))))

        self.builders.run(lambda: gallery.project(architecture, aspect), done)

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
        self._show(Project(graph), None)
        if kept:
            self._say("note", kept)

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

    def _show(
        self,
        project: Project,
        path: Path | None,
        recorded: Recording | None = None,
        picture: Sample | None = None,
    ) -> None:
        self.replacing.emit()
        self._open_sizes = None
        self.stepping.stop()
        if self.document.run is not None:
            self.document.run.deleteLater()
        known = {n.id for n in project.graph.nodes} | project.graph.input_ids
        known |= {x.id for x in project.graph.losses}
        complete = known <= project.layout.keys()
        blocks = project.settings.get("blocks")
        folded = folding.opening(project.graph) if blocks is None and not complete else None
        layout: Layout = dict(project.layout) if complete else {}
        if not complete:
            self.layouts.placed_for = self.layouts.aspect()
            if not folded and blocks is None:
                layout = self.layouts.place(folding.view(project.graph, ()))
        self._changed_besides = False
        self._shown += 1
        if path is None:
            self.held.release()
        self.pictures.forget()
        self._opening += 1
        with self.stepping.held():  # one run for the new network and its first picture together
            self.undo_stack.clear()
            self.document.load(project, layout, path, folded)
            self.document.set_sample(None)
            self.pictures.load()
            if picture is not None:
                self.document.set_sample(picture)
            x = recorded.x if recorded is not None else None
            if recorded is not None and x is not None:
                label = None if recorded.assumed_target else recorded.target
                self.document.set_sample(
                    samples.from_input(x, project.preprocessing, label, recorded.origin)
                )
                self.document.set_gains(recorded.trace.gains)
                self.stepping.show_recorded(recorded)
            self._show_modified()
            self._keeper.stop()
        self.arranged.emit()

    @property
    def saving(self) -> bool:
        """Whether a file is being written."""
        return self._writer.busy

    def finish(self) -> bool:
        """Wait for what is being written; whether the last file was."""
        self._writer.finish()
        return self._written

    def save(self, path: Path) -> bool:
        """Begin to write the project, beside the window; says when it is done, or why not.

        True when the writing has begun. What is changed meanwhile is not in the file, and counts
        as not saved.
        """
        self.finish()  # of two for the same file the later wins
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
        if not self.held.take(path):
            self._say(
                "warning",
                self.tr("{0} is open in another window. Choose another name.").format(path.name),
            )
            return False
        try:
            project = self.document.project()
        except ProjectError as error:
            self._refuse(error)
            return False
        before, shown, disk = self._state(), self._shown, self._disk
        slow = QTimer(self)
        slow.setSingleShot(True)
        slow.setInterval(PROGRESS_MILLISECONDS)
        slow.timeout.connect(lambda: self._say("info", self.tr("Saving {0}.").format(path.name)))

        def write() -> None:
            with disk:  # after a safety copy on its way, which would come back as unsaved work
                session.save(project, path)

        def done(result: Any) -> None:
            slow.stop()
            slow.deleteLater()
            self._written = not isinstance(result, Exception)
            if not self._written:
                self._refuse(result)
                return
            self.settings.remember_recent(path)
            if shown == self._shown:
                self._saved(path, unchanged=before == self._state())
            self._say("success", self.tr("Saved {0}.").format(path.name))

        self._written = False
        slow.start()
        self._writer.run(write, done)
        return True

    def _state(self) -> tuple[int, int]:
        """Something that is another after every change, so that a save knows of those meanwhile."""
        return self.undo_stack.index(), self._changes

    def _refuse(self, error: Exception) -> None:
        """Say why nothing was written, and hold what was held."""
        if self.document.path is None:
            self.held.release()
        else:
            self.held.take(self.document.path)
        self._say("error", str(error) or type(error).__name__)

    def _saved(self, path: Path, unchanged: bool) -> None:
        """The file holds the work as it was when the writing began."""
        if not unchanged:
            self.undo_stack.resetClean()  # what was clean is what an older file holds
            self._changed_besides = True
            self.document.set_identity(path, modified=True)
            return
        self._changed_besides = False
        self.undo_stack.setClean()
        self.document.set_identity(path, modified=False)
        self._keeper.stop()
        self.unsaved.forget()

    def close(self) -> None:
        """Keep what is not saved, where the next start finds it."""
        self.finish()
        self._keeper.stop()
        self.copies.close()
        self.builders.close()
        if self.document.modified:
            try:
                self.unsaved.keep(self.document.project())
            except (ProjectError, OSError) as error:
                self._say("error", str(error))
        else:
            self.unsaved.forget()
        self.unsaved.release()
        self.held.release()
