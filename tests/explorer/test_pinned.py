"""A pinned picture keeps its run, true to the network as it is, beside the present one."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QPoint, Qt
from PySide6.QtGui import QColor, QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from engine.cell import Cell
from engine.data.strokes import Drawing, Stroke
from engine.graph import Graph, Node
from engine.layers import REGISTRY
from engine.optimizers import SGD
from engine.plan import Batch, compile
from engine.project_file import Project, save
from engine.trace import Trace
from explorer import theme
from explorer.document import Document
from explorer.run import Replay
from explorer.settings import Settings
from explorer.window import Window


@pytest.fixture
def pool(network: Callable[..., Graph]) -> Graph:
    graph = network(channels=3, shape=(1, 8, 8))
    return graph.insert(Node("pool1", REGISTRY["MaxPool2d"](2), ()), "flatten1", 0)


def run_alone(document: Document, x: np.ndarray, label: int | None) -> Trace:
    """The same picture through the same weights, by the engine alone."""
    trace = Trace()
    plan = compile(document.graph, document.parameters, batch=1, mode="eval")
    batch = Batch.of(document.graph, np.asarray(x)[None], np.array([label]))
    for _ in plan.run(batch, optimizer=SGD(lr=0.05), trace=trace, gains=document.gains):
        pass
    return trace


class TestPinned:
    def test_it_keeps_the_run_that_was_there(self, bench: Any) -> None:
        c, d = bench.controller, bench.document
        pinned = c.pinned
        assert pinned.state == "none" and pinned.trace is None
        c.stepping.to_end()
        first, trace = d.sample, d.trace
        pinned.pin()
        c.pictures.next()
        assert pinned.sample is first and d.sample is not first
        assert pinned.trace is trace and d.trace is not trace
        pinned.toggle()
        assert pinned.state == "none" and pinned.trace is None and pinned.sample is None

    def test_it_is_stale_until_it_ran_with_the_new_weights(self, bench: Any, qtbot: QtBot) -> None:
        c, d = bench.controller, bench.document
        c.stepping.to_end()
        pinned, x, label = c.pinned, d.x, d.sample.label
        pinned.pin()
        c.pictures.next()
        before = pinned.trace.look("value", ("linear1", 0))
        states: list[str] = []
        pinned.changed.connect(lambda: states.append(pinned.state))
        d.set_parameters({k: v * 1.5 for k, v in d.parameters.items()})
        assert pinned.state == "stale" and pinned.trace is None
        qtbot.waitUntil(lambda: pinned.state == "ready")
        assert states == ["stale", "ready"]
        alone = run_alone(d, x, label)
        for key in list(alone.keys()):
            if key.kind in ("value", "grad", "param_grad"):
                assert np.array_equal(pinned.trace.at(key), alone.at(key)), key
        assert not np.array_equal(pinned.trace.look("value", ("linear1", 0)), before)

    def test_a_changed_network_and_an_undo_run_it_again(self, bench: Any, qtbot: QtBot) -> None:
        c, d = bench.controller, bench.document
        c.pinned.pin()
        sample = d.sample
        c.layers.change_layer("conv1", REGISTRY["Conv2d"](3, 3, padding=1))
        assert c.pinned.state == "stale"
        qtbot.waitUntil(lambda: c.pinned.state == "ready")
        assert c.pinned.trace.look("value", ("conv1", 0)).shape[1] == 3
        c.undo()
        assert c.pinned.sample is sample
        qtbot.waitUntil(lambda: c.pinned.state == "ready")
        assert c.pinned.trace.look("value", ("conv1", 0)).shape[1] == 2

    def test_a_network_that_cannot_run_says_so_and_comes_back(
        self, bench: Any, qtbot: QtBot
    ) -> None:
        c = bench.controller
        c.pinned.pin()
        c.layers.delete({"flatten1", "linear1", "conv1", "relu1"})
        assert c.pinned.state == "unfit" and c.pinned.trace is None
        c.undo()
        qtbot.waitUntil(lambda: c.pinned.state == "ready")

    def test_pixels_of_a_what_if_are_kept_as_they_were(self, bench: Any, qtbot: QtBot) -> None:
        """Pin, then change a pixel: the difference is what that pixel does."""
        c, d = bench.controller, bench.document
        c.stepping.to_end()
        c.pinned.pin()
        trace = c.pinned.trace
        c.what_ifs.set_pixel(Cell("image", 0, (0, 3, 3)), 0.9)
        assert c.pinned.state == "ready" and c.pinned.trace is trace
        assert d.x[0, 3, 3] == np.float32(0.9)
        assert trace.look("value", ("image", 0))[0, 0, 3, 3] == d.sample.x[0, 3, 3]

    def test_another_project_lets_go_of_it(self, bench: Any, network: Any) -> None:
        bench.controller.pinned.pin()
        bench.open(network(channels=4), "other.gflow")
        assert bench.controller.pinned.sample is None

    @pytest.mark.parametrize("drawn", [False, True])
    def test_the_project_remembers_it(self, bench: Any, qtbot: QtBot, drawn: bool) -> None:
        c, d = bench.controller, bench.document
        if drawn:
            c.pictures.draw(Drawing((Stroke(((0.5, 0.1), (0.5, 0.9))),)))
            c.pictures.set_target(1)
        else:
            c.pictures.next()
        kept = d.sample
        c.pinned.pin()
        c.pictures.next()
        assert not d.modified
        path = bench.folder / "kept.gflow"
        assert c.projects.save(path)
        c.projects.new()
        assert c.pinned.sample is None
        assert c.projects.open(path)
        qtbot.waitUntil(lambda: c.pinned.state == "ready")
        found = c.pinned.sample
        assert (found.label, found.origin) == (kept.label, kept.origin)
        assert np.array_equal(found.x, kept.x) and np.array_equal(found.image, kept.image)
        assert d.sample is not found and not d.modified
        c.pinned.unpin()
        assert c.projects.save(path) and c.projects.open(path)
        assert c.pinned.sample is None

    @pytest.mark.parametrize(
        "data", [7, {"shipped": 10**9}, {"drawing": {"strokes": 3}}, {"shipped": -1}, {}]
    )
    def test_what_is_no_picture_is_left_out(self, bench: Any, data: Any) -> None:
        bench.document.set_settings(pinned=data)
        bench.controller.pinned.restore()
        assert bench.controller.pinned.sample is None

    def test_without_a_picture_it_says_so(self, bench: Any) -> None:
        bench.document.set_sample(None)
        bench.controller.pinned.pin()
        assert bench.controller.pinned.sample is None
        assert "no picture" in bench.notices[-1].text


@pytest.fixture
def window(
    qtbot: QtBot, tmp_path: Path, pool: Graph, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Window]:
    document = Document()
    document.load(Project(pool), {}, None)
    path = tmp_path / "pool.gflow"
    save(document.project(), path)
    window = Window(Settings(tmp_path / "settings.json"))
    window.controller.projects.unsaved.path = tmp_path / "unsaved.gflow"
    window.resize(1280, 720)
    window.show()
    window.controller.start(path)
    qtbot.waitUntil(lambda: window.document.run is not None and window.document.run.complete)
    yield window
    window.close()
    window.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


def after(window: Window, phase: str, node: str) -> int:
    operations = window.document.operations
    return next(i for i, o in enumerate(operations) if (o.phase, o.node) == (phase, node)) + 1


def pin_and_look(qtbot: QtBot, window: Window, node: str, *at: str) -> None:
    """Pin by a click, then the next picture, with a layer's output and its gradient in sight."""
    window.controller.stepping.go_to(after(window, *(at or ("backward", "relu1"))))
    window.controller.select({node})
    window.inspector.show_tab("output")
    QTest.mouseClick(window.sample_bar.pin, Qt.MouseButton.LeftButton)
    window.controller.pictures.next()
    qtbot.waitUntil(lambda: window.document.run.complete)


