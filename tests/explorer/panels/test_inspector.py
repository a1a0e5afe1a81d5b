"""The inspector shows what the trace holds at the position, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from engine.cell import Cell
from engine.explain import Place, Weight
from engine.layers import REGISTRY
from engine.trace import Trace
from explorer.narration import percent
from explorer.panels import Inspector
from explorer.panels.inspector.lens import Lens
from explorer.panels.inspector.paths import gradients_met, values_joined
from explorer.panels.inspector.pooling import choice_of, window_at
from explorer.tensors.scales import format_number


def shown(qtbot):
    panel = Inspector()
    qtbot.addWidget(panel)
    panel.resize(380, 900)
    panel.show()
    return panel


def look(panel, ran, node, position):
    panel.set_run(ran.graph, ran.inference, ran.trace, position, node)


def maps(grid):
    return np.asarray(grid.maps)


def norm(array):
    return float(np.linalg.norm(np.asarray(array, np.float64)))


def test_nothing_is_shown_before_it_is_computed(qtbot, ran):
    panel = shown(qtbot)
    look(panel, ran, "conv1", 0)
    assert maps(panel.output.forward_grid).size == 0
    look(panel, ran, "conv1", ran.after("forward", "conv1"))
    y = ran.trace.look("value", ("conv1", 0))[0]
    assert np.array_equal(maps(panel.output.forward_grid), y)
    assert maps(panel.output.gradient_grid).size == 0
    look(panel, ran, "conv1", ran.after("backward", "relu1"))
    assert np.array_equal(maps(panel.output.gradient_grid), ran.trace.look("grad", ("conv1", 0))[0])
    look(panel, ran, "conv1", 0)
    assert maps(panel.output.forward_grid).size == 0


def test_title_kind_and_formula(qtbot, ran):
    panel = shown(qtbot)
    look(panel, ran, "conv1", 0)
    assert panel.title.text() == "conv1"
    assert panel.kind.text().startswith("Convolution · Slides the same small kernel")
    assert panel.formula.text().startswith("y[n, o, r, c] = b[o] + ")


def test_max_pool_marks_its_choice_on_the_input_in_both_directions(qtbot, ran):
    panel = shown(qtbot)
    position = ran.after("forward", "pool1")
    look(panel, ran, "pool1", position)
    best = int(ran.trace.look("value", ("pool1", 0))[0].max(axis=(1, 2)).argmax())
    assert set(panel.marks[0].places[:, 0]) == {best}
    qtbot.keyClick(panel.which, Qt.Key.Key_Home)  # all channels
    marks, on_gradient = panel.marks
    x = ran.trace.look("value", ("relu1", 0))[0]
    y = ran.trace.look("value", ("pool1", 0))[0]
    assert len(marks.places) == y.size
    assert np.array_equal(x[tuple(marks.places.T)].reshape(y.shape), y)
    assert on_gradient is None
    for _ in range(best + 1):
        qtbot.keyClick(panel.which, Qt.Key.Key_Down)
    grid = panel.source.forward_grid
    with_marks = grid.grab().toImage()
    grid.set_marks(None)
    assert grid.grab().toImage() != with_marks
    qtbot.keyClick(panel.which, Qt.Key.Key_Home)
    look(panel, ran, "pool1", ran.after("backward", "pool1"))
    dx = maps(panel.source.gradient_grid)
    assert np.array_equal(dx, ran.trace.look("grad", ("relu1", 0))[0])
    outside = np.ones(dx.shape, bool)
    outside[tuple(panel.marks[1].places.T)] = False
    assert not dx[outside].any() and outside.sum() == dx.size - y.size
    assert f"{int((dx == 0).sum())} of {dx.size} cells" in panel.pool_note.text()


def test_max_pool_looks_at_the_channel_that_the_sentence_tells_of(qtbot, ran):
    panel = shown(qtbot)
    look(panel, ran, "pool1", ran.after("forward", "pool1"))
    look(panel, ran, "pool1", ran.after("backward", "pool1"))
    dy = ran.trace.look("grad", ("pool1", 0))[0]
    assert panel.which.currentText() == f"channel {np.abs(dy).max(axis=(1, 2)).argmax()}"


def test_marks_are_large_enough_to_be_seen(qtbot, ran):
    panel = shown(qtbot)
    look(panel, ran, "pool1", ran.after("forward", "pool1"))
    y = ran.trace.look("value", ("pool1", 0))[0]
    best = int(y.max(axis=(1, 2)).argmax())
    assert panel.which.currentText() == f"channel {best}"
    grid = panel.source.forward_grid
    assert grid.view.zoom >= 10
    corner, end = (grid.rect_of(Cell("relu1", 0, (best, i, i))) for i in (0, 11))
    assert grid.rect().contains(corner.united(end).toRect())
    qtbot.keyClick(panel.which, Qt.Key.Key_Home)
    assert grid.view.fit


def test_a_pools_own_part_is_shown_where_its_input_is_forked(qtbot, ran, run):
    graph = ran.graph.insert(
        type(ran.graph.nodes[0])("pool3", REGISTRY["MaxPool2d"](3, stride=1, padding=1), ()),
        "block/conv",
        0,
    )
    other = run(graph)
    panel = shown(qtbot)
    look(panel, other, "pool3", other.after("backward", "pool3"))
    part = other.trace.look("part", ("pool3", 0))[0]
    assert np.array_equal(maps(panel.source.gradient_grid), part)
    assert "won more than one window" in panel.pool_note.text()


def test_ties_are_counted_and_the_first_wins():
    layer = REGISTRY["MaxPool2d"](2)
    x = np.array([[[1, 1, 0, 3], [1, 0, 2, 1]]], np.float32)
    result = layer.forward({}, x[None])
    choice = choice_of(layer, x, result.ys[0][0], result.saved["argmax"][0])
    assert choice.ties == 1 and choice.overlaps == 0
    assert choice.marks.places.tolist() == [[0, 0, 0], [0, 0, 3]]
    assert choice.marks.tied.tolist() == [True, False]


def test_the_window_of_a_cell():
    layer = REGISTRY["Conv2d"](1, (3, 2), stride=2, padding=1, dilation=2)
    window = window_at(layer, 1, 2)
    assert (window.top, window.left, window.height, window.width) == (1, 3, 5, 3)


def test_add_shows_what_each_path_adds_and_its_fork(qtbot, ran):
    panel = shown(qtbot)
    look(panel, ran, "block/add", ran.after("forward", "block/add"))
    shares = panel.join.view.shares
    a, b, y = (
        ran.trace.look("value", (n, 0))[0].astype(np.float64).ravel()
        for n in ("block/conv", "pool1", "block/add")
    )
    assert shares.labels == ("branch", "skip") and shares.roles == ("branch", "skip")
    assert shares.norms == pytest.approx((norm(a), norm(b)))
    assert shares.sum_norm == pytest.approx(norm(y))
    assert shares.signed_shares == pytest.approx((a @ y / (y @ y), b @ y / (y @ y)))
    assert sum(shares.signed_shares) == pytest.approx(1)
    assert panel.fork.view.shares is None and "are added there" in panel.fork.note.text()
    look(panel, ran, "block/add", ran.after("backward", "block/add"))
    size = format_number(norm(ran.trace.look("grad", ("block/add", 0))))
    assert size in panel.join.note.text()
    assert f"Arrived so far: ‖skip‖ {size}" in panel.fork.note.text()


@pytest.mark.parametrize("node", ["block/add", "pool1"])
def test_the_accumulate_step_is_shown_at_the_add_and_at_the_fork(qtbot, ran, node):
    panel = shown(qtbot)
    position = ran.after("accumulate", "pool1")
    look(panel, ran, node, position - 1)
    assert panel.fork.view.shares is None
    look(panel, ran, node, position)
    shares = panel.fork.view.shares
    parts = {
        "skip": ran.trace.look("part", ("block/add", 1)),
        "branch": ran.trace.look("part", ("block/conv", 0)),
    }
    assert dict(zip(shares.labels, shares.norms, strict=True)) == pytest.approx(
        {name: norm(part) for name, part in parts.items()}
    )
    assert shares.sum_norm == pytest.approx(norm(ran.trace.look("grad", ("pool1", 0))))
    a, b = (part.astype(np.float64).ravel() for part in parts.values())
    assert shares.cosine == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    assert "pool1" in panel.fork.heading.text() and panel.fork.isVisible()


def test_three_parts_are_complete_only_after_the_second_sum(ran, run):
    graph = ran.graph
    node = type(graph.nodes[0])("more", REGISTRY["Add"](), (("block/add", 0), ("pool1", 0)))
    graph = graph.add(node).connect(("more", 0), "pool2", 0)
    other = run(graph)
    sums = [s.index + 1 for s in other.trace.steps if (s.phase, s.node) == ("accumulate", "pool1")]
    assert len(sums) == 2
    assert gradients_met(graph, other.trace, sums[0], ("pool1", 0)).shares is None
    met = gradients_met(graph, other.trace, sums[1], ("pool1", 0))
    assert len(met.shares.norms) == 3
    assert sum(met.shares.signed_shares) == pytest.approx(1)
    assert values_joined(graph, Trace(), 0, node) is None


def test_a_dead_branch_is_not_waited_for(ran, run):
    dead = [
        replace(ran.graph.node("relu1"), id=name, inputs=((source, 0),))
        for name, source in (("dead1", "pool1"), ("dead2", "conv1"))
    ]
    other = run(ran.graph.add(dead[0]).add(dead[1]))
    met = gradients_met(other.graph, other.trace, len(other.trace), ("pool1", 0))
    assert len(met.names) == 2 and met.shares is not None
    # where one reader alone sends a gradient, that is the tensor's
    lens = Lens(other.graph, other.inference, other.trace, len(other.trace), "relu1")
    sent = lens.sent(other.graph.node("relu1"), 0, ("conv1", 0))
    assert (sent.kind, sent.ref) == ("grad", ("conv1", 0))
    assert lens.sent(dead[1], 0, ("conv1", 0)) is None


def test_weights_and_their_gradient(qtbot, ran):
    panel = shown(qtbot)
    look(panel, ran, "block/conv", len(ran.trace))
    panel.show_tab("weights")
    w = ran.trace.look("param", ("block/conv", "weight"))
    dw = ran.trace.look("param_grad", ("block/conv", "weight"))
    assert np.array_equal(maps(panel.weights.forward_grid), w.reshape(16, 3, 3))
    assert np.array_equal(maps(panel.weights.gradient_grid), dw.reshape(16, 3, 3))
    look(panel, ran, "block/conv", ran.after("forward", "block/conv"))
    before = ran.trace.look("param", ("block/conv", "weight"), 1)
    assert np.array_equal(maps(panel.weights.forward_grid), before.reshape(16, 3, 3))
    assert not np.array_equal(before, w)
    qtbot.keyClick(panel.which, Qt.Key.Key_Down)
    bias = ran.trace.look("param", ("block/conv", "bias"), 1)
    assert np.array_equal(maps(panel.weights.forward_grid).ravel(), bias)


def test_weights_behind_a_flatten_are_shown_as_the_maps_they_look_at(qtbot, ran):
    panel = shown(qtbot)
    look(panel, ran, "fc", len(ran.trace))
    panel.show_tab("weights")
    w = ran.trace.look("param", ("fc", "weight"))
    assert np.array_equal(maps(panel.weights.forward_grid), w.reshape(12, 3, 3))


def test_inputs_can_be_chosen(qtbot, ran):
    panel = shown(qtbot)
    look(panel, ran, "block/add", len(ran.trace))
    panel.show_tab("input")
    assert np.array_equal(
        maps(panel.input.forward_grid), ran.trace.look("value", ("block/conv", 0))[0]
    )
    qtbot.keyClick(panel.which, Qt.Key.Key_Down)
    assert np.array_equal(maps(panel.input.forward_grid), ran.trace.look("value", ("pool1", 0))[0])
    # What the Add sent to its fork, not the sum that the fork has in the end.
    assert np.array_equal(
        maps(panel.input.gradient_grid), ran.trace.look("part", ("block/add", 1))[0]
    )


def test_statistics_are_those_of_the_arrays(qtbot, ran):
    panel = shown(qtbot)
    look(panel, ran, "relu1", ran.after("forward", "relu1"))
    panel.show_tab("statistics")
    rows = {row[0]: row[1:] for row in panel.table.texts()}
    y = ran.trace.look("value", ("relu1", 0))[0].astype(np.float64)
    assert rows["output"] == (
        format_number(y.min()),
        format_number(y.max()),
        format_number(y.mean()),
        format_number(norm(y)),
        percent(float((y == 0).mean())),
    )
    assert set(rows["∂ output"]) == {"–"}


def test_the_loss_lists_its_classes(qtbot, ran):
    panel = shown(qtbot)
    look(panel, ran, "loss", len(ran.trace))
    panel.show_tab("statistics")
    rows = panel.table.texts()
    p = ran.trace.look("saved", ("loss", "probabilities"))[0]
    assert [row[0] for row in rows] == ["cat", "dog", "fox"]
    assert [row[2] for row in rows] == [percent(float(v)) for v in p]


def test_focus_is_shared_and_requested(qtbot, ran):
    panel = shown(qtbot)
    look(panel, ran, "conv1", ran.after("forward", "conv1"))
    grid = panel.output.forward_grid
    cell = Cell("conv1", 0, (2, 5, 7))
    with qtbot.waitSignal(panel.focus_requested) as caught:
        at = grid.rect_of(cell).center().toPoint()
        qtbot.mouseClick(grid, Qt.MouseButton.LeftButton, pos=at)
    assert caught.args == [grid.cell_at(at)]
    assert grid.focus is None
    panel.set_focus(cell)
    assert grid.focus == panel.output.gradient_grid.focus == cell
    look(panel, ran, "pool1", ran.after("forward", "pool1"))
    panel.set_focus(Cell("pool1", 0, (1, 2, 3)))
    assert panel.which.currentText() == "channel 1"


def test_a_weight_is_marked_and_asked_about_on_the_side_that_was_clicked(qtbot, ran):
    panel = shown(qtbot)
    look(panel, ran, "conv1", len(ran.trace))
    panel.show_tab("weights")
    asked, cells = [], []
    panel.weight_requested.connect(asked.append)
    panel.focus_requested.connect(cells.append)
    qtbot.keyClick(panel.weights.forward_grid, Qt.Key.Key_Right)
    weight = Weight("conv1", "weight", (0, 0, 0, 0))
    cell = Cell("conv1.weight", 0, (0, 0, 0, 0))
    assert asked == [Place(weight, "forward")] and cells == []
    assert panel.weights.forward_grid.focus == panel.weights.gradient_grid.focus == cell
    grid = panel.weights.gradient_grid
    at = grid.rect_of(Cell("conv1.weight", 0, (2, 0, 0, 2))).center().toPoint()
    qtbot.mouseClick(grid, Qt.MouseButton.LeftButton, pos=at)
    assert asked[1:] == [Place(Weight("conv1", "weight", (2, 0, 0, 2)), "gradient")]
    assert panel.weights.forward_grid.focus == Cell("conv1.weight", 0, (2, 0, 0, 2))


def test_a_weight_asked_about_elsewhere_comes_to_the_front(qtbot, ran):
    panel = shown(qtbot)
    look(panel, ran, "conv1", len(ran.trace))
    panel.set_weight(Weight("conv1", "bias", (1,)))
    assert panel.tab == "weights" and panel.which.currentText() == "bias"
    assert panel.weights.forward_grid.focus == Cell("conv1.bias", 0, (1,))
    panel.set_weight(None)
    assert panel.weights.forward_grid.focus is None
    panel.set_weight(Weight("fc", "weight", (1, 17)))
    assert panel.weights.forward_grid.focus is None
    look(panel, ran, "fc", len(ran.trace))
    grid = panel.weights.forward_grid  # drawn as the maps before the Flatten
    assert grid.focus == Cell("fc.weight", 0, (1, *np.unravel_index(17, (4, 3, 3))))
    weights = ran.trace.look("param", ("fc", "weight"))
    assert grid.value(grid.focus) == weights[1, 17]
    asked = []
    panel.weight_requested.connect(asked.append)
    qtbot.keyClick(grid, Qt.Key.Key_Left)
    assert asked == [Place(Weight("fc", "weight", (1, 16)), "forward")]


def test_a_scale_mode_is_requested_and_set_everywhere(qtbot, ran):
    panel = shown(qtbot)
    look(panel, ran, "conv1", 1)
    with qtbot.waitSignal(panel.scale_mode_requested) as caught:
        qtbot.mouseClick(panel.output.chooser.buttons["per channel"], Qt.MouseButton.LeftButton)
    assert caught.args == ["per channel"]
    panel.set_scale_mode("per channel")
    assert panel.output.forward_grid.scale.per_channel


def test_an_unknown_node_leaves_a_hint(qtbot, ran):
    panel = shown(qtbot)
    look(panel, ran, "conv1", 1)
    panel.set_run(ran.graph, ran.inference, None, 0, None)
    assert panel.empty.isVisible() and not panel.stack.isVisible()
    assert panel.empty.text().startswith("Select a layer")


def test_what_the_step_wrote_comes_to_the_front(qtbot, ran):
    panel = shown(qtbot)
    look(panel, ran, "relu1", ran.after("forward", "relu1"))
    assert panel.tab == "output"
    look(panel, ran, "relu1", ran.after("backward", "relu1"))
    assert panel.tab == "input"
    sent = ran.trace.look("grad", ("conv1", 0))[0]
    assert panel.input.isVisible() and np.array_equal(maps(panel.input.gradient_grid), sent)
    look(panel, ran, "pool1", ran.after("backward", "pool1"))
    assert panel.tab == "output"  # both sides are on it
    look(panel, ran, "relu1", ran.after("backward", "relu1"))
    click(panel, "output")
    look(panel, ran, "conv1", ran.after("backward", "conv1"))
    look(panel, ran, "relu1", ran.after("backward", "relu1"))
    assert panel.tab == "output"  # what the user chose stays
    look(panel, ran, "relu1", ran.after("forward", "relu1"))
    look(panel, ran, "relu1", ran.after("backward", "relu1"))
    assert panel.tab == "input"
    click(panel, "statistics")
    look(panel, ran, "relu1", ran.after("forward", "relu1"))
    assert panel.tab == "statistics"


def click(panel, name):
    number = next(i for i in range(panel.tabs.count()) if panel.tabs.tabData(i) == name)
    at = panel.tabs.tabRect(number).center()
    QTest.mouseClick(panel.tabs, Qt.MouseButton.LeftButton, pos=at)
    assert panel.tab == name
