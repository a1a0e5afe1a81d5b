"""Blocks in the window: folded, opened, made, taken apart and renamed, by mouse and by keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QAction, QColor, QContextMenuEvent, QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLineEdit, QMenu
from pytestqt.qtbot import QtBot

from engine.layers.relu import ReLU
from explorer import folding, theme
from explorer.canvas import geometry
from explorer.settings import Settings
from explorer.window import Window

LEFT = Qt.MouseButton.LeftButton
CONTROL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
BLOCK = "stage2/block1"


@pytest.fixture
def window(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> Iterator[Window]:
    theme.apply(qapp)
    window = Window(Settings(tmp_path / "settings.json"))
    qtbot.addWidget(window)
    window.resize(1600, 900)
    window.controller.start(None)
    window.controller.projects.open_shipped("resnet-digits")
    window.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    window.use_workspace("build")
    QApplication.processEvents()
    window.canvas.setFocus()
    window.canvas.fit()
    yield window
    window.close()
    QGuiApplication.clipboard().clear()


def cards(window: Window) -> set[str]:
    return set(window.canvas.network.items_by_id)


def press(window: Window, key: Qt.Key, held: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier):
    QTest.keyClick(window.canvas.viewport(), key, held)
    QApplication.processEvents()


def at(window: Window, card: str, place: QPointF) -> QPoint:
    return window.canvas.to_pixel(window.canvas.network.items_by_id[card].pos() + place)


def header(window: Window, card: str) -> QPoint:
    return at(window, card, QPointF(geometry.HEADER.left() + 60, geometry.HEADER.center().y()))


def click(window: Window, where: QPoint) -> None:
    QTest.mouseClick(window.canvas.viewport(), LEFT, pos=where)
    QApplication.processEvents()


def double_click(window: Window, where: QPoint) -> None:
    click(window, where)
    QTest.mouseDClick(window.canvas.viewport(), LEFT, pos=where)
    QApplication.processEvents()


def heading(window: Window, path: str) -> QPoint:
    """A pixel on the name in an open block's frame, beside its glyph."""
    canvas = window.canvas
    frame = next(f for f in canvas.network.frames_item.frames if f.path == path and f.width)
    box = frame.heading(canvas.zoom)
    return canvas.to_pixel(QPointF(box.right() - 4, box.center().y()))


def menu_action(window: Window, where: QPoint, text: str) -> QAction:
    view = window.canvas.viewport()
    event = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, where, view.mapToGlobal(where))
    QApplication.sendEvent(view, event)
    menu = window.canvas.findChild(QMenu, "canvas_menu")
    return next(a for a in menu.actions() if a.text() == text)


