"""Leads through the lessons: opens what a page is about, goes to the step, asks about a number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QObject, QTimer, Signal

from engine.cell import Cell
from engine.explain import Place
from engine.trace import Kind
from explorer import examples, lesson_facts
from explorer.controller import Controller
from explorer.document import Document
from explorer.lesson_facts import Seen
from explorer.lessons import LESSONS, Doing, Lesson, tr
from explorer.path_shares import PathShares
from explorer.settings import Settings


@dataclass(frozen=True)
class Page:
    """What the panel shows of a lesson. ``fact`` "" while the run has not come so far;
    ``here`` says whether its network is the one in the window.
    """

    number: int
    title: str
    text: tuple[str, ...]
    doings: tuple[str, ...]
    fact: str
    here: bool
    network: str


class LessonGuide(QObject):
    """Keeps the page that is read, and does what its buttons say. Changes no network by itself."""

    changed = Signal()

    def __init__(
        self,
        document: Document,
        controller: Controller,
        paths: PathShares,
        settings: Settings,
        run_command: Callable[[str], None],
        show_panel: Callable[[str], None],
        parent: QObject | None = None,
    ) -> None:
        """``run_command`` carries out one of the table, ``show_panel`` brings one to the front."""
        super().__init__(parent)
        self._document, self._controller, self._paths = document, controller, paths
        self._settings = settings
        self._run_command, self._show_panel = run_command, show_panel
        self._watching = False
        self._waiting: Doing | None = None
        ids = [lesson.id for lesson in LESSONS]
        kept = settings["lesson"]
        self._index = ids.index(kept) if kept in ids else 0
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)  # one answer to all that changed at once
        self._soon.timeout.connect(self._tell)
        for signal in (
            document.position_changed,
            document.run_changed,
            document.network_changed,
            document.what_if_changed,
            paths.changed,
        ):
            signal.connect(self._heard)

    @property
    def titles(self) -> tuple[str, ...]:
        """Of all pages, in order."""
        return tuple(tr(lesson.title) for lesson in LESSONS)

    @property
    def lesson(self) -> Lesson:
        """The page that is read."""
        return LESSONS[self._index]

    @property
    def page(self) -> Page:
        """What the panel shows of it now."""
        lesson, here = self.lesson, self.here
        fact = lesson.fact(self.seen()) if here else None
        return Page(
            self._index,
            tr(lesson.title),
            tuple(tr(text) for text in lesson.text),
            tuple(tr(doing.text) for doing in lesson.doings),
            fact or "",
            here,
            _title(lesson),
        )

    @property
    def here(self) -> bool:
        """Whether the network of the page is the one in the window, and as it came: what the page
        speaks of is there.
        """
        document, lesson = self._document, self.lesson
        return document.graph.name == lesson.graph and all(
            name in document.known_ids for name in _named(lesson)
        )

    @property
    def waiting(self) -> bool:
        """Whether a button's network is still being opened."""
        return self._waiting is not None

    def seen(self) -> Seen:
        """The document for the facts."""
        d = self._document
        return Seen(
            d.graph,
            d.inference.specs,
            d.costs,
            d.trace,
            d.position,
            d.run.target if d.run is not None else None,
            d.gains,
            self._paths.parts,
        )

    def watch(self, on: bool) -> None:
        """The panel is in sight, or no longer."""
        self._watching = on
        self._want_paths()
        self._heard()

    def go_to(self, number: int) -> None:
        """Turn to a page, counted from 0."""
        number = max(0, min(number, len(LESSONS) - 1))
        if number != self._index:
            self._index, self._waiting = number, None
            self._settings.set("lesson", self.lesson.id)
            self._want_paths()
            self.changed.emit()

    def do(self, number: int) -> None:
        """Do what the button says; its network is opened before, if another one is there."""
        doing = self.lesson.doings[number]
        if doing.act == "open" or not self.here:
            # what is open and not saved is kept, as whenever another network is opened
            self._waiting = None if doing.act == "open" else doing
            self._open(self.lesson.network)
            self._heard()
            return
        self._waiting = None
        self._perform(doing)

    def _want_paths(self) -> None:
        self._paths.watch(self._watching and self.lesson.paths, "lessons")

    def _open(self, network: str) -> None:
        projects = self._controller.projects
        kind, _, name = network.rpartition(":")
        if kind == "example":
            projects.open_example(name)
        elif kind == "gallery":
            projects.open_architecture(name)
        else:
            projects.open_shipped(name)

    def _heard(self) -> None:
        if self._watching:
            self._soon.start()

    def _tell(self) -> None:
        waiting = self._waiting
        if waiting is not None and self.here and self._document.run is not None:
            self._waiting = None
            self._perform(waiting)
        self.changed.emit()

    def _perform(self, doing: Doing) -> None:
        c, d = self._controller, self._document
        if doing.act == "command":
            self._run_command(*doing.args)
        elif doing.act == "panel":
            self._show_panel(*doing.args)
        elif doing.act == "select":
            c.select(set(doing.args))
            self._show_panel("inspector")
        elif doing.act == "gain":
            c.what_ifs.set_gain(*doing.args)
        elif doing.act == "step":
            self._step(*doing.args)
            self._show_panel("inspector")
        elif doing.act == "cell":
            cell, direction = doing.args
            if direction == "gradient":
                self._reach("gradient", cell.node if cell is not None else "pool1")
            else:
                self._reach("forward", cell.node)
            chosen = cell if cell is not None else lesson_facts.most_gradient(self.seen())
            if isinstance(chosen, Cell) and (chosen.node, chosen.port) in d.inference.specs:
                c.asking.focus(Place(chosen, direction))

    def _step(self, phase: str, node: str) -> None:
        """Go behind the last operation of this phase at this node, and select it."""
        found = [
            i + 1
            for i, operation in enumerate(self._document.operations)
            if (operation.phase, operation.node) == (phase, node)
        ]
        if found:
            self._controller.stepping.go_to(found[-1])
            self._controller.select({node})

    def _reach(self, direction: str, node: str) -> None:
        """Have the number computed: no further than the cursor is already."""
        d = self._document
        kind: Kind = "grad" if direction == "gradient" else "value"
        known = d.trace is not None and d.trace.look(kind, (node, 0), d.position) is not None
        if known:
            return
        if direction == "forward":
            self._step("forward", node)
            return
        for i, operation in enumerate(d.operations):
            written = [(operand.kind, operand.ref) for operand in operation.writes]
            if ("grad", (node, 0)) in written:
                self._controller.stepping.go_to(i + 1)


def _title(lesson: Lesson) -> str:
    """What the network of a page is called in the menus."""
    kind, _, name = lesson.network.rpartition(":")
    return examples.tr(examples.EXAMPLES[name].title) if kind == "example" else lesson.graph


def _named(lesson: Lesson) -> set[str]:
    """The layers that the buttons of a page speak of."""
    names: set[str] = set()
    for doing in lesson.doings:
        if doing.act == "step":
            names.add(doing.args[1])
        elif doing.act in ("select", "gain"):
            names.add(doing.args[0])
        elif doing.act == "cell" and doing.args[0] is not None:
            names.add(doing.args[0].node)
    return names
