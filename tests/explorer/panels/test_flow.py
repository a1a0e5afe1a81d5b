"""The flow panel shows the engine's measurements, sorts them, and names the rule of a flag."""

import math

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor

from engine.flow import RULES, Flow, flow_of
from engine.graph import Graph, Node
from engine.layers import REGISTRY
from engine.statistics import statistics_of
from explorer import theme
from explorer.panels import FlowPanel
from explorer.panels.flow.words import MEASURES, ORDERS, amount, ordered, rules_of, text_of


def shown(qtbot, ran, position):
    panel = FlowPanel()
    qtbot.addWidget(panel)
    panel.resize(900, 240)
    panel.show()
    panel.set_run(ran.graph, ran.trace, position)
    asked = []
    panel.select_requested.connect(asked.append)
    if ran.trace is not None:
        wanted = flow_of(ran.graph, ran.trace, position)
        qtbot.waitUntil(lambda: panel.flows == wanted)
    return panel, asked


def choose(qtbot, box, name):
    """Choose an entry of a chooser with the keyboard."""
    wanted = box.findData(name)
    box.setFocus()
    key = Qt.Key.Key_Down if wanted > box.currentIndex() else Qt.Key.Key_Up
    for _ in range(abs(wanted - box.currentIndex())):
        qtbot.keyClick(box, key)
    assert box.currentData() == name


def test_bars_are_what_was_recorded_at_the_position(qtbot, ran):
    position = ran.after("backward", "pool2")
    panel, _ = shown(qtbot, ran, position)
    names = [flow.name for flow in panel.flows]
    assert names[0] == "image" and names[-1] == "fc"
    for flow in panel.flows:
        for kind, found in (("value", flow.value), ("grad", flow.gradient)):
            array = ran.trace.look(kind, flow.ref, position)
            if array is None:
                assert found is None
            else:
                assert found.norm == pytest.approx(np.linalg.norm(array.astype(float)), rel=1e-5)
    assert [flow.name for flow in panel.flows if flow.gradient is not None] == [
        "block/add",
        "pool2",
        "flatten",
        "fc",
    ]
    assert [flow.name for flow in panel.flows if flow.forked] == ["pool1"]