class TestFolding:
    def test_a_key_folds_the_block_of_the_selected_layer_and_opens_it_again(
        self, window: Window
    ) -> None:
        d, before = window.document, dict(window.document.layout)
        inside = {n for n in d.graph.by_id if n.startswith(BLOCK + "/")}
        shown = cards(window)
        window.controller.select({f"{BLOCK}/conv1"})
        press(window, Qt.Key.Key_T)
        assert d.folded == {BLOCK} and window.controller.undo_stack.count() == 0
        assert cards(window) == shown - inside | {f"{BLOCK}/"}
        item = window.canvas.network.items_by_id[f"{BLOCK}/"]
        assert item.selected and item.facts.layers == len(inside) == 9
        assert item.facts.parameters == sum(d.costs[n].parameters for n in inside)
        assert item.facts.shape == "32×4×4" and not d.modified
        press(window, Qt.Key.Key_T)
        assert d.folded == set() and cards(window) == shown and d.layout == before

    def test_a_double_click_or_enter_opens_a_folded_block(self, window: Window) -> None:
        for open_it in ("mouse", "enter", "glyph"):
            window.controller.folds.fold({BLOCK})
            card = f"{BLOCK}/"
            if open_it == "mouse":
                double_click(window, header(window, card))
            elif open_it == "enter":
                click(window, header(window, card))
                assert len(window.document.selection) == 9
                press(window, Qt.Key.Key_Return)
            else:
                window.canvas.zoom_to({card})
                click(window, at(window, card, geometry.FOLD_GLYPH.center()))
            assert card not in cards(window) and f"{BLOCK}/add" in cards(window)

    def test_a_click_on_the_glyph_of_a_frame_folds_it(self, window: Window) -> None:
        canvas = window.canvas
        canvas.zoom_to({f"{BLOCK}/conv1"})
        canvas.set_zoom(1.0)
        frame = next(f for f in canvas.network.frames_item.frames if f.path == BLOCK)
        click(window, canvas.to_pixel(frame.glyph(canvas.zoom).center()))
        assert window.document.folded == {BLOCK}
        # The second click of a double click must not open it again.
        assert f"{BLOCK}/" in cards(window)

    def test_the_frame_of_an_open_block_selects_moves_and_folds(self, window: Window) -> None:
        window.canvas.set_zoom(0.8)
        window.canvas.center_on(f"{BLOCK}/conv1")
        inside = {n for n in window.document.graph.by_id if n.startswith(BLOCK + "/")}
        click(window, heading(window, BLOCK))
        assert window.document.selection == inside
        menu_action(window, heading(window, BLOCK), f"Fold {BLOCK}").trigger()
        assert window.document.folded == {BLOCK}

    def test_all_blocks_by_the_view_menu(self, window: Window) -> None:
        window.actions_by_id["view.fold_all"].trigger()
        assert cards(window) == {
            *("image", "stem/", "stage1/", "stage2/", "gap", "flatten", "fc", "loss")
        }
        press(window, Qt.Key.Key_A, CONTROL)
        assert len(window.document.selection) == 31
        window.actions_by_id["view.unfold_all"].trigger()
        assert cards(window) == window.document.known_ids

    def test_the_picture_shows_a_stack_and_a_frame(self, window: Window) -> None:
        canvas, tokens = window.canvas, theme.current()
        canvas.set_zoom(1.0)
        canvas.center_on(f"{BLOCK}/conv1")
        QApplication.processEvents()
        frame = next(f for f in canvas.network.frames_item.frames if f.path == BLOCK)
        shot = canvas.viewport().grab().toImage()
        inside = canvas.to_pixel(QPointF(frame.rect.left() + 4, frame.rect.top() + 40))
        outside = canvas.to_pixel(QPointF(frame.rect.left() - 30, frame.rect.top() + 40))
        assert shot.pixelColor(inside) != shot.pixelColor(outside)
        window.controller.folds.fold({BLOCK})
        QApplication.processEvents()
        shot = canvas.viewport().grab().toImage()
        edge = at(window, f"{BLOCK}/", QPointF(geometry.WIDTH + 3, geometry.HEIGHT / 2))
        assert shot.pixelColor(edge) == QColor(tokens.surface_raised)

    def test_folding_keeps_the_block_where_it_was_on_screen(self, window: Window) -> None:
        canvas = window.canvas
        canvas.set_zoom(0.7)
        canvas.center_on(f"{BLOCK}/conv1")
        before = at(window, f"{BLOCK}/conv1", QPointF())
        window.controller.folds.fold({BLOCK})
        after = at(window, f"{BLOCK}/", QPointF())
        assert (after - before).manhattanLength() <= 2

    def test_going_to_a_layer_opens_what_it_is_folded_into(self, window: Window) -> None:
        window.actions_by_id["view.fold_all"].trigger()
        window.find_command()
        box = window.findChild(QLineEdit, "command-box") or QApplication.focusWidget()
        QTest.keyClicks(box, f"goto {BLOCK}/bn2")
        QTest.keyClick(box, Qt.Key.Key_Return)
        QApplication.processEvents()
        assert f"{BLOCK}/bn2" in cards(window) and "stage1/" in cards(window)
        assert window.document.selection == {f"{BLOCK}/bn2"}


class TestRun:
    def test_the_current_step_lights_the_block_that_it_is_folded_into(self, window: Window) -> None:
        window.controller.folds.fold({BLOCK})
        card = window.canvas.network.items_by_id[f"{BLOCK}/"]
        stepping, d = window.controller.stepping, window.document
        index = next(
            i
            for i, op in enumerate(d.operations)
            if op.node == f"{BLOCK}/relu1" and op.phase == "forward"
        )
        stepping.go_to(index + 1)
        assert card.phase == "forward" and not card.computed
        stepping.to_end()
        assert card.computed
        shows = ("stage2/block1/relu2", 0)
        assert card.facts.shows == shows
        assert np.array_equal(card.arrays["value"], d.trace.look("value", shows, d.position)[0])

    def test_the_gradient_into_a_block_is_the_sum_of_what_its_readers_send(
        self, window: Window
    ) -> None:
        window.controller.folds.fold({BLOCK})
        window.controller.stepping.to_end()
        d, edge = window.document, window.canvas.network.edges[f"{BLOCK}/", 0]
        ref = ("stage1/block1/relu2", 0)
        assert edge.facts.ref == ref
        assert set(edge.facts.inputs) == {(f"{BLOCK}/conv1", 0), (f"{BLOCK}/shortcut/conv", 0)}
        whole = np.linalg.norm(d.trace.look("grad", ref, d.position)[0].astype(np.float64))
        assert edge.norm == pytest.approx(whole, rel=1e-5)

    def test_a_breakpoint_inside_shows_on_the_block(self, window: Window) -> None:
        window.controller.folds.fold({BLOCK})
        window.controller.stepping.toggle_node(f"{BLOCK}/bn1")
        assert window.canvas.network.items_by_id[f"{BLOCK}/"].stop == "on"


