"""Over training: layers by steps in colours that stand for the numbers, lines, rules, and files."""

import csv
import io
import math

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QMouseEvent
from PySide6.QtWidgets import QApplication

from engine.architectures.base import Builder
from engine.data.digits import digits
from engine.flow import RULES
from engine.layers import REGISTRY
from engine.optimizers import SGD
from engine.parameters import initial_parameters
from engine.train import Trainer, TrainSettings
from engine.training_flow import FIELDS, MEASURES, SHARES, FlowPoint, TrainingFlow
from explorer import theme
from explorer.panels import FlowPanel
from explorer.panels.flow.words import step_words, training_measure_name
from explorer.plate import SUFFIXES, encoded
from explorer.tensors.scales import lut

STEPS = 6


def trained(bend: str, depth: int = 8, first: str = "first") -> TrainingFlow:
    """The flow of a few real steps, all of which are measured."""
    build = Builder((1, 8, 8))
    layers = [(first, REGISTRY["Flatten"]())]
    for i in range(depth):
        layers += [(f"fc{i}", REGISTRY["Linear"](16)), (f"bend{i}", REGISTRY[bend]())]
    scores = build.chain(build.input, *layers, ("scores", REGISTRY["Linear"](10)))
    graph = build.classifier(scores, bend, tuple("0123456789"))
    trainer = Trainer(
        graph,
        initial_parameters(graph, 2),
        digits()[0],
        None,
        TrainSettings(optimizer=SGD(lr=0.1), batch_size=16, seed=3),
        flow_share=math.inf,
    )
    flow = TrainingFlow.of(graph, f"{bend}, run 1: SGD, learning rate 0.1")
    for _, _ in zip(range(STEPS), trainer.reports(), strict=False):
        flow = flow.with_point(trainer.flow)
    return flow


@pytest.fixture(scope="module")
def sigmoid() -> TrainingFlow:
    return trained("Sigmoid")


@pytest.fixture(scope="module")
def relu() -> TrainingFlow:
    return trained("ReLU")


@pytest.fixture
def panel(qtbot, ran):
    theme.set_mode("light")
    panel = FlowPanel()
    qtbot.addWidget(panel)
    panel.resize(900, 420)
    panel.show()
    panel.set_run(ran.graph, None, 0)
    qtbot.mouseClick(panel.training_mode, Qt.MouseButton.LeftButton)
    yield panel
    theme.set_mode("system")


def at(panel: FlowPanel, side: int, name: str, step: int) -> QPoint:
    return panel.map.place_of(side, name, step).toPoint()


def click(qtbot, panel, side, name, step):
    qtbot.mouseClick(
        panel.map.viewport(), Qt.MouseButton.LeftButton, pos=at(panel, side, name, step)
    )


def test_the_colour_of_a_cell_is_its_number(panel, sigmoid):
    panel.set_training((sigmoid,))
    image = panel.map.viewport().grab().toImage()
    values = sigmoid.series("gradient")
    low, high = panel.map.scale
    table = lut(theme.current(), "sequential").colours
    checked = 0
    for name in panel.map.rows():
        for point, step in enumerate(sigmoid.steps):
            if sigmoid.flags[point][sigmoid.names.index(name)]:
                continue  # the bar of a rule may lie there
            value = values[sigmoid.names.index(name), point]
            share = (math.log10(value) - math.log10(low)) / (math.log10(high) - math.log10(low))
            wanted = QColor.fromRgb(int(table[round(share * 255)]))
            inwards = {sigmoid.steps[0]: 3, sigmoid.steps[-1]: -3}.get(step, 0)
            found = image.pixelColor(at(panel, 0, name, step) + QPoint(inwards, -2))
            for a, b in zip(wanted.getRgb(), found.getRgb(), strict=True):
                assert abs(a - b) <= 6, (name, step)
            checked += 1
    assert checked > 20
    # what comes before the first weights has no gradient in training, and no row in this picture
    assert panel.map.rows() == sigmoid.names[2:]


