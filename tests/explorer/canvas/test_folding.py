"""Folded blocks on the canvas: what is drawn, and what gestures on them ask for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from engine.architectures import ARCHITECTURES
from engine.graph import Graph
from engine.layers.linear import Linear
from engine.layers.relu import ReLU
from engine.trace import Step, Trace
from explorer import folding, theme
from explorer.canvas import geometry, picture, place
from explorer.canvas.tips import tip

Run = tuple[Graph, Trace, list[Step]]
LEFT = Qt.MouseButton.LeftButton
BLOCK = "stage2/block1"
CARD = f"{BLOCK}/"


def fold(stage: Any, graph: Graph, *paths: str) -> None:
    shown = folding.view(graph, paths)
    stage.positions = place(shown.graph)
    inferred = graph.infer()
    costs = graph.costs(inferred.specs)
    stage.canvas.set_network(graph, stage.positions, inferred, costs, frozenset(paths))
    stage.canvas.fit()
    QApplication.processEvents()


@pytest.fixture
def folded(stage: Any, resnet: Run) -> Any:
    fold(stage, resnet[0], BLOCK)
    requests = stage.requests
    for name in ("fold", "unfold", "insert_before", "group", "ungroup", "fold_all", "unfold_all"):
        signal = getattr(stage.canvas, f"{name}_requested")
        signal.connect(lambda *args, name=name: requests.append((name, args)))
    return stage


def test_only_what_changed_is_new_when_a_block_opens(folded: Any, resnet: Run) -> None:
    items = dict(folded.canvas.network.items_by_id)
    fold(folded, resnet[0])
    after = folded.canvas.network.items_by_id
    assert CARD not in after and all(after[name] is items[name] for name in items if name != CARD)
    assert set(after) == resnet[0].by_id.keys() | {"image", "loss"}


def test_a_run_shows_on_the_card_and_again_on_the_layers(folded: Any, resnet: Run) -> None:
    graph, trace, steps = resnet
    network = folded.canvas.network
    folded.canvas.set_run(trace, len(steps))
    card = network.items_by_id[CARD]
    assert np.array_equal(
        card.arrays["value"], trace.look("value", card.facts.shows, len(steps))[0]
    )
    assert np.array_equal(card.arrays["grad"], trace.look("grad", card.facts.shows, len(steps))[0])
    before = network.edges[CARD, 0].norm
    fold(folded, graph)
    # Open, the same gradient arrives in two parts and is added.
    entering = [("stage2/block1/conv1", 0), ("stage2/block1/shortcut/conv", 0)]
    parts = [trace.look("part", key, len(steps))[0].astype(np.float64) for key in entering]
    assert before == pytest.approx(np.linalg.norm(parts[0] + parts[1]), rel=1e-9)
    assert network.items_by_id["stage2/block1/relu2"].computed
    assert network.edges["stage2/block1/conv1", 0].norm == pytest.approx(np.linalg.norm(parts[0]))


def test_the_edges_of_a_step_inside_are_those_that_reach_it_from_outside(
    folded: Any, resnet: Run
) -> None:
    _, trace, steps = resnet
    folded.canvas.set_run(trace, len(steps))
    step = next(s for s in steps if s.phase == "forward" and s.node == f"{BLOCK}/conv1")
    folded.canvas.set_current(step)
    network = folded.canvas.network
    assert network.items_by_id[CARD].phase == "forward"
    assert network.edges_of_step(step) == {(CARD, 0)}
    within = next(s for s in steps if s.phase == "forward" and s.node == f"{BLOCK}/bn1")
    folded.canvas.set_current(within)
    assert network.items_by_id[CARD].phase == "forward"
    assert network.edges_of_step(within) == set()


def test_a_hidden_selection_shows_on_its_card(folded: Any) -> None:
    folded.canvas.set_selection(frozenset({f"{BLOCK}/bn2"}))
    assert [n for n, i in folded.canvas.network.items_by_id.items() if i.selected] == [CARD]
    folded.canvas.set_zoom(1.0)
    folded.canvas.center_on(f"{BLOCK}/bn2")
    folded.picture()
    shot = folded.picture()
    at = folded.pixel(folded.canvas.network.items_by_id[CARD].pos() + QPointF(60, 0))
    around = [shot.pixelColor(at + QPoint(0, d)) for d in range(-2, 3)]
    assert QColor(theme.current().accent) in around


def test_arrows_travel_by_cards_and_shift_extends_by_blocks(folded: Any, resnet: Run) -> None:
    canvas = folded.canvas
    canvas.set_selection(frozenset({"stage1/block1/relu2"}))
    QTest.keyClick(canvas, Qt.Key.Key_Down)
    members = {n for n in resnet[0].by_id if n.startswith(CARD)}
    assert folded.named("select")[-1] == (members,)
    QTest.keyClick(canvas, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    (grown,) = folded.named("select")[-1]
    assert members < grown and len(grown) == len(members) + 1
    canvas.set_selection(frozenset(members))
    QTest.keyClick(canvas, Qt.Key.Key_Right, Qt.KeyboardModifier.ControlModifier)
    ((moved,),) = folded.named("move")
    assert set(moved) == {CARD}
    QTest.keyClick(canvas, Qt.Key.Key_Return)
    assert folded.named("unfold") == [({BLOCK},)] and folded.named("open") == []


def test_a_wire_from_a_block_connects_its_tensor(folded: Any, resnet: Run) -> None:
    canvas = folded.canvas
    start, end = folded.output(CARD), folded.header("fc")
    QTest.mousePress(canvas.viewport(), LEFT, pos=start)
    folded.drag(start, end)
    (asked,) = folded.named("connect")
    assert asked[0] == (f"{BLOCK}/relu2", 0) and asked[1] == "fc"


def test_a_wire_onto_a_block_says_that_it_must_be_opened(folded: Any) -> None:
    folded.drag(folded.output("image"), folded.header(CARD), release=False)
    assert "Unfold stage2/block1" in folded.canvas.bubble.text
    assert folded.canvas.network.items_by_id[CARD].mark == "illegal"
    QTest.mouseRelease(folded.canvas.viewport(), LEFT, pos=folded.header(CARD))
    assert folded.named("connect") == []


def test_an_edge_that_feeds_several_layers_of_a_block_is_not_drawn_elsewhere(folded: Any) -> None:
    canvas = folded.canvas
    canvas.zoom_to({CARD})
    folded.drag(folded.input(CARD), QPoint(20, 20), release=False)
    assert "2 of its layers read this" in canvas.bubble.text
    QTest.mouseRelease(canvas.viewport(), LEFT, pos=QPoint(20, 20))
    assert folded.named("disconnect") == [] and canvas.network.edges[CARD, 0].isVisible()


def test_a_layer_dropped_on_such_an_edge_comes_before_all_of_them(folded: Any) -> None:
    assert folded.drop(ReLU(), folded.edge(CARD))
    ((layer, inputs, x, y),) = folded.named("insert_before")
    assert layer == ReLU() and np.isfinite([x, y]).all()
    assert inputs == (("stage2/block1/conv1", 0), ("stage2/block1/shortcut/conv", 0))


def test_a_layer_is_not_dropped_on_a_block(folded: Any) -> None:
    assert not folded.drop(ReLU(), folded.header(CARD), let_go=False)
    assert "stage2/block1 is a block" in folded.canvas.bubble.text


def test_a_rubber_band_around_a_card_selects_all_of_the_block(folded: Any, resnet: Run) -> None:
    canvas = folded.canvas
    rect = canvas.network.items_by_id[CARD].scene_rect()
    canvas.center_on(CARD)
    start = folded.pixel(rect.bottomLeft() + QPointF(-14, -20))
    folded.drag(start, folded.pixel(rect.bottomLeft() + QPointF(30, -30)))
    (ids,) = folded.named("select")[-1]
    assert ids == {n for n in resnet[0].by_id if n.startswith(CARD)}


def test_errors_inside_are_said_on_the_card(stage: Any, resnet: Run) -> None:
    broken = resnet[0].replace_node(f"{BLOCK}/bn1", layer=Linear(3))
    fold(stage, broken, BLOCK)
    facts = stage.canvas.network.items_by_id[CARD].facts
    assert facts.trouble is not None and f"{BLOCK}/bn1" in facts.trouble.text
    assert facts.trouble.text.startswith("1 to mend inside")


def test_the_tip_of_a_block_says_what_it_is(folded: Any) -> None:
    network = folded.canvas.network
    at = network.items_by_id[CARD].scene_rect().center()
    text = tip(network, at, 1.0)
    assert text.startswith("stage2/block1\n9 layers") and "stage2/block1/relu2" in text
    text = tip(network, folded.canvas.to_scene(folded.edge(CARD)), 5.0)
    assert "→ stage2/block1/conv1, stage2/block1/shortcut/conv" in text


def test_frames_hold_no_foreign_card(stage: Any) -> None:
    for name in ("resnet-digits", "googlenet-digits", "densenet-digits"):
        graph = ARCHITECTURES[name].build()
        fold(stage, graph)
        network = stage.canvas.network
        found = network.frames_item.frames
        assert {"stem", "stage1", "stage2"} <= {f.path for f in found} or name != "resnet-digits"
        for frame in found:
            for card, item in network.items_by_id.items():
                if not card.startswith(frame.path + "/"):
                    assert not frame.rect.adjusted(20, 20, -20, -20).intersects(item.scene_rect())


def test_a_click_on_a_glyph_asks_and_a_double_click_asks_once(folded: Any) -> None:
    canvas = folded.canvas
    canvas.zoom_to({CARD})
    item = canvas.network.items_by_id[CARD]
    at = folded.pixel(item.pos() + geometry.FOLD_GLYPH.center())
    view = canvas.viewport()
    QTest.mouseMove(view, at)
    assert item.fold_hovered and view.cursor().shape() == Qt.CursorShape.PointingHandCursor
    QTest.mouseClick(view, LEFT, pos=at)
    QTest.mouseDClick(view, LEFT, pos=at)
    assert folded.named("unfold") == [({BLOCK},)]


def test_a_picture_of_the_network_has_frames_and_stacks(folded: Any) -> None:
    made = picture.image(folded.canvas.network, 1.0)
    area = folded.canvas.network.content().adjusted(-16, -16, 16, 16)
    item = folded.canvas.network.items_by_id[CARD]
    edge = item.pos() + QPointF(geometry.WIDTH + 2.5, geometry.HEIGHT / 2) - area.topLeft()
    assert made.pixelColor(edge.toPoint()) == QColor(theme.current().surface_raised)
    assert b"stage2" in picture.svg(folded.canvas.network, "blocks")