class TestEdits:
    def test_selected_layers_become_a_block_with_all_that_is_theirs(self, window: Window) -> None:
        d, c = window.document, window.controller
        graph, weight = d.graph, d.parameters["fc", "weight"]
        c.stepping.toggle_node("fc")
        c.select({"gap", "flatten", "fc"})
        press(window, Qt.Key.Key_G, CONTROL)
        assert {"block1/gap", "block1/flatten", "block1/fc"} <= d.graph.by_id.keys()
        assert d.selection == {"block1/gap", "block1/flatten", "block1/fc"}
        assert d.parameters["block1/fc", "weight"] is weight and c.undo_stack.count() == 1
        assert [b.node for b in d.breakpoints] == ["block1/fc"]
        assert d.layout["block1/fc"] and "fc" not in d.layout
        press(window, Qt.Key.Key_T)
        assert "block1/" in cards(window) and d.folded == {"block1"}
        press(window, Qt.Key.Key_G, CONTROL | SHIFT)
        assert d.graph == graph and "fc" in cards(window)
        c.undo()
        assert "block1/" in cards(window)  # folded again, as it was left
        c.undo()
        assert d.graph == graph and d.parameters["fc", "weight"] is weight
        assert c.undo_stack.index() == 0

    def test_a_block_that_something_lies_between_is_not_folded_and_says_why(
        self, window: Window
    ) -> None:
        window.controller.select({"gap", "fc"})
        press(window, Qt.Key.Key_G, CONTROL)
        assert "flatten lies between" in window.notices.text
        press(window, Qt.Key.Key_T)
        assert window.document.folded == set()
        window.canvas.zoom_to({"block1/fc"})
        menu_action(window, header(window, "block1/fc"), "Open")
        menu = window.canvas.findChild(QMenu, "canvas_menu")
        refused = [a for a in menu.actions() if "cannot be folded: flatten" in a.text()]
        assert len(refused) == 1 and not refused[0].isEnabled()

    def test_delete_duplicate_and_copy_act_on_what_is_folded(self, window: Window) -> None:
        d, c = window.document, window.controller
        c.folds.fold({BLOCK})
        before = d.graph
        menu_action(window, header(window, f"{BLOCK}/"), "Duplicate").trigger()
        assert "stage2/block3/" in cards(window) and len(d.graph.nodes) == 29 + 9
        assert d.graph.by_id["stage2/block3/conv2"].inputs == (("stage2/block3/relu1", 0),)
        old = d.parameters["stage2/block1/conv1", "weight"]
        assert np.array_equal(d.parameters["stage2/block3/conv1", "weight"], old)
        c.undo()
        assert d.graph == before
        click(window, header(window, f"{BLOCK}/"))
        press(window, Qt.Key.Key_C, CONTROL)
        press(window, Qt.Key.Key_Delete)
        # What read the block reads what it read.
        assert d.graph.by_id["stage2/block2/conv1"].inputs == (("stage1/block1/relu2", 0),)
        assert len(d.graph.nodes) == 20
        press(window, Qt.Key.Key_V, CONTROL)
        assert len(d.graph.nodes) == 29 and f"{BLOCK}/conv1" in d.graph.by_id
        c.undo()
        c.undo()
        assert d.graph == before and f"{BLOCK}/" in cards(window)

    def test_a_moved_block_stays_where_it_was_put_in_this_state_of_folding(
        self, window: Window
    ) -> None:
        d, c = window.document, window.controller
        plain = dict(d.layout)
        c.folds.fold({BLOCK})
        home = d.layout[f"{BLOCK}/"]
        start = header(window, f"{BLOCK}/")
        view = window.canvas.viewport()
        QTest.mousePress(view, LEFT, pos=start)
        for i in range(1, 5):
            QTest.mouseMove(view, start + QPoint(20 * i, 30 * i))
        QTest.mouseRelease(view, LEFT, pos=start + QPoint(80, 120))
        put = d.layout[f"{BLOCK}/"]
        assert put != home and c.undo_stack.undoText() == f"Move {BLOCK}"
        c.folds.unfold({BLOCK})
        assert d.layout == plain
        c.folds.fold({BLOCK})
        assert d.layout[f"{BLOCK}/"] == put
        c.undo()
        assert d.layout[f"{BLOCK}/"] == home and d.folded == {BLOCK}

    def test_a_layer_put_onto_an_edge_of_a_block_feeds_all_that_read_it(
        self, window: Window
    ) -> None:
        d, c = window.document, window.controller
        c.folds.fold({BLOCK})
        facts = window.canvas.network.edges[f"{BLOCK}/", 0].facts
        window.canvas.insert_before_requested.emit(ReLU(), facts.inputs, 0.0, 0.0)
        (new,) = d.selection
        assert d.graph.readers[new, 0] == facts.inputs and new in cards(window)
        # Inside of a block it belongs to that.
        c.adding.insert_layer(ReLU(), f"{BLOCK}/bn1", 0, 0.0, 0.0)
        assert next(iter(d.selection)).startswith(f"{BLOCK}/")
        assert f"{BLOCK}/" in cards(window)
        c.undo()
        c.undo()
        assert d.folded == {BLOCK}

    def test_a_block_is_renamed_in_the_outline(self, window: Window, qtbot: QtBot) -> None:
        d, c = window.document, window.controller
        c.folds.fold({BLOCK})
        menu_action(window, header(window, f"{BLOCK}/"), f"Rename {BLOCK}…").trigger()
        outline = window.panel("outline")
        qtbot.waitUntil(lambda: outline.findChild(QLineEdit) is not None)
        editor = outline.findChild(QLineEdit)
        assert editor.text() == BLOCK
        editor.selectAll()
        QTest.keyClicks(editor, "stage2/first")
        QTest.keyClick(editor, Qt.Key.Key_Return)
        QApplication.processEvents()
        assert "stage2/first/" in cards(window) and d.folded == {"stage2/first"}
        assert "stage2/first/shortcut/conv" in d.graph.by_id
        c.undo()
        assert f"{BLOCK}/" in cards(window)


