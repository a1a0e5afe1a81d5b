"""A person at the screen: xdotool for the hands, the widgets' public methods for the eyes.

Runs in a thread of its own, so that the program's event loop goes on as it does for a user, also
while a drag or a file dialog has a loop of its own.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import TypeVar

from PySide6.QtCore import QObject, QPoint, QPointF, Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QDialog, QScrollArea, QToolBar, QWidget

from explorer.canvas import Canvas
from explorer.window import Window

T = TypeVar("T")
Place = tuple[int, int]

PATIENCE = 10.0
"""Seconds after which something that does not happen is a failure."""
HAND = "0.012"
"""Seconds between two movements of the hand, as xdotool's sleep takes them."""


class Question:
    """Something to look at in the program's own thread."""

    def __init__(self, look: Callable[[], object]) -> None:
        self.look = look
        self.answer: object = None
        self.error: Exception | None = None
        self.answered = threading.Event()


class Eyes(QObject):
    """Lives in the program's thread and looks when it is asked to."""

    asked = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.asked.connect(self._look, Qt.ConnectionType.QueuedConnection)

    def _look(self, question: Question) -> None:
        try:
            question.answer = question.look()
        except Exception as error:
            question.error = error
        question.answered.set()


class Person:
    """Does one thing after another; a method returns when the X server has the events."""

    def __init__(self, eyes: Eyes) -> None:
        self.eyes = eyes

    # ---- eyes --------------------------------------------------------------------------------

    def see(self, look: Callable[[], T]) -> T:
        """What ``look`` returns in the program's thread; a frozen program is an AssertionError."""
        question = Question(look)
        self.eyes.asked.emit(question)
        if not question.answered.wait(PATIENCE):
            raise AssertionError(f"the event loop did not answer for {PATIENCE:g} seconds")
        if question.error is not None:
            raise question.error
        return question.answer  # type: ignore[return-value]

    def until(self, look: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
        """Look again and again until it is true."""
        end = time.monotonic() + seconds
        while not (seen := self.see(look)):
            if time.monotonic() > end:
                raise AssertionError(f"after {seconds:g} seconds not seen: {what}")
            threading.Event().wait(0.01)
        return seen

    def window(self) -> Window:
        """The program's window, once it is on the screen."""

        def look() -> Window | None:
            shown = [w for w in QApplication.topLevelWidgets() if isinstance(w, Window)]
            return shown[0] if shown and shown[0].isVisible() else None

        found = self.until(look, "the window")
        assert found is not None
        return found

    def dialog(self) -> QDialog:
        """The dialog that is in front."""

        def look() -> QDialog | None:
            dialog = QApplication.activeModalWidget()
            return dialog if isinstance(dialog, QDialog) and dialog.isVisible() else None

        found = self.until(look, "a dialog")
        assert found is not None
        return found

    # ---- where things are --------------------------------------------------------------------

    def on(self, widget: QWidget, point: QPoint | QPointF | None = None) -> Place:
        """The place on the screen of a point of a widget, its middle by default."""

        def look() -> Place | None:
            at = widget.rect().center() if point is None else QPointF(point).toPoint()
            where = widget.mapToGlobal(at)
            there = QApplication.widgetAt(where)
            if there is None or not (there is widget or widget.isAncestorOf(there)):
                return None
            return where.x(), where.y()

        name = self.see(lambda: widget.accessibleName() or type(widget).__name__)
        found = self.until(look, f"{name} uncovered on the screen", 3.0)
        assert found is not None
        return found

    def turn_to(self, widget: QWidget, panel: QScrollArea) -> Place:
        """Turn the wheel over a panel until a widget in it is in sight; where it is then."""
        view = self.see(panel.viewport)
        corner = self.see(lambda: view.rect().topRight() + QPoint(-30, 9))
        for _ in range(30):
            if self.see(lambda: widget.visibleRegion().contains(widget.rect().center())):
                break
            self.click(self.on(view, corner), button=5)
        return self.on(widget)

    def card(self, canvas: Canvas, name: str) -> Place:
        """A place on a card where there is neither a map nor a port."""

        def look() -> QPoint:
            rect = canvas.network.items_by_id[name].scene_rect()
            return canvas.to_pixel(rect.topLeft() + QPointF(rect.width() * 0.3, 18))

        return self.on(canvas.viewport(), self.see(look))

    def output(self, canvas: Canvas, name: str) -> Place:
        """The output port of a card."""
        return self.on(
            canvas.viewport(),
            self.see(lambda: canvas.to_pixel(canvas.network.items_by_id[name].output_point(0))),
        )

    def input(self, canvas: Canvas, name: str, slot: int = 0) -> Place:
        """An input port of a card."""
        return self.on(
            canvas.viewport(),
            self.see(lambda: canvas.to_pixel(canvas.network.items_by_id[name].input_point(slot))),
        )

    def edge(self, canvas: Canvas, reader: str, slot: int = 0) -> Place:
        """The middle of the longest straight part of an edge."""

        def look() -> QPoint:
            points = [QPointF(*p) for p in canvas.network.edges[reader, slot].route.points]
            a, b = max(pairwise(points), key=lambda p: (p[1] - p[0]).manhattanLength())
            return canvas.to_pixel((a + b) / 2)

        return self.on(canvas.viewport(), self.see(look))

    def void(self, canvas: Canvas) -> Place:
        """A place on the canvas with nothing near it."""

        def look() -> QPoint:
            view = canvas.viewport().rect()
            for y in range(view.height() - 60, 60, -20):
                for x in range(60, view.width() - 60, 20):
                    at = canvas.to_scene(QPoint(x, y))
                    reach = 6 * canvas.reach
                    if (
                        canvas.childAt(x, y) in (None, canvas.viewport())
                        and canvas.network.node_at(at, 40 / canvas.zoom) is None
                        and canvas.network.edge_at(at, reach) is None
                        and canvas.network.port_at(at, reach) is None
                    ):
                        return QPoint(x, y)
            raise AssertionError("the canvas has no empty place")

        return self.on(canvas.viewport(), self.see(look))

    def button(self, window: Window, command: str) -> Place:
        """The toolbar button of a command."""

        def look() -> QWidget:
            for bar in window.findChildren(QToolBar):
                button = bar.widgetForAction(window.actions_by_id[command])
                if button is not None and button.isVisible():
                    return button
            raise AssertionError(f"the toolbar has no button for {command}")

        return self.on(self.see(look))

    # ---- hands -------------------------------------------------------------------------------

    def hands(self, *words: object) -> None:
        """Run xdotool with these words."""
        subprocess.run(["xdotool", *map(str, words)], check=True, timeout=PATIENCE)

    def move(self, to: Place) -> None:
        self.hands("mousemove", *to)

    def click(self, at: Place, button: int = 1, times: int = 1, held: str = "") -> None:
        """Press and release a button, with a key held down if one is named."""
        words: list[object] = ["mousemove", *at, "sleep", HAND]
        if held:
            words += ["keydown", held]
        words += ["click", "--repeat", times, "--delay", 40, button]
        if held:
            words += ["keyup", held]
        self.hands(*words)

    def drag(self, places: Iterable[Place], button: int = 1, held: str = "") -> None:
        """Press at the first place, go through the others, release at the last."""
        first, *others = places
        words: list[object] = ["mousemove", *first, "sleep", HAND]
        if held:
            words += ["keydown", held]
        words += ["mousedown", button]
        x, y = first
        for to in others:
            for i in range(1, 7):
                at = (x + (to[0] - x) * i // 6, y + (to[1] - y) * i // 6)
                words += ["mousemove", *at, "sleep", HAND]
            x, y = to
        words += ["sleep", 0.06, "mouseup", button]
        if held:
            words += ["keyup", held]
        self.hands(*words)

    def focus(self, widget: QWidget) -> None:
        """Give a window the keyboard, which a window manager would do."""
        self.hands("windowfocus", "--sync", self.see(lambda: int(widget.window().winId())))
        self.until(
            lambda: QGuiApplication.focusWindow() is widget.window().windowHandle(),
            "the keyboard at the window",
        )

    def keys(self, *names: str) -> None:
        """Press and release keys such as ``ctrl+z``."""
        self.hands("key", "--delay", 15, *names)

    def write(self, text: str) -> None:
        self.hands("type", "--delay", 8, text)
