"""A whole session at the screen, by real X events: python tests/xdotool/session.py

Needs an X display with nothing else on it, and xdotool; no window manager:

    xvfb-run -s "-screen 0 1600x1000x24" python tests/xdotool/session.py

Prints a line ``ok GESTURE`` for each gesture whose effect on the document was seen, and
``failed GESTURE: why`` for each other; the exit code is 1 when any failed. The program is started
as a user starts it, by ``main.main``; twice, the second time with the file that was saved. One
act alone, of it only the gestures with a word in their name, and how long each took:

    python tests/xdotool/session.py first FOLDER train --times
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

GESTURES: dict[str, list[Callable[[Any], None]]] = {"first": [], "again": []}
TRAINING_SECONDS = 10.0
DRAWN_ZERO = ((0.5, 0.2), (0.3, 0.35), (0.27, 0.6), (0.4, 0.8), (0.6, 0.8), (0.73, 0.6))


def gesture(act: str) -> Callable[[Callable[[Session], None]], Callable[[Session], None]]:
    """Put a function into an act, in the order in which they are written."""

    def put(function: Callable[[Session], None]) -> Callable[[Session], None]:
        GESTURES[act].append(function)
        return function

    return put


class Session:
    """One start of the program with a person before it."""

    def __init__(self, person: Any, folder: Path) -> None:
        self.person, self.folder = person, folder
        self.window = person.window()
        self.document = self.window.document
        self.canvas = self.window.canvas
        self.view = self.canvas.viewport()
        # Cards that are under way would not be where they were seen a moment ago.
        self.see(lambda: self.window.settings.set("motion", "never"))

    def see(self, look: Callable[[], Any]) -> Any:
        return self.person.see(look)

    def until(self, look: Callable[[], Any], what: str, seconds: float = 10.0) -> Any:
        return self.person.until(look, what, seconds)

    # ---- short words for what is looked at most --------------------------------------------

    @property
    def position(self) -> int:
        return int(self.see(lambda: self.document.position))

    @property
    def graph(self) -> Any:
        return self.see(lambda: self.document.graph)

    @property
    def selection(self) -> frozenset[str]:
        found: frozenset[str] = self.see(lambda: self.document.selection)
        return found

    def at(self, position: int) -> None:
        """Wait until this many operations have been carried out."""
        self.until(
            lambda: self.document.position == position,
            f"position {position}, but {self.document.position}",
        )

    def selected(self, *names: str) -> None:
        self.until(lambda: self.document.selection == frozenset(names), f"{names} selected")

    def changed(self, before: Any) -> Any:
        """Wait for another network than ``before`` and return it."""
        self.until(lambda: self.document.graph != before, "a change of the network")
        return self.graph

    def keys(self, *names: str) -> None:
        self.person.keys(*names)

    def to_canvas(self) -> None:
        """Give the canvas the keyboard by a click on nothing."""
        self.person.focus(self.window)
        self.person.click(self.person.void(self.canvas))
        self.until(lambda: self.canvas.hasFocus(), "the keyboard at the canvas")
        self.selected()

    def undo_to(self, graph: Any) -> None:
        """Ctrl+Z until the network is this one again."""
        self.person.focus(self.window)
        for _ in range(8):
            if self.graph == graph:
                return
            stack = self.window.controller.undo_stack
            index = self.see(stack.index)
            self.keys("ctrl+z")
            self.until(lambda: stack.index() == index - 1, "one undo")  # noqa: B023
        raise AssertionError("the network did not come back by undo")

    def workspace(self, name: str) -> None:
        self.person.click(self.person.button(self.window, f"view.{name}"))
        self.until(lambda: self.window.settings["workspace"] == name, f"workspace {name}")
        self.settle()

    def settle(self) -> None:
        """Two rounds of the event loop: what is shown later in a slice is there."""
        for _ in range(3):
            self.see(lambda: None)

    def name_of_new(self, before: Any, after: Any) -> str:
        (new,) = set(after.by_id) - set(before.by_id)
        return str(new)

    def palette_item(self, title: str) -> tuple[int, int]:
        tree = self.window.panel("layers").tree
        from PySide6.QtCore import Qt

        def look() -> Any:
            found = tree.findItems(title, Qt.MatchFlag.MatchExactly | Qt.MatchFlag.MatchRecursive)
            layer = next(item for item in found if item.parent() is not None)
            tree.scrollToItem(layer)
            return tree.visualItemRect(layer).center()

        return self.person.on(tree.viewport(), self.see(look))

    def answer_file_dialog(self, path: Path) -> None:
        """Type a path into the file dialog that is coming up, and press Enter."""
        dialog = self.person.dialog()
        self.person.focus(dialog)
        self.keys("ctrl+a")
        self.person.write(str(path))
        self.keys("Return")
        self.until(lambda: not dialog_is_open(), "the dialog closed")
        self.person.focus(self.window)


def dialog_is_open() -> bool:
    from PySide6.QtWidgets import QApplication

    return QApplication.activeModalWidget() is not None


# ---- the first act -------------------------------------------------------------------------


@gesture("first")
def starts_on_a_trained_network(s: Session) -> None:
    s.until(lambda: s.document.trace is not None, "a run")
    assert s.see(lambda: s.document.graph.name).startswith("LeNet-5")
    assert s.see(lambda: s.document.step.phase) == "forward"
    logits = s.see(lambda: s.document.trace.look("value", ("fc3", 0), s.document.position))
    assert logits.argmax() == s.see(lambda: s.document.sample.label)
    s.person.focus(s.window)


@gesture("first")
def closes_the_hint(s: Session) -> None:
    from PySide6.QtWidgets import QWidget

    close = s.see(lambda: s.window.hint.findChild(QWidget, "hint.close"))
    s.person.click(s.person.on(close))
    s.until(lambda: not s.window.hint.isVisible(), "the hint gone")
    assert s.see(lambda: s.window.settings["hint_seen"])


@gesture("first")
def next_by_key(s: Session) -> None:
    s.to_canvas()
    start = s.position
    for count, key in enumerate(("F10", "space", "n"), 1):
        s.keys(key)
        s.at(start + count)


@gesture("first")
def back_by_key(s: Session) -> None:
    start = s.position
    for count, key in enumerate(("shift+F10", "b", "shift+n"), 1):
        s.keys(key)
        s.at(start - count)


@gesture("first")
def next_and_back_by_button(s: Session) -> None:
    start = s.position
    s.person.click(s.person.button(s.window, "step.next"))
    s.at(start + 1)
    s.person.click(s.person.button(s.window, "step.back"))
    s.at(start)


@gesture("first")
def to_the_end_and_back_to_the_start(s: Session) -> None:
    s.keys("ctrl+End")
    s.at(s.see(lambda: len(s.document.operations)))
    assert s.see(lambda: s.document.step.phase) == "update"
    s.person.click(s.person.button(s.window, "step.start"))
    s.at(0)
    assert s.see(lambda: s.document.step) is None


@gesture("first")
def each_operation_to_the_end_and_back(s: Session) -> None:
    s.to_canvas()
    count = s.see(lambda: len(s.document.operations))
    maps = s.see(lambda: s.document.trace.look("value", ("conv1", 0), count).copy())
    s.keys(*["F10"] * count)
    s.at(count)
    s.keys(*["b"] * (count - 1))
    s.at(1)
    again = s.see(lambda: s.document.trace.look("value", ("conv1", 0), 1))
    assert (maps == again).all()
    assert s.see(lambda: s.document.trace.look("value", ("relu1", 0), 1)) is None


@gesture("first")
def finish_phase_by_key(s: Session) -> None:
    s.keys("shift+F11")
    s.at(s.see(lambda: s.document.run.forward_length))


@gesture("first")
def play_and_pause_by_key(s: Session) -> None:
    speed = s.window.toolbar.speed
    s.person.click(s.person.on(speed, s.see(lambda: speed.rect().center())))
    s.to_canvas()
    s.person.hands("mousemove", *s.person.on(speed), "click", "--repeat", 5, "--delay", 20, 4)
    s.until(lambda: s.window.settings["play_speed"] >= 8, "playing set to a high speed")
    s.keys("ctrl+Home")
    s.at(0)
    s.keys("F5")
    s.until(lambda: s.document.position >= 3, "three operations played")
    s.keys("F5")
    s.until(lambda: not s.window.actions_by_id["step.play"].isChecked(), "playing paused")
    assert s.position < s.see(lambda: len(s.document.operations))


@gesture("first")
def play_and_pause_by_button(s: Session) -> None:
    start = s.position
    place = s.person.button(s.window, "step.play")
    s.person.click(place)
    s.until(lambda: s.document.position >= start + 2, "two operations played")
    s.person.click(place)
    s.until(lambda: not s.window.actions_by_id["step.play"].isChecked(), "playing paused")


@gesture("first")
def timeline_click(s: Session) -> None:
    timeline = s.window.timeline
    s.person.click(s.person.on(timeline, s.see(lambda: timeline.rect_of(3).center())))
    s.at(4)
    assert s.see(lambda: s.document.operations[3].node in s.window.narration.sentence.text)


@gesture("first")
def timeline_scrub(s: Session) -> None:
    timeline = s.window.timeline
    seen: list[int] = []
    s.see(lambda: s.document.position_changed.connect(lambda: seen.append(s.document.position)))
    ends = [s.see(lambda i=i: timeline.rect_of(i).center()) for i in (3, 16)]
    s.person.drag([s.person.on(timeline, end) for end in ends])
    s.at(17)
    assert len(set(seen)) >= 3 and seen == sorted(seen), seen


@gesture("first")
def wheel_zoom(s: Session) -> None:
    place = s.person.card(s.canvas, "conv1")
    zoom = s.see(lambda: s.canvas.zoom)
    s.person.click(place, button=4, times=3)
    s.until(lambda: s.canvas.zoom > zoom * 1.3, "zoomed in")
    x, y = s.person.card(s.canvas, "conv1")
    assert abs(x - place[0]) < 20 and abs(y - place[1]) < 20, "the card left the pointer"
    nearer = s.see(lambda: s.canvas.zoom)
    s.person.click(place, button=5, times=2)
    s.until(lambda: s.canvas.zoom < nearer / 1.2, "zoomed out")


@gesture("first")
def middle_drag_pans(s: Session) -> None:
    start = s.person.card(s.canvas, "conv1")
    s.person.drag([start, (start[0] + 60, start[1] + 40)], button=2)
    x, y = s.person.card(s.canvas, "conv1")
    assert (x - start[0], y - start[1]) == (60, 40), (x - start[0], y - start[1])
    s.keys("f")
    s.settle()


@gesture("first")
def click_selects(s: Session) -> None:
    s.person.click(s.person.card(s.canvas, "pool1"))
    s.selected("pool1")
    assert s.see(lambda: s.window.inspector.title.text()) == "pool1"


@gesture("first")
def shift_click_adds_to_the_selection(s: Session) -> None:
    s.person.click(s.person.card(s.canvas, "relu2"), held="shift")
    s.selected("pool1", "relu2")
    s.person.click(s.person.card(s.canvas, "pool1"), held="shift")
    s.selected("relu2")


@gesture("first")
def rubber_band_selects(s: Session) -> None:
    def corners() -> tuple[Any, Any]:
        rects = [s.canvas.network.items_by_id[n].scene_rect() for n in ("conv1", "relu1")]
        box = rects[0].united(rects[1])
        # its left side is inside the cards, so that the column to the right is not touched
        return (
            s.canvas.to_pixel(box.topLeft()) + _point(-14, 2),
            s.canvas.to_pixel(box.bottomRight()) + _point(-20, -8),
        )

    start, end = s.see(corners)
    s.person.drag([s.person.on(s.view, start), s.person.on(s.view, end)])
    s.selected("conv1", "relu1")


@gesture("first")
def drag_moves_a_card(s: Session) -> None:
    s.to_canvas()
    before = s.see(lambda: s.document.layout["pool1"])
    zoom = s.see(lambda: s.canvas.zoom)
    start = s.person.card(s.canvas, "pool1")
    s.person.drag([start, (start[0] - 50, start[1] + 20)])
    s.until(lambda: s.document.layout["pool1"] != before, "pool1 elsewhere")
    x, y = s.see(lambda: s.document.layout["pool1"])
    assert abs((x - before[0]) * zoom + 50) < 2 and abs((y - before[1]) * zoom - 20) < 2
    s.keys("ctrl+z")
    s.until(lambda: s.document.layout["pool1"] == before, "pool1 where it was")


@gesture("first")
def alt_drag_and_ctrl_drag_copy(s: Session) -> None:
    for held in ("alt", "ctrl"):
        s.to_canvas()
        before = s.graph
        s.person.drag([s.person.card(s.canvas, "relu4"), s.person.void(s.canvas)], held=held)
        after = s.changed(before)
        new = s.name_of_new(before, after)
        assert after.node(new).layer == before.node("relu4").layer
        s.selected(new)
        s.undo_to(before)


@gesture("first")
def workspace_by_button(s: Session) -> None:
    s.workspace("build")
    assert s.see(lambda: s.window.docks["layers"].isVisible())
    s.to_canvas()
    s.keys("f")
    s.settle()


@gesture("first")
def drag_a_layer_onto_an_edge_and_undo(s: Session) -> None:
    before = s.graph
    s.person.drag([s.palette_item("Convolution"), s.person.edge(s.canvas, "relu1")])
    after = s.changed(before)
    new = s.name_of_new(before, after)
    assert after.node(new).inputs == (("conv1", 0),)
    assert after.node("relu1").inputs == ((new, 0),)
    s.person.focus(s.window)
    s.keys("ctrl+z")
    s.until(lambda: s.document.graph == before, "the layer gone")
    s.keys("ctrl+shift+z")
    s.until(lambda: s.document.graph == after, "the layer again")
    s.person.click(s.person.button(s.window, "edit.undo"))
    s.until(lambda: s.document.graph == before, "the layer gone by the button")
    s.person.click(s.person.button(s.window, "edit.redo"))
    s.until(lambda: s.document.graph == after, "the layer again by the button")
    s.undo_to(before)
    s.until(lambda: s.document.trace is not None, "a run")


@gesture("first")
def drag_a_layer_onto_the_canvas_and_delete_it(s: Session) -> None:
    before = s.graph
    s.person.drag([s.palette_item("ReLU"), s.person.void(s.canvas)])
    after = s.changed(before)
    new = s.name_of_new(before, after)
    s.selected(new)
    assert after.node(new).inputs == (None,)
    s.until(lambda: s.canvas.hasFocus(), "the keyboard at the canvas")
    s.keys("Delete")
    s.until(lambda: s.document.graph == before, "the layer deleted")


@gesture("first")
def drag_a_layer_onto_a_card_replaces_it(s: Session) -> None:
    from engine.layers.avg_pool2d import AvgPool2d

    before = s.graph
    s.person.drag([s.palette_item("Average pooling"), s.person.card(s.canvas, "pool2")])
    after = s.changed(before)
    assert isinstance(after.node("pool2").layer, AvgPool2d)
    assert after.node("pool2").inputs == before.node("pool2").inputs
    s.undo_to(before)


@gesture("first")
def drag_a_block_onto_an_edge_and_undo(s: Session) -> None:
    before = s.graph
    s.person.drag([s.palette_item("Residual block"), s.person.edge(s.canvas, "relu1")])
    after = s.changed(before)
    assert after.node("block1/conv1").inputs == (("conv1", 0),)
    assert after.node("block1/add").inputs[1] == ("conv1", 0)
    assert after.node("relu1").inputs == (("block1/relu2", 0),)
    assert after.infer().valid
    s.undo_to(before)


@gesture("first")
def drag_a_block_onto_a_card_replaces_it(s: Session) -> None:
    before = s.graph
    s.person.drag([s.palette_item("Bottleneck block"), s.person.card(s.canvas, "conv1")])
    after = s.changed(before)
    assert "conv1" not in after.by_id
    assert after.node("relu1").inputs == (("block1/relu3", 0),)
    width = before.node("conv1").layer.out_channels
    assert after.node("block1/conv3").layer.out_channels == width
    s.undo_to(before)


@gesture("first")
def drag_a_block_onto_the_canvas(s: Session) -> None:
    before = s.graph
    s.person.drag([s.palette_item("Inception block"), s.person.void(s.canvas)])
    after = s.changed(before)
    assert after.node("inception1/1x1").inputs == (None,)
    s.until(lambda: s.document.selection == set(after.by_id) - set(before.by_id), "it selected")
    s.undo_to(before)


@gesture("first")
def an_own_block_is_kept_dragged_and_typed(s: Session) -> None:
    from PySide6.QtWidgets import QApplication, QLineEdit

    before = s.graph
    s.to_canvas()
    s.person.click(s.person.card(s.canvas, "conv1"))
    s.person.click(s.person.card(s.canvas, "relu1"), held="shift")
    s.selected("conv1", "relu1")
    s.keys("ctrl+alt+g")
    tree = s.window.panel("layers").tree
    s.until(lambda: isinstance(QApplication.focusWidget(), QLineEdit), "its name to be typed")
    s.keys("ctrl+a")
    s.person.write("my stem")
    s.keys("Return")
    own = s.window.controller.own_blocks
    s.until(lambda: own.names == ("my stem",), f"the block by its name, but {own.names}")
    s.until(lambda: QApplication.focusWidget() is tree, "the keyboard at the list")
    s.person.drag([s.palette_item("my stem"), s.person.edge(s.canvas, "pool1")])
    after = s.changed(before)
    assert after.node("my_stem_1/conv1").inputs == (("relu1", 0),)
    assert after.node("pool1").inputs == (("my_stem_1/relu1", 0),)
    s.undo_to(before)
    s.to_canvas()
    s.person.click(s.person.card(s.canvas, "relu1"))
    s.selected("relu1")
    s.keys("ctrl+k")
    box = s.until(lambda: QApplication.activePopupWidget(), "the command box")
    s.until(lambda: box.line.hasFocus(), "the keyboard at the box")
    s.person.write("my")
    s.keys("Tab")
    s.until(lambda: box.line.text() == "my stem ", "the name completed")
    s.person.write("x2")
    s.keys("Return")
    after = s.changed(before)
    kept = before.node("conv1").layer.out_channels
    assert after.node("my_stem_1/conv1").layer.out_channels == 2 * kept
    s.keys("Escape")
    s.until(lambda: QApplication.activePopupWidget() is None, "the box closed")
    s.undo_to(before)


@gesture("first")
def cards_travel_when_the_network_is_arranged(s: Session) -> None:
    s.to_canvas()
    places = s.see(lambda: dict(s.document.layout))
    start = s.person.card(s.canvas, "pool2")
    s.person.drag([start, (start[0] - 90, start[1] + 20)])
    s.until(lambda: s.document.layout != places, "pool2 elsewhere")
    s.see(lambda: s.window.settings.set("motion", "always"))
    s.keys("ctrl+l")
    s.until(lambda: s.canvas.travel.under_way, "a card under way")
    s.until(lambda: not s.canvas.travel.under_way, "all cards at their places", 2.0)
    item = s.canvas.network.items_by_id["pool2"]
    there = s.see(lambda: (item.x(), item.y()))
    assert there == s.see(lambda: s.document.layout["pool2"])
    s.see(lambda: s.window.settings.set("motion", "never"))
    s.keys("ctrl+z", "ctrl+z")
    s.until(lambda: s.document.layout == places, "all as it was")


@gesture("first")
def a_line_of_the_history_is_clicked(s: Session) -> None:
    before = s.graph
    s.to_canvas()
    s.person.click(s.person.card(s.canvas, "relu2"))
    s.selected("relu2")
    s.keys("Delete")
    after = s.changed(before)
    s.see(lambda: s.window.docks.bring("history"))
    panel, stack = s.window.panel("history"), s.window.controller.undo_stack

    def click(row: int) -> None:
        place = s.see(lambda: panel.visualRect(panel.model().index(row, 0)).center())
        s.person.click(s.person.on(panel.viewport(), place))

    s.settle()
    here = s.see(lambda: panel.currentIndex().row())
    click(here - 1)
    s.until(lambda: s.document.graph == before, "the layer again")
    click(here)
    s.until(lambda: s.document.graph == after, "the layer gone")
    s.undo_to(before)
    assert s.see(stack.canRedo)
    s.see(lambda: s.window.docks.bring("layers"))
    s.to_canvas()
    s.keys("f")
    s.settle()


@gesture("first")
def drag_a_port_to_the_void_disconnects(s: Session) -> None:
    before = s.graph
    s.person.drag([s.person.input(s.canvas, "relu4"), s.person.void(s.canvas)])
    after = s.changed(before)
    assert after.node("relu4").inputs == (None,)
    s.until(lambda: "relu4" in s.document.inference.errors, "the missing input told")


@gesture("first")
def drag_between_ports_connects(s: Session) -> None:
    before = s.graph
    s.person.drag([s.person.output(s.canvas, "fc2"), s.person.input(s.canvas, "relu4")])
    after = s.changed(before)
    assert after.node("relu4").inputs == (("fc2", 0),)
    s.until(lambda: s.document.inference.valid, "no errors")


@gesture("first")
def drag_an_end_to_another_card_reconnects(s: Session) -> None:
    before = s.graph
    # relu4's output feeds fc3; the end at fc3 is carried to the loss, whose input becomes relu4
    s.person.drag([s.person.output(s.canvas, "relu4"), s.person.input(s.canvas, "loss")])
    after = s.changed(before)
    assert after.losses[0].input == ("relu4", 0)
    s.undo_to(before)
    # the edge from conv2 to relu2 is picked up at relu2 and carried to flatten
    s.person.drag([s.person.input(s.canvas, "relu4"), s.person.card(s.canvas, "fc3")])
    after = s.changed(before)
    assert after.node("fc3").inputs == (("fc2", 0),)
    assert after.node("relu4").inputs == (None,)
    s.undo_to(before)


@gesture("first")
def delete_heals_the_chain(s: Session) -> None:
    before = s.graph
    s.to_canvas()
    s.person.click(s.person.card(s.canvas, "relu1"))
    s.selected("relu1")
    s.keys("Delete")
    after = s.changed(before)
    assert after.node("pool1").inputs == (("conv1", 0),)
    s.undo_to(before)


@gesture("first")
def arrow_keys_travel(s: Session) -> None:
    s.to_canvas()
    s.person.click(s.person.card(s.canvas, "conv1"))
    s.selected("conv1")
    s.keys("Down")
    s.selected("relu1")
    s.keys("Up")
    s.selected("conv1")


@gesture("first")
def ctrl_arrow_nudges(s: Session) -> None:
    x, y = s.see(lambda: s.document.layout["conv1"])
    s.keys("ctrl+Right", "ctrl+Right", "ctrl+Down")
    s.until(lambda: s.document.layout["conv1"] == (x + 16, y + 8), "conv1 nudged")
    s.keys("ctrl+z")
    s.until(lambda: s.document.layout["conv1"] == (x, y), "all of it taken back at once")


@gesture("first")
def a_property_is_changed_in_a_spin_box(s: Session) -> None:
    before = s.graph
    s.to_canvas()
    s.person.click(s.person.card(s.canvas, "conv1"))
    s.selected("conv1")
    box = s.until(
        lambda: s.window.properties.fields.get("out_channels"), "a field for out_channels"
    ).boxes()[0]
    s.until(lambda: box.isVisible(), "the field shown")
    s.settle()
    s.person.click(s.person.on(box, s.see(lambda: _point(20, box.height() // 2))))
    s.until(lambda: box.hasFocus(), "the keyboard at the field")
    s.keys("ctrl+a")
    s.person.write("9")
    s.keys("Return")
    s.until(lambda: s.document.graph.node("conv1").layer.out_channels == 9, "nine channels")
    s.until(lambda: s.document.inference.specs["conv1", 0].shape[1] == 9, "the new shape")
    s.keys("Up")
    s.until(lambda: s.document.graph.node("conv1").layer.out_channels == 10, "ten channels")
    s.to_canvas()
    s.undo_to(before)


@gesture("first")
def double_click_opens_the_inspector(s: Session) -> None:
    s.person.click(s.person.card(s.canvas, "conv2"), times=2)
    s.until(lambda: s.window.inspector.isVisible(), "the inspector")
    s.selected("conv2")
    s.workspace("step")


@gesture("first")
def a_cell_is_clicked_and_moved_by_arrows(s: Session) -> None:
    from engine.cell import Cell

    s.keys("ctrl+End")
    s.at(s.see(lambda: len(s.document.operations)))
    s.to_canvas()
    s.keys("f")
    s.person.click(s.person.card(s.canvas, "relu1"))
    s.selected("relu1")
    pair = s.window.inspector.output
    grid = pair.forward_grid
    s.until(lambda: grid.isVisible() and grid.maps.shape == (6, 28, 28), "six maps")
    cell = Cell("relu1", 0, (1, 12, 14))
    s.person.click(s.person.on(grid, s.see(lambda: grid.rect_of(cell).center())))
    s.until(lambda: s.document.focus == cell, f"{cell} in focus")
    s.keys("Right", "Down")
    moved = Cell("relu1", 0, (1, 13, 15))
    s.until(lambda: s.document.focus == moved, f"{moved} in focus")
    assert s.see(lambda: pair.gradient_grid.focus) == moved


@gesture("first")
def the_argmax_of_max_pooling_is_marked_both_ways(s: Session) -> None:
    s.person.click(s.person.card(s.canvas, "pool1"))
    s.selected("pool1")
    source = s.window.inspector.source
    s.until(lambda: source.isVisible(), "the input of the pooling")
    gradient = s.see(lambda: source.gradient_grid.maps.copy())
    assert (gradient != 0).sum() <= gradient.size / 4 and (gradient != 0).any()


@gesture("first")
def next_and_previous_picture_by_button(s: Session) -> None:
    before = s.see(lambda: s.document.sample)
    bar = s.window.sample_bar
    s.person.click(s.person.on(bar.next))
    s.until(lambda: s.document.sample is not before, "another picture")
    s.person.click(s.person.on(bar.previous))
    s.until(lambda: s.document.sample is before, "the picture before")


@gesture("first")
def a_digit_drawn_on_the_pad_is_predicted(s: Session) -> None:
    bar = s.window.sample_bar
    s.person.click(s.person.on(bar.draw))
    pad = s.until(lambda: bar.popup.isVisible() and bar.popup.pad, "the pad")

    def place(x: float, y: float) -> tuple[int, int]:
        def look() -> Any:
            paper = pad.paper()
            return _point(paper.x() + x * paper.width(), paper.y() + y * paper.height())

        return tuple(s.person.on(pad, s.see(look)))  # type: ignore[return-value]

    stroke = [*DRAWN_ZERO, (0.7, 0.35), DRAWN_ZERO[0]]
    s.person.drag([place(*p) for p in stroke])
    s.until(lambda: s.document.sample.drawing is not None, "the drawing as the picture")
    s.until(lambda: s.document.trace is not None, "a run")
    end = s.see(lambda: len(s.document.operations))
    logits = s.see(lambda: s.document.trace.look("value", ("fc3", 0), end))
    assert logits is None or logits.argmax() == 0, logits
    s.person.click(s.person.on(bar.popup.clear))
    s.until(lambda: not pad.drawing.strokes, "an empty pad")
    s.person.drag([place(0.5, 0.15), place(0.5, 0.85)])
    s.until(lambda: len(pad.drawing.strokes) == 1, "one stroke")
    s.until(
        lambda: s.document.trace.look("value", ("fc3", 0), s.document.position).argmax() == 1,
        "a one predicted",
    )
    assert "1" in s.see(lambda: bar.answer.text())
    s.person.click(s.person.on(bar.popup.done))
    s.until(lambda: not bar.popup.isVisible(), "the pad closed")
    s.person.focus(s.window)


@gesture("first")
def a_command_is_typed_into_the_command_box(s: Session) -> None:
    from PySide6.QtWidgets import QApplication

    s.to_canvas()
    s.keys("ctrl+k")
    box = s.until(lambda: QApplication.activePopupWidget(), "the command box")
    s.until(lambda: box.line.hasFocus(), "the keyboard at the box")
    s.person.write("to the start")
    s.until(lambda: box.list.count() == 1, "one command left")
    s.keys("Return")
    s.at(0)
    s.until(lambda: QApplication.activePopupWidget() is None, "the box closed")
    s.person.focus(s.window)


@gesture("first")
def the_sheet_of_shortcuts_opens_and_closes(s: Session) -> None:
    from PySide6.QtWidgets import QApplication

    from explorer.shortcut_sheet import ShortcutSheet

    def sheet() -> Any:
        shown = [w for w in QApplication.topLevelWidgets() if isinstance(w, ShortcutSheet)]
        return shown[0] if shown and shown[0].isVisible() else None

    s.keys("F1")
    s.person.focus(s.until(sheet, "the sheet"))
    s.keys("Escape")
    s.until(lambda: sheet() is None, "the sheet closed")
    s.person.focus(s.window)


@gesture("first")
def each_workspace_has_its_panels_in_front(s: Session) -> None:
    from explorer.workspaces import WORKSPACES

    for name in (*WORKSPACES, "step"):
        s.workspace(name)
        for panel in WORKSPACES[name].front:
            widget = s.see(lambda panel=panel: s.window.panel(panel))
            s.until(lambda w=widget: not w.visibleRegion().isEmpty(), f"{panel} in {name}")


@gesture("first")
def presentation_on_and_off(s: Session) -> None:
    s.to_canvas()
    s.keys("ctrl+shift+p")
    s.until(lambda: not s.window.docks["inspector"].isVisible(), "the canvas alone")
    s.keys("ctrl+shift+p")
    s.until(lambda: s.window.docks["inspector"].isVisible(), "the panels again")
    s.settle()


@gesture("first")
def trains_pauses_resumes_and_stops_by_mouse(s: Session) -> None:
    from PySide6.QtWidgets import QScrollArea

    s.workspace("train")
    panel, training = s.window.panel("training"), s.window.training
    old = s.see(lambda: s.document.parameters["conv1", "weight"].copy())
    epochs = s.see(lambda: panel.fields["epochs"].boxes()[0])
    area = s.see(lambda: panel.findChild(QScrollArea))
    s.person.click(s.person.turn_to(epochs, area))
    s.until(lambda: epochs.hasFocus(), "the keyboard at the epochs")
    s.keys("ctrl+a")
    s.person.write("5000")
    s.keys("Tab")
    s.until(lambda: panel.settings().epochs == 5000, "5000 epochs")
    s.person.click(s.person.on(panel.start))
    s.until(lambda: training.worker.state == "running", "training", seconds=20)
    pid = s.see(lambda: training.worker.process_id)
    assert pid is not None and pid != os.getpid()
    s.until(lambda: len(training.reports) >= 3, "three reports", seconds=20)
    s.person.click(s.person.on(panel.pause))
    s.until(lambda: training.worker.state == "paused", "a pause")
    s.settle()
    step = s.see(lambda: training.reports[-1].step)
    s.person.click(s.person.on(panel.pause))
    s.until(lambda: training.worker.state == "running", "training again")
    s.until(lambda: training.reports[-1].step > step, "further steps", seconds=20)
    s.until(lambda: training.reports[-1].seconds > TRAINING_SECONDS, "ten seconds of training", 60)
    assert s.see(lambda: training.worker.state) == "running", "training ended by itself"
    s.person.click(s.person.on(panel.stop))
    s.until(lambda: not training.worker.busy, "training ended", seconds=20)
    new = s.see(lambda: s.document.parameters["conv1", "weight"])
    assert abs(new - old).max() > 0
    assert not Path(f"/proc/{pid}").exists(), "the process of the training is still there"


@gesture("first")
def weights_from_before_the_training_come_back_from_the_history(s: Session) -> None:
    kept = s.window.controller.weight_history
    if not s.see(lambda: kept.checkpoints):  # the gesture before was left out
        s.see(s.window.controller.before_training)
    (before,) = s.see(lambda: kept.checkpoints)
    s.workspace("build")
    s.see(lambda: s.window.docks.bring("history"))
    panel = s.window.panel("history")
    s.settle()

    def line() -> Any:
        model = panel.model()
        texts = [model.index(row, 0).data() for row in range(model.rowCount())]
        index = model.index(texts.index(before.text), 0)
        panel.scrollTo(index)
        return panel.visualRect(index).center()

    s.person.click(s.person.on(panel.viewport(), s.see(line)))

    def back() -> bool:
        now = s.document.parameters
        return all((now[key] == array).all() for key, array in before.weights.items())

    s.until(back, "the weights of before")
    s.workspace("step")


@gesture("first")
def exports_onnx_through_the_dialog(s: Session) -> None:
    path = s.folder / "exported.onnx"
    s.to_canvas()
    s.keys("ctrl+e")
    from explorer.export_dialog import ExportDialog

    def look() -> ExportDialog | None:
        found = s.window.findChild(ExportDialog)
        return found if found is not None and found.isActiveWindow() else None

    dialog = s.until(look, "the dialog")
    s.person.click(s.person.on(dialog.file))
    s.keys("ctrl+a")
    s.person.write(str(path))
    s.keys("Return")
    s.until(path.exists, "the file", seconds=20)
    s.until(lambda: "onnxruntime computes the same" in dialog.message.text(), "the report", 20)
    s.keys("Escape")
    s.until(lambda: not dialog.isVisible(), "the dialog closed")
    s.person.focus(s.window)
    import onnx

    onnx.checker.check_model(str(path))


@gesture("first")
def saves_through_the_dialog(s: Session) -> None:
    path = s.folder / "saved.gflow"
    s.to_canvas()
    s.person.click(s.person.card(s.canvas, "relu3"))
    s.selected("relu3")
    s.keys("Delete")
    s.until(lambda: "relu3" not in s.document.graph.by_id, "relu3 deleted")
    s.until(lambda: s.window.isWindowModified(), "the title with a star")
    s.keys("ctrl+s")
    s.answer_file_dialog(path)
    s.until(path.exists, "the file")
    s.until(lambda: not s.window.isWindowModified(), "the title without a star")
    assert s.see(lambda: s.window.windowTitle()).startswith("saved")


@gesture("first")
def closes_by_key(s: Session) -> None:
    s.keys("ctrl+q")


# ---- the second act ------------------------------------------------------------------------


@gesture("again")
def reopens_the_saved_file(s: Session) -> None:
    s.until(lambda: s.document.trace is not None, "a run")
    assert s.see(lambda: s.document.path) == s.folder / "saved.gflow"
    assert "relu3" not in s.graph.by_id and "fc1" in s.graph.by_id
    assert not s.see(lambda: s.document.modified)
    assert not s.see(lambda: s.window.hint.isVisible())
    s.person.focus(s.window)


@gesture("again")
def opens_through_the_dialog(s: Session) -> None:
    s.keys("ctrl+n")
    s.until(lambda: not s.document.graph.nodes, "an empty network")
    s.keys("ctrl+o")
    s.answer_file_dialog(s.folder / "saved.gflow")
    s.until(lambda: "fc1" in s.document.graph.by_id, "the saved network")


@gesture("again")
def a_damaged_file_is_told_and_changes_nothing(s: Session) -> None:
    path = s.folder / "damaged.gflow"
    path.write_bytes((s.folder / "saved.gflow").read_bytes()[:2000])
    before = s.graph
    s.keys("ctrl+o")
    s.answer_file_dialog(path)
    s.until(lambda: "damaged.gflow" in s.window.notices.text, "the notice of it")
    assert s.graph == before


@gesture("again")
def a_network_of_the_gallery_is_searched_and_opened(s: Session) -> None:
    from explorer.gallery_dialog import GalleryDialog

    before = s.graph
    s.keys("ctrl+shift+o")
    dialog = s.until(lambda: s.window.findChild(GalleryDialog), "the gallery")
    s.person.focus(dialog)
    s.until(lambda: dialog.search.hasFocus(), "the keyboard at the search")
    s.person.write("squeezenet digits")
    s.until(lambda: dialog.chosen == "squeezenet-digits", "it found")
    s.until(lambda: "parameters" in dialog.about.text(), "its picture drawn")
    s.keys("Down", "Return")
    after = s.changed(before)
    assert any(name.startswith("fire2/") for name in after.by_id)
    s.person.focus(s.window)


@gesture("again")
def quits_by_the_menu(s: Session) -> None:
    from PySide6.QtWidgets import QMenu

    bar = s.window.menuBar()
    menu = s.see(lambda: s.window.findChild(QMenu, "menu.file"))
    place = s.see(lambda: bar.actionGeometry(menu.menuAction()).center())
    s.person.click(s.person.on(bar, place))
    s.until(lambda: menu.isVisible(), "the menu")
    quit_action = s.window.actions_by_id["file.quit"]
    s.person.click(s.person.on(menu, s.see(lambda: menu.actionGeometry(quit_action).center())))


# ---- running it ----------------------------------------------------------------------------


def _point(x: float, y: float) -> Any:
    from PySide6.QtCore import QPoint

    return QPoint(round(x), round(y))


def play_act(act: str, folder: Path) -> int:
    """Start the program, go through an act, and wait for the program's own end."""
    os.environ["GRADIENT_FLOW_HOME"] = str(folder / "home")
    os.environ["QT_QPA_PLATFORM"] = "xcb"
    from person import Eyes, Person

    import main
    from explorer.app import application

    application()
    eyes = Eyes()
    failed: list[str] = []
    all_of_it = GESTURES[act]
    words = tuple(w for w in sys.argv[3:] if not w.startswith("-"))
    chosen = [
        g
        for g in all_of_it
        if not words or g in (all_of_it[0], all_of_it[-1]) or any(w in g.__name__ for w in words)
    ]

    def live() -> None:
        person = Person(eyes)
        session = None
        try:
            for one in chosen:
                name = one.__name__.replace("_", " ")
                start = time.monotonic()
                try:
                    session = session or Session(person, folder)
                    one(session)
                except Exception as error:
                    failed.append(name)
                    why = str(error) or f"{type(error).__name__} {_where(error)}"
                    print(f"failed {name}: {why}", flush=True)
                else:
                    print(f"ok {name}", flush=True)
                if "--times" in sys.argv:
                    print(f"   {time.monotonic() - start:.2f} s", flush=True)
        finally:
            # also after a failure the program ends
            if not ended.wait(5.0):
                failed.append("end")
                print("failed end: the program is still there after closing", flush=True)
                if session is not None:
                    session.see(session.window.close)

    ended = threading.Event()
    hand = threading.Thread(target=live, name="person")
    hand.start()
    code = main.main([] if act == "first" else [str(folder / "saved.gflow")])
    ended.set()
    hand.join(10.0)
    return 1 if failed or code else 0


def _where(error: Exception) -> str:
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return f"in line {frame.tb_lineno}" if frame is not None else ""


def play_all() -> int:
    """Both acts, each in a process of its own, as a user's two starts are."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__]
        codes = [
            subprocess.run([*command, act, folder, *sys.argv[1:]], timeout=120).returncode
            for act in GESTURES
        ]
    return 1 if any(codes) else 0


if __name__ == "__main__":
    acts = [word for word in sys.argv[1:] if word in GESTURES]
    sys.exit(play_act(acts[0], Path(sys.argv[2])) if acts else play_all())