def test_click_and_arrow_keys_select(qtbot, ran):
    panel, asked = shown(qtbot, ran, len(ran.trace))
    at = panel.plot.rect_of(3).center().toPoint()
    qtbot.mouseClick(panel.plot.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert asked == [frozenset((panel.flows[3].ref[0],))]
    panel.set_selection(asked[-1])
    qtbot.keyClick(panel.plot, Qt.Key.Key_Right)
    assert asked[-1] == frozenset((panel.flows[4].ref[0],))


def test_bars_are_painted_by_their_logarithm_side_by_side(qtbot, ran):
    theme.set_mode("light")
    panel, _ = shown(qtbot, ran, len(ran.trace))
    image = panel.plot.viewport().grab().toImage()
    tokens = theme.current()
    heights, values = [], []
    for i, flow in enumerate(panel.flows):
        for bar, found, token in zip(
            panel.plot.bars_of(i),
            (flow.value, flow.gradient),
            (tokens.forward, tokens.backward),
            strict=True,
        ):
            x = int(bar.left() + bar.width() / 4)  # beside the diamond of the weights
            painted = [image.pixelColor(x, y) == QColor(token) for y in range(image.height())]
            marked = flow.forked and found is flow.gradient
            if not marked:
                assert sum(painted) == pytest.approx(bar.height(), abs=4)
            heights.append(bar.height())
            values.append(math.log10(found.norm))
    # equal ratios are equal distances, for activations and gradients on one axis
    slope, start = np.polyfit(values, heights, 1)
    assert slope > 5
    assert np.allclose(np.array(values) * slope + start, heights, atol=0.01)
    theme.set_mode("system")


@pytest.mark.parametrize("measure", MEASURES)
def test_each_measure_has_its_own_numbers(qtbot, ran, measure):
    panel, _ = shown(qtbot, ran, len(ran.trace))
    choose(qtbot, panel.measure, measure)
    for i, flow in enumerate(panel.flows):
        bars = panel.plot.bars_of(i)
        for bar, found in zip(bars, (flow.value, flow.gradient), strict=True):
            value = amount(found, measure)
            wanted = {
                "norm": found.norm,
                "mean": abs(found.mean),
                "spread": found.spread,
                "zeros": found.zeros / found.size,
            }[measure]
            assert value == wanted
            if measure == "zeros":
                assert bar.height() == pytest.approx(value * panel.plot.rect_of(i).height())
            elif not value:
                assert bar.height() == 0


def test_orders(qtbot, ran):
    panel, _ = shown(qtbot, ran, len(ran.trace))
    network = [flow.name for flow in panel.flows]

    def names_by(order):
        choose(qtbot, panel.order, order)
        return [flow.name for flow in panel.flows]

    gradients = {flow.name: flow.gradient.norm for flow in panel.flows}
    values = {flow.name: flow.value.norm for flow in panel.flows}
    ratios = {f.name: f.weight_ratio for f in panel.flows if f.weight_ratio is not None}
    assert names_by("gradient") == sorted(network, key=gradients.__getitem__)
    assert names_by("activation") == sorted(network, key=values.__getitem__, reverse=True)
    assert len(ratios) >= 2
    assert names_by("weights")[: len(ratios)] == sorted(ratios, key=ratios.get, reverse=True)
    assert names_by("network") == network
    assert set(ORDERS) == {panel.order.itemData(i) for i in range(panel.order.count())}
    flagged = Flow(("wrong", 0), flags=("dead",))
    assert ordered((*panel.flows, flagged), "flags", "norm")[0] == flagged
    unknown = Flow(("new", 0))
    assert ordered((unknown, *panel.flows), "gradient", "zeros")[-1] == unknown


def test_a_dead_layer_is_said_with_its_rule(qtbot, ran, run):
    # An input of a ReLU that is always negative passes nothing back.
    graph = Graph(
        inputs=ran.graph.inputs,
        nodes=(
            Node("conv", REGISTRY["Conv2d"](2, 3), (("image", 0),)),
            Node("flatten", REGISTRY["Flatten"](), (("conv", 0),)),
            Node("fc", REGISTRY["Linear"](2), (("flatten", 0),)),
            Node("relu", REGISTRY["ReLU"](), (("fc", 0),)),
            Node("out", REGISTRY["Linear"](3), (("relu", 0),)),
        ),
        losses=(type(ran.graph.losses[0])("loss", ran.graph.losses[0].function, ("out", 0)),),
    )
    for seed in range(40):
        other = run(graph, seed=seed)
        if not other.trace.look("value", ("relu", 0)).any():
            break
    else:
        pytest.fail("no seed with a dead layer")
    panel, _ = shown(qtbot, other, len(other.trace))
    flags = {flow.name: flow.flags for flow in panel.flows}
    assert flags["conv"] == flags["fc"] == ("no gradient",)
    assert flags["relu"] == flags["out"] == ("dead",)  # without a bias the scores are zero too
    lines = panel.rules.text().splitlines()
    assert panel.rules.isVisible() and len(lines) == 2
    assert lines[0].startswith("⚠ image, conv and 2 more no gradient: ")
    assert lines[0].endswith(RULES["no gradient"])
    assert lines[1] == f"⚠ relu, out dead: {RULES['dead']}"
    text = text_of(next(flow for flow in panel.flows if flow.name == "relu"))
    assert "2 of 2 units are dead" in text and RULES["dead"] in text


def test_a_healthy_run_has_no_rules_to_show(qtbot, ran):
    panel, _ = shown(qtbot, ran, len(ran.trace))
    assert rules_of(panel.flows) == "" and not panel.rules.isVisible()
    assert "‖∂W‖ / ‖W‖" in panel.legend.text().replace("&nbsp;", " ")


def test_words_of_a_tensor():
    values, gradient = np.array([[3.0, 0.0]]), np.array([[np.nan, 1.0]])
    flow = Flow(("a", 1), statistics_of(values), statistics_of(gradient), weight_ratio=0.5)
    lines = text_of(flow).splitlines()
    assert lines[0] == "a:1"
    assert lines[1] == "Activations: norm 3 · mean 1.5 · spread 1.5 · 50% zero"
    assert lines[2].endswith("1 not finite")
    assert lines[3] == "Weights: ‖gradient‖ / ‖weights‖ = 0.5"
    assert math.isnan(amount(flow.gradient, "norm"))


def test_hidden_it_measures_nothing_until_it_is_shown(qtbot, ran):
    panel = FlowPanel()
    qtbot.addWidget(panel)
    panel.resize(900, 240)
    panel.set_run(ran.graph, ran.trace, len(ran.trace))
    assert panel.flows == ()
    panel.show()
    qtbot.waitUntil(lambda: panel.flows == flow_of(ran.graph, ran.trace))


def test_before_anything_ran_the_panel_says_what_to_do(qtbot, ran):
    panel = FlowPanel()
    qtbot.addWidget(panel)
    panel.resize(900, 240)
    panel.show()
    panel.set_run(ran.graph, None, 0)
    assert panel.flows == ()
    assert panel.plot.accessibleDescription() == "Nothing has been computed yet"
    empty = panel.plot.viewport().grab().toImage()
    panel.set_run(Graph(), None, 0)
    assert panel.plot.viewport().grab().toImage() != empty


def test_a_kept_run_is_drawn_as_lines_across_another(qtbot, ran, run):
    theme.set_mode("light")
    panel, _ = shown(qtbot, ran, len(ran.trace))
    first = panel.flows
    assert panel.plot.lines_of(0) == (None, None)
    panel.keep.setFocus()
    qtbot.keyClick(panel.keep, Qt.Key.Key_Space)
    assert panel.plot.kept == first
    for i in range(len(first)):  # of the same run they lie on its bars
        for bar, line in zip(panel.plot.bars_of(i), panel.plot.lines_of(i), strict=True):
            assert line.y1() == pytest.approx(bar.top())
    other = run(ran.graph, seed=3)
    panel.set_run(other.graph, other.trace, len(other.trace))
    qtbot.waitUntil(lambda: panel.flows == flow_of(other.graph, other.trace))
    assert panel.plot.kept == first
    column = panel.plot.rect_of(0)
    moved = 0
    for i, (now, then) in enumerate(zip(panel.flows, first, strict=True)):
        for bar, line, found, before in zip(
            panel.plot.bars_of(i),
            panel.plot.lines_of(i),
            (now.value, now.gradient),
            (then.value, then.gradient),
            strict=True,
        ):
            assert (bar.top() < line.y1()) == (found.norm > before.norm)
            moved += abs(bar.top() - line.y1()) > 0.5
    assert moved > 3 and column.height() > 50
    assert "kept" in panel.legend.text()
    assert "Kept for comparison:" in panel.plot.accessibleDescription().replace(", ", "\n")
    qtbot.keyClick(panel.keep, Qt.Key.Key_Space)
    assert panel.plot.kept == () and "kept" not in panel.legend.text()
    theme.set_mode("system")


def test_columns_that_fit_need_no_scrolling(qtbot, ran):
    panel, _ = shown(qtbot, ran, len(ran.trace))
    for width in range(700, 760, 7):
        panel.resize(width, 240)
        qtbot.waitUntil(lambda width=width: panel.width() == width)
        assert panel.plot.horizontalScrollBar().maximum() == 0
    panel.plot.set_flows(panel.flows * 30, "norm", True)
    assert panel.plot.horizontalScrollBar().maximum() > 0