class TestFiles:
    def test_a_project_keeps_what_is_folded_and_where_it_stands(
        self, window: Window, tmp_path: Path
    ) -> None:
        d, c = window.document, window.controller
        c.folds.fold({BLOCK})
        c.arranging.move({f"{BLOCK}/": (1234.0, 567.0)})
        plain = dict(d.content.layout)
        assert c.projects.save(tmp_path / "folded.gflow") and c.projects.finish()
        c.projects.open_shipped("lenet5")
        assert d.folded == set()
        assert c.projects.open(tmp_path / "folded.gflow")
        assert d.folded == {BLOCK} and d.layout[f"{BLOCK}/"] == (1234.0, 567.0)
        assert d.content.layout == plain and f"{BLOCK}/" in cards(window)

    def test_a_large_network_of_the_gallery_opens_folded(
        self, window: Window, qtbot: QtBot
    ) -> None:
        window.controller.projects.open_architecture("resnet50")
        qtbot.waitUntil(lambda: window.document.graph.name == "ResNet-50")
        assert cards(window) == {
            *("image", "stem/", "stage1/", "stage2/", "stage3/", "stage4/"),
            *("gap", "flatten", "fc", "loss"),
        }
        window.controller.folds.unfold({"stage3"})
        blocks = {f"stage3/block{i}/" for i in range(1, 7)}
        assert blocks <= cards(window) and len(cards(window)) == 15
        window.controller.folds.unfold_all()
        assert cards(window) == window.document.known_ids
        assert window.document.layout.keys() == window.document.known_ids

    @pytest.mark.parametrize(
        "blocks",
        [None, 3, [], {"folded": 7}, {"folded": ["a", 3], "places": [1, {"folded": ["a"]}]}],
    )
    def test_what_no_project_holds_is_left_out(self, blocks: object) -> None:
        folded, places = folding.from_plain(blocks)
        assert folded <= {"a"} and places == {}