def test_vanishing_layers_carry_the_bar_of_the_rule_and_it_is_said(panel, sigmoid):
    panel.set_training((sigmoid,))
    image = panel.map.viewport().grab().toImage()
    warning = QColor(theme.current().warning)
    rows = panel.map.rows()
    height = at(panel, 0, rows[1], 1).y() - at(panel, 0, rows[0], 1).y()
    marked = {}
    for name in rows:
        middle = at(panel, 0, name, sigmoid.steps[2])
        marked[name] = any(
            image.pixelColor(middle + QPoint(0, dy)) == warning for dy in range(height // 2 + 1)
        )
    row_of = sigmoid.names.index
    assert marked == {name: bool(sigmoid.flags[2][row_of(name)]) for name in rows}
    assert 0 < sum(marked.values()) < len(rows)
    assert "vanishing in all steps: " + RULES["vanishing"] in panel.rules.text()
    assert panel.rules.isVisible()


def test_hovering_reads_the_numbers(panel, qtbot, sigmoid):
    panel.set_training((sigmoid,))
    assert "Click a layer" in panel.reading.text()
    qtbot.mouseMove(panel.map.viewport(), at(panel, 0, "bend4", 3))
    text = panel.reading.text()
    assert text == step_words(sigmoid, sigmoid.names.index("bend4"), 2)
    numbers = dict(
        zip(FIELDS, sigmoid.numbers[2][sigmoid.names.index("bend4")].tolist(), strict=True)
    )
    assert text.startswith("bend4, step 3: ‖∂x‖ ")
    shown = float(text.split("‖∂x‖ ")[1].split(" ")[0].replace("−", "-"))
    assert shown == pytest.approx(numbers["gradient_norm"], rel=5e-3)


def test_a_click_chooses_layer_and_step_and_draws_its_line(panel, qtbot, sigmoid):
    panel.set_training((sigmoid,))
    asked = []
    panel.select_requested.connect(asked.append)
    before = panel.map.viewport().grab().toImage()
    click(qtbot, panel, 0, "fc3", 4)
    assert asked == [frozenset(("fc3",))]
    assert panel.map.chosen == (("fc3", 0),) and panel.map.step == 4
    values = sigmoid.series("gradient")[sigmoid.names.index("fc3")]
    assert panel.map.line_of() == tuple(zip(sigmoid.steps, values.tolist(), strict=True))
    after = panel.map.viewport().grab().toImage()
    line = QColor(theme.current().backward)

    def painted(image):
        return sum(
            image.pixelColor(x, y) == line
            for x in range(image.width() // 2, image.width())
            for y in range(image.height())
        )

    assert painted(before) == 0 and painted(after) > 100


def test_keys_go_through_steps_and_layers(panel, qtbot, sigmoid):
    panel.set_training((sigmoid,))
    view = panel.map
    view.setFocus()
    for key, step in ((Qt.Key.Key_Home, 1), (Qt.Key.Key_Right, 2), (Qt.Key.Key_End, STEPS)):
        qtbot.keyClick(view, key)
        assert view.step == step
    qtbot.keyClick(view, Qt.Key.Key_Left)
    assert view.step == STEPS - 1
    rows = view.rows()
    qtbot.keyClick(view, Qt.Key.Key_Down)
    qtbot.keyClick(view, Qt.Key.Key_Down)
    assert view.chosen == ((rows[1], 0),)
    qtbot.keyClick(view, Qt.Key.Key_Up)
    qtbot.keyClick(view, Qt.Key.Key_Up)
    assert view.chosen == ((rows[0], 0),)


def test_dragging_scrubs(panel, qtbot, sigmoid):
    panel.set_training((sigmoid,))
    view = panel.map.viewport()
    qtbot.mousePress(view, Qt.MouseButton.LeftButton, pos=at(panel, 0, "fc1", 2))
    for step in (3, 5):
        place = QPointF(at(panel, 0, "fc1", step))
        event = QMouseEvent(
            QEvent.Type.MouseMove,
            place,
            view.mapToGlobal(place),
            Qt.MouseButton.NoButton,
            Qt.MouseButton.LeftButton,
            Qt.KeyboardModifier.NoModifier,
        )
        QApplication.sendEvent(view, event)
        assert panel.map.step == step
    qtbot.mouseRelease(view, Qt.MouseButton.LeftButton, pos=at(panel, 0, "fc1", 5))


def test_two_runs_share_one_scale_and_a_choice(panel, qtbot, sigmoid, relu):
    panel.set_training((sigmoid, relu))
    assert panel.map.runs == (relu,)  # the newest
    panel.beside.setFocus()
    qtbot.keyClick(panel.beside, Qt.Key.Key_Down)
    assert panel.map.runs == (relu, sigmoid)
    low, high = panel.map.scale
    for run in (relu, sigmoid):
        values = run.series("gradient")
        assert np.nanmin(values[values > 0]) >= low and np.nanmax(values) <= high
    click(qtbot, panel, 1, "fc2", 3)
    assert panel.map.chosen == (("fc2", 0), ("fc2", 0))
    assert panel.map.line_of(0)[2][1] > 50 * panel.map.line_of(1)[2][1]
    lines = panel.reading.text().splitlines()
    assert len(lines) == 2 and lines[0].startswith("━ fc2, step 3: ") and lines[1][0] == "╍"
    assert "╍ ⚠" in panel.rules.text() and "━ ⚠" not in panel.rules.text()
    longer = sigmoid.with_point(FlowPoint(40, sigmoid.numbers[-1]))
    panel.set_training((longer, relu))
    assert panel.map.runs == (relu, longer)  # the choice stays while runs grow


def test_runs_of_a_network_that_was_open_before_can_be_compared(panel, relu, sigmoid):
    panel.set_training((relu,), (sigmoid,))
    assert [panel.beside.itemText(i) for i in range(1, panel.beside.count())] == [sigmoid.title]
    panel.set_training((), (sigmoid,))
    assert panel.map.runs == ()


def test_each_measure_and_order(panel, qtbot, sigmoid):
    panel.set_training((sigmoid,))
    assert panel.training_measure.count() == len(MEASURES)
    for index, measure in enumerate(MEASURES):
        panel.training_measure.setCurrentIndex(index)
        assert panel.training_measure.currentText() == training_measure_name(measure)
        rows = panel.map.rows()
        known = ~np.isnan(sigmoid.series(measure)).all(1)
        assert rows == tuple(n for n, there in zip(sigmoid.names, known, strict=True) if there)
        if measure in SHARES:
            assert panel.map.scale == (0, 1)
    panel.training_measure.setCurrentIndex(0)
    values = dict(zip(sigmoid.names, sigmoid.series("gradient")[:, -1].tolist(), strict=True))
    network = panel.map.rows()
    for order, sign in (("smallest", 1), ("largest", -1)):
        panel.training_order.setCurrentIndex(panel.training_order.findData(order))
        assert panel.map.rows() == tuple(sorted(network, key=lambda n: sign * values[n]))
    panel.training_order.setCurrentIndex(panel.training_order.findData("flags"))
    flagged = {n for n, f in zip(sigmoid.names, sigmoid.flags[-1], strict=True) if f}
    assert set(panel.map.rows()[: len(flagged)]) == flagged


def test_where_nothing_was_trained_a_button_says_what_to_press(panel, qtbot, sigmoid):
    panel.set_training(())
    assert panel.go.isVisible() and panel.go.text() == "Train"
    with qtbot.waitSignal(panel.train_requested):
        qtbot.mouseClick(panel.go, Qt.MouseButton.LeftButton)
    panel.set_training((), busy=True)
    assert not panel.go.isVisible() and "first step" in panel.hint.text()
    panel.set_training((sigmoid,), busy=True)
    assert not panel.hint.isVisible() and panel.reading.isVisible()


def test_before_the_backward_pass_a_button_runs_it(qtbot, ran):
    panel = FlowPanel()
    qtbot.addWidget(panel)
    panel.resize(900, 300)
    panel.show()
    panel.set_run(ran.graph, ran.trace, ran.after("forward", "fc"))
    qtbot.waitUntil(lambda: panel.go.isVisible())
    assert panel.go.text() == "Run backward" and panel.hint.isVisible()
    with qtbot.waitSignal(panel.backward_requested):
        qtbot.mouseClick(panel.go, Qt.MouseButton.LeftButton)
    panel.set_run(ran.graph, ran.trace, len(ran.trace))
    qtbot.waitUntil(lambda: not panel.go.isVisible())


def test_what_is_shown_can_be_saved_in_every_form(panel, qtbot, sigmoid, relu):
    panel.set_training((sigmoid, relu))
    panel.beside.setCurrentIndex(1)
    asked = []
    panel.save_requested.connect(asked.append)
    qtbot.mouseClick(panel.save, Qt.MouseButton.LeftButton)
    (plate,) = asked
    rows = list(csv.DictReader(io.StringIO(encoded(plate, ".csv").decode())))
    assert len(rows) == 2 * STEPS * len(sigmoid.names)
    row = next(r for r in rows if (r["run"], r["step"], r["tensor"]) == (sigmoid.title, "2", "fc1"))
    number = sigmoid.numbers[1][sigmoid.names.index("fc1")][FIELDS.index("weight_gradient")]
    assert float(row["weight_gradient"]) == pytest.approx(number)
    svg = encoded(plate, ".svg").decode()
    assert "bend3" in svg and "<image" in svg
    assert encoded(plate, ".png").startswith(b"\x89PNG")
    assert set(SUFFIXES) == {".png", ".svg", ".csv"}
    with pytest.raises(ValueError, match=r"expected \.png"):
        encoded(plate, ".doc")


def test_the_bars_at_the_cursor_can_be_saved_too(qtbot, ran):
    panel = FlowPanel()
    qtbot.addWidget(panel)
    panel.resize(300, 240)  # they are scrolled, but all are in the file
    panel.show()
    panel.set_run(ran.graph, ran.trace, len(ran.trace))
    qtbot.waitUntil(lambda: len(panel.flows) == 9 and panel.flows[0].gradient is not None)
    asked = []
    panel.save_requested.connect(asked.append)
    qtbot.mouseClick(panel.save, Qt.MouseButton.LeftButton)
    (plate,) = asked
    rows = list(csv.DictReader(io.StringIO(encoded(plate, ".csv").decode())))
    assert [row["tensor"] for row in rows] == [flow.name for flow in panel.flows]
    assert float(rows[1]["gradient_norm"]) == pytest.approx(panel.flows[1].gradient.norm)
    svg = encoded(plate, ".svg").decode()
    assert all(name in svg for name in ("image", "pool2", "fc"))


def test_every_layer_has_its_name_where_columns_are_narrow(qtbot, ran):
    panel = FlowPanel()
    qtbot.addWidget(panel)
    panel.resize(460, 300)
    panel.show()
    panel.set_run(ran.graph, ran.trace, len(ran.trace))
    qtbot.waitUntil(lambda: len(panel.flows) == 9 and panel.flows[0].gradient is not None)
    shown = panel.plot.names
    assert shown == tuple(flow.name.rsplit("/", 1)[-1] for flow in panel.flows)
    panel.resize(900, 300)
    assert panel.plot.names == shown
