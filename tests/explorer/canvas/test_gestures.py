"""Everything that is done with the mouse and the keys, by real events, and what it asks for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QContextMenuEvent, QHelpEvent, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMenu, QToolTip

from engine.building_blocks import Block
from engine.cell import Cell
from engine.explain import Place
from engine.graph import Graph, Input, Node
from engine.layers.add import Add
from engine.layers.conv2d import Conv2d
from engine.layers.flatten import Flatten
from engine.layers.linear import Linear
from engine.layers.relu import ReLU
from engine.trace import Step, Trace
from explorer import dragged_blocks, theme
from explorer.canvas import Canvas

Run = tuple[Graph, Trace, list[Step]]
CONTROL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
ALT = Qt.KeyboardModifier.AltModifier


@pytest.fixture
def small() -> Graph:
    """image → a → b → join(a) → fc, where fc does not fit and offers to add a Flatten."""
    return Graph(
        (Input("image", (1, 8, 8)),),
        (
            Node("a", Conv2d(4, 3, padding=1), (("image", 0),)),
            Node("b", ReLU(), (("a", 0),)),
            Node("join", Add(), (("a", 0), ("b", 0))),
            Node("wide", Conv2d(8, 3, padding=1), (("join", 0),)),
            Node("fc", Linear(3), (("wide", 0),)),
            Node("loose", ReLU(), (None,)),
        ),
    )


def wheel(canvas: Canvas, at: QPoint, delta: int, held: Any = None, pixels: int = 0) -> None:
    event = QWheelEvent(
        QPointF(at),
        QPointF(canvas.viewport().mapToGlobal(at)),
        QPoint(0, pixels),
        QPoint(0, delta),
        Qt.MouseButton.NoButton,
        held or Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.ScrollUpdate if pixels else Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(canvas.viewport(), event)


def empty_place(stage: Any) -> QPoint:
    """A pixel far from every card and edge."""
    return QPoint(stage.canvas.viewport().width() - 12, 12)


# ---- palette -------------------------------------------------------------------------------


def test_a_layer_dropped_on_an_edge_is_inserted(stage: Any, small: Graph) -> None:
    stage.show(small)
    at = stage.edge("wide")
    assert stage.drop(ReLU(), at, let_go=False)
    edge = stage.canvas.network.edges["wide", 0]
    assert edge.mark == "target"
    shot = stage.picture()
    assert shot.pixelColor(at) == QColor(theme.current().success) or stage.canvas.bubble.isVisible()
    assert "between join and wide" in stage.canvas.bubble.text
    assert stage.requests == []
    stage.drop(ReLU(), at)
    ((layer, reader, slot, x, y),) = stage.named("insert")
    assert (layer, reader, slot) == (ReLU(), "wide", 0)
    assert np.isfinite([x, y]).all()
    assert edge.mark == "" and not stage.canvas.bubble.isVisible()


def test_edges_that_take_a_layer_light_up_and_others_do_not(stage: Any, small: Graph) -> None:
    stage.show(small)
    edges = stage.canvas.network.edges
    assert stage.drop(Conv2d(4, 3), empty_place(stage), let_go=False)
    assert {key for key, edge in edges.items() if edge.mark == "legal"} == edges.keys()
    stage.drop(Conv2d(4, 3), empty_place(stage))
    # Behind a Flatten there are no maps, which a convolution needs.
    stage.show(small.insert(Node("flat", Flatten(), ()), "fc", 0))
    edges = stage.canvas.network.edges
    assert stage.drop(Conv2d(4, 3), empty_place(stage), let_go=False)
    assert {key for key, edge in edges.items() if not edge.mark} == {("fc", 0)}
    assert not stage.drop(Conv2d(4, 3), stage.edge("fc"))
    assert all(not edge.mark for edge in edges.values())


def test_a_block_is_dropped_on_edge_card_and_nothing(stage: Any, small: Graph) -> None:
    stage.show(small)
    block = Block("residual")
    assert stage.drop_mime(dragged_blocks.mime_of(block), stage.edge("wide"))
    assert stage.named("insert_block") == [(block, (("wide", 0),))]
    assert stage.drop_mime(dragged_blocks.mime_of(block), stage.header("b"), let_go=False)
    assert stage.canvas.network.items_by_id["b"].mark == "legal"
    assert "Replace b by Residual block" in stage.canvas.bubble.text
    stage.drop_mime(dragged_blocks.mime_of(block), stage.header("b"))
    assert stage.named("put_instead") == [(block, frozenset({"b"}))]
    assert stage.drop_mime(dragged_blocks.mime_of(block), empty_place(stage))
    assert [args[0] for args in stage.named("add_block")] == [block]
    assert all(not edge.mark for edge in stage.canvas.network.edges.values())


def test_an_illegal_drop_of_a_block_says_why(stage: Any, small: Graph) -> None:
    stage.show(small.insert(Node("flat", Flatten(), ()), "fc", 0))
    mime = dragged_blocks.mime_of(Block("inception"))
    assert not stage.drop_mime(mime, stage.edge("fc"), let_go=False)
    assert "expected maps (C, H, W)" in stage.canvas.bubble.text
    assert not stage.drop_mime(mime, stage.header("join"), let_go=False)
    assert "expected one tensor in and one out, received 2 and 1" in stage.canvas.bubble.text
    assert not stage.drop_mime(mime, stage.header("image"), let_go=False)
    assert "image is not a layer" in stage.canvas.bubble.text
    broken = QMimeData()
    broken.setData(dragged_blocks.BLOCK_MIME, b'{"kind": "nonsense", "width": 0, "stride": 1}')
    assert not stage.drop_mime(broken, stage.edge("wide"))
    assert "Expected a block of this program" in stage.canvas.bubble.text
    assert stage.requests == []


def test_a_layer_dropped_on_nothing_is_added_under_the_mouse(stage: Any, small: Graph) -> None:
    stage.show(small)
    at = empty_place(stage)
    assert stage.drop(Conv2d(8, 3), at)
    ((layer, x, y),) = stage.named("add")
    assert layer == Conv2d(8, 3)
    middle = stage.canvas.to_scene(at)
    assert x < middle.x() < x + 400 and y < middle.y() < y + 200


def test_a_layer_dropped_on_an_empty_canvas_is_added(stage: Any) -> None:
    stage.show(Graph())
    assert stage.drop(ReLU(), QPoint(300, 300))
    assert len(stage.named("add")) == 1


def test_a_layer_dropped_on_a_card_replaces_it(stage: Any, small: Graph) -> None:
    stage.show(small)
    assert stage.drop(Conv2d(4, 3, padding=1), stage.header("b"))
    assert stage.named("replace") == [("b", Conv2d(4, 3, padding=1))]


def test_ports_of_a_small_network_are_seen_and_met_far_out_too(stage: Any, small: Graph) -> None:
    stage.show(small, zoom=0.2, centre="wide")
    assert stage.canvas.network.far
    shot = stage.picture()
    assert shot.pixelColor(stage.output("wide")) == QColor(theme.current().surface)
    start, end = stage.output("b"), stage.input("loose")
    stage.drag(start, end)
    assert stage.named("connect") == [(("b", 0), "loose", 0)]
    # A card is still moved by its middle.
    middle = stage.pixel(stage.canvas.network.items_by_id["wide"].scene_rect().center())
    stage.drag(middle, middle + QPoint(60, 0))
    assert list(stage.named("move")[0][0]) == ["wide"]
    stage.canvas.set_zoom(0.1)
    assert not stage.canvas.network.ports_shown


def test_an_illegal_drop_says_why_and_asks_for_nothing(stage: Any, small: Graph) -> None:
    stage.show(small)
    # The input is no layer.
    assert not stage.drop(ReLU(), stage.header("image"), let_go=False)
    assert stage.canvas.network.items_by_id["image"].mark == "illegal"
    assert "image" in stage.canvas.bubble.text and stage.canvas.bubble.mark == "illegal"
    # A ReLU takes one input, the Add has two.
    assert not stage.drop(ReLU(), stage.header("join"))
    assert stage.requests == []
    assert stage.canvas.network.items_by_id["join"].mark == ""


def test_a_layer_that_does_not_fit_yet_is_taken_with_a_warning(stage: Any, small: Graph) -> None:
    stage.show(small)
    assert stage.drop(Linear(5), stage.edge("b"), let_go=False)
    assert stage.canvas.bubble.mark == "warning"
    assert "Add Flatten" in stage.canvas.bubble.text


def test_a_foreign_or_damaged_drag_is_refused(stage: Any, small: Graph) -> None:
    stage.show(small)
    text = QMimeData()
    text.setText("hello")
    assert not stage.drop_mime(text, QPoint(300, 300))
    for damaged in (
        b"{",
        b'{"kind": "Nothing"}',
        b'{"kind": "Conv2d", "stride": 0}',
        b"[1]",
        b"\xff",
    ):
        mime = QMimeData()
        mime.setData("application/x-gradient-flow-layer", damaged)
        assert not stage.drop_mime(mime, QPoint(300, 300))
    assert stage.requests == []


# ---- connections ---------------------------------------------------------------------------


def test_a_wire_from_a_port_lights_up_where_it_may_end(stage: Any, small: Graph) -> None:
    stage.show(small)
    items = stage.canvas.network.items_by_id
    stage.drag(stage.output("b"), empty_place(stage), release=False)
    marks = {name: item.mark for name, item in items.items()}
    assert marks["loose"] == "legal" and marks["join"] == "legal"
    # Its own sources would make a circle, the input takes nothing.
    assert marks["a"] == marks["image"] == marks["b"] == ""
    QTest.mouseRelease(stage.canvas.viewport(), Qt.MouseButton.LeftButton, pos=empty_place(stage))
    assert stage.requests == [] and items["loose"].mark == ""


def test_a_wire_dropped_on_a_port_connects(stage: Any, small: Graph) -> None:
    stage.show(small)
    stage.drag(stage.output("b"), stage.input("loose"))
    assert stage.named("connect") == [(("b", 0), "loose", 0)]


def test_a_wire_dropped_on_a_card_takes_its_open_input(stage: Any, small: Graph) -> None:
    stage.show(small)
    stage.drag(stage.output("b"), stage.header("join"))
    assert stage.named("connect") == [(("b", 0), "join", 2)]


def test_a_wire_may_be_drawn_backwards(stage: Any, small: Graph) -> None:
    stage.show(small)
    stage.drag(stage.input("loose"), stage.output("wide"))
    assert stage.named("connect") == [(("wide", 0), "loose", 0)]


def test_a_circle_is_refused_and_says_so_before_the_drop(stage: Any, small: Graph) -> None:
    stage.show(small)
    stage.drag(stage.output("join"), stage.input("a"), release=False)
    assert stage.canvas.network.items_by_id["a"].mark == "illegal"
    assert "circle" in stage.canvas.bubble.text
    QTest.mouseRelease(stage.canvas.viewport(), Qt.MouseButton.LeftButton, pos=stage.input("a"))
    assert stage.requests == []


def test_a_connection_whose_shapes_contradict_names_both(stage: Any, small: Graph) -> None:
    graph = small.add(Node("flat", Flatten(), (("image", 0),))).add(
        Node("out", Linear(3), (("flat", 0),))
    )
    stage.show(graph)
    stage.drag(stage.output("flat"), stage.input("b"), release=False)
    # It changes b to a vector: then the Add breaks, which is said but allowed.
    assert stage.canvas.bubble.mark == "warning" and "join" in stage.canvas.bubble.text
    QTest.mouseRelease(stage.canvas.viewport(), Qt.MouseButton.LeftButton, pos=stage.input("b"))
    assert stage.named("connect") == [(("flat", 0), "b", 0)]
    stage.requests.clear()
    stage.drag(stage.output("out"), stage.input("wide"))
    assert stage.requests == []  # circle-free, but a convolution cannot read a vector


def test_an_edge_is_picked_up_at_its_end_and_put_elsewhere(stage: Any, small: Graph) -> None:
    stage.show(small)
    stage.drag(stage.input("wide"), stage.input("loose"))
    assert stage.named("connect") == [(("join", 0), "loose", 0)]
    assert stage.named("disconnect") == [("wide", 0)]


def test_an_edge_dropped_into_the_void_is_disconnected(stage: Any, small: Graph) -> None:
    stage.show(small)
    stage.drag(stage.edge("fc"), empty_place(stage))
    assert stage.named("disconnect") == [("fc", 0)]
    assert len(stage.requests) == 1


def test_a_loss_keeps_its_input(stage: Any, lenet: Run) -> None:
    graph = lenet[0]
    loss = graph.losses[0].id
    stage.show(graph)
    stage.drag(stage.input(loss), empty_place(stage))
    assert stage.requests == [] and "loss" in stage.canvas.bubble.text


def test_an_edge_put_back_where_it_was_changes_nothing(stage: Any, small: Graph) -> None:
    stage.show(small)
    at = stage.input("wide")
    stage.drag(at, at + QPoint(1, 1) + QPoint(20, 3), release=False)
    QTest.mouseMove(stage.canvas.viewport(), at)
    QTest.mouseRelease(stage.canvas.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert stage.requests == []
    assert stage.canvas.network.edges["wide", 0].isVisible()


# ---- cards ---------------------------------------------------------------------------------


def test_a_card_is_moved_by_its_body_and_the_request_comes_at_the_end(
    stage: Any, small: Graph
) -> None:
    stage.show(small, 1.0, "b")
    item = stage.canvas.network.items_by_id["b"]
    start, before = stage.header("b"), QPointF(item.pos())
    stage.drag(start, start + QPoint(60, -24), release=False)
    assert stage.named("move") == []
    assert item.pos() == before + QPointF(60, -24)
    QTest.mouseRelease(
        stage.canvas.viewport(), Qt.MouseButton.LeftButton, pos=start + QPoint(60, -24)
    )
    ((moved,),) = stage.named("move")
    assert moved == {"b": (before.x() + 60, before.y() - 24)}
    # What the document says counts: the old layout puts it back.
    inferred = small.infer()
    stage.canvas.set_network(small, stage.positions, inferred, small.costs(inferred.specs))
    assert item.pos() == before


def test_all_selected_cards_move_together(stage: Any, small: Graph) -> None:
    stage.show(small, 0.8, "b")
    stage.canvas.set_selection(frozenset({"a", "b"}))
    start = stage.header("b")
    stage.drag(start, start + QPoint(40, 16))
    ((moved,),) = stage.named("move")
    assert set(moved) == {"a", "b"}
    for name, (x, y) in moved.items():
        old = stage.positions[name]
        assert (x - old[0], y - old[1]) == pytest.approx((50, 20), abs=0.01)


def test_a_moved_card_lines_up_with_the_others(stage: Any, small: Graph) -> None:
    stage.show(small, 1.0, "b")
    start = stage.header("b")
    stage.drag(start, start + QPoint(4, 500))
    ((moved,),) = stage.named("move")
    assert moved["b"][0] == stage.positions["a"][0]  # 4 pixels off its column


def test_an_edit_from_elsewhere_ends_a_drag(stage: Any, small: Graph) -> None:
    stage.show(small)
    start = stage.header("loose")
    stage.drag(start, start + QPoint(60, 60), release=False)
    smaller = small.remove(["loose"])
    stage.show(smaller)
    assert "loose" not in stage.canvas.network.items_by_id
    QTest.mouseRelease(
        stage.canvas.viewport(), Qt.MouseButton.LeftButton, pos=start + QPoint(60, 60)
    )
    assert stage.named("move") == []


def test_escape_cancels_a_move(stage: Any, small: Graph) -> None:
    stage.show(small, 1.0, "b")
    start = stage.header("b")
    stage.drag(start, start + QPoint(60, 60), release=False)
    QTest.keyClick(stage.canvas, Qt.Key.Key_Escape)
    QTest.mouseRelease(
        stage.canvas.viewport(), Qt.MouseButton.LeftButton, pos=start + QPoint(60, 60)
    )
    item = stage.canvas.network.items_by_id["b"]
    assert (item.pos().x(), item.pos().y()) == stage.positions["b"]
    assert stage.named("move") == []


@pytest.mark.parametrize("held", [ALT, CONTROL])
def test_alt_and_control_drag_copies(stage: Any, small: Graph, held: Any) -> None:
    stage.show(small, 1.0, "b")
    start = stage.header("b")
    stage.drag(start, start + QPoint(80, 30), held)
    ((ids, x, y),) = stage.named("duplicate")
    assert (ids, x, y) == (frozenset({"b"}), 80, 30)
    assert stage.named("move") == []


def test_a_rubber_band_selects_what_it_touches(stage: Any, small: Graph) -> None:
    stage.show(small)
    network = stage.canvas.network
    box = network.items_by_id["a"].scene_rect().united(network.items_by_id["b"].scene_rect())
    start = stage.pixel(box.topLeft()) - QPoint(8, 4)
    end = stage.pixel(box.bottomRight()) - QPoint(20, 20)
    assert network.node_at(stage.canvas.to_scene(start)) is None
    stage.drag(start, end, release=False)
    shot = stage.picture()
    rim = [shot.pixelColor(start.x() + dx, start.y() + 40) for dx in range(-2, 3)]
    assert QColor(theme.current().accent) in rim
    QTest.mouseRelease(stage.canvas.viewport(), Qt.MouseButton.LeftButton, pos=end)
    expected = {
        name for name, item in network.items_by_id.items() if item.scene_rect().intersects(box)
    }
    assert stage.named("select")[-1] == (frozenset(expected),)
    assert {"a", "b"} <= expected


def test_clicks_select_and_shift_and_control_add(stage: Any, small: Graph) -> None:
    stage.show(small)
    view, left = stage.canvas.viewport(), Qt.MouseButton.LeftButton
    QTest.mouseClick(view, left, pos=stage.header("a"))
    QTest.mouseClick(view, left, CONTROL, stage.header("b"))
    QTest.mouseClick(view, left, SHIFT, stage.header("wide"))
    QTest.mouseClick(view, left, CONTROL, stage.header("a"))
    found = [ids for (ids,) in stage.named("select")]
    assert found == [{"a"}, {"a", "b"}, {"a", "b", "wide"}, {"b", "wide"}]
    assert stage.canvas.network.items_by_id["b"].selected
    QTest.mouseClick(view, left, pos=empty_place(stage))
    assert stage.named("select")[-1] == (frozenset(),)


def test_a_click_on_a_channel_focuses_the_cell_under_the_mouse(stage: Any, resnet: Run) -> None:
    graph, trace, steps = resnet
    name = next(n.id for n in graph.nodes if isinstance(n.layer, Conv2d))
    stage.show(graph, 1.5, name)
    stage.canvas.set_run(trace, len(steps))
    item = stage.canvas.network.items_by_id[name]
    for show, side in (("value", "forward"), ("grad", "gradient")):
        _, cell = item.picture(show).rects_of((3, 5, 2))
        at = stage.pixel(item.pos() + item.strip_corner(show) + cell.center())
        QTest.mouseClick(stage.canvas.viewport(), Qt.MouseButton.LeftButton, pos=at)
        assert stage.named("focus")[-1] == (Place(Cell(name, 0, (3, 5, 2)), side),)
    assert stage.canvas.network.selection == {name}


def test_a_fix_button_asks_for_its_fix(stage: Any, small: Graph) -> None:
    stage.show(small, 1.0, "fc")
    item = stage.canvas.network.items_by_id["fc"]
    ((rect, fix),) = item.buttons()
    at = stage.pixel(item.pos() + rect.center())
    stage.drag(at, at + QPoint(0, -60))  # released elsewhere: nothing
    assert stage.requests == []
    QTest.mouseClick(stage.canvas.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert stage.requests == [("fix", ("fc", fix))] and fix.text == "Add Flatten"


def test_a_double_click_opens(stage: Any, small: Graph) -> None:
    stage.show(small)
    QTest.mouseDClick(stage.canvas.viewport(), Qt.MouseButton.LeftButton, pos=stage.header("a"))
    assert stage.named("open") == [("a",)]


# ---- the view ------------------------------------------------------------------------------


def test_the_wheel_zooms_at_the_mouse(stage: Any, small: Graph) -> None:
    stage.show(small)
    at = stage.header("wide")
    under, zoom = stage.canvas.to_scene(at), stage.canvas.zoom
    wheel(stage.canvas, at, 240)
    assert stage.canvas.zoom > zoom * 1.2
    after = stage.canvas.to_scene(at)
    assert (after.x(), after.y()) == pytest.approx((under.x(), under.y()), abs=1.5)
    for _ in range(60):
        wheel(stage.canvas, at, 240)
    assert stage.canvas.zoom == 4.0
    for _ in range(60):
        wheel(stage.canvas, at, -240)
    assert stage.canvas.zoom == 0.05
    assert stage.requests == []


def test_a_trackpad_scrolls(stage: Any, small: Graph) -> None:
    stage.show(small, 1.0, "b")
    zoom, before = stage.canvas.zoom, stage.header("b")
    wheel(stage.canvas, QPoint(400, 300), 30, pixels=30)
    assert stage.canvas.zoom == zoom
    assert stage.header("b") - before == QPoint(0, 30)


def test_the_middle_button_pans(stage: Any, small: Graph) -> None:
    stage.show(small, 1.0, "b")
    before = stage.header("b")
    stage.drag(QPoint(300, 300), QPoint(390, 260), button=Qt.MouseButton.MiddleButton)
    assert stage.header("b") - before == QPoint(90, -40)
    assert stage.requests == []


def test_shift_and_wheel_page_the_channels(stage: Any, resnet: Run) -> None:
    graph, trace, steps = resnet
    name = next(n.id for n in graph.nodes if isinstance(n.layer, Conv2d))
    stage.show(graph, 1.0, name)
    stage.canvas.set_run(trace, len(steps))
    item = stage.canvas.network.items_by_id[name]
    zoom = stage.canvas.zoom
    for delta, page in ((-120, 1), (-120, 1), (120, 0), (120, 0)):
        wheel(stage.canvas, stage.header(name), delta, SHIFT)
        assert item.page == page
    assert stage.canvas.zoom == zoom and item.pages == 2


def test_fit_shows_everything_and_keeps_doing_so(stage: Any, lenet: Run) -> None:
    stage.show(lenet[0])
    stage.canvas.set_run(lenet[1], len(lenet[2]))
    canvas = stage.canvas
    for size in ((1280, 720), (900, 500), (1600, 1000)):
        canvas.resize(*size)
        QApplication.processEvents()
        for item in canvas.network.items_by_id.values():
            box = canvas.viewportTransform().mapRect(item.scene_rect())
            assert canvas.viewport().rect().contains(box.toAlignedRect())
            assert box.bottom() < canvas.legend.y() + 1
    canvas.set_zoom(1.0)
    canvas.center_on("conv2")
    canvas.resize(1000, 600)
    middle = canvas.network.items_by_id["conv2"].scene_rect().center()
    centre = canvas.to_scene(canvas.viewport().rect().center())
    assert (centre.x(), centre.y()) == pytest.approx((middle.x(), middle.y()), abs=2)
    assert canvas.zoom == 1.0


def test_the_minimap_goes_where_it_is_clicked(stage: Any, lenet: Run) -> None:
    stage.show(lenet[0], 1.0)
    canvas = stage.canvas
    assert not canvas.minimap.isVisible()
    QTest.keyClick(canvas, Qt.Key.Key_M)
    assert canvas.minimap.isVisible()
    where: list[QPointF] = []
    canvas.minimap.went.connect(where.append)
    QTest.mouseClick(canvas.minimap, Qt.MouseButton.LeftButton, pos=canvas.minimap.rect().center())
    middle = canvas.network.content().center()
    assert (where[0].x(), where[0].y()) == pytest.approx((middle.x(), middle.y()), abs=20)
    centre = canvas.to_scene(canvas.viewport().rect().center())
    assert (centre.x(), centre.y()) == pytest.approx((where[0].x(), where[0].y()), abs=2)
    QTest.keyClick(canvas, Qt.Key.Key_M)
    assert not canvas.minimap.isVisible()


# ---- keys, menu, tips ----------------------------------------------------------------------


def test_arrows_travel_along_the_edges(stage: Any, small: Graph) -> None:
    stage.show(small)
    for key, name in (
        (Qt.Key.Key_Down, "image"),
        (Qt.Key.Key_Down, "a"),
        (Qt.Key.Key_Down, "b"),
        (Qt.Key.Key_Down, "join"),
        (Qt.Key.Key_Down, "wide"),
        (Qt.Key.Key_Up, "join"),
    ):
        QTest.keyClick(stage.canvas, key)
        assert stage.named("select")[-1] == (frozenset({name}),)
    QTest.keyClick(stage.canvas, Qt.Key.Key_Up, SHIFT)
    assert len(stage.named("select")[-1][0]) == 2


def test_control_and_arrows_nudge(stage: Any, small: Graph) -> None:
    stage.show(small)
    stage.canvas.set_selection(frozenset({"a"}))
    QTest.keyClick(stage.canvas, Qt.Key.Key_Right, CONTROL)
    ((moved,),) = stage.named("move")
    assert moved == {"a": (stage.positions["a"][0] + 8, stage.positions["a"][1])}


@pytest.mark.parametrize(
    ("key", "request_name"),
    [
        (Qt.Key.Key_Space, "next"),
        (Qt.Key.Key_N, "next"),
        (Qt.Key.Key_B, "back"),
        (Qt.Key.Key_Delete, "delete"),
        (Qt.Key.Key_Return, "open"),
        (Qt.Key.Key_Escape, "select"),
    ],
)
def test_keys_ask(stage: Any, small: Graph, key: Any, request_name: str) -> None:
    stage.show(small)
    stage.canvas.set_selection(frozenset({"b"}))
    QTest.keyClick(stage.canvas, key)
    assert [name for name, _ in stage.requests] == [request_name]


def test_keys_of_the_view_ask_for_nothing(stage: Any, small: Graph) -> None:
    stage.show(small, 1.0)
    for key, check in (
        (Qt.Key.Key_Plus, lambda z: z > 1.2),
        (Qt.Key.Key_1, lambda z: z == 1.0),
        (Qt.Key.Key_Minus, lambda z: z < 0.9),
    ):
        QTest.keyClick(stage.canvas, key)
        assert check(stage.canvas.zoom)
    QTest.keyClick(stage.canvas, Qt.Key.Key_F)
    assert stage.requests == []
    QTest.keyClick(stage.canvas, Qt.Key.Key_A, CONTROL)
    assert stage.named("select") == [(frozenset(stage.canvas.network.items_by_id),)]
    QTest.keyClick(stage.canvas, Qt.Key.Key_D, CONTROL | Qt.KeyboardModifier.ShiftModifier)
    assert len(stage.named("duplicate")) == 1


def menu_of(stage: Any, at: QPoint) -> dict[str, Any]:
    event = QContextMenuEvent(
        QContextMenuEvent.Reason.Mouse, at, stage.canvas.viewport().mapToGlobal(at)
    )
    QApplication.sendEvent(stage.canvas.viewport(), event)
    menu = stage.canvas.findChildren(QMenu, "canvas_menu")[-1]
    actions = {a.text(): a for a in menu.actions() if a.text()}
    for action in list(actions.values()):
        if action.menu() is not None:
            actions |= {f"{action.text()}/{a.text()}": a for a in action.menu().actions()}
    actions["menu"] = menu
    return actions


def test_the_menu_offers_every_edit(stage: Any, small: Graph) -> None:
    stage.show(small)
    actions = menu_of(stage, stage.header("join"))
    for text in ("Open", "Run to here", "Disconnect from b", "Duplicate", "Delete"):
        actions[text].trigger()
    actions["Connect its output to/loose, input 1"].trigger()
    actions["menu"].close()
    asked = dict(stage.requests)
    assert asked["open"] == ("join",) and asked["run_to"] == ("join",)
    assert asked["disconnect"] == ("join", 1)
    assert asked["delete"] == (frozenset({"join"}),)
    assert asked["connect"] == (("join", 0), "loose", 0)
    assert asked["duplicate"][0] == {"join"}
    # Nothing that would make a circle is offered.
    assert not any(text.startswith("Connect its output to/a,") for text in actions)


def test_the_menu_of_an_edge_disconnects_and_that_of_an_error_mends(
    stage: Any, small: Graph
) -> None:
    stage.show(small)
    actions = menu_of(stage, stage.edge("wide"))
    actions["Disconnect join from wide"].trigger()
    actions["menu"].close()
    assert stage.named("disconnect") == [("wide", 0)]
    actions = menu_of(stage, stage.header("fc"))
    actions["Add Flatten"].trigger()
    actions["menu"].close()
    ((name, fix),) = stage.named("fix")
    assert name == "fc" and fix.action == "insert"


def tip_at(stage: Any, at: QPoint) -> str:
    event = QHelpEvent(QEvent.Type.ToolTip, at, stage.canvas.viewport().mapToGlobal(at))
    QApplication.sendEvent(stage.canvas.viewport(), event)
    text = QToolTip.text()
    QToolTip.hideText()
    return text


def test_tips_tell_expected_received_and_remedy(stage: Any, small: Graph) -> None:
    stage.show(small)
    text = tip_at(stage, stage.header("fc"))
    assert (
        "Expected:" in text
        and "8 maps of 8×8" in text
        and "Received:" in text
        and "Flatten" in text
    )
    assert "4×8×8" in tip_at(stage, stage.output("a"))
    assert "open" in tip_at(stage, stage.input("loose"))
    assert "join → wide" in tip_at(stage, stage.edge("wide"))


def test_a_tip_over_a_channel_tells_the_number(stage: Any, resnet: Run) -> None:
    graph, trace, steps = resnet
    name = next(n.id for n in graph.nodes if isinstance(n.layer, Conv2d))
    stage.show(graph, 1.5, name)
    stage.canvas.set_run(trace, len(steps))
    item = stage.canvas.network.items_by_id[name]
    _, cell = item.picture("value").rects_of((1, 2, 3))
    at = stage.pixel(item.pos() + item.strip_corner("value") + cell.center())
    text = tip_at(stage, at)
    assert "cell 1, 2, 3" in text
    from explorer.tensors.scales import format_number

    assert format_number(float(trace.look("value", (name, 0))[0, 1, 2, 3]), 5) in text
    assert format_number(float(trace.look("grad", (name, 0))[0, 1, 2, 3]), 5) in text


def test_the_cursor_tells_what_a_press_would_do(stage: Any, small: Graph) -> None:
    stage.show(small, 1.0, "b")
    view = stage.canvas.viewport()
    shapes = {}
    for name, at in (
        ("card", stage.header("b")),
        ("port", stage.output("b")),
        ("void", empty_place(stage)),
    ):
        QTest.mouseMove(view, at)
        shapes[name] = view.cursor().shape()
    assert shapes == {
        "card": Qt.CursorShape.OpenHandCursor,
        "port": Qt.CursorShape.CrossCursor,
        "void": Qt.CursorShape.ArrowCursor,
    }


def test_it_has_a_name_and_takes_the_focus(stage: Any) -> None:
    assert stage.canvas.accessibleName() == "Network canvas"
    assert "Delete: delete the selection." in stage.canvas.accessibleDescription()
    assert stage.canvas.focusPolicy() == Qt.FocusPolicy.StrongFocus


def test_the_menu_key_opens_the_menu_of_the_selected_card(stage: Any, small: Graph) -> None:
    stage.show(small)
    stage.canvas.set_selection(frozenset({"join"}))
    at = QPoint(5, 5)
    event = QContextMenuEvent(QContextMenuEvent.Reason.Keyboard, at, stage.canvas.mapToGlobal(at))
    QApplication.sendEvent(stage.canvas, event)
    menu = stage.canvas.findChildren(QMenu, "canvas_menu")[-1]
    assert "Disconnect from b" in [a.text() for a in menu.actions()]
    menu.close()


def test_escape_cancels_a_drop_and_a_wire(stage: Any, small: Graph) -> None:
    stage.show(small)
    stage.drop(ReLU(), stage.edge("wide"), let_go=False)
    QTest.keyClick(stage.canvas, Qt.Key.Key_Escape)
    assert not stage.canvas.bubble.isVisible()
    assert stage.canvas.network.edges["wide", 0].mark == ""
    stage.drag(stage.output("b"), empty_place(stage), release=False)
    QTest.keyClick(stage.canvas, Qt.Key.Key_Escape)
    QTest.mouseRelease(stage.canvas.viewport(), Qt.MouseButton.LeftButton, pos=stage.input("loose"))
    assert stage.requests == []
    assert all(i.mark == "" for i in stage.canvas.network.items_by_id.values())
