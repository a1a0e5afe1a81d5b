"""The whole window, driven as a person does: mouse, wheel, keys, drops."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt
from PySide6.QtGui import QAction, QColor, QDragEnterEvent, QDragMoveEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog, QMenu, QTabBar, QWidget
from pytestqt.qtbot import QtBot

from engine import project_file
from engine.architectures import ARCHITECTURES
from engine.cell import Cell
from engine.export import ExportOptions
from engine.layers.base import Layer, layer_to_dict
from engine.layers.conv2d import Conv2d
from engine.layers.flatten import Flatten
from engine.layers.linear import Linear
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.relu import ReLU
from explorer import theme
from explorer.canvas import geometry
from explorer.settings import Settings
from explorer.tensors.scales import format_number
from explorer.window import Window

MIME = "application/x-gradient-flow-layer"


@pytest.fixture
def window(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> Iterator[Window]:
    theme.apply(qapp)
    window = Window(Settings(tmp_path / "settings.json"))
    qtbot.addWidget(window)
    window.resize(1600, 900)
    window.controller.start(None)
    window.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    settle()
    window.canvas.fit()
    yield window
    window.close()


def settle() -> None:
    for _ in range(4):
        QApplication.processEvents()


def drop(target: QWidget, layer: Layer, pixel: QPoint) -> None:
    """Drag a layer from the palette to a pixel and let it go there."""
    data = QMimeData()
    data.setData(MIME, json.dumps(layer_to_dict(layer)).encode())
    buttons, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    action = Qt.DropAction.CopyAction
    QApplication.sendEvent(target, QDragEnterEvent(pixel, action, data, buttons, keys))
    QApplication.sendEvent(target, QDragMoveEvent(pixel, action, data, buttons, keys))
    QApplication.sendEvent(target, QDropEvent(QPointF(pixel), action, data, buttons, keys))
    settle()


def between(window: Window, upper: str, lower: str) -> QPoint:
    """A pixel on the edge between two nodes that stand one under the other."""
    spots = {n: window.canvas.network.items_by_id[n].scene_rect() for n in (upper, lower)}
    middle = QPointF(spots[upper].center().x(), (spots[upper].bottom() + spots[lower].top()) / 2)
    return window.canvas.to_pixel(middle)


def press(widget: QWidget, key: Qt.Key, keys: Qt.KeyboardModifier | None = None) -> None:
    QTest.keyClick(widget, key, keys or Qt.KeyboardModifier.NoModifier)
    settle()


class TestFirstMinute:
    def test_opens_on_a_trained_network_that_has_read_a_digit(self, window: Window) -> None:
        document = window.document
        assert document.graph.name.startswith("LeNet-5")
        assert document.step is not None and document.step.phase == "forward"
        maps = document.trace.look("value", ("conv1", 0), document.position)
        assert maps.shape == (1, 6, 28, 28) and np.ptp(maps) > 0.1
        logits = document.trace.look("value", ("fc3", 0), document.position)
        assert logits.argmax() == document.sample.label == 7

    def test_feature_maps_are_on_the_canvas(self, window: Window) -> None:
        picture = window.canvas.viewport().grab().toImage()
        rect = window.canvas.network.items_by_id["conv1"].scene_rect()
        top, bottom = (
            window.canvas.to_pixel(rect.topLeft()),
            window.canvas.to_pixel(rect.bottomRight()),
        )
        colours = {
            picture.pixel(x, y)
            for x in range(top.x() + 8, bottom.x() - 8, 2)
            for y in range(top.y() + 8, bottom.y() - 8, 2)
        }
        assert len(colours) > 60

    def test_the_hint_is_closed_for_good(self, window: Window, tmp_path: Path) -> None:
        assert window.hint.isVisible()
        button = window.hint.findChild(QWidget, "hint.close")
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        assert not window.hint.isVisible()
        assert Settings(tmp_path / "settings.json")["hint_seen"]


class TestStepping:
    def test_next_back_and_ends_by_keys(self, window: Window) -> None:
        document = window.document
        start = document.position
        window.canvas.setFocus()
        press(window.canvas, Qt.Key.Key_F10)
        assert document.position == start + 1 and document.step.phase == "loss"
        press(window.canvas, Qt.Key.Key_Space)
        assert document.position == start + 2 and document.step.phase == "backward"
        press(window.canvas, Qt.Key.Key_N)
        assert document.position == start + 3
        press(window.canvas, Qt.Key.Key_F10, Qt.KeyboardModifier.ShiftModifier)
        assert document.position == start + 2
        press(window.canvas, Qt.Key.Key_End, Qt.KeyboardModifier.ControlModifier)
        assert document.position == len(document.operations)
        assert document.step.phase == "update"
        press(window.canvas, Qt.Key.Key_Home, Qt.KeyboardModifier.ControlModifier)
        assert document.position == 0 and document.step is None

    def test_stepping_back_shows_the_same_picture_again(self, window: Window) -> None:
        window.controller.stepping.go_to(5)
        settle()
        before = window.canvas.viewport().grab().toImage()
        window.controller.stepping.next()
        settle()
        assert window.canvas.viewport().grab().toImage() != before
        window.controller.stepping.back()
        settle()
        assert window.canvas.viewport().grab().toImage() == before

    def test_a_click_on_the_timeline_moves_there(self, window: Window) -> None:
        rect = window.timeline.rect_of(3)
        QTest.mouseClick(window.timeline, Qt.MouseButton.LeftButton, pos=rect.center().toPoint())
        settle()
        assert window.document.position == 4
        assert "relu2" not in window.narration.sentence.text
        assert window.document.operations[3].node in window.narration.sentence.text

    def test_playing_goes_on_by_itself_and_stops_at_the_end(
        self, window: Window, qtbot: QtBot
    ) -> None:
        window.controller.stepping.set_play_speed(20.0)
        window.controller.stepping.go_to(len(window.document.operations) - 2)
        window.canvas.setFocus()
        press(window.canvas, Qt.Key.Key_F5)
        qtbot.waitUntil(
            lambda: window.document.position == len(window.document.operations), timeout=3000
        )
        qtbot.waitUntil(lambda: not window.actions_by_id["step.play"].isChecked(), timeout=3000)

    def test_finish_phase(self, window: Window) -> None:
        window.controller.stepping.go_to(0)
        press(window.canvas, Qt.Key.Key_F11, Qt.KeyboardModifier.ShiftModifier)
        assert window.document.position == window.document.run.forward_length


class TestEditing:
    def test_a_layer_dropped_on_an_edge_is_inserted_and_undone(self, window: Window) -> None:
        document = window.document
        before = document.graph
        old = document.parameters["conv2", "weight"]
        layer = Conv2d(out_channels=6, kernel_size=3, padding=1)
        drop(window.canvas.viewport(), layer, between(window, "conv1", "relu1"))
        (new,) = set(document.graph.by_id) - set(before.by_id)
        assert document.graph.node(new).inputs == (("conv1", 0),)
        assert document.graph.node("relu1").inputs == ((new, 0),)
        assert document.inference.valid
        assert document.trace is not None  # it has run again
        press(window.canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
        assert document.graph == before
        assert document.parameters["conv2", "weight"] is old
        press(window.canvas, Qt.Key.Key_Z, _SHIFT_CONTROL)
        assert new in document.graph.by_id

    def test_a_layer_dropped_on_the_canvas_is_added_and_deleted(self, window: Window) -> None:
        document = window.document
        count = len(document.graph.nodes)
        drop(window.canvas.viewport(), ReLU(), QPoint(40, window.canvas.height() - 120))
        assert len(document.graph.nodes) == count + 1
        (new,) = document.selection
        assert new in document.inference.errors
        window.canvas.setFocus()
        press(window.canvas, Qt.Key.Key_Delete)
        assert len(document.graph.nodes) == count
        assert document.inference.valid

    def test_deleting_in_the_middle_heals_the_chain(self, window: Window) -> None:
        window.controller.select({"relu1"})
        window.canvas.setFocus()
        press(window.canvas, Qt.Key.Key_Delete)
        assert window.document.graph.node("pool1").inputs == (("conv1", 0),)
        assert window.document.inference.valid and window.document.trace is not None

    def test_an_error_says_what_to_do_and_the_network_stops(self, window: Window) -> None:
        window.controller.layers.delete(["flatten"])
        settle()
        assert "fc1" in window.document.inference.errors
        assert window.document.trace is None
        fix = window.document.inference.errors["fc1"].fixes[0]
        assert fix.text == "Add Flatten"
        window.controller.layers.apply_fix("fc1", fix)
        assert window.document.inference.valid and window.document.trace is not None


_SHIFT_CONTROL = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier


class TestFiles:
    def test_save_close_reopen(
        self, window: Window, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "mine.gflow"
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
        window.controller.select({"relu1"})
        window.canvas.setFocus()
        press(window.canvas, Qt.Key.Key_Delete)
        assert window.isWindowModified()
        press(window.canvas, Qt.Key.Key_S, Qt.KeyboardModifier.ControlModifier)
        qtbot.waitUntil(lambda: not window.isWindowModified())
        assert path.exists()
        assert window.windowTitle().startswith("mine")
        graph = window.document.graph
        window.close()
        again = Window(Settings(tmp_path / "settings.json"))
        qtbot.addWidget(again)
        again.controller.start(path)
        assert again.document.graph == graph
        assert again.settings["recent"][0] == str(path)
        again.close()

    def test_unsaved_work_is_there_at_the_next_start(
        self, window: Window, qtbot: QtBot, tmp_path: Path
    ) -> None:
        window.controller.layers.delete(["relu1"])
        graph = window.document.graph
        window.close()
        again = Window(Settings(tmp_path / "settings.json"))
        qtbot.addWidget(again)
        again.controller.start(None)
        assert again.document.graph == graph and again.document.modified
        again.close()

    def test_a_truncated_project_changes_nothing(self, window: Window, tmp_path: Path) -> None:
        path = tmp_path / "broken.gflow"
        project_file.save(window.document.project(), path)
        path.write_bytes(path.read_bytes()[:-400])
        graph, trace = window.document.graph, window.document.trace
        assert not window.controller.projects.open(path)
        assert window.document.graph is graph and window.document.trace is trace
        assert "broken.gflow" in window.notices.text

    def test_a_text_file_is_no_picture(self, window: Window, tmp_path: Path) -> None:
        path = tmp_path / "notes.png"
        path.write_text("this is no picture")
        sample = window.document.sample
        window.controller.pictures.open(path)
        assert window.document.sample is sample
        assert "notes.png" in window.notices.text

    def test_an_unwritable_folder_loses_nothing(self, window: Window, tmp_path: Path) -> None:
        window.controller.layers.delete(["relu1"])
        (tmp_path / "file").write_text("in the way")
        assert not (
            window.controller.projects.save(tmp_path / "file" / "mine.gflow")
            and window.controller.projects.finish()
        )
        assert window.document.modified
        assert "mine.gflow" in window.notices.text


class TestLook:
    def test_workspaces_show_their_panels_and_keep_the_document(self, window: Window) -> None:
        content, position = window.document.content, window.document.position
        shown = {}
        for key, name in ((Qt.Key.Key_1, "build"), (Qt.Key.Key_3, "train"), (Qt.Key.Key_2, "step")):
            press(window.canvas, key, Qt.KeyboardModifier.ControlModifier)
            shown[name] = {n for n, d in window.docks.items() if d.isVisibleTo(window)}
        assert "layers" in shown["build"] and "layers" not in shown["step"]
        assert "training" in shown["train"] and "timeline" in shown["step"]
        assert window.document.content is content and window.document.position == position

    def test_dark_and_light_differ(self, window: Window) -> None:
        window.actions_by_id["view.dark"].trigger()
        settle()
        dark = window.grab().toImage().pixelColor(3, 3).lightness()
        window.actions_by_id["view.light"].trigger()
        settle()
        assert window.grab().toImage().pixelColor(3, 3).lightness() > dark + 80

    def test_the_command_box_runs_a_command(self, window: Window) -> None:
        press(window.canvas, Qt.Key.Key_K, Qt.KeyboardModifier.ControlModifier)
        box = QApplication.activePopupWidget()
        assert box is not None
        QTest.keyClicks(box.line, "to the end")
        QTest.keyClick(box.line, Qt.Key.Key_Return)
        settle()
        assert window.document.position == len(window.document.operations)

    def test_minimum_size_shows_everything_that_matters(self, window: Window) -> None:
        window.resize(1024, 680)
        settle()
        for widget in (window.canvas, window.narration, window.timeline, window.inspector):
            assert widget.isVisible()
            assert widget.width() > 100 and widget.height() > 40


class TestGallery:
    def menu(self, window: Window) -> QMenu:
        file = window.menuBar().findChild(QMenu, "menu.file")
        gallery = file.findChild(QMenu, "menu.gallery")
        gallery.aboutToShow.emit()
        return gallery

    def test_it_holds_every_architecture_once_by_family(self, window: Window) -> None:
        for _ in range(2):  # opening the menu again adds nothing
            gallery = self.menu(window)
        families = [action.menu() for action in gallery.actions()]
        found = [a.objectName() for f in families for a in f.actions() if not a.isSeparator()]
        assert sorted(found) == sorted(f"gallery.{name}" for name in ARCHITECTURES)
        assert [f.title() for f in families][:2] == ["LeNet", "AlexNet"]
        for family in families:
            assert all(a.toolTip().endswith(".") for a in family.actions() if not a.isSeparator())

    def test_a_click_opens_the_network(self, window: Window, qtbot: QtBot) -> None:
        gallery = self.menu(window)
        action = gallery.findChild(QAction, "gallery.densenet121")
        action.trigger()
        qtbot.waitUntil(lambda: window.document.graph.name == "DenseNet-121")
        settle()
        assert window.document.structure_only
        assert window.status.text.text().startswith(
            "7,978,856 parameters · 2,834,161,664 multiply-adds"
        )
        # It opens folded into its blocks; the document has all layers.
        cards = set(window.canvas.network.items_by_id)
        assert {"image", "stem/", "block1/", "transition3/", "block4/", "fc", "loss"} <= cards
        assert len(cards) == 15 and len(window.document.graph.nodes) == 427
        step = window.actions_by_id["step.next"]
        assert not step.isEnabled()

    def test_a_structure_is_neither_trained_nor_exported(
        self, window: Window, qtbot: QtBot, tmp_path: Path
    ) -> None:
        window.controller.projects.open_architecture("vgg11")
        qtbot.waitUntil(lambda: window.document.structure_only)
        said: list[str] = []
        window.controller.notice.connect(lambda notice: said.append(notice.text))
        window.training.start(window.training.last_settings, "digits")
        window.export.start(tmp_path / "vgg11.onnx", ExportOptions())
        assert not window.training.worker.busy and not window.export.worker.busy
        said.append(window.export.state.message)
        assert said[0].startswith("The network has no weights to be trained: Train → New random")
        assert "VGG-11 is shown as a structure" in said[1] and len(said) == 2
        shown = "".join(part.text for part in window.narration.sentence.parts)
        assert shown.startswith("VGG-11 is shown as a structure")


class TestBreakpoints:
    def test_set_on_a_card_and_on_a_tick_and_by_key(self, window: Window) -> None:
        document, timeline = window.document, window.timeline
        window.canvas.set_zoom(1.0)
        window.canvas.center_on("pool1")
        settle()
        item = window.canvas.network.items_by_id["pool1"]
        spot = window.canvas.to_pixel(item.pos() + geometry.STOP_POINT)
        QTest.mouseClick(window.canvas.viewport(), Qt.MouseButton.LeftButton, pos=spot)
        settle()
        named = [i for i, o in enumerate(document.operations) if o.node == "pool1"]
        assert timeline.breakpoints == frozenset(named) and item.stop == "on"
        tick = next(
            i for i, o in enumerate(document.operations) if (o.phase, o.node) == ("backward", "fc2")
        )
        QTest.mouseClick(timeline, Qt.MouseButton.LeftButton, pos=timeline.dot_of(tick).toPoint())
        settle()
        assert timeline.breakpoints == frozenset((*named, tick))
        QTest.mouseClick(timeline, Qt.MouseButton.LeftButton, pos=timeline.dot_of(tick).toPoint())
        window.controller.select({"relu1"})
        window.canvas.setFocus()
        press(window.canvas, Qt.Key.Key_F9)
        assert {p.node for p in document.breakpoints} == {"pool1", "relu1"}
        window.controller.stepping.to_start()
        press(window.canvas, Qt.Key.Key_End, Qt.KeyboardModifier.ControlModifier)
        assert document.step.node == "relu1"
        assert window.narration.sentence.text.startswith("Breakpoint: ")
        press(window.canvas, Qt.Key.Key_F10)
        assert document.step.node == "pool1"
        assert window.narration.sentence.text.startswith("Breakpoint: ")
        press(window.canvas, Qt.Key.Key_F10)
        assert not window.narration.sentence.text.startswith("Breakpoint")

    def test_a_click_above_a_tick_says_what_it_did(self, window: Window) -> None:
        document, timeline = window.document, window.timeline
        dot = timeline.dot_of(4).toPoint()
        name = document.operations[4].node
        QTest.mouseClick(timeline, Qt.MouseButton.LeftButton, pos=dot)
        assert window.notices.text.startswith(f"Stops at {name} (forward) from now on; click again")
        assert timeline.breakpoints == {4}
        QTest.mouseClick(timeline, Qt.MouseButton.LeftButton, pos=dot)
        assert window.notices.text == f"Stops no more at {name} (forward)."
        assert timeline.breakpoints == set()
        for miss in (1, 2, 3):  # pixels above the tick: it goes there
            window.controller.stepping.go_to(0)
            tick = timeline.rect_of(4)
            just_above = QPointF(tick.center().x(), tick.top() - miss).toPoint()
            QTest.mouseClick(timeline, Qt.MouseButton.LeftButton, pos=just_above)
            assert timeline.breakpoints == set() and document.position == 5

    def test_the_list_shows_and_changes_them(self, window: Window) -> None:
        window.controller.stepping.toggle_node("conv2")
        panel = window.panel("breakpoints")
        window.docks["breakpoints"].raise_()
        settle()
        assert panel.list.item(0).text() == "conv2, whenever it is reached"
        QTest.mouseClick(panel.clear, Qt.MouseButton.LeftButton)
        settle()
        assert window.document.breakpoints == () and window.timeline.breakpoints == frozenset()
        assert window.canvas.network.items_by_id["conv2"].stop == ""

    def test_no_tab_bar_is_left_over(self, window: Window) -> None:
        """Qt leaves dead ones where docks in sight become tabs; they cover what is below."""
        bars = [b for b in window.findChildren(QTabBar) if b.parent() is window]
        seen = [b for b in bars if b.count() and b.geometry().intersects(window.rect())]
        titles = [tuple(b.tabText(i) for i in range(b.count())) for b in seen]
        assert len(set(titles)) == len(titles), titles


class TestInside:
    def test_by_keys_and_clicks_through_a_convolution(self, window: Window) -> None:
        document = window.document
        window.controller.stepping.go_to(1)
        window.canvas.setFocus()
        press(window.canvas, Qt.Key.Key_F11)
        assert document.inside is not None and document.position == 0
        panel = window.panel("inside")
        assert not panel.visibleRegion().isEmpty()
        assert window.narration.sentence.text.startswith("Inside conv1: its output, 6×28×28")
        assert window.actions_by_id["step.finish"].text() == "Finish layer"
        assert window.canvas.network.items_by_id["conv1"].phase == "forward"
        press(window.canvas, Qt.Key.Key_F10)
        assert "Channel 0 is done, 784 cells." in window.narration.sentence.text
        press(window.canvas, Qt.Key.Key_I)
        press(window.canvas, Qt.Key.Key_I)
        press(window.canvas, Qt.Key.Key_Space)
        value = document.trace.look("value", ("conv1", 0), 1)[0, 1, 0, 0]
        assert window.narration.sentence.text == (
            f"Row 0, column 0 of channel 1 is {format_number(float(value))}: 25 products and the "
            "bias, added up."
        )
        assert window.narration.way.text().count("▸") == 4  # network, layer, channel, row, column
        assert document.focus == Cell("conv1", 0, (1, 0, 0))
        cell = window.panel("cell")
        window.docks["cell"].raise_()
        settle()
        assert cell.explanation is not None and cell.explanation.value == float(value)
        press(window.canvas, Qt.Key.Key_F10, Qt.KeyboardModifier.ShiftModifier)
        assert document.inside.cells == 784
        window.docks["inside"].raise_()
        settle()
        QTest.mouseClick(panel.levels["row"], Qt.MouseButton.LeftButton)
        settle()
        assert document.inside.level == "row"
        for _ in range(2):
            press(window.canvas, Qt.Key.Key_F11, Qt.KeyboardModifier.ShiftModifier)
        assert document.inside is None and document.position == 1
        assert window.actions_by_id["step.finish"].text() == "Finish phase"

    def test_the_way_in_leads_back(self, window: Window) -> None:
        window.controller.projects.open_shipped("resnet-digits")
        block = next(n.id for n in window.document.graph.nodes if n.id.count("/") >= 1)
        window.controller.stepping.to_start()
        window.controller.stepping.run_to(block)
        settle()
        window.narration.way.linkActivated.emit("1")  # the block
        settle()
        group = block.split("/")[0] + "/"
        assert window.document.selection
        assert all(n.startswith(group) for n in window.document.selection)

    def test_a_step_inside_takes_less_than_two_frames(self, window: Window) -> None:
        window.controller.stepping.go_to(1)
        window.canvas.setFocus()
        for _ in range(3):
            press(window.canvas, Qt.Key.Key_F11)
        times = []
        for _ in range(7):
            start = time.thread_time()
            window.controller.stepping.next()
            QApplication.processEvents()
            times.append(time.thread_time() - start)
        assert min(times) < 0.05


class TestResidualPaths:
    def test_the_share_of_the_skips_is_on_screen(self, window: Window, qtbot: QtBot) -> None:
        """How much of the gradient at the first block came through skips only."""
        window.controller.projects.open_shipped("resnet-digits")
        window.use_workspace("flow")
        window.docks["paths"].raise_()
        panel = window.panel("paths")
        qtbot.waitUntil(lambda: panel.shown is not None)
        window.controller.select({"stage1/block1/conv1"})
        settle()
        assert panel.block.currentText() == "stage1/block1"
        share = panel.shown.shares[0]
        assert f"Through skips only came {100 * share:.1f}%" in panel.sentence.text()
        assert not panel.bars.visibleRegion().isEmpty()


class TestWhatIf:
    def test_a_banner_says_it_and_leads_back(self, window: Window, qtbot: QtBot) -> None:
        window.controller.projects.open_shipped("resnet-digits")
        window.controller.select({"stage1/block1/add"})
        settle()
        assert not window.what_if.isVisible()
        box = window.inspector.gains
        box.sliders[1].setFocus()
        press(box.sliders[1], Qt.Key.Key_Home)
        assert window.what_if.isVisible()
        assert window.what_if.label.text() == "What if: skip of stage1/block1/add muted"
        assert window.document.gains == {("stage1/block1/add", 1): 0.0}
        box.sliders[0].setValue(10)
        settle()
        assert "branch of stage1/block1/add × 0.5" in window.what_if.label.text()
        add = next(
            i
            for i, o in enumerate(window.document.operations)
            if (o.phase, o.node) == ("forward", "stage1/block1/add")
        )
        window.controller.stepping.go_to(add + 1)
        assert "× 0.5 + " in window.narration.sentence.text
        assert " × 0 = " in window.narration.sentence.text
        colour = QColor(theme.current().selection)
        image = window.what_if.grab().toImage()
        assert image.pixelColor(image.width() // 2, 3) == colour
        QTest.mouseClick(window.what_if.reset, Qt.MouseButton.LeftButton)
        settle()
        assert not window.what_if.isVisible() and window.document.gains == {}
        assert box.sliders[1].value() == 20
        window.controller.what_ifs.set_gain("stage1/block1/add", 0, 2.0)
        window.canvas.setFocus()
        press(window.canvas, Qt.Key.Key_R, Qt.KeyboardModifier.ControlModifier)
        assert window.document.gains == {}


class TestQuestions:
    def test_asked_by_key_answered_by_digit_or_click(self, window: Window) -> None:
        document, stepping = window.document, window.controller.stepping
        stepping.go_to(2)
        window.canvas.setFocus()
        press(window.canvas, Qt.Key.Key_P)
        assert window.actions_by_id["step.predict"].isChecked()
        press(window.canvas, Qt.Key.Key_Space)
        asked = stepping.question
        assert document.position == 2 and asked is not None
        assert window.narration.sentence.text.endswith("What comes out?")
        assert window.canvas.network.items_by_id["pool1"].phase == "forward"
        assert window.canvas.network.items_by_id["pool1"].arrays["value"] is None  # not shown yet
        buttons = [b for b in window.narration.choices if b.isVisible()]
        assert [b.accessibleName() for b in buttons] == list(asked.choices)
        zoom = window.canvas.zoom
        press(window.canvas, Qt.Key(Qt.Key.Key_1 + asked.right))
        assert document.position == 3
        assert window.narration.sentence.text.startswith(f"Right, {asked.choices[asked.right]}: ")
        assert not window.narration.answers.isVisible()
        stepping.go_to(1)
        settle()
        press(window.canvas, Qt.Key.Key_F10)
        asked = stepping.question
        wrong = (asked.right + 1) % len(asked.choices)
        QTest.mouseClick(window.narration.choices[wrong], Qt.MouseButton.LeftButton)
        settle()
        assert window.narration.sentence.text.startswith("Not ") and document.position == 2
        press(window.canvas, Qt.Key.Key_F10)
        QTest.mouseClick(window.narration.reveal, Qt.MouseButton.LeftButton)
        settle()
        assert document.position == 3
        assert window.canvas.zoom == pytest.approx(zoom, rel=0.3)
        window.canvas.setFocus()
        press(window.canvas, Qt.Key.Key_1)  # the canvas's own key again
        assert window.canvas.zoom == 1.0

    def test_a_click_on_the_cell_answers(self, window: Window) -> None:
        document, stepping = window.document, window.controller.stepping
        back = next(
            i
            for i, o in enumerate(document.operations)
            if (o.phase, o.node) == ("backward", "pool1")
        )
        stepping.go_to(back)
        stepping.set_asks(True)
        stepping.next()
        settle()
        asked = stepping.question
        assert asked is not None and document.position == back
        grid = window.inspector.source.forward_grid
        grid.fit()
        spot = grid.rect_of(asked.cells[asked.right]).center().toPoint()
        QTest.mouseClick(grid, Qt.MouseButton.LeftButton, pos=spot)
        settle()
        assert document.position == back + 1
        assert window.narration.sentence.text.startswith("Right, row ")
        stepping.go_to(back)
        stepping.next()
        settle()
        other = Cell("relu1", 0, (0, 1, 1))  # no choice: it is looked at
        grid.fit()
        spot = grid.rect_of(other).center().toPoint()
        QTest.mouseClick(grid, Qt.MouseButton.LeftButton, pos=spot)
        settle()
        assert stepping.question is not None and document.focus == other

    def test_learning_asks_unless_it_is_switched_off(self, window: Window) -> None:
        assert not window.actions_by_id["step.predict"].isChecked()
        window.use_workspace("learn")
        assert window.actions_by_id["step.predict"].isChecked()
        window.actions_by_id["step.predict"].trigger()
        assert not window.controller.stepping.asks
        window.use_workspace("step")
        window.use_workspace("learn")
        assert not window.actions_by_id["step.predict"].isChecked()


class TestWatches:
    def test_a_number_is_followed_while_weights_change(self, window: Window) -> None:
        controller, document = window.controller, window.document
        window.canvas.setFocus()
        controller.select(())
        press(window.canvas, Qt.Key.Key_W, Qt.KeyboardModifier.ShiftModifier)
        assert window.watches.lines == {}  # nothing is selected: said, not done
        controller.asking.focus(Cell("conv1", 0, (2, 5, 6)))
        press(window.canvas, Qt.Key.Key_W, Qt.KeyboardModifier.ShiftModifier)
        panel = window.panel("watches")
        assert not panel.visibleRegion().isEmpty()
        (watch,) = window.watches.lines
        assert watch.name == "conv1[2, 5, 6]"
        controller.stepping.to_end()
        controller.adopt({k: v * 1.5 for k, v in document.parameters.items()})
        controller.stepping.to_end()
        settle()
        now = float(document.trace.look("value", ("conv1", 0))[0, 2, 5, 6])
        assert window.watches.lines[watch][-1] == (0, pytest.approx(now))
        window.use_workspace("train")
        assert window.docks["watches"].isVisible()
        controller.projects.open_shipped("resnet-digits")
        assert window.watches.lines == {}
        window.use_workspace("step")
        window.use_workspace("train")
        assert not window.docks["watches"].isVisible()


class TestChecks:
    def test_c_measures_the_focused_number(self, window: Window, qtbot: QtBot) -> None:
        controller, document = window.controller, window.document
        controller.stepping.to_end()
        controller.asking.focus(Cell("pool1", 0, (4, 3, 7)))
        window.canvas.setFocus()
        press(window.canvas, Qt.Key.Key_C)
        qtbot.waitUntil(lambda: bool(document.answered))
        text = window.narration.sentence.text
        value = float(document.trace.look("grad", ("pool1", 0))[0, 4, 3, 7])
        assert text.startswith("Check of pool1[4, 3, 7]: moved by ±")
        assert f"the gradient says {format_number(value, 4)}: they agree" in text


class TestChangedPixels:
    def test_the_mark_of_a_pool_jumps_with_a_dragged_pixel(self, window: Window) -> None:
        controller, document = window.controller, window.document
        controller.projects.new()
        controller.adding.append_layer(MaxPool2d(2))
        controller.adding.append_layer(Flatten())
        controller.adding.append_layer(Linear(10))
        assert document.run is not None
        controller.stepping.to_end()
        controller.select({"image"})
        x = document.sample.x
        row, column = 13, 13
        window_of = x[0, 12:14, 12:14]
        controller.asking.focus(Cell("image", 0, (0, row, column)))
        settle()
        before = int(document.trace.look("saved", ("pool1", "argmax"))[0, 0, 6, 6])
        grid = window.inspector.output.forward_grid
        grid.setFocus()
        for _ in range(60):
            press(grid, Qt.Key.Key_Up, Qt.KeyboardModifier.ControlModifier)
            if document.x[0, row, column] > window_of.max():
                break
        after = int(document.trace.look("saved", ("pool1", "argmax"))[0, 0, 6, 6])
        assert after == row * 28 + column
        assert "pixel [0, 13, 13] = " in window.what_if.label.text()
        g = document.trace.look("grad", ("image", 0))
        if g is not None and before != after:
            assert g[0, 0].reshape(-1)[before] == 0.0
        QTest.mouseClick(window.what_if.reset, Qt.MouseButton.LeftButton)
        settle()
        assert int(document.trace.look("saved", ("pool1", "argmax"))[0, 0, 6, 6]) == before
        assert not window.what_if.isVisible()
