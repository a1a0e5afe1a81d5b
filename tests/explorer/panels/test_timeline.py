"""The timeline asks for positions and draws what is behind and what is ahead."""

import time

from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QWheelEvent
from PySide6.QtWidgets import QApplication

from engine.trace import Operand, Operation
from explorer import theme
from explorer.panels import Timeline


def shown(qtbot, ran, position=0, computed=None):
    timeline = Timeline()
    qtbot.addWidget(timeline)
    timeline.resize(1000, 110)
    timeline.set_operations(ran.operations)
    timeline.set_position(position, len(ran.operations) if computed is None else computed)
    timeline.show()
    asked = []
    timeline.position_requested.connect(asked.append)
    return timeline, asked


def middle(timeline, index):
    return timeline.rect_of(index).center().toPoint()


def wheel(timeline, at, delta, modifiers=Qt.KeyboardModifier.NoModifier):
    event = QWheelEvent(
        QPointF(at),
        timeline.mapToGlobal(QPointF(at)),
        QPoint(),
        QPoint(0, delta),
        Qt.MouseButton.NoButton,
        modifiers,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(timeline, event)


def test_click_asks_for_the_position_behind_the_operation(qtbot, ran):
    timeline, asked = shown(qtbot, ran)
    qtbot.mouseClick(timeline, Qt.MouseButton.LeftButton, pos=middle(timeline, 4))
    assert asked == [5]


def test_drag_scrubs_and_asks_for_each_place_once(qtbot, ran):
    timeline, asked = shown(qtbot, ran)
    qtbot.mousePress(timeline, Qt.MouseButton.LeftButton, pos=middle(timeline, 1))
    for index in (1, 2, 2, 3):
        qtbot.mouseMove(timeline, middle(timeline, index))
    qtbot.mouseRelease(timeline, Qt.MouseButton.LeftButton, pos=middle(timeline, 3))
    assert asked == [2, 3, 4]
    qtbot.mouseClick(timeline, Qt.MouseButton.LeftButton, pos=QPoint(1, 50))
    assert asked == [2, 3, 4]  # left of the run is position 0, where it is already


def test_keys_step(qtbot, ran):
    timeline, asked = shown(qtbot, ran, position=3)
    count = len(ran.operations)
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Left, Qt.Key.Key_Home, Qt.Key.Key_End):
        qtbot.keyClick(timeline, key)
    qtbot.keyClick(timeline, Qt.Key.Key_Space)
    assert asked == [4, 2, 0, count, 4]
    assert timeline.accessibleDescription().startswith(f"Step 3 of {count}")


def test_wheel_zooms_around_the_pointer_and_shift_wheel_pans(qtbot, ran):
    timeline, _ = shown(qtbot, ran)
    at = middle(timeline, 10)
    before, index = timeline.span, timeline.operation_at(at)
    wheel(timeline, at, 120)
    assert timeline.span.length < before.length
    assert timeline.operation_at(at) == index
    zoomed = timeline.span
    wheel(timeline, at, -120, Qt.KeyboardModifier.ShiftModifier)
    assert timeline.span.first > zoomed.first
    assert timeline.span.length == zoomed.length
    qtbot.keyClick(timeline, Qt.Key.Key_0)
    assert timeline.span == before


def test_what_is_behind_is_painted_full_and_what_is_unknown_faint(qtbot, ran):
    theme.set_mode("light")
    timeline, _ = shown(qtbot, ran, position=2, computed=3)
    image = timeline.grab().toImage()

    def colour(index):
        return image.pixelColor(middle(timeline, index)).lightness()

    full = QColor(theme.current().phase_forward)
    assert image.pixelColor(middle(timeline, 0)) == full
    assert full.lightness() < colour(2) < colour(3)
    # A gradient lies below the middle line, a prediction above it.
    backward = next(i for i, o in enumerate(ran.operations) if o.phase == "backward")
    assert timeline.rect_of(0).bottom() <= timeline.rect_of(backward).top()
    theme.set_mode("system")


def test_tooltip_names_phase_node_and_tensors(qtbot, ran):
    timeline, _ = shown(qtbot, ran)
    index = next(i for i, o in enumerate(ran.operations) if o.phase == "accumulate")
    text = timeline.text_of(index)
    assert "Add up (accumulate), pool1" in text
    assert text.endswith("→ ∂pool1")


def test_thousands_of_operations_paint_within_a_frame(qtbot):
    operations = tuple(
        Operation("forward" if i < 2000 else "backward", f"n{i}", (), (Operand("value", ("a", 0)),))
        for i in range(5000)
    )
    timeline = Timeline()
    qtbot.addWidget(timeline)
    timeline.resize(1200, 110)
    timeline.set_operations(operations)
    timeline.set_position(2500, 4000)
    timeline.show()
    times = []
    for _ in range(5):
        start = time.thread_time()
        timeline.grab()
        times.append(time.thread_time() - start)
    assert min(times) < 0.05


def test_equal_values_ask_for_no_repaint(qtbot, ran, monkeypatch):
    timeline, _ = shown(qtbot, ran, position=2)
    painted = []
    monkeypatch.setattr(timeline, "update", lambda: painted.append(1))
    timeline.set_operations(tuple(ran.operations))
    timeline.set_position(2, len(ran.operations))
    assert painted == []
    timeline.set_position(3, len(ran.operations))
    assert painted


def test_a_click_above_a_tick_asks_for_a_breakpoint_and_its_dot_is_painted(qtbot, ran):
    theme.set_mode("light")
    timeline, asked = shown(qtbot, ran)
    wanted = []
    timeline.breakpoint_requested.connect(wanted.append)
    qtbot.mouseClick(timeline, Qt.MouseButton.LeftButton, pos=timeline.dot_of(4).toPoint())
    assert wanted == [4] and asked == []
    timeline.set_breakpoints(frozenset({4}), frozenset({6}))
    image = timeline.grab().toImage()
    red = QColor(theme.current().error)
    assert image.pixelColor(timeline.dot_of(4).toPoint()) == red
    assert image.pixelColor(timeline.dot_of(5).toPoint()) != red
    off = timeline.dot_of(6).toPoint()
    assert image.pixelColor(off) != red  # a ring
    around = [image.pixelColor(off + QPoint(dx, 0)) for dx in range(-6, 7)]
    assert any(c.red() > c.green() + 60 for c in around)
    theme.set_mode("system")