def show(window: Window, shown: str) -> None:
    tabs = window.inspector.pin_bar.tabs
    index = next(i for i in range(tabs.count()) if tabs.tabData(i) == shown)
    QTest.mouseClick(tabs, Qt.MouseButton.LeftButton, pos=tabs.tabRect(index).center())


def ring_at(grid: Any, cell: Cell) -> bool:
    """Whether the ring of the focus is painted around a cell."""
    picture, rect = grid.grab().toImage(), grid.rect_of(cell).toAlignedRect()
    colour = QColor(theme.current().focus_ring).rgb()
    return any(
        picture.valid(x, rect.center().y()) and picture.pixel(x, rect.center().y()) == colour
        for x in range(max(0, rect.left() - 6), rect.left() + 3)
    )


class TestInTheWindow:
    def test_forward_and_gradient_are_those_of_the_pinned_run(
        self, qtbot: QtBot, window: Window
    ) -> None:
        pin_and_look(qtbot, window, "conv1")
        inspector, pinned = window.inspector, window.controller.pinned
        show(window, "pinned")
        twin = inspector.twin_of(inspector.output)
        assert twin.isVisible() and not inspector.output.isVisible()
        y, g = (pinned.trace.look(kind, ("conv1", 0))[0] for kind in ("value", "grad"))
        assert np.array_equal(np.asarray(twin.forward_grid.maps), y)
        assert np.array_equal(np.asarray(twin.gradient_grid.maps), g)
        mine = window.document.trace.look("value", ("conv1", 0))[0]
        assert not np.array_equal(mine, y)
        show(window, "difference")
        assert np.array_equal(
            np.asarray(twin.forward_grid.maps), mine.astype(np.float64) - y.astype(np.float64)
        )
        scale = twin.forward_grid.scale
        assert scale.kind == "diverging" and scale.low == -scale.high

    def test_the_position_is_the_same_for_both(self, qtbot: QtBot, window: Window) -> None:
        pin_and_look(qtbot, window, "conv1")
        show(window, "pinned")
        twin = window.inspector.twin_of(window.inspector.output)
        assert np.asarray(twin.gradient_grid.maps).size
        window.controller.stepping.go_to(after(window, "forward", "conv1"))
        assert np.asarray(twin.forward_grid.maps).size
        assert not np.asarray(twin.gradient_grid.maps).size
        assert "not predicted yet" in window.inspector.pin_bar.words.text()
        window.controller.stepping.go_to(0)
        assert not np.asarray(twin.forward_grid.maps).size

    def test_same_cell_same_zoom_same_ring(self, qtbot: QtBot, window: Window) -> None:
        pin_and_look(qtbot, window, "conv1")
        inspector = window.inspector
        window.resize(1280, 720)
        show(window, "pinned")
        twin = inspector.twin_of(inspector.output)
        cell = Cell("conv1", 0, (1, 4, 5))
        spot = twin.gradient_grid.rect_of(cell).center().toPoint()
        QTest.mouseClick(twin.gradient_grid, Qt.MouseButton.LeftButton, pos=spot)
        assert window.document.focus == cell
        assert window.controller.asking.place.direction == "gradient"
        twin.forward_grid.setFocus()
        QTest.keyClick(twin.forward_grid, Qt.Key.Key_Minus)
        for grid in (twin.forward_grid, twin.gradient_grid):
            assert ring_at(grid, cell)
        show(window, "this")
        for grid in (inspector.output.forward_grid, inspector.output.gradient_grid):
            assert grid.view == twin.forward_grid.view and not grid.view.fit
            qtbot.waitUntil(lambda grid=grid: ring_at(grid, cell))

    def test_one_scale_for_both_where_it_is_wanted(self, qtbot: QtBot, window: Window) -> None:
        pin_and_look(qtbot, window, "conv1")
        inspector = window.inspector
        show(window, "pinned")
        pair, twin = inspector.output, inspector.twin_of(inspector.output)
        arrays = [np.asarray(p.forward_grid.maps) for p in (pair, twin)]
        assert pair.forward_grid.scale == twin.forward_grid.scale == twin.forward_legend.scale
        assert twin.forward_grid.scale.low == min(a.min() for a in arrays)
        assert twin.forward_grid.scale.high == max(a.max() for a in arrays)
        assert pair.gradient_grid.scale == twin.gradient_grid.scale
        QTest.mouseClick(inspector.pin_bar.same_scale, Qt.MouseButton.LeftButton)
        assert twin.forward_grid.scale.high == arrays[1].max()
        assert pair.forward_grid.scale.high == arrays[0].max()
        QTest.mouseClick(inspector.pin_bar.same_scale, Qt.MouseButton.LeftButton)
        frozen = twin.forward_grid.scale
        QTest.mouseClick(twin.chooser.buttons["frozen"], Qt.MouseButton.LeftButton)
        window.controller.pictures.next()
        assert pair.forward_grid.scale == twin.forward_grid.scale == frozen
        QTest.mouseClick(twin.chooser.buttons["per channel"], Qt.MouseButton.LeftButton)
        assert twin.forward_grid.scale.per_channel and pair.forward_grid.scale.per_channel
        assert not inspector.pin_bar.same_scale.isEnabled()

    def test_stale_numbers_are_not_shown(self, qtbot: QtBot, window: Window) -> None:
        pin_and_look(qtbot, window, "conv1")
        inspector = window.inspector
        show(window, "pinned")
        twin = inspector.twin_of(inspector.output)
        d = window.document
        d.set_parameters({k: v * 1.5 for k, v in d.parameters.items()})
        assert window.controller.pinned.state == "stale"
        assert not np.asarray(twin.forward_grid.maps).size
        assert "stale" in inspector.pin_bar.words.text()
        assert "stale" in twin.forward_grid.accessibleDescription()
        assert theme.current().warning in inspector.pin_bar.words.styleSheet()
        qtbot.waitUntil(lambda: window.controller.pinned.state == "ready")
        assert "stale" not in inspector.pin_bar.words.text()
        now = window.controller.pinned.trace.look("value", ("conv1", 0))[0]
        assert np.array_equal(np.asarray(twin.forward_grid.maps), now)

    def test_the_winners_of_the_pinned_picture_are_marked(
        self, qtbot: QtBot, window: Window
    ) -> None:
        pin_and_look(qtbot, window, "pool1")
        inspector, pinned = window.inspector, window.controller.pinned
        show(window, "pinned")
        twin = inspector.twin_of(inspector.source)
        qtbot.waitUntil(lambda: twin.forward_grid.view.zoom >= 4)
        argmax = pinned.trace.look("saved", ("pool1", "argmax"))[0]
        theirs = window.document.trace.look("saved", ("pool1", "argmax"))[0]
        channel = inspector.which.currentIndex() - 1
        assert not np.array_equal(argmax[channel], theirs[channel])
        grid = twin.forward_grid
        picture = grid.grab().toImage()
        windows = {QColor(colour).rgb() for colour in theme.current().windows}
        for flat in np.setdiff1d(argmax[channel], []):
            row, column = divmod(int(flat), 8)
            at = grid.rect_of(Cell("relu1", 0, (channel, row, column))).center().toPoint()
            around = {picture.pixel(at + QPoint(dx, dy)) for dx in (-2, 0, 2) for dy in (-2, 0, 2)}
            marked = bool(around & windows)
            assert marked, (row, column)
        assert "won" in {entry.sign for entry in inspector.source_legend.entries}
        show(window, "difference")
        assert not inspector.source_legend.entries or not {
            entry.sign for entry in inspector.source_legend.entries
        } & {"won", "gets"}

    def test_the_head_says_which_picture_and_what_the_network_says(
        self, qtbot: QtBot, window: Window
    ) -> None:
        d = window.document
        pin_and_look(qtbot, window, "conv1", "forward", "conv1")
        words = window.inspector.pin_bar.words.text()
        assert words.startswith("Pinned: shows 7 · ") and "network" not in words
        window.controller.stepping.to_end()
        scores = window.controller.pinned.trace.look("value", ("linear1", 0))[0]
        assert f"network: {scores.argmax()} (" in window.inspector.pin_bar.words.text()
        assert d.sample is not window.controller.pinned.sample

    def test_wide_panels_show_both_and_narrow_ones_have_tabs(
        self, qtbot: QtBot, window: Window
    ) -> None:
        pin_and_look(qtbot, window, "conv1")
        inspector, tabs = window.inspector, window.inspector.pin_bar.tabs
        twin = inspector.twin_of(inspector.output)
        assert tabs.isTabVisible(0) and not twin.isVisible()
        inspector.setParent(None)
        inspector.resize(800, 700)
        inspector.show()
        QApplication.processEvents()
        assert not tabs.isTabVisible(0)
        assert twin.isVisible() and inspector.output.isVisible()
        assert twin.x() > inspector.output.x() and twin.y() == inspector.output.y()
        qtbot.waitUntil(lambda: twin.forward_grid.size() == inspector.output.forward_grid.size())
        assert twin.forward_grid.view == inspector.output.forward_grid.view
        inspector.resize(400, 1100)
        QApplication.processEvents()
        assert twin.isVisible() and inspector.output.isVisible()
        assert twin.y() > inspector.output.y() and twin.x() == inspector.output.x()
        grids = (twin.forward_grid, inspector.output.forward_grid)
        # an odd height cannot be shared out evenly
        qtbot.waitUntil(lambda: abs(grids[0].height() - grids[1].height()) <= 1)
        assert grids[0].view.zoom == grids[1].view.zoom
        inspector.close()
        inspector.deleteLater()

    def test_both_look_at_the_same_channel_when_the_panel_grows(
        self, qtbot: QtBot, window: Window
    ) -> None:
        pin_and_look(qtbot, window, "pool1", "backward", "pool1")
        inspector = window.inspector
        inspector.setParent(None)
        inspector.show()
        pair, twin = inspector.source, inspector.twin_of(inspector.source)
        for width in (700, 900, 760):
            inspector.resize(width, 900)
            qtbot.waitUntil(lambda: twin.forward_grid.size() == pair.forward_grid.size())
            assert twin.isVisible() and pair.isVisible()
            qtbot.waitUntil(lambda: twin.forward_grid.view == pair.forward_grid.view)
            assert not pair.forward_grid.view.fit
        assert inspector.pool_note.text().startswith("This picture: ")
        window.controller.pinned.unpin()
        assert not inspector.pool_note.text().startswith("This picture: ")
        inspector.close()
        inspector.deleteLater()

    def test_command_button_and_undo(self, qtbot: QtBot, window: Window) -> None:
        action = window.actions_by_id["sample.pin"]
        QTest.keyClick(window, Qt.Key.Key_P, Qt.KeyboardModifier.ControlModifier)
        assert window.controller.pinned.sample is window.document.sample
        assert action.isChecked() and window.sample_bar.pin.isChecked()
        assert not window.document.modified and window.controller.undo_stack.count() == 0
        window.controller.layers.change_layer("conv1", REGISTRY["Conv2d"](4, 3, padding=1))
        window.controller.undo()
        assert window.controller.pinned.sample is window.document.sample
        assert window.inspector.pin_bar.isVisible()
        QTest.mouseClick(window.inspector.pin_bar.unpin, Qt.MouseButton.LeftButton)
        assert window.controller.pinned.sample is None
        assert not action.isChecked() and not window.sample_bar.pin.isChecked()
        assert not window.inspector.pin_bar.isVisible()
        assert window.inspector.output.isVisible()

    def test_weights_have_the_pinned_pictures_gradient(self, qtbot: QtBot, window: Window) -> None:
        pin_and_look(qtbot, window, "conv1", "backward", "conv1")
        window.inspector.show_tab("weights")
        show(window, "pinned")
        twin = window.inspector.twin_of(window.inspector.weights)
        theirs = window.controller.pinned.trace.look("param_grad", ("conv1", "weight"))
        mine = window.document.trace.look("param_grad", ("conv1", "weight"))
        assert np.array_equal(np.asarray(twin.gradient_grid.maps).reshape(theirs.shape), theirs)
        assert not np.array_equal(mine, theirs)

    def test_copying_the_difference_as_csv_and_marking_what_is_no_number(
        self, qtbot: QtBot, window: Window
    ) -> None:
        pin_and_look(qtbot, window, "conv1")
        show(window, "difference")
        d = window.document
        x = d.sample.x.copy()
        x[0, 4, 4] = np.inf
        d.set_sample(replace(d.sample, x=x))
        qtbot.waitUntil(lambda: d.run.complete)
        twin = window.inspector.twin_of(window.inspector.output)
        grid = twin.forward_grid
        maps = np.asarray(grid.maps)
        assert not np.isfinite(maps).all() and np.isfinite(maps[:, 0]).all()
        assert twin.forward_legend.special_texts()
        menu = grid.context_menu(Cell("conv1", 0, (0, 1, 1)))
        next(a for a in menu.actions() if "CSV" in a.text()).trigger()
        rows = QGuiApplication.clipboard().text().split("\n\n")[0].split("\n")
        copied = np.array([[float(v) for v in row.split(",")] for row in rows])
        assert np.array_equal(copied, maps[0], equal_nan=True)

    def test_a_recorded_run_is_pinned_as_it_was_and_then_runs_anew(
        self, qtbot: QtBot, window: Window, tmp_path: Path
    ) -> None:
        path = tmp_path / "run.gftrace"
        window.run_files.save(path)
        qtbot.waitUntil(path.exists)
        assert window.controller.projects.open(path)
        qtbot.waitUntil(lambda: isinstance(window.document.run, Replay))
        pinned, d = window.controller.pinned, window.document
        pinned.pin()
        assert pinned.state == "ready" and pinned.trace is d.trace
        x, label = d.x, d.run.target
        window.controller.pictures.next()
        assert not isinstance(d.run, Replay)
        qtbot.waitUntil(lambda: pinned.state == "ready")
        alone = run_alone(d, x, label)
        for kind, ref in (("value", ("linear1", 0)), ("grad", ("conv1", 0))):
            assert np.array_equal(pinned.trace.look(kind, ref), alone.look(kind, ref))
